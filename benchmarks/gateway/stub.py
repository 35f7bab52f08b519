"""A model service that costs next to nothing: `python -m benchmarks.gateway.stub` prints its port and answers at once.

It speaks just enough of OpenAI's chat completions, whole and streamed, and of HTTP with kept connections.
"""

from __future__ import annotations

import asyncio
import json
import sys

TOKENS = 64
"""Pieces of a streamed reply."""

_HEAD = {"id": "chatcmpl-1", "created": 1_760_000_000, "model": "gpt-4.1-mini"}
_USAGE = {"prompt_tokens": 12, "completion_tokens": TOKENS, "total_tokens": 12 + TOKENS}


def _whole() -> bytes:
    message = {"role": "assistant", "content": "word " * TOKENS, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    body = json.dumps({**_HEAD, "object": "chat.completion", "choices": [choice], "usage": _USAGE}).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
    return head + body


def _event(delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    chunk = {**_HEAD, "object": "chat.completion.chunk", "choices": [choice], "usage": None}
    return _chunk(b"data: " + json.dumps(chunk).encode() + b"\n\n")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _streamed() -> list[bytes]:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    usage = {**_HEAD, "object": "chat.completion.chunk", "choices": [], "usage": _USAGE}
    last = _event({}, "stop") + _chunk(b"data: " + json.dumps(usage).encode() + b"\n\n")
    end = last + _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
    return [
        head + _event({"role": "assistant", "content": ""}),
        *[_event({"content": "word "})] * TOKENS,
        end,
    ]


WHOLE = _whole()
STREAMED = _streamed()


class Stub(asyncio.Protocol):
    """One connection; requests on it come one after the other."""

    def __init__(self) -> None:
        self._come = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep where to write."""
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Answer each request that is whole."""
        self._come += data
        while (end := self._come.find(b"\r\n\r\n")) >= 0:
            head = self._come[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._come) < end + 4 + length:
                return
            body = self._come[end + 4 : end + 4 + length]
            self._come = self._come[end + 4 + length :]
            self._answer(body)

    def _answer(self, body: bytes) -> None:
        assert self._transport is not None
        if b'"stream":true' in body.replace(b" ", b""):
            for piece in STREAMED:
                self._transport.write(piece)
        else:
            self._transport.write(WHOLE)


async def serve() -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(Stub, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        import uvloop
    except ImportError:
        asyncio.run(serve())
    else:
        uvloop.run(serve())
    sys.exit(0)
