"""The deterministic event loop on which workflow code runs: first come, first served, and no I/O."""

from __future__ import annotations

import asyncio
import math
import sys
from collections import deque
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine
from contextvars import Context, copy_context
from typing import Any, NoReturn, Protocol

from podium.domain.errors import InvalidInput, Terminal
from podium.flow.branches import Branch, current_branch
from podium.ports.run import CurrentRun

_CLOSINGS = 100
"""How often code that swallows its own end is told again before it is left to itself."""


class Dropped(BaseException):
    """Raised in workflow code that leaves memory or is left behind. Nothing was cancelled; it has no say any more."""


class OutsideWork(Terminal):
    """Workflow code tried to reach the outside world directly instead of through a step."""


class Unordered(Terminal):
    """Workflow code used something whose order differs from one process to the next."""


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


class _Turn:
    """While it is entered, this thread runs on `loop` and not on the host's. A class, because it is entered at every step."""

    __slots__ = ("_finalizer", "_hooks", "_host", "_loop")

    def __init__(
        self, loop: DeterministicLoop, finalizer: Callable[[AsyncGenerator[Any, Any]], None]
    ) -> None:
        self._loop = loop
        self._finalizer = finalizer

    def __enter__(self) -> None:
        self._host, self._hooks = asyncio._get_running_loop(), sys.get_asyncgen_hooks()  # noqa: SLF001 - public to loops
        asyncio._set_running_loop(self._loop)  # noqa: SLF001
        sys.set_asyncgen_hooks(firstiter=None, finalizer=self._finalizer)

    def __exit__(self, *_: object) -> None:
        sys.set_asyncgen_hooks(*self._hooks)
        asyncio._set_running_loop(self._host)  # noqa: SLF001


class DeterministicLoop(asyncio.AbstractEventLoop):
    """Runs ready callbacks in order until none is left; time stands still unless the journal moves it."""

    def __init__(self, owner: LoopOwner, seed: int) -> None:
        self.podium_run = owner
        self._ready: deque[asyncio.Handle] = deque()
        # Held here, so that no task ends at the whim of the garbage collector; each with its context.
        self._tasks: dict[asyncio.Task[Any], Context] = {}
        self._unfinished_generators: list[AsyncGenerator[Any, Any]] = []
        # Runs start at different identities: asyncio keeps all tasks of a process in one set.
        self._last_identity = seed & 0xFFFF_FFFF_FFFF

    @property
    def tasks(self) -> Collection[asyncio.Task[Any]]:
        """The tasks that have not ended, in the order in which they began."""
        return self._tasks.keys()

    def drain(self) -> None:
        """Run everything that is ready, including what becomes ready on the way.

        Must be called from a plain callback of the host loop or from no loop at all: the host's current
        task, if any, is not suspended.
        """
        with _Turn(self, self._unfinished_generators.append):
            while self._ready:
                handle = self._ready.popleft()
                if handle.cancelled():
                    continue
                try:
                    handle._run()  # noqa: SLF001 - what every event loop does
                except SystemExit:
                    # What would end a whole program fails this run alone: its task has noted it.
                    continue

    def drop(self) -> None:
        """End every task where it stands, by raising `Dropped` in it until it has ended.

        Done here and now, because later the garbage collector would do it in the middle of another run.
        """
        context = copy_context()
        context.run(current_branch.set, Branch())
        with _Turn(self, self._unfinished_generators.append):
            while self._tasks:
                task, its_context = self._tasks.popitem()
                coro = task.get_coro()
                if not task.done() and coro is not None:
                    _end(coro.throw, its_context)
            while self._unfinished_generators:
                _end(self._unfinished_generators.pop().aclose().throw, context)
        self._ready.clear()

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
        """Run `callback` at `when` on this loop's clock: a durable timer. Raises `InvalidInput` for no time at all."""
        if not math.isfinite(when):
            raise InvalidInput(f"a timeout cannot end at {when}; give a number of seconds.")
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
        _refuse_as_completed(coro)
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
        self._tasks[task] = context
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)

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

    add_reader = remove_reader = add_writer = remove_writer = _refuse
    add_signal_handler = remove_signal_handler = _refuse
    call_soon_threadsafe = run_in_executor = set_default_executor = _refuse
    getaddrinfo = getnameinfo = _refuse
    create_connection = create_server = create_datagram_endpoint = connect_accepted_socket = _refuse
    create_unix_connection = create_unix_server = start_tls = sendfile = _refuse
    sock_accept = sock_connect = sock_recv = sock_recv_into = sock_recvfrom = sock_recvfrom_into = _refuse
    sock_sendall = sock_sendto = sock_sendfile = _refuse
    subprocess_exec = subprocess_shell = connect_read_pipe = connect_write_pipe = _refuse
    run_forever = run_until_complete = stop = close = _refuse


def _end(throw: Callable[[BaseException], object], context: Context) -> None:
    for _ in range(_CLOSINGS):
        try:
            context.run(throw, Dropped())
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001 - it has ended, whatever it says at last
            return


def _refuse_as_completed(coro: Coroutine[Any, Any, Any]) -> None:
    # It keeps coroutines in a set, so their order, and with it their branches, would be another on replay.
    frame = sys._getframe(2)  # noqa: SLF001 - nothing else says who asks
    while frame.f_globals.get("__name__") == "asyncio.tasks" and frame.f_back is not None:
        if frame.f_code.co_qualname.startswith(("as_completed", "_AsCompleted")):
            coro.close()
            raise Unordered(
                "asyncio.as_completed() was given coroutines, which it starts in no fixed order, so that a replay "
                "would not be the same. Give it tasks: as_completed([asyncio.create_task(c) for c in ...])."
            )
        frame = frame.f_back
