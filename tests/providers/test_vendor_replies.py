"""Replies of hosted models: three wire formats, one `ModelReply`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from podium.domain.answers import Usage
from podium.domain.money import Money
from podium.ports.models import FinishReason, Message, Role, TokenProbability
from tests.providers.asking import KEY, SCHEMA, Line, ask, line_to
from tests.wire import bad_request, content_filter, drip, empty, malformed, ok, refusal, truncated


async def test_a_reply_carries_text_usage_and_the_model_that_answered(line: Line):
    line.server.reply(ok("It is on its way.", input_tokens=31, output_tokens=6))
    reply = await line.complete()
    assert reply.text == "It is on its way."
    assert reply.finish is FinishReason.STOP
    assert reply.usage == Usage(31, 6)
    assert reply.model.startswith("test-model-")


async def test_a_request_with_a_deadline_for_its_first_token_is_streamed(line: Line):
    line.server.reply(ok("Yes."))
    await line.complete()
    request = line.server.requests[0]
    assert request.body.get("stream") or ":streamGenerateContent" in request.path


async def test_the_key_is_sent_as_the_vendor_wants_it(line: Line):
    line.server.reply(ok("Yes."))
    await line.complete()
    headers = line.server.requests[0].headers
    sent = [headers.get(name, "") for name in ("authorization", "x-api-key", "x-goog-api-key")]
    assert any(value.removeprefix("Bearer ") == KEY for value in sent)


async def test_a_dripping_reply_is_collected_whole(line: Line):
    line.server.reply(drip("one two three", pause=0.02))
    assert (await line.complete()).text == "one two three"


async def test_text_in_other_scripts_survives(line: Line):
    line.server.reply(ok("Grüße, 你好, ☃ 🌍"))
    assert (await line.complete()).text == "Grüße, 你好, ☃ 🌍"


async def test_malformed_json_comes_back_as_it_was_said(line: Line):
    line.server.reply(malformed('{"intent": "refund", '))
    reply = await line.complete(ask(schema=SCHEMA))
    assert reply.text.strip() == '{"intent": "refund",'
    assert reply.finish is FinishReason.STOP


async def test_an_empty_reply_is_a_reply(line: Line):
    line.server.reply(empty())
    reply = await line.complete()
    assert (reply.text, reply.finish) == ("", FinishReason.STOP)


async def test_a_truncated_reply_says_so(line: Line):
    line.server.reply(truncated('{"intent": "ref'))
    reply = await line.complete()
    assert (reply.text, reply.finish) == ('{"intent": "ref', FinishReason.LENGTH)


async def test_a_refusal_or_a_filtered_reply_is_no_plain_reply(line: Line):
    line.server.reply(refusal("I can't help with that."), content_filter())
    refused = await line.complete()
    filtered = await line.complete()
    assert refused.text == "I can't help with that."
    # Anthropic has one word for both, and Google has none for a model that declines.
    refusals = {FinishReason.REFUSAL, FinishReason.CONTENT_FILTER}
    assert {refused.finish, filtered.finish} <= refusals
    if line.server.vendor == "openai":
        assert (refused.finish, filtered.finish) == (FinishReason.REFUSAL, FinishReason.CONTENT_FILTER)


async def test_instructions_and_turns_arrive_in_their_roles(line: Line):
    line.server.reply(ok("Yes."))
    turns = [
        Message(Role.SYSTEM, "Be brief."),
        Message(Role.USER, "First question"),
        Message(Role.ASSISTANT, "First answer"),
        Message(Role.USER, "Second question"),
    ]
    await line.complete(ask(messages=turns))
    body = line.server.requests[0].body
    assert spoken(body) == [
        ("system", "Be brief."),
        ("user", "First question"),
        ("assistant", "First answer"),
        ("user", "Second question"),
    ]


async def test_the_output_limit_and_the_temperature_are_passed_on(line: Line):
    line.server.reply(ok("Yes."))
    await line.complete(ask(max_tokens=77, temperature=0.25))
    body = line.server.requests[0].body
    settings = body.get("generationConfig", body)
    assert settings["temperature"] == 0.25
    assert 77 in {settings.get("max_tokens"), settings.get("maxOutputTokens")}


async def test_a_schema_is_enforced_by_the_service_or_told_to_the_model(line: Line):
    line.server.reply(ok('{"intent": "bug", "urgent": true}'))
    reply = await line.complete(ask(schema=SCHEMA))
    assert json.loads(reply.text) == {"intent": "bug", "urgent": True}
    assert '"refund"' in json.dumps(line.server.requests[0].body).replace('\\"', '"')


@pytest.mark.parametrize(
    ("vendor", "model", "where"),
    [
        ("openai", "gpt-4.1-mini", ("response_format", "json_schema", "schema")),
        ("anthropic", "claude-haiku-4-5", ("output_config", "format", "schema")),
        ("google", "gemini-2.5-flash", ("generationConfig", "responseJsonSchema")),
    ],
)
async def test_models_known_to_take_schemas_get_them_in_the_vendors_own_format(vendor, model, where):
    async with line_to(vendor, model) as line:
        line.server.reply(ok('{"intent": "bug", "urgent": true}'))
        await line.complete(ask(schema=SCHEMA))
        found: Any = line.server.requests[0].body
        for step in where:
            found = found[step]
        assert found["properties"]["intent"]["enum"] == SCHEMA["properties"]["intent"]["enum"]


async def test_a_schema_that_is_no_object_is_told_in_words(line: Line):
    line.server.reply(ok('"bug"'))
    await line.complete(ask(schema={"type": "string", "enum": ["bug", "refund"]}))
    body = line.server.requests[0].body
    assert "response_format" not in body
    instructions = [text for role, text in spoken(body) if role == "system"]
    assert '"enum":["bug","refund"]' in instructions[0]


async def test_openai_gives_the_probability_of_each_token(openai: Line):
    openai.server.reply(ok("Yes it is", logprobs=[("Yes", -0.1), (" it", -0.5), (" is", 0.0)]))
    reply = await openai.complete()
    assert reply.tokens == (
        TokenProbability("Yes", -0.1),
        TokenProbability(" it", -0.5),
        TokenProbability(" is", 0.0),
    )


@pytest.mark.parametrize("model", ["gpt-5-mini", "o3"])
async def test_models_that_reason_are_asked_for_neither_probabilities_nor_a_temperature(model):
    async with line_to("openai", model) as line:
        line.server.reply(ok("Yes."))
        reply = await line.complete(ask(temperature=0.0))
        body = line.server.requests[0].body
        assert not {"logprobs", "temperature"} & set(body)
        assert reply.tokens == ()


async def test_a_server_that_refuses_probabilities_is_not_asked_for_them_again(openai: Line):
    openai.server.reply(bad_request("`logprobs` is not supported with this model"), ok("Yes."), ok("No."))
    assert [(await openai.complete()).text, (await openai.complete()).text] == ["Yes.", "No."]
    assert ["logprobs" in request.body for request in openai.server.requests] == [True, False, False]


async def test_a_server_that_refuses_schemas_is_told_in_words_from_then_on(openai: Line):
    openai.server.reply(bad_request("'response_format' of type 'json_schema' is not supported"))
    openai.server.reply(ok("{}"), ok("{}"))
    await openai.complete(ask(schema=SCHEMA))
    await openai.complete(ask(schema=SCHEMA))
    asked = openai.server.requests
    assert ["response_format" in request.body for request in asked] == [True, False, False]
    assert "JSON schema" in spoken(asked[1].body)[0][1]


async def test_what_the_server_says_it_costs_is_what_it_costs(openai: Line):
    openai.server.reply(ok("Yes.", cost=0.00125))
    assert (await openai.complete()).cost == Money.usd("0.00125")


async def test_without_a_price_the_cost_is_unknown(line: Line):
    line.server.reply(ok("Yes."))
    assert (await line.complete()).cost is None


async def test_thoughts_are_no_part_of_the_answer(openai: Line):
    tokens = [("<think>", -0.1), ("hmm", -0.2), ("</think>", -0.1), ("Yes.", -0.3)]
    openai.server.reply(ok("<think>hmm</think>Yes.", logprobs=tokens))
    reply = await openai.complete()
    assert reply.text == "Yes."
    assert reply.tokens == ()


def spoken(body: Any) -> list[tuple[str, str]]:
    """The roles and texts of a request, whichever vendor's format it has."""
    said: list[tuple[str, str]] = []
    if "systemInstruction" in body:
        said.append(("system", "".join(part["text"] for part in body["systemInstruction"]["parts"])))
    if "system" in body:
        system = body["system"]
        said.append(
            ("system", system if isinstance(system, str) else "".join(each["text"] for each in system))
        )
    for turn in body.get("contents", body.get("messages", ())):
        content = turn.get("parts", turn.get("content"))
        text = content if isinstance(content, str) else "".join(part["text"] for part in content)
        said.append(("assistant" if turn["role"] == "model" else turn["role"], text))
    return said
