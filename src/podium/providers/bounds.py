"""How much of a reply is read from a service at all: bytes are counted as they come, unpacked, before anybody keeps them."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Final, Self

import httpx2

ENCODINGS: Final = "gzip, deflate"
"""The encodings that services are offered: those that can be unpacked in pieces of a known size."""

_OVERHEAD: Final = 1_048_576
# Each token of a body may come with its probability; each token of a stream comes in an event of its own.
_BODY: Final = 16
_STREAM: Final = 64

# zlib's code for gzip or zlib, whichever it is.
_EITHER: Final = 47
_PIECE: Final = 262_144
_ENDS: Final = (b"\n\n", b"\r\n\r\n", b"\r\r")
_TAIL: Final = 3


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most bytes that are read of one reply, unpacked: of a whole `body`, of one event of a stream, of a whole `stream`."""

    body: int
    stream: int

    @classmethod
    def of(cls, longest: int) -> Self:
        """Return the bounds of replies whose text has at most `longest` bytes: what is around a text is many times it."""
        return cls(_BODY * longest + _OVERHEAD, _STREAM * longest + _OVERHEAD)


class TooMuch(httpx2.TransportError):
    """A service sent more than is read of a reply, or packed it in a way that nobody asked for."""


class BoundedStream(httpx2.AsyncByteStream):
    """The body of a response, unpacked, which ends with `TooMuch` as soon as there is more of it than `bounds`.

    `kind` is its media type; `refuse` is told why, since libraries between here and there may hide the error.
    """

    def __init__(
        self, response: httpx2.Response, kind: str, bounds: Bounds, refuse: Callable[[str], None]
    ) -> None:
        self._stream = response.stream
        self._packing = response.headers.pop("content-encoding", "").strip().lower()
        if self._packing:
            # It told the length of what is packed.
            response.headers.pop("content-length", None)
        in_events = kind == "text/event-stream"
        self._most = bounds.stream if in_events else bounds.body
        self._event = _Event(bounds.body) if in_events else None
        self._refuse = refuse
        self._read = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the unpacked bytes, at most a quarter of a megabyte at once where they were packed."""
        unpacking = self._unpacking()
        packed = 0
        async for chunk in self._stream:  # type: ignore[union-attr]
            if unpacking is None:
                yield self._counted(chunk)
                continue
            # What follows the end of what is packed comes to nothing, but comes all the same.
            packed += len(chunk)
            if packed > self._most:
                raise self._too_much(f"more than {self._most} bytes in one reply")
            for piece in self._unpacked(unpacking, chunk):
                yield self._counted(piece)

    async def aclose(self) -> None:
        """Close the response's own stream."""
        await self._stream.aclose()  # type: ignore[union-attr]

    def _unpacking(self) -> zlib._Decompress | None:
        if self._packing in {"", "identity"}:
            return None
        if self._packing in {"gzip", "x-gzip", "deflate"}:
            return zlib.decompressobj(_EITHER)
        raise self._too_much(
            f"a reply packed as {self._packing[:40]!a}, and only {ENCODINGS} can be unpacked"
        )

    def _unpacked(self, unpacking: zlib._Decompress, chunk: bytes) -> Iterator[bytes]:
        while chunk and not unpacking.eof:
            try:
                piece = unpacking.decompress(chunk, _PIECE)
            except zlib.error:
                raise self._too_much(f"a reply that is not packed as {self._packing}, as it says") from None
            chunk = unpacking.unconsumed_tail
            if piece:
                yield piece

    def _counted(self, piece: bytes) -> bytes:
        self._read += len(piece)
        if self._read > self._most:
            raise self._too_much(f"more than {self._most} bytes in one reply")
        if self._event is not None and self._event.grows_beyond(piece):
            raise self._too_much(f"more than {self._event.most} bytes in one event")
        return piece

    def _too_much(self, what: str) -> TooMuch:
        self._refuse(f"sent {what}")
        return TooMuch(f"it sent {what}")


class _Event:
    """Counts the bytes since the latest end of an event."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._size = 0
        self._tail = b""

    def grows_beyond(self, piece: bytes) -> bool:
        seen = self._tail + piece
        self._tail = seen[-_TAIL:]
        end = max(seen.rfind(sign) for sign in _ENDS)
        self._size = len(seen) - end if end >= 0 else self._size + len(piece)
        return self._size > self.most
