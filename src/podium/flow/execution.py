"""One run's workflow code in execution: journal entries go in, operations and a result come out. No I/O here."""

from __future__ import annotations

import asyncio
import logging
import random
import uuid
from collections.abc import Callable, Coroutine, Sequence
from contextvars import copy_context
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import orjson

from podium.domain.errors import ErrorRecord, InvalidInput, Terminal
from podium.domain.ids import RunId
from podium.domain.journal import Entry, EntryType, Signal
from podium.domain.operations import Execute, Intent, Operation, OperationKind, WaitForEvent, WaitUntil
from podium.domain.values import TypedCodec
from podium.flow.branches import Branch, current_branch
from podium.flow.compensation import Scope, Undoable, compensated, current_scope
from podium.flow.events import UnclaimedEvents
from podium.flow.failures import line_awaiting, message_of, raised_from
from podium.flow.loop import DeterministicLoop
from podium.flow.patches import Patches
from podium.flow.results import Errored, Result, Stopped, result_of

_log = logging.getLogger(__name__)

_NOTHING = TypedCodec(None, "a timer")
_FROM_OUTSIDE = {OperationKind.REVIEW: "the decision", OperationKind.EVENT: "the event"}
"""Operations whose value is what somebody typed or sent."""


_REMEDY = (
    "Restore the code that the run began with and retry the run, guard the change with patched(), give the new code "
    "another @workflow(version=...), or fork the run from a step before the change."
)


class CodeChanged(Terminal):
    """The code asks for something else than the journal records.

    `entry` is what is recorded. `asked` are the operations that the code waits for now, `where` the source lines
    on which it does (`desk.py:41`). `differs` says what of the operation at the same key does (`kind` or
    `arguments`); it is empty when the code does not ask for that key at all.
    """

    def __init__(
        self, message: str, entry: Entry, asked: Sequence[Operation], where: Sequence[str], differs: str = ""
    ) -> None:
        super().__init__(message)
        self.entry = entry
        self.asked = asked
        self.where = where
        self.differs = differs


class Undecodable(Terminal):
    """A recorded value does not fit the type that the code declares now: that of `entry`; `problem` says why."""

    def __init__(self, message: str, entry: Entry, problem: str) -> None:
        super().__init__(message)
        self.entry = entry
        self.problem = problem


@dataclass(slots=True)
class _Asked:
    """An operation that the code asked for. `settle` hands its outcome over; None once the code gave up on it.

    `scope` is where a step that can be undone is noted when it has completed.
    """

    intent: Intent
    settle: Callable[[Entry], None] | None
    scope: Scope | None = None


