"""Confidence is the geometric mean of the probabilities of the tokens that carry the answer."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.domain.quality import Quality, Verdict
from podium.gateway.confidence import TRUST, confidence
from podium.ports.models import TokenProbability

CLEAN = Quality()


def tokens(*pairs: tuple[str, float]) -> list[TokenProbability]:
    return [TokenProbability(text, math.log(probability)) for text, probability in pairs]


def test_without_tokens_there_is_no_confidence():
    assert confidence([], CLEAN, json=True) is None


def test_in_json_only_the_tokens_inside_values_count():
    reply = tokens(
        ('{"', 1.0), ("intent", 1.0), ('":', 1.0), (' "', 1.0), ("ref", 0.5), ("und", 0.5), ('",', 1.0),
        (' "', 1.0), ("sure", 1.0), ('": ', 1.0), ("true", 0.25), (', "n": ', 1.0), ("12", 0.25), ("}", 1.0),
    )  # fmt: skip
    assert confidence(reply, CLEAN, json=True) == pytest.approx((0.5 * 0.5 * 0.25 * 0.25) ** (1 / 4))


def test_keys_do_not_count_wherever_the_colon_stands():
    reply = tokens(('{"key"', 0.1), (" \n", 1.0), (": ", 1.0), ('"v"', 0.5), ("}", 1.0))
    assert confidence(reply, CLEAN, json=True) == pytest.approx(0.5)


def test_a_token_that_holds_a_quote_and_the_start_of_a_value_counts():
    reply = tokens(('{"a":"', 1.0), ("yes", 0.5), ('"}', 1.0))
    joined = tokens(('{"a":', 1.0), ('"yes"', 0.5), ("}", 1.0))
    assert confidence(reply, CLEAN, json=True) == confidence(joined, CLEAN, json=True) == pytest.approx(0.5)


def test_quotes_inside_a_value_end_nothing():
    reply = tokens(('{"a": "', 1.0), ('say \\"', 0.5), ("hi", 0.5), ('\\"', 1.0), ('"}', 1.0))
    assert confidence(reply, CLEAN, json=True) == pytest.approx(0.5)


def test_in_free_text_punctuation_and_space_do_not_count():
    reply = tokens(("Yes", 0.5), (",", 1.0), (" it", 0.5), (" ", 1.0), ("!", 1.0))
    assert confidence(reply, CLEAN, json=False) == pytest.approx(0.5)


def test_where_nothing_else_counts_all_tokens_do():
    reply = tokens(('{"a": "', 0.5), ("", 1.0), ('"}', 0.5))
    assert confidence(reply, CLEAN, json=True) == pytest.approx((0.5 * 0.5) ** (1 / 3))


@pytest.mark.parametrize("verdict", list(Verdict))
def test_what_needed_help_is_trusted_less(verdict: Verdict):
    quality = Quality(verdict, ("a reason",))
    assert confidence(tokens(("yes", 0.5)), quality, json=False) == pytest.approx(0.5 * TRUST[verdict])


def test_the_more_help_the_less_trust():
    assert 1 == TRUST[Verdict.CLEAN] > TRUST[Verdict.DEGRADED] > TRUST[Verdict.SUSPECT] > 0


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.text(max_size=6), st.floats(max_value=1e-6)), max_size=20),
    st.booleans(),
    st.sampled_from(Verdict),
)
def test_confidence_is_a_probability_whatever_the_provider_sends(
    pairs: list[tuple[str, float]], json: bool, verdict: Verdict
):
    reply = [TokenProbability(text, logprob) for text, logprob in pairs]
    sure = confidence(reply, Quality(verdict), json=json)
    assert sure is None or 0 <= sure <= 1
    assert (sure is None) == all(math.isnan(logprob) for _, logprob in pairs)
