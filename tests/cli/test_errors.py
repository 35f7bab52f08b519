"""Whatever goes wrong is one line on standard error that begins with `podium: `, and an exit code that says what kind."""

from __future__ import annotations

import os
import random
import re
import resource
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import FinishedJob
from tests.cli.support import TARGET, Shell, ended, job_arguments, ticket, until
from tests.wire import WireServer, refusing_url, unauthorized

SECRET = "sk-test-do-not-tell-anybody"


HELP = [
    (),
    ("run",),
    ("runs",),
    ("runs", "list"),
    ("runs", "show"),
    ("runs", "cancel"),
    ("reviews",),
    ("reviews", "list"),
    ("reviews", "show"),
    ("reviews", "decide"),
]


def test_the_help_of_every_command_has_an_example(shell: Shell):
    for command in HELP:
        told = shell.podium(*command, "--help")
        assert (told.code, told.err) == (0, "")
        assert re.search(r"Examples?: podium ", told.out), command
    assert "Exit codes: 0 done" in " ".join(shell.podium("--help").out.split())
    every_line = " ".join(shell.podium("run", "--help").out.split())
    assert "the exit code is 0 when every run completed or waits for a person, 1 when" in every_line
    assert shell.podium().out == shell.podium("--help").out
    assert re.fullmatch(r"podium \d+\.\d+\.\d+\n", shell.podium("--version").out)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nonsense",), "No such command 'nonsense'. See `podium --help`."),
        (("runs", "show"), "Missing argument 'RUN'. See `podium runs show --help`."),
        (("runs", "list", "--colour"), "No such option: --colour"),
        (("runs", "list", "--limit", "0"), "Invalid value for '--limit': "),
        (("runs", "list", "--state", "\x1b[31mred"), "Invalid value for '--state': '\\x1b[31mred' is not one of"),
        (("run",), "Missing argument 'FILE.py:WORKFLOW'"),
        (("run", "nowhere.py:flow"), "there is no file 'nowhere.py'. Give the workflow as FILE.py:workflow."),
        (("run", "flows.py:nothing"), "flows.py has no workflow 'nothing'; it has "),
        (("run", "flows.py:ech"), "Did you mean 'echo'?"),
        (("run", "flows.py"), "flows.py defines several workflows; add one of "),
        (("run", "flows.py:echo", "--input", "{oops"), "the input is not valid JSON: "),
        (("run", "flows.py:echo"), "workflow 'echo' takes an input (text): give it with --input, or many with --each."),
        (("run", "flows.py:add", "--input", '{"left": "x"}'), "the input does not fit workflow 'add': left: "),
        (("run", "flows.py:add", "--input", '{"left": 1, "up": 2}'), "the input must be a JSON object of"),
        (("run", "flows.py:echo", "--input", "@gone.json"), "gone.json cannot be read: No such file"),
        (("run", "flows.py:echo", "--input", '"x"', "--each", "f"), "--input and --each exclude each other"),
        (("run", "flows.py:echo", "--each", "f", "--id", "x"), "--id names one run; with --each, --id-field"),
        (("run", "flows.py:echo", "--input", '"x"', "--id-field", "x"), "--id-field goes with --each"),
        (("run", "flows.py:echo", "--input", '"x"', "--id", ""), "'' cannot be a run id: "),
        (("run", "flows.py:echo", "--input", '"' + "[" * 600), "the input is not valid JSON"),
        (("run", "flows.py:echo", "--input", '{"text": ' + "[" * 600 + "]" * 600 + "}"), "the input cannot be stored"),
        (("run", "flows.py:echo", "--input", '"x"', "--model", "nonsense:m"), "there is no provider 'nonsense'; known"),
        (("run", "flows.py:echo", "--input", '"x"', "--model", "gpt-5"), "'gpt-5' names no model: write 'provider:model'"),
        (("run", "flows.py:echo", "--input", '"x"', "--concurrency", "0"), "Invalid value for '--concurrency': "),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_before_anything_begins(
    flows: Shell, arguments: tuple[str, ...], said: str
):
    told = flows.podium(*arguments)
    assert told.code == 2
    assert said in told.error
    assert not flows.database.exists()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def broken(:\n", "cannot be imported: .*wrong.py line 1: "),
        (
            "import nowhere\n",
            "cannot be imported: ModuleNotFoundError at wrong.py:1: No module named 'nowhere'",
        ),
        ("raise SystemExit(0)\n", "cannot be imported: SystemExit at wrong.py:1: 0"),
        ("1 / 0\n", "cannot be imported: ZeroDivisionError at wrong.py:1: division by zero"),
        ("x = 1\n", "wrong.py defines no workflow; decorate an `async def` with @workflow."),
        ("from podium import workflow\n@workflow\ndef f(): ...\n", "InvalidDefinition at wrong.py:2: "),
    ],
)
def test_a_workflow_file_that_cannot_be_used_is_an_error_that_names_the_line(
    shell: Shell, code: str, said: str
):
    shell.write("wrong.py", code)
    told = shell.podium("run", "wrong.py:f")
    assert told.code == 2
    assert re.search(said, told.error)


