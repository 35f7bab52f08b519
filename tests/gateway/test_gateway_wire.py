"""The gateway over the wire: a real vendor adapter against a server on this machine that misbehaves."""

from __future__ import annotations

import importlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from podium.domain.answers import CallAttempt, FailureKind, Usage
from podium.domain.errors import NoAnswer, Retryable
from podium.domain.quality import Verdict
from podium.gateway import Gateway, Prompt, prompt
from podium.providers import Providers
from podium.settings.gateway import GatewaySettings
from tests.gateway.support import REFUND, Intent, ask
from tests.wire import WireServer, replies

K = FailureKind


class Wire:
    """A gateway with short patience, and the server that its first candidate is at."""

    def __init__(self, server: WireServer, second: WireServer, providers: Providers) -> None:
        self.server = server
        self.second = second
        self.recorded: list[CallAttempt] = []
        settings = GatewaySettings(retry_base=0.001, connect=2.0, first_token=1.0, stall=1.0)
        self.gateway = Gateway(providers, settings)

    async def classify(self, *, both: bool = False, **options: Any) -> Any:
        names = [self.server.name(), self.second.name("other-model")][: 1 + both]
        asked: Prompt[Intent] = prompt("classify", "Classify: {text}", output=Intent, models=names, **options)
        return await ask(self.gateway, asked, {"text": "hello"}, self.recorded)

    @property
    def failures(self) -> list[FailureKind | None]:
        return [attempt.failure for attempt in self.recorded]

    @property
    def requests(self) -> tuple[int, int]:
        """How many requests each server has seen."""
        return len(self.server.requests), len(self.second.requests)


@pytest.fixture(scope="module", autouse=True)
def libraries() -> None:
    """Load the vendor's library before the first deadline runs: it takes a second or more."""
    importlib.import_module("podium.providers.exchange")
    importlib.import_module("podium.providers.openai")


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    providers = Providers({"OPENAI_COMPATIBLE_API_KEY": "key-of-the-test"})
    async with WireServer("openai") as server, WireServer("openai") as second:
        yield Wire(server, second, providers)
        await providers.close()


async def test_a_good_reply_is_an_answer_with_tokens_and_confidence(wire: Wire):
    wire.server.reply(replies.ok(REFUND, logprobs=-0.1, input_tokens=21, output_tokens=7))
    answer = await wire.classify()
    assert answer.value is Intent.REFUND
    assert answer.confidence == pytest.approx(0.904837, abs=1e-5)
    assert answer.usage == Usage(21, 7)
    assert answer.quality.verdict is Verdict.CLEAN
    assert wire.requests == (1, 0)


@pytest.mark.parametrize(
    ("text", "kind", "told"),
    [
        ("I think it is a refund", K.INVALID_SYNTAX, "no JSON object"),
        ('{"value": ', K.TRUNCATED, None),
        ('{"value": refund?!, }}', K.INVALID_SYNTAX, "not valid"),
        ('{"value": ["refund"]}', K.INVALID_SCHEMA, 'not ["refund"]'),
        ('{"value": 7}', K.INVALID_SCHEMA, "not 7"),
        ('{"value": "complaint"}', K.INVALID_SCHEMA, "Input should be 'refund' or 'bug', not \"complaint\""),
        ('{"label": "refund"}', K.INVALID_SCHEMA, "'refund' or 'bug'"),
    ],
)
async def test_a_wrong_reply_is_asked_for_once_more(
    wire: Wire, text: str, kind: FailureKind, told: str | None
):
    wire.server.reply(replies.ok(text), replies.ok(REFUND))
    answer = await wire.classify()
    assert answer.value is Intent.REFUND
    assert wire.failures == [kind, None]
    messages = wire.server.requests[1].body["messages"]
    if told is None:
        assert [message["role"] for message in messages] == ["system", "user"]
    else:
        assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]
        assert text in json.dumps(messages[2]["content"], ensure_ascii=False).replace('\\"', '"')
        assert told in str(messages[3]["content"])


