"""What an `attempt` entry of the journal says: a failed try of a step, or one request to a model."""

from __future__ import annotations

from dataclasses import dataclass

from podium.domain.answers import CallAttempt
from podium.domain.errors import ErrorRecord
from podium.domain.values import TypedCodec


@dataclass(frozen=True, slots=True)
class AttemptNote:
    """The payload of an `attempt` entry.

    `error` and `resume_at` (seconds since the epoch) belong to a failed attempt that another follows;
    `call` belongs to a model request, whatever came of it.
    """

    error: ErrorRecord | None = None
    resume_at: float | None = None
    call: CallAttempt | None = None


_codec = TypedCodec(AttemptNote, "an attempt")


def encode_note(note: AttemptNote) -> bytes:
    """Return a note as UTF-8 JSON."""
    return _codec.encode(note)


def decode_note(data: bytes) -> AttemptNote:
    """Return the note that `encode_note` stored."""
    note: AttemptNote = _codec.decode(data)
    return note