def test_a_workflow_file_may_have_the_name_of_a_library(flows: Shell):
    (flows.folder / "flows.py").rename(flows.folder / "json.py")
    told = flows.podium("run", "json.py:echo", "--input", '"hello"')
    assert (told.code, told.out) == (0, "hello\n")


def test_one_process_owns_the_database_and_the_others_are_told_which(flows: Shell):
    file = flows.write("t.jsonl", {"text": "slow"})
    job = flows.start("run", "flows.py:held", "--each", file)
    until(lambda: "running" in flows.states().values())
    before = flows.rows("SELECT * FROM runs ORDER BY number")
    for arguments in (
        ("run", "flows.py:held", "--each", file),
        ("run", "flows.py:echo", "--input", '"x"'),
        ("run", "flows.py:held", "--each", file, "--fresh"),
    ):
        told = flows.podium(*arguments)
        assert told.code == 3
        assert f"is owned by process {job.pid} on " in told.error
        assert "Wait for that process or end it, or use another file. What may be done" in told.error
        assert "`podium emit NAME JSON`" in told.error
    assert flows.rows("SELECT * FROM runs ORDER BY number") == before
    assert flows.podium("runs", "list").code == 0
    (flows.folder / "go").touch()
    assert ended(job).code == 0


def test_a_database_that_is_missing_or_not_ours_is_one_line_and_left_alone(flows: Shell):
    letters = flows.write("letters.txt", "letters from 1998, do not delete\n" * 40)
    with closing(sqlite3.connect(flows.folder / "shop.db")) as shop:
        shop.execute("CREATE TABLE orders (id)")
    contents = {path: path.read_bytes() for path in (letters, flows.folder / "shop.db")}
    run = ("run", "flows.py:echo", "--input", '"x"')
    for arguments, said in [
        (("runs", "list"), "there is no database podium.db. Start something first"),
        (("reviews", "list"), "there is no database podium.db"),
        (("reviews", "decide", "x", "approve"), "there is no database podium.db"),
        (("runs", "cancel", "x", "--db", "no/where.db"), "there is no database no/where.db"),
        ((*run, "--db", "no/where.db"), "there is no folder "),
        ((*run, "--db", "letters.txt"), "it is not an SQLite database"),
        ((*run, "--db", "letters.txt", "--fresh"), "it is not an SQLite database"),
        (("runs", "list", "--db", "letters.txt"), "it is not an SQLite database"),
        ((*run, "--db", "shop.db"), "it is another program's database"),
        ((*run, "--db", "shop.db", "--fresh"), "it is another program's database"),
        ((*run, "--db", "."), "it is a directory"),
        (("runs", "list", "--db", "."), "it is a directory"),
    ]:
        told = flows.podium(*arguments)
        assert told.code == 3, arguments
        assert said in told.error
    assert {path: path.read_bytes() for path in contents} == contents


def unwritable(folder: Path) -> Path:
    """A folder that takes no new files, for the superuser too."""
    if os.geteuid() == 0:
        return Path("/proc")
    folder.mkdir(mode=0o555)
    return folder


def test_a_folder_that_takes_no_files_is_one_line(flows: Shell):
    path = unwritable(flows.folder / "closed") / "podium.db"
    told = flows.podium("run", "flows.py:echo", "--input", '"x"', "--db", path)
    assert told.code == 3
    assert str(path) in told.error


