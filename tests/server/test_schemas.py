"""On the typed lane a reply that is to be JSON of a schema is that, or the request ends in an error that says so."""

from __future__ import annotations

import asyncio
import json
import time
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
    assert codes == ["invalid_output", "invalid_schema"]


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


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ({"allOf": [{"type": "object"}], "$ref": "#/allOf/x"}, "$.$ref"),
        ({"allOf": [{"type": "object"}], "$ref": "#/allOf"}, "$.$ref"),
        ({"properties": {"a": {"$ref": "http://["}}}, "$.properties.a.$ref"),
        ({"$id": "http://[", "properties": {"a": {"$ref": "x"}}}, "$id"),
        ({"properties": {"a": {"pattern": "a{99999999999999}"}}}, "$.properties.a.pattern"),
        ({"properties": {"a": {"pattern": "((a{900}){900}"}}}, "$.properties.a.pattern"),
        ({"properties": {"a": {"pattern": "(" * 500}}}, "$.properties.a.pattern"),
        ({"items": [{"pattern": "[z-a]"}]}, "$.items[0].pattern"),
        ({"required": [1, "a"] * 500}, "$.required"),
        (
            {"properties": {"a": {"$schema": "http://json-schema.org/draft-07/schema#"}}},
            "$.properties.a.$schema",
        ),
        ({"$dynamicRef": "#x"}, "$.$dynamicRef"),
        ({"enum": list(range(15_000))}, "values"),
        ({"description": "x" * 200_000}, "characters"),
        (laughs(), "more than 1000 schemas"),
        ({"anyOf": [{"$ref": "#"}]}, "without end"),
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_schema_that_is_not_sound_is_refused_before_anybody_is_asked(tmp_path, schema, place, stream):
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    script = Script(lambda _: say(GOOD))
    token = await new_key(tmp_path, budget=Budget.parse("10m tokens/day"))
    headers = {"authorization": f"Bearer {token}"}
    async with (
        serving(tmp_path, aliases=TALKS, scripts={"talks": script}) as server,
        server.http() as client,
    ):
        got = await client.post(
            "/v1/chat/completions", json={**ASK, "response_format": form, "stream": stream}, headers=headers
        )
        (row,) = await server.log(1)
    error = got.json()["error"]
    assert (got.status_code, error["type"], error["code"]) == (400, "invalid_request_error", "invalid_schema")
    assert place in error["message"]
    assert script.requests == []
    assert (row.status, row.error, row.usage.input_tokens) == (400, "invalid_schema", 0)


@pytest.mark.parametrize(
    ("schema", "fits"),
    [
        ({"$ref": "#/$defs/n", "$defs": {"n": {"properties": {"next": {"$ref": "#/$defs/n"}}}}}, True),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "required": ["city"]}, True),
        ({"$id": "https://example.org/s", "$defs": {"a": {"$anchor": "x"}}, "$ref": "#x"}, True),
        ({"properties": {"city": {"maxLength": 10**9}}}, True),
        ({"properties": {"city": {"maxLength": 2}}}, False),
        ({"properties": {"city": {"pattern": r"^[A-Z]\w{1,50}$"}}}, True),
    ],
)
async def test_schemas_that_refer_to_themselves_by_way_of_parts_are_used(tmp_path, schema, fits):
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    async with (
        serving(tmp_path, aliases=TALKS, scripts={"talks": Script(lambda _: say(GOOD))}) as server,
        server.http() as client,
    ):
        got = await client.post("/v1/chat/completions", json={**ASK, "response_format": form})
    assert got.status_code == (200 if fits else 502)


async def test_a_reply_that_cannot_be_judged_is_paid_for_and_logged(tmp_path, monkeypatch):
    def broken(*_: object, **__: object) -> None:
        raise KeyError("nobody foresaw this")

    monkeypatch.setattr("podium.gateway.output.schema.read_json", broken)
    token = await new_key(tmp_path, budget=Budget.parse("10m tokens/day"))
    async with (
        serving(tmp_path, aliases=TALKS, scripts={"talks": Script(lambda _: say(GOOD))}) as server,
        server.http() as client,
    ):
        got = await client.post(
            "/v1/chat/completions", json=CHAT, headers={"authorization": f"Bearer {token}"}
        )
        (row,) = await server.log(1)
    assert got.status_code == row.status == 502
    assert row.error == "internal"
    assert row.usage.output_tokens > 0


async def test_validating_replies_of_many_does_not_keep_others_waiting(tmp_path):
    node = {"properties": {"a": {"allOf": [{"$ref": "#/$defs/n"}] * 2}}}
    form = {
        "type": "json_schema",
        "json_schema": {"name": "x", "schema": {"$ref": "#/$defs/n", "$defs": {"n": node}}},
    }
    said = '{"a": ' * 40 + "1" + "}" * 40
    async with (
        serving(tmp_path, aliases=TALKS, scripts={"talks": Script(lambda _: say(said))}) as server,
        server.http() as client,
    ):
        body = {**ASK, "response_format": form}
        asked = [asyncio.create_task(client.post("/v1/chat/completions", json=body)) for _ in range(6)]
        waits = []
        while not all(each.done() for each in asked):
            began = time.monotonic()
            assert (await client.get("/health")).status_code == 200
            waits.append(time.monotonic() - began)
            await asyncio.sleep(0.02)
        codes = {each.result().json()["error"]["code"] for each in asked}
    assert codes == {"invalid_value"}
    assert len(waits) > 3
    assert sorted(waits)[len(waits) // 2] < 0.2
