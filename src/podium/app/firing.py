"""The firing loop: starts the runs of schedules that are due and of events that were emitted."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, assert_never

from podium.domain.errors import StateConflict, StorageUnavailable
from podium.domain.runs import DEFAULT_TENANT, Run
from podium.domain.states import TERMINAL_RUN_STATES
from podium.domain.triggers import (
    CLOCK_FAULT,
    Emitted,
    Overlap,
    TriggerState,
    due,
    event_run_id,
    scheduled_run_id,
)
from podium.flow.failures import error_record
from podium.flow.triggers import OnEvent, Schedule, Trigger, by_trigger_name
from podium.storage import triggers as stored

if TYPE_CHECKING:
    from podium.app.runs import Runs
    from podium.domain.ids import RunId
    from podium.flow.workflows import Workflow
    from podium.ports.storage import Storage

_log = logging.getLogger(__name__)
_PAGE = 100
_PAUSE_AFTER_FAULT = 60.0
_SHORTEST = 0.001


class Submit(Protocol):
    """Starts a run of encoded input under an id, once; see `Podium.submit`."""

    def __call__(
        self, workflow: Workflow[Any, Any], encoded: bytes, run_id: str | None, trigger: str | None
    ) -> Coroutine[Any, Any, tuple[Run, bool]]:
        """Return the stored run and whether it is new."""
        ...


def declared_states(triggers: Sequence[Trigger], now: float, source: str | None) -> list[TriggerState]:
    """Return triggers as they begin, `now` in seconds since the epoch; `source` is the file that declares them."""
    return [_begun(trigger, now, source) for trigger in triggers]


def _begun(trigger: Trigger, now: float, source: str | None) -> TriggerState:
    rules = trigger.rules if isinstance(trigger, Schedule) else None
    return TriggerState(
        name=trigger.name,
        kind=trigger.kind,
        spec=trigger.spec,
        workflow=trigger.workflow.name,
        mark=now,
        timetable=None if rules is None else rules.timetable,
        source=source,
        next_at=None if rules is None else rules.next_due(trigger.name, now),
    )


class Firing:
    """Fires triggers until it is closed; one task on the event loop that called `start`.

    A firing is written ahead, then its run is started under an id that follows from trigger and time (or event), then
    it is confirmed: a crash in between repeats it, harmlessly. `source` is the file that declares the triggers;
    `poll_interval` is in seconds; `version` returns a number that is another one after anything was written to the
    database; `clock` returns seconds since the epoch and may be set at any time.
    """

    def __init__(
        self,
        triggers: Sequence[Trigger],
        storage: Storage,
        runs: Runs,
        submit: Submit,
        *,
        source: str | None = None,
        poll_interval: float = 0.2,
        version: Callable[[], int] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._triggers = by_trigger_name(tuple(triggers))
        self._storage = storage
        self._runs = runs
        self._submit = submit
        self._source = source
        self._poll_interval = poll_interval
        self._version = version
        self._clock = clock
        self._looked_at = 0.0
        self._seen: int | None = None
        self._look = asyncio.Event()
        self._quiet = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        # For each schedule the mark that it was looked at with, and when the firing after that is due.
        self._next: dict[str, tuple[float, float]] = {}

    async def start(self) -> None:
        """Store the triggers as they are declared now, and begin to fire them."""
        declared = declared_states(tuple(self._triggers.values()), self._clock(), self._source)
        await self._storage.write(
            partial(stored.take_up, declared=declared, source=self._source, tenant=DEFAULT_TENANT)
        )
        self._look.set()
        self._task = asyncio.get_running_loop().create_task(self._watch(), name="podium triggers")

    def look(self) -> None:
        """Look now: an event was emitted, or a trigger paused, resumed or fired."""
        self._quiet.clear()
        self._look.set()

    @property
    def is_busy(self) -> bool:
        """Whether it is firing, or about to look whether it should."""
        return self._task is not None and not self._task.done() and not self._quiet.is_set()

    @property
    def next_due(self) -> float | None:
        """When the next scheduled firing is due, in seconds since the epoch; None without schedules."""
        return min((at for _, at in self._next.values()), default=None)

    async def quiet(self) -> None:
        """Return once everything that was emitted or due by now has been dealt with."""
        if self._task is not None and self.is_busy:
            waiting = asyncio.ensure_future(self._quiet.wait())
            await asyncio.wait([waiting, self._task], return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()

    async def close(self) -> None:
        """Fire nothing more. A firing under way is confirmed, or repeated at the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _watch(self) -> None:
        while True:
            self._look.clear()
            self._looked_at = self._clock()
            try:
                # Before the look: what is written during it is looked at again.
                self._seen = self._version and self._version()
                await self._pass()
                if not self._look.is_set():
                    self._quiet.set()
                await self._news()
            except StorageUnavailable as error:
                # The engine stops with the same error and tells everybody who waits.
                _log.error("no trigger fires any more: %s", error)
                return
            except Exception:  # noqa: BLE001 - logged; a faulty look must not end all the later ones
                _log.exception("a look at the triggers failed; the next one follows")
                self._quiet.set()
                await asyncio.sleep(self._poll_interval)

    async def _news(self) -> None:
        """Return when somebody said so, a firing is due, something was written, or the clock was set back."""
        following = float("inf") if self.next_due is None else self.next_due
        while True:
            wait = min(max(following - self._clock(), _SHORTEST), self._poll_interval)
            try:
                async with asyncio.timeout(wait):
                    await self._look.wait()
                    return
            except TimeoutError:
                if not self._looked_at <= self._clock() < following or self._is_changed():
                    return

    def _is_changed(self) -> bool:
        return self._version is None or self._version() != self._seen

    async def _pass(self) -> None:
        found = await self._storage.read(partial(stored.list_triggers, tenant=DEFAULT_TENANT))
        states = {state.name: state for state in found if state.name in self._triggers}
        for state in states.values():
            trigger = self._triggers[state.name]
            if isinstance(trigger, Schedule):
                states[state.name] = await self._guarded(trigger, state)
        await self._take_events(states)

    # schedules

    async def _guarded(self, schedule: Schedule, state: TriggerState) -> TriggerState:
        try:
            return await self._fire_due(schedule, state)
        except StorageUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - recorded and shown; the other triggers go on
            # Not at once again, or a fault would keep the loop from the triggers that work.
            self._next[state.name] = (state.mark, self._clock() + _PAUSE_AFTER_FAULT)
            _log.exception("trigger %r could not be looked at; it is again in a minute", state.name)
            return await self._saved(self._failed(state, error))

    async def _fire_due(self, schedule: Schedule, state: TriggerState) -> TriggerState:
        if state.firing is not None:
            # Written ahead by a process that did not come to confirm it.
            state = await self._start(schedule, state, state.firing)
        if state.paused:
            self._next.pop(state.name, None)
            return state
        now = self._clock()
        if state.mark > now + CLOCK_FAULT:
            # The clock was far ahead once. Runs that exist are not started again: their ids say so.
            state = replace(state, mark=now)
        mark, following = self._next.get(state.name, (None, 0.0))
        if mark == state.mark and now < following:
            return state
        plan = due(schedule.rules, state.name, state.mark, now)
        for scheduled in plan.fire:
            is_open = await self._open_run(schedule, state)
            if is_open is not None and schedule.rules.overlap is Overlap.QUEUE:
                # Looked at again at the next look, and then as late as it is by then.
                self._next.pop(state.name, None)
                return state
            missed = plan.missed if scheduled == plan.fire[0] else 0
            state = replace(state, mark=scheduled, missed=state.missed + missed)
            self._tell_missed(state.name, missed)
            if is_open is None:
                state = await self._start(schedule, state, scheduled)
            elif schedule.rules.overlap is Overlap.SKIP:
                state = replace(state, skipped=state.skipped + 1)
                _log.info("trigger %r starts no run: run %r is still open", state.name, is_open)
            else:
                await self._cancel(is_open)
                state = await self._start(schedule, state, scheduled)
        if not plan.fire and plan.missed:
            state = replace(state, missed=state.missed + plan.missed)
            self._tell_missed(state.name, plan.missed)
        return await self._with_next(schedule, replace(state, mark=plan.mark))

    async def _with_next(self, schedule: Schedule, state: TriggerState) -> TriggerState:
        following = schedule.rules.next_due(state.name, state.mark)
        self._next[state.name] = (state.mark, following)
        return await self._saved(replace(state, next_at=following))

    async def _open_run(self, schedule: Schedule, state: TriggerState) -> RunId | None:
        if schedule.rules.overlap is Overlap.ALLOW or state.last_run is None:
            return None
        run = await self._runs.find(state.last_run)
        return None if run is None or run.state in TERMINAL_RUN_STATES else run.id

    async def _cancel(self, run: RunId) -> None:
        try:
            await self._runs.cancel(run)
        except StateConflict:
            # It has ended meanwhile.
            return

    async def _start(self, schedule: Schedule, state: TriggerState, scheduled: float) -> TriggerState:
        state = await self._saved(replace(state, firing=scheduled))
        run_id = scheduled_run_id(state.name, scheduled)
        began = await self._begin(schedule, schedule.input, run_id)
        return await self._saved(replace(self._progress(state, began), firing=None))

    # events

    async def _take_events(self, states: dict[str, TriggerState]) -> None:
        listed = partial(stored.list_emitted, known=self._triggers, limit=_PAGE, tenant=DEFAULT_TENANT)
        while events := await self._storage.read(listed):
            fired = [
                (trigger.name, self._fire_event(trigger, event))
                for event in events
                for trigger in self._listeners(event, states)
            ]
            ends = await asyncio.gather(*(work for _, work in fired))
            changed: dict[str, TriggerState] = {}
            for (name, _), end in zip(fired, ends, strict=True):
                states[name] = changed[name] = self._progress(states[name], end)
            await self._storage.write(
                partial(stored.take_emitted, events=events, progress=list(changed.values()))
            )

    def _listeners(self, event: Emitted, states: dict[str, TriggerState]) -> Sequence[Trigger]:
        if event.trigger is not None:
            return [self._triggers[event.trigger]]
        return [
            trigger
            for trigger in self._triggers.values()
            if isinstance(trigger, OnEvent)
            and trigger.event == event.name
            and not states[trigger.name].paused
            and trigger.matches(event.payload)
        ]

    async def _fire_event(self, trigger: Trigger, event: Emitted) -> Run | Exception:
        try:
            match trigger:
                case Schedule():
                    encoded, same = trigger.input, None
                case OnEvent():
                    encoded, same = trigger.input(event.payload), trigger.same(event.payload)
                case _:
                    assert_never(trigger)
        except Exception as error:  # noqa: BLE001 - whatever an event holds, the others are not kept waiting
            return error
        return await self._begin(trigger, encoded, event_run_id(trigger.name, event.id, same))

    # both

    async def _begin(self, trigger: Trigger, encoded: bytes, run_id: RunId) -> Run | Exception:
        try:
            run, _ = await self._submit(trigger.workflow, encoded, run_id, trigger.name)
        except StorageUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - it is recorded, shown, and keeps no other trigger from firing
            return error
        return run

    def _progress(self, state: TriggerState, end: Run | Exception) -> TriggerState:
        if isinstance(end, Exception):
            _log.error("trigger %r started no run: %s", state.name, end)
            return self._failed(state, end)
        return replace(state, last_at=self._clock(), last_run=end.id, error=None, error_at=None)

    def _failed(self, state: TriggerState, error: Exception) -> TriggerState:
        return replace(state, error=error_record(error), error_at=self._clock())

    async def _saved(self, state: TriggerState) -> TriggerState:
        await self._storage.write(partial(stored.save_progress, state=state))
        return state

    def _tell_missed(self, name: str, missed: int) -> None:
        if missed:
            _log.warning("trigger %r: %d firings came too late and are left out", name, missed)
