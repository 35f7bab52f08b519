"""What a run's journal comes to when it is read again: which entries count, and what the others still tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from podium.domain.journal import Entry, EntryType
from podium.domain.runs import Spending
from podium.domain.values import TypedCodec


@dataclass(frozen=True, slots=True)
class RetryNote:
    """The payload of a `retry` entry.

    `struck` are the numbers of the entries that no longer count; `reusable` those of them whose outcomes are
    taken again when the code asks for the same once more. `active_seconds` is what the run had used by then.
    `unanswered` are the keys of the reviews and child runs that the failure closed or cancelled without an outcome.
    """

    struck: tuple[int, ...]
    reusable: tuple[int, ...]
    active_seconds: float
    unanswered: tuple[str, ...] = ()


_codec = TypedCodec(RetryNote, "a retry")
_spending = TypedCodec(Spending, "what a run has used")


def encode_retry(note: RetryNote) -> bytes:
    """Return a note as UTF-8 JSON."""
    return _codec.encode(note)


def decode_retry(data: bytes) -> RetryNote:
    """Return the note that `encode_retry` stored."""
    note: RetryNote = _codec.decode(data)
    return note


def encode_spending(spending: Spending) -> bytes:
    """Return the payload of a `continued` entry: what the run had used before, as UTF-8 JSON."""
    return _spending.encode(spending)


@dataclass(frozen=True, slots=True)
class History:
    """A journal as it counts now.

    `entries` are those that count, in `seq` order, `struck` those that do not any more. `reusable` holds
    outcomes to be taken again, `void` those to be brought about anew, by journal key. `patches` are the keys at
    which new code was taken. `began_at` is when the present generation began, if that is recorded (seconds since
    the epoch), `carried` what the earlier ones had used, `active_seconds` what the run had used when it was last
    retried, if it `is_retried`. `unanswered` counts, by key, the reviews and child runs that failures closed or cancelled.
    """

    entries: Sequence[Entry]
    struck: Sequence[Entry] = ()
    reusable: Mapping[str, Entry] = field(default_factory=dict)
    void: Mapping[str, Sequence[Entry]] = field(default_factory=dict)
    patches: Sequence[str] = ()
    began_at: float | None = None
    carried: Spending = field(default_factory=Spending)
    active_seconds: float = 0.0
    is_retried: bool = False
    unanswered: Mapping[str, int] = field(default_factory=dict)


_RARE = frozenset({EntryType.PATCH, EntryType.RETRY, EntryType.CONTINUED})
_OUTCOMES = frozenset({EntryType.DONE, EntryType.ERROR})


def history_of(journal: Sequence[Entry]) -> History:
    """Return what `journal`, all the entries of a run in `seq` order, comes to."""
    rare = [entry for entry in journal if entry.type in _RARE]
    if not rare:
        return History(journal)
    struck: set[int] = set()
    reusable: set[int] = set()
    unanswered: Counter[str] = Counter()
    began_at, carried, active_seconds = None, Spending(), 0.0
    for entry in rare:
        if entry.type is EntryType.RETRY:
            note = decode_retry(entry.payload)
            struck.update(note.struck)
            reusable.update(note.reusable)
            unanswered.update(note.unanswered)
            active_seconds = note.active_seconds
        elif entry.type is EntryType.CONTINUED:
            began_at, carried = entry.at, _spending.decode(entry.payload)
    gone = [entry for entry in journal if entry.seq in struck]
    void: dict[str, list[Entry]] = {}
    for entry in gone:
        if entry.type in _OUTCOMES and entry.seq not in reusable:
            void.setdefault(entry.key, []).append(entry)
    return History(
        entries=[entry for entry in journal if entry.type not in _RARE and entry.seq not in struck],
        struck=gone,
        reusable={entry.key: entry for entry in gone if entry.seq in reusable},
        void=void,
        patches=[entry.key for entry in rare if entry.type is EntryType.PATCH and entry.seq not in struck],
        began_at=began_at,
        carried=carried,
        active_seconds=active_seconds,
        is_retried=any(entry.type is EntryType.RETRY for entry in rare),
        unanswered=unanswered,
    )
