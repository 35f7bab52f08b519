"""What comes from outside is bounded: no value and no error may stop other runs, or leave its own without an end."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from pydantic import BaseModel, field_validator

from podium import (
    DecisionVerdict,
    InvalidDefinition,
    InvalidInput,
    Retryable,
    RunFailed,
    RunState,
    Usage,
    ask_human,
    prompt,
    step,
    workflow,
)
from podium.providers.scripted import Script, say
from tests.support.apps import app_on

question = prompt("question", "Say something.", models=["scripted:m"])


@workflow
async def asks() -> str:
    return (await question()).value


@pytest.mark.parametrize("tokens", [10**20, 2**63 - 1, -5])
async def test_a_provider_that_counts_absurdly_many_tokens_stops_nothing(database, tokens):
    reply = replace(say("fine"), usage=Usage(tokens, tokens))
    async with app_on(database, asks, scripts={"m": Script([reply, reply])}) as app:
        assert await app.run(asks) == "fine"
        assert await app.run(asks) == "fine"
        spent = (await app.runs.spending()).usage
    assert spent.input_tokens >= 0


@pytest.mark.parametrize("priority", [10**20, -(10**20)])
async def test_a_priority_out_of_range_fails_its_own_run_alone(database, priority):
    @workflow
    async def urgent() -> None:
        await ask_human("now?", priority=priority)

    async with app_on(database, urgent, asks, scripts={"m": Script(["fine"])}) as app:
        with pytest.raises(RunFailed, match="priority"):
            await app.run(urgent)
        assert await app.run(asks) == "fine"


@pytest.mark.parametrize("name", ["caf\udce9", "a\nb", "x" * 201])
def test_a_name_that_cannot_be_stored_is_refused_where_it_is_declared(name):
    with pytest.raises(InvalidDefinition):
        step(name=name)(lambda: None)


async def test_a_timeout_that_is_no_number_fails_the_run(database):
    @workflow
    async def never() -> None:
        async with asyncio.timeout(float("nan")):
            await asyncio.sleep(1)

    async with app_on(database, never) as app:
        with pytest.raises(RunFailed, match="nan"):
            await app.run(never)


class Panic(BaseException):
    """As foreign libraries raise it from other languages."""


@pytest.mark.parametrize(
    "error", [Panic("out"), GeneratorExit(), Retryable("later", retry_after=float("inf"))]
)
async def test_whatever_a_step_raises_its_run_ends(database, error):
    @step
    async def raises() -> None:
        raise error

    @workflow
    async def doomed() -> None:
        await raises()

    async with app_on(database, doomed) as app:
        with pytest.raises(RunFailed):
            await (await app.start(doomed)).result(timeout=10)


class Even(BaseModel):
    """A rule that no JSON schema tells of."""

    count: int

    @field_validator("count")
    @classmethod
    def even(cls, count: int) -> int:
        """Refuse odd numbers."""
        if count % 2:
            raise ValueError("must be even")
        return count


async def test_a_decision_that_does_not_fit_the_type_is_an_error_that_the_workflow_can_catch(database):
    @workflow
    async def careful() -> str:
        try:
            await ask_human("how many?", output=Even)
        except InvalidInput as problem:
            return str(problem)
        return "unreachable"

    async with app_on(database, careful) as app:
        run = await app.start(careful)
        await app.story.state(run.id, RunState.WAITING)
        (review,) = await app.reviews.list()
        await app.reviews.decide(review.id, DecisionVerdict.EDIT, reviewer="ana", value=b'{"count": 3}')
        app.look()
        assert "cannot be used" in await run.result(timeout=10)
