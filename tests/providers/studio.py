"""Shared by the tests of cassettes: a folder to record to and to replay from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from podium.domain.answers import Usage
from podium.domain.money import Money
from podium.domain.schema_modes import SchemaMode
from podium.ports.models import (
    FinishReason,
    ModelFailure,
    ModelReply,
    ModelRequest,
    TokenProbability,
    ToolCall,
)
from podium.providers import Providers, Script
from podium.settings import CassetteSettings, ReplayMode

FULL = ModelReply(
    "It is \u201con\u201d its way\n\ud83d \U0001f4e6",
    FinishReason.LENGTH,
    Usage(12, 5),
    "desk-2026-11",
    (TokenProbability("It", -0.25), TokenProbability(" is", float("-inf"))),
    Money(12_345),
    "genai-prices 1.2.3",
    (ToolCall("call-1", "look_up", '{"where": "here"}'),),
    "reply-7",
    SchemaMode.TOOL,
    counted=False,
)


class Studio:
    """A folder of cassettes, and providers that record to it and replay from it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def providers(
        self,
        script: Any = (),
        *,
        environment: dict[str, str] | None = None,
        mode: ReplayMode | None = None,
    ) -> Providers:
        scripts = {"desk": script if isinstance(script, Script) else Script(script)}
        return Providers(environment or {}, scripts=scripts, cassettes=CassetteSettings(self.folder, mode))

    async def record(
        self, script: Any, *requests: ModelRequest, environment: dict[str, str] | None = None
    ) -> list[ModelReply | ModelFailure]:
        providers = self.providers(script, environment=environment)
        return [await outcome(providers, "record:scripted:desk", each) for each in requests]

    async def replay(
        self, *requests: ModelRequest, name: str = "scripted:desk"
    ) -> list[ModelReply | ModelFailure]:
        providers = self.providers()
        return [await outcome(providers, f"replay:{name}", each) for each in requests]

    @property
    def file(self) -> Path:
        return self.folder / "scripted-desk.jsonl"

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.file.read_bytes().splitlines()]


async def outcome(providers: Providers, name: str, request: ModelRequest) -> ModelReply | ModelFailure:
    provider, model = providers.find(name)
    try:
        return await provider.complete(model, request)
    except ModelFailure as failure:
        return failure
