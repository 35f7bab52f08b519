"""The journal of one run as its active side writes it: numbered entries, acknowledged once they are on disk."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import orjson

from podium.domain.happenings import EntryMade
from podium.domain.journal import Entry, EntryType, Signal
from podium.ports.journal import Append, Change

if TYPE_CHECKING:
    from collections.abc import Callable

    from podium.domain.ids import RunId
    from podium.domain.operations import Operation
    from podium.engines.embedded.host import Host


class RunJournal:
    """Appends to one run's journal. `last_seq` is the number of its last entry so far, 0 for none."""

    def __init__(self, host: Host, run: RunId, last_seq: int) -> None:
        self._host = host
        self._run = run
        self._seq = last_seq
        self.unwritten = 0

    def record(
        self,
        operation: Operation,
        entry_type: EntryType,
        payload: bytes,
        attempt: int,
        began: float,
        then: Callable[[Entry], None] | None,
        *also: Change,
    ) -> None:
        """Append an entry about `operation`, in one transaction with the changes `also`.

        `then` is called with the entry once it is on disk. `began` is seconds since the epoch.
        """
        intent = operation.intent
        self._append(
            Entry(
                self._run,
                self._seq + 1,
                entry_type,
                intent.kind,
                operation.key,
                intent.name,
                intent.fingerprint,
                attempt,
                payload,
                began,
                self._host.clock(),
            ),
            then,
            also,
        )

    def signal(self, signal: Signal, then: Callable[[Entry], None], *also: Change) -> None:
        """Append a signal, as `record` does."""
        self.mark(EntryType.SIGNAL, "", signal, orjson.dumps(signal), then, *also)

    def mark(
        self,
        entry_type: EntryType,
        key: str,
        name: str,
        payload: bytes,
        then: Callable[[Entry], None] | None,
        *also: Change,
    ) -> Entry:
        """Append an entry about the run itself, as `record` does, and return it."""
        now = self._host.clock()
        entry = Entry(self._run, self._seq + 1, entry_type, None, key, name, "", 1, payload, now, now)
        self._append(entry, then, also)
        return entry

    def _append(self, entry: Entry, then: Callable[[Entry], None] | None, also: tuple[Change, ...]) -> None:
        self._seq = entry.seq
        self.unwritten += 1
        self._host.journal.commit((Append(entry), *also), partial(self._on_disk, entry, then))

    def _on_disk(self, entry: Entry, then: Callable[[Entry], None] | None) -> None:
        self.unwritten -= 1
        self._host.tell(EntryMade(entry))
        if then is not None:
            then(entry)
