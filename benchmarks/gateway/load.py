"""A client that costs next to nothing: `python -m benchmarks.gateway.load URL KEY MODEL CONCURRENCY REQUESTS`.

Prints, as JSON, what `Load` holds.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from urllib.parse import urlsplit

WARM_UP = 200


class Caller(asyncio.Protocol):
    """One connection that asks again as soon as it was answered, as long as there is something left to ask."""

    def __init__(self, request: bytes, left: list[int], took: list[float], done: asyncio.Event) -> None:
        self._request, self._left, self._took, self._done = request, left, took, done
        self._come = bytearray()
        self._transport: asyncio.WriteTransport | None = None
        self._asked_at = 0.0
        self.failure: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the first time."""
        self._transport = transport  # type: ignore[assignment]
        self._ask()

    def data_received(self, data: bytes) -> None:
        """Ask again once the answer is whole."""
        self._come += data
        end = self._come.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._come[:end]).lower()
        at = head.find(b"content-length:")
        if at < 0:
            whole = self._come.endswith(b"0\r\n\r\n")
        else:
            whole = len(self._come) >= end + 4 + int(head[at + 15 :].split(b"\r\n", 1)[0])
        if not whole:
            return
        self._took.append(time.perf_counter() - self._asked_at)
        if not head.startswith(b"http/1.1 200"):
            self.failure = self._come[:500].decode("utf-8", "replace")
            self._done.set()
            return
        self._come.clear()
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        """A connection that is closed in between is a failure."""
        if self._left[0] > 0:
            self.failure = self.failure or f"the connection was closed: {exc}"
            self._done.set()

    def _ask(self) -> None:
        if self._left[0] <= 0:
            self._done.set()
            return
        self._left[0] -= 1
        self._asked_at = time.perf_counter()
        assert self._transport is not None
        self._transport.write(self._request)


async def measure(url: str, key: str, model: str, concurrency: int, requests: int) -> dict[str, float]:
    """Return the median seconds of a request and how many are answered in a second."""
    parts = urlsplit(url)
    body = json.dumps(
        {
            "model": model,
            "messages": [{"role": "user", "content": "Say a word, many times."}],
            "max_tokens": 64,
        }
    ).encode()
    request = (
        f"POST {parts.path}/chat/completions HTTP/1.1\r\nhost: {parts.netloc}\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode() + body
    await _round(parts.hostname or "", parts.port or 80, request, concurrency, max(WARM_UP, concurrency))
    began = time.perf_counter()
    took = await _round(parts.hostname or "", parts.port or 80, request, concurrency, requests)
    seconds = time.perf_counter() - began
    return {"p50": statistics.median(took), "rate": len(took) / seconds}


async def _round(host: str, port: int, request: bytes, concurrency: int, requests: int) -> list[float]:
    left, took = [requests], list[float]()
    finished = [asyncio.Event() for _ in range(concurrency)]
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda done=done: Caller(request, left, took, done), host, port)  # type: ignore[misc]
        for done in finished
    ]
    for done in finished:
        await done.wait()
    for transport, caller in made:
        if caller.failure is not None:
            raise SystemExit(f"a request failed: {caller.failure}")
        transport.close()
    return took


def main(arguments: list[str]) -> None:
    """Measure what the command line asks for."""
    url, key, model, concurrency, requests = arguments
    work = measure(url, key, model, int(concurrency), int(requests))
    try:
        import uvloop
    except ImportError:
        print(json.dumps(asyncio.run(work)))
    else:
        print(json.dumps(uvloop.run(work)))


if __name__ == "__main__":
    main(sys.argv[1:])
