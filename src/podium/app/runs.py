"""Use-cases on stored runs: find, list, count, cancel, show. They work beside a process that owns the database."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from functools import partial

from podium.app.timeline import Timeline, timeline_of
from podium.domain.errors import StateConflict, UnknownRun
from podium.domain.ids import RunId
from podium.domain.inbox import Delivery, DeliveryKind
from podium.domain.runs import DEFAULT_TENANT, Run, Spending
from podium.domain.states import TERMINAL_RUN_STATES, RunState
from podium.ports.storage import Storage
from podium.storage import entries, inbox, runs


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
        *,
        states: Collection[RunState] | None = None,
        workflow: str | None = None,
        limit: int = 50,
        after: Run | None = None,
    ) -> Sequence[Run]:
        """Return up to `limit` runs, newest first; the next page follows run `after`."""
        query = partial(
            runs.list_runs, tenant=self._tenant, states=states, workflow=workflow, limit=limit, after=after
        )
        return await self._storage.read(query)

    async def counts(self) -> Mapping[RunState, int]:
        """Return how many runs are in each state."""
        return await self._storage.read(partial(runs.count_by_state, tenant=self._tenant))

    async def spending(self) -> Spending:
        """Return what all runs used together."""
        return (await self._storage.read(partial(runs.totals, tenant=self._tenant))).spending

    async def timeline(self, run_id: str, *, generation: int | None = None) -> Timeline:
        """Return what happened in a run, or in an earlier `generation` of it; raises `UnknownRun`."""
        run = await self.get(run_id)
        query = partial(entries.entries, run=run.id, generation=generation)
        return timeline_of(run, await self._storage.read(query))

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
