"""Periods as people write them behind a slash: `10/s`, `$5/day`, `200k tokens/month`."""

from __future__ import annotations

from typing import Final

from podium.domain.durations import Duration, seconds
from podium.domain.errors import InvalidDefinition, InvalidInput

_WORDS: Final = {
    "sec": "s",
    "second": "s",
    "min": "m",
    "minute": "m",
    "hour": "h",
    "day": "d",
    "week": "w",
}


def period_seconds(text: str, whole: str) -> float:
    """Return the seconds of a period such as `s`, `min`, `day` or `30s`; raises `InvalidDefinition` about `whole`."""
    words = text.strip().lower()
    short = _WORDS.get(words.removesuffix("s") if len(words) > 1 else words, words)
    duration: Duration = short if short[:1].isdigit() else f"1{short}"
    try:
        return seconds(duration)
    except InvalidInput:
        raise InvalidDefinition(
            f"{whole!r} has no period that is known; write e.g. '/s', '/min', '/h', '/d' or '/30s'."
        ) from None


def shown_period(per: float) -> str:
    """Return a period of `per` seconds as it may stand behind the slash."""
    for size, unit in ((604_800, "w"), (86_400, "d"), (3600, "h"), (60, "min")):
        if per % size == 0:
            return unit if per == size else f"{per / size:g}{unit[0]}"
    return "s" if per == 1 else f"{per:g}s"


def require(holds: bool, what: str) -> None:  # noqa: FBT001 - a condition
    """Raise `InvalidDefinition`, saying `what` is wrong, unless it holds."""
    if not holds:
        raise InvalidDefinition(f"{what}.")
