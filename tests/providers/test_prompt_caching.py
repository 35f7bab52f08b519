"""What stays the same from request to request is marked for the vendor's own prompt cache, where that must be asked for."""

from __future__ import annotations

from typing import Any

from podium.ports.models import Message, Role
from tests.providers.asking import ask, line_to
from tests.wire import ok


async def sent(system: str) -> Any:
    async with line_to("anthropic") as line:
        line.server.reply(ok("Yes."))
        await line.complete(ask(messages=[Message(Role.SYSTEM, system), Message(Role.USER, "Now?")]))
        return line.server.requests[0].body["system"]


async def test_a_long_system_text_is_marked_to_be_kept():
    text = "You sort mail. " * 300
    (block,) = await sent(text)
    assert block["text"] == text
    assert block["cache_control"]["type"] == "ephemeral"


async def test_a_short_one_is_not_because_no_service_would_keep_it():
    assert await sent("You sort mail.") == "You sort mail."
