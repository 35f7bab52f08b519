"""Keys and passwords, found in what is about to be written and masked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from podium.ports.models import TokenProbability
from podium.providers.vendors import VENDORS

MASK = "[key]"

# What the makers of well-known services give out as keys, and the forms that all of them share.
_LOOKS = re.compile(
    r"""
    \b(?:sk|pk|rk)[-_](?:[A-Za-z0-9]+[-_])*[A-Za-z0-9_-]{16,}
    | \bAIza[0-9A-Za-z_-]{30,}
    | \b(?:AKIA|ASIA)[0-9A-Z]{16}\b
    | \b(?:gh[opusr]_|github_pat_|glpat-|gsk_|hf_|r8_|npm_|pypi-|xai-|pplx-|nvapi-|whsec_|xox[abeoprs]-)
      [A-Za-z0-9_-]{16,}
    | \beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+
    | \bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}
    | \b(?:AC|SK)[0-9a-f]{32}\b
    | \b(?:dop_v1_|shpat_|shpss_|ya29\.|dckr_pat_|lin_api_|figd_|tvly-|ATATT3|hvs\.|AccountKey=)[A-Za-z0-9_+/=-]{16,}
    | (?i:(?<=bearer\ ))[A-Za-z0-9._~+/-]{16,}=*
    | (?i:(?<=authorization:\ basic\ )|(?<=authorization:basic\ )|(?<="authorization":\ "basic\ )
      |(?<="authorization":"basic\ ))[A-Za-z0-9+/_-]+=*
    | (?i:(?<=basic\ ))[A-Za-z0-9+/_-]{16,}=*
    | (?:(?i:\b|_)(?i:api[_-]?key|access[_-]?key|secret[_-]?key|client[_-]?secret|access[_-]?token|auth[_-]?token
      |refresh[_-]?token|password|passwd)\b\\?["']?\s?[=:]\s?\\?["']?)(?P<named>[^\s"'&,;<>\\{}\[\]()]{8,})
    | (?<=://)[^\s/:@"'<>]+:[^\s/@"'<>]+(?=@)
    | -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----.*?(?:-----END\ [A-Z ]*PRIVATE\ KEY-----|\Z)
    """,
    re.VERBOSE | re.DOTALL,
)

_NAMES = frozenset(name for vendor in VENDORS.values() for name in (*vendor.keys, vendor.other_key))
_SECRET_NAME = re.compile(
    r"(?:^|_)(?:KEYS?|TOKENS?|SECRETS?|PASSWORD|PASSWD|CREDENTIALS?)(?:_\d+)?$", re.IGNORECASE
)
# What people write where a key is asked for and none is needed; masking it would only shred the text.
_NO_KEYS = frozenset({"none", "null", "test", "dummy", "empty", "fake", "local", "ollama", "true", "false"})
_SHORTEST = 4
_SHORTEST_OF_OTHERS = 8


class Masking:
    """Masks what looks like a key, and every value of the environment variables that hold one.

    Those are the variables that providers read their keys from, however short the value down to 4 characters, and
    all others named like one (`..._TOKEN`, `..._PASSWORD`) from 8 characters on.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        found = {part for name, value in environment.items() for part in _secrets(name, value)}
        values = "|".join(re.escape(value) for value in sorted(found, key=len, reverse=True))
        self._values = re.compile(values) if values else None

    def text(self, text: str) -> str:
        """Return `text` with every secret in it replaced by `[key]`."""
        if self._values is not None:
            text = self._values.sub(MASK, text)
        return _LOOKS.sub(_masked, text)

    def value(self, value: Any) -> Any:
        """Return plain JSON with the secrets in all its strings masked, keys of objects among them."""
        match value:
            case str():
                return self.text(value)
            case dict():
                return {self.text(name): self.value(item) for name, item in value.items()}
            case list() | tuple():
                return [self.value(item) for item in value]
            case _:
                return value

    def tokens(self, tokens: Sequence[TokenProbability]) -> tuple[TokenProbability, ...]:
        """Return the tokens with those blanked that spell a secret together; their probabilities stay."""
        text = "".join(token.text for token in tokens)
        spans = list(self._spans(text))
        if not spans:
            return tuple(tokens)
        masked, start = [], 0
        for token in tokens:
            end = start + len(token.text)
            hit = any(start < last and first < end for first, last in spans)
            masked.append(replace(token, text="") if hit else token)
            start = end
        return tuple(masked)

    def _spans(self, text: str) -> Iterator[tuple[int, int]]:
        for pattern in (self._values, _LOOKS):
            if pattern is not None:
                yield from (found.span(_part(found)) for found in pattern.finditer(text))


def _part(found: re.Match[str]) -> str | int:
    """Return which group of a find is the secret: what stands after a name that says so, or else all of it."""
    return "named" if found.groupdict().get("named") else 0


def _masked(found: re.Match[str]) -> str:
    return found[0][: found.start(_part(found)) - found.start()] + MASK


def _secrets(name: str, value: str) -> Iterator[str]:
    if name in _NAMES:
        shortest = _SHORTEST
    elif _SECRET_NAME.search(name):
        shortest = _SHORTEST_OF_OTHERS
    else:
        return
    # A variable may hold several keys.
    for part in {value.strip(), *re.split(r"[\s,;]+", value)}:
        if len(part) >= shortest and part.lower() not in _NO_KEYS:
            yield part
