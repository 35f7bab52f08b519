"""Shared by the tests of providers: how they ask a model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from podium.ports.models import (
    CallLimits,
    Message,
    ModelFailure,
    ModelProvider,
    ModelReply,
    ModelRequest,
    Role,
)
from podium.providers import Providers
from tests.wire import Vendor, WireServer

KEY = "sk-very-secret-123456"
VENDORS: tuple[Vendor, ...] = ("openai", "anthropic", "google")

INTENTS = ["refund", "bug", "billing", "shipping", "account", "other"]
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"intent": {"type": "string", "enum": INTENTS}, "urgent": {"type": "boolean"}},
    "required": ["intent", "urgent"],
}


def ask(
    text: str = "Where is my parcel?",
    *,
    schema: Mapping[str, Any] | None = None,
    messages: Sequence[Message] = (),
    total: float = 20.0,
    connect: float = 5.0,
    first_token: float = 10.0,
    stall: float = 10.0,
    max_tokens: int = 64,
    temperature: float | None = None,
) -> ModelRequest:
    return ModelRequest(
        messages=messages or [Message(Role.USER, text)],
        limits=CallLimits(total, connect, first_token, stall),
        schema=schema,
        max_tokens=max_tokens,
        temperature=temperature,
    )


class Line:
    """A model on a wire server, with the server's script at hand."""

    def __init__(self, server: WireServer, provider: ModelProvider, model: str) -> None:
        self.server = server
        self.provider = provider
        self.model = model

    async def complete(self, request: ModelRequest | None = None) -> ModelReply:
        return await self.provider.complete(self.model, request or ask())

    async def fail(self, request: ModelRequest | None = None) -> ModelFailure:
        try:
            reply = await self.complete(request)
        except ModelFailure as failure:
            return failure
        raise AssertionError(f"it answered: {reply}")


@asynccontextmanager
async def line_to(vendor: Vendor, model: str = "test-model") -> AsyncIterator[Line]:
    """Connect to a wire server of this vendor, with a key, and close everything afterwards."""
    async with WireServer(vendor) as server:
        providers = Providers({f"{vendor.upper()}_COMPATIBLE_API_KEY": KEY})
        provider, name = providers.find(server.name(model))
        try:
            yield Line(server, provider, name)
        finally:
            await providers.close()
