"""A run in memory: replays its journal, then moves its code from one recorded outcome to the next."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, assert_never

from podium.domain.errors import ErrorRecord, InvalidDefinition, InvalidInput, NotSerialisable, RunCancelled
from podium.domain.happenings import RunMoved
from podium.domain.inbox import Delivery, DeliveryKind
from podium.domain.journal import DELIVERED, Entry, EntryType, Signal
from podium.domain.states import RunState
from podium.engines.embedded.open_operations import OpenOperations
from podium.engines.embedded.run_journal import RunJournal
from podium.engines.embedded.spending import SpendingMeter
from podium.flow.execution import CodeChanged, Completed, Errored, Execution, Result, Stopped, Undecodable
from podium.flow.failures import encode_error, error_record
from podium.ports.journal import Change, CloseReviews, Deliver, MoveRun, TakeDelivery

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from podium.engines.embedded.host import Host
    from podium.flow.workflows import Workflow
    from podium.ports.journal import LoadedRun

_CANNOT_GO_ON = (CodeChanged, Undecodable, InvalidInput, InvalidDefinition)


class ActiveRun:
    """One run that is in memory.

    Every outcome takes the same way: it is recorded, and only when the record is on disk is it delivered to
    the code, which may then ask for more. Nothing else moves the code.
    """

    def __init__(self, host: Host, workflow: Workflow[Any, Any], loaded: LoadedRun) -> None:
        self.run = loaded.run
        self._host = host
        self._workflow = workflow
        self._entries: Sequence[Entry] = loaded.entries
        self._meter = SpendingMeter(self.run.spending.active_seconds)
        self._journal = RunJournal(host, self.run.id, loaded.entries[-1].seq if loaded.entries else 0)
        self._execution = Execution(self.run.id, self.run.seed, self.run.created_at)
        self._operations = OpenOperations(
            host, self.run, self._journal, self._meter, self._on_disk, self._rouse, self._block
        )
        self._state: RunState | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._closed = False

    def begin(self) -> None:
        """Replay the journal and take up what is open. To be called from a plain callback of the host's loop."""
        if self._closed:
            return
        self._move(RunState.RUNNING)
        entries, self._entries = self._entries, ()
        try:
            self._execution.start(partial(self._workflow.call, self.run.input))
            self._take_stock()
            for entry in entries:
                self._take(entry)
        except _CANNOT_GO_ON as error:
            self._block(error_record(error))
            return
        if self._workflow.timeout is not None:
            left = max(self._workflow.timeout - self._meter.active_seconds, 0.0)
            self._deadline = asyncio.get_running_loop().call_later(left, self._signal, Signal.TIMEOUT)
        self._advance()

    def accept(self, delivery: Delivery) -> None:
        """Take a delivery out of the inbox and into the journal, in one transaction."""
        if self._state is RunState.BLOCKED:
            return
        if self._closed:
            self._host.journal.commit((TakeDelivery(delivery.id),))
        elif delivery.kind is DeliveryKind.CANCEL:
            self._signal(Signal.CANCEL, TakeDelivery(delivery.id))
        else:
            self._operations.accept(delivery)

    def close(self) -> list[asyncio.Task[None]]:
        """Leave memory without a change of state; returns the attempts that are being cancelled."""
        self._closed = True
        if self._deadline is not None:
            self._deadline.cancel()
        self._execution.close()
        return self._operations.close()

    # moving the code

    def _on_disk(self, entry: Entry) -> None:
        if self._closed:
            return
        try:
            if entry.type in DELIVERED:
                self._take(entry)
        except _CANNOT_GO_ON as error:
            self._block(error_record(error))
            return
        self._advance()

    def _take(self, entry: Entry) -> None:
        self._operations.recall(entry)
        if entry.type not in DELIVERED:
            return
        if self._execution.result is None:
            self._execution.deliver(entry)
            self._take_stock()
        elif entry.type is not EntryType.SIGNAL:
            # The code has ended without this outcome; that it had asked for it must be so all the same.
            self._execution.expects(entry)

    def _take_stock(self) -> None:
        for operation in self._execution.take_requests():
            self._operations.add(operation)
        changes = self._operations.withdraw(self._execution.take_withdrawn())
        if changes:
            self._host.journal.commit(changes)

    def _advance(self) -> None:
        if self._execution.result is not None:
            self._finish(self._execution.result)
            return
        self._operations.take_up()
        if not self._closed and not self._operations.at_work and not self._journal.unwritten:
            self._park()

    def _signal(self, signal: Signal, *also: Change) -> None:
        self._rouse()
        self._journal.signal(signal, self._on_disk, *also)

    # its state

    def _rouse(self) -> None:
        if self._state is RunState.WAITING:
            self._move(RunState.RUNNING)

    def _park(self) -> None:
        wake_at = self._operations.wake_at
        if wake_at is not None and wake_at - self._host.clock() <= self._host.settings.linger:
            return
        leave = partial(self._leave_if_parked, wake_at)
        self._move(RunState.WAITING, wake_at=wake_at, waiting_on=self._operations.waiting_on, then=leave)

    def _leave_if_parked(self, wake_at: float | None) -> None:
        if self._state is RunState.WAITING and not self._closed:
            self.close()
            self._host.left(self.run.id, wake_at)

    def _left(self) -> None:
        self._host.left(self.run.id, None)

    def _block(self, error: ErrorRecord) -> None:
        self.close()
        self._move(RunState.BLOCKED, error=error, waiting_on=error.message, then=self._left)

    def _finish(self, result: Result) -> None:
        state, output, error = self._outcome(result)
        also: list[Change] = [CloseReviews(self.run.id)] if self._operations.asked_a_person else []
        parent = self.run.parent
        if parent is not None:
            payload = encode_error(error) if error is not None else output or b"null"
            told = Delivery(
                parent.run, DeliveryKind.CHILD, parent.key, payload, self._host.clock(), error is not None
            )
            also.append(Deliver(told))
        self.close()
        self._move(state, *also, output=output, error=error, then=self._left)

    def _outcome(self, result: Result) -> tuple[RunState, bytes | None, ErrorRecord | None]:
        match result:
            case Completed(value):
                try:
                    return RunState.COMPLETED, self._workflow.codec.encode(value), None
                except NotSerialisable as refusal:
                    return RunState.FAILED, None, error_record(refusal)
            case Errored(error):
                return RunState.FAILED, None, error
            case Stopped():
                return RunState.CANCELLED, None, ErrorRecord(RunCancelled.__name__, "the run was cancelled")
            case _:
                assert_never(result)

    def _move(
        self,
        state: RunState,
        *also: Change,
        output: bytes | None = None,
        error: ErrorRecord | None = None,
        wake_at: float | None = None,
        waiting_on: str | None = None,
        then: Callable[[], None] | None = None,
    ) -> None:
        self._state = state
        run, at, spending = self.run, self._host.clock(), self._meter.reading()

        def done() -> None:
            self._host.tell(RunMoved(run.id, run.workflow, state, at, spending, waiting_on, error))
            if then is not None:
                then()

        move = MoveRun(run.id, state, at, spending, output, error, wake_at, waiting_on)
        self._host.journal.commit((move, *also), done)
