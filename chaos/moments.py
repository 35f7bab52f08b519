"""Crashes at moments that have a name: the power fails exactly there, and the database goes on with what is left."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

from chaos.disk import Disk
from chaos.lives import PATIENCE, Database, Work, empty_database
from chaos.part import Effort, Outcome
from chaos.upgrades import upgrades
from chaos.vfs import faulty_vfs
from chaos.watched import WatchedApp
from podium import StorageUnavailable
from podium.domain.journal import EntryType
from podium.domain.operations import OperationKind
from podium.ports.journal import Append, Change, CreateRun, Deliver, MoveRun
from podium.storage.sqlite.changes import Changes
from podium.storage.sqlite.database import SqliteStorage
from tests.support.programs import tree_of, with_children

ORDERS: Final = 4


@dataclass(frozen=True, slots=True)
class Before:
    """Before a commit that holds such a change is so much as begun."""

    change: Callable[[Change], bool]


@dataclass(frozen=True, slots=True)
class Within:
    """Within its transaction, when all its statements have been executed and nothing is committed."""

    change: Callable[[Change], bool]


@dataclass(frozen=True, slots=True)
class After:
    """When it is on disk, and nobody has been told."""

    change: Callable[[Change], bool]


Moment = Before | Within | After


def _any(_: Change) -> bool:
    return True


def _entry(entry_type: EntryType, kind: OperationKind) -> Callable[[Change], bool]:
    def is_it(change: Change) -> bool:
        return isinstance(change, Append) and (change.entry.type, change.entry.kind) == (entry_type, kind)

    return is_it


def _long(change: Change) -> bool:
    return isinstance(change, Append) and len(change.entry.payload) > 2_000


def _new_child(change: Change) -> bool:
    return isinstance(change, CreateRun) and change.run.parent is not None


def _delivery(change: Change) -> bool:
    return isinstance(change, Deliver)


def _end(change: Change) -> bool:
    return isinstance(change, MoveRun) and change.state.value == "completed"


_STEP_DONE = _entry(EntryType.DONE, OperationKind.STEP)
_STEP_FAILED = _entry(EntryType.ATTEMPT, OperationKind.STEP)
_STEP_STARTED = _entry(EntryType.STARTED, OperationKind.STEP)
_TIMER_DONE = _entry(EntryType.DONE, OperationKind.TIMER)
_CHILD_DONE = _entry(EntryType.DONE, OperationKind.CHILD)

MOMENTS: Final[dict[str, Moment]] = {
    "before BEGIN": Before(_any),
    "mid-transaction": Within(_any),
    "after COMMIT, before delivery": After(_any),
    "after the side effect, before its row": Before(_STEP_DONE),
    "after an at-most-once step is noted, before it begins": After(_STEP_STARTED),
    "between attempts": After(_STEP_FAILED),
    "attempt failed but unrecorded": Before(_STEP_FAILED),
    "timer fired but unrecorded": Before(_TIMER_DONE),
    "child about to be started": Before(_new_child),
    "child started, parent not told": After(_new_child),
    "child ended, parent not told": After(_delivery),
    "child's result in the transaction": Within(_CHILD_DONE),
    "blob written, row not": Within(_long),
    "run ended, nobody told": After(_end),
}
"""The moments, by the name under which the report shows them."""


async def crash_at(database: Database, work: Work, moment: Moment, at: int) -> bool:
    """Work until the moment has come `at` times and crash there; return whether it came."""
    disk = Disk(database.folder, database.dice)
    struck = asyncio.Event()
    loop = asyncio.get_running_loop()

    def strike() -> None:
        disk.cut()
        loop.call_soon_threadsafe(struck.set)

    with faulty_vfs().as_default(disk), _crashing(moment, at, strike), suppress(StorageUnavailable):
        async with asyncio.timeout(PATIENCE), WatchedApp(disk, database.ledger) as app:
            handles = await work.begin(app, database.ledger)
            ended = asyncio.gather(*[handle.result() for handle in handles], return_exceptions=True)
            came = asyncio.ensure_future(struck.wait())
            either: list[asyncio.Future[Any]] = [ended, came]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            came.cancel()
            ended.cancel()
    database.crash(disk, power_failed=True)
    return disk.is_dead


@contextmanager
def _crashing(moment: Moment, at: int, strike: Callable[[], None]) -> Iterator[None]:
    """Let `strike` be called when the moment comes for the `at`-th time."""
    commit, make, flush = SqliteStorage.commit, Changes.make, Changes.flush
    left, armed = at, False

    def comes(changes: Sequence[Change]) -> bool:
        nonlocal left
        left -= any(map(moment.change, changes))
        return left == 0

    def dies_around(
        self: SqliteStorage, changes: Sequence[Change], done: Callable[[], None] | None = None
    ) -> None:
        if left > 0 and not isinstance(moment, Within) and comes(changes):
            if isinstance(moment, Before):
                strike()
            else:
                done = strike
        commit(self, changes, done)

    def arms(self: Changes, changes: Sequence[Change]) -> bool:
        nonlocal armed
        armed = armed or (left > 0 and isinstance(moment, Within) and comes(changes))
        return make(self, changes)

    def dies_after(self: Changes) -> None:
        flush(self)
        if armed:
            strike()

    SqliteStorage.commit = dies_around  # type: ignore[method-assign]
    Changes.make, Changes.flush = arms, dies_after  # type: ignore[method-assign]
    try:
        yield
    finally:
        SqliteStorage.commit = commit  # type: ignore[method-assign]
        Changes.make, Changes.flush = make, flush  # type: ignore[method-assign]


def moments(effort: Effort) -> Outcome:
    """Crash at every moment in turn, and in the middle of upgrades, until the time is over."""
    outcome = upgrades(Effort(effort.seed, effort.seconds / 4, effort.folder))
    names = list(MOMENTS)
    rest = Effort(effort.seed, effort.seconds * 3 / 4, effort.folder)
    for number, dice, folder in rest.rounds("moments", least=len(names)):
        database = Database(folder, dice, template=empty_database())
        name = names[number % len(names)]
        asyncio.run(crash_thrice(database, MOMENTS[name], name, outcome))
        outcome.violations += [
            f"moments, round {number} ({name}): {told}" for told in database.ledger.violations
        ]
        shutil.rmtree(folder)
    return outcome


async def crash_thrice(database: Database, moment: Moment, name: str, outcome: Outcome) -> None:
    """Crash at a moment in three lives, each with new work, then end the work."""
    dice: random.Random = database.dice
    trees = [with_children(tree_of(dice.randint(2, 10), dice), dice, 0.1) for _ in range(3)]
    for life in range(3):
        work = Work(ORDERS * (life + 1), trees[: life + 1])
        outcome.tried[name] += await crash_at(database, work, moment, dice.randint(1, ORDERS))
    await database.end(Work(ORDERS * 3, trees))
