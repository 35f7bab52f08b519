"""What a call comes to when no model answers, and how few requests it takes to find out."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from podium.domain.answers import Answer, AnyAnswer, FailureKind, Usage
from podium.domain.errors import InvalidDefinition, ModelsUnavailable, NoAnswer, Retryable
from podium.domain.money import Money
from podium.domain.policies import Fallback, PromptPolicy
from podium.domain.quality import Quality, Verdict
from podium.gateway import Gateway, Prompt, prompt
from podium.ports.models import FinishReason
from podium.ports.stale import Question, StaleAnswer
from podium.providers import Providers, Script, say
from podium.settings.gateway import GatewaySettings
from tests.gateway.support import REFUND, Clock, Intent, ask, failure, models, scripted

K = FailureKind


def classify(*names: str, **options: Any) -> Prompt[Intent]:
    return prompt("classify", "Classify: {text}", output=Intent, models=models(*names), **options)


def down(*_: object) -> Any:
    return failure(K.SERVER)


async def outage(desk: Any, asked: Prompt[Any], calls: int = 4) -> None:
    for _ in range(calls):
        with pytest.raises((NoAnswer, Retryable)):
            await desk.ask(asked, text="hi")


async def test_while_all_breakers_are_open_calls_fail_at_once_and_ask_nobody():
    script = Script(down)
    desk = scripted(a=script)
    await outage(desk, classify("a", timeout=2), calls=2)
    asked = len(script.requests)
    with pytest.raises(ModelsUnavailable, match=r"breaker of scripted:a is open .*5 failures in a row"):
        await desk.ask(classify("a", timeout=2), text="hi")
    assert len(script.requests) == asked == 5
    assert desk.story[-1] == ("scripted:a", "breaker_open", "fail")


async def test_a_call_with_the_time_to_waits_for_the_breaker_and_probes():
    desk = scripted(a=[failure(K.SERVER)] * 5 + [REFUND])
    await outage(desk, classify("a", timeout=2), calls=2)
    answer = await desk.ask(classify("a"), text="hi")
    assert answer.value is Intent.REFUND
    # One retry of the second call had come half a second before the breaker opened.
    assert sum(desk.clock.waits[-1:]) <= 5.0
    assert [each.outcome for each in answer.attempts] == ["wait", "accepted"]
    assert "is open for another" in answer.attempts[0].message
    assert answer.attempts[1].message.startswith("waited ")


async def test_an_open_breaker_sends_calls_straight_to_the_next_candidate():
    script = Script(down)
    desk = scripted(a=script, b=lambda _: REFUND)
    for _ in range(20):
        assert (await desk.ask(classify("a", "b"), text="hi")).model == "scripted:b"
    assert len(script.requests) <= 7


@pytest.mark.parametrize("candidates", [("a",), ("a", "b"), ("a", "b", "c")])
@pytest.mark.parametrize("at_once", [1, 10, 200])
async def test_a_total_outage_takes_little_more_than_a_request_for_each_call(
    candidates: tuple[str, ...], at_once: int
):
    scripts: dict[str, Any] = {name: Script(down) for name in candidates}
    desk = scripted(**scripts)
    limit = asyncio.Semaphore(at_once)

    async def call() -> None:
        async with limit:
            with pytest.raises((NoAnswer, Retryable)):
                await desk.ask(classify(*candidates, timeout=20), text="hi")

    await asyncio.gather(*(call() for _ in range(200)))
    assert sum(len(script.requests) for script in scripts.values()) <= 1.2 * 200


async def test_a_fallback_value_is_degraded_and_says_why():
    desk = scripted(a=down)
    answer = await desk.ask(classify("a", retries=0, on_outage=Fallback(Intent.BUG)), text="hi")
    assert (answer.value, answer.model, answer.confidence) == (Intent.BUG, "fallback", None)
    assert answer.quality == Quality(
        Verdict.DEGRADED, ("no model answered (server error): this is the fallback value",)
    )
    assert len(answer.attempts) == 1


async def test_a_fallback_value_bridges_a_limit_too():
    desk = scripted(a=[failure(K.RATE_LIMIT, 500.0)])
    answer = await desk.ask(classify("a", on_outage=Fallback(Intent.BUG)), text="hi")
    assert answer.value is Intent.BUG


@pytest.mark.parametrize("policy", [Fallback(Intent.BUG), "stale", "reschedule"])
@pytest.mark.parametrize("said", [say("I will not.", finish=FinishReason.REFUSAL), failure(K.BAD_REQUEST)])
async def test_what_would_be_turned_down_on_any_day_is_no_outage(policy: Any, said: Any):
    desk = scripted(a=[said], b=down)
    with pytest.raises(NoAnswer):
        await desk.ask(classify("a", "b", on_outage=policy), text="hi")


async def test_a_fallback_of_another_type_is_refused_where_it_is_declared():
    with pytest.raises(InvalidDefinition, match="is not of the output type"):
        classify("a", on_outage=Fallback("bug?"))
    with pytest.raises(InvalidDefinition, match="on_outage='hope' must be one of 'fail', 'stale'"):
        classify("a", on_outage="hope")


async def test_a_call_may_be_put_off_until_a_breaker_lets_a_probe_through():
    desk = scripted(a=down)
    asked = classify("a", timeout=2, on_outage="reschedule")
    await outage(desk, asked, calls=2)
    with pytest.raises(Retryable) as raised:
        await desk.ask(asked, text="hi")
    assert 4.0 < (raised.value.retry_after or 0) <= 5.0


class Kept:
    """Keeps one answer."""

    def __init__(self, answer: AnyAnswer | None) -> None:
        self.answer = answer
        self.asked: list[Question] = []

    async def latest(self, question: Question) -> StaleAnswer | None:
        self.asked.append(question)
        return None if self.answer is None else StaleAnswer(self.answer, 90.0)


OLD: AnyAnswer = Answer(Intent.REFUND, 0.9, Quality(), "p:m", Money.usd("0.1"), Usage(1, 2), "classify@old")


def keeping(answer: AnyAnswer | None) -> tuple[Gateway, Kept]:
    clock, kept = Clock(), Kept(answer)
    providers = Providers({}, scripts={"a": Script(down)})
    return Gateway(providers, GatewaySettings(), stale=kept, clock=clock, sleep=clock.sleep), kept


async def test_an_earlier_answer_is_degraded_and_costs_nothing_again():
    gateway, kept = keeping(OLD)
    asked = classify("a", on_outage="stale")
    answer = await ask(gateway, asked, {"text": "hi"}, [])
    assert (answer.value, answer.model, answer.confidence) == (Intent.REFUND, "p:m", 0.9)
    assert answer.quality.verdict is Verdict.DEGRADED
    assert answer.quality.reasons == ("no model answered (server error): this is the answer of 90 s ago",)
    assert answer.cost == Money()
    assert kept.asked[0].prompt == asked.reference
    await ask(gateway, asked, {"text": "hi"}, [])
    await ask(gateway, asked, {"text": "ho"}, [])
    digests = [each.digest for each in kept.asked]
    assert digests[0] == digests[1] != digests[2]


async def test_a_suspect_earlier_answer_stays_suspect():
    suspect = replace(OLD, quality=Quality(Verdict.SUSPECT, ("odd",)))
    answer = await ask(keeping(suspect)[0], classify("a", on_outage="stale"), {"text": "hi"}, [])
    assert answer.quality.verdict is Verdict.SUSPECT
    assert answer.quality.reasons[0] == "odd"


async def test_without_an_earlier_answer_the_call_fails():
    with pytest.raises(NoAnswer):
        await ask(keeping(None)[0], classify("a", on_outage="stale"), {"text": "hi"}, [])


def test_a_prompts_policy_stands_over_the_one_it_is_given():
    given = PromptPolicy(timeout=3.0, retries=5, on_outage="stale")
    asked = classify("a", retries=0, policy=given)
    assert (asked.policy.timeout, asked.policy.retries, asked.policy.on_outage) == (3.0, 0, "stale")


async def test_the_settings_have_the_last_word_where_nobody_said_anything():
    desk = scripted(a=down, settings={"on_outage": Fallback(Intent.BUG), "retries": 0})
    assert (await desk.ask(classify("a"), text="hi")).value is Intent.BUG


async def test_a_prompt_too_long_for_one_model_goes_to_a_larger_one_only():
    long = [failure(K.CONTEXT_WINDOW)]
    desk = scripted(
        a=long,
        b=[REFUND],
        c=[REFUND],
        settings={"context_windows": {"scripted:a": 8000, "scripted:b": 8000, "scripted:c": 32_000}},
    )
    answer = await desk.ask(classify("a", "b", "c"), text="hi")
    assert answer.model == "scripted:c"
    assert [each.model for each in answer.attempts] == ["scripted:a", "scripted:c"]
