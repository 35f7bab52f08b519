"""What the tests of the command share: a folder to call `podium` in, a model for the desk, a look at the files."""

from __future__ import annotations

import asyncio
import json
import math
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.wire import Received, Reply, WireServer, ok

ROOT = Path(__file__).parents[2]
DESK = ROOT / "examples" / "support_desk"

# As `podium run` does it, so that the example's files find one another.
sys.path.insert(0, str(DESK))

from desk import ACCEPT, REVIEW

TICKETS = DESK / "tickets.jsonl"
PODIUM = Path(sys.executable).with_name("podium")
FLOWS = Path(__file__).with_name("flows.py")
TARGET = f"{DESK / 'desk.py'}:support"

SURE, UNSURE, LOST = (math.log(confidence) for confidence in (0.98, (ACCEPT + REVIEW) / 2, REVIEW / 2))
"""Log-probabilities of a reply that passes the desk's gate, of one that is reviewed, of one that is escalated."""

REPLY = "Thank you for your message. We will see to it before the week is over."


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has ended: its exit code, and what it wrote where it was no terminal."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on standard output."""
        assert self.out.endswith("\n")
        assert self.out.count("\n") == 1
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The one line on standard error that says what went wrong."""
        assert self.out == ""
        assert self.err.startswith("podium: "), self.err
        assert self.err.count("\n") == 1, self.err
        assert self.err.endswith("\n")
        return self.err.removeprefix("podium: ").rstrip("\n")


class Shell:
    """A folder, and `podium` called in it with an environment that holds nothing but what is given here."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.folder = folder
        self.variables = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "USER": "robin",
            "SUPPORT_DESK_OUTBOX": str(folder / "outbox.db"),
            **variables,
        }

    @property
    def database(self) -> Path:
        """The default database."""
        return self.folder / "podium.db"

    def start(self, *arguments: object, **options: Any) -> subprocess.Popen[bytes]:
        """Start `podium` with these arguments and return the process."""
        wanted: dict[str, Any] = {
            "cwd": self.folder,
            "env": self.variables,
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
        }
        return subprocess.Popen([str(PODIUM), *map(str, arguments)], **(wanted | options))

    def podium(self, *arguments: object, within: float = 100, **options: Any) -> Ended:
        """Run `podium` to its end, which must come `within` seconds; nothing it writes may harm a terminal."""
        return ended(self.start(*arguments, **options), within)

    async def job(self, *arguments: object, **options: Any) -> Ended:
        """Run `podium` while the event loop of the test goes on: its model service answers there."""
        return await asyncio.to_thread(self.podium, *arguments, **options)

    async def waited(self, process: subprocess.Popen[bytes]) -> Ended:
        """Wait for a started command to end while the event loop of the test goes on."""
        return await asyncio.to_thread(ended, process)

    def write(self, name: str, *lines: object) -> Path:
        """Write a file of JSON lines; bytes and text are written as they are."""
        path = self.folder / name
        path.write_bytes(b"".join(_line(line) for line in lines))
        return path

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Return what the database holds; nothing before there is one."""
        if not self.database.exists():
            return []
        return rows(self.database, query, *values)

    def states(self) -> dict[str, str]:
        """The state of each run; none before there are tables."""
        if self.rows("SELECT count(*) FROM sqlite_master WHERE name = 'owner'") != [(1,)]:
            return {}
        return dict(self.rows("SELECT id, state FROM runs ORDER BY number"))

    def outbox(self) -> dict[str, str]:
        """The text that was sent for each ticket."""
        path = self.folder / "outbox.db"
        return dict(rows(path, "SELECT ticket_id, body FROM outbox")) if path.exists() else {}

    def posted(self) -> list[str]:
        """What the workflows of `flows.py` posted, each as often as they did."""
        path = self.folder / "posted.txt"
        return path.read_text().splitlines() if path.exists() else []

    def copy_desk(self) -> str:
        """Copy the example below this folder, and return the workflow's name there."""
        shutil.copytree(DESK, self.folder / "desk", ignore=shutil.ignore_patterns("__pycache__"))
        return "desk/desk.py:support"