async def test_a_model_that_stays_wrong_makes_way_for_the_next(wire: Wire):
    wire.server.always(replies.malformed("not JSON"))
    wire.second.reply(replies.ok(REFUND))
    answer = await wire.classify(both=True)
    assert answer.model.startswith("openai:other-model@")
    assert wire.requests == (2, 1)


async def test_a_model_that_stays_wrong_alone_gives_no_answer(wire: Wire):
    wire.server.always(replies.ok('{"value": "complaint"}'))
    with pytest.raises(NoAnswer, match=r"invalid schema: .*complaint.*\(2 requests\)"):
        await wire.classify()
    assert wire.requests == (2, 0)


async def test_an_empty_reply_is_tried_once_more_and_then_elsewhere(wire: Wire):
    wire.server.always(replies.empty())
    wire.second.reply(replies.ok(REFUND))
    answer = await wire.classify(both=True)
    assert answer.value is Intent.REFUND
    assert wire.failures == [K.EMPTY, K.EMPTY, None]
    assert wire.requests == (2, 1)


async def test_a_truncated_reply_is_asked_for_with_twice_the_tokens_and_then_elsewhere(wire: Wire):
    wire.server.always(replies.truncated())
    wire.second.reply(replies.ok(REFUND))
    await wire.classify(both=True, max_tokens=30)
    asked = [
        request.body.get("max_completion_tokens", request.body.get("max_tokens"))
        for request in wire.server.requests
    ]
    assert asked == [30, 60]
    assert wire.failures == [K.TRUNCATED, K.TRUNCATED, None]


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (replies.refusal(), K.REFUSAL),
        (replies.content_filter(), K.CONTENT_FILTER),
        (replies.blocked(), K.CONTENT_FILTER),
    ],
)
async def test_a_refusal_goes_elsewhere_only_if_permitted(wire: Wire, reply: Any, kind: FailureKind):
    wire.server.always(reply)
    wire.second.reply(replies.ok(REFUND))
    with pytest.raises(NoAnswer, match="fallback_on_refusal"):
        await wire.classify(both=True)
    assert wire.requests == (1, 0)
    answer = await wire.classify(both=True, fallback_on_refusal=True)
    assert answer.value is Intent.REFUND
    assert wire.failures == [kind, kind, None]


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (replies.unauthorized(), K.AUTHENTICATION),
        (replies.forbidden(), K.AUTHENTICATION),
        (replies.not_found(), K.NOT_FOUND),
        (replies.quota_exceeded(), K.QUOTA),
        (replies.context_window(), K.CONTEXT_WINDOW),
    ],
)
async def test_what_no_retry_can_help_goes_to_the_next_at_once(wire: Wire, reply: Any, kind: FailureKind):
    wire.server.always(reply)
    wire.second.reply(replies.ok(REFUND))
    answer = await wire.classify(both=True)
    assert answer.value is Intent.REFUND
    assert wire.failures == [kind, None]
    assert wire.requests == (1, 1)


async def test_a_refused_key_alone_gives_no_answer_and_never_shows_the_key(wire: Wire):
    wire.server.always(replies.unauthorized())
    with pytest.raises(NoAnswer, match="Check the key") as raised:
        await wire.classify()
    assert "key-of-the-test" not in str(raised.value)
    assert wire.requests == (1, 0)


async def test_a_request_that_is_wrong_in_itself_fails_fast(wire: Wire):
    wire.server.always(replies.bad_request())
    with pytest.raises(NoAnswer, match="bad request"):
        await wire.classify(both=True)
    assert wire.failures == [K.BAD_REQUEST]
    assert wire.requests[1] == 0


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (replies.server_error(), K.SERVER),
        (replies.timed_out(), K.SERVER),
        (replies.reset(), K.RESET),
        (replies.reset_midway(), K.RESET),
    ],
)
async def test_a_transient_failure_is_retried_twice_then_another_is_asked(
    wire: Wire, reply: Any, kind: FailureKind
):
    wire.server.always(reply)
    wire.second.reply(replies.ok(REFUND))
    answer = await wire.classify(both=True)
    assert answer.value is Intent.REFUND
    assert wire.failures == [kind, kind, kind, None]
    assert wire.requests == (3, 1)


