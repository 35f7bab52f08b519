"""`Harness`: an app for tests, with its own clock, models and database, whose workflows are replayed at every step."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from podium.app.database import open_database
from podium.app.gateway import Means, Prompting, gateway_on
from podium.app.podium import Podium
from podium.domain.durations import Duration, seconds
from podium.domain.happenings import EntryMade, Happening, RunMoved
from podium.domain.journal import Entry
from podium.domain.operations import OperationKind
from podium.domain.reviews import Decision, DecisionVerdict, Review
from podium.domain.states import TERMINAL_RUN_STATES, ReviewState, RunState
from podium.domain.values import TypedCodec
from podium.settings import Settings
from podium.testing.clock import SkippedWaits, SkippingClock
from podium.testing.executing import Call, Calls
from podium.testing.failures import ProcessLost, Stuck
from podium.testing.handles import HarnessRun
from podium.testing.losing import LosingStorage
from podium.testing.models import Lines, said_for_good, scripts_of
from podium.testing.replays import Replays

if TYPE_CHECKING:
    from podium.app.handles import RunHandle
    from podium.domain.ids import RunId
    from podium.flow.steps import Step
    from podium.flow.triggers import Trigger
    from podium.flow.workflows import Workflow

T = TypeVar("T")
R = TypeVar("R")
START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
"""When a harness begins, unless it is told: a Monday morning."""

_ENDED = TERMINAL_RUN_STATES | {RunState.BLOCKED}
_WORK = (OperationKind.STEP, OperationKind.MODEL)
_SETTLE = 0.25
_MANY = 10_000
_NOTHING = object()


class Harness(Podium):
    """A `Podium` for tests. Use as `async with Harness(workflows=[...]) as app`.

    `models` are what scripted models say, by `NAME` of `scripted:NAME` or by the whole name of the model whose place
    they take; no other model and no environment is there. `steps` are fakes, plain or async functions or mocks, by the
    step that they replace. The clock begins at `start` and stands still: with `skip_time` it jumps to the next timer
    whenever the test waits for a result or a review and nothing else can move; `skip` moves it by hand. With
    `forced_replay` each run's code is run again from its journal after every entry, and must do the same.
    `crash_at` loses the process at that write, counted from 1; with `crash_kept` the write itself is on disk. `patience`
    bounds, in seconds of the test's own time, how long nothing may happen while the test waits. `database`: a file, in
    place of a temporary one. `after`: a harness on the same database that was lost or closed, to go on at its time.

    Waiting raises `NotDeterministic` when a replay did not do the same, `ExecutedAgain` when a completed step was
    executed once more, `Stuck` when nothing moves any more, and `ProcessLost` from the crash on.
    """

    def __init__(  # noqa: PLR0913 - options by name
        self,
        database: str | Path | None = None,
        *,
        workflows: Sequence[Workflow[Any, Any]] = (),
        triggers: Sequence[Trigger] = (),
        models: Mapping[str, Lines] | None = None,
        steps: Mapping[Step[Any, Any], Callable[..., Any]] | None = None,
        start: datetime = START,
        skip_time: bool = True,
        forced_replay: bool = True,
        crash_at: int | None = None,
        crash_kept: bool = False,
        patience: float = 10.0,
        settings: Settings | None = None,
        after: Harness | None = None,
    ) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._is_temporary = database is None
        super().__init__(
            database or "podium.db",
            workflows=workflows,
            triggers=triggers,
            settings=_quick(settings or Settings()),
            environment={},
        )
        self._models = models or {}
        self.clock = SkippingClock(start.timestamp())
        self._clock = self.clock
        self._waits = SkippedWaits(self.clock)
        self._calls = Calls(steps or {})
        self._skip_time = skip_time
        self._forced_replay = forced_replay
        self._crash_at, self._crash_kept = crash_at, crash_kept
        self._patience = patience
        self._news = asyncio.Event()
        self._decided_before: list[Review] = []
        self._after = after
        self._replays: Replays | None = None

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            if self._is_temporary:
                self._folder = tempfile.TemporaryDirectory(prefix="podium-")
                self._database = Path(self._folder.name) / "podium.db"
                stack.callback(self._folder.cleanup)
            said = await self._taken_over() if self._after is not None else {}
            self._scripts = self.scripts = scripts_of(self._models, said)
            self.subscribe(self._note)
            await super().__aenter__()
            stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and not self.is_lost:
                await self._check()
        finally:
            try:
                if self._replays is not None:
                    await self._replays.close()
                await super().__aexit__(kind, error, trace)
            finally:
                if self._folder is not None:
                    self._folder.cleanup()

    # time -----------------------------------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        """What the clock of the harness shows."""
        return datetime.fromtimestamp(self.clock(), UTC)

    async def skip(self, duration: Duration | None = None) -> None:
        """Move the clock on by `duration`, such as `"2h"`, or to the next timer; timers on the way fire in order.

        Between two of them everything moves that can; steps under way are given a quarter of a second to end.
        """
        await self._settled()
        following = self._next_due()
        target = self.clock() + seconds(duration) if duration is not None else following
        while following is not None and target is not None and following <= target:
            await self._move_to(following)
            await self._settled()
            following = self._next_due()
        if target is not None:
            await self._move_to(target)
            await self._settled()

    # people ---------------------------------------------------------------------------------------------------------

    async def review(
        self, *, subject: str | None = None, queue: str | None = None, run: RunHandle[Any] | None = None
    ) -> Review:
        """Wait until a review is open whose subject contains `subject`, in that queue and of that run; return it."""
        look = partial(self._open_review, subject, queue, run.id if run is not None else None)
        wanted = f"a review about {subject!r}" if subject is not None else "a review"
        return await self._until(look, wanted if queue is None else f"{wanted} in queue {queue!r}")

    async def decide(
        self,
        review: Review,
        *,
        approve: bool | None = None,
        value: Any = _NOTHING,
        comment: str = "",
        reviewer: str = "tester",
    ) -> Decision:
        """Decide a review: `approve=True`, `approve=False` to reject, or a `value` to give or put in its place.

        Returns the decision that stands: the first. Raises what `Reviews.decide` raises.
        """
        given = (
            None if value is _NOTHING else TypedCodec(type(value), "the value of a decision").encode(value)
        )
        verdict = DecisionVerdict.APPROVE if approve else DecisionVerdict.REJECT
        if given is not None:
            verdict = DecisionVerdict.EDIT
        elif approve is None:
            raise TypeError("decide() needs approve=True, approve=False or value=...")
        decided, _ = await self.reviews.decide(
            review.id, verdict, reviewer=reviewer, value=given, comment=comment
        )
        self.look()
        if decided.decision is None:
            raise Stuck(f"review {review.id} took no decision")
        return decided.decision

    # steps and what became of them ----------------------------------------------------------------------------------

    def replace(self, step: Step[Any, Any], fake: Callable[..., Any]) -> None:
        """Let `fake`, a plain or async function or a mock, do what `step` does from now on."""
        self._calls.replace(step, fake)

    def calls(self, name: str | Step[Any, Any] | None = None) -> Sequence[Call]:
        """Return every attempt of that step or prompt, or of all, that this harness has executed, in order."""
        wanted = name if name is None or isinstance(name, str) else name.name
        return [call for call in self._calls.all if wanted in (None, call.name)]

    async def steps(self, run: RunHandle[Any]) -> Sequence[str]:
        """Return the names of the steps and prompts of a run that have an outcome, in the order of the outcomes."""
        operations = (await self.runs.timeline(run.id)).operations
        return [each.name for each in operations if each.kind in _WORK and each.ended_at is not None]

    async def keys(self, run: RunHandle[Any]) -> Sequence[str]:
        """Return the journal keys of a run's operations in the order of their outcomes, those without one last."""
        return [each.key for each in (await self.runs.timeline(run.id)).operations if each.key]

    async def journal(self, run: RunHandle[Any]) -> Sequence[Entry]:
        """Return every entry of a run's journal, in order."""
        return await self.runs.journal(run.id)

    # crashes --------------------------------------------------------------------------------------------------------

    @property
    def is_lost(self) -> bool:
        """Whether the process has been lost, as `crash_at` asked for."""
        return self._lost is not None

    @property
    def is_second_life(self) -> bool:
        """Whether it goes on after another harness."""
        return self._after is not None

    @property
    def _lost(self) -> ProcessLost | None:
        losing: LosingStorage | None = getattr(self, "_losing", None)
        return None if losing is None else losing.lost

    async def _taken_over(self) -> Mapping[str, int]:
        """Learn what is in the database already; returns how many lines of its script each model has said for good."""
        if self._after is not None:
            self.clock.move_to(self._after.clock())
            self._calls.go_on_after(self._after._calls)  # noqa: SLF001 - another of its kind
        said: Counter[str] = Counter()
        async with open_database(self._database) as stored:
            for run in await stored.runs.list(limit=_MANY):
                entries = await stored.runs.journal(run.id)
                self._calls.note(entries)
                said += said_for_good(entries)
            decided = await stored.reviews.list(states=[ReviewState.DECIDED], limit=_MANY)
        self._decided_before = sorted(decided, key=lambda review: (review.opened_at, review.key))
        return said

    # waiting --------------------------------------------------------------------------------------------------------

    async def ended(self, run: RunId) -> None:
        """Wait until a run has ended or is blocked, skipping time where nothing else moves."""
        await self._until(partial(self._has_ended, run), f"the end of run {run!r}")
        await self._check()

    async def _has_ended(self, run: RunId) -> bool | None:
        return True if (await self.runs.get(run)).state in _ENDED else None

    async def _open_review(self, subject: str | None, queue: str | None, run: RunId | None) -> Review | None:
        found = [*self._decided_before, *await self.reviews.list(queue=queue, limit=1000)]
        for review in found:
            about = subject is None or subject in review.draft.subject
            if about and queue in (None, review.draft.queue) and run in (None, review.run):
                if review in self._decided_before:
                    self._decided_before.remove(review)
                return review
        return None

    async def _until(self, look: Callable[[], Awaitable[T | None]], what: str) -> T:
        while True:
            news = self._news
            resting = asyncio.ensure_future(self._rest())
            hearing = asyncio.ensure_future(news.wait())
            try:
                await asyncio.wait(
                    {resting, hearing}, timeout=self._patience, return_when=asyncio.FIRST_COMPLETED
                )
                rests = resting.done()
                if rests:
                    resting.result()
                found = await look()
                if found is not None:
                    return found
                if rests and not news.is_set() and self._skip_time and await self._skip_to_next():
                    continue
                if not news.is_set():
                    await asyncio.wait({hearing}, timeout=self._patience)
                if not news.is_set():
                    raise Stuck(f"{what} never comes: {await self._standstill()}")
            finally:
                resting.cancel()
                hearing.cancel()

    async def _standstill(self) -> str:
        runs = await self.runs.list(states=[s for s in RunState if s not in TERMINAL_RUN_STATES], limit=5)
        waiting = [
            f"run {run.id!r} ({run.workflow}, {run.state}) waits for {run.waiting_on or 'work'}"
            for run in runs
        ]
        return "; ".join(waiting) or "no run is under way"

    async def _skip_to_next(self) -> bool:
        # Without a sleeping run, it may be a queue that holds runs back for a time.
        due = await self._storage.next_wake() or self.clock.next_due
        if due is None or due <= self.clock():
            return False
        # Schedules fire on the way, in order; for their sake alone time does not move.
        await self._move_to(min(due, self._next_due() or due))
        return True

    def _next_due(self) -> float | None:
        fires = None if self._firing is None else self._firing.next_due
        coming = [due for due in (self.clock.next_due, fires) if due is not None and due > self.clock()]
        return min(coming, default=None)

    async def _move_to(self, time: float) -> None:
        self.clock.move_to(time)
        # What the clock rings for is called from the loop.
        await asyncio.sleep(0)
        if self._firing is not None:
            self.look()

    async def _settled(self) -> None:
        resting = asyncio.ensure_future(self._rest())
        await asyncio.wait({resting}, timeout=_SETTLE)
        if resting.done():
            resting.result()
        resting.cancel()

    async def _rest(self) -> None:
        await self._idle(asleep=False)
        await self._check()

    async def _check(self) -> None:
        """Raise what was found wrong, once everything recorded so far has been replayed."""
        if self._replays is not None:
            await self._replays.done()
        if self._calls.again is not None:
            raise self._calls.again

    # what it puts in the place of the app's own ---------------------------------------------------------------------

    def _note(self, happening: Happening) -> None:
        if isinstance(happening, EntryMade):
            self._calls.note([happening.entry])
            if self._replays is not None:
                self._replays.want(happening.entry.run)
        elif isinstance(happening, RunMoved) and self._replays is not None:
            self._replays.want(happening.run)
        self._news.set()
        self._news = asyncio.Event()

    def _storage_over(self, storage: Any) -> Any:
        self._losing = LosingStorage(storage, self._crash_at, kept=self._crash_kept)
        if self._forced_replay:
            self._replays = Replays(self._losing, self._workflows, self._calls.arguments_at)
        return self._losing

    def _executors_over(self, executors: Mapping[OperationKind, Any]) -> Mapping[OperationKind, Any]:
        watched = {kind: self._calls.over(executors[kind]) for kind in _WORK}
        return {**executors, **watched}

    def _gateway(self, providers: Any, policies: Any, stack: AsyncExitStack) -> Prompting:
        means = Means(self._storage, providers, self._settings, self._environment, self._budgets, self._clock)
        return gateway_on(means, stack, policies, clock=self._waits, sleep=self._waits.sleep)

    def _handle(self, run_id: RunId, workflow: Workflow[Any, R], tenant: str) -> RunHandle[R]:
        runs, stream = self.for_tenant(tenant).runs, partial(self.stream, tenant=tenant)
        run = HarnessRun(run_id, workflow, runs, self._engine, self._fork, stream)
        run._harness = self  # noqa: SLF001 - its own
        return run


def _quick(settings: Settings) -> Settings:
    # What waits for time leaves memory, and a test's database need not outlast the machine.
    engine = replace(settings.engine, linger=0.0, poll_interval=min(settings.engine.poll_interval, 0.01))
    storage = replace(settings.storage, synchronous="OFF")
    return replace(settings, engine=engine, storage=storage, retention=replace(settings.retention, every=0.0))
