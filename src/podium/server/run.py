"""Running the server: in this process, or in several that share one socket; until SIGINT or SIGTERM, then drained."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

from podium.app.serving import Hearers, Serving, open_serving
from podium.domain.errors import InvalidInput
from podium.server.app import App
from podium.server.origins import is_loopback
from podium.server.protocol import BoundedProtocol
from podium.server.reports import Reports
from podium.settings import (
    CassetteSettings,
    GatewaySettings,
    PriceSettings,
    RetentionSettings,
    ServerSettings,
    Settings,
    StorageSettings,
)

_BACKLOG = 2048
_IDLE = 75
_LOOK = 0.5
_LEAVE = 5.0


@dataclass(frozen=True, slots=True)
class Server:
    """What a server is to do; it can be handed to another process.

    `environment` holds the keys and addresses of vendors. `logs`: each request goes to standard output as a line of
    JSON, which holds neither keys nor what was said.
    """

    database: Path
    options: ServerSettings
    environment: Mapping[str, str]
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    logs: bool = False
    gateway: GatewaySettings = field(default_factory=GatewaySettings)
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    prices: PriceSettings = field(default_factory=PriceSettings)
    cassettes: CassetteSettings = field(default_factory=CassetteSettings)
    storage: StorageSettings = field(default_factory=StorageSettings)

    @property
    def public(self) -> bool:
        """Whether others than this machine can reach it."""
        return not is_loopback(self.host)

    def opening(self) -> AbstractAsyncContextManager[Serving]:
        """Open what requests are answered with."""
        reports = Reports(as_json=self.logs)
        told = reports.requests if self.logs else None
        settings = Settings(
            cassettes=self.cassettes,
            gateway=self.gateway,
            prices=self.prices,
            retention=self.retention,
            server=self.options,
            storage=self.storage,
        )
        return open_serving(
            self.database,
            settings,
            self.environment,
            public=self.public,
            hearers=Hearers(told, reports.trouble, reports.failure),
        )

    def app(self) -> App:
        """Return the application; called once in each process that serves."""
        # uvicorn's own lines, of what strangers send, are no log that anybody keeps.
        logging.getLogger().addHandler(logging.NullHandler())
        return App(self.opening)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that is bound and will listen; raises `InvalidInput` when the address cannot be had."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, socket.SOCK_STREAM)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
            # Whoever connects before the processes have started waits, and is not refused.
            bound.listen(_BACKLOG)
        except OSError:
            bound.close()
            raise
    except OSError as error:
        raise InvalidInput(
            f"cannot listen on {host}:{port}: {error.strerror or error}. Choose another --host or --port."
        ) from error
    bound.set_inheritable(True)
    return bound


def config_of(server: Server) -> uvicorn.Config:
    """Return uvicorn's configuration."""
    return uvicorn.Config(
        server.app,
        factory=True,
        http=BoundedProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_IDLE,
        timeout_graceful_shutdown=max(1, round(server.options.drain)),
    )


def run(server: Server, bound: socket.socket) -> None:
    """Serve on `bound` until SIGINT or SIGTERM; what is at work then may end within the time to drain."""
    if server.workers > 1:
        _supervise(server, bound)
    else:
        work(server, bound)


def work(server: Server, bound: socket.socket) -> None:
    """Serve on `bound` in this process alone."""
    _Quiet(config_of(server)).run([bound])


def _supervise(server: Server, bound: socket.socket) -> None:
    """Keep so many processes at work, and start another in place of one that died, until told to stop."""
    stop = threading.Event()
    heeded = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in heeded}
    spawn = multiprocessing.get_context("spawn")
    processes: list[SpawnProcess] = []
    try:
        while not stop.is_set():
            processes = [process for process in processes if process.is_alive()]
            while len(processes) < server.workers:
                process = spawn.Process(target=_work_supervised, args=(server, bound))
                process.start()
                processes.append(process)
            # Also the pause between two deaths, should they follow one another.
            stop.wait(_LOOK)
    finally:
        for process in processes:
            process.terminate()
        end = time.monotonic() + server.options.drain + _LEAVE
        for process in processes:
            process.join(max(0.0, end - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()
        for number, handler in before.items():
            signal.signal(number, handler)


def _work_supervised(server: Server, bound: socket.socket) -> None:
    """Serve until told to stop, or until the process that would tell is gone: nobody could stop this one then."""
    supervisor = multiprocessing.parent_process()

    def leave() -> None:
        if supervisor is not None:
            supervisor.join()
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=leave, name="podium-supervisor", daemon=True).start()
    work(server, bound)


async def serve_within(server: Server, bound: socket.socket, beside: Coroutine[Any, Any, None]) -> None:
    """Do what `run` does in the event loop that is running, as long as `beside` does not end; raises what that raises."""
    serving = _Quiet(config_of(server))
    work = asyncio.create_task(beside)

    def stop(_: object) -> None:
        serving.should_exit = True

    work.add_done_callback(stop)
    try:
        await serving.serve([bound])
    finally:
        work.cancel()
        await asyncio.wait([work])
    if not work.cancelled():
        work.result()


class _Quiet(uvicorn.Server):
    """Ends as one that was asked to end, and not of the signal that asked."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        heeded = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self._heed) for number in heeded}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _heed(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        # Asked for the second time, it waits for nobody any more.
        self.force_exit = self.should_exit
        self.should_exit = True
