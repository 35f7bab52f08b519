"""Deadlines, cancellation and connections of hosted models."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from podium.domain.answers import FailureKind
from podium.ports.models import Counted, ModelFailure
from podium.providers import Providers
from tests import wire
from tests.providers.asking import VENDORS, Line, ask

SHORT = 0.15


@pytest.fixture(autouse=True)
async def warmed(line: Line) -> None:
    """The first request imports the vendor's library, which takes time of its own."""
    line.server.reply(wire.ok("Yes."))
    await line.complete()


@pytest.mark.parametrize("reply", [wire.silent(), wire.stalled_before_first_token()], ids=["head", "body"])
async def test_silence_before_the_first_token_ends_at_its_deadline(line: Line, reply: wire.Reply):
    line.server.reply(reply)
    began = time.monotonic()
    failure = await line.fail(ask(first_token=SHORT))
    assert failure.kind is FailureKind.STALL
    assert SHORT <= time.monotonic() - began < SHORT + 10
    assert "no token within 0.15 s" in str(failure)


async def test_silence_in_mid_reply_ends_at_the_stall_deadline(line: Line):
    line.server.reply(wire.stalled_midway())
    began = time.monotonic()
    failure = await line.fail(ask(stall=SHORT))
    assert failure.kind is FailureKind.STALL
    assert SHORT <= time.monotonic() - began < SHORT + 10
    assert "fell silent" in str(failure)


async def test_slow_tokens_are_no_stall_while_they_keep_coming(line: Line):
    line.server.reply(wire.drip("one two three four", pause=0.1))
    assert (await line.complete(ask(stall=3, first_token=3))).text == "one two three four"


async def test_slow_tokens_do_not_put_off_the_end(line: Line):
    line.server.reply(wire.drip("one two three four five six seven eight", pause=0.1))
    began = time.monotonic()
    failure = await line.fail(ask(total=0.35))
    assert failure.kind is FailureKind.TIMEOUT
    assert 0.35 <= time.monotonic() - began < 10


async def test_a_cancelled_request_ends_at_once_and_the_next_one_works(line: Line):
    line.server.reply(wire.stalled_midway(), wire.ok("Yes."))
    task = asyncio.create_task(line.complete())
    await line.server.received(2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await line.complete()).text == "Yes."


async def test_what_was_counted_of_a_cancelled_request_is_told_by_vendors_that_count_at_the_beginning(
    line: Line,
):
    counted: list[Counted] = []
    spoke = asyncio.Event()
    line.server.reply(wire.stalled_midway())
    request = replace(ask(), on_counted=counted.append, on_token=spoke.set)
    task = asyncio.create_task(line.complete(request))
    await spoke.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    # OpenAI counts at the end and has nothing to tell.
    assert [each.usage.input_tokens > 0 for each in counted] == [True] * (line.server.vendor != "openai")


async def test_requests_share_a_connection_and_concurrent_ones_their_client(line: Line):
    line.server.always(wire.ok("Yes."))
    for _ in range(5):
        await line.complete()
    assert line.server.connections == 1
    replies = await asyncio.gather(*[line.complete() for _ in range(10)])
    assert [reply.text for reply in replies] == ["Yes."] * 10


async def test_concurrent_requests_keep_their_own_deadlines(line: Line):
    line.server.always(wire.drip("one two three", pause=0.1))
    patient, hasty = await asyncio.gather(line.complete(ask(total=5)), line.fail(ask(total=0.15)))
    assert patient.text == "one two three"
    assert hasty.kind is FailureKind.TIMEOUT


async def test_a_broken_reply_does_not_keep_its_connection(line: Line):
    line.server.reply(wire.error_midway(), wire.garbage_midway(), wire.stalled_midway(), wire.ok("Yes."))
    for _ in range(3):
        await line.fail(ask(stall=SHORT))
    assert (await line.complete()).text == "Yes."


async def test_a_closed_provider_may_be_closed_again_and_opens_anew(line: Line):
    await line.provider.close()
    await line.provider.close()
    line.server.reply(wire.ok("Yes."))
    assert (await line.complete()).text == "Yes."


async def test_an_address_that_does_not_answer_ends_at_the_connect_deadline(line: Line):
    providers = Providers({})
    with wire.unanswering_url() as url:
        provider, model = providers.find(f"{line.server.vendor}:test-model@{url}")
        with pytest.raises(ModelFailure):
            await provider.complete(model, ask(connect=0.05))  # imports and all
        began = time.monotonic()
        with pytest.raises(ModelFailure) as caught:
            await provider.complete(model, ask(connect=SHORT))
    await providers.close()
    assert caught.value.kind is FailureKind.CONNECT
    assert SHORT <= time.monotonic() - began < SHORT + 10


def test_every_vendor_is_tried():
    assert set(VENDORS) == {"openai", "anthropic", "google"}
