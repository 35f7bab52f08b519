"""Each way of bringing a model to a type, over types made up at random: what is asked for, and what comes back."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft202012Validator

from podium.domain.quality import Verdict
from podium.domain.schema_modes import SchemaMode
from podium.gateway.output.form import OutputForm
from podium.gateway.output.ladder import read_json
from podium.gateway.output.results import Usable
from podium.gateway.output.validation import validated
from podium.ports.models import ModelRequest
from podium.providers.constrained import grammar_schema
from podium.providers.profiles import unfit
from tests.providers.asking import VENDORS, Line, ask, line_to
from tests.providers.forms import DECLARED, Declared
from tests.wire import Vendor, calls, ok

MODELS = {"openai": "gpt-4.1-mini", "anthropic": "claude-haiku-4-5", "google": "gemini-2.5-flash"}
HOSTED = (SchemaMode.NATIVE, SchemaMode.TOOL, SchemaMode.PROMPTED)
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")

# The same types each time: what fails once fails again.
made_up = settings(max_examples=25, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))


def written(form: OutputForm[Any], value: Any) -> str:
    """What a model that answers with this value writes."""
    plain = form.adapter.dump_python(value, mode="json")
    return json.dumps({"value": plain} if form.wrapped else plain, ensure_ascii=False)


def request_for(form: OutputForm[Any], mode: SchemaMode) -> ModelRequest:
    return replace(ask(schema=form.schema, total=5.0), schema_mode=mode, schema_name="an answer/of one")


def told_in_words(body: Mapping[str, Any]) -> Any:
    """The schema in what the model is told, whatever the vendor calls it."""
    for text in strings(body):
        if "JSON schema:\n" in text:
            return json.loads(text.partition("JSON schema:\n")[2])
    raise AssertionError("no schema is told")


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from strings(each)


def asked_for(vendor: Vendor, mode: SchemaMode, body: Any) -> Any:
    """The schema at the place where this vendor takes it in this mode, with all that must stand beside it."""
    match vendor, mode:
        case _, SchemaMode.PROMPTED:
            return told_in_words(body)
        case "openai", SchemaMode.NATIVE:
            form = body["response_format"]
            assert form["type"] == "json_schema"
            assert NAME.fullmatch(form["json_schema"]["name"])
            return form["json_schema"]["schema"]
        case "openai", _:
            (tool,) = body["tools"]
            assert tool["type"] == "function"
            assert body["tool_choice"] == "required"
            assert NAME.fullmatch(tool["function"]["name"])
            return tool["function"]["parameters"]
        case "anthropic", SchemaMode.NATIVE:
            form = body["output_config"]["format"]
            assert form["type"] == "json_schema"
            return form["schema"]
        case "anthropic", _:
            (tool,) = body["tools"]
            assert body["tool_choice"]["type"] in {"any", "tool"}
            assert NAME.fullmatch(tool["name"])
            return tool["input_schema"]
        case "google", SchemaMode.NATIVE:
            assert body["generationConfig"]["responseMimeType"] == "application/json"
            return body["generationConfig"]["responseJsonSchema"]
        case _:
            ((tool,),) = (each["functionDeclarations"] for each in body["tools"])
            assert body["toolConfig"]["functionCallingConfig"]["mode"] == "ANY"
            assert NAME.fullmatch(tool["name"])
            return tool["parameters_json_schema"]


def is_strict(body: Any) -> bool:
    forms = [body.get("response_format", {}).get("json_schema", {})]
    forms += [tool.get("function", {}) for tool in body.get("tools", [])]
    return any(form.get("strict") for form in forms)


def objects_in(schema: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(schema, dict):
        if schema.get("type") == "object" and "properties" in schema:
            yield schema
        for each in schema.values():
            yield from objects_in(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from objects_in(each)


async def exchange(line: Line, declared: Declared, mode: SchemaMode) -> None:
    """Ask for a value of the type in this mode, be answered with one, and find it to be the same."""
    form = OutputForm.of(declared.annotation, "the test")
    text = written(form, declared.value)
    assert form.schema is not None
    request = request_for(form, mode)
    if mode is SchemaMode.NATIVE and unfit(line.server.vendor, form.schema, with_tools=False):
        # What the vendor would make of the schema lets nothing pass; the next best way is taken.
        mode = SchemaMode.TOOL
    line.server.reply(calls(("an_answer_of_one", text)) if mode is SchemaMode.TOOL else ok(text))
    reply = await line.complete(request)
    assert reply.schema_mode is mode
    body = line.server.requests[-1].body
    sent = asked_for(line.server.vendor, mode, body)
    assert sent["type"] == "object"
    # It is a schema, all of its references lead somewhere, and it lets pass what the type lets pass.
    Draft202012Validator.check_schema(sent)
    Draft202012Validator(sent).validate(json.loads(text))
    if is_strict(body):
        for each in objects_in(sent):
            assert each["additionalProperties"] is False
            assert set(each["required"]) == set(each["properties"])
    found = read_json(reply.text)
    assert isinstance(found, Usable)
    reading = validated(form, found)
    assert isinstance(reading, Usable), reading
    assert reading.value == declared.value
    assert reading.quality.verdict is Verdict.CLEAN


@pytest.mark.parametrize("mode", HOSTED)
@pytest.mark.parametrize("vendor", VENDORS)
async def test_every_type_is_asked_for_as_the_vendor_takes_it_and_its_values_come_back_equal(
    vendor: Vendor, mode: SchemaMode
):
    loop = asyncio.get_running_loop()
    async with line_to(vendor, MODELS[vendor]) as line:

        @made_up
        @given(DECLARED)
        def each(declared: Declared) -> None:
            asyncio.run_coroutine_threadsafe(exchange(line, declared, mode), loop).result(60)

        # Hypothesis runs functions, one after the other: in a thread, on the loop that the connection is of.
        await asyncio.to_thread(each)


@made_up
@given(DECLARED)
def test_every_type_makes_a_grammar_for_models_in_this_process(declared: Declared):
    xllamacpp = pytest.importorskip("xllamacpp")
    form = OutputForm.of(declared.annotation, "the test")
    assert form.schema is not None
    schema = grammar_schema(form.schema)
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(json.loads(written(form, declared.value)))
    grammar = xllamacpp.json_schema_to_grammar(json.dumps(schema))
    made = json.loads(grammar.partition("%json ")[2])
    spacing = made.pop("x-guidance")
    assert not spacing["whitespace_flexible"]
    assert made == {name: each for name, each in schema.items() if name != "x-guidance"}


async def test_a_mapping_with_keys_of_the_models_own_is_no_closed_object_at_any_vendor():
    form = OutputForm.of(dict[str, int], "the test")
    async with line_to("anthropic", MODELS["anthropic"]) as line:
        line.server.reply(calls(("answer", '{"a": 1}')))
        reply = await line.complete(replace(ask(schema=form.schema, total=5.0)))
        assert (json.loads(reply.text), reply.schema_mode) == ({"a": 1}, SchemaMode.TOOL)
        assert asked_for("anthropic", SchemaMode.TOOL, line.server.requests[0].body)["additionalProperties"]
