"""A run in memory: replays its journal, then moves its code from one recorded outcome to the next."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, assert_never

from podium.domain.attempts import decode_note
from podium.domain.errors import ErrorRecord, PodiumError, RunCancelled
from podium.domain.happenings import RunMoved
from podium.domain.history import RetryNote, encode_retry, encode_spending, history_of
from podium.domain.inbox import Delivery, DeliveryKind
from podium.domain.journal import DELIVERED, Entry, EntryType, Signal
from podium.domain.runs import Spending
from podium.domain.states import RunState
from podium.engines.embedded.open_operations import OpenOperations
from podium.engines.embedded.run_journal import RunJournal
from podium.engines.embedded.spawning import end_of_run, put_back
from podium.engines.embedded.spending import SpendingMeter
from podium.flow.failures import error_record
from podium.flow.replanning import execution_of, plan_retry
from podium.flow.results import Completed, Continued, Errored, Result, Stopped
from podium.ports.journal import Append, Change, CloseReviews, MoveRun, Renew, TakeDelivery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from podium.engines.embedded.host import Host
    from podium.flow.workflows import Workflow
    from podium.ports.journal import LoadedRun

_log = logging.getLogger(__name__)
PAUSED = "somebody to resume it"
"""What a paused run waits for."""


class ActiveRun:
    """One run that is in memory.

    Every outcome takes the same way: it is recorded, and only when the record is on disk is it delivered to
    the code, which may then ask for more. Nothing else moves the code. `must_end` says that the run is to be
    cancelled even if its code cannot be run any more.
    """

    def __init__(
        self, host: Host, workflow: Workflow[Any, Any], loaded: LoadedRun, *, must_end: bool = False
    ) -> None:
        self.run = loaded.run
        self._host = host
        self._workflow = workflow
        self._loaded = loaded
        self._is_new = loaded.is_new
        # The code of a generation that begins now has not run before either.
        self._is_fresh = loaded.is_new or self.run.id in host.renewed
        self._pausing = list(host.renewed.pop(self.run.id, ()))
        self._must_end = must_end
        self._journal = RunJournal(host, self.run.id, len(loaded.entries))
        # The run's time begins when its code first does, however long it was pending.
        self._began = host.clock() if self.run.started_at is None else self.run.started_at
        self._state: RunState | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._signalled = False
        self._signal_unheard = False
        self._unwritten_patches = 0
        self._late: list[Entry] = []
        self._closed = False

    @property
    def takes_deliveries(self) -> bool:
        """Whether the run has begun and not ended or left. Otherwise deliveries wait for it to be loaded again."""
        return self._state is not None and not self._closed and self._execution.result is None

    def begin(self, taken: Sequence[Change] = ()) -> None:
        """Replay the journal. To be called from a plain callback of the host's loop.

        `taken` removes the requests that this answers, in one transaction with what records that they were met.
        What is open is taken up in `go_on`, so that deliveries that wait for the run can be handed over before.
        """
        try:
            self._read_history(self._loaded.entries)
        except Exception as lost:  # noqa: BLE001 - a journal that cannot be read concerns this run alone
            self._read_history(())
            self._set_out(taken)
            self._block(error_record(lost))
            return
        is_retried = self.run.state is RunState.FAILED
        self._set_out(() if is_retried else taken)
        with self._blocked_by_errors():
            if is_retried:
                self._retry(taken)
            self._execution.start(partial(self._workflow.call, self.run.input))
            self._take_stock()
            for entry in self._history.entries:
                self._take(entry)
            # What it replayed is not needed again, and may be much.
            del self._history, self._loaded
            self._set_deadline()

    def go_on(self) -> None:
        """Go on from where `begin` and the deliveries have brought the run."""
        if not self._closed:
            with self._blocked_by_errors():
                self._advance()

    def accept(self, delivery: Delivery) -> None:
        """Take a delivery out of the inbox and into the journal, in one transaction."""
        taken = TakeDelivery(delivery.id)
        match delivery.kind:
            case DeliveryKind.CANCEL if not self._signalled:
                self._stop_pausing()
                self._signal(Signal.CANCEL, taken)
            case DeliveryKind.PAUSE if not self._signalled:
                self._pausing.append(delivery.id)
                self._operations.held = True
                self.go_on()
            case DeliveryKind.RESUME:
                self._host.journal.commit((taken,))
                self._stop_pausing()
                self.go_on()
            case DeliveryKind.CANCEL | DeliveryKind.PAUSE | DeliveryKind.RETRY:
                # It is ending already, and its clean-up is not to be interrupted; or it goes on anyway.
                self._host.journal.commit((taken,))
            case DeliveryKind.DECISION | DeliveryKind.CHILD | DeliveryKind.EVENT | DeliveryKind.SETTLE:
                self._operations.accept(delivery)
            case _:
                assert_never(delivery.kind)

    def save_spending(self) -> None:
        """Store what the run has used, because this process will not go on with it."""
        if self._state is RunState.RUNNING and not self._closed:
            self._move(RunState.RUNNING)

    def close(self) -> None:
        """Leave memory without a change of state; attempts under way are being cancelled when this returns."""
        self._closed = True
        if self._state is None:
            return
        self._meter.rest()
        self._set_deadline()
        self._execution.close()
        self._operations.close()

    def _set_out(self, taken: Sequence[Change]) -> None:
        self._meter.go_on()
        if self._is_new and self.run.state is RunState.RUNNING:
            # Stored like that.
            self._state = RunState.RUNNING
            self._host.tell(RunMoved(self.run.id, self.run.workflow, self._state, self._began, Spending()))
        else:
            self._move(RunState.RUNNING, *taken, at=self._began if self._is_new else None)

    # its past

    def _read_history(self, entries: Sequence[Entry]) -> None:
        self._history = history_of(entries)
        self._meter = SpendingMeter(self.run.spending.active_seconds, self._history.carried)
        for entry in self._history.struck:
            if entry.type is EntryType.ATTEMPT:
                # It counts no more, but it was paid for.
                self._meter.add(decode_note(entry.payload))
        self._retried_at = self._history.active_seconds
        self._execution = execution_of(self.run, self._history, self._began, is_live=self._is_fresh)
        self._operations = OpenOperations(
            self._host,
            self._loaded,
            self._history,
            self._journal,
            self._meter,
            self._on_disk,
            self._rouse,
            self._block,
        )
        self._operations.held = bool(self._pausing)

    def _retry(self, taken: Sequence[Change]) -> None:
        plan = plan_retry(self._workflow, self.run, self._history)
        note = RetryNote(plan.struck, plan.reusable, self._meter.active_seconds, plan.unanswered)
        payload = encode_retry(note)
        entry = self._journal.mark(EntryType.RETRY, "", "retry", payload, self._on_disk, *taken)
        self._read_history([*self._loaded.entries, entry])
        self._meter.go_on()

    # moving the code

    def _on_disk(self, entry: Entry) -> None:
        if self._closed:
            return
        self._execution.patches.is_live = True
        with self._blocked_by_errors():
            if entry.type in DELIVERED:
                self._take(entry)
            self._advance()

    def _take(self, entry: Entry) -> None:
        self._operations.recall(entry)
        if entry.type is EntryType.SIGNAL:
            self._signalled, self._signal_unheard = True, False
        if entry.type in DELIVERED and self._execution.result is None:
            self._execution.deliver(entry)
            self._take_stock()
            return
        if self._execution.result is not None:
            self._late.append(entry)
        if entry.type is not EntryType.SIGNAL:
            # Nothing to deliver, or nobody: that the code had asked for it must be so all the same.
            self._execution.expects(entry)

    def _take_stock(self) -> None:
        asked, withdrawn = self._execution.take_requests(), self._execution.take_withdrawn()
        changes = self._operations.note(asked, withdrawn)
        if changes:
            self._host.journal.commit(changes, self._host.mailed)
        for patch in self._execution.patches.take_new():
            # On disk before anything that the new code asks for is begun.
            self._unwritten_patches += 1
            self._journal.mark(EntryType.PATCH, patch.key, patch.name, b"null", self._patch_on_disk)

    def _patch_on_disk(self, entry: Entry) -> None:
        self._unwritten_patches -= 1
        self._on_disk(entry)

    def _advance(self) -> None:
        if self._execution.result is not None:
            self._finish(self._execution.result)
            return
        if self._unwritten_patches or self._signal_unheard:
            return
        self._operations.take_up()
        if self._closed or self._operations.at_work or self._journal.unwritten:
            return
        if self._pausing:
            self._pause()
        else:
            self._rest()

    def _signal(self, signal: Signal, *also: Change) -> None:
        self._signalled = self._signal_unheard = True
        self._rouse()
        self._journal.signal(signal, self._on_disk, *also)

    @contextlib.contextmanager
    def _blocked_by_errors(self) -> Iterator[None]:
        try:
            yield
        except PodiumError as error:
            self._block(error_record(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, an engineer must look at it
            _log.exception("run %s cannot go on", ascii(self.run.id))
            self._block(error_record(error))

    # its state

    def _rouse(self) -> None:
        if not self._meter.is_running:
            self._meter.go_on()
            self._set_deadline()
        if self._state is RunState.WAITING:
            self._move(RunState.RUNNING)

    def _rest(self) -> None:
        self._meter.rest()
        self._set_deadline()
        wake_at = self._operations.wake_at
        if wake_at is not None and wake_at - self._host.clock() <= self._host.settings.linger:
            return
        leave = partial(self._leave_if_parked, wake_at)
        self._move(RunState.WAITING, wake_at=wake_at, waiting_on=self._operations.waiting_on, then=leave)

    def _set_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        timeout = self._workflow.timeout
        if timeout is not None and self._meter.is_running and not self._signalled:
            left = max(timeout - self._meter.active_seconds + self._retried_at, 0.0)
            self._deadline = asyncio.get_running_loop().call_later(left, self._signal, Signal.TIMEOUT)

    def _leave_if_parked(self, wake_at: float | None) -> None:
        if self._state is RunState.WAITING and not self._closed:
            self.close()
            self._host.left(self.run.id, wake_at)

    def _left(self) -> None:
        self._host.left(self.run.id, None)

    def _pause(self) -> None:
        self.close()
        self._move(RunState.PAUSED, *self._unpaused, waiting_on=PAUSED, then=self._left)

    @property
    def _unpaused(self) -> list[Change]:
        return [TakeDelivery(delivery) for delivery in self._pausing]

    def _stop_pausing(self) -> None:
        self._operations.held = False
        if self._pausing:
            self._host.journal.commit(self._unpaused)
            self._pausing.clear()

    def _block(self, error: ErrorRecord) -> None:
        if self._must_end:
            said = (
                f"the run was cancelled, without the clean-up of its code, which cannot run: {error.message}"
            )
            self._end(RunState.CANCELLED, None, ErrorRecord(RunCancelled.__name__, said))
            return
        self.close()
        self._move(RunState.BLOCKED, *self._unpaused, error=error, waiting_on=error.message, then=self._left)

    def _finish(self, result: Result) -> None:
        if isinstance(result, Continued):
            if self._journal.unwritten:
                # It may be something that the code would have to hear of when it goes on as new.
                return
            try:
                encoded = self._workflow.encode_input(result.arguments, result.keywords)
            except PodiumError as refusal:
                self._end(RunState.FAILED, None, error_record(refusal))
            else:
                self._renew(encoded)
            return
        self._end(*self._outcome(result))

    def _renew(self, encoded: bytes) -> None:
        given_up = self._operations.give_up_all()
        self.close()
        at, spending = self._host.clock(), self._meter.reading()
        # Going on as new is when a run changes over to new code.
        version = (self._host.workflows.current(self._workflow.name) or self._workflow).version
        renew = Renew(self.run.id, self.run.generation, encoded, version, at, spending)
        used = encode_spending(spending)
        began = Entry(self.run.id, 1, EntryType.CONTINUED, None, "", "continued", "", 1, used, at, at)
        unheard = put_back(self.run, (*self._execution.unclaimed, *self._late))
        changes = (*given_up, CloseReviews(self.run.id), renew, Append(began), *unheard)
        self._host.journal.commit(changes, self._renewed)

    def _renewed(self) -> None:
        self._host.renewed[self.run.id] = self._pausing
        self._left()
        self._host.mailed()
        self._host.child(self.run)

    def _end(self, state: RunState, output: bytes | None, error: ErrorRecord | None) -> None:
        given_up = self._operations.give_up_all()
        self.close()
        asked_people = self._operations.asked_people or self._must_end
        end = end_of_run(self.run, output, error, self._host.clock(), asked_people=asked_people)
        others_to_tell = given_up or self.run.parent is not None
        then = self._ended if others_to_tell else self._left
        self._move(state, *self._unpaused, *given_up, *end, output=output, error=error, then=then)

    def _ended(self) -> None:
        self._host.mailed()
        self._left()

    def _outcome(
        self, result: Completed | Errored | Stopped
    ) -> tuple[RunState, bytes | None, ErrorRecord | None]:
        match result:
            case Completed(value):
                try:
                    return RunState.COMPLETED, self._workflow.codec.encode(value), None
                except PodiumError as refusal:
                    return RunState.FAILED, None, error_record(refusal)
            case Errored(error, _):
                return RunState.FAILED, None, error
            case Stopped():
                return RunState.CANCELLED, None, ErrorRecord(RunCancelled.__name__, "the run was cancelled")
            case _:
                assert_never(result)

    def _move(
        self,
        state: RunState,
        *also: Change,
        at: float | None = None,
        output: bytes | None = None,
        error: ErrorRecord | None = None,
        wake_at: float | None = None,
        waiting_on: str | None = None,
        then: Callable[[], None] | None = None,
    ) -> None:
        self._state = state
        run, spending = self.run, self._meter.reading()
        moved_at = self._host.clock() if at is None else at

        def done() -> None:
            self._host.tell(
                RunMoved(run.id, run.workflow, state, moved_at, spending, waiting_on, error, wake_at, output)
            )
            if then is not None:
                then()

        move = MoveRun(run.id, state, moved_at, spending, output, error, wake_at, waiting_on)
        self._host.journal.commit((move, *also), done)
