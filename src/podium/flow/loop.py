"""The deterministic event loop on which workflow code runs: first come, first served, and no I/O."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import Any, NoReturn, Protocol

from podium.domain.errors import Terminal
from podium.flow.branches import current_branch
from podium.ports.run import CurrentRun


class OutsideWork(Terminal):
    """Workflow code tried to reach the outside world directly instead of through a step."""


class LoopOwner(CurrentRun, Protocol):
    """What the loop needs of the execution that owns it."""

    def start_timer(self, handle: asyncio.TimerHandle) -> None:
        """Ask for a durable timer that runs `handle` when it is due."""
        ...

    def drop_timer(self, handle: asyncio.TimerHandle) -> None:
        """Forget a timer that was cancelled."""
        ...

    def report(self, context: dict[str, Any]) -> None:
        """Take note of an error that no code was there to receive."""
        ...


class BranchTask(asyncio.Task[Any]):
    """A task whose hash follows from its run and its ordinal in it.

    The standard library keeps tasks in sets (`TaskGroup`, `wait`) and cancels or returns them in set order.
    Such hashes make that order a function of the program alone.
    """

    def __init__(self, coro: Coroutine[Any, Any, Any], *, identity: int, **options: Any) -> None:
        self._identity = identity
        super().__init__(coro, **options)

    def __hash__(self) -> int:
        return self._identity

    def __eq__(self, other: object) -> bool:
        return self is other


class DeterministicLoop(asyncio.AbstractEventLoop):
    """Runs ready callbacks in order until none is left; time stands still unless the journal moves it."""

    def __init__(self, owner: LoopOwner, seed: int) -> None:
        self.podium_run = owner
        self._ready: deque[asyncio.Handle] = deque()
        # Runs start at different identities: asyncio keeps all tasks of a process in one set.
        self._last_identity = seed & 0xFFFF_FFFF_FFFF

    def drain(self) -> None:
        """Run everything that is ready, including what becomes ready on the way.

        Must be called from a plain callback of the host loop or from no loop at all: the host's current
        task, if any, is not suspended.
        """
        host = asyncio._get_running_loop()  # noqa: SLF001 - public to implementers of loops
        asyncio._set_running_loop(self)  # noqa: SLF001
        try:
            while self._ready:
                handle = self._ready.popleft()
                if not handle.cancelled():
                    handle._run()  # noqa: SLF001 - what every event loop does
        finally:
            asyncio._set_running_loop(host)  # noqa: SLF001

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Run `callback` after what is ready already."""
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run `callback` after `delay` seconds: a durable timer."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run `callback` at `when` on this loop's clock: a durable timer."""
        handle = asyncio.TimerHandle(when, callback, args, self, context or copy_context())
        self.podium_run.start_timer(handle)
        return handle

    def ready(self, handle: asyncio.Handle) -> None:
        """Make a handle run at the next drain."""
        self._ready.append(handle)

    def time(self) -> float:
        """Return the run's time in seconds since the epoch."""
        return self.podium_run.now()

    def create_future(self) -> asyncio.Future[Any]:
        """Return a future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[Any]:
        """Start a task on the next branch of the task that starts it."""
        own = (context or copy_context()).copy()
        own.run(current_branch.set, current_branch.get().child())
        return self.main_task(coro, own, name)

    def main_task(
        self, coro: Coroutine[Any, Any, Any], context: Context, name: str | None = None
    ) -> asyncio.Task[Any]:
        """Start a task in exactly this context."""
        self._last_identity += 1
        task = BranchTask(coro, identity=self._last_identity, loop=self, name=name, context=context)
        # A run that leaves memory drops its tasks where they stand; that is no mistake worth a warning.
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001
        return task

    def is_running(self) -> bool:
        """Return True: whoever holds this loop is running on it."""
        return True

    def is_closed(self) -> bool:
        """Return False: there is nothing to close."""
        return False

    def get_debug(self) -> bool:
        """Return False: debug mode would look at the wall clock."""
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Report an error that nobody received."""
        self.podium_run.report(context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        self.podium_run.drop_timer(handle)

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise OutsideWork(
            "workflow code ran I/O, a thread or a subprocess directly, which would not be recorded and would "
            "happen again on replay. Move it into a function decorated with @step and await that."
        )

    call_soon_threadsafe = _refuse
    run_in_executor = _refuse
    getaddrinfo = _refuse
    getnameinfo = _refuse
    create_connection = _refuse
    create_server = _refuse
    create_unix_connection = _refuse
    create_datagram_endpoint = _refuse
    sock_recv = _refuse
    sock_sendall = _refuse
    sock_connect = _refuse
    subprocess_exec = _refuse
    subprocess_shell = _refuse
    connect_read_pipe = _refuse
    add_reader = _refuse
    add_writer = _refuse
    add_signal_handler = _refuse
    run_forever = _refuse
    run_until_complete = _refuse
