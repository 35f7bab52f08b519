"""Models on this machine, run by llama.cpp inside this process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from podium.domain.answers import FailureKind
from podium.domain.errors import InvalidInput
from podium.domain.money import Money
from podium.ports.models import Delta, ModelFailure, ModelReply, ModelRequest, ToolChoice
from podium.providers import weights
from podium.providers.llama import Plan, Refused, Worker, plan, usable_cores
from podium.providers.local_tools import with_calls, without_tools
from podium.providers.wording import one_line


class LocalProvider:
    """Serves `local:smollm2` and `local:/path/to/model.gguf`. Each model is loaded when it is first asked.

    Of a request's deadlines only the total counts, and waiting for a free worker counts towards it. Costs
    nothing. A cancelled request stops after its next token, or its next 256 tokens of prompt.
    """

    def __init__(self) -> None:
        self._pools: dict[Path, _Pool] = {}

    def check(self, model: str) -> None:
        """Raise `InvalidInput` when llama.cpp or the weights are missing, or are no weights."""
        if find_spec("xllamacpp") is None:
            raise InvalidInput(
                f"local:{model} needs llama.cpp, which is not installed: pip install 'podium[local]'"
            )
        weights.find(model)

    async def complete(self, model: str, request: ModelRequest) -> ModelReply:
        """Generate a reply; raises `ModelFailure`, or what `check` raises."""
        self.check(model)
        _require_readable(model, request)
        calling = bool(request.tools) and request.tool_choice is not ToolChoice.NONE
        observer = request.on_delta
        request = without_tools(request)
        path = weights.find(model)
        if path not in self._pools:
            self._pools[path] = _Pool(path, plan(path.stat().st_size, usable_cores()))
        pool = self._pools[path]
        stop = threading.Event()
        outcome: ModelReply | Refused
        try:
            async with asyncio.timeout(request.limits.total):
                outcome = await pool.answer(request, stop)
        except TimeoutError:
            outcome = Refused(FailureKind.TIMEOUT, pool.lateness(request, started=stop.is_set()))
        if isinstance(outcome, Refused):
            raise ModelFailure(outcome.kind, one_line(f"local:{model} {outcome}"))
        reply = replace(outcome, cost=Money(), price_table="free")
        return with_calls(reply, observer) if calling else reply

    async def close(self) -> None:
        """Stop what is running and unload every model. Returns when the threads have ended."""
        while self._pools:
            _, pool = self._pools.popitem()
            await pool.close()


def _heard(
    observer: Callable[[Delta], None] | None, stop: threading.Event, loop: asyncio.AbstractEventLoop
) -> Callable[[Delta], None] | None:
    """Return what a worker's thread calls so that `observer` hears of it on `loop`, until `stop` is set."""
    if observer is None:
        return None

    def tell(delta: Delta) -> None:
        if not stop.is_set():
            observer(delta)

    def hear(delta: Delta) -> None:
        # The loop may have been closed meanwhile; then nobody listens any more.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(tell, delta)

    return hear


def _require_readable(model: str, request: ModelRequest) -> None:
    if request.media:
        kind = type(request.media[0]).__name__.lower()
        raise ModelFailure(
            FailureKind.UNAVAILABLE, f"local:{model} reads text alone, and the messages hold a {kind} part"
        )
    if request.tools and request.schema is not None:
        raise ModelFailure(
            FailureKind.UNAVAILABLE, f"local:{model} takes either tools or a schema in one request"
        )


class _Pool:
    """The workers of one model, made as they are needed, and a fair queue before them."""

    def __init__(self, path: Path, layout: Plan) -> None:
        self._path = path
        self._plan = layout
        self._free = asyncio.Semaphore(layout.workers)
        self._idle: list[Worker] = []
        self._running: set[threading.Event] = set()
        self._closed = False
        self._threads = ThreadPoolExecutor(layout.workers, thread_name_prefix="podium-local")

    async def answer(self, request: ModelRequest, stop: threading.Event) -> ModelReply | Refused:
        """Wait for a worker and let it answer. `stop` is set when the answer is no longer wanted."""
        await self._free.acquire()
        if self._closed:
            self._free.release()
            return Refused(FailureKind.INTERNAL, "was closed before its turn came")
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[ModelReply | Refused] = loop.create_future()

        def finish(outcome: ModelReply | Refused) -> None:
            self._running.discard(stop)
            # Only now, and not when the caller gives up: the worker is busy until it notices.
            self._free.release()
            if not answered.done():
                answered.set_result(outcome)

        self._running.add(stop)
        request = replace(request, on_delta=_heard(request.on_delta, stop, loop))
        self._threads.submit(self._work, request, stop, loop, finish)
        try:
            return await answered
        finally:
            stop.set()

    def lateness(self, request: ModelRequest, *, started: bool) -> str:
        """Say what the time of `request` went into."""
        if started:
            return f"had not finished within {request.limits.total:g} s"
        return (
            f"found no free worker within {request.limits.total:g} s; it has {self._plan.workers}, "
            "and other requests were first"
        )

    async def close(self) -> None:
        """Stop the running requests, wait for their threads and unload."""
        self._closed = True
        for stop in self._running:
            stop.set()
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)
        await asyncio.to_thread(self._idle.clear)

    def _work(
        self,
        request: ModelRequest,
        stop: threading.Event,
        loop: asyncio.AbstractEventLoop,
        finish: Callable[[ModelReply | Refused], None],
    ) -> None:
        outcome = self._outcome(request, stop)
        # The loop may have been closed meanwhile; then nobody waits for the outcome any more.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(finish, outcome)

    def _outcome(self, request: ModelRequest, stop: threading.Event) -> ModelReply | Refused:
        if stop.is_set():
            return Refused(FailureKind.TIMEOUT, "was no longer wanted")
        try:
            worker = self._worker()
            try:
                reply = worker.answer(request, stop)
            finally:
                self._idle.append(worker)
        except Refused as refused:
            return refused
        except Exception as error:  # noqa: BLE001 - a fault of the library must not end the thread unheard
            return Refused(FailureKind.INTERNAL, f"failed unexpectedly: {type(error).__name__}: {error}")
        return Refused(FailureKind.INTERNAL, "was stopped in mid-reply") if stop.is_set() else reply

    def _worker(self) -> Worker:
        # There are never more threads here than workers may be, so that one idle or a new one it is.
        try:
            return self._idle.pop()
        except IndexError:
            return Worker(self._path, self._plan.threads)
