"""HTTP connections with bounds that uvicorn leaves open: how long and how large a request's head may be."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from podium.server.errors import bad_request

HEAD_SECONDS = 15.0
"""How long a request's head may take to arrive, from the opening of the connection or the head's first byte."""

HEAD_BYTES = 64 * 1024
"""The longest head of a request."""


class BoundedProtocol(HttpToolsProtocol):
    """Closes connections whose request's head does not end, or whose body does not after it was answered."""

    _deadline: asyncio.TimerHandle | None = None
    _in_head = True
    _in_body = False
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._forget()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what belongs to a head."""
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response(f"the head of the request is longer than {HEAD_BYTES} bytes")

    def on_message_begin(self) -> None:
        """Begin a head."""
        if not self._in_head:
            self._head_bytes = 0
            self._await_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """End a head."""
        self._in_head = False
        self._in_body = True
        self._forget()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End a body."""
        self._in_body = False
        self._forget()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Of a body that was answered before its end, wait for the rest, so that the client reads the answer."""
        super().on_response_complete()
        if self._in_body:
            self._forget()
            self._deadline = self.loop.call_later(HEAD_SECONDS, self._too_slow)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP request, as the other routes answer errors."""
        body = bad_request(msg, code="invalid_request").body()
        head = b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n"
        self.transport.write(head + b"content-length: %d\r\n\r\n" % len(body) + body)
        self.transport.close()

    def _await_head(self) -> None:
        self._in_head = True
        self._forget()
        self._deadline = self.loop.call_later(HEAD_SECONDS, self._too_slow)

    def _forget(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()
