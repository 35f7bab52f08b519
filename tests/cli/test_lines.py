"""`podium run --each` on files as they come: broken lines are named by their number, the others are worked on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.support import TARGET, Ended, Shell, described, held, item, job_arguments, ticket
from tests.wire import WireServer

DEEP = '{"id": "deep", "text": "x", "extra": ' + "[" * 600 + "]" * 600 + "}"

BROKEN = [
    ("{oops", "not valid JSON"),
    ('{"id": "a", "text": "unfinished', "not valid JSON"),
    ('{"id": "b"}', "text: Field required"),
    ('{"id": "c", "text": 5}', "text: Input should be a valid string"),
    ('{"text": "no id"}', "has no field 'id' with a text or a whole number"),
    ('{"id": true, "text": "x"}', "has no field 'id' with a text or a whole number"),
    ('{"id": "", "text": "x"}', "cannot be a run id"),
    ('{"id": "tab\\tbed", "text": "x"}', "cannot be a run id"),
    ('{"id": "t-1", "text": "again"}', "has the same id as line 1"),
    ("[1, 2]", "has no field 'id'"),
    ("null", "has no field 'id'"),
    ('{"id": "d", "text": "half \\ud800 a pair"}', "not valid JSON"),
    ('{"id": "e", "text": "raw\x00nul"}', "not valid JSON"),
    ('{"id": "f", "text": "raw \x1b[31mred"}', "not valid JSON"),
    ('{"id": "g", "text": NaN}', "not valid JSON"),
    ('{"id": "h", "text": "x", "rating": 1e400}', "not valid JSON"),
    (DEEP, "the input cannot be stored: Recursion limit reached"),
]


async def test_each_broken_line_is_named_with_its_number_and_the_rest_is_worked_on(
    shell: Shell, server: WireServer
):
    file = shell.write("t.jsonl", ticket(1), *(f"{line}\n" for line, _ in BROKEN), "\n", "  \n", ticket(2))
    told = await shell.job(*job_arguments(file, server))
    assert told.code == 1
    assert told.err == ""
    for number, (_, problem) in enumerate(BROKEN, 2):
        assert re.search(rf"^line {number}: skipped: .*{re.escape(problem)}", told.out, re.MULTILINE), number
    assert len(re.findall(r"^line \d+: skipped", told.out, re.MULTILINE)) == len(BROKEN)
    assert sorted(described(told.out)) == ["t-1", "t-2"]
    assert shell.states() == {"t-1": "completed", "t-2": "completed"}
    assert f"2 completed, 0 waiting for a person, 0 failed · {len(BROKEN)} broken lines skipped\n" in told.out


async def test_good_lines_in_unusual_shapes_are_worked_on(shell: Shell, server: WireServer):
    lines = [
        b'\xef\xbb\xbf{"id": "bom", "text": "first (sure)"}\r\n',
        b'{"id": "crlf", "text": "a (sure)"}\r\n',
        b'{"id": "nul", "text": "es\\u0000caped (sure)"}\n',
        b'{"id": "latin", "text": "caf\xe9 (sure)"}\n',
        b'{"id": 17, "text": "a number (sure)"}\n',
        b'{"id": "extra", "text": "more (sure)", "rating": 4.5, "nested": {"a": [1]}}\n',
        b'  {"id": "spaces", "text": "around (sure)"}  \n',
        b'{"id": "separators", "text": "line\xe2\x80\xa8separator (sure)"}\n',
        b'{"id": "\xf0\x9f\x8c\xa7", "text": "rain (sure)"}\n',
        b'{"id": "last", "text": "no line break at the end (sure)"}',
    ]
    told = await shell.job(*job_arguments(shell.write("t.jsonl", *lines), server))
    assert told.code == 0
    names = ["bom", "crlf", "nul", "latin", "17", "extra", "spaces", "separators", "🌧", "last"]
    assert shell.states() == dict.fromkeys(names, "completed")
    assert set(shell.outbox()) == set(names)
    assert "line 4: is not valid UTF-8; what could not be read was replaced\n" in told.out


async def test_a_line_of_five_megabytes_is_a_ticket_like_any_other(shell: Shell, server: WireServer):
    large = ticket(2) | {"text": "rain " * 1_000_000 + "(sure)"}
    told = await shell.job(*job_arguments(shell.write("t.jsonl", ticket(1), large, ticket(3)), server))
    assert told.code == 0
    assert shell.states() == dict.fromkeys(["t-1", "t-2", "t-3"], "completed")
    shown = await shell.job("runs", "show", "t-2", "--full")
    assert shown.code == 0
    assert len(shown.out) < 100_000


def test_of_many_broken_lines_the_first_twenty_are_named(flows: Shell):
    told = flows.podium(*held(flows.write("t.jsonl", *["{oops\n"] * 50, item(1))))
    assert told.code == 1
    assert "line 20: skipped" in told.out
    assert "line 21: skipped" not in told.out
    assert "... and 30 more broken lines\n" in told.out
    assert flows.states() == {"i-1": "completed"}


def test_an_id_that_belongs_to_a_run_of_another_workflow_breaks_its_line_only(flows: Shell):
    assert flows.podium("run", "flows.py:echo", "--id", "i-1", "--input", '"x"').code == 0
    told = flows.podium(*held(flows.write("t.jsonl", item(1), item(2))))
    assert told.code == 1
    assert "line 1: skipped: run id 'i-1' belongs to a run of workflow 'echo'" in told.out
    assert flows.states() == {"i-1": "completed", "i-2": "completed"}
    assert flows.posted() == ["x", "item 2"]


def each(shell: Shell, path: object) -> Ended:
    return shell.podium("run", TARGET, "--each", path, "--model", "openai:m@http://127.0.0.1:9/v1")


@pytest.mark.parametrize("content", ["", "\n\n  \n", "\ufeff\n"])
def test_a_file_without_lines_is_nothing_to_do(shell: Shell, content: str):
    told = each(shell, shell.write("empty.jsonl", content).name)
    assert told.code == 0
    assert told.out == "empty.jsonl has no lines: there is nothing to do.\n"
    assert told.err == ""


def test_a_file_that_cannot_be_read_is_one_line_and_no_database_is_made(shell: Shell):
    missing, folder = each(shell, "missing.jsonl"), each(shell, shell.folder)
    assert (missing.code, missing.error) == (2, "missing.jsonl cannot be read: No such file or directory.")
    assert (folder.code, folder.error) == (2, f"{shell.folder} cannot be read: Is a directory.")
    assert list(shell.folder.iterdir()) == []


def test_a_file_of_nothing_but_noise_is_named_line_by_line(shell: Shell):
    noise = Path(shell.folder / "noise.bin")
    noise.write_bytes(bytes(range(256)) * 40)
    told = each(shell, noise)
    assert told.code == 1
    assert "line 1: skipped: not valid JSON" in told.out
    assert shell.states() == {}
