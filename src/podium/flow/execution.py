"""One run's workflow code in execution: journal entries go in, operations and a result come out. No I/O here."""

from __future__ import annotations

import asyncio
import logging
import random
import uuid
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from dataclasses import dataclass, replace
from typing import Any

import orjson

from podium.domain.errors import ErrorRecord, InvalidInput, RunTimeout, Terminal
from podium.domain.ids import RunId
from podium.domain.journal import Entry, EntryType, Signal
from podium.domain.operations import Intent, Operation, OperationKind, WaitUntil
from podium.domain.values import TypedCodec
from podium.flow.branches import Branch, current_branch
from podium.flow.failures import error_record, message_of, raised_from
from podium.flow.loop import DeterministicLoop

_log = logging.getLogger(__name__)

_NOTHING = TypedCodec(None, "a timer")


class CodeChanged(Terminal):
    """The code asks for something else than the journal records."""


class Undecodable(Terminal):
    """A recorded value does not fit the type that the code declares now."""


@dataclass(frozen=True, slots=True)
class Completed:
    """The workflow returned; `value` is what it returned."""

    value: Any


@dataclass(frozen=True, slots=True)
class Errored:
    """The workflow raised."""

    error: ErrorRecord


@dataclass(frozen=True, slots=True)
class Stopped:
    """The workflow ended because the run was cancelled."""


Result = Completed | Errored | Stopped


@dataclass(slots=True)
class _Asked:
    """An operation that the code asked for. `settle` hands its outcome over; None once the code gave up on it."""

    intent: Intent
    settle: Callable[[Entry], None] | None


