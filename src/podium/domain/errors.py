"""Everything Podium raises. Three families: `Terminal`, `Retryable`, `ControlFlow`.

Each message says what happened, to which run or step, and what to do next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class PodiumError(Exception):
    """Base of every error that Podium raises on purpose."""


class Terminal(PodiumError):
    """Trying again unchanged cannot help. A step that raises it is not retried."""


class Retryable(PodiumError):
    """Trying again later may help. `retry_after` is the least wait in seconds, when known."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        known = retry_after is not None and 0 <= float(retry_after) < float("inf")
        self.retry_after = float(retry_after) if retry_after is not None and known else None


class ControlFlow(PodiumError):
    """Carries control, not failure; never caught by user code on purpose."""


class ContinueAsNew(ControlFlow):
    """Ends a run's present journal: it goes on as new, with these arguments. Raised by `continue_as_new`."""

    def __init__(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        super().__init__("the run goes on as new")
        self.arguments = args
        self.keywords = kwargs


class InvalidInput(Terminal):
    """What the caller gave cannot be used; nothing was started or changed."""


class RecordingUnusable(InvalidInput):
    """What a model answered cannot be replayed or recorded as was asked; no other model answers in its place."""


class InvalidDefinition(Terminal):
    """A workflow, step or prompt is declared wrongly; raised at the line that declares it."""


class NotInRun(Terminal):
    """A durable verb was called outside a run, where nothing would have been recorded."""

    def __init__(self, what: str, instead: str) -> None:
        super().__init__(
            f"{what} was called outside a run, where it would not be durable. "
            f"Call it from a function decorated with @workflow and start that with app.start(...); {instead}"
        )


class NotSerialisable(Terminal):
    """A value cannot cross a step because it cannot be stored. `path` names the offending field."""

    def __init__(self, where: str, path: str, problem: str) -> None:
        super().__init__(
            f"{where} cannot be stored: {path} {problem}. "
            "Use a pydantic model, a dataclass or plain JSON types, and declare it in the annotation."
        )
        self.path = path


class UnknownRun(Terminal):
    """No run has this id."""


class UnknownReview(Terminal):
    """No review has this id."""


class UnknownTrigger(Terminal):
    """No trigger has this name."""


class UnknownModel(Terminal):
    """No model of this name is offered; the message says why, or which are."""


class UnknownKey(Terminal):
    """No key has this name."""


class ReviewClosed(Terminal):
    """The review takes no decision any more; the message says why and what stands."""


class StateConflict(Terminal):
    """The run is in a state that does not allow what was asked."""


class StorageUnavailable(Terminal):
    """The database cannot be opened or written: locked, foreign, full or broken. Nothing unwritten was acknowledged."""


class CredentialMissing(Terminal):
    """A model needs a key that is not in the environment; the message names the variable."""


class RunBlocked(Terminal):
    """The run stopped for an engineer: its code changed, an outcome is unknown, or data cannot be decoded."""


class RunFailed(Terminal):
    """Raised by `RunHandle.result()` when the run failed; carries the recorded error."""

    def __init__(self, message: str, error: ErrorRecord) -> None:
        super().__init__(message)
        self.error = error


class RunCancelled(Terminal):
    """Raised by `RunHandle.result()` when the run was cancelled."""


class RunTimeout(Terminal):
    """The run used up its allowed active time (waiting for people, timers or events does not count)."""


class StepFailed(Terminal):
    """A step failed for good; raised inside the workflow. `error` says what, `attempts` how often it was tried."""

    def __init__(self, message: str, error: ErrorRecord) -> None:
        super().__init__(message)
        self.error = error


class QueueFull(Retryable):
    """A queue has as many pending runs as it may; nothing was stored. `retry_after` is known when a limit's end is."""


class StepTimeout(Retryable):
    """One attempt of a step took longer than its timeout."""


class StepStalled(Retryable):
    """One attempt of a step gave no sign of life for longer than its heartbeat."""


class NoAnswer(Terminal):
    """Every candidate model of a prompt failed; `details` in the recorded error hold the attempts."""


class ModelsUnavailable(NoAnswer):
    """No candidate model of a prompt could even be asked: the breaker of each is open. Try again later."""


class BrokenOff(Retryable):
    """A streamed answer ended before it was whole, or is wrong; `shown` characters of it had been shown by then.

    It is not tried again by itself, because whoever saw its beginning would see another one.
    """

    def __init__(self, message: str, shown: int) -> None:
        super().__init__(message)
        self.shown = shown


class BudgetExceeded(Terminal):
    """A model call does not fit into a budget any more; nothing was sent.

    `budget` says which (`$5.00/d`), `subject` whose (`tenant default`), `spent` and `limit` how much in the budget's unit
    (nano-dollars, tokens or requests), `resets_at` when it begins anew, in seconds since the epoch, or None for never.
    `cheaper` says that the budget lets a cheaper model be asked instead, and `name` is the budget's own.
    """

    def __init__(
        self,
        message: str,
        *,
        budget: str,
        subject: str,
        spent: int,
        limit: int,
        resets_at: float | None,
        cheaper: bool = False,
        name: str = "",
    ) -> None:
        super().__init__(message)
        self.budget = budget
        self.subject = subject
        self.spent = spent
        self.limit = limit
        self.resets_at = resets_at
        self.cheaper = cheaper
        self.name = name


class UnknownPrompt(Terminal):
    """No prompt has this name, or no version of it begins so."""


class CompensationFailed(Terminal):
    """Completed steps could not all be undone; the message names each, and what had failed before."""


class WorldMoved(Terminal):
    """What a transaction was based on has changed since it began; its steps have been undone."""


class Rejected(Terminal):
    """A gate or a reviewer refused the value."""


@dataclass(frozen=True, slots=True)
class ErrorRecord:
    """An error as the journal keeps it.

    `type` is the class name, `message` the text for people, `retryable` whether the family allowed another
    try, `where` the source line (`desk.py:41`) when it is known.
    """

    type: str
    message: str
    retryable: bool = False
    where: str | None = None
