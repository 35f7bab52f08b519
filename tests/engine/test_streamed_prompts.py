"""Answers that are read while they are written: in steps, outside runs, and in a run's own stream."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from enum import Enum
from typing import Any

import pytest
from pydantic import BaseModel

from podium import (
    BrokenOff,
    Fallback,
    GatewaySettings,
    InvalidInput,
    NoAnswer,
    NotInRun,
    RunFailed,
    prompt,
    publish,
    step,
    workflow,
)
from podium.domain.answers import Answer, FailureKind
from podium.ports.models import FinishReason, ModelFailure, TextDelta
from podium.providers import Script, piecewise, say
from tests.support.apps import App, app_on, patiently, some


class Intent(Enum):
    REFUND = "refund"
    BUG = "bug"


class Letter(BaseModel):
    subject: str
    lines: list[str]


LETTER = '{"subject": "Your parcel", "lines": ["Dear Ann,", "it is on its way."]}'
write = prompt("write", "Write about {topic}", models=["scripted:a", "scripted:b"], retries=0)
letter = prompt(
    "letter", "Write about {topic}", output=Letter, models=["scripted:a", "scripted:b"], retries=0
)
classify = prompt("classify", "Classify {topic}", output=Intent, models=["scripted:a"], retries=0)

RESET = ModelFailure(FailureKind.RESET, "the line broke")


async def chunks_of(app: App, run: str) -> list[Any]:
    async with patiently():
        return [None if chunk.superseded else chunk.value async for chunk in app.stream(run)]


async def test_outside_a_run_pieces_come_one_by_one_and_the_last_has_the_answer(database):
    scripts = {"a": Script([piecewise("It is ", 0.0, "on its way.")])}
    async with app_on(database, scripts=scripts):
        parts = [part async for part in write.stream(topic="parcels")]
    assert [part.delta for part in parts] == ["It is ", "on its way.", ""]
    assert [part.text for part in parts[:2]] == ["It is ", "It is on its way."]
    assert [part.answer is None for part in parts] == [True, True, False]
    assert some(parts[-1].answer).value == "It is on its way."
    assert some(parts[-1].answer).model == "scripted:a"


async def test_a_typed_answer_grows_and_is_validated_at_its_end(database):
    pieces = [LETTER[i : i + 9] for i in range(0, len(LETTER), 9)]
    async with app_on(database, scripts={"a": Script([piecewise(*pieces)])}):
        parts = [part async for part in letter.stream(topic="parcels")]
    seen = [part.partial for part in parts]
    assert {"subject": "Your "} in seen
    assert seen[-1] == {"subject": "Your parcel", "lines": ["Dear Ann,", "it is on its way."]}
    assert some(parts[-1].answer).value == Letter(
        subject="Your parcel", lines=["Dear Ann,", "it is on its way."]
    )


async def test_a_value_in_a_wrapper_is_shown_without_it(database):
    async with app_on(database, scripts={"a": Script([piecewise('{"value": "ref', 'und"}')])}):
        parts = [part async for part in classify.stream(topic="money")]
    assert [part.partial for part in parts] == ["ref", "refund", "refund"]
    assert some(parts[-1].answer).value is Intent.REFUND


async def test_what_fails_before_anything_was_shown_is_tried_elsewhere(database):
    scripts = {"a": Script([RESET]), "b": Script(["It is on its way."])}
    async with app_on(database, scripts=scripts):
        parts = [part async for part in write.stream(topic="parcels")]
    assert some(parts[-1].answer).model == "scripted:b"
    assert [attempt.failure for attempt in some(parts[-1].answer).attempts] == [FailureKind.RESET, None]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (piecewise("It is ", RESET), "the line broke"),
        (piecewise("It is ", 5.0, "late"), "fell silent"),
        (say("It was cut", finish=FinishReason.LENGTH), "cut off"),
    ],
)
async def test_what_fails_after_something_was_shown_is_told_and_not_repeated(database, line, said):
    scripts = {"a": Script([line]), "b": Script(["never asked"])}
    shown = ""
    async with app_on(database, scripts=scripts, gateway=GatewaySettings(stall=0.05)):
        with pytest.raises(BrokenOff, match=said) as raised:
            async for part in write.stream(topic="parcels"):
                shown += part.delta
    assert shown.startswith("It ")
    assert raised.value.shown == len(shown)
    assert scripts["b"].requests == []


async def test_a_typed_answer_that_turns_out_wrong_is_told_and_not_asked_for_again(database):
    scripts = {"a": Script(['{"value": "complaint"}', '{"value": "bug"}'])}
    async with app_on(database, scripts=scripts):
        with pytest.raises(BrokenOff, match="invalid schema"):
            async for _ in classify.stream(topic="x"):
                pass
    assert scripts["a"].left == 1


async def test_nobody_answers_is_the_same_error_as_without_a_stream(database):
    scripts = {"a": Script([RESET]), "b": Script([RESET])}
    async with app_on(database, scripts=scripts):
        with pytest.raises(NoAnswer, match="the line broke"):
            async for _ in write.stream(topic="x"):
                pass


async def test_leaving_a_stream_ends_the_request(database):
    ended = asyncio.Event()

    async def forever(request: Any) -> str:
        request.on_delta(TextDelta("begun"))
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()
        return "never"

    async with app_on(database, scripts={"a": Script(forever)}):
        async with aclosing(write.stream(topic="x")) as parts:
            async for part in parts:
                assert part.delta == "begun"
                break
        assert ended.is_set()


async def test_a_step_streams_and_its_attempts_are_on_the_timeline(database):
    @step
    async def tell(topic: str) -> str:
        text = ""
        async for part in write.stream(topic=topic):
            await publish(part.delta.upper())
            text = part.text
        return text

    @workflow
    async def telling() -> str:
        return await tell("parcels")

    scripts = {"a": Script([piecewise("one ", "two")])}
    async with app_on(database, telling, scripts=scripts) as app:
        assert await app.run(telling, run_id="r") == "one two"
        assert await chunks_of(app, "r") == ["ONE ", "TWO", ""]
        assert "scripted:a" in repr(await app.timeline("r"))


async def test_a_step_that_is_retried_after_a_broken_stream_asks_again(database):
    @step(retries=1, backoff=0.001)
    async def tell(topic: str) -> str:
        async for part in write.stream(topic=topic):
            await publish(part.delta)
        return part.text

    @workflow
    async def telling() -> str:
        return await tell("parcels")

    scripts = {"a": Script([piecewise("one ", RESET), piecewise("uno ", "due")])}
    async with app_on(database, telling, scripts=scripts) as app:
        assert await app.run(telling, run_id="r") == "uno due"
        assert await chunks_of(app, "r") == ["one ", None, "uno ", "due", ""]


async def test_a_prompt_in_a_workflow_publishes_its_pieces_when_asked(database):
    @workflow
    async def telling() -> str:
        answer: Answer[str] = await write(topic="parcels", stream=True)
        quiet: Answer[str] = await write(topic="parcels")
        return answer.value + quiet.value

    scripts = {"a": Script([piecewise("one ", "two"), piecewise("three ", "four")])}
    async with app_on(database, telling, scripts=scripts) as app:
        assert await app.run(telling, run_id="r") == "one twothree four"
        assert await chunks_of(app, "r") == ["one ", "two"]


async def test_pieces_of_a_reply_that_failed_are_superseded_by_those_of_the_next(database):
    @workflow
    async def telling() -> str:
        return (await write(topic="parcels", stream=True)).value

    scripts = {"a": Script([piecewise("one ", RESET)]), "b": Script([piecewise("uno ", "due")])}
    async with app_on(database, telling, scripts=scripts) as app:
        assert await app.run(telling, run_id="r") == "uno due"
        assert await chunks_of(app, "r") == ["one ", None, "uno ", "due"]


async def test_a_prompt_may_be_declared_to_stream(database):
    loud = prompt("loud", "Say {stream}", models=["scripted:a"], stream=True)

    @workflow
    async def telling() -> str:
        # A variable of this name is a variable.
        return (await loud(stream="it")).value

    scripts = {"a": Script([piecewise("one ", "two")])}
    async with app_on(database, telling, scripts=scripts) as app:
        assert await app.run(telling, run_id="r") == "one two"
        assert await chunks_of(app, "r") == ["one ", "two"]
        assert scripts["a"].requests[0].messages[-1].text == "Say it"


async def test_workflow_code_cannot_read_a_live_stream(database):
    @workflow
    async def telling() -> None:
        async for _ in write.stream(topic="x"):
            pass

    async with app_on(database, telling, scripts={"a": Script([])}) as app:
        with pytest.raises(RunFailed, match="stream=True"):
            await app.run(telling)


async def test_without_podium_there_is_nobody_to_ask():
    with pytest.raises(NotInRun, match="async with Podium"):
        write.stream(topic="x")


async def test_wrong_variables_are_refused_at_the_call(database):
    async with app_on(database, scripts={}):
        with pytest.raises(InvalidInput, match="missing: topic"):
            write.stream(subject="x")


kept_line = prompt("line", "Write about {topic}", models=["scripted:a"], retries=0, cache="1h")
kept_letter = prompt(
    "letter", "Write about {topic}", output=Letter, models=["scripted:a"], retries=0, cache="1h"
)
kept_intent = prompt(
    "intent", "Classify {topic}", output=Intent, models=["scripted:a"], retries=0, cache="1h"
)


@pytest.mark.parametrize(
    ("asked", "text", "shown"),
    [
        (kept_line, "It is on its way.", "It is on its way."),
        (
            kept_letter,
            LETTER,
            {"subject": "Your parcel", "lines": ["Dear Ann,", "it is on its way."]},
        ),
        (kept_intent, '{"value": "refund"}', "refund"),
    ],
    ids=["text", "object", "wrapped"],
)
async def test_an_answer_from_the_cache_is_read_like_any_other(database, asked, text, shown):
    async with app_on(database, scripts={"a": Script([text])}):
        first = [part async for part in asked.stream(topic="parcels")]
        again = [part async for part in asked.stream(topic="parcels")]
    assert len(first) > 1
    assert [(part.partial, part.answer is None) for part in again] == [(shown, True), (shown, False)]
    assert some(again[-1].answer).value == some(first[-1].answer).value
    assert [attempt.outcome for attempt in some(again[-1].answer).attempts] == ["cached"]


@workflow
async def streams_kept(topic: str) -> str:
    return (await kept_line(topic=topic, stream=True)).value


async def test_an_answer_from_the_cache_is_published_in_the_runs_stream(database):
    async with app_on(database, streams_kept, scripts={"a": Script(["It is on its way."])}) as app:
        for run_id in ("first", "again"):
            run = await app.start(streams_kept, "parcels", run_id=run_id)
            assert await run.result() == "It is on its way."
        assert "".join(await chunks_of(app, "first")) == "It is on its way."
        assert await chunks_of(app, "again") == ["It is on its way."]


bridged = prompt(
    "bridged",
    "Write about {topic}",
    models=["scripted:a"],
    retries=0,
    on_outage=Fallback("We are closed."),
)


@workflow
async def streams_bridged(topic: str) -> str:
    return (await bridged(topic=topic, stream=True)).value


async def test_a_value_that_bridges_an_outage_takes_the_place_of_what_was_published(database):
    scripts = {"a": Script([piecewise("It is ", RESET)])}
    async with app_on(database, streams_bridged, scripts=scripts) as app:
        run = await app.start(streams_bridged, "parcels", run_id="r")
        assert await run.result() == "We are closed."
        assert await chunks_of(app, "r") == ["It is ", None, "We are closed."]
