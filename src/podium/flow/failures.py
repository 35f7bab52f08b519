"""Errors on their way into the journal and out of it again."""

from __future__ import annotations

import traceback
from pathlib import Path
from types import FrameType

import orjson

from podium.domain.errors import (
    ErrorRecord,
    NoAnswer,
    Rejected,
    Retryable,
    RunCancelled,
    StepFailed,
    UnknownRun,
)
from podium.domain.journal import Entry, EntryType

_OWN_PACKAGE = str(Path(__file__).parents[1])
_SAME_CLASS = {cls.__name__: cls for cls in (NoAnswer, Rejected, UnknownRun)}
MAX_MESSAGE = 4000
_ENTRY = "podium_entry"
"""The attribute by which an exception names the journal entry that it was raised from."""


def error_record(error: BaseException) -> ErrorRecord:
    """Return `error` as the journal keeps it, with the innermost source line outside this package."""
    if isinstance(error, StepFailed):
        inner = error.error
        return ErrorRecord(inner.type, message_of(error), inner.retryable, inner.where)
    if isinstance(error, BaseExceptionGroup):
        first = error_record(error.exceptions[0])
        message = (
            f"{first.message} (and {len(error.exceptions) - 1} more)"
            if len(error.exceptions) > 1
            else first.message
        )
        return ErrorRecord(first.type, message, first.retryable, first.where)
    return ErrorRecord(
        type(error).__name__, message_of(error), isinstance(error, Retryable), source_line(error)
    )


def raised_from(entry: Entry) -> Exception:
    """Return the exception that an `error` entry raises in the workflow."""
    record = decode_error(entry.payload)
    own = _SAME_CLASS.get(record.type)
    tries = f" after {entry.attempt} attempts" if entry.attempt > 1 else ""
    said = f"{entry.kind} {entry.name!r} failed{tries}: {record.type}: {record.message}"
    error: Exception = StepFailed(said, record) if own is None else own(record.message)
    setattr(error, _ENTRY, entry.seq)
    return error


def entries_behind(error: BaseException | None) -> frozenset[int]:
    """Return the numbers of the journal entries whose failures `error` tells of, or came out of."""
    while error is not None:
        seq = getattr(error, _ENTRY, None)
        if seq is not None:
            return frozenset({seq})
        if isinstance(error, BaseExceptionGroup):
            return frozenset().union(*map(entries_behind, error.exceptions))
        error = error.__cause__ or error.__context__
    return frozenset()


def encode_error(record: ErrorRecord) -> bytes:
    """Return an error record as UTF-8 JSON."""
    return orjson.dumps(record)


def decode_error(data: bytes) -> ErrorRecord:
    """Return the error record that `encode_error` stored."""
    return ErrorRecord(**orjson.loads(data))


def ended_for_good(entry: Entry) -> bool:
    """Return whether the child run whose end `entry` records has completed or was cancelled, and can go on no more."""
    return entry.type is EntryType.DONE or decode_error(entry.payload).type == RunCancelled.__name__


def message_of(error: BaseException) -> str:
    """Return what `error` says, as text that can be stored; the name of its class when it says nothing."""
    try:
        said = str(error).strip()
    except Exception:  # noqa: BLE001 - an exception may be broken itself
        said = ""
    # File names that are no valid text arrive as lone surrogates, which no database takes.
    return (said or type(error).__name__)[:MAX_MESSAGE].encode("utf-8", "replace").decode()


def source_line(error: BaseException) -> str | None:
    """Return the innermost line of code outside this package that `error` passed through, as `FILE.py:LINE`."""
    innermost = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        if _is_of_the_user(frame):
            innermost = f"{Path(frame.f_code.co_filename).name}:{line}"
    return innermost


def line_awaiting(awaited: object) -> str | None:
    """Return the innermost line of code outside this package on which a coroutine waits, as `FILE.py:LINE`."""
    innermost = None
    while awaited is not None:
        frame = _first(awaited, "cr_frame", "gi_frame", "ag_frame")
        if isinstance(frame, FrameType) and _is_of_the_user(frame):
            innermost = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
        awaited = _first(awaited, "cr_await", "gi_yieldfrom", "ag_await")
    return innermost


def _first(of: object, *attributes: str) -> object:
    return next((getattr(of, name) for name in attributes if hasattr(of, name)), None)


def _is_of_the_user(frame: FrameType) -> bool:
    file = frame.f_code.co_filename
    return not file.startswith((_OWN_PACKAGE, "<")) and "/asyncio/" not in file
