"""`emit`: an event from a workflow to other runs, or to whichever triggers listen for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from podium.domain.errors import InvalidInput
from podium.domain.ids import RunId, checked_run_id
from podium.domain.operations import Execute, Intent, OperationKind
from podium.domain.retries import RetryPolicy
from podium.domain.triggers import Emission
from podium.domain.values import TypedCodec, fingerprint
from podium.flow.signatures import checked_name
from podium.ports.run import current_run

_MOST_RUNS = 1000
_NOTHING = TypedCodec(None, "the result of emit()")


async def emit(
    name: str, payload: Any = None, *, to: str | Sequence[str] | None = None, dedupe: str | None = None
) -> None:
    """Emit an event, durably and once: to the runs `to` or, without, to every trigger that listens for `name`.

    `payload` is a pydantic model, a dataclass or plain JSON types. What was emitted before with the same `dedupe` key is not emitted
    again; without one, this call in this run is its key. Raises `UnknownRun` when there is no such run,
    `InvalidInput` or `NotSerialisable` for what cannot be sent, and `NotInRun` outside a run.
    """
    run = current_run("emit()", "outside workflows use app.emit(...).")
    emission = emission_of(name, payload, to, dedupe)
    asked = {
        "name": emission.name,
        "payload": emission.payload.decode(),
        "to": list(emission.to),
        "dedupe": dedupe,
    }
    mark = fingerprint(asked, "an argument of emit()")
    await run.perform(
        Intent(OperationKind.EMIT, emission.name, mark, Execute(emission, {}, RetryPolicy()), _NOTHING)
    )


def emission_of(name: str, payload: Any, to: str | Sequence[str] | None, dedupe: str | None) -> Emission:
    """Return what is emitted, checked; raises `InvalidInput` or `NotSerialisable` when it cannot be stored."""
    runs: tuple[RunId, ...] = ()
    if to is not None:
        runs = tuple(dict.fromkeys(checked_run_id(run) for run in ([to] if isinstance(to, str) else to)))
        if not 1 <= len(runs) <= _MOST_RUNS:
            raise InvalidInput(f"emit({name!r}): to= names {len(runs)} runs; it takes 1 to {_MOST_RUNS}.")
    if dedupe is not None:
        checked_name(dedupe, "a dedupe key")
    typed = isinstance(payload, BaseModel) or dataclasses.is_dataclass(payload)
    codec = TypedCodec(type(payload) if typed else Any, f"the payload of event {name!r}")
    return Emission(checked_name(name, "an event"), codec.encode(payload), runs, dedupe)
