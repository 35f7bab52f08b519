"""`podium run` once: it completes, fails or waits, and the same id again is the same run."""

from __future__ import annotations

import pytest

from tests.cli.support import Shell, ended, until


@pytest.mark.parametrize(
    ("flow", "given", "out"),
    [
        ("echo", '"hello"', "hello\n"),
        ("echo", '{"text": "by name"}', "by name\n"),
        ("add", '{"left": 2}', '{\n  "amount": 3,\n  "currency": "EUR"\n}\n'),
        ("add", '{"left": 2, "right": 5}', '{\n  "amount": 7,\n  "currency": "EUR"\n}\n'),
        ("echo", "@input.json", "from a file\n"),
        ("echo", '"two\\u001b[31m\\nlines\\u202e"', "two\N{REPLACEMENT CHARACTER}[31m\nlines\N{REPLACEMENT CHARACTER}\n"),
    ],
)  # fmt: skip
def test_a_run_that_completes_prints_its_result(flows: Shell, flow: str, given: str, out: str):
    (flows.folder / "input.json").write_bytes(b'\xef\xbb\xbf{"text": "from a file"}\r\n')
    told = flows.podium("run", f"flows.py:{flow}", "--input", given)
    assert (told.code, told.out, told.err) == (0, out, "")


def test_a_run_that_fails_says_why_and_exits_with_1(flows: Shell):
    told = flows.podium("run", "flows.py:fails", "--id", "r")
    assert (told.code, told.err) == (1, "")
    first, second = told.out.splitlines()
    assert first.startswith(
        "Run r failed: ValueError: step 'broken' failed: ValueError: the [/b] [31mprinter"
    )
    assert second.endswith("podium runs show r")
    as_json = flows.podium("run", "flows.py:fails", "--id", "r", "--json")
    assert as_json.code == 1
    assert as_json.json["state"] == "failed"
    assert as_json.json["error"]["type"] == "ValueError"


def test_a_run_that_waits_says_for_what_and_exits_with_0(flows: Shell):
    told = flows.podium("run", "flows.py:approve", "--id", "r", "--input", '"Ada"')
    assert told.code == 0
    ((review,),) = flows.rows("SELECT id FROM reviews")
    assert told.out.startswith(f"Run r waits for review {review} in queue mail.\nSee ")
    assert told.out.endswith("podium reviews list\n")


@pytest.mark.parametrize(
    ("flow", "given", "hint"),
    [
        ("delivered", '"7"', "podium runs send-event 'my run' 'parcel 7' JSON --db 'my data/p.db'"),
        ("forwarded", '"7"', "podium runs show 'my run/"),
    ],
)
def test_a_run_that_waits_for_no_person_says_how_it_goes_on(flows: Shell, flow: str, given: str, hint: str):
    (flows.folder / "my data").mkdir()
    options = ("--id", "my run", "--db", "my data/p.db", "--input", given)
    told = flows.podium("run", f"flows.py:{flow}", *options)
    assert told.code == 0
    assert hint in told.out
    assert "reviews" not in told.out


def test_the_same_id_again_is_the_same_run(flows: Shell):
    for given, warning in (
        ('"first"', ""),
        ('"first"', ""),
        (
            '"second"',
            "podium: run r exists with another input, which stands; give another --id to run this one.\n",
        ),
    ):
        told = flows.podium("run", "flows.py:echo", "--id", "r", "--input", given)
        assert (told.code, told.out, told.err) == (0, "first\n", warning)
    assert flows.posted() == ["first"]
    taken = flows.podium("run", "flows.py:fails", "--id", "r")
    assert taken.code == 2
    assert taken.error.startswith("run id 'r' belongs to a run of workflow 'echo'.")


def test_a_run_without_an_id_is_a_new_one_each_time(flows: Shell):
    ids = {flows.podium("run", "flows.py:echo", "--input", '"x"', "--json").json["id"] for _ in range(2)}
    assert len(ids) == 2
    assert flows.posted() == ["x", "x"]


def test_the_database_is_the_one_that_is_named(flows: Shell):
    (flows.folder / "my data").mkdir()
    told = flows.podium("run", "flows.py:approve", "--input", '"Ada"', "--db", "my data/letters.db")
    assert told.code == 0
    assert "podium reviews list --db 'my data/letters.db'\n" in told.out
    assert not flows.database.exists()
    flows.variables["PODIUM_DATABASE"] = "my data/letters.db"
    assert len(flows.podium("runs", "list", "--json").json) == 1


def test_an_interrupted_run_goes_on_under_its_id(flows: Shell):
    process = flows.start("run", "flows.py:held", "--id", "r", "--input", '{"text": "slow"}')
    until(lambda: flows.states() == {"r": "running"})
    process.send_signal(2)
    told = ended(process, within=5)
    assert told.code == 130
    assert told.err == "podium: interrupted. What is finished is kept; the same command goes on from here.\n"
    (flows.folder / "go").touch()
    again = flows.podium("run", "flows.py:held", "--id", "r", "--input", '{"text": "slow"}')
    assert (again.code, again.out) == (0, "slow\n")


def test_an_interrupted_run_without_an_id_is_told_the_one_it_got(flows: Shell):
    process = flows.start("run", "flows.py:held", "--input", '{"text": "slow"}')
    until(lambda: "running" in flows.states().values())
    process.send_signal(2)
    told = ended(process, within=5)
    (run,) = flows.states()
    assert told.err == (
        f"podium: interrupted. What is finished is kept; the same command with --id {run} goes on from here.\n"
    )


def test_work_that_does_not_stop_when_asked_does_not_hold_the_command_up(flows: Shell):
    process = flows.start("run", "flows.py:stubborn", "--id", "r")
    until((flows.folder / "begun").exists)
    process.send_signal(2)
    told = ended(process, within=5)
    assert told.code == 130
    assert told.err == "podium: interrupted. What is finished is kept; the same command goes on from here.\n"


def test_code_that_has_changed_blocks_the_run_and_says_so(flows: Shell):
    again = ("run", "flows.py:twice", "--id", "r", "--input", '"Hello"')
    assert flows.podium(*again).code == 0
    code = (flows.folder / "flows.py").read_text()
    (flows.folder / "flows.py").write_text(
        code.replace("await post(text)\n    return (", "await post('!')\n    return (")
    )
    (review,) = (row[0] for row in flows.rows("SELECT id FROM reviews"))
    decided = flows.podium("reviews", "decide", review, "approve")
    assert decided.code == 0
    assert "Run r is now blocked" in decided.out
    told = flows.podium(*again)
    assert told.code == 1
    assert told.out.startswith("Run r is blocked: ")
    (flows.folder / "flows.py").write_text(code)
    mended = flows.podium(*again)
    assert (mended.code, mended.out) == (0, "Hello\n")
    assert flows.posted() == ["Hello"]
