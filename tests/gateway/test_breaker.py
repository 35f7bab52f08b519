"""A breaker opens on failures of the service, lets one probe at a time through, and closes after three successes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from podium.domain.answers import FailureKind
from podium.domain.states import BREAKER_TRANSITIONS, BreakerState
from podium.gateway.health.breaker import COUNTS, LOOK, Breaker
from podium.gateway.health.rolling import CELLS, RollingCount
from podium.settings.resilience import BreakerSettings

K = FailureKind
CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN


def breaker(**options: Any) -> Breaker:
    return Breaker(BreakerSettings(**options))


def opened(at: float = 0.0) -> Breaker:
    made = breaker()
    made.failed(at, K.AUTHENTICATION)
    return made


def test_five_failures_in_a_row_open_it_for_five_seconds():
    each = breaker()
    for second in range(4):
        each.failed(second, K.SERVER)
        assert each.ready_at(second) == second
    each.failed(4.0, K.STALL)
    assert (each.state, each.ready_at(4.0)) == (OPEN, 9.0)
    assert each.reason == "5 failures in a row, the last: stall"


def test_a_success_between_failures_begins_the_row_anew():
    each = breaker()
    for second in range(9):
        if second == 4:
            each.succeeded(second, probe=False)
        else:
            each.failed(second, K.SERVER)
    assert each.state is CLOSED


def test_half_of_twenty_within_thirty_seconds_open_it():
    each = breaker()
    for second in range(9):
        each.succeeded(second, probe=False)
        each.failed(second, K.RESET)
    each.succeeded(9.0, probe=False)
    assert each.state is CLOSED
    each.failed(9.0, K.RESET)
    assert each.state is OPEN


def test_what_happened_longer_ago_than_the_window_does_not_count():
    each = breaker()
    for _ in range(18):
        each.succeeded(0.0, probe=False)
    for second in (0.0, 40.0, 41.0):
        each.failed(second, K.RESET)
    assert (each.state, each.failure_share(41.0)) == (CLOSED, 1.0)


@pytest.mark.parametrize("kind", [K.QUOTA, K.AUTHENTICATION, K.NOT_FOUND])
def test_a_refused_key_or_account_opens_it_at_once(kind: FailureKind):
    each = breaker()
    each.failed(0.0, kind)
    assert each.ready_at(0.0) == 5.0


@pytest.mark.parametrize("kind", sorted(set(FailureKind) - COUNTS))
def test_what_is_no_failure_of_the_service_never_opens_it(kind: FailureKind):
    each = breaker()
    for _ in range(100):
        each.failed(0.0, kind)
    assert (each.state, each.failure_share(0.0)) == (CLOSED, 0.0)


def test_one_probe_goes_through_at_a_time_and_three_successes_close_it():
    each = opened()
    for second in (5.0, 6.0, 7.0):
        assert each.ready_at(second) == second
        assert each.enter(second + 30.0)
        assert each.ready_at(second) == second + LOOK
        each.succeeded(second, probe=True)
    assert (each.state, each.reason) == (CLOSED, "")


def test_a_probe_that_never_reports_holds_nobody_up_beyond_its_deadline():
    each = opened()
    each.enter(20.0)
    assert each.ready_at(19.9) == 20.0
    assert each.ready_at(20.0) == 20.0


def test_a_probe_that_tells_nothing_makes_room_for_the_next():
    each = opened()
    each.enter(20.0)
    each.failed(6.0, K.BAD_REQUEST, probe=True)
    assert (each.state, each.ready_at(6.0)) == (HALF_OPEN, 6.0)


def test_each_probe_that_fails_doubles_the_pause_up_to_two_minutes():
    each, now, pauses = opened(), 0.0, []
    for _ in range(7):
        pauses.append(each.until - now)
        now = each.until
        each.enter(now + 1)
        each.failed(now, K.SERVER, probe=True)
    assert pauses == [5, 10, 20, 40, 80, 120, 120]


def test_the_pause_is_no_shorter_than_what_the_provider_asked_for():
    each = breaker(in_a_row=1)
    each.failed(0.0, K.OVERLOADED, 300.0)
    assert each.until == 300.0
    each.failed(1.0, K.OVERLOADED, 10.0)
    assert each.until == 300.0
    each.failed(2.0, K.OVERLOADED, 400.0)
    assert each.until == 402.0


def test_failures_of_requests_that_were_on_their_way_before_do_not_end_a_probe():
    each = opened()
    each.enter(20.0)
    each.failed(6.0, K.SERVER)
    assert (each.state, each.ready_at(6.0)) == (HALF_OPEN, 6.0 + LOOK)


class RollingModel(RuleBasedStateMachine):
    """A rolling count against a list of all times."""

    def __init__(self) -> None:
        super().__init__()
        self.count = RollingCount(30.0)
        self.times: list[float] = []
        self.now = 0.0

    @rule(seconds=st.floats(0, 50), times=st.integers(0, 4))
    def happen(self, seconds: float, times: int) -> None:
        self.now += seconds
        for _ in range(times):
            self.count.add(self.now)
            self.times.append(self.now)

    @invariant()
    def agrees(self) -> None:
        width = 30.0 / CELLS
        latest = int(self.now / width)
        expected = sum(int(each / width) > latest - CELLS for each in self.times)
        assert self.count.total(self.now) == expected


class BreakerModel(RuleBasedStateMachine):
    """A breaker against its description: a list of what happened, and what follows from it."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = breaker()
        self.now = 0.0
        self.state = CLOSED
        self.until = 0.0
        self.openings = 0
        self.row = 0
        self.good = 0
        self.events: list[tuple[float, bool]] = []

    @rule(
        seconds=st.sampled_from([0.0, 0.1, 2.0, 5.0, 31.0, 130.0]),
        kind=st.none() | st.sampled_from(FailureKind),
        retry_after=st.none() | st.sampled_from([1.0, 60.0, 200.0]),
        repeat=st.integers(1, 6),
    )
    def request(
        self, seconds: float, kind: FailureKind | None, retry_after: float | None, repeat: int
    ) -> None:
        self.now += seconds
        for _ in range(repeat):
            ready = self.breaker.ready_at(self.now)
            assert (ready > self.now) is (self.state is OPEN and self.now < self.until)
            if ready > self.now:
                return
            probe = self.breaker.enter(self.now + 60)
            assert probe is (self.state is not CLOSED)
            if self.state is OPEN:
                self.state, self.good = HALF_OPEN, 0
            if kind is None:
                self.breaker.succeeded(self.now, probe=probe)
                self.succeed()
            else:
                self.breaker.failed(self.now, kind, retry_after, probe=probe)
                self.fail(kind, retry_after or 0.0)

    def succeed(self) -> None:
        self.row = 0
        self.events.append((self.now, True))
        if self.state is HALF_OPEN:
            self.good += 1
            if self.good == 3:
                self.state, self.openings = CLOSED, 0
                self.events.clear()

    def fail(self, kind: FailureKind, retry_after: float) -> None:
        if kind not in COUNTS:
            return
        self.row += 1
        self.events.append((self.now, False))
        recent = [good for at, good in self.events if int(at) > int(self.now) - 30]
        mostly = len(recent) >= 20 and recent.count(False) >= 0.5 * len(recent)
        at_once = kind in {K.QUOTA, K.AUTHENTICATION, K.NOT_FOUND}
        if self.state is HALF_OPEN or at_once or self.row >= 5 or mostly:
            self.state = OPEN
            pause = min(5.0 * 2**self.openings, 120.0)
            self.until = max(self.until, self.now + pause, self.now + retry_after)
            self.openings += 1

    @invariant()
    def agrees(self) -> None:
        assert self.breaker.state is self.state
        if self.state is OPEN:
            assert self.breaker.until == self.until


TestRolling = RollingModel.TestCase
TestRolling.settings = settings(max_examples=60, deadline=None)
TestBreaker = BreakerModel.TestCase
TestBreaker.settings = settings(max_examples=60, deadline=None)


def test_the_table_of_states_is_what_a_breaker_goes_by():
    each = breaker()
    with pytest.raises(AssertionError, match="cannot become half_open"):
        each._change(HALF_OPEN)
    assert OPEN not in BREAKER_TRANSITIONS[OPEN]
