"""Durations as people write them."""

from __future__ import annotations

import datetime
import re

from podium.domain.errors import InvalidInput

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")

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
    else:
        value = float(duration)
    if not 0 <= value < float("inf"):
        raise InvalidInput(f"a duration cannot be {duration!r}; it must be 0 seconds or more.")
    return value
