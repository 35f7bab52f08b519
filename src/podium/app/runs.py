"""Use-cases on stored runs: find, list, count, label, cancel, show. They work beside a process that owns the database."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from podium.app.timeline import Timeline, timeline_of
from podium.domain.attributes import Attributes, AttributeValue, checked_attributes
from podium.domain.errors import InvalidInput, StateConflict, UnknownRun
from podium.domain.filter_language import filter_of
from podium.domain.filters import EVERYTHING, Filter, narrowed
from podium.domain.ids import RunId, checked_event_name
from podium.domain.inbox import Delivery, DeliveryKind
from podium.domain.journal import Entry, EntryType
from podium.domain.runs import DEFAULT_TENANT, Run, Spending
from podium.domain.settlements import Settlement, encode_settlement
from podium.domain.states import TERMINAL_RUN_STATES, RunState
from podium.domain.values import TypedCodec
from podium.ports.storage import Storage
from podium.storage import attributes, entries, inbox, runs
from podium.storage.in_flight import open_effects

_PAUSABLE = frozenset({RunState.PENDING, RunState.RUNNING, RunState.WAITING})
# A run that is about to pause is running still.
_RESUMABLE = frozenset({RunState.PAUSED, *_PAUSABLE})
_RETRIABLE = frozenset({RunState.FAILED, RunState.BLOCKED})
_TELLING = frozenset({EntryType.STARTED, EntryType.ATTEMPT, EntryType.DONE, EntryType.ERROR})


class Runs:
    """The runs of one tenant."""

    def __init__(self, storage: Storage, tenant: str = DEFAULT_TENANT) -> None:
        self._storage = storage
        self._tenant = tenant

    async def find(self, run_id: str) -> Run | None:
        """Return the run with this id, or None."""
        return await self._storage.read(partial(runs.get_run, run=RunId(run_id), tenant=self._tenant))

    async def get(self, run_id: str) -> Run:
        """Return the run with this id; raises `UnknownRun`."""
        run = await self.find(run_id)
        if run is None:
            raise UnknownRun(f"there is no run {run_id!a}. See `podium runs list`.")
        return run

    async def list(
        self,
        filter: str | Filter = EVERYTHING,
        *,
        states: Collection[RunState] | None = None,
        workflow: str | None = None,
        limit: int = 50,
        after: Run | None = None,
    ) -> Sequence[Run]:
        """Return up to `limit` runs that match `filter`, newest first; the next page follows run `after`.

        `filter` is text such as `state:failed attr.customer=42`, or what was read from it. `states` and
        `workflow` narrow it. Raises `InvalidInput` when the text is no filter.
        """
        wanted = narrowed(filter_of(filter), states=states, workflow=workflow)
        query = partial(runs.list_runs, tenant=self._tenant, filter=wanted, limit=limit, after=after)
        return await self._storage.read(query)

    async def count(self, filter: str | Filter = EVERYTHING) -> int:
        """Return how many runs match `filter`; see `list`."""
        query = partial(runs.count_runs, tenant=self._tenant, filter=filter_of(filter))
        return await self._storage.read(query)

    async def attributes(self, run_ids: Collection[RunId]) -> Mapping[RunId, Attributes]:
        """Return the attributes of these runs; runs that have none are left out."""
        return await self._storage.read(
            partial(attributes.attributes_of, run_ids=run_ids, tenant=self._tenant)
        )

    async def set_attributes(
        self, run_id: str, given: Mapping[str, AttributeValue | None], *, replace: bool = True
    ) -> None:
        """Set attributes of a run, remove those that are None, and leave set ones alone unless they may be replaced.

        Raises `UnknownRun`, and `InvalidInput` for names, values or a number of them that cannot be stored.
        """
        checked = checked_attributes(given)
        run = await self.get(run_id)
        change = partial(attributes.set_attributes, run=run.id, given=checked, replace=replace)
        await self._storage.write(change)

    async def counts(self) -> Mapping[RunState, int]:
        """Return how many runs are in each state."""
        return await self._storage.read(partial(runs.count_by_state, tenant=self._tenant))

    async def spending(self) -> Spending:
        """Return what all runs used together."""
        return (await self._storage.read(partial(runs.totals, tenant=self._tenant))).spending

    async def open_by_version(self) -> Mapping[tuple[str, str], int]:
        """Return how many runs of each workflow and version have not ended."""
        return await self._storage.read(partial(runs.open_by_version, tenant=self._tenant))

    async def timeline(self, run_id: str, *, generation: int | None = None) -> Timeline:
        """Return what happened in a run, or in an earlier `generation` of it.

        Raises `UnknownRun`, and `InvalidInput` for a generation that the run has not had.
        """
        run = await self.get(run_id)
        if generation is not None and not 0 <= generation <= run.generation:
            raise InvalidInput(f"run {run.id!a} has generations 0 to {run.generation}, no {generation}.")
        query = partial(entries.entries, run=run.id, generation=generation)
        journal = await self._storage.read(query)
        effects = await self._storage.read(partial(open_effects, wanted=[run.id]))
        told = timeline_of(run, journal, effects.get(run.id, ()), generation)
        return replace(told, attributes=(await self.attributes([run.id])).get(run.id, {}))

    async def journal(self, run_id: str) -> Sequence[Entry]:
        """Return every entry of a run's present journal, in `seq` order; raises `UnknownRun`."""
        run = await self.get(run_id)
        return list(await self._storage.read(partial(entries.entries, run=run.id)))

    async def root(self, run_id: str) -> Run:
        """Return the run that `run_id` is part of: itself, or the one that its line of parents begins with."""
        run = await self.get(run_id)
        while run.parent is not None:
            run = await self.get(run.parent.run)
        return run

    async def has_mail(self, run_id: str) -> bool:
        """Return whether the run's inbox holds something, such as a decision, that no process has taken yet."""
        query = partial(inbox.list_deliveries, run=RunId(run_id), limit=1)
        return bool(await self._storage.read(query))

    async def send_event(
        self, run_id: str, name: str, payload: Any = None, *, dedupe: str | None = None
    ) -> bool:
        """Send an event to a run, which keeps it until its code waits for one of that name.

        `payload`: plain JSON types or a pydantic model. `dedupe`: a key by which the same event sent again is
        known and dropped. Returns whether it was new. Raises `UnknownRun`, `NotSerialisable`, `InvalidInput` for
        a name or key that cannot be used, and `StateConflict` when the run has ended.
        """
        if dedupe is not None:
            checked_event_name(dedupe)
        run = await self.get(run_id)
        if run.state in TERMINAL_RUN_STATES:
            raise StateConflict(f"run {run.id!a} takes no events any more: it is {run.state}.")
        content = TypedCodec(type(payload), f"the payload of event {name!a}").encode(payload)
        event = Delivery(run.id, DeliveryKind.EVENT, "", content, time.time(), name=checked_event_name(name))
        return await self._storage.write(partial(inbox.accept_event, event=event, dedupe=dedupe))

    async def pause(self, run_id: str) -> Run:
        """Ask for a run to be paused: attempts under way end, nothing more is begun until it is resumed.

        Raises `UnknownRun`, and `StateConflict` when the run has ended, is blocked or is paused already.
        """
        return await self._tell(run_id, DeliveryKind.PAUSE, _PAUSABLE, "paused")

    async def resume(self, run_id: str) -> Run:
        """Ask for a paused run to go on. Raises `UnknownRun`, and `StateConflict` when it is not paused."""
        return await self._tell(run_id, DeliveryKind.RESUME, _RESUMABLE, "resumed")

    async def retry(self, run_id: str) -> Run:
        """Ask for a failed run to go on from what failed, or for a blocked one to be tried with the code as it is.

        What has completed is kept; what failed, and what was undone by compensation, is done again. Raises
        `UnknownRun`, and `StateConflict` when the run is neither failed nor blocked.
        """
        return await self._tell(run_id, DeliveryKind.RETRY, _RETRIABLE, "retried")

    async def settle(self, run_id: str, settlement: Settlement, key: str | None = None) -> Run:
        """Say what became of a step whose outcome is unknown, so that its run, which is blocked by it, goes on.

        `key`: the step's journal key; may be left out when there is only one such step. Raises `UnknownRun`,
        `StateConflict` when the run is not blocked by such a step, `InvalidInput` when a key must be given.
        """
        run = await self.get(run_id)
        begun = {
            entry.key: entry.type
            for entry in await self._storage.read(partial(entries.entries, run=run.id))
            if entry.type in _TELLING
        }
        unknown = [key for key, last in begun.items() if last is EntryType.STARTED]
        if run.state is not RunState.BLOCKED or not unknown:
            raise StateConflict(
                f"run {run.id!a} ({run.state}) has no step whose outcome is unknown, so there is nothing to settle."
            )
        if key is None and len(unknown) > 1:
            raise InvalidInput(
                f"several steps of run {run.id!a} have no known outcome; name one: {', '.join(unknown)}."
            )
        if key is not None and key not in unknown:
            raise InvalidInput(
                f"{key!a} is no step whose outcome is unknown; run {run.id!a} has {', '.join(unknown)}."
            )
        payload = encode_settlement(settlement)
        delivery = Delivery(run.id, DeliveryKind.SETTLE, key or unknown[0], payload, time.time())
        await self._storage.write(partial(inbox.deliver, delivery=delivery))
        return run

    async def _tell(self, run_id: str, kind: DeliveryKind, states: Collection[RunState], to_be: str) -> Run:
        run = await self.get(run_id)
        if run.state not in states:
            raise StateConflict(f"run {run.id!a} cannot be {to_be}: it is {run.state}.")
        delivery = Delivery(run.id, kind, "", b"null", time.time())
        await self._storage.write(partial(inbox.deliver, delivery=delivery))
        return run

    async def cancel(self, run_id: str) -> Run:
        """Ask for a run to be cancelled; whoever owns the database does it, now or when it is next started.

        Raises `UnknownRun`, and `StateConflict` when the run has ended.
        """
        run = await self.get(run_id)
        if run.state in TERMINAL_RUN_STATES:
            raise StateConflict(f"run {run.id!a} cannot be cancelled: it is {run.state} already.")
        delivery = Delivery(run.id, DeliveryKind.CANCEL, "", b"null", time.time())
        await self._storage.write(partial(inbox.deliver, delivery=delivery))
        return run