class Execution:
    """Runs one workflow function deterministically.

    Call `start` once, then `deliver` for each delivered journal entry in `seq` order; after each call
    `take_requests` says what the code newly asks for, `take_withdrawn` what it gave up, and `result` is set
    when it has ended. Live runs and replays differ only in where the entries come from.
    """

    def __init__(self, run_id: RunId, seed: int, started_at: float) -> None:
        self._id = run_id
        self._now = self._clock = started_at
        self._random = random.Random(seed)
        # It refuses, instead of implementing, what would reach outside.
        self._loop = DeterministicLoop(self, seed)  # type: ignore[abstract]
        # Open and given-up operations; settled ones leave, so a long run stays small.
        self._asked: dict[str, _Asked] = {}
        self._open = 0
        self._requests: list[Operation] = []
        self._withdrawn: list[str] = []
        # By identity: asyncio calls timers equal that call the same at the same time.
        self._timers: dict[int, str] = {}
        self._signal: Signal | None = None
        self._main: asyncio.Task[Any] | None = None
        self._closed = False
        self.result: Result | None = None

    @property
    def id(self) -> RunId:
        """The run's id."""
        return self._id

    def start(self, call: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """Begin the workflow: `call()` returns its coroutine."""
        context = copy_context()
        context.run(current_branch.set, Branch())
        self._main = self._loop.main_task(call(), context)
        self._drain()

    def deliver(self, entry: Entry) -> None:
        """Hand one outcome or signal to the code and let it go on until it waits again.

        Raises `CodeChanged` when the code never asked for what the entry records, and `Undecodable` when
        the recorded value does not fit the declared type any more.
        """
        self._now, self._clock = max(self._now, entry.at), entry.at
        if entry.type is EntryType.SIGNAL:
            self._signal = Signal(orjson.loads(entry.payload))
            if self._main is not None:
                self._main.cancel()
        else:
            self._settle(entry)
        self._drain()

    def expects(self, entry: Entry) -> None:
        """Raise `CodeChanged` unless the code has asked for the operation that `entry` records."""
        asked = self._asked.get(entry.key)
        if asked is None:
            raise CodeChanged(self._divergence(entry))
        intent = asked.intent
        if (intent.kind, intent.fingerprint) != (entry.kind, entry.fingerprint):
            differs = "kind" if intent.kind is not entry.kind else "arguments"
            raise CodeChanged(
                f"code changed under the run: the journal records {entry.kind} {entry.key!r} (entry {entry.seq}, "
                f"arguments {entry.fingerprint}), the code now asks for {intent.kind} {entry.key!r} with other "
                f"{differs} (arguments {intent.fingerprint}). Restore the code that the run began with, or start "
                "the work again under another run id."
            )

    def take_requests(self) -> list[Operation]:
        """Return, once, the operations asked for since the last call, in program order."""
        taken, self._requests = self._requests, []
        return taken

    def take_withdrawn(self) -> list[str]:
        """Return, once, the keys of operations that the code stopped waiting for since the last call."""
        taken, self._withdrawn = self._withdrawn, []
        return taken

    def close(self) -> None:
        """Drop the code where it stands: whatever clean-up Python gives it, it asks for nothing any more."""
        self._closed = True
        self.result = self.result or Stopped()
        self._loop.drop()

    # what the code calls, through podium.ports.run

    def now(self) -> float:
        """Return the run's time in seconds since the epoch."""
        return self._now

    def random(self) -> float:
        """Return the next random number, from 0 to 1."""
        return self._random.random()

    def uuid(self) -> uuid.UUID:
        """Return the next random UUID."""
        return uuid.UUID(int=self._random.getrandbits(128), version=4)

    async def perform(self, intent: Intent) -> Any:
        """Ask for an operation and wait for its outcome."""
        if self._closed:
            # Clean-up of dropped code waits in vain: the journal is the truth, not this process.
            return await self._loop.create_future()
        key = current_branch.get().key(intent.name)
        future: asyncio.Future[Any] = self._loop.create_future()

        def settle(entry: Entry) -> None:
            if future.done():
                return
            if entry.type is EntryType.ERROR:
                future.set_exception(raised_from(entry))
                return
            try:
                value = intent.codec.decode(entry.payload)
            except Exception as error:
                if intent.kind is OperationKind.REVIEW:
                    # What a person typed is input: the code may ask again, or let the run fail.
                    problem = message_of(error).splitlines()[0]
                    future.set_exception(InvalidInput(f"the decision cannot be used: {problem}"))
                    return
                raise Undecodable(
                    f"the recorded value of {entry.key!r} (entry {entry.seq}) does not fit the type that the code "
                    f"declares now: {message_of(error).splitlines()[0]}. Restore the type, or start the work again."
                ) from error
            future.set_result(value)

        self._ask(key, intent, settle)
        try:
            return await future
        except asyncio.CancelledError:
            self._withdraw(key)
            raise

    # what the loop calls

    def start_timer(self, handle: asyncio.TimerHandle) -> None:
        """Ask for a durable timer that runs `handle` when it is due."""
        if self._closed:
            return
        key = current_branch.get().key("timer")
        intent = Intent(OperationKind.TIMER, "timer", "", WaitUntil(handle.when(), self._now), _NOTHING)
        self._timers[id(handle)] = key

        def settle(_: Entry) -> None:
            self._timers.pop(id(handle), None)
            self._loop.ready(handle)

        self._ask(key, intent, settle)

    def drop_timer(self, handle: asyncio.TimerHandle) -> None:
        """Forget a timer that was cancelled."""
        key = self._timers.pop(id(handle), None)
        if key is not None:
            self._withdraw(key)

    def report(self, context: dict[str, Any]) -> None:
        """Tell of an error that no code was there to receive."""
        if not self._closed:
            _log.warning("run %s: %s: %r", ascii(self._id), context.get("message"), context.get("exception"))

    def _ask(self, key: str, intent: Intent, settle: Callable[[Entry], None]) -> None:
        if isinstance(intent.request, WaitUntil) and self._clock < self._now:
            # The system's clock was set back: the run's time stands until it has caught up, its timers do not.
            due = replace(intent.request, due=intent.request.due - self._now + self._clock)
            intent = replace(intent, request=due)
        self._asked[key] = _Asked(intent, settle)
        self._open += 1
        self._requests.append(Operation(key, intent))

    def _withdraw(self, key: str) -> None:
        asked = self._asked.get(key)
        if asked is not None and asked.settle is not None:
            asked.settle = None
            self._open -= 1
            self._withdrawn.append(key)

    def _settle(self, entry: Entry) -> None:
        self.expects(entry)
        settle = self._asked.pop(entry.key).settle
        if settle is not None:
            self._open -= 1
            settle(entry)

    def _drain(self) -> None:
        self._loop.drain()
        main = self._main
        if self.result is not None or main is None:
            return
        if main.done():
            self.result = self._result_of(main)
        elif not self._open:
            self.result = Errored(
                ErrorRecord(
                    "Deadlock",
                    "the workflow waits for something that nothing will ever bring: no step, timer, review or child "
                    "run is open. Await only steps, prompts and verbs, and tasks made of them.",
                )
            )

    def _result_of(self, main: asyncio.Task[Any]) -> Result:
        if main.cancelled():
            if self._signal is Signal.TIMEOUT:
                message = (
                    "the run used up its active time: raise @workflow(timeout=...), or do less in one run"
                )
                return Errored(ErrorRecord(RunTimeout.__name__, message))
            if self._signal is Signal.CANCEL:
                return Stopped()
            return Errored(ErrorRecord("CancelledError", "the workflow cancelled itself"))
        error = main.exception()
        return Completed(main.result()) if error is None else Errored(error_record(error))

    def _divergence(self, entry: Entry) -> str:
        open_keys = [key for key, asked in self._asked.items() if asked.settle is not None]
        asks = ", ".join(map(repr, open_keys[:4])) or "nothing more"
        return (
            f"code changed under the run: the journal records {entry.kind} {entry.key!r} (entry {entry.seq}), "
            f"the code now asks for {asks}. Restore the code that the run began with, or start the work again "
            "under another run id."
        )
