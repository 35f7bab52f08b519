"""The exact cache: who asks exactly the same gets the answer that is there, and nobody else does."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium import GatewaySettings, Podium, Prompt, Settings, prompt, workflow
from podium.domain.answers import AnyAnswer, Usage
from podium.domain.errors import NoAnswer
from podium.domain.ids import RunId
from podium.domain.money import Money
from podium.domain.operations import Execute
from podium.domain.quality import Verdict
from podium.domain.retries import RetryPolicy
from podium.gateway.cache.answers import AnswerCache, Question
from podium.gateway.cache.key import cache_key
from podium.gateway.policy import CallPolicy, PromptPolicy
from podium.ports.cache import CacheKey, KeptAnswer
from podium.ports.execution import AttemptContext
from podium.ports.models import FinishReason, Message, ModelReply, ModelRequest, Role
from podium.providers import Providers, Script
from podium.storage import cached_answers, sweeping
from podium.storage.cached_answers import StoredAnswers
from podium.storage.sqlite.database import SqliteStorage
from tests.gateway.support import REFUND, Desk, Intent, ignore, models
from tests.storage.support import opened

DAY = 86_400.0


class Wall:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def storage(tmp_path: Path):
    storage = await opened(tmp_path / "podium.db")
    yield storage
    await storage.close()


def kept_on(storage: SqliteStorage, wall: Wall, most: int = 10**8, threshold: int = 2000) -> StoredAnswers:
    return StoredAnswers(storage, stale_for=DAY, most=most, blob_threshold=threshold, clock=wall)


def desk_on(storage: SqliteStorage, script: Script, wall: Wall | None = None) -> Desk:
    wall = wall or Wall()
    desk = Desk(Providers({}, scripts={"a": script}))
    desk.gateway._cache = AnswerCache(kept_on(storage, wall), clock=wall, write_after=0.001)
    return desk


async def written(desk: Desk) -> None:
    assert desk.gateway._cache is not None
    await desk.gateway._cache.close()


def classify(**options: Any) -> Prompt[Any]:
    given: dict[str, Any] = {"output": Intent, "models": models("a"), "cache": "1d", **options}
    return prompt("classify", "Classify: {text}", **given)


def paid(text: str = REFUND) -> ModelReply:
    return ModelReply(text, FinishReason.STOP, Usage(10, 5), "a", cost=Money(7))


async def as_tenant(desk: Desk, tenant: str, **variables: object) -> AnyAnswer:
    context = AttemptContext(
        RunId("run-1"), "classify#1", 1, "once", desk.recorded.append, ignore, tenant=tenant
    )
    return await desk.gateway.execute(Execute(classify(), variables, RetryPolicy()), context)


async def test_the_same_question_is_answered_again_at_no_cost_and_says_so(storage):
    script = Script([paid()])
    desk = desk_on(storage, script)
    first = await desk.ask(classify(), text="hi")
    again = await desk.ask(classify(), text="hi")
    assert (again.value, again.model, again.confidence) == (first.value, first.model, first.confidence)
    assert (first.cost, again.cost, again.usage) == (Money(7), Money(), Usage())
    assert [each.outcome for each in again.attempts] == ["cached"]
    assert [each.outcome for each in desk.recorded] == ["accepted", "cached"]
    assert len(script.requests) == 1


async def test_it_is_there_after_a_restart_until_its_time_is_over(storage):
    wall = Wall()
    before = desk_on(storage, Script([paid()]), wall)
    await before.ask(classify(), text="hi")
    await written(before)
    wall.now += DAY - 1
    assert (await desk_on(storage, Script([]), wall).ask(classify(), text="hi")).value is Intent.REFUND
    wall.now += 1
    script = Script([paid()])
    await desk_on(storage, script, wall).ask(classify(), text="hi")
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"temperature": 1.0},
        {"max_tokens": 5},
        {"system": "Be brief."},
        {"output": str},
        {"models": models("a", "b")},
        {"timeout": 7},
    ],
)
async def test_whatever_may_change_the_answer_is_part_of_the_question(storage, other):
    script = Script([paid(), paid()])
    desk = desk_on(storage, script)
    await desk.ask(classify(), text="hi")
    await desk.ask(classify(**other), text="hi")
    assert len(script.requests) == 2


async def test_tenants_share_nothing(storage):
    script = Script([paid(), paid()])
    desk = desk_on(storage, script)
    for tenant in ("ada", "bob", "ada"):
        await as_tenant(desk, tenant, text="hi")
    assert len(script.requests) == 2


async def test_only_clean_answers_are_given_again(storage):
    script = Script(['{"value": "refund",}', paid()])
    desk = desk_on(storage, script)
    first = await desk.ask(classify(), text="hi")
    assert first.quality.verdict is not Verdict.CLEAN
    await desk.ask(classify(), text="hi")
    assert len(script.requests) == 2


async def test_failures_are_not_kept(storage):
    script = Script(["nonsense", "nonsense", paid()])
    desk = desk_on(storage, script)
    with pytest.raises(NoAnswer):
        await desk.ask(classify(), text="hi")
    assert (await desk.ask(classify(), text="hi")).value is Intent.REFUND


@pytest.mark.parametrize("cache", [None, 0])
async def test_without_wish_nothing_is_kept(storage, cache):
    script = Script([paid(), paid()])
    desk = desk_on(storage, script)
    for _ in range(2):
        await desk.ask(classify(cache=cache), text="hi")
    assert len(script.requests) == 2


async def test_fifty_who_ask_the_same_at_once_cost_one_request(storage):
    gate = asyncio.Event()

    async def slowly(_: ModelRequest) -> ModelReply:
        await gate.wait()
        return paid()

    script = Script(slowly)
    desk = desk_on(storage, script)
    asking = [asyncio.create_task(desk.ask(classify(), text="hi")) for _ in range(50)]
    other = asyncio.create_task(desk.ask(classify(), text="ho"))
    await asyncio.sleep(0.1)
    gate.set()
    answers = await asyncio.gather(*asking, other)
    assert len(script.requests) == 2
    assert sum(answer.cost.nanos for answer in answers) == 14


async def test_when_the_one_who_asks_is_cancelled_another_asks(storage):
    began, gate = asyncio.Event(), asyncio.Event()

    async def slowly(_: ModelRequest) -> ModelReply:
        began.set()
        await gate.wait()
        return paid()

    script = Script([slowly, paid()])
    desk = desk_on(storage, script)
    first = asyncio.create_task(desk.ask(classify(), text="hi"))
    await began.wait()
    second = asyncio.create_task(desk.ask(classify(), text="hi"))
    await asyncio.sleep(0.05)
    first.cancel()
    assert (await second).value is Intent.REFUND
    assert len(script.requests) == 2


async def test_who_waits_for_another_call_waits_no_longer_than_the_deadline(storage):
    asked = asyncio.Event()

    async def never() -> AnyAnswer:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    cache = AnswerCache(kept_on(storage, Wall()))
    question = Question(CacheKey("t", "k"), "p@1", classify().codec, DAY, timeout=0.05)
    first = asyncio.create_task(cache.answer(question, never))
    await asked.wait()
    with pytest.raises(NoAnswer, match="same question"):
        await cache.answer(question, never)
    first.cancel()
    await asyncio.wait([first])


async def test_a_stale_answer_is_found_by_whoever_wants_it_and_says_so(storage):
    wall = Wall()
    desk = desk_on(storage, Script([paid()]), wall)
    await desk.ask(classify(), text="hi")
    await written(desk)
    policy = CallPolicy.merged(GatewaySettings(), classify().policy)
    said = [
        Message(Role.SYSTEM, classify().output.instruction or ""),
        Message(Role.USER, "Classify: hi"),
    ]
    key = cache_key(classify(), policy, said, "default")
    question = Question(key, "classify", classify().codec, DAY, 5)
    wall.now += DAY + 60
    cache = AnswerCache(kept_on(storage, wall), clock=wall)
    assert await cache.find(question) is None
    stale = await cache.find(question, stale=True)
    assert stale is not None
    assert (stale.value, stale.quality.verdict) == (Intent.REFUND, Verdict.DEGRADED)
    assert "86460 s old" in stale.quality.reasons[0]


def kept(name: str, data: bytes, wall: Wall) -> KeptAnswer:
    return KeptAnswer(CacheKey("t", name), "p@1", data, wall.now, wall.now + DAY)


async def test_what_is_long_is_kept_in_pieces_and_swept_when_it_goes(storage):
    wall = Wall()
    store = kept_on(storage, wall, threshold=100)
    long = bytes(range(256)) * 100
    await store.keep([kept("a", long, wall)])
    found = await store.find(CacheKey("t", "a"), stale=False)
    assert found is not None
    assert found.data == long
    assert not (await storage.read(sweeping.mark)).unused
    wall.now += 2 * DAY + 1
    await store.keep([kept("b", b"{}", wall)])
    assert await store.find(CacheKey("t", "a"), stale=True) is None
    assert (await storage.read(sweeping.mark)).unused


async def test_the_oldest_go_when_all_together_are_too_long(storage):
    wall = Wall()
    store = kept_on(storage, wall, most=1000)
    for name in "abcdef":
        wall.now += 1
        await store.keep([kept(name, b"x" * 300, wall)])
    assert await storage.read(cached_answers.count) == 3
    assert await store.find(CacheKey("t", "c"), stale=True) is None
    assert await store.find(CacheKey("t", "f"), stale=True) is not None


texts = st.text(max_size=20)


@given(st.lists(texts, max_size=3), st.lists(texts, max_size=3), texts, texts)
def test_two_calls_have_one_key_only_if_they_are_the_same(some, others, one, other):
    policy = CallPolicy.merged(GatewaySettings(), PromptPolicy())
    known = classify()

    def key(said: list[str], tenant: str) -> CacheKey:
        return cache_key(known, policy, [Message(Role.USER, text) for text in said], tenant)

    assert (key(some, one) == key(others, other)) == ((some, one) == (others, other))
    assert key(some, one) != cache_key(
        known, replace(policy, temperature=0.5), [Message(Role.USER, text) for text in some], one
    )


cached = prompt("greet", "Greet {name}", models=models("a"), cache="1h")


@workflow
async def greet(name: str) -> str:
    return (await cached(name=name)).value


async def test_runs_share_answers_and_their_journal_keeps_its_own(tmp_path: Path):
    script = Script(["Hello, Ada"])
    async with Podium(tmp_path / "podium.db", workflows=[greet], scripts={"a": script}) as app:
        assert {await app.run(greet, "Ada") for _ in range(3)} == {"Hello, Ada"}
    settings = Settings(gateway=GatewaySettings(cache=1.0))
    async with Podium(
        tmp_path / "podium.db", workflows=[greet], settings=settings, scripts={"a": Script([])}
    ) as app:
        assert await app.run(greet, "Ada") == "Hello, Ada"
    assert len(script.requests) == 1
