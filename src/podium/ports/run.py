"""The run that workflow code is executing in, found from the event loop it runs on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

from podium.domain.errors import NotInRun

if TYPE_CHECKING:
    import uuid

    from podium.domain.ids import RunId
    from podium.domain.operations import Intent


class CurrentRun(Protocol):
    """What durable verbs need of the run around them."""

    @property
    def id(self) -> RunId:
        """The run's id."""
        ...

    def now(self) -> float:
        """Return the run's time in seconds since the epoch: when its latest journal entry was made."""
        ...

    def random(self) -> float:
        """Return the next of the run's random numbers, from 0 to 1."""
        ...

    def uuid(self) -> uuid.UUID:
        """Return the next of the run's random UUIDs (version 4)."""
        ...

    def patched(self, patch: str) -> bool:
        """Return whether the new code is to be taken at this place; see `podium.patched`."""
        ...

    def ask(self, intent: Intent) -> tuple[str, asyncio.Future[Any]]:
        """Ask for an operation; return its journal key and the future of its outcome."""
        ...

    def withdraw(self, key: str) -> None:
        """Wait no longer for the operation at journal key `key`."""
        ...

    async def perform(self, intent: Intent) -> Any:
        """Carry out an operation durably, or return its recorded outcome; raises what it failed with."""
        ...


RUN_ATTRIBUTE = "podium_run"
"""The attribute by which a deterministic event loop names its run."""


def in_run() -> bool:
    """Return whether it is workflow code that is executing."""
    return getattr(asyncio._get_running_loop(), RUN_ATTRIBUTE, None) is not None  # noqa: SLF001


def current_run(what: str, instead: str = "there is no other way to call it.") -> CurrentRun:
    """Return the run that is executing; raises `NotInRun` naming `what` was called and what to do `instead`."""
    # Looked up from the loop and not from a context variable: callbacks do not always carry the context.
    loop = asyncio._get_running_loop()  # noqa: SLF001 - the variant that returns None instead of raising
    run: CurrentRun | None = getattr(loop, RUN_ATTRIBUTE, None)
    if run is None:
        raise NotInRun(what, instead)
    return run
