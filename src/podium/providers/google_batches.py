"""Google's batch mode: a file of requests goes up, a file of results comes down."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any, Final

from google.genai import errors
from google.genai.client import Client
from google.genai.types import CreateBatchJobConfig, HttpOptions, HttpRetryOptions, UploadFileConfig
from pydantic_ai.models.batch import BatchResult, EncodedBatchRequest

from podium.providers import http
from podium.providers.batch_desks import Listed
from podium.providers.batch_lines import results_of
from podium.providers.bounds import Bounds
from podium.providers.google import GoogleConnection

_ENDED: Final = frozenset(
    f"JOB_STATE_{each}" for each in ("SUCCEEDED", "PARTIALLY_SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED")
)
_ONCE: Final = 1


def desk(connection: GoogleConnection, model: str) -> GoogleDesk:
    """Return the desk of a connection for one model."""
    return GoogleDesk(connection.sdk, model)


class GoogleDesk:
    """Batch jobs of one model. The mark is a job's display name, and its file's."""

    marks = True

    def __init__(self, sdk: Client, model: str) -> None:
        self._sdk = sdk.aio
        self._model = model

    async def create(self, mark: str, requests: Sequence[EncodedBatchRequest]) -> str:
        """See `BatchDesk.create`."""
        lines = io.BytesIO(b"\n".join(map(_line, requests)))
        upload = UploadFileConfig(mime_type="application/jsonl", display_name=mark, name=f"files/{mark}")
        # By a name of its own: a file that a process left behind when it died is there already.
        with contextlib.suppress(errors.ClientError):
            await self._sdk.files.delete(name=f"files/{mark}")
        file = await self._sdk.files.upload(file=lines, config=upload)
        once = HttpOptions(retry_options=HttpRetryOptions(attempts=_ONCE))
        config = CreateBatchJobConfig(display_name=mark, http_options=once)
        job = await self._sdk.batches.create(model=self._model, src=file.name or "", config=config)
        return job.name or ""

    async def listing(self) -> AsyncIterator[Listed]:
        """See `BatchDesk.listing`."""
        async for each in await self._sdk.batches.list():
            yield _listed(each)

    async def look(self, batch: str) -> Listed:
        """See `BatchDesk.look`."""
        return _listed(await self._sdk.batches.get(name=batch))

    async def results(self, batch: str, bounds: Bounds) -> AsyncGenerator[BatchResult]:
        """See `BatchDesk.results`. A job that ran no request has none."""
        job = await self._sdk.batches.get(name=batch)
        if job.dest is None or job.dest.file_name is None:
            return
        with http.in_lines(bounds):
            async with contextlib.aclosing(self._downloaded(job.dest.file_name)) as content:
                async for result in results_of(content, bounds.body, _result):
                    yield result

    async def _downloaded(self, file: str) -> AsyncGenerator[bytes]:
        """Yield the pieces of a file as they come; the library only writes them somewhere."""
        taken = _Pieces()
        download = asyncio.create_task(self._sdk.files.download(file=file, destination=taken))
        download.add_done_callback(lambda _: taken.end())
        try:
            while (piece := await taken.next()) is not None:
                yield piece
            await download
        finally:
            download.cancel()
            await asyncio.wait([download])
            if not download.cancelled():
                download.exception()

    async def cancel(self, batch: str) -> None:
        """See `BatchDesk.cancel`."""
        await self._sdk.batches.cancel(name=batch)

    async def tidy(self, batch: str) -> None:
        """Delete the file of requests, which counts against the project's storage until it expires."""
        job = await self._sdk.batches.get(name=batch)
        await self._sdk.files.delete(name=f"files/{job.display_name}")


class _Pieces(io.IOBase):
    """Hands over what is written: the next piece is only taken when the one before is gone."""

    def __init__(self) -> None:
        self._empty = asyncio.Event()
        self._empty.set()
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def write(self, piece: bytes) -> None:
        await self._empty.wait()
        self._empty.clear()
        self._queue.put_nowait(piece)

    async def next(self) -> bytes | None:
        piece = await self._queue.get()
        self._empty.set()
        return piece

    def end(self) -> None:
        self._queue.put_nowait(None)


def _line(request: EncodedBatchRequest) -> bytes:
    # The body is JSON already.
    return f'{{"key": {json.dumps(request.custom_id)}, "request": {request.body}}}'.encode()


def _listed(job: Any) -> Listed:
    state = job.state.value if job.state is not None else ""
    created_at = job.create_time.timestamp() if job.create_time is not None else 0.0
    return Listed(job.name or "", created_at, state in _ENDED, None, job.display_name or "")


def _result(told: Any) -> BatchResult:
    """Return what a line of the file of results says, in the form that the library decodes."""
    number, response = told["key"], told.get("response")
    if response is None:
        return BatchResult(custom_id=number, status="errored", body=json.dumps(told.get("error")))
    return BatchResult(custom_id=number, status="succeeded", body=json.dumps(response))
