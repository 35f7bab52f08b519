"""Every way in which a model service fails, in each vendor's wire format, under every policy for outages."""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from podium.domain.answers import Answer, AnyAnswer, CallAttempt, FailureKind, Usage
from podium.domain.errors import NoAnswer, Retryable
from podium.domain.money import Money
from podium.domain.policies import Fallback
from podium.domain.quality import Quality, Verdict
from podium.gateway import Gateway, prompt
from podium.gateway.failures import OF_THE_REQUEST
from podium.ports.stale import Question, StaleAnswer
from podium.providers import Providers
from podium.settings.gateway import GatewaySettings
from tests.gateway.support import REFUND, Intent, ask
from tests.wire import Reply, Vendor, WireServer, replies

K = FailureKind
VENDORS: tuple[Vendor, ...] = ("openai", "anthropic", "google")
KEYS = {f"{vendor.upper()}_COMPATIBLE_API_KEY": "key-of-the-test" for vendor in VENDORS}
TIMEOUT = 8.0
STALLS = {"silent", "stall before the first token", "stall midway"}


@dataclass(frozen=True)
class Case:
    """A reply, the classes that it may fall into (vendors say some things alike), and the requests it may take."""

    reply: Reply
    kinds: frozenset[FailureKind]
    requests: int = 1


def case(reply: Reply, *kinds: FailureKind, requests: int = 1) -> Case:
    return Case(reply, frozenset(kinds), requests)


CASES = {
    "unauthorized": case(replies.unauthorized(), K.AUTHENTICATION),
    "forbidden": case(replies.forbidden(), K.AUTHENTICATION),
    "not found": case(replies.not_found(), K.NOT_FOUND),
    "quota": case(replies.quota_exceeded(), K.QUOTA),
    "context window": case(replies.context_window(), K.CONTEXT_WINDOW),
    "bad request": case(replies.bad_request(), K.BAD_REQUEST),
    "blocked prompt": case(replies.blocked(), K.CONTENT_FILTER, K.REFUSAL),
    "refusal": case(replies.refusal(), K.REFUSAL, K.CONTENT_FILTER),
    "content filter": case(replies.content_filter(), K.CONTENT_FILTER, K.REFUSAL),
    "rate limit, now": case(replies.rate_limited("0.01"), K.RATE_LIMIT, requests=2),
    "rate limit, later": case(replies.rate_limited("60"), K.RATE_LIMIT),
    "overloaded": case(replies.overloaded(), K.OVERLOADED, requests=2),
    "unavailable": case(replies.unavailable(), K.OVERLOADED, K.SERVER, requests=2),
    "server error": case(replies.server_error(), K.SERVER, requests=2),
    "request timeout": case(replies.timed_out(), K.SERVER, requests=2),
    "reset": case(replies.reset(), K.RESET, requests=2),
    "reset midway": case(replies.reset_midway(), K.RESET, requests=2),
    "half-written": case(replies.half_written(), K.RESET, requests=2),
    "ends early": case(replies.ends_early(), K.RESET, requests=2),
    "silent": case(replies.silent(), K.STALL, requests=2),
    "stall before the first token": case(replies.stalled_before_first_token(), K.STALL, requests=2),
    "stall midway": case(replies.stalled_midway(), K.STALL, requests=2),
    "error midway": case(replies.error_midway(), K.OVERLOADED, K.SERVER, requests=2),
    "garbage": case(replies.garbage(), K.SERVER, requests=2),
    "garbage midway": case(replies.garbage_midway(), K.SERVER, K.RESET, requests=2),
    "web page": case(replies.web_page(), K.SERVER, K.RESET, K.BAD_REQUEST, requests=2),
    "empty": case(replies.empty(), K.EMPTY, K.INVALID_SYNTAX, requests=2),
    "truncated": case(replies.truncated(), K.TRUNCATED, requests=2),
    "half-written JSON": case(replies.malformed(), K.TRUNCATED, K.INVALID_SYNTAX, requests=2),
    "another schema": case(replies.ok('{"value": "complaint"}'), K.INVALID_SCHEMA, requests=2),
}

OLD: AnyAnswer = Answer(Intent.REFUND, 0.9, Quality(), "p:m", Money(), Usage(), "classify@old")


class Kept:
    """Keeps one answer."""

    async def latest(self, question: Question) -> StaleAnswer | None:
        return StaleAnswer(OLD, 60.0)


