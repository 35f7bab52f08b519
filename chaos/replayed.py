"""A journal is enough: run anew from any beginning of it, the code does what it did."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import assert_never

import orjson

from chaos.watched import WatchedApp
from podium.domain.errors import ErrorRecord, PodiumError
from podium.domain.journal import DELIVERED, Entry, EntryType
from podium.domain.runs import Run
from podium.domain.states import RunState
from podium.flow.results import Completed, Continued, Errored, Result, Stopped
from tests.support.programs import Tree, program
from tests.support.replay import Life

LONGEST = 60
"""Entries up to which every beginning of a journal is replayed; of longer ones, only some beginnings are."""


async def replay_differs(app: WatchedApp, run_id: str, tree: Tree, scale: float) -> list[str]:
    """Replay every beginning of a stored journal; return, in words, what differs from what took place."""
    run = await app.runs.get(run_id)
    if run.started_at is None:
        return []
    journal = await app.journal(run_id)
    if any(entry.type is EntryType.RETRY for entry in journal):
        # What no longer counts of it is for the engine alone to tell.
        return []
    entries = [entry for entry in journal if entry.type in DELIVERED]
    try:
        return _differs(run, entries, tree, scale)
    except PodiumError as error:
        return [f"{run_id}, {tree}: replay raised {error!r}"]


def _differs(run: Run, entries: Sequence[Entry], tree: Tree, scale: float) -> list[str]:
    assert run.started_at is not None
    code = program(tree, scale)
    life = Life(code, run.seed, run.started_at)
    every = max(1, len(entries) // LONGEST)
    with closing(life.execution):
        for count, entry in enumerate(entries, 1):
            life.deliver(entry)
            if count % every == 0:
                again = Life(code, run.seed, run.started_at)
                with closing(again.execution):
                    for earlier in entries[:count]:
                        again.deliver(earlier)
                    if again.seen() != life.seen():
                        return [f"{run.id}, {tree}: the first {count} entries replay differently"]
        result = life.execution.result
    if run.finished_at is not None and _ended_as(result) != (run.state, run.output, run.error):
        return [f"{run.id}, {tree}: replayed to {result}, stored as {run.state} {run.output!r} {run.error}"]
    return []


def _ended_as(result: Result | None) -> tuple[object, object, object]:
    match result:
        case Completed(value):
            return RunState.COMPLETED, orjson.dumps(value), None
        case Errored(error=error):
            return RunState.FAILED, None, error
        case Stopped():
            return RunState.CANCELLED, None, ErrorRecord("RunCancelled", "the run was cancelled")
        case Continued() | None:
            return None, None, None
        case _:
            assert_never(result)
