"""What a call comes to when no model answered, by the policy's `on_outage`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, assert_never

from podium.domain.answers import Answer, AnyAnswer
from podium.domain.errors import NoAnswer, Retryable
from podium.domain.ids import digest
from podium.domain.money import Money
from podium.domain.policies import Fallback
from podium.domain.quality import Quality, Verdict
from podium.gateway.call import Call
from podium.gateway.failures import OF_THE_REQUEST
from podium.gateway.line import Line
from podium.gateway.prompt import Prompt
from podium.gateway.unanswered import unanswered
from podium.gateway.wording import as_json
from podium.ports.stale import Question, StaleAnswers

FALLBACK = "fallback"
"""What stands in an answer as its model when the value is that of the policy."""

_SOON = 5.0


@dataclass(frozen=True, slots=True)
class Unmet:
    """A call that nobody answered."""

    prompt: Prompt[Any]
    call: Call


async def bridged(unmet: Unmet, stale: StaleAnswers, now: float) -> AnyAnswer:
    """Return a degraded answer, when the policy has one; otherwise raise `NoAnswer` or `Retryable`.

    What a model would refuse on the best of days is no outage, and is raised whatever the policy says.
    """
    error = unanswered(unmet.prompt.reference, unmet.call.line, unmet.call.policy, now)
    faults = [each.fault.kind for each in unmet.call.line.candidates if each.fault is not None]
    if OF_THE_REQUEST.intersection(faults):
        raise error
    reason = f"no model answered ({', '.join(dict.fromkeys(kind.replace('_', ' ') for kind in faults))})"
    match unmet.call.policy.on_outage:
        case "fail":
            raise error
        case "reschedule":
            raise _later(error, unmet.call.line, now)
        case "stale":
            return await _earlier(unmet, stale, error, reason)
        case Fallback(value):
            return _degraded(unmet, value, FALLBACK, f"{reason}: this is the fallback value")
        case _:
            assert_never(unmet.call.policy.on_outage)


def _later(error: NoAnswer | Retryable, line: Line, now: float) -> Retryable:
    if isinstance(error, Retryable):
        return error
    ends = [each.held.until for each in line.candidates if each.held is not None]
    wait = max(min(ends, default=now) - now, _SOON)
    return Retryable(f"{error} It is tried again in {wait:.1f} s.", retry_after=wait)


async def _earlier(unmet: Unmet, stale: StaleAnswers, error: NoAnswer | Retryable, reason: str) -> AnyAnswer:
    found = await stale.latest(question_of(unmet))
    if found is None:
        raise error
    told = f"{reason}: this is the answer of {found.age:.0f} s ago"
    old = found.answer
    return replace(
        _degraded(unmet, old.value, old.model, told),
        confidence=old.confidence,
        quality=old.quality.worsened(Verdict.DEGRADED, told),
    )


def question_of(unmet: Unmet) -> Question:
    """Return a call's request as a cache knows it."""
    said = as_json([[message.role, message.text] for message in unmet.call.asked.messages])
    return Question(
        unmet.prompt.reference, digest(said, as_json(unmet.prompt.output.schema))[:32], unmet.call.tenant
    )


def _degraded(unmet: Unmet, value: Any, model: str, reason: str) -> AnyAnswer:
    return Answer(
        value=value,
        confidence=None,
        quality=Quality().worsened(Verdict.DEGRADED, reason),
        model=model,
        cost=unmet.call.ledger.cost + Money(),
        usage=unmet.call.ledger.usage,
        prompt=unmet.prompt.reference,
        attempts=unmet.call.ledger.attempts,
    )
