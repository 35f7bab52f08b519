"""`podium triggers`, `podium emit` and `podium worker`, beside one another and alone."""

from __future__ import annotations

import datetime
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sized
from pathlib import Path

import pytest

from tests.cli.support import Shell, ended, until

JOBS = Path(__file__).with_name("jobs.py")
QUEUED_CHARGE = """from podium import Queue

cards = Queue("cards", concurrency=1)


@workflow(queue="cards")
async def charge"""


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that a worker has been in; nobody writes to it."""
    folder = tmp_path_factory.mktemp("left")
    kept = [line for line in JOBS.read_text().splitlines() if not line.startswith("often")]
    (folder / "jobs.py").write_text("\n".join(kept) + "\n")
    worked(Shell(folder))
    return folder


@pytest.fixture
def taken_up(left: Path, tmp_path: Path) -> Shell:
    """A copy of that folder."""
    shutil.copytree(left, tmp_path, dirs_exist_ok=True)
    return Shell(tmp_path)


@pytest.fixture
def shell(left: Path, tmp_path: Path) -> Shell:
    """A folder with `jobs.py` in it, without the schedule that fires every second."""
    shutil.copy(left / "jobs.py", tmp_path)
    return Shell(tmp_path)


def until_more(things: Callable[[], Sized], count: int) -> None:
    until(lambda: len(things()) >= count)


def worked(shell: Shell, is_done=lambda: True):
    """Let a worker work until something is so, stop it, and return what it said."""
    worker = shell.start("worker", "jobs.py")
    until(lambda: has_taken_up(shell) and is_done())
    worker.terminate()
    return ended(worker)


def has_taken_up(shell: Shell) -> bool:
    try:
        return bool(shell.rows("SELECT name FROM triggers"))
    except Exception:
        return False


def test_the_next_firings_of_an_expression_are_shown_in_its_zone_and_in_utc(shell: Shell):
    asked = ("triggers", "next", "--cron", "0 3 * * *", "--timezone", "Europe/Berlin", "--count", "400")
    told = shell.podium(*asked)
    assert told.code == 0
    lines = told.out.splitlines()
    assert lines[0] == "cron 0 3 * * * (Europe/Berlin)"
    assert len(lines) == 401
    assert all(" 03:00:00 CE" in line for line in lines[1:])
    assert any(" 03:00:00 CEST  = " in line and " 01:00:00 UTC" in line for line in lines)
    assert any(" 03:00:00 CET  = " in line and " 02:00:00 UTC" in line for line in lines)
    found = shell.podium(*asked, "--json").json
    firings = [datetime.datetime.fromisoformat(firing["utc"]) for firing in found["firings"]]
    assert found["timezone"] == "Europe/Berlin"
    assert firings == sorted(set(firings))
    assert [datetime.datetime.fromisoformat(firing["local"]) for firing in found["firings"]] == firings
    assert not shell.database.exists()


def test_the_next_firings_of_an_interval_need_no_database_either(shell: Shell):
    told = shell.podium("triggers", "next", "--every", "15m", "--count", 3)
    words, *firings = told.out.splitlines()
    assert words == "every 15 m"
    assert len(firings) == 3
    assert all(firing.split()[2][2:] in (":00:00", ":15:00", ":30:00", ":45:00") for firing in firings)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("triggers", "next"), 2, "one of them"),
        (("triggers", "next", "--cron", "0 3 * * *", "--timezone", "Mars/\x1b[31mOlympus"), 2, "not known"),
        (("triggers", "list"), 3, "there is no database"),
        (("worker", "nofile.py"), 2, "there is no file"),
        (("emit", "paid", "{"), 2, "not valid JSON"),
        (("emit", "paid", "@nofile.json"), 2, "cannot be read"),
        (("emit", "", "1"), 2, "printable"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_an_exit_code(shell: Shell, arguments, code: int, told: str):
    end = shell.podium(*arguments)
    assert end.code == code
    assert told in end.error


def test_a_file_says_which_triggers_it_declares_without_a_database(shell: Shell):
    told = shell.podium("triggers", "list", "jobs.py")
    assert "nightly" in told.out
    assert "cron 0 3 * * * (Europe/Berlin)" in told.out
    assert "event order.paid" in told.out
    assert not shell.database.exists()
    listed = shell.podium("triggers", "list", "jobs.py", "--json").json
    assert [(state["name"], state["kind"]) for state in listed] == [
        ("nightly", "schedule"),
        ("paid", "event"),
    ]


def test_a_worker_says_in_one_line_what_it_does_and_stops_cleanly(shell: Shell):
    for number, options in ((signal.SIGINT, []), (signal.SIGTERM, ["--json"])):
        worker = shell.start("worker", "jobs.py", *options)
        assert worker.stdout is not None
        line = worker.stdout.readline().decode()
        worker.send_signal(number)
        told = ended(worker)
        assert (told.code, told.out, told.err) == (0, "", "")
        if options:
            assert json.loads(line)["triggers"] == ["nightly", "paid"]
        else:
            assert line.startswith("Working on podium.db: 2 workflows, 2 triggers; next: nightly at 20")


def test_a_worker_serves_the_queues_of_its_file(shell: Shell):
    queued = (shell.folder / "jobs.py").read_text().replace("@workflow\nasync def charge", QUEUED_CHARGE)
    (shell.folder / "jobs.py").write_text(queued)
    worker = shell.start("worker", "jobs.py")
    until(lambda: has_taken_up(shell))
    assert shell.podium("emit", "order.paid", '{"order": 7}').code == 0
    until_more(lambda: shell.rows("SELECT id FROM runs WHERE state = 'completed' AND queue = 'cards'"), 1)
    (queue,) = shell.podium("queues", "list", "--json").json
    assert (queue["queue"], queue["limits"]["concurrency"]) == ("cards", 1)
    worker.terminate()
    assert ended(worker).code == 0


def test_what_a_worker_took_up_is_listed_and_shown(taken_up: Shell, left: Path):
    told = taken_up.podium("triggers", "list")
    assert told.code == 0
    assert told.out.splitlines()[0].split()[:2] == ["trigger", "fires"]
    listed = {state["name"]: state for state in taken_up.podium("triggers", "list", "--json").json}
    assert set(listed) == {"nightly", "paid"}
    assert listed["nightly"]["source"] == str(left / "jobs.py")
    assert listed["nightly"]["timetable"] == {"expression": "0 3 * * *", "zone": "Europe/Berlin"}
    (first,) = taken_up.podium("triggers", "next", "nightly", "--count", 1, "--json").json["firings"]
    assert datetime.datetime.fromisoformat(first["utc"]).timestamp() == listed["nightly"]["next_at"]
    shown = taken_up.podium("triggers", "show", "nightly")
    assert "next firing  20" in shown.out
    assert "left out     0 too late" in shown.out
    assert taken_up.podium("triggers", "show", "nobody").code == 5
    assert "at no set times" in taken_up.podium("triggers", "next", "paid").error


def test_a_trigger_is_paused_and_resumed_from_outside(taken_up: Shell):
    assert taken_up.podium("triggers", "pause", "nightly").out == "Trigger nightly is paused.\n"
    assert "paused" in taken_up.podium("triggers", "list").out
    assert taken_up.podium("triggers", "resume", "nightly", "--json").json["paused"] is False


def test_triggers_are_fired_and_events_emitted_beside_a_worker(taken_up: Shell):
    shell = taken_up
    (shell.folder / "order.json").write_text('{"order": 2}')

    def emitted() -> bool:
        assert shell.podium("triggers", "fire", "nightly").code == 0
        assert shell.podium("emit", "order.paid", '{"order": 1}').out == "Event order.paid is emitted.\n"
        assert shell.podium("emit", "order.paid", "@order.json", "--dedupe", "2").code == 0
        assert "emitted before" in shell.podium("emit", "order.paid", "@order.json", "--dedupe", "2").out
        until(lambda: list(shell.states().values()) == ["completed"] * 3)
        return True

    assert worked(shell, emitted).code == 0
    assert sorted(shell.posted()) == ["order 1", "order 2", "short"]
    assert shell.states() == {
        f"{name}@event-{n}": "completed" for n, name in enumerate(("nightly", "paid", "paid"), 1)
    }
    runs = shell.podium("runs", "list", "--json").json
    assert {run["trigger"] for run in runs} == {"nightly", "paid"}


def test_events_that_were_emitted_without_a_worker_wait_for_one(taken_up: Shell):
    told = taken_up.podium("emit", "order.paid", "7")
    assert told.out == "Event order.paid is kept until a process with triggers works on this database.\n"
    # Running a workflow of the file fires none of its triggers.
    assert taken_up.podium("run", "jobs.py:report", "--input", '"short"').code == 0
    assert taken_up.posted() == ["short"]
    worked(taken_up, lambda: "order 7" in taken_up.posted())
    assert taken_up.posted() == ["short", "order 7"]


def test_what_does_not_fit_is_shown_with_the_trigger(taken_up: Shell):
    taken_up.podium("emit", "order.paid", '{"order": "\\u001b[31mseven"}')
    worked(taken_up, lambda: taken_up.rows("SELECT 1 FROM triggers WHERE error IS NOT NULL"))
    told = taken_up.podium("triggers", "show", "paid")
    assert "last error" in told.out
    assert "does not fit workflow charge" in told.out.replace("'", "")
    assert "InvalidInput" in taken_up.podium("triggers", "list", "--json").out


def test_an_event_reaches_the_inbox_of_a_run(taken_up: Shell):
    assert taken_up.podium("run", "jobs.py:report", "--id", "r", "--input", '"short"').code == 0
    told = taken_up.podium("emit", "news", "1", "--to", "r", "--json")
    assert told.json == {"event": "news", "to": ["r"], "new": True}
    assert taken_up.rows("SELECT run_id, kind, name, payload FROM inbox") == [("r", "event", "news", b"1")]
    assert taken_up.podium("emit", "news", "1", "--to", "nowhere").code == 5


def test_a_run_of_one_workflow_fires_no_schedule_of_its_file(tmp_path: Path):
    shell = Shell(tmp_path)
    shutil.copy(JOBS, tmp_path)
    assert shell.podium("run", "jobs.py:report", "--input", '"short"').code == 0
    assert shell.posted() == ["short"]
    assert shell.rows("SELECT name FROM triggers") == []


def test_no_event_is_lost_or_doubled_by_workers_that_are_killed(taken_up: Shell):
    shell = taken_up
    file = shell.folder / "emit.py"
    file.write_text(
        "import asyncio, podium\n"
        "from podium.app.database import open_database\n"
        "from podium.flow.emit import emission_of\n"
        "from pathlib import Path\n"
        "async def main():\n"
        "    async with open_database(Path('podium.db')) as db:\n"
        "        emit = db.triggers.emit\n"
        "        await asyncio.gather(*(emit(emission_of('order.paid', n, None, None)) for n in range(300)))\n"
        "asyncio.run(main())\n"
    )
    subprocess.run([sys.executable, str(file)], cwd=shell.folder, check=True, timeout=60)
    for enough in (1, 90, 180):
        worker = shell.start("worker", "jobs.py")
        until_more(shell.posted, enough)
        worker.kill()
        worker.communicate()

    def all_done() -> bool:
        done = list(shell.states().values()).count("completed") == 300
        return done and shell.rows("SELECT count(*) FROM emitted") == [(0,)]

    worked(shell, all_done)
    assert set(shell.posted()) == {f"order {n}" for n in range(300)}
    assert shell.rows("SELECT count(*) FROM runs") == [(300,)]


def test_a_schedule_fires_once_a_second_across_workers_that_are_killed(tmp_path: Path):
    shell = Shell(tmp_path)
    shutil.copy(JOBS, tmp_path)
    for count in (2, 4):
        worker = shell.start("worker", "jobs.py")
        until_more(shell.states, count)
        worker.kill()
        worker.communicate()
    told = worked(shell, lambda: len(shell.states()) >= 6)
    assert told.code == 0
    names = [name for name in shell.states() if name.startswith("often@")]
    assert len(names) == len(set(names)) >= 6
    inputs = shell.rows("SELECT DISTINCT input FROM runs")
    assert [json.loads(given) for (given,) in inputs] == [{"kind": "often"}]
