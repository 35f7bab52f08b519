"""What the storage tests are made of: runs, entries, reviews, and processes that hold a database."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from podium.domain.ids import RunId, digest, new_run_id, review_id
from podium.domain.journal import Entry, EntryType
from podium.domain.operations import OperationKind
from podium.domain.reviews import Decision, DecisionVerdict, Review, ReviewDraft, ReviewKind
from podium.domain.runs import Run, Spending
from podium.domain.states import ReviewState, RunState
from podium.ports.journal import Append, Change, LoadedRun, MoveRun, OpenReview
from podium.settings.storage import StorageSettings
from podium.storage.sqlite.database import SqliteStorage, open_sqlite

ROOT = Path(__file__).parents[2]
CLOCK = itertools.count(1_700_000_000)


async def opened(path: Path, *, own: bool = True, **settings: Any) -> SqliteStorage:
    return await open_sqlite(path, settings=StorageSettings(**settings), own=own)


def a_run(id: str | None = None, **fields: Any) -> Run:
    given: dict[str, Any] = {
        "workflow": "support",
        "input": b"{}",
        "seed": 7,
        "created_at": float(next(CLOCK)),
    }
    return Run(id=RunId(id or new_run_id()), **(given | fields))


def an_entry(run: RunId | str, seq: int, payload: bytes = b'"value"', **fields: Any) -> Entry:
    given: dict[str, Any] = {
        "type": EntryType.DONE,
        "kind": OperationKind.STEP,
        "key": f"0:step#{seq}",
        "name": "step",
        "fingerprint": "f" * 32,
        "attempt": 1,
        "started_at": 1.5,
        "at": 2.5,
    }
    return Entry(run=RunId(run), seq=seq, payload=payload, **(given | fields))


def a_draft(**fields: Any) -> ReviewDraft:
    given: dict[str, Any] = {
        "kind": ReviewKind.APPROVAL,
        "subject": "Send this reply?",
        "queue": "support",
        "proposal": b'{"text": "hello"}',
        "schema": b'{"type": "object"}',
        "evidence": b'{"confidence": 0.6}',
        "allowed": tuple(DecisionVerdict),
    }
    return ReviewDraft(**(given | fields))


def a_review(run: RunId | str, key: str = "0:gate#1", **fields: Any) -> Review:
    draft = fields.pop("draft", None) or a_draft()
    given: dict[str, Any] = {
        "id": review_id(RunId(run), key),
        "tenant": "default",
        "proposal_digest": digest(draft.proposal or b""),
        "state": ReviewState.OPEN,
        "opened_at": float(next(CLOCK)),
        "due_at": None,
    }
    return Review(run=RunId(run), key=key, draft=draft, **(given | fields))


def a_decision(review: Review, verdict: DecisionVerdict = DecisionVerdict.APPROVE, **fields: Any) -> Decision:
    given: dict[str, Any] = {
        "reviewer": "ada",
        "value": review.draft.proposal,
        "comment": "",
        "decided_at": float(next(CLOCK)),
        "proposal_digest": review.proposal_digest,
    }
    return Decision(verdict=verdict, **(given | fields))


def move(run: Run | RunId, state: RunState, at: float = 5.0, **fields: Any) -> MoveRun:
    id = run.id if isinstance(run, Run) else run
    return MoveRun(id, state, at, fields.pop("spending", Spending()), **fields)


async def committed(storage: SqliteStorage, *changes: Change) -> None:
    """Commit the changes and come back once they are on disk."""
    done = asyncio.get_running_loop().create_future()
    storage.commit(changes, partial(done.set_result, None))
    await done


async def loaded(storage: SqliteStorage, run: Run | RunId | str) -> LoadedRun:
    """A run that is there, with its journal."""
    found = await storage.load(run.id if isinstance(run, Run) else RunId(run))
    assert found is not None
    return found


async def with_review(storage: SqliteStorage, **fields: Any) -> Review:
    """A stored run that waits for a stored review."""
    run = await storage.create(a_run())
    review = a_review(run.id, **fields)
    await committed(storage, move(run, RunState.RUNNING), OpenReview(review), move(run, RunState.WAITING))
    return review


def appended(run: Run, seqs: range, payload: bytes = b'"value"') -> list[Change]:
    return [Append(an_entry(run.id, seq, payload)) for seq in seqs]


@contextmanager
def child(module: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A process that runs a module of `tests.storage.children`; ended, if it still runs, when the block ends."""
    command = [sys.executable, "-m", f"tests.storage.children.{module}", *map(str, arguments)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def tell(process: subprocess.Popen[str], line: str) -> None:
    """Give the process a line of input."""
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def line_of(process: subprocess.Popen[str]) -> str:
    """The next line that the process prints; fails with what it said instead when there is none."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.stderr.read() if process.stderr else ""
    return line.strip()
