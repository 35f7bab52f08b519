"""Seeing to it that finished runs are kept as they should be: archived, deleted, and their long values swept away.

The books go with them, where a round is not for one workflow only.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from podium.app.bookkeeping import Bookkeeper
from podium.app.pace import Pace
from podium.app.rounds import Round
from podium.domain.errors import PodiumError
from podium.domain.states import TERMINAL_RUN_STATES, RunState
from podium.storage import archives, finished, sweeping

if TYPE_CHECKING:
    from podium.domain.retention import Retention
    from podium.ports.storage import Storage
    from podium.settings.retention import RetentionSettings
    from podium.storage.archives import Folded
    from podium.storage.finished import Finished

T = TypeVar("T")

_log = logging.getLogger(__name__)
_PAGE = 1000
_ROOTS = 100
# What is folded at once is in memory at once.
_MOST_BYTES = 4_000_000
_SWEEP_EVERY = 3600.0


class Keeper:
    """Archives and deletes finished runs of a database as `settings` say, beside whoever works on it.

    `workflow` restricts it to runs of one workflow. `tell` is called with the sum of what was done so far in a round,
    after each transaction. `clock` returns seconds since the epoch.
    """

    def __init__(
        self,
        storage: Storage,
        settings: RetentionSettings,
        *,
        workflow: str | None = None,
        tell: Callable[[Round], None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._storage = storage
        self._settings = settings
        self._workflow = workflow
        self._tell = tell
        self._clock = clock
        self._pace = Pace(settings.share)
        self._books = Bookkeeper(storage, settings, note=self._add, clock=clock)
        self._done = Round()

    @property
    def longest(self) -> float:
        """The longest transaction so far, in seconds on the thread that writes, without its way to the disk."""
        return max(self._pace.longest, self._books.longest)

    async def work(self) -> None:
        """Go from round to round until cancelled. What goes wrong is logged, and tried again in the next round."""
        unswept, swept_at = 0, float("-inf")
        while self._settings.every:
            await asyncio.sleep(self._settings.every)
            try:
                unswept += (await self.round(sweep=False)).deleted
                if unswept and self._clock() >= swept_at + _SWEEP_EVERY:
                    await self.sweep()
                    unswept, swept_at = 0, self._clock()
                await self._books.round_when_due()
            except PodiumError as error:
                _log.warning("finished runs were not archived or deleted: %s", error)
            except Exception:  # noqa: BLE001 - whatever it was, runs are worth more than their archives
                _log.exception("finished runs were not archived or deleted; tried again in the next round")

    async def round(self, *, sweep: bool = True) -> Round:
        """Delete and archive what is due, and `sweep`; return what that came to. Raises `StorageUnavailable`."""
        self._done = Round()
        async for before, levels in self._to_delete():
            for numbers in levels:
                await self._delete(numbers, before)
        async for page in self._to_archive():
            await self._archive(page)
        if sweep:
            await self._sweep()
            if self._workflow is None:
                await self._books.round()
        return self._done

    async def sweep(self) -> Round:
        """Remove long values that nothing refers to, whoever left them behind. Raises `StorageUnavailable`."""
        self._done = Round()
        await self._sweep()
        return self._done

    async def due(self) -> Round:
        """Return what a round would delete and archive now, without doing it or counting entries and values."""
        going: set[int] = set()
        async for _, levels in self._to_delete():
            going.update(number for numbers in levels for number in numbers)
        archived = 0
        async for page in self._to_archive():
            archived += sum(run.number not in going for run in page)
        rows = await self._books.due() if self._workflow is None else 0
        return Round(archived=archived, deleted=len(going), requests=rows)

    # what is due

    def _policies(self) -> Sequence[Retention]:
        if self._workflow is not None:
            return [self._settings.of(self._workflow)]
        return [self._settings.default, *self._settings.workflows.values()]

    async def _to_archive(self) -> AsyncIterator[Sequence[Finished]]:
        """Return, page by page, the runs whose journal is to be archived."""
        ages = [policy.archive_age for policy in self._policies() if policy.archive_age is not None]
        if not ages:
            return
        now = self._clock()
        after: int | None = 0
        while after is not None:
            query = partial(finished.with_journal, before=now - min(ages), after=after, limit=_PAGE)
            page, after = await self._storage.read(query)
            yield [run for run in page if self._is_to_archive(run, now)]

    def _is_to_archive(self, run: Finished, now: float) -> bool:
        age = self._settings.of(run.workflow).archive_age
        wanted = self._workflow in (None, run.workflow)
        return wanted and age is not None and run.finished_at <= now - age

    async def _to_delete(self) -> AsyncIterator[tuple[float, Sequence[Sequence[int]]]]:
        """Return, page by page, the numbers of runs to be deleted, children first, if they ended before a time."""
        known = await self._storage.read(finished.workflows)
        now = self._clock()
        for workflow in known if self._workflow is None else [self._workflow]:
            for state in sorted(TERMINAL_RUN_STATES):
                age = self._settings.of(workflow).delete_age(state)
                after: Finished | None = None
                while age is not None:
                    query = partial(_lines, workflow=workflow, state=state, before=now - age, after=after)
                    after, levels = await self._storage.read(query)
                    yield now - age, levels
                    if after is None:
                        break

    # doing it

    async def _archive(self, page: Sequence[Finished]) -> None:
        rest = list(page)
        while rest:
            folded = await self._storage.read(partial(_fold, runs=rest[: self._pace.size]))
            del rest[: max(len(folded), 1)]
            found = [each for each in folded if each is not None]
            conditions = (finished.HAS_FINISHED, finished.PARENT_HAS_FINISHED)
            change = partial(archives.store, folded=found, at=self._clock(), among=conditions)
            stored = await self._write(change, len(found))
            await self._note(Round(archived=len(stored), entries=sum(each.count for each in stored)))

    async def _delete(self, numbers: Sequence[int], before: float) -> None:
        rest = list(numbers)
        while rest:
            some = rest[: self._pace.size]
            del rest[: len(some)]
            change = partial(finished.delete_runs, numbers=some, before=before)
            await self._note(Round(deleted=await self._write(change, len(some))))

    async def _sweep(self) -> None:
        marked = await self._storage.read(sweeping.mark)
        rest = list(marked.unused)
        while rest:
            some = rest[: self._pace.size]
            del rest[: len(some)]
            change = partial(sweeping.remove, unused=some, since=marked.since)
            removed = await self._write(change, len(some))
            if removed is None:
                # Too much was stored meanwhile to know; the next sweep finds them again.
                break
            await self._note(Round(values=removed))
        while await self._write(partial(sweeping.forget, limit=_PAGE), 0):
            await self._pace.pause()

    async def _write(self, change: Callable[[Any], T], size: int) -> T:
        def timed(conn: Any) -> T:
            with self._pace.timed(size):
                return change(conn)

        return await self._storage.write(timed)

    async def _note(self, more: Round) -> None:
        self._add(more)
        await self._pace.pause()

    def _add(self, more: Round) -> None:
        self._done += more
        if self._tell is not None:
            self._tell(self._done)


def _fold(conn: Any, runs: Sequence[Finished]) -> list[Folded | None]:
    """Return the journals of the first of `runs`, folded: as many as may be in memory at once."""
    folded: list[Folded | None] = []
    size = 0
    for run in runs:
        each = archives.fold_generation(conn, run.number, run.generation)
        folded.append(each)
        size += 0 if each is None else each.size
        if size >= _MOST_BYTES:
            break
    return folded


def _lines(
    conn: Any, workflow: str, state: RunState, before: float, after: Finished | None
) -> tuple[Finished | None, Sequence[Sequence[int]]]:
    """Return the last run of a page, None at the end, and its lines' numbers level by level, children first."""
    roots = finished.roots(conn, workflow=workflow, state=state, before=before, after=after, limit=_ROOTS)
    levels: dict[int, list[int]] = {}
    for root in roots:
        for height, numbers in enumerate(reversed(finished.line_of(conn, root.number, before=before))):
            levels.setdefault(height, []).extend(numbers)
    last = roots[-1] if len(roots) == _ROOTS else None
    return last, [levels[height] for height in sorted(levels, reverse=True)]
