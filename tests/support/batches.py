"""What the tests of vendors' batches share: a prompt that is asked about words, and what became of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from podium import Answer, prompt, workflow
from podium.domain.answers import CallAttempt
from podium.settings import StorageSettings
from podium.storage import budgets as repository
from podium.storage.sqlite.database import open_sqlite
from tests.support.apps import App, app_on
from tests.wire.batches import (
    BatchService,
    GeminiBatches,
    MessageBatches,
    ResponseBatches,
    answered,
    generated,
    succeeded,
)

TEXTS = ["storm", "parcel", "letter"]
KEYS = {
    "ANTHROPIC_COMPATIBLE_API_KEY": "a-key",
    "OPENAI_COMPATIBLE_API_KEY": "o-key",
    "GOOGLE_COMPATIBLE_API_KEY": "g-key",
}
VENDORS: dict[str, tuple[str, type[BatchService], Callable[[str], Mapping[str, Any]]]] = {
    "anthropic": ("claude-haiku-4-5", MessageBatches, succeeded),
    "openai": ("gpt-5-mini", ResponseBatches, answered),
    "google": ("gemini-2.5-flash", GeminiBatches, generated),
}


def said(body: Mapping[str, Any]) -> str:
    """What a model answers: the word that it was asked about."""
    return next(text for text in [*TEXTS, *(f"n{n}n" for n in range(40))] if f": {text}" in json.dumps(body))


def asking(*names: str, items: list[str] | None = None, **options: Any) -> Any:
    write = prompt("write", "Say: {text}", models=list(names), max_tokens=100, retries=0, reasks=0, **options)

    @workflow(name="writing")
    async def writing() -> list[str]:
        outcomes = await write.batch([{"text": text} for text in items or TEXTS])
        return [one.value if isinstance(one, Answer) else type(one).__name__ for one in outcomes]

    return writing


def app_of(database: Any, flow: Any, *, environment: Mapping[str, str] = KEYS, **options: Any) -> App:
    return app_on(database, flow, environment=environment, **options)


async def calls(app: App, run: str = "r") -> list[CallAttempt]:
    timeline = await app.timeline(run)
    return [each.call for op in timeline.operations for each in op.attempts if each.call is not None]


async def uses(database: Any) -> list[tuple[int, int]]:
    """What is spent and held of each budget on disk."""
    storage = await open_sqlite(database, settings=StorageSettings(), own=False)
    try:
        found = await storage.read(lambda conn: repository.list_budgets(conn, 0.0))
        return [(each.spent, each.held) for each in found]
    finally:
        await storage.close()
