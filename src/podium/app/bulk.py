"""The same done to every run that a filter finds: cancelled, paused, resumed, retried."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from itertools import islice

from podium.app.runs import Runs
from podium.domain.errors import StateConflict, UnknownRun
from podium.domain.filter_language import filter_of
from podium.domain.filters import Filter, narrowed
from podium.domain.ids import RunId
from podium.domain.states import RunState, sources_of

PAGE = 100
"""How many runs are taken at a time."""

_REASONS = 5


@dataclass(frozen=True, slots=True)
class BulkVerb:
    """What may be done to many runs: its name, the states in which a run takes it, and how one run is asked."""

    name: str
    states: frozenset[RunState]
    act: Callable[[Runs, str], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class BulkResult:
    """What came of it: runs that were asked, and those that had changed meanwhile and were left alone.

    `reasons` are the first few of the latter with what kept them.
    """

    verb: str
    done: int = 0
    left_alone: int = 0
    reasons: dict[RunId, str] = field(default_factory=dict)


CANCEL = BulkVerb("cancel", sources_of(RunState.CANCELLED), Runs.cancel)
"""Asks runs to be cancelled."""

PAUSE = BulkVerb("pause", sources_of(RunState.PAUSED), Runs.pause)
"""Asks runs to stop where they are until they are resumed."""

RESUME = BulkVerb("resume", frozenset({RunState.PAUSED}), Runs.resume)
"""Asks paused runs to go on."""

RETRY = BulkVerb("retry", frozenset({RunState.FAILED, RunState.BLOCKED}), Runs.retry)
"""Asks failed runs to go on from what failed, and blocked ones to be tried with the code as it is."""

BULK_VERBS = {verb.name: verb for verb in (CANCEL, PAUSE, RESUME, RETRY)}
"""What can be done to many runs at once, by name."""


def bulk_filter(verb: BulkVerb, filter: str | Filter) -> Filter:
    """Return `filter` for the runs that take the verb in the state they are in; raises `InvalidInput`."""
    return narrowed(filter_of(filter), states=verb.states)


async def for_all(
    runs: Runs,
    verb: BulkVerb,
    filter: str | Filter,
    progress: Callable[[BulkResult], None] = lambda _: None,
) -> BulkResult:
    """Ask every run that `filter` finds, page by page from the newest on; `progress` is told after each page.

    Runs may change meanwhile: one that no longer takes the verb, or is gone, is left alone and counted; one
    that is started meanwhile is not among them. Raises `InvalidInput` when the filter cannot be read, and
    `StorageUnavailable`; what was done until then stands.
    """
    wanted, result, last = bulk_filter(verb, filter), BulkResult(verb.name), None
    while page := await runs.list(wanted, limit=PAGE, after=last):
        last = page[-1]
        # Together, so that they share their transactions.
        ends = await asyncio.gather(*(verb.act(runs, run.id) for run in page), return_exceptions=True)
        refused: dict[RunId, str] = {}
        for run, end in zip(page, ends, strict=True):
            if isinstance(end, StateConflict | UnknownRun):
                refused[run.id] = str(end)
            elif isinstance(end, BaseException):
                raise end
        reasons = dict(islice((result.reasons | refused).items(), _REASONS))
        result = replace(
            result,
            done=result.done + len(page) - len(refused),
            left_alone=result.left_alone + len(refused),
            reasons=reasons,
        )
        progress(result)
    return result
