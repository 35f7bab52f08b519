"""Anthropic's message batches."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from anthropic import AsyncAnthropic, omit
from pydantic_ai.models.batch import BatchResult, EncodedBatchRequest

from podium.providers.anthropic import AnthropicConnection
from podium.providers.batch_desks import Listed

_PAGE: Final = 100


def desk(connection: AnthropicConnection, model: str) -> AnthropicDesk:
    """Return the desk of a connection, which is the same for all models."""
    del model
    return AnthropicDesk(connection.sdk)


class AnthropicDesk:
    """Message batches. They bear no mark of ours; their requests do, and are told once a batch has ended."""

    marks = False

    def __init__(self, sdk: AsyncAnthropic) -> None:
        self._batches = sdk.beta.messages.batches

    async def create(self, mark: str, requests: Sequence[EncodedBatchRequest]) -> str:
        """See `BatchDesk.create`."""
        # The group of requests that were encoded is JSON, and names what they need the service to turn on.
        betas = json.loads(requests[0].group).get("betas")
        body: Any = [{"custom_id": each.custom_id, "params": json.loads(each.body)} for each in requests]
        batch = await self._batches.create(
            requests=body, betas=betas or omit, extra_headers={"Idempotency-Key": mark}
        )
        return batch.id

    async def listing(self) -> AsyncIterator[Listed]:
        """See `BatchDesk.listing`."""
        async for each in self._batches.list(limit=_PAGE):
            yield _listed(each)

    async def look(self, batch: str) -> Listed:
        """See `BatchDesk.look`."""
        return _listed(await self._batches.retrieve(batch))

    async def results(self, batch: str) -> AsyncIterator[BatchResult]:
        """See `BatchDesk.results`."""
        async for each in await self._batches.results(batch):
            told = each.result.type in ("succeeded", "errored")
            body = each.result.model_dump_json() if told else None
            yield BatchResult(custom_id=each.custom_id, status=each.result.type, body=body)

    async def cancel(self, batch: str) -> None:
        """See `BatchDesk.cancel`."""
        await self._batches.cancel(batch)

    async def tidy(self, batch: str) -> None:
        """Nothing was uploaded beside the batch, which the service lets go of after 29 days."""


def _listed(batch: Any) -> Listed:
    counts = batch.request_counts
    count = counts.processing + counts.succeeded + counts.errored + counts.canceled + counts.expired
    return Listed(batch.id, batch.created_at.timestamp(), batch.processing_status == "ended", count)
