"""`podium check`: what would break, where, and how that is told."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.cli.support import Shell, ended, until

BEFORE = """
from podium import step, wait_for_event, workflow

@step
async def first(text: str) -> str:
    return text

@step
async def second(text: str) -> str:
    return text

@workflow
async def desk(text: str) -> str:
    await first(text)
    await second(text)
    return await wait_for_event("go", str)
"""
CHANGED = BEFORE.replace("await second(text)", "await first(text.upper())")
ENDLESS = BEFORE.replace("await second(text)", "while True: open('begun', 'w')")


@pytest.fixture
def desk(shell: Shell) -> Shell:
    """A folder with a workflow and three runs of it that wait, one of them with a text meant to do harm."""
    file(shell, BEFORE)
    lines = [{"id": "a", "text": "x"}, {"id": "b", "text": "y"}, {"id": "[/b]\u202ec", "text": "\x1b[31m"}]
    source = BEFORE.replace(
        "text: str) -> str:\n    await first", "text: str, id: str) -> str:\n    await first"
    )
    file(shell, source)
    jobs = shell.write("jobs.jsonl", *lines)
    assert shell.podium("run", "desk.py:desk", "--each", jobs, "--id-field", "id").code in (0, 1)
    return shell


def file(shell: Shell, source: str) -> Path:
    path = shell.folder / "desk.py"
    path.write_text(source.replace("async def desk(text: str)", "async def desk(text: str, id: str)"))
    return path


def test_a_file_that_is_not_there_is_asked_for_as_this_command_takes_it(desk: Shell):
    told = desk.podium("check", "dsk.py")
    assert told.code == 2
    assert told.error == (
        "there is no file 'dsk.py'. Did you mean 'desk.py'? Give the file with the workflows as FILE.py."
    )
    assert "Give the workflow as FILE.py:workflow." in desk.podium("run", "nowhere.py:desk").error


def test_code_that_fits_every_run(desk: Shell):
    told = desk.podium("check", "desk.py")
    assert told.code == 0
    assert told.out.endswith(": all fit.\n")
    assert told.out.startswith(f"{len(desk.states())} runs checked in ")


def test_the_same_problem_is_told_once_with_both_sides_and_the_line(desk: Shell):
    count = len(desk.states())
    file(desk, CHANGED)
    told = desk.podium("check", "desk.py")
    assert told.code == 1
    assert told.out.startswith(f"{count} runs of desk would be blocked: the code changed under them\n")
    assert "  recorded  step 0:second#1 (entry 2 of run a)\n" in told.out
    line = CHANGED.splitlines().index("    await first(text.upper())") + 1
    assert f"  the code  step 0:first#2, desk.py:{line}\n" in told.out
    assert "  runs      a, b" in told.out
    assert told.out.endswith(f": 0 fit, {count} would break.\n")
    assert desk.states() == dict.fromkeys(desk.states(), "waiting")


def test_as_json_it_is_one_document_or_with_runs_one_more_for_each(desk: Shell):
    count = len(desk.states())
    file(desk, CHANGED)
    told = desk.podium("check", "desk.py", "--json").json
    assert (told["checked"], told["broken"], told["broken_by_kind"]) == (count, count, {"changed": count})
    (problem,) = told["problems"]
    assert (problem["count"], problem["misfit"]["key"], problem["misfit"]["entry"]) == (
        count,
        "0:second#1",
        2,
    )
    each = desk.podium("check", "desk.py", "--runs", "--json").out.splitlines()
    assert len(each) == count + 1
    assert json.loads(each[0])["misfit"]["recorded"] == "step 0:second#1"
    shown = desk.podium("check", "desk.py", "--runs").out
    assert "a  waiting  changed: step 0:second#1 (entry 2); now step 0:first#2 at desk.py:" in shown


def test_a_file_that_cannot_be_used(desk: Shell):
    assert desk.podium("check", "nothing.py").code == 2
    file(desk, "def")
    assert "cannot be imported" in desk.podium("check", "desk.py").error
    file(desk, "x = 1")
    assert "defines no workflow" in desk.podium("check", "desk.py").error
    file(desk, BEFORE)
    assert desk.podium("check", "desk.py", "--db", "nothing.db").code == 3


def test_nothing_under_way(shell: Shell):
    file(shell, BEFORE + "\n@workflow\nasync def other() -> None: ...\n")
    shell.podium("run", "desk.py:other", "--id", "o")
    told = shell.podium("check", "desk.py")
    assert (told.code, told.out) == (0, "No run of the workflows in desk.py is under way.\n")


def test_a_loop_without_end_is_given_up_and_can_be_interrupted(desk: Shell):
    file(desk, ENDLESS)
    told = desk.podium("check", "desk.py", "--limit", "0.1")
    assert told.code == 1
    assert "cannot be checked: the code does not come to a rest" in told.out
    (desk.folder / "begun").unlink()
    process = desk.start("check", "desk.py", "--limit", "100")
    until((desk.folder / "begun").exists)
    process.send_signal(signal.SIGINT)
    stopped = ended(process)
    assert (stopped.code, stopped.out) == (130, "")
    assert "Nothing was changed" in stopped.err


def test_it_works_beside_the_owner(desk: Shell):
    source = BEFORE + (
        "\nfrom pathlib import Path\nimport asyncio\n@step\nasync def hold() -> None:\n    Path('begun').touch()\n"
        "    while not Path('go').exists():\n        await asyncio.sleep(0.02)\n"
        "@workflow\nasync def held() -> None:\n    await hold()\n"
    )
    file(desk, source)
    job = desk.start("run", "desk.py:held", "--id", "h")
    until((desk.folder / "begun").exists)
    told = desk.podium("check", "desk.py", "--json").json
    assert (told["broken"], told["fit_by_state"]["running"]) == (0, 1)
    (desk.folder / "go").touch()
    assert ended(job).code == 0


def test_a_file_may_hold_several_versions_of_a_workflow(shell: Shell):
    one = BEFORE.replace("@workflow", "@workflow(name='desk', version='1')")
    file(shell, one)
    assert shell.podium("run", "desk.py:desk", "--id", "a", "--input", '{"text": "x", "id": "a"}').code == 0
    changed = (
        "@workflow(name='desk', version='2')\nasync def desk_2(text: str, id: str) -> str:\n    return text\n"
    )
    file(shell, changed.join(["from podium import workflow\n", ""]))
    told = shell.podium("check", "desk.py")
    assert told.code == 1
    assert "1 run of desk (version 1) would be left lying: their version is not in the file\n" in told.out
    file(shell, one + changed)
    assert shell.podium("check", "desk.py").out.endswith(": all fit.\n")
    assert shell.podium("run", "desk.py:desk_2", "--id", "b", "--input", '{"text": "x", "id": "b"}').code == 0
    assert dict(shell.rows("SELECT id, version FROM runs")) == {"a": "1", "b": "2"}
