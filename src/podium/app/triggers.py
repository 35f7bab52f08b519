"""Use-cases on triggers and events: list, show, pause, resume, fire, emit. They work beside the owning process."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from podium.domain.errors import InvalidInput
from podium.domain.runs import DEFAULT_TENANT
from podium.domain.triggers import Emission, Emitted, TriggerKind, TriggerState
from podium.storage import triggers

if TYPE_CHECKING:
    from podium.domain.operations import Execute
    from podium.ports.execution import AttemptContext
    from podium.ports.storage import Storage


class Triggers:
    """The triggers of one tenant, as a process has last taken them up.

    `told` is called when there is news for them; `clock` returns seconds since the epoch.
    """

    def __init__(
        self,
        storage: Storage,
        told: Callable[[], None] = lambda: None,
        tenant: str = DEFAULT_TENANT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._told = told
        self._tenant = tenant

    async def list(self) -> Sequence[TriggerState]:
        """Return all triggers by name."""
        return await self._storage.read(partial(triggers.list_triggers, tenant=self._tenant))

    async def get(self, name: str) -> TriggerState:
        """Return the trigger of this name; raises `UnknownTrigger`."""
        return await self._storage.read(partial(triggers.get_trigger, name=name, tenant=self._tenant))

    async def pause(self, name: str) -> TriggerState:
        """Let a trigger start no runs until it is resumed; raises `UnknownTrigger`."""
        await self._storage.write(partial(triggers.pause, name=name, tenant=self._tenant))
        self._told()
        return await self.get(name)

    async def resume(self, name: str) -> TriggerState:
        """Let a trigger go on from now, without what it would have fired meanwhile; raises `UnknownTrigger`."""
        await self._storage.write(partial(triggers.resume, name=name, now=self._clock(), tenant=self._tenant))
        self._told()
        return await self.get(name)

    async def fire(self, name: str, payload: bytes | None = None) -> TriggerState:
        """Have a trigger start a run now, paused or not, whatever runs are open; raises `UnknownTrigger`.

        A trigger on events takes the event's `payload` (UTF-8 JSON), a schedule has its own input. Raises
        `InvalidInput` when the other is given.
        """
        state = await self.get(name)
        if (payload is None) != (state.kind is TriggerKind.SCHEDULE):
            wanted = "has its own input" if payload is not None else "needs the event's payload"
            raise InvalidInput(f"trigger {name!r} {wanted}: it fires on {state.spec}.")
        event = Emitted(name, payload or b"null", self._clock(), trigger=state.name, tenant=self._tenant)
        await self._storage.write(partial(triggers.add_emitted, event=event))
        self._told()
        return state

    async def emit(self, emission: Emission, tenant: str | None = None) -> bool:
        """Emit an event of `tenant`, or this one, durably; return whether it is new.

        Raises `UnknownRun` for a run that the tenant does not have, and then no run has the event; `InvalidInput` for an
        event to the triggers of another tenant.
        """
        of = tenant or self._tenant
        if of != self._tenant and not emission.to:
            raise InvalidInput(
                f"event {emission.name!a} of tenant {of!a} has no triggers to go to: they start runs of tenant "
                f"{self._tenant!a} alone. Name the runs that it is for with to=..."
            )
        change = partial(triggers.emit, emission=emission, at=self._clock(), tenant=of)
        is_new = await self._storage.write(change)
        self._told()
        return is_new


class Emitting:
    """Carries out the verb `emit`: an operation whose effect is a row in this database."""

    def __init__(self, triggers: Triggers) -> None:
        self._triggers = triggers

    async def execute(self, request: Execute, context: AttemptContext) -> Any:
        """Emit what `request` says, once for all attempts of the operation; raises `UnknownRun`."""
        emission: Emission = request.target
        once = replace(emission, dedupe=emission.dedupe or context.idempotency_key)
        await self._triggers.emit(once, context.tenant)
