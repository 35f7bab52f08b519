"""The official client, unchanged but for its address and key, talks to models of every kind."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from podium.ports.models import FinishReason
from podium.providers import Script, say
from tests.server.support import new_key, openai_at, serving
from tests.wire import Finish, Said, WireServer, ok, rate_limited, server_error

ASK: Any = [{"role": "user", "content": "Say hello."}]


async def test_a_chat_is_passed_through_to_an_upstream_of_the_same_format(tmp_path):
    async with WireServer() as wire, serving(tmp_path, environment=openai_at(wire)) as server:
        wire.reply(ok("Hello there."))
        async with server.openai() as client:
            said = await client.chat.completions.create(model="openai:gpt-x", messages=ASK, temperature=0.5)
    assert said.choices[0].message.content == "Hello there."
    assert said.usage
    assert said.usage.completion_tokens == 3
    (received,) = wire.requests
    assert received.body == {"model": "gpt-x", "messages": ASK, "temperature": 0.5}
    assert received.headers["authorization"] == "Bearer sk-upstream-secret"


async def test_a_stream_is_passed_through_piece_by_piece(tmp_path):
    async with WireServer() as wire, serving(tmp_path, environment=openai_at(wire)) as server:
        wire.reply(ok("one two three"))
        async with server.openai() as client:
            stream = await client.chat.completions.create(model="openai/gpt-x", messages=ASK, stream=True)
            chunks = [chunk async for chunk in stream]
        (row,) = await server.log(1)
    assert [chunk.choices[0].delta.content for chunk in chunks] == ["", "one", " two", " three", None]
    assert all(chunk.usage is None for chunk in chunks)
    assert (row.lane, row.status, row.usage.output_tokens) == ("pass_through", 200, 3)
    assert row.first_token is not None
    assert row.first_token <= row.latency


async def test_a_stream_ends_with_its_usage_when_the_client_asks_for_that(tmp_path):
    async with WireServer() as wire, serving(tmp_path, environment=openai_at(wire)) as server:
        wire.reply(ok("one two"))
        async with server.openai() as client:
            stream = await client.chat.completions.create(
                model="openai:gpt-x", messages=ASK, stream=True, stream_options={"include_usage": True}
            )
            *_, last = [chunk async for chunk in stream]
    assert last.choices == []
    assert last.usage
    assert last.usage.completion_tokens == 2


@pytest.mark.parametrize("vendor", ["anthropic", "google"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_other_vendors_answer_in_the_clients_format(tmp_path, vendor, stream):
    text: str | None
    async with WireServer(vendor) as wire, serving(tmp_path, aliases={"other": wire.name()}) as server:
        wire.reply(ok("Hello from elsewhere."))
        async with server.openai() as client:
            messages: Any = [{"role": "developer", "content": "Be brief."}, *ASK]
            if stream:
                chunks = await client.chat.completions.create(
                    model="other", messages=messages, stream=True, stream_options={"include_usage": True}
                )
                got = [chunk async for chunk in chunks]
                text = "".join(chunk.choices[0].delta.content or "" for chunk in got if chunk.choices)
                finish, usage = got[-2].choices[0].finish_reason, got[-1].usage
            else:
                said = await client.chat.completions.create(model="other", messages=messages)
                text, finish, usage = (
                    said.choices[0].message.content,
                    said.choices[0].finish_reason,
                    said.usage,
                )
        (row,) = await server.log(1)
    assert (text, finish) == ("Hello from elsewhere.", "stop")
    assert usage
    assert usage.completion_tokens == 4
    assert (row.lane, row.model, row.usage.output_tokens) == ("typed", "other", 4)


async def test_a_reply_that_was_cut_off_is_handed_on_as_such(tmp_path):
    scripts = {"short": Script([say("It was a dark and", finish=FinishReason.LENGTH)])}
    async with (
        serving(tmp_path, aliases={"m": "scripted:short"}, scripts=scripts) as server,
        server.openai() as client,
    ):
        said = await client.chat.completions.create(model="m", messages=ASK, max_tokens=5)
    assert said.choices[0].finish_reason == "length"


async def test_the_next_candidate_of_an_alias_answers_when_the_first_fails(tmp_path):
    async with WireServer() as wire, WireServer("anthropic") as other:
        wire.always(server_error())
        other.reply(ok("I am here."))
        async with (
            serving(tmp_path, aliases={"any": f"{wire.name()},{other.name()}"}) as server,
            server.openai() as client,
        ):
            said = await client.chat.completions.create(model="any", messages=ASK)
    assert said.choices[0].message.content == "I am here."


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_responses_of_other_models(tmp_path, stream):
    scripts = {"talks": Script(["Hello there."])}
    async with (
        serving(tmp_path, aliases={"m": "scripted:talks"}, scripts=scripts) as server,
        server.openai() as client,
    ):
        if stream:
            events = [
                event async for event in await client.responses.create(model="m", input="Hello?", stream=True)
            ]
            assert [event.sequence_number for event in events] == list(range(len(events)))
            assert events[0].type == "response.created"
            done = events[-1]
            assert done.type == "response.completed"
            response = done.response
        else:
            response = await client.responses.create(
                model="m", input=[{"role": "user", "content": "Hello?"}], instructions="Be brief."
            )
    assert response.output_text == "Hello there."
    assert response.usage
    assert response.usage.output_tokens == 2


async def test_responses_are_passed_through(tmp_path):
    async with WireServer() as wire, serving(tmp_path, environment=openai_at(wire)) as server:
        wire.reply(ok("ignored"))
        async with server.http() as client:
            await client.post("/v1/responses", json={"model": "openai:gpt-x", "input": "Hello?"})
    (received,) = wire.requests
    assert received.path == "/v1/responses"
    assert received.body == {"model": "gpt-x", "input": "Hello?"}


async def test_embeddings_come_from_upstreams_and_from_nobody_else(tmp_path):
    from tests.wire import Raw

    body = (
        b'{"object":"list","model":"e","data":[{"object":"embedding","index":0,"embedding":[0.5,0.25]}],'
        b'"usage":{"prompt_tokens":4,"total_tokens":4}}'
    )
    scripts = {"talks": Script([])}
    async with (
        WireServer() as wire,
        serving(
            tmp_path, environment=openai_at(wire), aliases={"m": "scripted:talks"}, scripts=scripts
        ) as server,
    ):
        wire.reply(Raw(body))
        async with server.openai() as client:
            got = await client.embeddings.create(model="openai:e", input="text", encoding_format="float")
            with pytest.raises(openai.InternalServerError) as caught:
                await client.embeddings.create(model="m", input="text")
        rows = await server.log(2)
    assert got.data[0].embedding == [0.5, 0.25]
    assert caught.value.status_code == 501
    assert rows[0].usage.input_tokens == 4


async def test_models_are_those_that_have_a_name_here_and_that_the_key_may_use(tmp_path):
    token = await new_key(tmp_path, models=("small", "openai:*"))
    scripts = {"a": Script([]), "b": Script([])}
    aliases = {"small": "scripted:a", "large": "scripted:b"}
    async with serving(tmp_path, aliases=aliases, scripts=scripts) as server, server.openai(token) as client:
        listed = [model.id async for model in client.models.list()]
        assert (await client.models.retrieve("small")).id == "small"
        with pytest.raises(openai.NotFoundError):
            await client.models.retrieve("large")
    assert listed == ["small"]


async def test_an_upstream_that_asks_to_slow_down_is_heard_by_the_client(tmp_path):
    async with WireServer() as wire, serving(tmp_path, environment=openai_at(wire)) as server:
        wire.reply(rate_limited("7"))
        async with server.openai() as client:
            with pytest.raises(openai.RateLimitError) as caught:
                await client.chat.completions.create(model="openai:gpt-x", messages=ASK)
        (row,) = await server.log(1)
    assert caught.value.response.headers["retry-after"] == "7"
    assert (row.status, row.error, row.usage.output_tokens) == (429, "upstream_429", 0)


async def test_a_refusal_is_told_as_one(tmp_path):
    async with WireServer("anthropic") as wire, serving(tmp_path, aliases={"m": wire.name()}) as server:
        wire.reply(Said(("I", " will", " not."), finish=Finish.REFUSAL))
        async with server.openai() as client:
            said = await client.chat.completions.create(model="m", messages=ASK)
    assert said.choices[0].message.refusal == "I will not."
