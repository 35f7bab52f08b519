"""The results of a batch, line by line as they come: what is bad in one line spoils no other."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from pydantic_ai.models.batch import BatchResult

from podium.providers.bounds import TooMuch
from podium.providers.counts import readable

Reader = Callable[[Any], BatchResult | None]
"""Reads what a line of JSON says in a vendor's format; may raise anything when that is nothing."""


async def results_of(chunks: AsyncIterator[bytes], longest: int, read: Reader) -> AsyncIterator[BatchResult]:
    """Yield what the lines of `chunks` say, none of which is kept once it was read.

    Raises `TooMuch` at a line of more than `longest` bytes.
    """
    lines = Lines(longest)
    async for chunk in chunks:
        for line in lines.of(chunk):
            result = result_of(line, read)
            if result is not None:
                yield result
    result = result_of(lines.rest, read)
    if result is not None:
        yield result


def result_of(line: bytes, read: Reader) -> BatchResult | None:
    """Return what a line says, in the form that the library decodes; None when that is nothing. Never raises."""
    try:
        found = read(json.loads(line))
        if found is None or not isinstance(found.custom_id, str):
            return None
        body = None if found.body is None else readable(found.body.encode()).decode()
        return BatchResult(custom_id=found.custom_id, status=found.status, body=body)
    except Exception:  # noqa: BLE001 - nesting, sizes and types of every kind come from outside
        return None


class Lines:
    """Cuts pieces of a text into its lines, none of which may have more than `longest` bytes."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._begun: list[bytes] = []
        self._size = 0

    def of(self, piece: bytes) -> Iterator[bytes]:
        """Yield the lines that end in `piece`. Raises `TooMuch`."""
        *ended, begun = piece.split(b"\n")
        for end in ended:
            self._begin(end)
            line = self.rest
            self._begun, self._size = [], 0
            yield line
        self._begin(begun)

    @property
    def rest(self) -> bytes:
        """The last line, where nothing ends it."""
        return b"".join(self._begun)

    def _begin(self, part: bytes) -> None:
        self._begun.append(part)
        self._size += len(part)
        if self._size > self._longest:
            raise TooMuch(f"it sent more than {self._longest} bytes in one line")
