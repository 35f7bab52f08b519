"""The error of a call that nobody answered: for which prompt, what each candidate came to, what to do next."""

from __future__ import annotations

from podium.domain.answers import FailureKind
from podium.domain.errors import ModelsUnavailable, NoAnswer, Retryable
from podium.gateway.failures import RULES
from podium.gateway.line import Candidate, Line
from podium.gateway.policy import CallPolicy
from podium.gateway.wording import one_line

_LONGEST = 200


def unanswered(prompt: str, line: Line, policy: CallPolicy, now: float) -> NoAnswer | Retryable:
    """Return the error to raise for `prompt` (`name@version`).

    When a provider named a time from which it may be asked again, that is `Retryable` with the earliest such
    time; `ModelsUnavailable` when all breakers are open; else `NoAnswer`.
    """
    came_to = "; ".join(
        f"{one_line(candidate.model)}: {_came_to(candidate)}" for candidate in line.candidates
    )
    told = [candidate.told for candidate in line.candidates if candidate.told is not None]
    if told:
        wait = max(min(told) - now, 0.0)
        return Retryable(
            f"Prompt {prompt} has no answer yet; it may be asked again in {wait:.1f} s. {came_to}. "
            "To depend less on one provider's limits, add a candidate of another in models=.",
            retry_after=wait,
        )
    kind = ModelsUnavailable if _all_open(line) else NoAnswer
    return kind(f"Prompt {prompt} got no answer{_within(line, policy, now)}. {came_to}. {_advice(line)}")


def _all_open(line: Line) -> bool:
    return all(
        candidate.fault is not None and candidate.fault.kind is FailureKind.BREAKER_OPEN
        for candidate in line.candidates
    )


def _within(line: Line, policy: CallPolicy, now: float) -> str:
    return f" within its timeout of {policy.timeout:g} s" if now >= line.deadline else ""


def _came_to(candidate: Candidate) -> str:
    if candidate.fault is None:
        return "not asked"
    message = candidate.fault.message
    short = message if len(message) <= _LONGEST else message[: _LONGEST - 1] + "…"
    said = f"{candidate.fault.kind.replace('_', ' ')}: {short}"
    return f"{said} ({candidate.requests} requests)" if candidate.requests > 1 else said


def _advice(line: Line) -> str:
    faults = [candidate.fault for candidate in line.candidates if candidate.fault is not None]
    return " ".join(dict.fromkeys(RULES[fault.kind].advice for fault in faults))