def test_a_database_of_a_newer_version_is_left_alone(finished: FinishedJob, desk: Shell):
    with closing(sqlite3.connect(desk.database)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    for arguments in (
        ("runs", "list"),
        ("run", TARGET, "--input", '"x"', "--model", "openai:m@http://127.0.0.1:9"),
    ):
        told = desk.podium(*arguments)
        assert told.code == 3
        assert "it was written by a newer Podium (its tables have revision 9999)" in told.error


def test_a_damaged_database_is_one_line(desk: Shell):
    content = bytearray(desk.database.read_bytes())
    content[4096:-1] = b"\xaa" * (len(content) - 4097)
    desk.database.write_bytes(content)
    told = desk.podium("runs", "list")
    assert told.code == 3
    assert str(desk.database) in told.error


async def test_a_full_disk_stops_the_job_in_one_line_and_it_goes_on_once_there_is_room(
    shell: Shell, server: WireServer
):
    def little_room() -> None:
        # What the system then refuses looks to the program like a disk that is full.
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    # Such text takes as much room as it is long, however it is stored.
    noise = [random.Random(n).randbytes(50_000).hex() for n in range(20)]
    lines = [ticket(n) | {"text": f"{n} {noise[n]} (sure)"} for n in range(20)]
    arguments = list(job_arguments(shell.write("t.jsonl", *lines), server))
    told = await shell.job(*arguments, preexec_fn=little_room)
    assert told.code == 3
    (line,) = told.err.splitlines()
    assert re.match(r"podium: The database \S+ can no longer be written: the disk ", line)
    assert "Nothing unwritten was acknowledged." in line
    before = shell.rows("SELECT id, input, input_digest FROM runs")
    assert before
    again = await shell.job(*arguments)
    assert again.code == 0
    assert shell.states() == {f"t-{n}": "completed" for n in range(20)}
    assert len(shell.outbox()) == 20
    assert set(before) <= set(shell.rows("SELECT id, input, input_digest FROM runs"))


def test_a_missing_key_is_one_line_that_names_the_variable(shell: Shell):
    for model_name, variable in (
        ("openai:gpt-5-mini", "OPENAI_API_KEY"),
        ("anthropic:claude-haiku-4-5", "ANTHROPIC_API_KEY"),
        ("google:gemini-flash", "GOOGLE_API_KEY"),
    ):
        file = shell.write("t.jsonl", ticket(1))
        told = shell.podium("run", TARGET, "--each", file, "--id-field", "id", "--model", model_name)
        assert told.code == 4
        assert f"{model_name} needs a key: set {variable}" in told.error
    assert not shell.database.exists()


async def test_with_a_server_that_is_down_tickets_go_to_a_person(shell: Shell):
    with refusing_url() as url:
        file = shell.write("t.jsonl", ticket(1), ticket(2))
        told = await shell.job(
            "run", TARGET, "--each", file, "--id-field", "id", "--model", f"openai:m@{url}/v1"
        )
    assert told.code == 0
    assert told.err == ""
    assert shell.states() == {"t-1": "waiting", "t-2": "waiting"}
    assert shell.outbox() == {}
    (subject,) = {row[0] for row in shell.rows("SELECT subject FROM reviews")}
    assert re.match(r"Write the reply: Prompt classify_intent@\w+ got no answer", subject)
    assert "could not be reached" in subject or "connection" in subject.lower()


async def test_a_key_that_is_refused_is_a_clear_reason_and_is_shown_nowhere(shell: Shell, server: WireServer):
    shell.variables["OPENAI_COMPATIBLE_API_KEY"] = SECRET
    server.always(unauthorized())
    told = await shell.job(*job_arguments(shell.write("t.jsonl", ticket(1)), server))
    assert told.code == 0
    assert shell.states() == {"t-1": "waiting"}
    assert server.requests[0].headers["authorization"] == f"Bearer {SECRET}"
    shown = shell.podium("reviews", "show", shell.rows("SELECT id FROM reviews")[0][0])
    timeline = shell.podium("runs", "show", "t-1", "--full")
    assert "401" in timeline.out
    assert re.search("key", shown.out, re.IGNORECASE)
    everything = told.out + shown.out + timeline.out + shell.podium("runs", "show", "t-1", "--json").out
    assert SECRET not in everything
    assert all(SECRET.encode() not in path.read_bytes() for path in shell.folder.glob("*.db*"))


async def test_a_run_that_fails_has_a_reason_in_the_totals_and_the_exit_code_is_1(
    shell: Shell, server: WireServer
):
    shell.variables["SUPPORT_DESK_OUTBOX"] = str(shell.folder / "missing" / "outbox.db")
    told = await shell.job(*job_arguments(shell.write("t.jsonl", ticket(1), ticket(2, "unsure")), server))
    assert told.code == 1
    assert "0 completed, 1 waiting for a person, 1 failed\n" in told.out
    assert re.search(r"^  t-1: .*missing", told.out, re.MULTILINE)


def test_a_fault_of_our_own_is_one_line_too_and_its_traceback_is_there_for_the_asking(flows: Shell):
    # A module that is found before the real one, in the way a broken installation would be.
    (flows.folder / "broken").mkdir()
    (flows.folder / "broken" / "sqlalchemy.py").write_text("raise RuntimeError('half installed')\n")
    flows.variables["PYTHONPATH"] = str(flows.folder / "broken")
    told = flows.podium("run", "flows.py:echo", "--input", '"x"')
    assert told.code == 70
    assert told.error == (
        "unexpected RuntimeError: half installed. This is a fault in Podium; please report it. "
        "Set PODIUM_DEBUG=1 to see the traceback."
    )
    flows.variables["PODIUM_DEBUG"] = "1"
    process = flows.start("run", "flows.py:echo", "--input", '"x"')
    _, err = process.communicate(timeout=60)
    assert process.returncode == 70
    assert b"Traceback (most recent call last)" in err
    assert b"half installed" in err
