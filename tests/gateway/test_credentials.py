"""Several keys of one provider: shared out, changed when one fails, and never told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from podium.domain.answers import CallAttempt, FailureKind
from podium.domain.errors import CredentialMissing
from podium.gateway import Gateway, prompt
from podium.gateway.health.latency import Latency
from podium.gateway.status import status_of
from podium.providers import Providers
from podium.settings.gateway import GatewaySettings
from podium.settings.resilience import Limits
from tests.gateway.support import Clock, ask
from tests.wire import Received, Reply, WireServer, replies

K = FailureKind
ENVIRONMENT = {"KEY_ONE": "secret-one", "KEY_TWO": "secret-two"}


class Desk:
    """A gateway with two keys for one server, and what the server says to each."""

    def __init__(self, server: WireServer, **settings: Any) -> None:
        self.server = server
        self.says: dict[str, Reply] = {}
        server.always(self.reply)
        self.credentials = {f"openai@{server.url}": ("KEY_ONE", "KEY_TWO")}
        self.settings = GatewaySettings(retry_base=0.001, credentials=self.credentials, **settings)
        self.providers = Providers(ENVIRONMENT, credentials=self.credentials)
        self.gateway = Gateway(self.providers, self.settings)
        self.recorded: list[CallAttempt] = []

    def reply(self, request: Received) -> Reply:
        return self.says.get(self.key(request), replies.ok("Yes."))

    @staticmethod
    def key(request: Received) -> str:
        return request.headers["authorization"].removeprefix("Bearer ")

    @property
    def keys(self) -> list[str]:
        return [self.key(request).removeprefix("secret-") for request in self.server.requests]

    async def ask(self, *others: str, **options: Any) -> Any:
        asked = prompt("say", "{text}", models=[self.server.name(), *others], **options)
        return await ask(self.gateway, asked, {"text": "hello"}, self.recorded)


@pytest.fixture
async def server() -> AsyncIterator[WireServer]:
    async with WireServer("openai") as each:
        yield each


@pytest.fixture
async def desk(server: WireServer) -> AsyncIterator[Desk]:
    made = Desk(server)
    yield made
    await made.providers.close()


async def test_keys_that_are_equally_good_take_turns(desk: Desk):
    desk.gateway = Gateway(desk.providers, desk.settings, clock=Clock())
    for _ in range(4):
        answer = await desk.ask()
    assert sorted(desk.keys) == ["one", "one", "two", "two"]
    assert answer.attempts[0].message in {"with KEY_ONE", "with KEY_TWO"}


async def test_requests_at_the_same_time_are_shared_out(desk: Desk):
    desk.says = dict.fromkeys(ENVIRONMENT.values(), replies.ok("Yes.", delay=0.05))
    await asyncio.gather(*(desk.ask() for _ in range(10)))
    assert sorted(desk.keys) == ["one"] * 5 + ["two"] * 5


async def test_the_quicker_key_is_preferred(desk: Desk):
    desk.says["secret-one"] = replies.ok("Yes.", delay=0.1)
    for _ in range(8):
        await desk.ask()
    assert desk.keys.count("two") >= 6


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (replies.rate_limited("60"), K.RATE_LIMIT),
        (replies.quota_exceeded(), K.QUOTA),
        (replies.unauthorized(), K.AUTHENTICATION),
    ],
)
async def test_a_key_that_is_turned_down_makes_way_for_the_other_before_another_provider(
    desk: Desk, reply: Reply, kind: FailureKind
):
    desk.says["secret-one"] = reply
    async with WireServer("openai") as other:
        for _ in range(4):
            assert (await desk.ask(other.name("other"))).model == desk.server.name()
        assert not other.requests
    assert desk.keys == ["one", "two", "two", "two", "two"]
    assert [(each.failure, each.outcome) for each in desk.recorded[:2]] == [
        (kind, "switch"),
        (None, "accepted"),
    ]


async def test_when_all_keys_are_turned_down_the_next_candidate_answers(desk: Desk):
    desk.says = dict.fromkeys(ENVIRONMENT.values(), replies.quota_exceeded())
    async with WireServer("openai") as other:
        other.always(replies.ok("Yes."))
        assert (await desk.ask(other.name("other"))).model == other.name("other")
    assert sorted(desk.keys) == ["one", "two"]
    assert [each.outcome for each in desk.recorded] == ["switch", "next", "accepted"]


async def test_a_failure_that_is_not_the_keys_is_tried_again_with_the_other(desk: Desk):
    desk.says["secret-one"] = replies.server_error()
    assert (await desk.ask()).value == "Yes."
    assert desk.keys == ["one", "two"]


async def test_a_limit_of_one_key_leaves_the_other(server: WireServer):
    desk = Desk(server, credential_limits={"KEY_ONE": Limits(requests=1)})
    for _ in range(5):
        await desk.ask()
    await desk.providers.close()
    assert desk.keys.count("one") == 1


async def test_a_limit_of_a_provider_sends_calls_to_the_next_candidate(server: WireServer):
    desk = Desk(server, provider_limits={f"openai@{server.url}": Limits(requests=1)})
    async with WireServer("openai") as other:
        other.always(replies.ok("Yes."))
        for _ in range(3):
            await desk.ask(other.name("other"))
        await desk.providers.close()
        assert (len(server.requests), len(other.requests)) == (1, 2)


async def test_secrets_are_told_nowhere(desk: Desk):
    desk.says = dict.fromkeys(ENVIRONMENT.values(), replies.unauthorized())
    with pytest.raises(Exception, match="refused the key") as raised:
        await desk.ask()
    traffic = desk.gateway.traffic
    status = status_of(traffic, desk.settings.retry_budget, now=0.0, at=0.0, pid=1)
    for told in (str(raised.value), repr(desk.recorded), repr(status), repr(desk.settings)):
        assert "secret-" not in told
    assert [lane.credential for lane in status.lanes] == ["KEY_ONE", "KEY_TWO"]


def test_keys_that_are_not_set_are_left_out_and_without_any_the_variables_are_named():
    credentials = {"openai": ("KEY_TWO", "KEY_THREE")}
    (route,) = Providers(ENVIRONMENT, credentials=credentials).routes("openai:gpt-5")
    assert route.credential == "KEY_TWO"
    with pytest.raises(CredentialMissing, match="set KEY_TWO or KEY_THREE in the environment"):
        Providers({}, credentials=credentials).routes("openai:gpt-5")


def test_a_vendors_keys_go_to_no_server_that_only_a_name_points_to():
    providers = Providers(ENVIRONMENT, credentials={"openai": ("KEY_ONE",)})
    (route,) = providers.routes("openai:gpt-5@http://127.0.0.1:1/v1")
    assert route.credential == ""


def test_who_was_slow_is_given_another_chance_in_time():
    latency = Latency(10)
    latency.add(8.0, 100.0)
    assert (latency.expected(100.0), latency.expected(120.0)) == (8.0, 2.0)
    assert latency.expected(300.0) < 0.01
