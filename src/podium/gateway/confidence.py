"""How sure a model was, from the probabilities that it gave to its own tokens.

The measure is the geometric mean of the token probabilities: the exponential of the mean log-probability, which
is the likelihood of the text normalised by its length (Malinin and Gales, "Uncertainty Estimation in
Autoregressive Structured Prediction", ICLR 2021). In JSON only the tokens inside values count. Keys and
punctuation are all but certain, and wholly so where decoding is constrained by a schema: counting them would
make every answer look sure.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

from podium.domain.quality import Quality, Verdict
from podium.ports.models import TokenProbability

TRUST = {Verdict.CLEAN: 1.0, Verdict.DEGRADED: 0.96, Verdict.SUSPECT: 0.74}
"""By what the confidence in a value is multiplied: 86/90 and 65/90 of it. So often, by an earlier study of replies that
should have been JSON, the answer was right where the reply was read leniently or repaired, against 90 % read exactly."""

_LITERAL = r"-?\d[\d.eE+-]*|true|false|null"
_PART = re.compile(rf'"(?P<string>(?:[^"\\]++|\\.)*+)"(?P<key>\s*:)?|(?P<literal>{_LITERAL})', re.DOTALL)
_CONTENT = re.compile(r"\w")


def confidence(tokens: Sequence[TokenProbability], quality: Quality, *, json: bool) -> float | None:
    """Return how sure the model was, from 0 to 1, lowered by what reading its text took; None without tokens.

    `json`: the text is JSON, of which only the values count. Where nothing else counts (a reply of punctuation
    alone), all tokens do.
    """
    known = [token for token in tokens if not math.isnan(token.logprob)]
    if not known:
        return None
    counted = list(_inside_values(known)) if json else [t for t in known if _CONTENT.search(t.text)]
    # Providers write -9999 or minus infinity for "impossible"; rounding may leave a log just above 0.
    logs = [min(max(token.logprob, -100.0), 0.0) for token in counted or known]
    return math.exp(math.fsum(logs) / len(logs)) * TRUST[quality.verdict]


def _inside_values(tokens: Sequence[TokenProbability]) -> Iterator[TokenProbability]:
    # Over the tokens' own text: what the provider calls the text may differ from it in partial characters.
    spans = _value_spans("".join(token.text for token in tokens))
    start, span = 0, next(spans, None)
    for token in tokens:
        end = start + len(token.text)
        while span is not None and span[1] <= start:
            span = next(spans, None)
        if span is not None and span[0] < end:
            shared = token.text[max(span[0] - start, 0) : span[1] - start]
            if _CONTENT.search(shared):
                yield token
        start = end


def _value_spans(text: str) -> Iterator[tuple[int, int]]:
    for part in _PART.finditer(text):
        if part["literal"] is not None:
            yield part.span("literal")
        elif part["key"] is None:
            yield part.span("string")
