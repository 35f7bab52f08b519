"""Models that say what a test wrote down for them, and what of it has been said for good."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from podium.app.scripts import Item, Line, Script
from podium.domain.attempts import decode_note
from podium.domain.journal import Entry, EntryType
from podium.domain.operations import OperationKind

Lines = Iterable[Item] | Callable[[Any], Line] | Script
"""What a model says: its lines in order, or a function of the request, or a `Script` that the test keeps."""

_PREFIX = "scripted:"


def scripts_of(models: Mapping[str, Lines], said: Mapping[str, int] | None = None) -> dict[str, Script]:
    """Return the scripts of `models`, by name, without the first lines of which so many were `said` for good."""
    done = said or {}
    return {name: _script(lines, done.get(name, 0)) for name, lines in models.items()}


def said_for_good(entries: Iterable[Entry]) -> Counter[str]:
    """Return how many replies of each script the journal of a run keeps the consequence of.

    Replies to a call that has no outcome are asked for anew when its run goes on, so they are not among them.
    """
    kept: Counter[str] = Counter()
    open_calls: dict[str, list[str]] = {}
    for entry in entries:
        if entry.kind is not OperationKind.MODEL:
            continue
        note = decode_note(entry.payload) if entry.type is EntryType.ATTEMPT else None
        if note is not None and note.call is not None:
            open_calls.setdefault(entry.key, []).append(note.call.model.removeprefix(_PREFIX))
        else:
            kept.update(open_calls.pop(entry.key, ()))
    return kept


def _script(lines: Lines, said: int) -> Script:
    if isinstance(lines, Script):
        return lines
    return Script(lines) if callable(lines) else Script(list(lines)[said:])