def ended(process: subprocess.Popen[bytes], within: float = 100) -> Ended:
    """Wait for a command to end. Whatever it was, it shows no traceback and sends no terminal commands."""
    try:
        out, err = (told or b"" for told in process.communicate(timeout=within))
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    told = Ended(process.returncode, out.decode(), err.decode())
    assert "Traceback" not in told.out + told.err, told.err
    assert harmless(told.out + told.err)
    return told


def until(true: Callable[[], bool], within: float = 60) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + within
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def harmless(text: str) -> bool:
    """Whether a terminal would only show `text`: no control or direction characters, escaped ones apart."""
    return all(sign.isprintable() or sign in "\n\t" for sign in text)


def rows(path: Path, query: str, *values: object) -> list[tuple[Any, ...]]:
    """Return what an SQLite file holds, without writing to it."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        return connection.execute(query, values).fetchall()


def _line(line: object) -> bytes:
    match line:
        case bytes():
            return line
        case str():
            return line.encode()
        case _:
            return json.dumps(line).encode() + b"\n"


def ticket(number: int, mood: str = "sure") -> dict[str, str]:
    """A ticket whose text says how sure the model will be of its reply: `sure`, `unsure` or `lost`."""
    return {"id": f"t-{number}", "text": f"My order {number} is late. ({mood})"}


def asked(request: Received) -> str:
    """What the model is asked to begin with: the rendered prompt."""
    text = next(message["content"] for message in request.body["messages"] if message["role"] == "user")
    assert isinstance(text, str)
    return text


def is_answer(request: Received) -> bool:
    """Whether a request is for a reply to a ticket; otherwise it asks for the intent."""
    return not asks_for(request, "classify_intent")


def asks_for(request: Received, prompt: str) -> bool:
    """Whether a request is of the prompt with this name."""
    form = request.body.get("response_format", {})
    return bool(form.get("json_schema", {}).get("name") == prompt)


def model(request: Received) -> Reply:
    """The desk's model: every message is about shipping; of its reply it is as sure as the ticket says.

    Of tickets that do not say so, it is sure of some and unsure of others, and always of the same.
    """
    text = asked(request)
    if not is_answer(request):
        return ok('{"value":"shipping"}', logprobs=SURE, cost=0.001)
    moods = {"(sure)": SURE, "(unsure)": UNSURE, "(lost)": LOST}
    any_mood = (SURE, SURE, UNSURE, LOST)[sha256(text.encode()).digest()[0] % 4]
    logprob = next((moods[mood] for mood in moods if mood in text), any_mood)
    reply = json.dumps({"value": REPLY}) if "response_format" in request.body else REPLY
    return ok(reply, logprobs=logprob, cost=0.002)


def serving() -> WireServer:
    """A model service for the desk."""
    server = WireServer("openai")
    server.always(model)
    return server


def job_arguments(file: object, server: WireServer, *more: object) -> Iterable[object]:
    """The arguments of the desk's job on a file of tickets."""
    return ("run", TARGET, "--each", file, "--id-field", "id", "--model", server.name("m"), *more)


def held(file: object, *more: object) -> Iterable[object]:
    """The arguments of a job that needs no model, on a file of items such as `item(1)`."""
    return ("run", "flows.py:held", "--each", file, "--id-field", "id", *more)


def item(number: int, text: str = "") -> dict[str, str]:
    """A line of a job of `held`, which posts its text."""
    return {"id": f"i-{number}", "text": text or f"item {number}"}


def described(lines: str) -> Mapping[str, str]:
    """The lines of a job's output that begin with a ticket's id, by that id."""
    words = (line.split(maxsplit=1) for line in lines.splitlines() if line)
    return {first: rest[0] for first, *rest in words if first.startswith(("ticket-", "t-", "i-")) and rest}
