"""How workflow code ends, as a value."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from podium.domain.errors import ContinueAsNew, ErrorRecord, RunTimeout
from podium.domain.journal import Signal
from podium.flow.failures import entries_behind, error_record


@dataclass(frozen=True, slots=True)
class Completed:
    """The workflow returned; `value` is what it returned."""

    value: Any


@dataclass(frozen=True, slots=True)
class Errored:
    """The workflow raised; `entries` are the numbers of the journal entries whose failures it did not survive."""

    error: ErrorRecord
    entries: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Stopped:
    """The workflow ended because the run was cancelled."""


@dataclass(frozen=True, slots=True)
class Continued:
    """The workflow goes on as new, called with these arguments."""

    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any]


Result = Completed | Errored | Stopped | Continued


def result_of(main: asyncio.Task[Any], signal: Signal | None) -> Result:
    """Return how the ended task `main` ended; `signal` is the last that reached the run."""
    if main.cancelled():
        if signal is Signal.TIMEOUT:
            message = "the run used up its active time: raise @workflow(timeout=...), or do less in one run"
            return Errored(ErrorRecord(RunTimeout.__name__, message))
        if signal is Signal.CANCEL:
            return Stopped()
        return Errored(ErrorRecord("CancelledError", "the workflow cancelled itself"))
    error = main.exception()
    if error is None:
        return Completed(main.result())
    if isinstance(error, ContinueAsNew):
        return Continued(error.arguments, error.keywords)
    return Errored(error_record(error), entries_behind(error))
