"""Executors: what carries out one attempt of an operation of a kind, outside the workflow's own loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from podium.domain.runs import DEFAULT_TENANT

if TYPE_CHECKING:
    from podium.domain.answers import CallAttempt
    from podium.domain.budgets import Budget
    from podium.domain.ids import RunId
    from podium.domain.operations import Execute, OperationKind
    from podium.domain.runs import Run


@dataclass(frozen=True, slots=True)
class AttemptContext:
    """What an attempt may know about itself.

    `idempotency_key` is the same for every attempt of the operation, before and after a crash. `attempt`
    counts from 1. `record` notes a model call in the journal as soon as it has been made, before the
    operation has an outcome. `publish` adds a chunk of UTF-8 JSON to the run's stream; it may be called from
    any thread. `workflow` and `tenant` are the run's. `supersede` marks there that what this attempt has published no
    longer counts; it is None where what is published cannot be taken back. `budget` is what its workflow lets each run
    spend.
    """

    run: RunId
    key: str
    attempt: int
    idempotency_key: str
    record: Callable[[CallAttempt], None]
    publish: Callable[[bytes], None]
    workflow: str = ""
    tenant: str = DEFAULT_TENANT
    supersede: Callable[[], None] | None = None
    budget: Budget | None = None

    @classmethod
    def of(
        cls,
        run: Run,
        key: str,
        attempt: int,
        idempotency_key: str,
        record: Callable[[CallAttempt], None],
        publish: Callable[[bytes], None],
        supersede: Callable[[], None] | None = None,
        budget: Budget | None = None,
    ) -> AttemptContext:
        """Return what an attempt of `run` may know."""
        return cls(
            run.id,
            key,
            attempt,
            idempotency_key,
            record,
            publish,
            run.workflow,
            run.tenant,
            supersede,
            budget,
        )


class Executor(Protocol):
    """Carries out operations of one kind."""

    async def execute(self, request: Execute, context: AttemptContext) -> Any:
        """Return the operation's value; raises `Terminal`, `Retryable` or any other exception on failure."""
        ...


Executors = Mapping["OperationKind", Executor]
"""One executor for each kind that does outside work."""
