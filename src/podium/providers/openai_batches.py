"""OpenAI's batches: a file of requests goes up, files of results come down."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any, Final

from openai import APIError, APIStatusError, AsyncOpenAI
from openai.types import Batch
from pydantic_ai.models.batch import BatchResult, BatchResultStatus, EncodedBatchRequest

from podium.providers import http
from podium.providers.batch_desks import Listed
from podium.providers.batch_lines import results_of
from podium.providers.bounds import Bounds
from podium.providers.openai import OpenAIConnection

_ENDPOINT: Final = "/v1/responses"
_KEY: Final = "podium"
_ENDED: Final = frozenset({"completed", "failed", "expired", "cancelled"})
_UNRUN: dict[str, BatchResultStatus] = {"batch_expired": "expired", "batch_cancelled": "canceled"}
_PAGE: Final = 100
_REFUSED: Final = range(400, 500)


def desk(connection: OpenAIConnection, model: str) -> OpenAIDesk:
    """Return the desk of a connection, which is the same for all models."""
    del model
    return OpenAIDesk(connection.sdk)


class OpenAIDesk:
    """Batches of responses. The mark is in a batch's metadata."""

    marks = True

    def __init__(self, sdk: AsyncOpenAI) -> None:
        self._sdk = sdk

    async def create(self, mark: str, requests: Sequence[EncodedBatchRequest]) -> str:
        """See `BatchDesk.create`."""
        lines = b"\n".join(map(_line, requests))
        file = await self._sdk.files.create(file=(f"{mark}.jsonl", lines), purpose="batch")
        try:
            batch = await self._sdk.batches.create(
                input_file_id=file.id,
                endpoint=_ENDPOINT,
                completion_window="24h",
                metadata={_KEY: mark},
                extra_headers={"Idempotency-Key": mark},
            )
        except APIStatusError as error:
            if error.status_code in _REFUSED:
                # Nothing will read it.
                with contextlib.suppress(APIError):
                    await self._sdk.files.delete(file.id)
            raise
        return batch.id

    async def listing(self) -> AsyncIterator[Listed]:
        """See `BatchDesk.listing`."""
        async for each in self._sdk.batches.list(limit=_PAGE):
            yield _listed(each)

    async def look(self, batch: str) -> Listed:
        """See `BatchDesk.look`."""
        return _listed(await self._sdk.batches.retrieve(batch))

    async def results(self, batch: str, bounds: Bounds) -> AsyncGenerator[BatchResult]:
        """See `BatchDesk.results`. A line that cannot be read spoils no other."""
        ended = await self._sdk.batches.retrieve(batch)
        for file in (ended.output_file_id, ended.error_file_id):
            if file is not None:
                with http.in_lines(bounds):
                    async with self._sdk.files.with_streaming_response.content(file) as content:
                        async for result in results_of(content.iter_bytes(), bounds.body, _result):
                            yield result

    async def cancel(self, batch: str) -> None:
        """See `BatchDesk.cancel`."""
        await self._sdk.batches.cancel(batch)

    async def tidy(self, batch: str) -> None:
        """Delete the file of requests, which the service would keep."""
        ended = await self._sdk.batches.retrieve(batch)
        await self._sdk.files.delete(ended.input_file_id)


def _line(request: EncodedBatchRequest) -> bytes:
    head = json.dumps({"custom_id": request.custom_id, "method": "POST", "url": _ENDPOINT})
    # The body is JSON already.
    return f'{head[:-1]}, "body": {request.body}}}'.encode()


def _listed(batch: Batch) -> Listed:
    count = batch.request_counts.total if batch.request_counts else None
    mark = (batch.metadata or {}).get(_KEY, "")
    return Listed(batch.id, batch.created_at, batch.status in _ENDED, count, mark)


def _result(told: Any) -> BatchResult:
    """Return what a line of a file of results says, in the form that the library decodes."""
    number, response, error = told["custom_id"], told.get("response"), told.get("error") or {}
    if not response:
        status = _UNRUN.get(error.get("code") or "")
        if status is not None:
            return BatchResult(custom_id=number, status=status)
        return _errored(number, 500, {"error": error})
    code = int(response["status_code"])
    if code in range(200, 300):
        return BatchResult(custom_id=number, status="succeeded", body=json.dumps(response["body"]))
    return _errored(number, code, response["body"])


def _errored(number: str, code: int, body: Any) -> BatchResult:
    shown = json.dumps({"status_code": code, "body": body})
    return BatchResult(custom_id=number, status="errored", body=shown)
