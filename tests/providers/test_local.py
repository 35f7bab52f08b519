"""The model on this machine: real weights, real answers."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from podium.domain.answers import FailureKind
from podium.domain.errors import InvalidInput
from podium.domain.money import Money
from podium.ports.models import FinishReason, ModelFailure, ModelProvider, ModelReply, ModelRequest
from podium.providers.local import LocalProvider
from tests.providers.asking import INTENTS, SCHEMA, ask

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODEL = "smollm2"
STORY = ask("Write a very long story about a dog.", max_tokens=2000)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def local() -> AsyncIterator[ModelProvider]:
    provider = LocalProvider()
    yield provider
    await provider.close()


async def fail(local: ModelProvider, request: ModelRequest, model: str = MODEL) -> ModelFailure:
    with pytest.raises(ModelFailure) as caught:
        await local.complete(model, request)
    return caught.value


async def test_a_constrained_answer_fits_its_schema(local: ModelProvider):
    reply = await local.complete(MODEL, ask("Classify: I was charged twice.", schema=SCHEMA))
    answer = json.loads(reply.text)
    assert answer["intent"] in INTENTS
    assert isinstance(answer["urgent"], bool)
    assert set(answer) == {"intent", "urgent"}
    assert reply.finish is FinishReason.STOP


async def test_tokens_and_cost_are_counted(local: ModelProvider):
    reply = await local.complete(MODEL, ask(schema=SCHEMA))
    assert 10 < reply.usage.input_tokens < 100
    assert 5 < reply.usage.output_tokens < 30
    assert reply.cost == Money()
    assert "SmolLM2" in reply.model


async def test_each_token_has_its_probability_and_together_they_spell_the_answer(local: ModelProvider):
    reply = await local.complete(MODEL, ask(schema=SCHEMA))
    assert "".join(token.text for token in reply.tokens) == reply.text
    chances = [math.exp(token.logprob) for token in reply.tokens]
    assert all(0 < chance <= 1 for chance in chances)
    # What the schema forced is certain; which label it is, is not.
    assert chances[0] == 1
    assert min(chances) < 0.999


async def test_the_same_question_gets_the_same_answer(local: ModelProvider):
    first = await local.complete(MODEL, ask("Name a colour.", max_tokens=12))
    assert (await local.complete(MODEL, ask("Name a colour.", max_tokens=12))).text == first.text


async def test_labels_in_other_scripts_can_be_chosen(local: ModelProvider):
    reply = await local.complete(MODEL, ask(schema={"enum": ["größer", "更大"]}))
    assert json.loads(reply.text) in {"größer", "更大"}
    assert "".join(token.text for token in reply.tokens) == reply.text


async def test_an_answer_that_reaches_its_limit_says_so(local: ModelProvider):
    reply = await local.complete(MODEL, ask("Count to a hundred.", max_tokens=5))
    assert reply.finish is FinishReason.LENGTH
    assert reply.usage.output_tokens == 5


async def test_a_prompt_beyond_the_window_is_refused_with_both_sizes(local: ModelProvider):
    failure = await fail(local, ask("hello " * 9000))
    assert failure.kind is FailureKind.CONTEXT_WINDOW
    assert "it has 9031 tokens, the window 8192" in str(failure)


async def test_several_requests_at_once_each_get_their_answer(local: ModelProvider):
    requests = [ask(f"Message {number}", schema=SCHEMA) for number in range(5)]
    replies = await asyncio.gather(*[local.complete(MODEL, request) for request in requests])
    assert all(json.loads(reply.text)["intent"] in INTENTS for reply in replies)


async def test_a_request_that_is_not_done_in_time_fails(local: ModelProvider):
    began = time.monotonic()
    failure = await fail(local, ask("Write a very long story.", max_tokens=2000, total=0.3))
    assert failure.kind is FailureKind.TIMEOUT
    assert 0.3 <= time.monotonic() - began < 20


async def test_waiting_for_a_worker_counts_and_is_told(local: ModelProvider):
    stories = [asyncio.create_task(local.complete(MODEL, STORY)) for _ in range(8)]
    await asyncio.sleep(0.05)
    failure = await fail(local, ask(total=0.2))
    assert failure.kind is FailureKind.TIMEOUT
    assert "found no free worker within 0.2 s" in str(failure)
    await cancelled(*stories)


async def test_a_cancelled_request_frees_its_worker(local: ModelProvider):
    stories = [asyncio.create_task(local.complete(MODEL, STORY)) for _ in range(8)]
    await asyncio.sleep(0.2)
    began = time.monotonic()
    await cancelled(*stories)
    assert time.monotonic() - began < 10
    reply = await local.complete(MODEL, ask(schema=SCHEMA))
    assert json.loads(reply.text)["intent"] in INTENTS
    assert time.monotonic() - began < 30


async def cancelled(*tasks: asyncio.Task[ModelReply]) -> None:
    for task in tasks:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)


async def test_nothing_is_written_to_the_terminal(capfd: pytest.CaptureFixture[str]):
    provider = LocalProvider()
    await provider.complete(MODEL, ask(schema=SCHEMA))
    await fail(provider, ask("hello " * 9000))
    await provider.close()
    assert capfd.readouterr() == ("", "")


async def test_closing_ends_what_is_running():
    provider = LocalProvider()
    stories = [asyncio.create_task(provider.complete(MODEL, STORY)) for _ in range(3)]
    await asyncio.sleep(0.5)
    await provider.close()
    outcomes = await asyncio.gather(*stories, return_exceptions=True)
    assert all(isinstance(outcome, ModelFailure) for outcome in outcomes), outcomes


async def test_nobody_can_reach_the_server_that_llama_cpp_opens(local: ModelProvider):
    await local.complete(MODEL, ask(schema=SCHEMA))
    listening = [line for line in Path("/proc/self/net/tcp").read_text().splitlines() if " 0A " in line]
    mine = {entry.readlink().name for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()}
    assert not [line for line in listening if f"socket:[{line.split()[9]}]" in mine]


async def test_what_is_no_model_is_told_before_it_is_loaded(tmp_path: Path):
    provider = LocalProvider()
    text = tmp_path / "notes.gguf"
    text.write_text("hello")
    for name, problem in {
        "smollm3": "neither smollm2 nor a file",
        str(tmp_path / "gone.gguf"): "neither smollm2 nor a file",
        str(tmp_path): "neither smollm2 nor a file",
        str(text): "not a model in GGUF format",
    }.items():
        with pytest.raises(InvalidInput, match=problem):
            provider.check(name)
        with pytest.raises(InvalidInput, match=problem):
            await provider.complete(name, ask())


async def test_weights_that_are_broken_are_a_failure(tmp_path: Path):
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(range(256)))
    provider = LocalProvider()
    failure = await fail(provider, ask(), str(broken))
    assert failure.kind is FailureKind.NOT_FOUND
    assert "could not be loaded" in str(failure)
    await provider.close()
