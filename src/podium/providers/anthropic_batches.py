"""Anthropic's message batches."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any, Final

from anthropic import AsyncAnthropic, omit
from pydantic_ai.models.batch import BatchResult, EncodedBatchRequest

from podium.providers import http
from podium.providers.anthropic import AnthropicConnection
from podium.providers.batch_desks import Listed
from podium.providers.batch_lines import results_of
from podium.providers.bounds import Bounds

_PAGE: Final = 100
_RUN: Final = ("succeeded", "errored")
_UNRUN: Final = ("expired", "canceled")


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

    async def results(self, batch: str, bounds: Bounds) -> AsyncGenerator[BatchResult]:
        """See `BatchDesk.results`."""
        with http.in_lines(bounds):
            async with self._batches.with_streaming_response.results(batch) as content:
                async for result in results_of(content.iter_bytes(), bounds.body, _result):
                    yield result

    async def cancel(self, batch: str) -> None:
        """See `BatchDesk.cancel`."""
        await self._batches.cancel(batch)

    async def tidy(self, batch: str) -> None:
        """Nothing was uploaded beside the batch, which the service lets go of after 29 days."""


def _result(told: Any) -> BatchResult | None:
    result = told["result"]
    kind = result["type"]
    if kind in _UNRUN:
        return BatchResult(custom_id=told["custom_id"], status=kind)
    if kind in _RUN:
        return BatchResult(custom_id=told["custom_id"], status=kind, body=json.dumps(result))
    return None


def _listed(batch: Any) -> Listed:
    counts = batch.request_counts
    count = counts.processing + counts.succeeded + counts.errored + counts.canceled + counts.expired
    return Listed(batch.id, batch.created_at.timestamp(), batch.processing_status == "ended", count)
