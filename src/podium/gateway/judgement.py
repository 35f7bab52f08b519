"""The judgement on one reply: a value with its quality and confidence, or a fault."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, assert_never

from podium.domain.answers import FailureKind
from podium.domain.quality import Quality
from podium.gateway.confidence import confidence
from podium.gateway.failures import Fault
from podium.gateway.output.ladder import read_json
from podium.gateway.output.results import Reading, Unusable, Usable
from podium.gateway.output.validation import obeys, validated
from podium.gateway.prompt import Prompt
from podium.ports.models import FinishReason, ModelReply


@dataclass(frozen=True, slots=True)
class Accepted:
    """A reply that may be used. `confidence` is 0 to 1, or None when the model gives no signal."""

    value: Any
    quality: Quality
    confidence: float | None


def judged(prompt: Prompt[Any], reply: ModelReply, longest: int) -> Accepted | Fault:
    """Read, validate and weigh a reply; texts of more than `longest` bytes are not looked into."""
    match reply.finish:
        case FinishReason.CONTENT_FILTER:
            return Fault.of(FailureKind.CONTENT_FILTER, f"a filter stopped the reply: {reply.text}")
        case FinishReason.REFUSAL:
            return Fault.of(FailureKind.REFUSAL, f"the model refused: {reply.text}")
        case FinishReason.STOP | FinishReason.LENGTH | FinishReason.TOOL_CALLS | FinishReason.OTHER:
            pass
        case _:
            assert_never(reply.finish)
    found = _read(prompt, reply, longest)
    if isinstance(found, Usable) and prompt.output.schema is not None:
        found = validated(prompt.output, found)
    if isinstance(found, Usable):
        found = obeys(prompt.validators, found)
    if isinstance(found, Unusable):
        return Fault.of(found.kind, found.problem)
    sure = confidence(reply.tokens, found.quality, json=prompt.output.schema is not None)
    return Accepted(found.value, found.quality, sure)


def _read(prompt: Prompt[Any], reply: ModelReply, longest: int) -> Reading:
    cut_off = reply.finish is FinishReason.LENGTH
    if prompt.output.schema is not None:
        return read_json(reply.text, cut_off=cut_off, longest=longest)
    text = reply.text.strip()
    if cut_off:
        return Unusable(FailureKind.TRUNCATED, "the reply was cut off by the output limit")
    if not text:
        return Unusable(FailureKind.EMPTY, "the reply is empty")
    if len(text.encode()) > longest:
        return Unusable(FailureKind.INVALID_SYNTAX, f"the reply is longer than {longest} bytes")
    return Usable(text)
