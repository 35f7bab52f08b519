"""The ledger of a call: every request that was made, what came of it, and what all of them cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from podium.domain.answers import CallAttempt, Usage
from podium.domain.money import Money
from podium.gateway.conversation import transcript
from podium.gateway.failures import Fault
from podium.gateway.judgement import Accepted
from podium.gateway.line import Candidate

ACCEPTED = "accepted"

HEDGED = "hedged"
"""The outcome of the one of two requests at the same time that was not used."""

_NOTHING = CallAttempt("", 0, "")


@dataclass(frozen=True, slots=True)
class Trial:
    """One turn of a candidate: what it came to, and what it took. `cost` is None when no price is known. `latency`
    in seconds; `sent` is False when the candidate could not be called at all;
    `estimated` is True when the provider has not counted all of its usage.
    """

    result: Accepted | Fault
    text: str = ""
    usage: Usage = field(default_factory=Usage)
    cost: Money | None = None
    price_table: str = ""
    latency: float = 0.0
    sent: bool = True
    estimated: bool = False


class Ledger:
    """Writes down each trial as soon as it is over, in short for the answer, and in full to `record` if there is one."""

    def __init__(self, record: Callable[[CallAttempt], None] | None = None) -> None:
        self._record = record
        self._attempts: list[CallAttempt] = []

    @property
    def attempts(self) -> tuple[CallAttempt, ...]:
        """The attempts so far, without prompts and replies."""
        return tuple(self._attempts)

    @property
    def usage(self) -> Usage:
        """Tokens of all attempts."""
        if len(self._attempts) == 1:
            return self._attempts[0].usage
        return sum((attempt.usage for attempt in self._attempts), _NOTHING.usage)

    @property
    def cost(self) -> Money:
        """Cost of all attempts."""
        if len(self._attempts) == 1:
            return self._attempts[0].cost
        return sum((attempt.cost for attempt in self._attempts), _NOTHING.cost)

    def take(self, attempt: CallAttempt) -> None:
        """Write down an attempt that was made beside the candidates."""
        attempt = replace(attempt, number=len(self._attempts) + 1)
        self._attempts.append(replace(attempt, prompt="", raw=""))
        if self._record is not None:
            self._record(attempt)

    def note(self, candidate: Candidate, trial: Trial, outcome: str, message: str = "") -> None:
        """Write down a trial; `outcome` says what followed (`accepted`, or the move that was made).

        `message` is what there is to tell of a request that was accepted.
        """
        fault = trial.result if isinstance(trial.result, Fault) else None
        accepted = trial.result if isinstance(trial.result, Accepted) else None
        attempt = CallAttempt(
            model=candidate.model,
            number=len(self._attempts) + 1,
            outcome=outcome,
            failure=fault.kind if fault else None,
            message=fault.message if fault else message,
            usage=trial.usage,
            cost=trial.cost or _NOTHING.cost,
            price_table=trial.price_table,
            priced=trial.cost is not None or trial.usage == _NOTHING.usage,
            latency=trial.latency,
            confidence=accepted.confidence if accepted else None,
            estimated=trial.estimated,
        )
        self._attempts.append(attempt)
        if self._record is not None:
            prompt = transcript(candidate.messages) if trial.sent else ""
            self._record(replace(attempt, prompt=prompt, raw=trial.text))
