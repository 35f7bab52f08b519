"""What a serving process tells whoever watches it: requests as lines of JSON, and trouble with their log."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence

import orjson

from podium.app.requests import LogTrouble
from podium.domain.money import Money
from podium.domain.requests import ServedRequest

_REMIND = 60.0
_MOST_TOLD = 1000


class Reports:
    """Writes to standard output, if `as_json`, and warnings to standard error."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._told: dict[str, float] = {}

    def requests(self, batch: Sequence[ServedRequest]) -> None:
        """Write a line for each request."""
        self._lines(b"".join(orjson.dumps(_shown(served)) + b"\n" for served in batch), len(batch))

    def trouble(self, trouble: LogTrouble) -> None:
        """Warn of a log that cannot be written, or tell that it can be again."""
        _warn(trouble.message)
        if self._as_json:
            told = {
                "warning": "log_written_again" if trouble.why is None else "log_unwritable",
                "message": trouble.message,
                "waiting_log_rows": trouble.waiting,
                "dropped_log_rows": trouble.dropped,
            }
            self._lines(orjson.dumps(told) + b"\n", 0)

    def failure(self, message: str) -> None:
        """Tell of a failure in words that clients do not get; of the same one, once a minute."""
        now = time.monotonic()
        if now - self._told.get(message, -_REMIND) < _REMIND:
            return
        if len(self._told) >= _MOST_TOLD:
            self._told.clear()
        self._told[message] = now
        _warn(message)

    def _lines(self, lines: bytes, count: int) -> None:
        try:
            sys.stdout.buffer.write(lines)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            # Nobody reads any more: later lines go nowhere, and requests are answered all the same.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        except (OSError, ValueError) as error:
            _warn(f"lines of {count} requests could not be written to standard output: {error}")


def _warn(message: str) -> None:
    try:
        sys.stderr.write(f"podium: {' '.join(message.split())}\n")
        sys.stderr.flush()
    except (AttributeError, OSError, ValueError):
        return


def _shown(served: ServedRequest) -> Mapping[str, object]:
    cost: Money | None = served.cost
    return {
        "at": served.at,
        "id": served.id,
        "route": served.route,
        "key": served.key,
        "model": served.model,
        "lane": served.lane,
        "status": served.status,
        "input_tokens": served.usage.input_tokens,
        "output_tokens": served.usage.output_tokens,
        "cost": None if cost is None else cost.nanos / 1_000_000_000,
        "latency": round(served.latency, 6),
        "first_token": served.first_token and round(served.first_token, 6),
        "error": served.error,
    }
