"""The operations of one run that have no outcome yet: attempted, timed, or waiting for somebody."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, assert_never

from podium.domain.attempts import AttemptNote, decode_note, encode_note
from podium.domain.errors import ErrorRecord, InvalidDefinition
from podium.domain.ids import digest
from podium.domain.journal import Entry, EntryType
from podium.domain.operations import AskPerson, Execute, Operation, StartChild, WaitUntil
from podium.domain.outcomes import Done, Failed, Outcome, Retry, Suspended
from podium.engines.embedded.attempts import attempt
from podium.engines.embedded.spawning import cancelled_child, child_of, review_for
from podium.flow.failures import encode_error
from podium.ports.execution import AttemptContext
from podium.ports.journal import Change, CloseReviews, CreateRun, OpenReview, TakeDelivery

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from podium.domain.answers import CallAttempt
    from podium.domain.inbox import Delivery
    from podium.domain.runs import Run
    from podium.engines.embedded.host import Host
    from podium.engines.embedded.run_journal import RunJournal
    from podium.engines.embedded.spending import SpendingMeter

_NULL = b"null"
_SHOWN = 3


class OpenOperations:
    """Carries out what one run's code has asked for, and records each outcome.

    `on_disk` is called with each outcome's entry once it is stored; `rouse` before anything is recorded;
    `block` with the reason when the run cannot go on.
    """

    def __init__(
        self,
        host: Host,
        run: Run,
        journal: RunJournal,
        meter: SpendingMeter,
        on_disk: Callable[[Entry], None],
        rouse: Callable[[], None],
        block: Callable[[ErrorRecord], None],
    ) -> None:
        self._host = host
        self._run = run
        self._journal = journal
        self._meter = meter
        self._on_disk = on_disk
        self._rouse = rouse
        self._block = block
        self._closed = False
        self._open: dict[str, Operation] = {}
        # How each open operation goes on: not taken up yet, worked on, at a time, when somebody answers.
        self._fresh: dict[str, Operation] = {}
        self._working: dict[str, asyncio.Task[None]] = {}
        self._alarms: dict[str, tuple[float, asyncio.TimerHandle]] = {}
        self._waiting_on: dict[str, str] = {}
        # What the journal says of them: failed attempts, when the next may begin, at-most-once steps begun.
        self._attempts: dict[str, int] = {}
        self._resume_at: dict[str, float] = {}
        self._begun: set[str] = set()

    @property
    def at_work(self) -> bool:
        """Whether an attempt is under way."""
        return bool(self._working)

    @property
    def wake_at(self) -> float | None:
        """When the earliest timer or put-off attempt is due, in seconds since the epoch."""
        return min((due for due, _ in self._alarms.values()), default=None)

    @property
    def waiting_on(self) -> str:
        """What is waited for, in words: the first few of it."""
        all_of_it = [*self._waiting_on.values(), *(["a timer"] if self._alarms else [])]
        more = [f"{len(all_of_it) - _SHOWN} more"] if len(all_of_it) > _SHOWN else []
        return ", ".join([*all_of_it[:_SHOWN], *more])

    def note(self, asked: Sequence[Operation], withdrawn: Sequence[str]) -> list[Change]:
        """Note what the code newly asks for, which `take_up` begins, and the keys that it no longer waits for.

        Returns what the latter changes elsewhere; making those changes twice does no harm.
        """
        never_begun = frozenset(withdrawn)
        for operation in asked:
            if operation.key not in never_begun:
                self._open[operation.key] = self._fresh[operation.key] = operation
        return [change for key in withdrawn for change in self._give_up(key)]

    def give_up_all(self) -> list[Change]:
        """Give up whatever is still open, because the code has ended; returns what that changes elsewhere."""
        return [change for key in list(self._open) for change in self._give_up(key)]

    def recall(self, entry: Entry) -> None:
        """Take note of an entry of the journal during replay."""
        key = entry.key
        match entry.type:
            case EntryType.STARTED:
                self._begun.add(key)
            case EntryType.ATTEMPT:
                note = decode_note(entry.payload)
                self._meter.add(note)
                if note.error is not None:
                    self._attempts[key] = entry.attempt
                    self._resume_at[key] = note.resume_at or 0.0
            case EntryType.DONE | EntryType.ERROR:
                for table in (self._open, self._fresh, self._attempts, self._resume_at):
                    table.pop(key, None)
                self._begun.discard(key)
            case EntryType.SIGNAL:
                pass
            case _:
                assert_never(entry.type)

    def take_up(self) -> None:
        """Begin every operation that is not begun."""
        fresh, self._fresh = self._fresh, {}
        for operation in fresh.values():
            if not self._closed:
                self._begin(operation)

    def accept(self, delivery: Delivery) -> None:
        """Record the outcome that a delivery brings, or drop the delivery when nobody waits for it."""
        taken = TakeDelivery(delivery.id)
        operation = self._open.get(delivery.key)
        if operation is None or self._waiting_on.pop(delivery.key, None) is None:
            self._host.journal.commit((taken,))
            return
        entry_type = EntryType.ERROR if delivery.failed else EntryType.DONE
        self._settle(operation, entry_type, delivery.payload, 1, delivery.since or delivery.at, taken)

    def close(self) -> None:
        """Stop everything: attempts under way are being cancelled when this returns."""
        self._closed = True
        for _, handle in self._alarms.values():
            handle.cancel()
        for task in self._working.values():
            task.cancel()
        self._working.clear()

    def _give_up(self, key: str) -> tuple[Change, ...]:
        operation = self._open.pop(key, None)
        if operation is None:
            return ()
        self._fresh.pop(key, None)
        self._waiting_on.pop(key, None)
        if key in self._working:
            # From here on it is no work of this run: its outcome is dropped, and the run may leave memory before it.
            self._working.pop(key).cancel()
        if key in self._alarms:
            self._alarms.pop(key)[1].cancel()
        match operation.intent.request:
            case AskPerson():
                return (CloseReviews(self._run.id, key),)
            case StartChild(workflow) as request if workflow in self._host.workflows:
                return cancelled_child(self._run, key, request, self._host.clock())
            case _:
                return ()

    def _begin(self, operation: Operation) -> None:
        key, request = operation.key, operation.intent.request
        match request:
            case Execute() if key in self._begun:
                message = (
                    f"at-most-once step {operation.intent.name!r} ({key}) had begun when the process died, and nobody "
                    "knows whether it took effect. Find out, then settle it by hand."
                )
                self._block(ErrorRecord("OutcomeUnknown", message))
            case Execute() if self._resume_at.get(key, 0.0) > self._host.clock():
                self._at(self._resume_at[key], operation, self._attempt_again)
            case Execute():
                self._start(operation, request)
            case WaitUntil(due, since):
                self._at(due, operation, partial(self._timer_due, since))
            case AskPerson():
                review = review_for(self._run, key, request, self._host.clock())
                self._waiting_on[key] = f"review {review.id} in queue {review.draft.queue}"
                self._host.journal.commit((OpenReview(review),))
            case StartChild(workflow) if workflow not in self._host.workflows:
                message = f"workflow {workflow!r} is not known here: add it to Podium(..., workflows=[...])"
                unknown = encode_error(ErrorRecord(InvalidDefinition.__name__, message))
                self._settle(operation, EntryType.ERROR, unknown, 1, self._host.clock())
            case StartChild():
                child = child_of(self._run, key, request, self._host.clock())
                self._waiting_on[key] = f"child run {child.id}"
                self._host.journal.commit((CreateRun(child),), partial(self._host.child, child))
            case _:
                assert_never(request)

    def _start(self, operation: Operation, request: Execute) -> None:
        number = self._attempts.get(operation.key, 0) + 1
        if request.policy.at_most_once:
            # That it begins must be on disk before it begins, or a crash would leave no trace of it.
            began = self._host.clock()
            self._journal.record(operation, EntryType.STARTED, _NULL, number, began, self._start_noted)
        else:
            self._work(operation, request, number)

    def _start_noted(self, entry: Entry) -> None:
        operation = self._open.get(entry.key)
        if not self._closed and operation is not None and isinstance(operation.intent.request, Execute):
            self._work(operation, operation.intent.request, entry.attempt)
        # Given up meanwhile, it leaves the run with nothing to do.
        self._on_disk(entry)

    def _work(self, operation: Operation, request: Execute, number: int) -> None:
        self._working[operation.key] = self._host.work(
            self._attempt(operation, request, number), f"{operation.key} of run {self._run.id!a}"
        )

    async def _attempt(self, operation: Operation, request: Execute, number: int) -> None:
        key, began = operation.key, self._host.clock()

        def note_call(call: CallAttempt) -> None:
            if not self._closed:
                self._note(operation, AttemptNote(call=call), number, self._host.clock() - call.latency)

        context = AttemptContext(self._run.id, key, number, digest(self._run.id, key), note_call)
        executor = self._host.executors[operation.intent.kind]
        try:
            outcome = await attempt(executor, operation, request, context, self._host)
        finally:
            self._working.pop(key, None)
        if not self._closed and key in self._open:
            self._take(outcome, operation, number, began)

    def _take(self, outcome: Outcome, operation: Operation, number: int, began: float) -> None:
        match outcome:
            case Done(payload):
                self._settle(operation, EntryType.DONE, payload, number, began)
            case Failed(error):
                self._settle(operation, EntryType.ERROR, encode_error(error), number, began)
            case Retry(error, after):
                self._put_off(operation, error, number, began, self._host.clock() + after)
            case Suspended(error, until):
                self._put_off(operation, error, number, began, until)
            case _:
                assert_never(outcome)

    def _put_off(
        self, operation: Operation, error: ErrorRecord, number: int, began: float, until: float
    ) -> None:
        self._attempts[operation.key] = number
        self._at(until, operation, self._attempt_again)
        # Delivers nothing, but lets the run leave memory if this wait is long.
        self._note(operation, AttemptNote(error=error, resume_at=until), number, began)

    def _attempt_again(self, operation: Operation) -> None:
        self._alarms.pop(operation.key, None)
        self._resume_at.pop(operation.key, None)
        self._rouse()
        self._begin(operation)

    def _timer_due(self, since: float, operation: Operation) -> None:
        del self._alarms[operation.key]
        self._settle(operation, EntryType.DONE, _NULL, 1, since)

    def _at(self, due: float, operation: Operation, go_on: Callable[[Operation], None]) -> None:
        delay = max(due - self._host.clock(), 0.0)
        handle = asyncio.get_running_loop().call_later(delay, go_on, operation)
        self._alarms[operation.key] = (due, handle)

    def _settle(
        self,
        operation: Operation,
        entry_type: EntryType,
        payload: bytes,
        number: int,
        began: float,
        *also: Change,
    ) -> None:
        self._rouse()
        self._open.pop(operation.key, None)
        self._journal.record(operation, entry_type, payload, number, began, self._on_disk, *also)

    def _note(self, operation: Operation, note: AttemptNote, number: int, began: float) -> None:
        self._meter.add(note)
        self._journal.record(operation, EntryType.ATTEMPT, encode_note(note), number, began, self._on_disk)
