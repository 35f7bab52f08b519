"""On a terminal a job is shown live; everywhere else it writes plain lines."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import signal
import subprocess

import pytest

from tests.cli.support import PODIUM, Shell, held, item, job_arguments, model, ticket, until
from tests.wire import Received, Reply, Said, WireServer

COLOUR = re.compile(rb"\x1b\[[\d;]*\b(3[0-7]|38|4[0-7]|48|9[0-7])[\d;]*m")


def on_terminal(shell: Shell, *arguments: object) -> tuple[subprocess.Popen[bytes], int]:
    """Start `podium` on a terminal of its own; returns the process and the terminal's other end."""
    ours, theirs = pty.openpty()
    process = shell.start(*arguments, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    return process, ours


def everything_from(terminal: int) -> bytes:
    """What is written to a terminal until it is closed."""
    seen = b""
    while True:
        try:
            more = os.read(terminal, 65536)
        except OSError:
            break
        if not more:
            break
        seen += more
    os.close(terminal)
    return seen


async def shown(shell: Shell, *arguments: object) -> tuple[int, bytes]:
    """Run `podium` on a terminal to its end; returns its exit code and what it wrote."""
    process, terminal = on_terminal(shell, *arguments)
    seen = await asyncio.to_thread(everything_from, terminal)
    return await asyncio.to_thread(process.wait, 60), seen


def slowly(request: Received) -> Reply:
    """The desk's model, slow enough to be watched."""
    said = model(request)
    assert isinstance(said, Said)
    return Said(said.pieces, said.logprobs, cost=said.cost, delay=0.15)


@pytest.fixture
def terminal(flows: Shell) -> Shell:
    """A folder, and a terminal of 120 columns."""
    flows.variables |= {"TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"}
    return flows


async def test_on_a_terminal_the_job_is_shown_live_and_in_colour(terminal: Shell, server: WireServer):
    server.always(slowly)
    evil = {"id": "t-9", "text": "(sure) \x1b[2J\x1b]0;owned\x07 [/b] \u202e"}
    file = terminal.write("t.jsonl", *map(ticket, range(4)), evil, "{oops\n")
    code, seen = await shown(terminal, *job_arguments(file, server))
    assert code == 1
    assert b"Traceback" not in seen
    assert COLOUR.search(seen)
    assert re.search(rb"\d of 5 done, \d at work, \d to come", seen)
    assert seen.count(b"\x1b[?25l") == seen.count(b"\x1b[?25h") == 1
    assert b"\x1b[2J" not in seen
    assert b"\x1b]0;" not in seen
    assert b"5 completed" in seen
    last = seen.rpartition(b"\x1b[?25h")[2]
    assert b"Next:" in last


async def test_no_color_is_honoured(terminal: Shell):
    terminal.variables["NO_COLOR"] = "1"
    code, seen = await shown(terminal, *held(terminal.write("t.jsonl", item(1), "{oops\n")))
    assert code == 1
    assert b"1 completed" in seen
    assert not COLOUR.search(seen)


async def test_a_terminal_that_can_do_nothing_gets_lines(terminal: Shell):
    terminal.variables["TERM"] = "dumb"
    code, seen = await shown(terminal, *held(terminal.write("t.jsonl", item(1))))
    assert code == 0
    assert b"\x1b" not in seen
    assert b"1 completed" in seen


def test_a_file_gets_plain_lines_whatever_the_environment_pretends(flows: Shell):
    flows.variables |= {"FORCE_COLOR": "1", "CLICOLOR_FORCE": "1", "TTY_COMPATIBLE": "1", "TERM": "xterm"}
    told = flows.podium(*held(flows.write("t.jsonl", item(1), "{oops\n")))
    assert "\x1b" not in told.out
    assert "1 completed" in told.out


async def test_reading_commands_are_coloured_on_a_terminal(terminal: Shell):
    assert terminal.podium("run", "flows.py:echo", "--id", "r", "--input", '"x"').code == 0
    code, seen = await shown(terminal, "runs", "show", "r")
    assert code == 0
    assert COLOUR.search(seen)
    assert COLOUR.search((await shown(terminal, "runs", "list"))[1])


async def test_ctrl_c_on_a_terminal_leaves_it_usable(terminal: Shell, server: WireServer):
    server.always(slowly)
    file = terminal.write("t.jsonl", *map(ticket, range(40)))
    process, ours = on_terminal(terminal, *job_arguments(file, server))
    reading = asyncio.create_task(asyncio.to_thread(everything_from, ours))
    await asyncio.to_thread(until, lambda: len(server.requests) > 2)
    os.kill(process.pid, signal.SIGINT)
    seen = await reading
    assert await asyncio.to_thread(process.wait, 5) == 130
    assert b"Traceback" not in seen
    assert seen.rstrip().endswith(b"goes on from here.")
    assert seen.rfind(b"\x1b[?25h") > seen.rfind(b"\x1b[?25l")


def test_a_closed_output_is_no_reason_not_to_do_the_work(flows: Shell):
    words = [str(PODIUM), "run", "flows.py:echo", "--input", '"x"', "--id", "unheard"]
    ended = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *words],
        cwd=flows.folder,
        env=flows.variables,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert "completed" in flows.podium("runs", "show", "unheard").out
