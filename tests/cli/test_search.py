"""Finding runs on the command line, and doing the same to all that are found."""

from __future__ import annotations

import os
import pty
from pathlib import Path

import pytest

from tests.cli.support import FLOWS, Shell, held, item
from tests.cli.test_terminal import everything_from

LABELLED = """
from podium import ask_human, set_attributes, workflow

@workflow
async def labelled(customer: int) -> None:
    await set_attributes(customer=customer, stage="\\x1b[31mred", vip=customer > 1)
    await ask_human("Go on?")
"""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A folder with eight runs, two of them children, which nobody changes: six wait, two have completed."""
    return parked(tmp_path_factory.mktemp("search"))


def parked(folder: Path) -> Shell:
    shell = Shell(folder)
    (folder / "flows.py").write_bytes(FLOWS.read_bytes())
    (folder / "labelled.py").write_text(LABELLED)
    file = shell.write("t.jsonl", *(item(n, "asks" if n < 2 else "") for n in range(4)))
    assert shell.podium(*held(file)).code == 0
    for customer in (1, 2):
        given = ("--id", f"c-{customer}", "--input", customer)
        assert shell.podium("run", "labelled.py:labelled", *given).code == 0
    return shell


def ids(shell: Shell, *arguments: object) -> list[str]:
    return [run["id"] for run in shell.podium("runs", "list", *arguments, "--json").json]


def test_runs_are_found_by_a_filter(desk: Shell):
    assert ids(desk, "attr.customer=2") == ["c-2"]
    assert sorted(ids(desk, "state:waiting workflow:held")) == ["i-0", "i-1"]
    assert ids(desk, "state:waiting not (workflow:held or parent:*)") == ["c-2", "c-1"]
    (child,) = ids(desk, "parent:i-1")
    assert child.startswith("i-1/")
    assert ids(desk, "id:c- created>-1h", "--workflow", "labelled", "--state", "waiting") == ["c-2", "c-1"]
    assert desk.podium("runs", "list", "state:failed").out == "No runs.\n"
    assert desk.podium("runs", "list", "attr.vip=true").out.splitlines()[1].startswith("c-2 ")


def test_attributes_are_shown_and_harmless(desk: Shell):
    (run,) = desk.podium("runs", "list", "id:c-2", "--json").json
    assert run["attributes"] == {"customer": 2, "stage": "\x1b[31mred", "vip": True}
    assert desk.podium("runs", "show", "c-2", "--json").json["attributes"] == run["attributes"]
    shown = desk.podium("runs", "show", "c-2")
    assert 'customer=2 · stage="\\u001b[31mred" · vip=true\n' in shown.out
    (other,) = desk.podium("runs", "list", "workflow:held id:i-0", "--json").json
    assert other["attributes"] == {}


def test_pages_go_on_after_a_run(desk: Shell):
    everything = ids(desk)
    assert len(everything) == 8
    assert ids(desk, "--limit", 5) + ids(desk, "--limit", 5, "--after", everything[4]) == everything
    told = desk.podium("runs", "list", "--limit", 5)
    assert told.out.endswith(f"There may be more: --after {everything[4]} goes on from here.\n")
    unknown = desk.podium("runs", "list", "--after", "nobody")
    assert (unknown.code, unknown.error) == (5, "there is no run 'nobody'. See `podium runs list`.")


def test_runs_are_counted(desk: Shell):
    assert desk.podium("runs", "count").out == "8\n"
    assert desk.podium("runs", "count", "state:waiting").out == "6\n"
    counted = desk.podium("runs", "count", "attr.customer:*", "--json")
    assert counted.json == {"filter": "attr.customer:*", "runs": 2}


def test_a_filter_that_cannot_be_read_is_one_line_with_what_was_probably_meant(desk: Shell):
    for command in ("list", "count"):
        told = desk.podium("runs", command, "state:waiting wrkflow:x")
        assert told.code == 2
        assert told.error == (
            "the filter, at character 15 ('wrkflow:x'): there is no field 'wrkflow'; did you mean workflow?"
        )
    evil = desk.podium("runs", "list", "\x1b[31m\u202e:x")
    assert evil.code == 2
    assert "\\x1b[31m\\u202e" in evil.error


def test_nothing_is_done_unasked_where_nobody_can_be_asked(desk: Shell):
    told = desk.podium("runs", "cancel", "--filter", "state:waiting")
    assert (told.code, told.error) == (
        2,
        "Cancel 6 runs matching 'state:waiting'? Nobody is there to answer; say --yes to do it unasked.",
    )
    for arguments in ((), ("c-1", "--filter", "state:waiting")):
        wrong = desk.podium("runs", "cancel", *arguments)
        assert (wrong.code, wrong.error) == (2, "name one run, or many with --filter; not both.")
    empty = desk.podium("runs", "cancel", "--yes", "--filter", " ")
    assert (empty.code, "an empty filter would mean every run" in empty.error) == (2, True)
    none = desk.podium("runs", "cancel", "--filter", "workflow:held state:completed")
    assert (none.code, none.out) == (0, "No run matches that takes cancel.\n")


def test_every_run_that_is_found_is_cancelled(tmp_path: Path):
    shell = parked(tmp_path)
    told = shell.podium("runs", "cancel", "--filter", "workflow:held", "--yes")
    assert (told.code, told.out) == (
        0,
        "Asked 2 runs to cancel, which happens as soon as a process works on this database.\n",
    )
    both = shell.podium("runs", "cancel", "--filter", "attr.customer:*", "--yes", "--json")
    assert both.json == {"verb": "cancel", "done": 2, "left_alone": 0, "reasons": {}}
    assert shell.podium(*held("t.jsonl")).code == 1
    states = {"i-0": "cancelled", "i-1": "cancelled", "i-2": "completed", "i-3": "completed"}
    assert {run: state for run, state in shell.states().items() if run in states} == states


def test_runs_are_paused_resumed_and_retried_one_by_one_or_by_filter(tmp_path: Path):
    shell = parked(tmp_path)
    asked = shell.podium("runs", "pause", "c-1")
    said = "Run c-1 will be paused as soon as a process works on this database.\n"
    assert (asked.code, asked.out) == (0, said)
    many = shell.podium("runs", "pause", "--filter", "workflow:labelled", "--yes", "--json")
    assert many.json == {"verb": "pause", "done": 2, "left_alone": 0, "reasons": {}}
    for verb, why in (("resume", "resumed"), ("retry", "retried")):
        none = shell.podium("runs", verb, "--filter", "state:completed", "--yes")
        assert (none.code, none.out) == (0, f"No run matches that takes {verb}.\n")
        one = shell.podium("runs", verb, "i-2")
        assert (one.code, one.error) == (2, f"run 'i-2' cannot be {why}: it is completed.")
    unknown = shell.podium("runs", "pause", "nobody")
    assert (unknown.code, unknown.error) == (5, "there is no run 'nobody'. See `podium runs list`.")


@pytest.mark.parametrize(
    ("answer", "code", "said"), [("n", 130, b"nothing was done"), ("y", 0, b"Asked 2 runs")]
)
def test_on_a_terminal_the_question_says_how_many(tmp_path: Path, answer: str, code: int, said: bytes):
    shell = parked(tmp_path)
    ours, theirs = pty.openpty()
    terminal = {"stdin": theirs, "stdout": theirs, "stderr": theirs, "start_new_session": True}
    process = shell.start("runs", "cancel", "--filter", "workflow:held", **terminal)
    os.close(theirs)
    os.write(ours, f"{answer}\n".encode())
    seen = everything_from(ours)
    assert process.wait(60) == code
    assert b"Cancel 2 runs matching 'workflow:held'? [y/N]: " in seen
    assert said in seen
