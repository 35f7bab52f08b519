"""One HTTP request and its reply, over ASGI: within its deadlines, and over when the client has gone."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any, TypeVar

from podium.server.errors import ApiError, Header
from podium.settings import ServerSettings

T = TypeVar("T")
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

JSON: Header = (b"content-type", b"application/json")
EVENTS: tuple[Header, ...] = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    # Proxies in between must not hold the pieces back.
    (b"x-accel-buffering", b"no"),
)


class ClientGone(Exception):
    """The client has closed the connection, or takes nothing any more."""


class Exchange:
    """A request on its way to being answered.

    `id` names it to the client and in the log, `started` is the clock of `elapsed`, `status` what was answered so far.
    `own_headers` go with every reply.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, settings: ServerSettings) -> None:
        self.scope = scope
        self.settings = settings
        self.id = secrets.token_hex(12)
        self.status = 0
        self.gone = False
        self.started = time.perf_counter()
        self.own_headers: tuple[Header, ...] = ((b"x-request-id", self.id.encode()),)
        self._receive = receive
        self._send = send

    @property
    def elapsed(self) -> float:
        """Seconds since the request came in."""
        return time.perf_counter() - self.started

    def header(self, name: bytes) -> bytes | None:
        """Return a header of the request by its name in small letters, None when it is absent or given twice."""
        found = [value for key, value in self.scope["headers"] if key == name]
        return found[0] if len(found) == 1 else None

    def headers(self, name: bytes) -> list[str]:
        """Return all that the request says under a header's name in small letters."""
        return [value.decode("latin-1") for key, value in self.scope["headers"] if key == name]

    async def body(self) -> bytes:
        """Return the request's body; raises `ApiError` when it is too long or too slow."""
        most = self.settings.max_body
        length = self.header(b"content-length")
        if length is not None and int(length) > most:
            raise _too_long(most)
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self.settings.receive):
                while True:
                    message = await self._receive()
                    if message["type"] == "http.disconnect":
                        raise ClientGone
                    part = message.get("body", b"")
                    size += len(part)
                    if size > most:
                        raise _too_long(most)
                    parts.append(part)
                    if not message.get("more_body", False):
                        return parts[0] if len(parts) == 1 else b"".join(parts)
        except TimeoutError:
            raise ApiError(
                408,
                f"the request had not arrived within {self.settings.receive:g} s",
                code="request_timeout",
                headers=((b"connection", b"close"),),
            ) from None

    async def heeding(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what `work` returns, unless the client goes away first: then it is cancelled. Raises `ClientGone`."""
        task = asyncio.current_task()
        watcher = asyncio.ensure_future(self._watch(task))
        try:
            return await work
        except asyncio.CancelledError:
            if self.gone and task is not None:
                task.uncancel()
                raise ClientGone from None
            raise
        finally:
            watcher.cancel()

    async def respond(self, status: int, body: bytes, headers: tuple[Header, ...] = (JSON,)) -> None:
        """Answer with a whole body."""
        await self.begin(status, (*headers, (b"content-length", b"%d" % len(body))))
        await self.put(body, more=False)

    async def begin(self, status: int, headers: tuple[Header, ...]) -> None:
        """Send the head of the reply."""
        self.status = status
        all_headers = [*self.own_headers, *headers]
        await self._send({"type": "http.response.start", "status": status, "headers": all_headers})

    async def put(self, data: bytes, *, more: bool = True) -> None:
        """Send a piece of the reply's body; raises `ClientGone` when the client does not take it in time."""
        try:
            async with asyncio.timeout(self.settings.send):
                await self._send({"type": "http.response.body", "body": data, "more_body": more})
        except TimeoutError:
            self.gone = True
            raise ClientGone from None

    async def _watch(self, task: asyncio.Task[Any] | None) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        # The end of the reply is told in the same way as the end of the connection.
        if task is not None and not task.done():
            self.gone = True
            task.cancel()


def _too_long(most: int) -> ApiError:
    return ApiError(
        413,
        f"the request has more than {most} bytes, which is the most that this server takes",
        code="request_too_large",
    )
