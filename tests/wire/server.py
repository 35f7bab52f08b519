"""A model service on this machine that speaks a vendor's wire format and misbehaves on request."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Literal, Self

import h11

from tests.wire.anthropic import Anthropic
from tests.wire.dialects import Dialect, Received, event
from tests.wire.google import Google
from tests.wire.openai import OpenAI
from tests.wire.replies import Break, Dropped, Endless, Raw, Refused, Reply, Said

Vendor = Literal["openai", "anthropic", "google"]
Scripted = Reply | Callable[[Received], Reply]

_DIALECTS: dict[str, Callable[[], Dialect]] = {"openai": OpenAI, "anthropic": Anthropic, "google": Google}


class WireServer:
    """Serves one vendor's wire format on 127.0.0.1 while it is entered.

    `reply` appends replies, used one per request in order; `always` answers whatever comes after them. A
    reply may be a function of the request. A request that nothing was scripted for fails with status 500 and
    fails the test on leaving. `requests` holds what was received, in order; `abandoned` is set once a client has
    gone away in the middle of a reply.
    """

    def __init__(self, dialect: Vendor = "openai") -> None:
        self.vendor: Vendor = dialect
        self.requests: list[Received] = []
        self.connections = 0
        self.abandoned = asyncio.Event()
        self._dialect = _DIALECTS[dialect]()
        self._replies: deque[Scripted] = deque()
        self._default: Scripted | None = None
        self._unscripted = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._origin = ""
        self._arrival = asyncio.Condition()

    @property
    def url(self) -> str:
        """The base URL to give to a client."""
        return self._dialect.base_url(self._origin)

    def name(self, model: str = "test-model") -> str:
        """Return the full name of `model` on this server, such as `openai:test-model@http://127.0.0.1:1/v1`."""
        return f"{self.vendor}:{model}@{self.url}"

    def reply(self, *replies: Scripted) -> None:
        """Answer the next requests with `replies`, one each."""
        self._replies.extend(replies)

    def always(self, reply: Scripted) -> None:
        """Answer every request beyond the scripted ones with `reply`."""
        self._default = reply

    async def received(self, count: int) -> None:
        """Wait until `count` requests have come in altogether."""
        async with self._arrival:
            await self._arrival.wait_for(lambda: len(self.requests) >= count)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()[:2]
        self._origin = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()
        if kind is None:
            assert not self._unscripted, f"{self._unscripted} requests came that no reply was scripted for"

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            await _Connection(reader, writer).serve(self._respond)
        except ConnectionError:
            self.abandoned.set()
        except (asyncio.CancelledError, h11.RemoteProtocolError):
            # The client went away, or the server is being closed: either ends this connection and no more.
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _respond(self, request: Received, line: _Connection) -> None:
        async with self._arrival:
            self.requests.append(request)
            self._arrival.notify_all()
        scripted = self._replies.popleft() if self._replies else self._default
        reply = scripted(request) if callable(scripted) else scripted
        match reply:
            case None:
                self._unscripted += 1
                await line.send(500, "text/plain", b"no reply was scripted for this request")
            case Dropped(silent=True):
                await asyncio.Event().wait()
            case Dropped():
                line.reset()
            case Raw(body, status, content_type, headers):
                await line.send(status, content_type, body, headers)
            case Endless(piece, opening, content_type):
                await line.begin(content_type)
                await line.write(opening)
                while True:
                    await line.write(piece)
            case Refused():
                await asyncio.sleep(reply.delay)
                refusal = self._dialect.refusal(reply, request)
                kind = "text/event-stream" if refusal.status == 200 else "application/json"
                await line.send(refusal.status, kind, refusal.body, reply.headers)
            case Said():
                await asyncio.sleep(reply.delay)
                if self._dialect.streams(request):
                    await self._tell(reply, request, line)
                else:
                    await self._say(reply, request, line)

    async def _say(self, said: Said, request: Received, line: _Connection) -> None:
        body = self._dialect.whole(said, request)
        await asyncio.sleep(said.pause * len(said.pieces))
        if said.broken is None:
            await line.send(200, "application/json", body)
        elif said.broken is Break.GARBAGE:
            await line.send(200, "application/json", b'{"choices": [oops')
        else:
            await line.begin("application/json")
            await line.write(body[: len(body) // 2])
            await self._break(said, request, line)

    async def _tell(self, said: Said, request: Received, line: _Connection) -> None:
        telling = self._dialect.telling(said, request)
        sent = telling.pieces if said.broken is None else telling.pieces[: said.pieces_sent]
        await line.begin("text/event-stream")
        opening = telling.opening if sent or said.broken is None else ()
        for chunk in opening:
            await line.write(chunk)
        for chunk in sent:
            await asyncio.sleep(said.pause)
            await line.write(chunk)
        if said.broken is not None:
            await self._break(said, request, line)
            return
        for chunk in telling.closing:
            await line.write(chunk)
        await line.end()

    async def _break(self, said: Said, request: Received, line: _Connection) -> None:
        match said.broken:
            case Break.RESET:
                line.reset()
            case Break.CLOSE:
                line.close()
            case Break.STALL:
                await asyncio.Event().wait()
            case Break.ERROR:
                await line.write(self._dialect.error_event(said.problem, request))
                await line.end()
            case Break.GARBAGE:
                await line.write(event('{"choices": [oops'))
                await line.end()
            case Break.END | None:
                await line.end()


class _Connection:
    """One connection: HTTP/1.1 with keep-alive, read and written through h11."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.SERVER)
        self._open = True

    async def serve(self, respond: Callable[[Received, _Connection], Any]) -> None:
        """Hand each request to `respond` until either side closes."""
        while self._open:
            request = await self._receive()
            if request is None:
                return
            await respond(request, self)
            if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
                return
            self._http.start_next_cycle()

    async def _receive(self) -> Received | None:
        head: h11.Request | None = None
        body = b""
        while True:
            got = self._http.next_event()
            if got is h11.NEED_DATA:
                self._http.receive_data(await self._reader.read(65536))
            elif isinstance(got, h11.Request):
                head = got
            elif isinstance(got, h11.Data):
                body += bytes(got.data)
            elif isinstance(got, h11.EndOfMessage) and head is not None:
                headers = {name.decode().lower(): value.decode() for name, value in head.headers}
                parsed: Any = {}
                # Files come in too.
                with contextlib.suppress(ValueError):
                    parsed = json.loads(body) if body else {}
                return Received(head.method.decode(), head.target.decode(), headers, parsed, body)
            else:
                return None

    async def begin(self, content_type: str) -> None:
        """Send the head of a chunked 200 response."""
        headers = [("content-type", content_type), ("transfer-encoding", "chunked")]
        await self._put(h11.Response(status_code=200, headers=headers))

    async def write(self, data: bytes) -> None:
        """Send a part of the body."""
        await self._put(h11.Data(data=data))

    async def end(self) -> None:
        """End the body."""
        await self._put(h11.EndOfMessage())

    async def send(
        self, status: int, content_type: str, body: bytes, extra: tuple[tuple[str, str], ...] = ()
    ) -> None:
        """Send a whole response."""
        headers = [("content-type", content_type), ("content-length", str(len(body))), *extra]
        await self._put(h11.Response(status_code=status, headers=headers))
        await self.write(body)
        await self.end()

    def close(self) -> None:
        """Close the connection where it stands."""
        self._open = False
        self._writer.close()

    def reset(self) -> None:
        """Reset the connection, so that the client sees RST."""
        self._open = False
        raw: socket.socket = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def _put(self, part: h11.Event) -> None:
        data = self._http.send(part)
        if data:
            self._writer.write(data)
            await self._writer.drain()
