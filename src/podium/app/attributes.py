"""Carries out `set_attributes`: writes what a run's code says that the run is to be found by."""

from __future__ import annotations

from functools import partial

from podium.domain.operations import Execute
from podium.ports.execution import AttemptContext
from podium.ports.storage import Storage
from podium.storage.attributes import set_attributes


class AttributeExecutor:
    """Sets attributes in `storage`. Doing it again, after a crash, changes nothing."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def execute(self, request: Execute, context: AttemptContext) -> None:
        """Set the attributes that are the request's arguments; raises `InvalidInput` when the run has too many."""
        await self._storage.write(partial(set_attributes, run=context.run, given=request.arguments))
