"""Durations as people write them."""

from __future__ import annotations

import datetime
import re

from podium.domain.errors import InvalidInput

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")

_MOST = 1e300

Duration = float | str | datetime.timedelta
"""Seconds, a timedelta, or text such as `90s`, `15m`, `2h`, `1h30m`, `3d`, `2w`."""


def seconds(duration: Duration) -> float:
    """Return a duration in seconds; raises `InvalidInput` when it is negative or not understood."""
    if isinstance(duration, datetime.timedelta):
        value = duration.total_seconds()
    elif isinstance(duration, str):
        text = duration.strip().lower()
        if not text or _PART.sub("", text).strip():
            raise InvalidInput(
                f"{duration!r} is no duration; write e.g. '90s', '15m', '2h', '1h30m' or '3d'."
            )
        value = sum(float(amount) * _UNITS[unit] for amount, unit in _PART.findall(text))
    elif isinstance(duration, bool) or not isinstance(duration, int | float):
        kind = type(duration).__name__
        raise InvalidInput(f"a {kind} is no duration; write seconds, or e.g. '90s', '15m', '2h' or '3d'.")
    else:
        # A whole number may be larger than any that floats can be.
        value = float(duration) if abs(duration) < _MOST else float("inf")
    if not 0 <= value < float("inf"):
        raise InvalidInput(f"a duration cannot be {value!r} seconds; it must be 0 or more.")
    return value
