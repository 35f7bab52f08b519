"""The admission of queued runs: they stay in the database until their queue has room, and then begin."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, assert_never

from podium.domain.attempts import decode_note
from podium.domain.errors import InvalidInput, QueueFull
from podium.domain.journal import EntryType
from podium.domain.queues import Spent, Used, budget_used, within
from podium.engines.embedded.alarm import Alarm
from podium.ports.queues import Ask, Full, Mine, Stored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from podium.domain.ids import RunId
    from podium.domain.journal import Entry
    from podium.domain.queues import Queue
    from podium.domain.runs import Run
    from podium.ports.queues import QueueStore

_BATCH = 200
"""How many runs are admitted in one transaction: others wait for the writer meanwhile."""

_GRAIN = 0.001
"""Which part of a budget's period is told apart: there may be many model calls in an hour."""


class Queues:
    """Admits the next runs of each queue when it may have room: a run came, one ended, or a time has come.

    `clock` returns seconds since the epoch.
    """

    def __init__(
        self,
        store: QueueStore,
        queues: Iterable[Queue],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._lines = {queue.name: _Line(queue) for queue in queues}
        self._clock = clock
        self._room: Callable[[], int] = lambda: 0
        self._begin: Callable[[RunId], None] = _nothing
        self._looked: Callable[[], None] = _nothing
        self._mine = Mine(())
        self._wake = asyncio.Event()
        # Admitted, and not left again.
        self._called: set[RunId] = set()
        self._looking = False
        self._crowded = False
        self._alarm = Alarm(clock, self.look)

    @property
    def is_busy(self) -> bool:
        """Whether it looks, or is about to look, which runs may begin now."""
        return self._looking or (bool(self._lines) and self._wake.is_set())

    @property
    def has_work(self) -> bool:
        """Whether runs are pending, or may be, that this process is to work on when their queue has room."""
        return self._looking or any(line.left for line in self._lines.values())

    async def open(
        self,
        workflows: Iterable[str],
        only: RunId | None,
        room: Callable[[], int],
        begin: Callable[[RunId], None],
        looked: Callable[[], None],
    ) -> None:
        """Begin with what is stored; runs of `workflows` are admitted, or `only` one of them and its children.

        `room` returns how many more runs the engine could hold, `begin` is called with each run that was admitted,
        and `looked` after each look.
        """
        self._mine = Mine(tuple(workflows), only)
        self._room, self._begin, self._looked = room, begin, looked
        await self._store.declare([line.queue for line in self._lines.values()])
        for line in self._lines.values():
            for spent in await self._store.spending(line.queue, self._clock()):
                line.spend(spent)
            line.left = line.wanted = True
        self._wake.set()

    async def place(self, run: Run) -> Run:
        """Store `run` in the queue it names; returns the stored run, which may be an earlier one (see `QueueStore`).

        Raises `QueueFull` when as many runs as allowed are pending there, and `InvalidInput` for an unknown queue.
        """
        line = self._lines.get(run.placement.queue or "")
        if line is None:
            raise unknown_queue(str(run.placement.queue), self._lines)
        placed = await self._store.place(run, line.queue.max_depth)
        match placed:
            case Stored(stored):
                self._look_at(line, left=True)
                return stored
            case Full(depth):
                raise self._full(line, depth)
            case _:
                assert_never(placed)

    def look(self) -> None:
        """See whether there is room, in every queue in which something waits."""
        for line in self._lines.values():
            line.closed = False
            self._look_at(line)

    def placed(self, queue: str) -> None:
        """Take note that a run is pending in `queue`, whoever put it there."""
        if (line := self._lines.get(queue)) is not None:
            self._look_at(line, left=True)

    def keeps(self, run: Run) -> bool:
        """Return whether a stored run waits in a queue for its beginning; if so, sees whether there is room."""
        if run.placement.queue is None or run.started_at is not None:
            return False
        self.placed(run.placement.queue)
        return True

    def has_called(self, run: RunId) -> bool:
        """Return whether the run has been admitted and has not left memory since."""
        return run in self._called

    def left(self, run_id: RunId, run: Run | None) -> None:
        """Take note that a run is no longer at work, or (None) that some run has changed that never was."""
        self._called.discard(run_id)
        for name, line in self._lines.items():
            if run is None or run.placement.queue == name:
                line.closed = False
                self._look_at(line, left=run is None)

    def roomier(self) -> None:
        """Take note that the engine may have room again."""
        if self._crowded and self._room() > 0:
            self._crowded = False
            for line in self._lines.values():
                if line.crowded_out:
                    self._look_at(line)

    def note(self, run: Run, entry: Entry) -> None:
        """Take note of what a model call of `run` has cost."""
        line = self._lines.get(run.placement.queue or "")
        if line is None or line.queue.budget is None or entry.type is not EntryType.ATTEMPT:
            return
        call = decode_note(entry.payload).call
        if call is not None:
            line.spend(Spent(entry.at, line.queue.budget.spent_by(call)))

    def stop(self) -> None:
        """Let no alarm ring any more."""
        self._alarm.cancel()

    async def watch(self) -> None:
        """Admit runs whenever there may be room, until cancelled; raises what the database raises."""
        while self._lines:
            await self._wake.wait()
            self._wake.clear()
            self._looking = True
            for name, line in list(self._lines.items()):
                if line.wanted:
                    line.wanted = False
                    # To the end, so that the others come first when the engine has little room.
                    self._lines[name] = self._lines.pop(name)
                    await self._admit(line)
            self._looking = False
            self._looked()

    def _look_at(self, line: _Line, *, left: bool = False) -> None:
        line.left = line.left or left
        if line.left and not line.closed:
            line.wanted = True
            self._wake.set()

    async def _admit(self, line: _Line) -> None:
        now, most = self._clock(), min(self._room(), _BATCH)
        line.crowded_out = most <= 0
        if line.crowded_out:
            self._crowded = True
            return
        ask = Ask(line.queue, self._mine, now, most, line.spent_by(now), dict(line.turns))
        admission = await self._store.admit(ask)
        line.left = admission.left or line.wanted
        line.closed, line.again_at = admission.closed and not line.wanted, admission.again_at
        for run in admission.runs:
            line.turns[run.priority] = run.tenant
            self._called.add(run.run)
            self._begin(run.run)
        if not admission.left:
            return
        if admission.again_at is not None:
            self._alarm.set(admission.again_at)
        if len(admission.runs) == most:
            # What stopped it may have been the size of a batch, or of the engine, and not a limit.
            self._look_at(line)

    def _full(self, line: _Line, depth: int) -> QueueFull:
        wait = None if line.again_at is None else max(line.again_at - self._clock(), 0.0)
        return QueueFull(
            f"queue {line.queue.name!a} is full: {depth} runs are pending, of at most {line.queue.max_depth}, and "
            "nothing was stored. Start the run again later, or give the queue a greater max_depth.",
            retry_after=wait,
        )


def unknown_queue(name: str, declared: Iterable[str]) -> InvalidInput:
    """Return the error for a queue that is not declared here."""
    known = ", ".join(sorted(map(repr, declared))) or "none"
    return InvalidInput(
        f"queue {name!r} is not declared (declared: {known}): add Queue({name!r}, ...) to Podium(..., queues=[...])."
    )


class _Line:
    """One queue, and what this process knows of it."""

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        # Whose turn was last, by priority.
        self.turns: dict[int, str] = {}
        # What its budget was spent on, oldest first, unless the clock was set back.
        self.spent: deque[Spent] = deque()
        self.left = False
        # Whether a limit was reached, so that there is nothing to see until a run ends or a time comes.
        self.closed = False
        self.wanted = False
        self.crowded_out = False
        self.again_at: float | None = None

    def spend(self, spent: Spent) -> None:
        """Take note of a model call; calls that are close to one another count as one, at the later time."""
        if self.queue.budget is None:
            return
        grain = self.queue.budget.per * _GRAIN
        last = self.spent[-1] if self.spent else None
        if last is not None and last.at // grain == spent.at // grain:
            self.spent.pop()
            spent = Spent(max(spent.at, last.at), spent.amount + last.amount)
        self.spent.append(spent)

    def spent_by(self, now: float) -> Used:
        """Return how much of the queue's budget has been used."""
        budget = self.queue.budget
        if budget is None:
            return Used()
        while self.spent and not within(self.spent[0].at, now, budget.per):
            self.spent.popleft()
        return budget_used(self.spent, budget, now)


def _nothing(*_: object) -> None:
    """Do nothing, until the engine says what is to be done."""
