"""Each class of failure leads to one action; what the budgets do not allow any more becomes the next candidate."""

from __future__ import annotations

import math
from typing import Any

import pytest

from podium.domain.answers import FailureKind
from podium.gateway.failures import RULES, Action, Fault
from podium.gateway.line import Candidate, Line, Means, Move
from podium.gateway.policy import CallPolicy, PromptPolicy
from podium.settings.gateway import GatewaySettings

K = FailureKind
MEANS = Means(elsewhere=False, buy=lambda throttled: 5 if throttled else 14, takes_more=lambda other: True)


def line(*models: str, deadline: float = 60.0, **wishes: Any) -> Line:
    policy = CallPolicy.merged(GatewaySettings(), PromptPolicy(models or ("p:a", "p:b"), **wishes))
    return Line(policy, (), deadline)


def turn(
    line: Line, candidate: Candidate, kind: FailureKind, now: float = 0.0, after: float | None = None
) -> Move:
    return line.turn(candidate, Fault.of(kind, "it failed", after), now, jitter=1.0, means=MEANS)


def head(line: Line, now: float = 0.0) -> Candidate:
    candidate = line.next(now)
    assert candidate is not None
    return candidate


def test_no_class_of_failure_is_without_a_rule():
    assert set(RULES) == set(FailureKind)
    assert {rule.action for rule in RULES.values()} == set(Action)
    assert all(rule.advice.endswith(".") for rule in RULES.values())


@pytest.mark.parametrize(
    ("kinds", "action"),
    [
        ((K.CONNECT, K.RESET, K.TIMEOUT, K.SERVER), Action.RETRY),
        ((K.OVERLOADED, K.STALL, K.BREAKER_OPEN, K.LIMITED), Action.WAIT),
        ((K.RATE_LIMIT,), Action.SWITCH_OR_WAIT),
        ((K.QUOTA, K.AUTHENTICATION), Action.SWITCH),
        ((K.CONTEXT_WINDOW,), Action.LARGER),
        ((K.EMPTY,), Action.RETRY_ONCE),
        ((K.TRUNCATED,), Action.EXTEND),
        ((K.INVALID_SYNTAX, K.INVALID_SCHEMA), Action.REASK),
        ((K.NOT_FOUND, K.UNAVAILABLE, K.INTERNAL), Action.NEXT),
        ((K.CONTENT_FILTER, K.REFUSAL), Action.NEXT_IF_PERMITTED),
        ((K.BAD_REQUEST,), Action.FAIL),
    ],
)
def test_the_table(kinds: tuple[FailureKind, ...], action: Action):
    assert [RULES[kind].action for kind in kinds] == [action] * len(kinds)


def test_a_retry_backs_off_exponentially_up_to_the_cap_and_holds_its_place():
    tries = line("p:a", "p:b", retries=6)
    now, waits = 0.0, []
    for _ in range(6):
        candidate = head(tries, now)
        assert candidate.model == "p:a"
        assert turn(tries, candidate, K.SERVER, now) is Move.RETRY
        assert head(tries, now) is candidate
        waits.append(candidate.ready_at - now)
        now = candidate.ready_at
    assert waits == [0.5, 1, 2, 4, 8, 8]


def test_jitter_shortens_the_backoff():
    tries = line()
    candidate = head(tries)
    tries.turn(candidate, Fault.of(K.SERVER, ""), 0.0, jitter=0.25, means=MEANS)
    assert candidate.ready_at == 0.125


def test_all_candidates_share_one_retry_budget():
    tries = line("p:a", "p:b", retries=1)
    first = head(tries)
    assert turn(tries, first, K.SERVER) is Move.RETRY
    assert turn(tries, first, K.SERVER) is Move.NEXT
    second = head(tries)
    assert second.model == "p:b"
    assert turn(tries, second, K.SERVER) is Move.FAIL
    assert tries.next(0) is None


def test_a_retry_that_does_not_fit_the_deadline_is_not_waited_for():
    tries = line("p:a", "p:b", deadline=0.5)
    assert turn(tries, head(tries), K.SERVER) is Move.NEXT
    assert head(tries).model == "p:b"


def test_who_has_to_wait_lets_others_go_first_however_short_the_wait_and_then_comes_back():
    tries = line("p:a", "p:b")
    first = head(tries)
    assert turn(tries, first, K.RATE_LIMIT, after=3) is Move.WAIT
    second = head(tries)
    assert second.model == "p:b"
    assert head(tries, now=3.0) is second
    assert turn(tries, second, K.AUTHENTICATION) is Move.NEXT
    assert head(tries) is first
    assert first.ready_at == 3.0


def test_of_those_who_wait_the_first_to_be_ready_goes_first():
    tries = line("p:a", "p:b")
    turn(tries, head(tries), K.RATE_LIMIT, after=9)
    turn(tries, head(tries), K.OVERLOADED, after=2)
    assert head(tries).model == "p:b"


def test_a_wait_that_does_not_fit_is_remembered():
    tries = line("p:a", deadline=10)
    candidate = head(tries)
    assert turn(tries, candidate, K.RATE_LIMIT, now=1.0, after=30) is Move.FAIL
    assert candidate.told == 31.0


@pytest.mark.parametrize("after", [math.nan, math.inf, -1.0])
def test_a_wait_that_no_clock_can_keep_counts_as_none(after: float):
    assert Fault.of(K.RATE_LIMIT, "", after).retry_after is None


def test_an_empty_reply_is_asked_for_again_once():
    tries = line("p:a")
    candidate = head(tries)
    assert [turn(tries, candidate, K.EMPTY) for _ in range(2)] == [Move.RETRY, Move.FAIL]


def test_a_truncated_reply_gets_twice_the_tokens_once():
    tries = line("p:a", max_tokens=100)
    candidate = head(tries)
    assert turn(tries, candidate, K.TRUNCATED) is Move.EXTEND
    assert candidate.max_tokens == 200
    assert turn(tries, candidate, K.TRUNCATED) is Move.FAIL


def test_each_model_is_shown_its_mistakes_as_often_as_allowed():
    tries = line("p:a", "p:b", reasks=2)
    moves = [turn(tries, head(tries), K.INVALID_SCHEMA) for _ in range(6)]
    assert moves == [Move.REASK, Move.REASK, Move.NEXT, Move.REASK, Move.REASK, Move.FAIL]


@pytest.mark.parametrize("kind", [K.REFUSAL, K.CONTENT_FILTER])
def test_what_one_model_refuses_another_answers_only_if_permitted(kind: FailureKind):
    strict, lenient = line(), line(fallback_on_refusal=True)
    assert turn(strict, head(strict), kind) is Move.FAIL
    assert strict.next(0) is None
    assert turn(lenient, head(lenient), kind) is Move.NEXT
    assert head(lenient).model == "p:b"


def test_a_request_that_is_wrong_in_itself_ends_the_call():
    tries = line()
    assert turn(tries, head(tries), K.BAD_REQUEST) is Move.FAIL
    assert tries.next(0) is None


def test_after_the_deadline_nobody_is_asked():
    tries = line(deadline=5)
    assert tries.next(4.999) is not None
    assert tries.next(5.0) is None
