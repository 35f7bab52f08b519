"""The embedded engine: brings runs into memory when something is to be done for them, and lets them go after."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from podium.domain.errors import ErrorRecord, RunCancelled, StorageUnavailable
from podium.domain.happenings import EntryMade, Happening, RunMoved
from podium.domain.inbox import DeliveryKind
from podium.domain.states import RunState
from podium.engines.embedded.active_run import PAUSED, ActiveRun
from podium.engines.embedded.attempts import end_of_all, work
from podium.engines.embedded.audience import Audience
from podium.engines.embedded.controls import Course, course_for
from podium.engines.embedded.host import Host
from podium.engines.embedded.line import Line
from podium.engines.embedded.spawning import answer_of_ended, end_of_run, last_move, taking
from podium.engines.embedded.watcher import Watcher
from podium.ports.journal import Journal, LoadedRun, MoveRun

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from podium.domain.ids import RunId
    from podium.domain.inbox import Delivery
    from podium.domain.runs import Run
    from podium.engines.embedded.queues import Queues
    from podium.flow.catalog import AnyWorkflow, WorkflowCatalog
    from podium.ports.execution import Executors
    from podium.settings.engine import EngineSettings

_log = logging.getLogger(__name__)
_PAGE = 500
_PAUSES = (DeliveryKind.PAUSE, DeliveryKind.RESUME)
_UNFINISHED = frozenset({RunState.PENDING, RunState.RUNNING})
_PATIENCE = 3.0
"""How many seconds closing waits for attempts that ignore their cancellation, before it ends them by force."""


class EmbeddedEngine:
    """Executes runs in this process, on the event loop that called `start`.

    `tell` is called with every happening, after it is on disk; `waiters` are those who wait for a run to move.
    """

    def __init__(
        self,
        journal: Journal,
        workflows: WorkflowCatalog,
        executors: Executors,
        settings: EngineSettings,
        tell: Callable[[Happening], None],
        queues: Queues,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._journal = journal
        self._workflows = workflows
        self._settings = settings
        self._audience = Audience(tell)
        self.waiters = self._audience.waiters
        self._clock = clock
        self._watcher = Watcher(journal, settings.poll_interval, clock, self._wanted, self._looked)
        self._attempts: set[asyncio.Task[None]] = set()
        self._host = Host(
            journal,
            workflows,
            executors,
            settings,
            clock,
            random.Random().random,
            partial(work, self._attempts),
            self._tell,
            self._left,
            # Without its row: after a crash the child may exist already and be further on.
            lambda child: self._call_in(child.id),
            self._watcher.look,
        )
        self._queues = queues
        self._active: dict[RunId, ActiveRun] = {}
        self._loading: dict[RunId, asyncio.Task[None]] = {}
        self._line = Line()
        self._being_stored = 0
        # Blocked runs that are to be tried again.
        self._unblocked: set[RunId] = set()
        self._ending: set[RunId] = set()
        self._quiet = asyncio.Event()
        self._watching: list[asyncio.Task[None]] = []
        self._only: RunId | None = None
        self._failure: Exception | None = None
        self._closing = False

    async def start(self, only: RunId | None = None) -> int:
        """Take up every unfinished run, or `only` one and its children; returns how many there were."""
        self._only = only
        self._journal.on_failure(self._fail)
        taken_up, last = 0, None
        while page := await self._journal.unfinished(_PAGE, last):
            for run in page:
                if self._is_ours(run):
                    taken_up += 1
                    self._line.add(run.id)
                last = run
        # Before anything can seem idle, whatever has a delivery waiting is to be taken up.
        await self._watcher.read_inbox()
        self._admit()
        names = {workflow.name for workflow in self._workflows}
        await self._queues.open(names, only, self._room, self._call_in, self._looked)
        for watch in (self._watcher.watch, self._queues.watch):
            self._watching.append(asyncio.get_running_loop().create_task(self._watch(watch)))
        return taken_up

    async def submit(self, run: Run) -> tuple[Run, bool]:
        """Store a new run and begin it; returns the stored run and whether it is new.

        A stored run that is blocked is tried again with the code as it is now. Raises what made the
        database unusable.
        """
        self.waiters.check()
        # Shielded: a caller who gives up must not leave a stored run behind that nobody works on.
        return await asyncio.shield(asyncio.get_running_loop().create_task(self._submit(run)))

    async def _submit(self, run: Run) -> tuple[Run, bool]:
        if run.placement.queue is not None:
            stored = await self._queues.place(run)
        else:
            stored = await self._store(run)
        is_new = stored.seed == run.seed
        if is_new and run.placement.queue is None:
            self._line.add_new(stored)
        elif stored.workflow != run.workflow:
            return stored, False
        elif stored.state in _UNFINISHED:
            self._take_up(stored.id)
        elif stored.state is RunState.WAITING and stored.wake_at is not None:
            self._audience.asleep.add(stored.id)
        elif stored.state is RunState.BLOCKED and self._is_ours(stored):
            await self._unblock(stored.id)
        self._admit()
        return stored, is_new

    async def _store(self, run: Run) -> Run:
        if self._free > len(self._line) + self._being_stored:
            # It can begin as soon as it is stored, so it is stored as begun: one commit less.
            run = replace(run, state=RunState.RUNNING, started_at=self._clock())
        self._being_stored += 1
        try:
            return await self._journal.create(run)
        finally:
            self._being_stored -= 1

    async def _unblock(self, run_id: RunId) -> None:
        if run_id in self._active:
            # By something that came for it, such as a settlement.
            return
        self._unblocked.add(run_id)
        moved = self.waiters.wait(run_id, frozenset(RunState))
        self._take_up(run_id)
        self._admit()
        # Until it has moved, whoever asks would be told that it is blocked.
        await moved

    def holds(self, run: RunId) -> bool:
        """Return whether this engine has the run in memory, or will, so that its end is yet to come."""
        return run in self._active or run in self._line or run in self._loading

    def look(self) -> None:
        """Look into the inbox now: something was put there by this process."""
        self._watcher.look()

    async def idle(self, *, asleep: bool = True) -> None:
        """Return once nothing is left to do here: every run has ended, or waits for somebody.

        Runs that sleep count as work, if `asleep`, when this engine has seen them go to sleep or was given them.
        """
        self.waiters.check()
        while self._at_work(asleep):
            self._quiet.clear()
            await self._quiet.wait()
            self.waiters.check()

    def _at_work(self, asleep: bool) -> bool:  # noqa: FBT001 - handed on
        runs = self._active or self._loading or self._line or self._ending
        later = asleep and (self._audience.asleep or self._queues.has_work)
        return bool(runs or later) or self._watcher.is_busy or self._queues.is_busy

    async def close(self) -> None:
        """Stop working. Runs stay as the journal has them; attempts under way are cancelled and their end awaited.

        An attempt that ignores its cancellation is not waited for longer than a few seconds.
        """
        self._closing = True
        if self._failure is None:
            for active in self._active.values():
                active.save_spending()
        self._stop()
        self.waiters.fail(
            StorageUnavailable("Podium has been closed; the run goes on when it is opened again.")
        )
        own: list[asyncio.Task[Any]] = [*self._loading.values(), *self._watching]
        for task in own:
            task.cancel()
        # Attempts are cancelled by now; a second time would tear them out of their clean-up.
        await end_of_all([*own, *self._attempts], _PATIENCE)

    # runs come and go

    def _take_up(self, run_id: RunId) -> None:
        if run_id not in self._active:
            self._line.add(run_id)

    @property
    def _free(self) -> int:
        return self._settings.max_active_runs - len(self._active) - len(self._loading)

    def _admit(self) -> None:
        free = self._free
        while not self._stopped and self._line.may_enter(free):
            run_id, fresh = self._line.pop()
            if fresh is not None:
                self._activate(LoadedRun(fresh, (), is_new=True))
            elif not any(run_id in busy for busy in (self._loading, self._active, self._ending)):
                # Only a run that nobody is about to change is read; what is read is then so.
                self._loading[run_id] = asyncio.get_running_loop().create_task(self._load(run_id))
            free -= 1
        self._queues.roomier()

    def _room(self) -> int:
        taken = len(self._active) + len(self._loading) + len(self._line)
        return 0 if self._stopped else self._settings.max_active_runs - taken

    def _call_in(self, run_id: RunId) -> None:
        self._take_up(run_id)
        self._admit()

    async def _load(self, run_id: RunId) -> None:
        try:
            loaded = await self._journal.load(run_id)
            if loaded is None:
                self._watcher.take_mail(run_id)
            elif not self._stopped and run_id not in self._active:
                self._activate(loaded)
        except Exception as error:  # noqa: BLE001 - a run that cannot be loaded must not be left out in silence
            self._fail(error)
        finally:
            self._loading.pop(run_id, None)
            self._quiet.set()
            asyncio.get_running_loop().call_soon(self._admit)

    def _activate(self, loaded: LoadedRun) -> None:
        run = loaded.run
        kinds = [delivery.kind for delivery in self._watcher.mail(run.id)]
        if run.state is not RunState.BLOCKED:
            # It has moved since; to try a failed run again takes somebody's word.
            self._unblocked.discard(run.id)
        elif run.id in self._unblocked:
            kinds.append(DeliveryKind.RETRY)
        match course_for(run.state, kinds, has_begun=not loaded.is_new):
            case Course.DROP_MAIL:
                self._drop_mail(run)
                # Whoever waits for it read an older row.
                self.waiters.moved(last_move(run))
            case Course.CANCEL:
                self._move_without_code(run, RunState.CANCELLED, self._watcher.take_mail(run.id))
            case Course.PAUSE:
                self._move_without_code(run, RunState.PAUSED, self._watcher.take_mail(run.id, _PAUSES))
            case Course.LEAVE:
                self.waiters.moved(last_move(run))
            case Course.BEGIN:
                self._bring_in(loaded, must_end=DeliveryKind.CANCEL in kinds)

    def _bring_in(self, loaded: LoadedRun, *, must_end: bool) -> None:
        run = loaded.run
        workflow = self._workflows.find(run.workflow, run.version)
        if workflow is None or not self._is_ours(run):
            self._watcher.disregard(run.id)
        elif self._queues.keeps(run):
            if self._queues.has_called(run.id):  # since it was read
                self._take_up(run.id)
            elif run.state is RunState.PAUSED:
                self._move_without_code(run, RunState.PENDING, self._watcher.take_mail(run.id, _PAUSES))
        else:
            self._enter(workflow, loaded, must_end=must_end)

    def _enter(self, workflow: AnyWorkflow, loaded: LoadedRun, *, must_end: bool) -> None:
        run, must_end = loaded.run, must_end and loaded.run.state is RunState.BLOCKED
        self._unblocked.discard(run.id)
        self._watcher.loaded(loaded.events)
        self._active[run.id] = active = ActiveRun(self._host, workflow, loaded, must_end=must_end)
        # From a callback and not from here: workflow code may not run inside a task of this loop.
        asyncio.get_running_loop().call_soon(self._begin, active)

    def _begin(self, active: ActiveRun) -> None:
        if not self._stopped:
            run = active.run
            # Answered by beginning, or a run that fails again at once would find the request and begin for ever.
            retries = (DeliveryKind.RETRY,) if run.state in {RunState.FAILED, RunState.BLOCKED} else ()
            active.begin(taking(self._watcher.take_mail(run.id, retries)) if retries else ())
            self._hand_over(run.id)
            active.go_on()

    def _is_ours(self, run: Run) -> bool:
        only = self._only
        wanted = only is None or run.id == only or (run.parent is not None and run.id.startswith(f"{only}/"))
        return wanted and self._workflows.find(run.workflow, run.version) is not None

    def _drop_mail(self, run: Run) -> None:
        changes = answer_of_ended(run, self._watcher.take_mail(run.id), self._clock())
        if changes:
            self._ending.add(run.id)
            self._journal.commit(changes, partial(self._has_answered, run.id))

    def _has_answered(self, run_id: RunId) -> None:
        self._watcher.look()
        self._ending.discard(run_id)
        self._left(run_id, None)

    def _move_without_code(self, run: Run, state: RunState, mail: Iterable[Delivery]) -> None:
        at, ends = self._clock(), state is RunState.CANCELLED
        error = ErrorRecord(RunCancelled.__name__, "the run was cancelled") if ends else None
        also = [*taking(mail), *(end_of_run(run, None, error, at) if ends else ())]
        waiting_on = PAUSED if state is RunState.PAUSED else None
        move = MoveRun(run.id, state, at, run.spending, error=error, waiting_on=waiting_on)
        moved = RunMoved(run.id, run.workflow, state, at, run.spending, waiting_on, error)
        self._ending.add(run.id)

        def done() -> None:
            self._tell(moved)
            self._has_answered(run.id)

        self._journal.commit([move, *also], done)

    def _left(self, run_id: RunId, wake_at: float | None) -> None:
        left = self._active.pop(run_id, None)
        self._queues.left(run_id, None if left is None else left.run)
        if wake_at is not None and not self._stopped:
            self._watcher.look_at(wake_at)
        if self._watcher.has_mail(run_id) or run_id in self._unblocked:
            # That came too late for the run as it was in memory.
            self._take_up(run_id)
        self._admit()
        self._quiet.set()

    # what comes from outside

    async def _watch(self, watch: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await watch()
        except Exception as error:  # noqa: BLE001 - without its watcher the engine would wait for ever
            self._fail(error)

    def _wanted(self, run_id: RunId) -> None:
        if run_id not in self._active:
            self._line.add_urgent(run_id)
        self._hand_over(run_id)

    def _looked(self) -> None:
        self._admit()
        self._quiet.set()

    def _hand_over(self, run_id: RunId) -> None:
        active = self._active.get(run_id)
        if active is not None and active.takes_deliveries:
            for delivery in self._watcher.take_mail(run_id):
                active.accept(delivery)

    # telling

    def _tell(self, happening: Happening) -> None:
        if isinstance(happening, EntryMade) and happening.entry.run in self._active:
            self._queues.note(self._active[happening.entry.run].run, happening.entry)
        self._audience.tell(happening)

    @property
    def _stopped(self) -> bool:
        return self._closing or self._failure is not None

    def _fail(self, error: Exception) -> None:
        if self._failure is not None:
            return
        self._failure = error
        if not isinstance(error, StorageUnavailable):
            # The storage has told of its own failure already.
            _log.error("the engine stopped", exc_info=error)
        self._stop()
        self.waiters.fail(error)

    def _stop(self) -> None:
        self._watcher.stop()
        self._queues.stop()
        for active in self._active.values():
            active.close()
        self._active.clear()
        self._line.clear()
        self._quiet.set()
