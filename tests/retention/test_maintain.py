"""`podium maintain`, as it is called."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import shell
from tests.cli.support import Shell
from tests.retention.support import DAY, ended
from tests.storage.support import opened

__all__ = ["shell"]
LONG_AGO = DAY * 365 * 20


@pytest.fixture
async def filled(shell: Shell) -> Shell:
    """A database with runs that ended twenty years before the time of the tests' clock."""
    storage = await opened(shell.database)
    for number in range(30):
        await ended(
            storage,
            f"r-{number}",
            LONG_AGO,
            workflow="a" if number < 10 else "b",
            payloads=(b'"' + b"word " * 2000 + b'"',) * 3,
        )
    await storage.close()
    return shell


def test_without_options_it_archives_and_deletes_nothing(filled: Shell):
    ended = filled.podium("maintain")
    assert (ended.code, ended.err) == (0, "")
    assert "Deleted 0 runs and archived 30 runs (90 journal entries)" in ended.out
    assert "--vacuum gives them back" in ended.out
    assert filled.rows("SELECT count(*) FROM journal") == [(0,)]
    assert len(filled.states()) == 30


def test_a_workflow_of_which_there_is_no_run_is_a_mistake(filled: Shell):
    told = filled.podium("maintain", "--workflow", "nope", "--dry-run")
    assert told.code == 2
    assert "there is no run of a workflow 'nope'. `podium runs list` shows" in told.error
    assert "a workflow 'bb'. Did you mean 'b'?" in filled.podium("maintain", "--workflow", "bb").error


def test_a_dry_run_changes_nothing(filled: Shell):
    ended = filled.podium("maintain", "--delete-after", "30d", "--workflow", "a", "--dry-run")
    assert "Would delete 10 runs and archive 0 runs. Nothing was changed." in ended.out
    assert filled.rows("SELECT count(*) FROM journal") == [(90,)]
    assert len(filled.states()) == 30


def test_it_deletes_what_it_is_asked_to_and_shrinks_the_file(filled: Shell):
    size = filled.database.stat().st_size
    ended = filled.podium("maintain", "--delete-after", "30d", "--workflow", "a", "--vacuum", "--json")
    told = json.loads(ended.out)
    assert (told["deleted"], told["archived"], told["vacuumed"]) == (10, 0, True)
    assert told["after"]["file"] == told["after"]["used"] < told["before"]["file"]
    assert filled.database.stat().st_size == told["after"]["file"] < size
    assert set(filled.states()) == {f"r-{number}" for number in range(10, 30)}


def test_what_is_archived_is_shown_as_before(filled: Shell):
    before = filled.podium("runs", "show", "r-3", "--json").out
    filled.podium("maintain")
    assert filled.podium("runs", "show", "r-3", "--json").out == before


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--delete-after", "soon"], 2, "'soon' is no duration"),
        (["--keep-failed", "9d"], 2, "without delete_after"),
        (["--db", "none.db"], 3, "there is no database none.db"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(shell: Shell, arguments: list[str], code: int, said: str):
    ended = shell.podium("maintain", *arguments)
    assert ended.code == code
    assert said in ended.error


async def test_the_file_is_not_shrunk_under_a_process_that_owns_it(filled: Shell):
    storage = await opened(filled.database)
    refused = filled.podium("maintain", "--vacuum")
    done = filled.podium("maintain")
    await storage.close()
    assert refused.code == 3
    assert "is owned by another process" in refused.error
    assert done.code == 0
    assert "archived 30 runs" in done.out


def test_the_help_shows_examples():
    root = Path(__file__).parents[2]
    shown = subprocess.run(
        [root / ".venv/bin/podium", "maintain", "--help"], capture_output=True, text=True, check=True
    ).stdout
    assert "podium maintain --vacuum" in " ".join(shown.split())