@pytest.fixture(scope="module", autouse=True)
def libraries() -> None:
    """Load the vendors' libraries before the first deadline runs."""
    for name in ("exchange", *VENDORS):
        importlib.import_module(f"podium.providers.{name}")


@pytest.fixture
async def providers() -> AsyncIterator[Providers]:
    made = Providers(KEYS)
    yield made
    await made.close()


def gateway(providers: Providers, **settings: Any) -> Gateway:
    patience = {"retry_base": 0.001, "retries": 1}
    return Gateway(providers, GatewaySettings(**(patience | settings)), stale=Kept())


async def outcome(
    by: Gateway, names: list[str], recorded: list[CallAttempt], timeout: float = TIMEOUT, **options: Any
) -> AnyAnswer | NoAnswer | Retryable:
    asked = prompt("classify", "{text}", output=Intent, models=names, timeout=timeout, **options)
    began = time.monotonic()
    ended: AnyAnswer | NoAnswer | Retryable
    try:
        ended = await ask(by, asked, {"text": "hello"}, recorded)
    except (NoAnswer, Retryable) as error:
        ended = error
    # A machine at its limit is late by a little; the deadlines that this one cuts short are far longer.
    assert time.monotonic() - began < timeout + 5
    assert "key-of-the-test" not in str(ended)
    return ended


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("name", CASES)
async def test_a_failure_under_every_policy(vendor: Vendor, name: str, providers: Providers):
    expected = CASES[name]
    of_the_request = bool(expected.kinds & OF_THE_REQUEST) and name != "web page"
    silence = 0.2 if name in STALLS else 5.0
    patience = {"first_token": silence, "stall": silence}
    async with WireServer(vendor) as server, WireServer("openai") as healthy:
        server.always(expected.reply)
        healthy.always(replies.ok(REFUND))
        for policy in ("fail", "stale", "reschedule", Fallback(Intent.BUG)):
            recorded: list[CallAttempt] = []
            before = len(server.requests)
            by = gateway(providers, **patience)
            ended = await outcome(by, [server.name()], recorded, on_outage=policy)
            assert recorded[0].failure in expected.kinds, recorded
            assert len(server.requests) - before <= expected.requests
            if of_the_request or policy == "fail":
                assert isinstance(ended, NoAnswer | Retryable)
                assert isinstance(ended, Retryable) is name.startswith("rate limit")
            elif policy == "reschedule":
                assert isinstance(ended, NoAnswer if K.BAD_REQUEST is recorded[0].failure else Retryable)
            elif K.BAD_REQUEST is not recorded[0].failure:
                assert isinstance(ended, Answer)
                assert ended.value is (Intent.REFUND if policy == "stale" else Intent.BUG)
                assert ended.quality.verdict is Verdict.DEGRADED
                assert ended.attempts == tuple(_short(each) for each in recorded)
        recorded = []
        # The first request of all to a server takes its time, which is not the first token's.
        await outcome(gateway(providers), [healthy.name("other")], [])
        asked = len(healthy.requests)
        by = gateway(providers, **patience)
        ended = await outcome(by, [server.name(), healthy.name("other")], recorded)
        if recorded[0].failure in OF_THE_REQUEST:
            assert isinstance(ended, NoAnswer)
            assert len(healthy.requests) == asked
        else:
            assert isinstance(ended, Answer)
            assert ended.quality.verdict is Verdict.CLEAN


def _short(attempt: CallAttempt) -> CallAttempt:
    return CallAttempt(
        **{
            name: getattr(attempt, name)
            for name in CallAttempt.__dataclass_fields__
            if name not in {"prompt", "raw"}
        }
    )


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("at_once", [5, 100])
async def test_a_total_outage_of_two_services(vendor: Vendor, at_once: int, providers: Providers):
    calls, limit = 100, asyncio.Semaphore(at_once)
    async with WireServer(vendor) as first, WireServer("openai") as second:
        first.always(replies.unavailable())
        second.always(replies.unavailable())
        by = gateway(providers)

        async def call() -> object:
            async with limit:
                return await outcome(by, [first.name(), second.name()], [], timeout=3.0)

        ended = await asyncio.gather(*(call() for _ in range(calls)))
        assert all(isinstance(each, NoAnswer | Retryable) for each in ended)
        assert len(first.requests) + len(second.requests) <= 1.2 * calls
