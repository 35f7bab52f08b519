"""What failures do to a call: waits, retries, other candidates, and one deadline over all of it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.domain.answers import FailureKind
from podium.domain.errors import CredentialMissing, NoAnswer, Retryable
from podium.gateway import Gateway, Prompt, prompt
from podium.ports.models import FinishReason, ModelFailure, ModelReply, ModelRequest, Route
from podium.providers import Providers, Script, say
from podium.settings.gateway import GatewaySettings
from tests.gateway.support import REFUND, Clock, Desk, Intent, ask, failure, models, scripted

K = FailureKind


def classify(*names: str, **options: Any) -> Prompt[Intent]:
    return prompt("classify", "Classify: {text}", output=Intent, models=models(*names), **options)


async def test_transient_failures_are_retried_with_growing_waits():
    desk = scripted(a=[failure(K.SERVER), failure(K.RESET), REFUND])
    await desk.ask(classify("a"), text="hi")
    assert desk.clock.waits == [0.5, 1.0]
    assert [outcome for _, _, outcome in desk.story] == ["retry", "retry", "accepted"]


async def test_in_a_total_outage_retries_do_not_multiply():
    desk = scripted(
        a=lambda _: failure(K.SERVER), b=lambda _: failure(K.SERVER), c=lambda _: failure(K.SERVER)
    )
    with pytest.raises(NoAnswer):
        await desk.ask(classify("a", "b", "c"), text="hi")
    assert len(desk.recorded) == 3 + 2


async def test_who_asks_to_wait_is_asked_again_in_time():
    desk = scripted(a=[failure(K.RATE_LIMIT, 7.0), REFUND])
    answer = await desk.ask(classify("a"), text="hi")
    assert answer.value is Intent.REFUND
    assert desk.clock.waits == [7.0]


async def test_while_one_waits_another_answers():
    desk = scripted(a=[failure(K.RATE_LIMIT, 7.0)], b=[REFUND])
    answer = await desk.ask(classify("a", "b"), text="hi")
    assert answer.model == "scripted:b"
    assert desk.clock.waits == []


async def test_a_wait_beyond_the_deadline_is_the_runs_to_make():
    desk = scripted(a=[failure(K.RATE_LIMIT, 90.0)], b=[failure(K.OVERLOADED, 75.0)])
    with pytest.raises(Retryable) as raised:
        await desk.ask(classify("a", "b", timeout=10), text="hi")
    assert raised.value.retry_after == 75.0
    assert "classify@" in str(raised.value)
    assert "it may be asked again in 75.0 s" in str(raised.value)
    assert desk.clock.waits == []


async def test_who_still_asks_to_wait_after_all_retries_is_left_to_the_run():
    desk = scripted(a=lambda _: failure(K.RATE_LIMIT, 2.0))
    with pytest.raises(Retryable) as raised:
        await desk.ask(classify("a"), text="hi")
    assert raised.value.retry_after == 2.0
    assert len(desk.recorded) == 3


async def test_a_limit_without_a_time_is_an_ordinary_failure_in_the_end():
    desk = scripted(a=lambda _: failure(K.RATE_LIMIT))
    with pytest.raises(NoAnswer):
        await desk.ask(classify("a"), text="hi")
    assert len(desk.recorded) == 3


async def test_a_refusal_ends_the_call_even_while_another_waits():
    refused = say("I will not.", finish=FinishReason.REFUSAL)
    desk = scripted(a=[failure(K.RATE_LIMIT, 90.0)], b=[refused], c=[REFUND])
    with pytest.raises(NoAnswer, match=r"refusal: the model refused: I will not\..*fallback_on_refusal"):
        await desk.ask(classify("a", "b", "c"), text="hi")


async def test_a_prompt_may_permit_the_next_candidate_to_answer_what_one_refused():
    refused = say("I will not.", finish=FinishReason.CONTENT_FILTER)
    desk = scripted(a=[refused], b=[REFUND])
    answer = await desk.ask(classify("a", "b", fallback_on_refusal=True), text="hi")
    assert answer.model == "scripted:b"


async def test_a_truncated_reply_is_asked_for_with_twice_the_tokens():
    script = Script([say('{"value": "ref', finish=FinishReason.LENGTH), REFUND])
    answer = await scripted(a=script).ask(classify("a", max_tokens=10), text="hi")
    assert answer.value is Intent.REFUND
    assert [request.max_tokens for request in script.requests] == [10, 20]


async def test_free_text_that_was_cut_off_is_never_taken_for_whole():
    cut = say("Dear Ada, we are", finish=FinishReason.LENGTH)
    desk = scripted(a=[cut, cut])
    with pytest.raises(NoAnswer, match="Raise max_tokens="):
        await desk.ask(prompt("reply", "{text}", models=models("a")), text="hi")
    assert [kind for _, kind, _ in desk.story] == ["truncated", "truncated"]


async def test_requests_get_only_what_is_left_of_the_deadline_and_nothing_sleeps_past_it():
    clock = Clock()
    totals: list[float] = []

    async def slow(request: ModelRequest) -> ModelFailure:
        totals.append(request.limits.total)
        await clock.sleep(3.0)
        return failure(K.SERVER)

    desk = scripted(clock, a=slow, b=slow, c=slow)
    with pytest.raises(NoAnswer, match="within its timeout of 10 s"):
        await desk.ask(classify("a", "b", "c", timeout=10.0, retries=9), text="hi")
    assert totals == [10.0, 6.5, 2.5]
    assert clock.now <= 1000.0 + 10.0 + 3.0


async def test_a_sleep_that_lasts_too_long_leads_to_no_request_after_the_deadline():
    class Sluggish(Clock):
        async def sleep(self, seconds: float) -> None:
            await super().sleep(seconds + 5.0)

    desk = scripted(Sluggish(), a=[failure(K.RATE_LIMIT, 9.0)])
    with pytest.raises(Retryable):
        await desk.ask(classify("a", timeout=10.0), text="hi")
    assert len(desk.recorded) == 1


async def test_candidates_that_time_did_not_reach_are_named():
    clock = Clock()

    async def slow(request: ModelRequest) -> ModelFailure:
        await clock.sleep(60.0)
        return failure(K.TIMEOUT)

    with pytest.raises(NoAnswer, match="scripted:b: not asked"):
        await scripted(clock, a=slow, b=[REFUND]).ask(classify("a", "b"), text="hi")


async def test_a_provider_that_keeps_no_deadline_is_stopped():
    class Endless:
        def check(self, model: str) -> None:
            pass

        async def complete(self, model: str, request: ModelRequest) -> ModelReply:
            await asyncio.Event().wait()
            raise AssertionError

        async def close(self) -> None:
            pass

        def routes(self, name: str) -> list[Route]:
            return [Route(self, "endless", name)]

        def find(self, name: str) -> tuple[Endless, str]:
            return self, name

    gateway = Gateway(Endless(), GatewaySettings())
    async with asyncio.timeout(20):
        with pytest.raises(NoAnswer, match="timeout: no answer"):
            await ask(gateway, classify("a", timeout=0.05), {"text": "hi"}, [])


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError("a bug"), "internal"),
        (TimeoutError("of a library"), "internal"),
        (RecursionError(), "internal"),
        (CredentialMissing("set KEY"), "unavailable"),
    ],
)
async def test_a_broken_adapter_does_not_take_the_other_candidates_with_it(error: Exception, kind: str):
    def broken(request: ModelRequest) -> str:
        raise error

    desk = scripted(a=broken, b=[REFUND])
    answer = await desk.ask(classify("a", "b"), text="hi")
    assert answer.model == "scripted:b"
    assert desk.story[0] == ("scripted:a", kind, "next")


async def test_an_adapter_that_cannot_even_be_found_does_not_either():
    class Broken(Providers):
        def routes(self, name: str) -> Any:
            if name == "scripted:a":
                raise ZeroDivisionError
            return super().routes(name)

    desk = Desk(Broken({}, scripts={"b": Script([REFUND])}))
    answer = await desk.ask(classify("a", "b"), text="hi")
    assert answer.model == "scripted:b"
    assert desk.story[0] == ("scripted:a", "internal", "next")


async def test_cancelling_the_call_cancels_the_request():
    begun = asyncio.Event()

    async def endless(request: ModelRequest) -> str:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    desk = scripted(a=endless)
    call = asyncio.create_task(desk.ask(classify("a"), text="hi"))
    await begun.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_calls_at_the_same_time_do_not_disturb_one_another():
    def repeat(request: ModelRequest) -> str:
        return json.dumps({"value": request.messages[-1].text.removeprefix("Classify: ")})

    desk = scripted(a=repeat)
    wishes = ["refund", "bug"] * 50
    answers = await asyncio.gather(*(desk.ask(classify("a"), text=wish) for wish in wishes))
    assert [answer.value.value for answer in answers] == wishes


@settings(deadline=None)
@given(
    st.lists(
        st.builds(failure, st.sampled_from(FailureKind), st.none() | st.floats(0, 100))
        | st.builds(
            say, st.text(), logprob=st.none() | st.floats(-20, 0), finish=st.sampled_from(FinishReason)
        )
        | st.just(REFUND),
        max_size=12,
    ),
    st.integers(0, 3),
    st.integers(0, 2),
    st.booleans(),
)
async def test_whatever_models_do_a_call_ends_in_time_with_an_answer_or_one_of_two_errors(
    lines: list[Any], retries: int, reasks: int, permitted: bool
):
    desk = scripted(a=lines[::2], b=lines[1::2])
    asked = classify("a", "b", retries=retries, reasks=reasks, fallback_on_refusal=permitted)
    try:
        answer = await desk.ask(asked, text="hi")
    except (NoAnswer, Retryable) as error:
        ended = asked.reference in str(error)
    else:
        ended = isinstance(answer.value, Intent) and len(answer.attempts) == len(desk.recorded)
    assert ended
    assert desk.clock.now <= 1000.0 + 60.0
    # Two candidates, the shared retries, and for each candidate its re-asks and one extension. That a candidate must be
    # waited for is recorded too, and shows no prompt.
    assert len([call for call in desk.recorded if call.prompt]) <= 2 + retries + 2 * (reasks + 1)