class Execution:
    """Runs one workflow function deterministically.

    Call `start` once, then `deliver` for each delivered journal entry in `seq` order; after each call
    `take_requests` says what the code newly asks for, `take_withdrawn` what it gave up, and `result` is set
    when it has ended. Live runs and replays differ only in where the entries come from, and in that `patches`
    are live: see `Patches`. `generation` counts how often the run went on as new.
    """

    def __init__(
        self,
        run_id: RunId,
        seed: int,
        started_at: float,
        *,
        generation: int = 0,
        patches: Patches | None = None,
    ) -> None:
        self._id = run_id
        self._generation = generation
        self.patches = patches or Patches()
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
        self._scope = Scope()
        self._unclaimed = UnclaimedEvents()
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
        # Each generation's keys are its own, and so is everything that is derived from them.
        context.run(current_branch.set, Branch(str(self._generation)))
        context.run(current_scope.set, self._scope)
        self._main = self._loop.main_task(compensated(self, self._scope, call()), context)
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
            raise CodeChanged(self._divergence(entry), entry, self._waited_for(), self.standing())
        intent = asked.intent
        if (intent.kind, intent.fingerprint) != (entry.kind, entry.fingerprint):
            differs = "kind" if intent.kind is not entry.kind else "arguments"
            raise CodeChanged(
                f"code changed under the run: the journal records {entry.kind} {entry.key!r} (entry {entry.seq}, "
                f"arguments {entry.fingerprint}), the code now asks for {intent.kind} {entry.key!r} with other "
                f"{differs} (arguments {intent.fingerprint}). {_REMEDY}",
                entry,
                [Operation(entry.key, intent)],
                self.standing(),
                differs,
            )

    def has_asked(self, key: str) -> bool:
        """Return whether the code has asked for the operation at `key`, which has no outcome yet."""
        return key in self._asked

    def standing(self) -> Sequence[str]:
        """Return the source lines on which the code waits, in the order in which its tasks began: `desk.py:41`."""
        lines = (line_awaiting(task.get_coro()) for task in self._loop.tasks if not task.done())
        return list(dict.fromkeys(line for line in lines if line is not None))

    @property
    def unclaimed(self) -> Sequence[Entry]:
        """The entries of events that were recorded for the code and that it has not taken, in `seq` order."""
        return self._unclaimed.entries

    @property
    def undone(self) -> Sequence[str]:
        """The journal keys of the steps that have been undone."""
        return self._scope.undone

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

    def patched(self, patch: str) -> bool:
        """Return whether the new code is to be taken at this call of `patched()`."""
        return not self._closed and self.patches.taken(current_branch.get().key(f"patched {patch}"), patch)

    async def perform(self, intent: Intent) -> Any:
        """Ask for an operation and wait for its outcome."""
        key, outcome = self.ask(intent)
        try:
            return await outcome
        except asyncio.CancelledError:
            self.withdraw(key)
            raise

    def ask(self, intent: Intent) -> tuple[str, asyncio.Future[Any]]:
        """Ask for an operation; return its journal key and the future of its outcome."""
        key = current_branch.get().key(intent.name)
        outcome: asyncio.Future[Any] = self._loop.create_future()
        if self._closed:
            # Clean-up of dropped code waits in vain: the journal is the truth, not this process.
            return key, outcome
        settle = partial(_settle, outcome, intent, key)
        request = intent.request
        if isinstance(request, WaitForEvent) and self._unclaimed.wait(request.name, key, settle):
            return key, outcome
        scope = None
        if isinstance(request, Execute) and request.undo is not None:
            scope = current_scope.get()
            scope.asked()
        self._ask(key, intent, settle, scope)
        return key, outcome

    def withdraw(self, key: str) -> None:
        """Wait no longer for the operation at `key`, if it is open."""
        asked = self._asked.get(key)
        if asked is not None and asked.settle is not None:
            asked.settle = None
            self._open -= 1
            self._withdrawn.append(key)
            if isinstance(asked.intent.request, WaitForEvent):
                self._unclaimed.forget(asked.intent.request.name, key)

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
            self.withdraw(key)

    def report(self, context: dict[str, Any]) -> None:
        """Tell of an error that no code was there to receive."""
        if not self._closed:
            _log.warning("run %s: %s: %r", ascii(self._id), context.get("message"), context.get("exception"))

    def _ask(
        self, key: str, intent: Intent, settle: Callable[[Entry], None], scope: Scope | None = None
    ) -> None:
        if isinstance(intent.request, WaitUntil) and self._clock < self._now:
            # The system's clock was set back: the run's time stands until it has caught up, its timers do not.
            due = replace(intent.request, due=intent.request.due - self._now + self._clock)
            intent = replace(intent, request=due)
        self._asked[key] = _Asked(intent, settle, scope)
        self._open += 1
        self._requests.append(Operation(key, intent))

    def _settle(self, entry: Entry) -> None:
        self.expects(entry)
        asked = self._asked.pop(entry.key)
        request = asked.intent.request
        if asked.scope is not None and isinstance(request, Execute) and request.undo is not None:
            # Whether the code still wants it or not: its effect is in the world.
            if entry.type is EntryType.DONE:
                codec, arguments = asked.intent.codec, request.arguments
                asked.scope.completed(Undoable(entry.key, entry.payload, codec, arguments, request.undo))
        elif isinstance(request, WaitForEvent):
            self._unclaimed.forget(request.name, entry.key)
        if asked.settle is not None:
            self._open -= 1
            asked.settle(entry)
        elif isinstance(request, WaitForEvent) and (taken_by := self._unclaimed.give(entry)) is not None:
            self.withdraw(taken_by)

    def _drain(self) -> None:
        self._loop.drain()
        main = self._main
        if self.result is not None or main is None:
            return
        if main.done():
            self.result = result_of(main, self._signal)
        elif not self._open:
            self.result = Errored(
                ErrorRecord(
                    "Deadlock",
                    "the workflow waits for something that nothing will ever bring: no step, timer, review or child "
                    "run is open. Await only steps, prompts and verbs, and tasks made of them.",
                )
            )

    def _waited_for(self) -> list[Operation]:
        return [
            Operation(key, asked.intent) for key, asked in self._asked.items() if asked.settle is not None
        ]

    def _divergence(self, entry: Entry) -> str:
        asks = ", ".join(repr(open.key) for open in self._waited_for()[:4]) or "nothing more"
        return (
            f"code changed under the run: the journal records {entry.kind} {entry.key!r} (entry {entry.seq}), "
            f"the code now asks for {asks}. {_REMEDY}"
        )


def _settle(outcome: asyncio.Future[Any], intent: Intent, key: str, entry: Entry) -> None:
    if outcome.done():
        return
    if entry.type is EntryType.ERROR:
        outcome.set_exception(raised_from(entry))
        return
    try:
        value = intent.codec.decode(entry.payload)
    except Exception as error:
        problem = message_of(error).splitlines()[0]
        from_outside = _FROM_OUTSIDE.get(intent.kind)
        if from_outside is not None:
            # Input, not data of ours: the code may ask again, or let the run fail.
            outcome.set_exception(InvalidInput(f"{from_outside} at {key!r} cannot be used: {problem}"))
            return
        raise Undecodable(
            f"the recorded value of {key!r} (entry {entry.seq}) does not fit the type that the code "
            f"declares now: {problem}. Restore the type and retry the run, or fork it from a step before.",
            entry,
            problem,
        ) from error
    outcome.set_result(value)
