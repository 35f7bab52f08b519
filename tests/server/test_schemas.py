"""On the typed lane a reply that is to be JSON of a schema is that, or the request ends in an error that says so."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import openai
import pytest

from podium.domain.budgets import Budget
from podium.domain.money import Money
from podium.ports.models import FinishReason, ModelReply, ModelRequest, ToolCall
from podium.providers import Script, say
from tests.server.support import QUICK, new_key, serving

SCHEMA: Any = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer", "minimum": 0}},
    "required": ["city", "people"],
    "additionalProperties": False,
}
ASK: Any = {"model": "m", "messages": [{"role": "user", "content": "Where?"}]}
CHAT: Any = {
    **ASK,
    "response_format": {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}},
}
RESPONSE: Any = {
    "model": "m",
    "input": "Where?",
    "text": {"format": {"type": "json_schema", "name": "place", "schema": SCHEMA}},
}
GOOD = '{"city": "Graz", "people": 300000}'
WRONG = '{"city": "Graz", "people": "many"}'
TALKS = {"m": "scripted:talks"}
AGAIN = replace(QUICK, reasks=1)


def content(got: Any) -> Any:
    return got.json()["choices"][0]["message"]["content"]


@pytest.mark.parametrize("said", ["It is Graz.", WRONG, '["Graz"]', '{"city": "Graz", "people": -1}', "{}"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("path", "body"), [("chat/completions", CHAT), ("responses", RESPONSE)], ids=["chat", "responses"]
)
async def test_what_is_not_of_the_schema_is_an_error_after_another_try(tmp_path, said, stream, path, body):
    script = Script(lambda _: say(said))
    async with (
        serving(tmp_path, aliases=TALKS, scripts={"talks": script}, gateway=AGAIN) as server,
        server.http() as client,
    ):
        got = await client.post(f"/v1/{path}", json={**body, "stream": stream})
        (row,) = await server.log(1)
    error = got.json()["error"]
    assert (got.status_code, error["code"], got.headers["x-should-retry"]) == (502, "invalid_output", "false")
    assert "did not answer with JSON of the schema" in error["message"]
    assert len(script.requests) == 2
    assert row.error in {"invalid_syntax", "invalid_schema"}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_model_that_is_shown_its_mistake_may_correct_it(tmp_path, stream):
    script = Script([WRONG, GOOD])
    async with (
        serving(tmp_path, aliases=TALKS, scripts={"talks": script}, gateway=AGAIN) as server,
        server.http() as client,
    ):
        got = await client.post("/v1/chat/completions", json={**CHAT, "stream": stream})
    assert got.status_code == 200
    if not stream:
        assert json.loads(content(got)) == json.loads(GOOD)
    assert "many" not in got.text
    assert "people" in script.requests[1].messages[-1].text


async def test_the_next_model_answers_where_one_cannot(tmp_path):
    scripts = {"one": Script(lambda _: say("No.")), "two": Script([GOOD])}
    async with (
        serving(tmp_path, aliases={"m": "scripted:one,scripted:two"}, scripts=scripts) as server,
        server.http() as client,
    ):
        got = await client.post("/v1/chat/completions", json=CHAT)
    assert json.loads(content(got)) == json.loads(GOOD)


@pytest.mark.parametrize(
    "said", [f"Here it is:\n```json\n{GOOD}\n```", f"{GOOD[:-1]},}}"], ids=["fence", "comma"]
)
async def test_json_is_taken_out_of_what_stands_around_it(tmp_path, said):
    async with (
        serving(tmp_path, aliases=TALKS, scripts={"talks": Script([said])}) as server,
        server.http() as client,
    ):
        got = await client.post("/v1/chat/completions", json=CHAT)
    assert json.loads(content(got)) == json.loads(GOOD)


async def test_what_is_no_answer_is_handed_on_as_it_is(tmp_path):
    replies: list[Any] = [
        replace(say(GOOD[:9]), finish=FinishReason.LENGTH),
        replace(say("I would rather not."), finish=FinishReason.REFUSAL),
        replace(say(""), calls=(ToolCall("1", "look", "{}"),)),
    ]
    async with (
        serving(tmp_path, aliases=TALKS, scripts={"talks": Script(replies)}) as server,
        server.http() as client,
    ):
        got = [(await client.post("/v1/chat/completions", json=CHAT)).json() for _ in replies]
    assert [each["choices"][0]["finish_reason"] for each in got] == ["length", "stop", "tool_calls"]
    assert got[1]["choices"][0]["message"]["refusal"] == "I would rather not."


@pytest.mark.parametrize(
    "schema",
    [{"type": "nothing"}, {"$ref": "http://127.0.0.1:9/schema"}, {"$ref": "#/$defs/none"}, {"$ref": "#"}],
    ids=["none", "elsewhere", "dangling", "endless"],
)
async def test_a_schema_that_cannot_be_used_is_the_requests_fault_and_nothing_is_fetched(tmp_path, schema):
    body = {**ASK, "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}
    async with (
        serving(tmp_path, aliases=TALKS, scripts={"talks": Script(lambda _: say(GOOD))}) as server,
        server.http() as client,
    ):
        got = await client.post("/v1/chat/completions", json=body)
    assert got.status_code == 400


def laughs() -> Any:
    """A schema of a few lines that takes ten to the twelfth steps."""
    chain = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 10} for n in range(12)}
    return {"$ref": "#/$defs/a0", "$defs": {**chain, "a12": {"type": "object"}}}


async def test_no_schema_keeps_the_server_busy(tmp_path):
    slow = {"type": "object", "properties": {"city": {"type": "string", "pattern": "^(x+x+)+y$"}}}
    said = json.dumps({"city": "x" * 60})
    async with (
        serving(tmp_path, aliases=TALKS, scripts={"talks": Script(lambda _: say(said))}) as server,
        server.http() as client,
    ):
        codes = []
        for schema in (slow, laughs()):
            form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
            got = await client.post("/v1/chat/completions", json={**ASK, "response_format": form}, timeout=5)
            codes.append(got.json()["error"]["code"])
    assert codes == ["invalid_output", "invalid_value"]


@pytest.mark.parametrize(
    ("said", "fits"), [('{"a": "x1"}', True), ('{"a": "1x"}', False), ('{"b": [1, 1]}', False)]
)
async def test_patterns_and_unique_items_are_heeded(tmp_path, said, fits):
    properties = {"a": {"type": "string", "pattern": "^x[0-9]$"}, "b": {"type": "array", "uniqueItems": True}}
    form = {
        "type": "json_schema",
        "json_schema": {"name": "x", "schema": {"type": "object", "properties": properties}},
    }
    async with (
        serving(tmp_path, aliases=TALKS, scripts={"talks": Script(lambda _: say(said))}) as server,
        server.http() as client,
    ):
        got = await client.post("/v1/chat/completions", json={**ASK, "response_format": form})
    assert (got.status_code == 200) is fits


async def test_what_another_try_may_cost_is_set_aside_before(tmp_path):
    token = await new_key(tmp_path, budget=Budget.parse("$10/day"))

    def price(_: str, usage: Any) -> Money:
        return Money.usd(str(usage.output_tokens))

    def costly(_: ModelRequest) -> ModelReply:
        return replace(say("No."), cost=Money.usd("5"))

    async with (
        serving(
            tmp_path, aliases=TALKS, scripts={"talks": Script(costly)}, price=price, gateway=AGAIN
        ) as server,
        server.openai(token) as client,
    ):
        with pytest.raises(openai.BadRequestError, match="lower max_tokens"):
            await client.chat.completions.create(**CHAT, max_tokens=6)
        with pytest.raises(openai.InternalServerError):
            await client.chat.completions.create(**CHAT, max_tokens=5)
