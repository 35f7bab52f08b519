"""The operations of one run that have no outcome yet: attempted, timed, or waiting for somebody."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, assert_never

from podium.domain.attempts import AttemptNote, decode_note, encode_note
from podium.domain.errors import ErrorRecord, InvalidDefinition, InvalidInput
from podium.domain.happenings import ChunkPublished
from podium.domain.ids import digest, operation_key, repeated_key
from podium.domain.inbox import Delivery, DeliveryKind
from podium.domain.journal import Entry, EntryType
from podium.domain.operations import (
    AskPerson,
    Execute,
    Operation,
    OperationKind,
    StartChild,
    WaitForEvent,
    WaitUntil,
)
from podium.domain.outcomes import Done, Failed, Outcome, Retry, Suspended
from podium.engines.embedded.alarm import call_at
from podium.engines.embedded.attempts import attempt, context_of
from podium.engines.embedded.mailbox import Mailbox
from podium.engines.embedded.publishing import thread_safe, told
from podium.engines.embedded.settling import settled
from podium.engines.embedded.spawning import cancelled_child, is_outdated, review_for, start_of_child
from podium.flow.failures import encode_error
from podium.ports.journal import Change, CloseReviews, OpenReview, SupersedeChunks, TakeDelivery

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from podium.domain.answers import CallAttempt
    from podium.domain.history import History
    from podium.engines.embedded.host import Host
    from podium.engines.embedded.run_journal import RunJournal
    from podium.engines.embedded.spending import SpendingMeter
    from podium.ports.clock import Wakeup
    from podium.ports.journal import LoadedRun

_NULL = b"null"
_SHOWN = 3


class OpenOperations:
    """Carries out what one run's code has asked for, and records each outcome.

    While it is `held`, nothing that it is asked for is begun; `asked_people` says whether it has ever been
    asked for a review. `on_disk` is called with each outcome's entry once it is stored; `rouse` before anything is recorded;
    `block` with the reason when the run cannot go on.
    """

    def __init__(
        self,
        host: Host,
        loaded: LoadedRun,
        history: History,
        journal: RunJournal,
        meter: SpendingMeter,
        on_disk: Callable[[Entry], None],
        rouse: Callable[[], None],
        block: Callable[[ErrorRecord], None],
    ) -> None:
        self._host = host
        self._run = loaded.run
        self._journal = journal
        self._meter = meter
        self._on_disk = on_disk
        self._rouse = rouse
        self._block = block
        self._history = history
        self._reusable = dict(history.reusable)
        self._mailbox = Mailbox(loaded.events)
        self._is_resumed = not loaded.is_new
        self._closed = False
        self.held = False
        self.asked_people = False
        self._open: dict[str, Operation] = {}
        # How each open operation goes on: not taken up yet, worked on, at a time, when somebody answers.
        self._fresh: dict[str, Operation] = {}
        self._working: dict[str, asyncio.Task[None]] = {}
        self._alarms: dict[str, tuple[float, Wakeup]] = {}
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
        timed = (self._open[key].intent.request for key in self._alarms if key in self._open)
        timers = dict.fromkeys(getattr(request, "what", "") or "a timer" for request in timed)
        all_of_it = [*self._waiting_on.values(), *timers]
        more = [f"{len(all_of_it) - _SHOWN} more"] if len(all_of_it) > _SHOWN else []
        return ", ".join([*all_of_it[:_SHOWN], *more])

    def note(self, asked: Sequence[Operation], withdrawn: Sequence[str]) -> list[Change]:
        """Note what the code newly asks for, which `take_up` begins, and the keys that it no longer waits for.

        Returns what the latter changes elsewhere; making those changes twice does no harm.
        """
        never_begun = frozenset(withdrawn)
        for operation in asked:
            self.asked_people |= operation.intent.kind is OperationKind.REVIEW
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
                    self._begun.discard(key)
            case EntryType.DONE | EntryType.ERROR:
                for table in (self._open, self._fresh, self._attempts, self._resume_at):
                    table.pop(key, None)
                self._begun.discard(key)
            case EntryType.SIGNAL | EntryType.PATCH | EntryType.RETRY | EntryType.CONTINUED:
                pass
            case _:
                assert_never(entry.type)

    def take_up(self) -> None:
        """Begin every operation that is not begun, unless it is held."""
        if self.held:
            return
        fresh, self._fresh = self._fresh, {}
        for operation in fresh.values():
            if not self._closed:
                self._begin(operation)
        self._is_resumed = False

    def accept(self, delivery: Delivery) -> None:
        """Record the outcome that a delivery brings, or drop the delivery when nothing waits for it.

        An event that nothing waits for stays in the inbox until something does.
        """
        taken = TakeDelivery(delivery.id)
        if delivery.kind is DeliveryKind.EVENT:
            key = self._mailbox.put(delivery)
            if key is not None:
                self._take_event(self._open[key], delivery)
            return
        operation = self._open.get(operation_key(delivery.key))
        if operation is None or is_outdated(self._history, operation.key, delivery):
            self._host.journal.commit((taken,))
            return
        match delivery.kind, operation.intent.request:
            case (DeliveryKind.DECISION, AskPerson()) | (DeliveryKind.CHILD, StartChild()):
                entry_type = EntryType.ERROR if delivery.failed else EntryType.DONE
                began = delivery.since or delivery.at
                self._settle(operation, entry_type, delivery.payload, 1, began, taken)
            case DeliveryKind.SETTLE, Execute() if operation.key in self._begun:
                self._settle_unknown(operation, delivery)
            case _:
                self._host.journal.commit((taken,))

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
                return (CloseReviews(self._run.id, repeated_key(key, self._times(key))),)
            case WaitForEvent(name):
                self._mailbox.forget(name, key)
            case StartChild(outlives=False) as request:
                workflow = self._host.workflows.current(request.workflow)
                if workflow is not None:
                    at = self._host.clock()
                    return cancelled_child(self._run, key, workflow, request, at, self._history)
            case StartChild() | Execute() | WaitUntil():
                pass
            case _:
                assert_never(operation.intent.request)
        return ()

    def _begin(self, operation: Operation) -> None:
        key, request = operation.key, operation.intent.request
        known = self._reusable.pop(key, None)
        if known is not None and known.fingerprint == operation.intent.fingerprint:
            self._settle(operation, EntryType.DONE, known.payload, known.attempt, known.started_at)
            return
        match request:
            case Execute() if key in self._begun:
                message = (
                    f"at-most-once step {operation.intent.name!r} ({key}) had begun when the process died, and nobody "
                    f"knows whether it took effect. Find out, then say so: podium runs settle {self._run.id} --done "
                    "RESULT, --failed REASON, or --again."
                )
                self._block(ErrorRecord("OutcomeUnknown", message))
            case Execute() if self._resume_at.get(key, 0.0) > self._host.clock():
                self._at(self._resume_at[key], operation, self._attempt_again)
            case Execute():
                if self._is_resumed:
                    # What an attempt that died with its process had published no longer counts.
                    self._host.journal.commit((SupersedeChunks(self._run.id, key, self._host.clock()),))
                self._start(operation, request)
            case WaitUntil(due, since):
                self._at(due, operation, partial(self._timer_due, since))
            case AskPerson():
                review = review_for(self._run, key, request, self._host.clock(), self._times(key))
                self._waiting_on[key] = f"review {review.id} in queue {review.draft.queue}"
                self._host.journal.commit((OpenReview(review),))
            case WaitForEvent(name):
                event = self._mailbox.take(name, key)
                if event is not None:
                    self._take_event(operation, event)
                else:
                    self._waiting_on[key] = f"event {name}"
            case StartChild():
                self._start_child(operation, request)
            case _:
                assert_never(request)

    def _times(self, key: str) -> int:
        """Return how often there has been an effect at `key` that no longer counts: the next one is another."""
        done = [entry for entry in self._history.void.get(key, ()) if entry.type is EntryType.DONE]
        return len(done) + self._history.unanswered.get(key, 0)

    def _start_child(self, operation: Operation, request: StartChild) -> None:
        workflow, at = self._host.workflows.current(request.workflow), self._host.clock()
        if workflow is None:
            said = f"workflow {request.workflow!r} is not known here: add it to Podium(..., workflows=[...])"
            unknown = encode_error(ErrorRecord(InvalidDefinition.__name__, said))
            self._settle(operation, EntryType.ERROR, unknown, 1, at)
            return
        child, changes = start_of_child(self._run, operation.key, workflow, request, at, self._history)
        self._waiting_on[operation.key] = f"child run {child.id}"
        self._host.journal.commit(changes, partial(self._host.child, child))

    def _take_event(self, operation: Operation, event: Delivery) -> None:
        self._settle(operation, EntryType.DONE, event.payload, 1, event.at, TakeDelivery(event.id))

    def _settle_unknown(self, operation: Operation, delivery: Delivery) -> None:
        taken = TakeDelivery(delivery.id)
        try:
            outcome = settled(operation, delivery, self._host.clock())
        except InvalidInput as error:
            self._host.journal.commit((taken,))
            self._block(ErrorRecord("OutcomeUnknown", str(error)))
            return
        self._begun.discard(operation.key)
        self._fresh.pop(operation.key, None)
        # What a person found out is the outcome of no attempt.
        self._take(outcome, operation, int(isinstance(outcome, Suspended)), delivery.at, taken)

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

        once = digest(self._run.id, repeated_key(key, self._times(key)))
        tell = thread_safe(partial(self._tell, key, number), asyncio.get_running_loop())
        context = context_of(self._host, self._run, key, number, once, note_call, tell)
        try:
            executor = self._host.executors[operation.intent.kind]
            outcome = await attempt(executor, operation, request, context, self._host)
        finally:
            self._working.pop(key, None)
        if not self._closed and key in self._open:
            self._take(outcome, operation, number, began)

    def _tell(self, key: str, number: int, payload: bytes | None) -> None:
        if not self._closed and key in self._working:
            chunk = told(self._run.id, key, number, payload, self._host.clock())
            self._host.journal.commit((chunk,), partial(self._host.tell, ChunkPublished(self._run.id)))

    def _take(self, outcome: Outcome, operation: Operation, number: int, began: float, *also: Change) -> None:
        match outcome:
            case Done(payload):
                self._settle(operation, EntryType.DONE, payload, number, began, *also)
            case Failed(error):
                self._settle(operation, EntryType.ERROR, encode_error(error), number, began, *also)
            case Retry(error, after):
                self._put_off(operation, error, number, began, self._host.clock() + after, *also)
            case Suspended(error, until):
                self._put_off(operation, error, number, began, until, *also)
            case _:
                assert_never(outcome)

    def _put_off(
        self,
        operation: Operation,
        error: ErrorRecord,
        number: int,
        began: float,
        until: float,
        *also: Change,
    ) -> None:
        self._attempts[operation.key] = number
        self._at(until, operation, self._attempt_again)
        # Delivers nothing, but lets the run leave memory if this wait is long.
        void = SupersedeChunks(self._run.id, operation.key, self._host.clock())
        self._note(operation, AttemptNote(error=error, resume_at=until), number, began, void, *also)

    def _attempt_again(self, operation: Operation) -> None:
        self._alarms.pop(operation.key, None)
        self._resume_at.pop(operation.key, None)
        if self.held:
            self._fresh[operation.key] = operation
            return
        self._rouse()
        self._begin(operation)

    def _timer_due(self, since: float, operation: Operation) -> None:
        del self._alarms[operation.key]
        self._settle(operation, EntryType.DONE, _NULL, 1, since)

    def _at(self, due: float, operation: Operation, go_on: Callable[[Operation], None]) -> None:
        handle = call_at(self._host.clock, due, partial(go_on, operation))
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
        for table in (self._open, self._fresh, self._waiting_on):
            table.pop(operation.key, None)
        self._journal.record(operation, entry_type, payload, number, began, self._on_disk, *also)

    def _note(
        self, operation: Operation, note: AttemptNote, number: int, began: float, *also: Change
    ) -> None:
        self._meter.add(note)
        payload = encode_note(note)
        self._journal.record(operation, EntryType.ATTEMPT, payload, number, began, self._on_disk, *also)