async def test_a_service_that_is_down_gives_no_answer_after_three_requests(wire: Wire):
    wire.server.always(replies.unavailable())
    with pytest.raises(NoAnswer, match=r"\(3 requests\)"):
        await wire.classify()
    assert wire.requests == (3, 0)


async def test_retry_after_that_fits_is_waited_for(wire: Wire):
    wire.server.reply(replies.rate_limited("0.1"), replies.ok(REFUND))
    answer = await wire.classify()
    assert answer.value is Intent.REFUND
    assert wire.failures == [K.RATE_LIMIT, None]
    assert wire.requests == (2, 0)


async def test_retry_after_sends_the_call_elsewhere_if_there_is_an_elsewhere(wire: Wire):
    wire.server.always(replies.rate_limited("30"))
    wire.second.reply(replies.ok(REFUND))
    answer = await wire.classify(both=True)
    assert answer.model.startswith("openai:other-model@")
    assert wire.requests == (1, 1)


async def test_retry_after_that_does_not_fit_is_left_to_the_run(wire: Wire):
    wire.server.always(replies.rate_limited("30"))
    with pytest.raises(Retryable) as raised:
        await wire.classify(timeout=5)
    assert raised.value.retry_after == pytest.approx(30, abs=0.5)
    assert wire.requests == (1, 0)


async def test_an_overloaded_service_is_left_alone_while_another_answers(wire: Wire):
    wire.server.always(replies.overloaded())
    wire.second.reply(replies.ok(REFUND))
    answer = await wire.classify(both=True)
    assert answer.model.startswith("openai:other-model@")
    assert wire.requests == (1, 1)


@pytest.mark.parametrize(
    "reply", [replies.stalled_before_first_token(), replies.stalled_midway(), replies.silent()]
)
async def test_a_stalled_reply_is_asked_for_elsewhere(wire: Wire, reply: Any):
    wire.server.always(reply)
    wire.second.reply(replies.ok(REFUND))
    answer = await wire.classify(both=True)
    assert answer.model.startswith("openai:other-model@")
    assert wire.failures == [K.STALL, None]
    assert wire.requests == (1, 1)


async def test_a_model_that_stalls_alone_is_asked_again(wire: Wire):
    wire.server.reply(replies.stalled_midway(), replies.ok(REFUND))
    answer = await wire.classify()
    assert answer.value is Intent.REFUND
    assert wire.failures == [K.STALL, None]


async def test_a_slow_reply_ends_with_the_deadline_of_the_whole_call(wire: Wire):
    wire.server.always(replies.drip("word " * 50, pause=0.05))
    with pytest.raises(NoAnswer, match="timeout"):
        await wire.classify(both=True, timeout=0.3)
    assert wire.failures == [K.TIMEOUT]
    assert wire.requests == (1, 0)


async def test_a_server_that_is_not_there_is_a_failure_to_connect(wire: Wire):
    gone = WireServer("openai")
    async with gone:
        name = gone.name()
    asked = prompt("classify", "{text}", output=Intent, models=[name, wire.second.name()])
    wire.second.reply(replies.ok(REFUND))
    answer = await ask(wire.gateway, asked, {"text": "hello"}, wire.recorded)
    assert answer.value is Intent.REFUND
    assert wire.failures == [K.CONNECT, K.CONNECT, K.CONNECT, None]


@pytest.mark.parametrize(
    "reply", [replies.web_page(), replies.garbage(), replies.garbage_midway(), replies.error_midway()]
)
async def test_what_is_no_reply_at_all_ends_as_no_answer(wire: Wire, reply: Any):
    wire.server.always(reply)
    with pytest.raises(NoAnswer):
        await wire.classify()
    assert 1 <= len(wire.server.requests) <= 3
