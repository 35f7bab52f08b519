"""The embedded engine: brings runs into memory when something is to be done for them, and lets them go after."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from podium.domain.errors import ErrorRecord, PodiumError
from podium.domain.happenings import Happening, RunMoved
from podium.domain.inbox import Delivery, DeliveryKind
from podium.domain.states import TERMINAL_RUN_STATES, RunState
from podium.engines.embedded.active_run import ActiveRun
from podium.engines.embedded.host import Host
from podium.ports.journal import Change, CloseReviews, Journal, LoadedRun, MoveRun, TakeDelivery

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from podium.domain.ids import RunId
    from podium.domain.runs import Run
    from podium.flow.workflows import Workflow
    from podium.ports.execution import Executors
    from podium.settings.engine import EngineSettings

_log = logging.getLogger(__name__)
_PAGE = 500
_ENDS = TERMINAL_RUN_STATES | {RunState.BLOCKED}
_WITHOUT_CODE = frozenset({RunState.BLOCKED, RunState.PAUSED})
"""States in which a run is cancelled without its code having a say: it cannot run, or must not."""


class EmbeddedEngine:
    """Executes runs in this process, on the event loop that called `start`.

    `tell` is called with every happening, after it is on disk.
    """

    def __init__(
        self,
        journal: Journal,
        workflows: Mapping[str, Workflow[Any, Any]],
        executors: Executors,
        settings: EngineSettings,
        tell: Callable[[Happening], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._journal = journal
        self._workflows = workflows
        self._settings = settings
        self._listener = tell
        self._clock = clock
        self._host = Host(
            journal,
            workflows,
            executors,
            settings,
            clock,
            random.Random().random,
            self._tell,
            self._left,
            self._adopt,
        )
        self._active: dict[RunId, ActiveRun] = {}
        self._loading: dict[RunId, asyncio.Task[ActiveRun | None]] = {}
        # Runs to take up when there is room, in order; with the row of those that have no journal yet.
        self._queue: OrderedDict[RunId, Run | None] = OrderedDict()
        self._ends: dict[RunId, list[asyncio.Future[RunMoved]]] = {}
        self._last_delivery = 0
        self._look = asyncio.Event()
        self._quiet = asyncio.Event()
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = 0.0
        self._watcher: asyncio.Task[None] | None = None
        self._failure: Exception | None = None
        self._closing = False

    async def start(self) -> int:
        """Take up every unfinished run; returns how many there were."""
        self._journal.on_failure(self._fail)
        taken_up, last = 0, None
        while page := await self._journal.unfinished(_PAGE, last):
            for run in page:
                if run.workflow in self._workflows:
                    taken_up += 1
                    self._queue[run.id] = None
                last = run
        self._watcher = asyncio.get_running_loop().create_task(self._watch())
        self._admit()
        return taken_up

    async def submit(self, run: Run) -> tuple[Run, bool]:
        """Store a new run and begin it; returns the stored run and whether it is new.

        A stored run that is blocked is tried again with the code as it is now. Raises what made the
        database unusable.
        """
        self._check()
        stored = await self._journal.create(run)
        is_new = stored.seed == run.seed
        if is_new:
            self._queue[stored.id] = stored
            self._admit()
        elif stored.state is RunState.BLOCKED and stored.id not in self._active:
            await self._bring_up(stored.id)
            for delivery in await self._journal.deliveries(0, 1_000_000):
                if delivery.run == stored.id:
                    await self._route(delivery)
        return stored, is_new

    def end_of(self, run: RunId) -> asyncio.Future[RunMoved]:
        """Return a future for the run's next move to a final state or to `blocked`."""
        future: asyncio.Future[RunMoved] = asyncio.get_running_loop().create_future()
        if self._failure is not None:
            future.set_exception(self._failure)
        self._ends.setdefault(run, []).append(future)
        return future

    def look(self) -> None:
        """Look into the inbox now: something was put there by this process."""
        self._look.set()

    async def idle(self) -> None:
        """Return once no run is active or queued: all are finished, or wait for somebody or for a time."""
        self._check()
        while self._active or self._loading or self._queue:
            self._quiet.clear()
            await self._quiet.wait()
            self._check()

    async def close(self) -> None:
        """Stop working. Runs stay as the journal has them; attempts under way are cancelled."""
        self._closing = True
        if self._alarm is not None:
            self._alarm.cancel()
        tasks: list[asyncio.Task[Any]] = list(self._loading.values())
        if self._watcher is not None:
            tasks.append(self._watcher)
        for task in tasks:
            task.cancel()
        for active in list(self._active.values()):
            tasks += active.close()
        self._active.clear()
        await asyncio.gather(*tasks, return_exceptions=True)

    # runs come and go

    def _admit(self) -> None:
        free = self._settings.max_active_runs - len(self._active) - len(self._loading)
        while self._queue and free > 0 and not self._closing:
            run_id, fresh = self._queue.popitem(last=False)
            if fresh is not None:
                self._activate(LoadedRun(fresh, ()))
            else:
                self._bring_up(run_id)
            free -= 1

    def _bring_up(self, run_id: RunId) -> asyncio.Task[ActiveRun | None]:
        loading = self._loading.get(run_id)
        if loading is None:
            loading = asyncio.get_running_loop().create_task(self._load(run_id))
            self._loading[run_id] = loading
        return loading

    async def _load(self, run_id: RunId) -> ActiveRun | None:
        try:
            if run_id in self._active:
                return self._active[run_id]
            loaded = await self._journal.load(run_id)
            if loaded is None or self._closing or not self._may_run(loaded.run):
                return None
            return self._activate(loaded)
        except PodiumError as error:
            self._fail(error)
            return None
        finally:
            self._loading.pop(run_id, None)
            self._quiet.set()
            asyncio.get_running_loop().call_soon(self._admit)

    def _may_run(self, run: Run) -> bool:
        known = run.workflow in self._workflows
        return known and run.state not in TERMINAL_RUN_STATES and run.state is not RunState.PAUSED

    def _activate(self, loaded: LoadedRun) -> ActiveRun:
        active = ActiveRun(self._host, self._workflows[loaded.run.workflow], loaded)
        self._active[loaded.run.id] = active
        # From a callback and not from here: workflow code may not run inside a task of this loop.
        asyncio.get_running_loop().call_soon(active.begin)
        return active

    def _adopt(self, child: Run) -> None:
        if child.id not in self._active:
            # Queued without its row: after a crash the child may exist already and be further on.
            self._queue[child.id] = None
            self._admit()

    def _left(self, run_id: RunId, wake_at: float | None) -> None:
        self._active.pop(run_id, None)
        if wake_at is not None:
            self._set_alarm(wake_at)
        self._admit()
        self._quiet.set()

    # time

    def _set_alarm(self, at: float) -> None:
        if self._closing or (self._alarm is not None and self._alarm_at <= at):
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = at
        self._alarm = asyncio.get_running_loop().call_later(max(at - self._clock(), 0.0), self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self._look.set()

    async def _wake_due(self) -> None:
        for run_id in await self._journal.due(self._clock(), _PAGE):
            if run_id not in self._active:
                self._queue.setdefault(run_id, None)
        self._admit()
        following = await self._journal.next_wake()
        if following is not None:
            # Runs that were just woken stay listed until they have moved, so what is past is looked at again soon.
            self._set_alarm(max(following, self._clock() + self._settings.poll_interval))

    # the inbox

    async def _watch(self) -> None:
        while True:
            try:
                await self._wake_due()
                await self._empty_inbox()
            except PodiumError as error:
                self._fail(error)
                return
            while not self._look.is_set() and not self._journal.changed_elsewhere():
                try:
                    async with asyncio.timeout(self._settings.poll_interval):
                        await self._look.wait()
                except TimeoutError:
                    continue
            self._look.clear()

    async def _empty_inbox(self) -> None:
        while deliveries := await self._journal.deliveries(self._last_delivery, _PAGE):
            for delivery in deliveries:
                self._last_delivery = delivery.id
                await self._route(delivery)

    async def _route(self, delivery: Delivery) -> None:
        active = self._active.get(delivery.run) or await self._bring_up(delivery.run)
        if active is not None:
            # After `begin`, which is queued already if it has not run yet.
            asyncio.get_running_loop().call_soon(active.accept, delivery)
            return
        loaded = await self._journal.load(delivery.run)
        if loaded is None or loaded.run.state in TERMINAL_RUN_STATES:
            self._journal.commit([TakeDelivery(delivery.id)])
        elif delivery.kind is DeliveryKind.CANCEL and loaded.run.state in _WITHOUT_CODE:
            self._cancel_without_code(loaded.run, delivery)

    def _cancel_without_code(self, run: Run, delivery: Delivery) -> None:
        at = self._clock()
        error = ErrorRecord("RunCancelled", "the run was cancelled")
        move = MoveRun(run.id, RunState.CANCELLED, at, run.spending, error=error)
        moved = RunMoved(run.id, run.workflow, RunState.CANCELLED, at, run.spending, None, error)
        changes: list[Change] = [move, CloseReviews(run.id), TakeDelivery(delivery.id)]
        self._journal.commit(changes, lambda: self._tell(moved))

    # telling

    def _tell(self, happening: Happening) -> None:
        self._listener(happening)
        if isinstance(happening, RunMoved) and happening.state in _ENDS:
            for future in self._ends.pop(happening.run, ()):
                if not future.done():
                    future.set_result(happening)
            # A parent may be waiting for this run: its inbox has the result.
            self._look.set()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _fail(self, error: Exception) -> None:
        if self._failure is not None:
            return
        self._failure = error
        self._quiet.set()
        _log.error("the engine stopped: %s", error)
        for active in list(self._active.values()):
            active.close()
        self._active.clear()
        self._queue.clear()
        for futures in self._ends.values():
            for future in futures:
                if not future.done():
                    future.set_exception(error)
        self._ends.clear()
