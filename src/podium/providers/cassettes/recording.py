"""One line of a cassette: a request that was made and what came of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from podium.domain.answers import FailureKind, Usage
from podium.domain.errors import InvalidInput
from podium.domain.money import Money
from podium.domain.schema_modes import SchemaMode
from podium.ports.models import FinishReason, ModelFailure, ModelReply, TokenProbability, ToolCall
from podium.providers.cassettes.asked import Asked
from podium.providers.cassettes.masking import Masking

VERSION = 1
"""The version of the format that is written; a reader takes this one and no newer one."""

_NANOS = Decimal(1_000_000_000)


class _Plain(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants", allow_inf_nan=True)


class _Spent(_Plain):
    """What both a reply and a failure may have used. `cost_usd` is exact to the billionth, None when not known."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal | None = None
    price_table: str = ""

    @property
    def usage(self) -> Usage:
        return Usage(self.input_tokens, self.output_tokens)

    @property
    def cost(self) -> Money | None:
        return None if self.cost_usd is None else Money.usd(self.cost_usd)


class RecordedCall(_Plain):
    """A model's wish to have a tool called; `arguments` is JSON as the model wrote it."""

    id: str
    name: str
    arguments: str


class RecordedReply(_Spent):
    """A reply. `tokens` are pairs of a token's text and its log-probability."""

    text: str
    finish: FinishReason
    model: str
    tokens: tuple[tuple[str, float], ...] = ()
    calls: tuple[RecordedCall, ...] = ()
    request_id: str | None = None
    schema_mode: SchemaMode | None = None
    counted: bool = True

    def outcome(self) -> ModelReply:
        """Return the reply as its provider gave it."""
        return ModelReply(
            text=self.text,
            finish=self.finish,
            usage=self.usage,
            model=self.model,
            tokens=tuple(TokenProbability(text, logprob) for text, logprob in self.tokens),
            cost=self.cost,
            price_table=self.price_table,
            calls=tuple(ToolCall(call.id, call.name, call.arguments) for call in self.calls),
            request_id=self.request_id,
            schema_mode=self.schema_mode,
            counted=self.counted,
        )


class RecordedFailure(_Spent):
    """A failure, with the seconds after which the provider wanted to be asked again."""

    kind: FailureKind
    message: str
    retry_after: float | None = None

    def outcome(self) -> ModelFailure:
        """Return the failure as its provider gave it."""
        return ModelFailure(
            self.kind,
            self.message,
            retry_after=self.retry_after,
            usage=self.usage,
            cost=self.cost,
            price_table=self.price_table,
        )


class Recording(_Plain):
    """One request and what came of it: either a reply or a failure.

    `model` is the model as it was named, `at` the time in UTC, `seconds` how long it took. `take` is the process that
    recorded: what it was asked twice it answers twice, in order, and a later take counts in place of an earlier one.
    """

    podium_cassette: Literal[1] = 1
    digest: str
    model: str
    prompt: str
    at: str
    take: str
    seconds: float
    request: Mapping[str, Any]
    reply: RecordedReply | None = None
    failure: RecordedFailure | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.reply is None) == (self.failure is None):
            raise ValueError("there must be either a reply or a failure")
        return self

    def line(self) -> bytes:
        """Return the recording as a line of JSON, its end included."""
        plain = self.model_dump(mode="python", exclude_defaults=True)
        text = json.dumps({"podium_cassette": VERSION, **plain}, ensure_ascii=False, default=str)
        # Halves of surrogate pairs cannot be written otherwise, and need not be: JSON has an escape for them.
        return text.encode("utf-8", "backslashreplace") + b"\n"

    @classmethod
    def read(cls, line: bytes, where: str) -> Recording:
        """Return the recording of a line; raises `InvalidInput`, naming `where`, when it is none."""
        try:
            plain = json.loads(line)
            version = plain["podium_cassette"]
        except (ValueError, LookupError, TypeError):
            raise InvalidInput(
                f"{where} is no recording of a model call: remove the line, or record anew"
            ) from None
        if version != VERSION:
            raise InvalidInput(
                f"{where} has version {version!r:.20} of the format, and this version of Podium reads {VERSION}: "
                "update Podium, or record anew"
            )
        try:
            recording = cls.model_validate(plain)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(step) for step in first["loc"]) or "the line"
            raise InvalidInput(f"{where} cannot be read: {place}: {first['msg']}. Record anew.") from None
        return recording

    def outcome(self) -> ModelReply | ModelFailure:
        """Return what came of the request, as its provider gave it."""
        match self.reply, self.failure:
            case RecordedReply() as reply, _:
                return reply.outcome()
            case _, RecordedFailure() as failure:
                return failure.outcome()
            case _:
                raise AssertionError("a recording without an outcome cannot be made")


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a recording says beside the request and its outcome; see `Recording`."""

    model: str
    prompt: str
    at: str
    take: str
    seconds: float


def recorded(
    asked: Asked, outcome: ModelReply | ModelFailure, around: Circumstances, masking: Masking
) -> Recording:
    """Return the recording of a request and its outcome, with every secret masked."""
    reply = failure = None
    spent = {
        "input_tokens": outcome.usage.input_tokens,
        "output_tokens": outcome.usage.output_tokens,
        "cost_usd": None if outcome.cost is None else Decimal(outcome.cost.nanos) / _NANOS,
        "price_table": outcome.price_table,
    }
    match outcome:
        case ModelReply():
            tokens = ((token.text, token.logprob) for token in masking.tokens(outcome.tokens))
            reply = RecordedReply(
                text=masking.text(outcome.text),
                finish=outcome.finish,
                model=outcome.model,
                tokens=tuple(tokens),
                calls=tuple(
                    RecordedCall(id=call.id, name=call.name, arguments=masking.text(call.arguments))
                    for call in outcome.calls
                ),
                request_id=outcome.request_id,
                schema_mode=outcome.schema_mode,
                counted=outcome.counted,
                **spent,
            )
        case ModelFailure():
            failure = RecordedFailure(
                kind=outcome.kind,
                message=masking.text(str(outcome)),
                retry_after=outcome.retry_after,
                **spent,
            )
    return Recording(
        digest=asked.digest,
        model=masking.text(around.model),
        prompt=around.prompt,
        at=around.at,
        take=around.take,
        seconds=round(around.seconds, 6),
        request=asked.request,
        reply=reply,
        failure=failure,
    )
