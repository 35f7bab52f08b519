"""Scripted models: what a test wrote down, said in order."""

from __future__ import annotations

import asyncio

import pytest

from podium.domain.answers import FailureKind, Usage
from podium.domain.errors import InvalidInput
from podium.domain.money import Money
from podium.ports.models import FinishReason, ModelFailure, ModelReply, ModelRequest
from podium.providers import Providers, Script, say
from tests.providers.asking import ask


async def complete(script: Script, request: ModelRequest | None = None) -> ModelReply:
    provider, model = Providers({}, scripts={"desk": script}).find("scripted:desk")
    return await provider.complete(model, request or ask())


async def test_lines_are_said_in_order_and_requests_kept():
    script = Script(["first", "second"])
    assert [(await complete(script)).text, (await complete(script)).text] == ["first", "second"]
    assert [request.messages[0].text for request in script.requests] == ["Where is my parcel?"] * 2
    assert script.left == 0


async def test_a_text_costs_nothing_and_its_words_are_counted():
    reply = await complete(Script(["It is on its way."]))
    assert reply == ModelReply(
        "It is on its way.", FinishReason.STOP, Usage(4, 5), "desk", (), Money(), "free"
    )


async def test_a_reply_is_said_as_it_is():
    reply = say("Yes it is", logprob=-0.5, finish=FinishReason.LENGTH)
    assert await complete(Script([reply])) is reply
    assert "".join(token.text for token in reply.tokens) == "Yes it is"


async def test_a_failure_is_raised():
    failure = ModelFailure(FailureKind.RATE_LIMIT, "slow down", retry_after=2)
    with pytest.raises(ModelFailure) as caught:
        await complete(Script([failure]))
    assert caught.value is failure


async def test_a_line_may_be_a_function_of_the_request():
    script = Script([lambda request: request.messages[0].text.upper()])
    assert (await complete(script, ask("hello"))).text == "HELLO"


async def test_one_function_answers_every_request():
    script = Script(lambda request: request.messages[0].text[::-1])
    assert [(await complete(script, ask("ab"))).text, (await complete(script, ask("cd"))).text] == [
        "ba",
        "dc",
    ]


async def test_a_function_may_take_its_time_until_the_deadline():
    async def slowly(request: ModelRequest) -> str:
        await asyncio.sleep(0.05)
        return "there"

    assert (await complete(Script([slowly]))).text == "there"
    with pytest.raises(ModelFailure) as caught:
        await complete(Script([slowly]), ask(total=0.01))
    assert caught.value.kind is FailureKind.TIMEOUT


async def test_a_script_without_lines_says_so_by_name():
    script = Script(["only"])
    await complete(script)
    with pytest.raises(
        ModelFailure, match="scripted:desk has no more lines: 1 were written, this is request 2"
    ):
        await complete(script)


def test_a_script_that_was_not_given_is_refused_with_those_that_were():
    provider, model = Providers({}, scripts={"desk": Script([])}).find("scripted:dsk")
    with pytest.raises(InvalidInput, match=r"given: desk\); did you mean scripted:desk\?"):
        provider.check(model)
