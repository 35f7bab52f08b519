"""`podium runs pause, resume, retry, settle, send-event, fork, stream`: beside an owner and without one."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.cli.support import Shell, ended, until

FILE = Path(__file__).with_name("control_flows.py")
NEXT = "as soon as a process works on this database"


@pytest.fixture
def desk(shell: Shell) -> Shell:
    """A folder with the workflows of `control_flows.py` in it."""
    shutil.copy(FILE, shell.folder)
    return shell


def begin(desk: Shell, workflow: str, run_id: str, given: object = None) -> int:
    arguments = () if given is None else ("--input", json.dumps(given))
    return desk.podium("run", f"control_flows.py:{workflow}", "--id", run_id, *arguments).code


def go_on(desk: Shell, workflow: str, run_id: str, given: object = None) -> int:
    return begin(desk, workflow, run_id, given)


class TestWithoutAnOwner:
    def test_an_event_is_kept_and_taken_at_the_next_start(self, desk: Shell):
        begin(desk, "order", "o", "tea")
        told = desk.podium("runs", "send-event", "o", "paid", '"cash"', "--dedupe", "p1")
        assert (told.code, told.out) == (0, f"Event paid is kept for run o, which takes it {NEXT}.\n")
        again = desk.podium("runs", "send-event", "o", "paid", '"cash"', "--dedupe", "p1")
        assert again.out == "Run o has had event paid with this key already; it was not sent again.\n"
        assert go_on(desk, "order", "o", "tea") == 0
        assert desk.posted() == ["tea cash"]
        late = desk.podium("runs", "send-event", "o", "paid")
        assert (late.code, late.error) == (2, "run 'o' takes no events any more: it is completed.")

    def test_an_event_may_be_read_from_a_file(self, desk: Shell):
        begin(desk, "order", "o", "tea")
        desk.write("payment.json", '"card"')
        told = desk.podium("runs", "send-event", "o", "paid", "@payment.json", "--json")
        assert told.json == {"run": "o", "state": "waiting", "event": "paid", "new": True}
        go_on(desk, "order", "o", "tea")
        assert desk.posted() == ["tea card"]

    def test_what_is_no_json_is_refused_with_a_hint(self, desk: Shell):
        begin(desk, "order", "o", "tea")
        told = desk.podium("runs", "send-event", "o", "paid", "cash")
        assert told.code == 2
        assert "not valid JSON" in told.error
        assert "double quotes" in told.error
        assert desk.podium("runs", "send-event", "o", "paid", "@nothing.json").code == 2

    def test_a_paused_run_stays_paused_until_it_is_resumed(self, desk: Shell):
        begin(desk, "order", "o", "tea")
        told = desk.podium("runs", "pause", "o")
        assert (told.code, told.out) == (0, f"Run o will be paused {NEXT}.\n")
        go_on(desk, "order", "o", "tea")
        assert desk.states() == {"o": "paused"}
        kept = desk.podium("runs", "send-event", "o", "paid", '"cash"')
        assert kept.out == "Event paid is kept for run o, which is paused.\n"
        assert desk.podium("runs", "resume", "o", "--json").json["resume"] == "requested"
        assert go_on(desk, "order", "o", "tea") == 0
        assert desk.posted() == ["tea cash"]
        refused = desk.podium("runs", "pause", "o")
        assert (refused.code, refused.error) == (2, "run 'o' cannot be paused: it is completed.")

    def test_a_failed_run_is_retried_from_what_failed_and_its_timeline_says_so(self, desk: Shell):
        assert begin(desk, "mends", "m", "hello") == 1
        told = desk.podium("runs", "retry", "m")
        assert told.out == f"Run m will be retried {NEXT}.\n"
        (desk.folder / "mended").touch()
        assert go_on(desk, "mends", "m", "hello") == 0
        assert desk.posted() == ["hello"]
        shown = desk.podium("runs", "show", "m").out
        assert re.search(r"step fragile +error, struck .*not mended yet", shown)
        assert re.search(r"retried +1 struck", shown)
        assert re.search(r"step fragile +done +.*HELLO", shown)
        operations = desk.podium("runs", "show", "m", "--json").json["operations"]
        assert [(each["name"], each["struck"]) for each in operations] == [
            ("note", False),
            ("fragile", True),
            ("fragile", False),
        ]

    @pytest.mark.parametrize(
        ("how", "code", "posted"),
        [
            (("--done", '"by hand"'), 0, ["mail"]),
            (("--failed", "it [bounced] \x1b[31m"), 1, ["mail"]),
            (("--again",), 0, ["mail", "mail"]),
        ],
    )
    def test_an_unknown_outcome_is_settled(self, desk: Shell, how, code, posted):
        begin(desk, "mails", "m", "mail")
        assert begin(desk, "mails", "m", "mail") == 1
        assert desk.states() == {"m": "blocked"}
        (desk.folder / "mended").touch()
        told = desk.podium("runs", "settle", "m", "--key", "0:send#1", *how)
        assert (told.code, told.out) == (0, f"Run m will go on {NEXT}.\n")
        assert go_on(desk, "mails", "m", "mail") == code
        assert desk.posted() == posted
        assert ("settled" in desk.podium("runs", "show", "m").out) is (how != ("--again",))

    def test_a_settlement_says_one_thing_about_a_step_that_needs_it(self, desk: Shell):
        begin(desk, "order", "o", "tea")
        assert "one of --done" in desk.podium("runs", "settle", "o").error
        assert "one of --done" in desk.podium("runs", "settle", "o", "--again", "--done", "1").error
        assert "not valid JSON" in desk.podium("runs", "settle", "o", "--done", "x").error
        assert "nothing to settle" in desk.podium("runs", "settle", "o", "--again").error
        assert desk.podium("runs", "settle", "nobody", "--again").code == 5

    def test_a_fork_goes_its_own_way_with_the_code_of_its_run(self, desk: Shell):
        (desk.folder / "mended").touch()
        begin(desk, "mends", "m", "hello")
        told = desk.podium("runs", "fork", "m", "--replace", '0:note#1="other"', "--run-id", "f")
        assert told.code == 0
        assert told.out.startswith(f"Run f is forked from m. It goes on from there {NEXT}.\n")
        assert go_on(desk, "mends", "f", "hello") == 0
        assert desk.posted() == ["hello"]
        shown = desk.podium("runs", "show", "f").out
        assert "forked from m\n" in shown
        assert "OTHER" in shown

    def test_a_fork_needs_a_key_that_is_there_and_code_that_may_be_run(self, desk: Shell, tmp_path_factory):
        begin(desk, "order", "o", "tea")
        assert "(--at KEY), or values to replace" in desk.podium("runs", "fork", "o").error
        told = desk.podium("runs", "fork", "o", "--at", "0:note#1").error
        assert "at= (--at) names the key '0:note#1', at which run 'o' has recorded no outcome" in told
        told = desk.podium("runs", "fork", "o", "--replace", "0:x#1=1").error
        assert "replace= (--replace) names the key '0:x#1'" in told
        assert "`podium runs show o --json` lists the keys" in (
            desk.podium("runs", "fork", "o", "--at", "0:x#1").error
        )
        assert "KEY=JSON" in desk.podium("runs", "fork", "o", "--replace", "nonsense").error
        elsewhere = Shell(tmp_path_factory.mktemp("elsewhere"))
        refused = elsewhere.podium("runs", "fork", "o", "--db", desk.database, "--at", "0:note#1")
        assert refused.code == 2
        assert "unless you name it: --file" in refused.error
        named = elsewhere.podium("runs", "fork", "o", "--db", desk.database, "--at", "0:x#1", "--file", FILE)
        assert "has recorded no outcome" in named.error

    def test_earlier_generations_can_be_looked_at(self, desk: Shell):
        assert begin(desk, "again", "g") == 0
        assert desk.posted() == ["generation 0", "generation 1", "generation 2"]
        now = desk.podium("runs", "show", "g").out
        assert "generation 2 of 0 to 2, --generation N shows an earlier one" in now
        assert re.search(r"went on as new +generation 2 begins", now)
        assert re.search(r"patch noted +new code taken", now)
        first = desk.podium("runs", "show", "g", "--generation", "0").out
        assert re.search(r"step note +done .* generation 0 *$", first, re.MULTILINE)
        assert "went on as new" not in first
        assert desk.podium("runs", "show", "g", "--generation", "3").code == 2


class TestBesideAnOwner:
    def test_a_run_is_paused_and_resumed_and_its_stream_followed(self, desk: Shell):
        job = desk.start("run", "control_flows.py:tells", "--id", "t")
        until((desk.folder / "begun").exists)
        reader = desk.start("runs", "stream", "t", "--follow")
        so_far = desk.podium("runs", "stream", "t")
        assert re.fullmatch(
            r' +\d+  0:publish#1  first \[31m red\n +\d+  0:publish#2  \{"n":2\}\n', so_far.out
        )
        positions = [int(line.split()[0]) for line in so_far.out.splitlines()]
        after = desk.podium("runs", "stream", "t", "--after", positions[0], "--json")
        assert [json.loads(line)["payload"] for line in after.out.splitlines()] == [{"n": 2}]
        told = desk.podium("runs", "pause", "t")
        assert told.out == "Run t is being paused.\n"
        assert ended(job).code == 1
        assert desk.states() == {"t": "paused"}
        (desk.folder / "go").touch()
        desk.podium("runs", "resume", "t")
        assert begin(desk, "tells", "t") == 0
        told = ended(reader)
        assert told.code == 0
        assert told.out.splitlines()[-1].endswith("0:publish#3  last")

    def test_unknown_runs_are_named(self, desk: Shell):
        begin(desk, "order", "o", "tea")
        for command in ("pause", "resume", "retry", "fork", "stream"):
            told = desk.podium("runs", command, "nobody", *(["--at", "x"] if command == "fork" else []))
            assert (told.code, told.error) == (5, "there is no run 'nobody'. See `podium runs list`.")


@pytest.mark.parametrize(
    "command",
    [f"runs {name}" for name in ("settle", "send-event", "fork", "stream")] + ["check"],
)
def test_every_command_has_an_example_and_json(shell: Shell, command: str):
    shown = " ".join(shell.podium(*command.split(), "--help").out.split())
    assert re.search(rf"Examples?: podium {command} ", shown)
    assert "--json" in shown
