"""Opening a database: what is accepted, what is refused, and the one line that says why."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from podium.domain.errors import InvalidInput, StorageUnavailable
from podium.settings.storage import StorageSettings
from podium.storage.revision import HEAD
from podium.storage.sqlite.database import open_sqlite
from tests.storage.support import ROOT, a_run, loaded, opened


async def refusal(path: Path, *, own: bool = True, **settings) -> str:
    """The one line with which opening is refused."""
    with pytest.raises(StorageUnavailable) as caught:
        await opened(path, own=own, **settings)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def foreign(path: Path, application_id: int = 0) -> None:
    with closing(sqlite3.connect(path)) as raw:
        raw.execute(f"PRAGMA application_id = {application_id}")
        raw.execute("CREATE TABLE songs (title)")
        raw.commit()


async def test_a_new_file_is_made_and_survives_being_closed(path: Path):
    storage = await opened(path)
    run = await storage.create(a_run())
    await storage.close()
    again = await opened(path)
    found = await loaded(again, run)
    await again.close()
    assert found.run == run


async def test_the_file_is_marked_as_ours_and_uses_the_write_ahead_log(storage, path: Path):
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("PRAGMA application_id").fetchone() == (0x506F6469,)
        assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize("name", ["with space.db", "100%.db", "what?.db", "a#b.db", "ünïcode.db"])
async def test_any_file_name_will_do(tmp_path: Path, name: str):
    await (await opened(tmp_path / name)).close()
    assert (tmp_path / name).is_file()


async def test_a_path_may_be_given_as_text(path: Path):
    await (await open_sqlite(str(path), settings=StorageSettings(), own=True)).close()
    assert path.is_file()


async def test_an_empty_file_is_as_good_as_none(path: Path):
    path.touch()
    await (await opened(path)).close()
    await (await opened(path, own=False)).close()


async def test_a_directory_is_refused(tmp_path: Path):
    assert "it is a directory" in await refusal(tmp_path)


async def test_a_missing_folder_is_named(tmp_path: Path):
    missing = tmp_path / "no" / "podium.db"
    assert f"there is no folder {tmp_path / 'no'}" in await refusal(missing)


async def test_only_an_owner_makes_a_file(path: Path):
    assert "there is no such file" in await refusal(path, own=False)
    assert not path.exists()


async def test_a_file_that_is_not_sqlite_is_refused_and_left_alone(path: Path):
    path.write_text("just some notes\n" * 100)
    assert "it is not an SQLite database" in await refusal(path)
    assert path.read_text() == "just some notes\n" * 100


@pytest.mark.parametrize("application_id", [0, 0x0F055112])
async def test_another_programs_database_is_refused_and_left_alone(path: Path, application_id: int):
    foreign(path, application_id)
    before = path.read_bytes()
    assert "it is another program's database" in await refusal(path)
    assert "it is another program's database" in await refusal(path, own=False)
    assert path.read_bytes() == before
    assert not path.with_name(path.name + "-wal").exists()


async def test_a_file_that_is_no_file_is_refused():
    assert "it is not a regular file" in await refusal(Path("/dev/null"))


async def test_a_folder_that_takes_no_files_is_refused():
    assert "cannot be" in await refusal(Path("/proc/podium.db"))


async def test_a_damaged_database_is_refused(path: Path):
    await (await opened(path)).close()
    content = bytearray(path.read_bytes())
    content[100:6000] = b"\xa5" * 5900
    path.write_bytes(content)
    assert "its contents are damaged" in await refusal(path)


async def test_a_cut_off_database_is_refused(path: Path):
    await (await opened(path)).close()
    path.write_bytes(path.read_bytes()[:9000])
    assert "its contents are damaged" in await refusal(path)


async def test_a_locked_file_is_refused_after_the_busy_timeout(path: Path):
    await (await opened(path)).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        assert "another process keeps it locked" in await refusal(path, busy_timeout=0.05)
    await (await opened(path)).close()


async def test_a_newer_revision_is_refused_and_left_alone(path: Path):
    await (await opened(path)).close()
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
        raw.commit()
    for own in (True, False):
        message = await refusal(path, own=own)
        assert "written by a newer Podium" in message
        assert "9999" in message


async def test_a_refused_file_is_not_left_locked(path: Path):
    foreign(path)
    await refusal(path)
    path.unlink()
    await (await opened(path)).close()


async def test_a_wrong_setting_is_named(path: Path):
    with pytest.raises(InvalidInput, match="synchronous='SOMETIMES' must be one of 'OFF', 'NORMAL', 'FULL'"):
        await opened(path, synchronous="SOMETIMES")


async def test_opening_a_current_database_does_not_load_alembic(path: Path):
    await (await opened(path)).close()
    script = (
        "import asyncio, sys; from pathlib import Path; from tests.storage.support import opened;"
        "run = lambda own: asyncio.run(main(own));"
        "\nasync def main(own): await (await opened(Path(sys.argv[1]), own=own)).close()\n"
        "run(True); run(False); print('alembic' in sys.modules, 'sqlalchemy' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, path], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert ran.stdout.split() == ["False", "True"]
    assert HEAD


async def test_closing_twice_is_closing_once(path: Path):
    storage = await opened(path)
    await storage.close()
    await storage.close()


async def test_a_closed_database_says_so(path: Path):
    storage = await opened(path)
    await storage.close()
    with pytest.raises(StorageUnavailable, match="has been closed"):
        await storage.read(lambda conn: None)
    with pytest.raises(StorageUnavailable, match="has been closed"):
        await storage.write(lambda conn: None)
    with pytest.raises(StorageUnavailable, match="has been closed"):
        storage.commit([])
    assert storage.changed_elsewhere() in {True, False}
