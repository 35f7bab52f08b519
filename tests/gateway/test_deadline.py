"""Whatever providers, breakers and limits do, a call ends by its deadline, and its process is left in order."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from podium.domain.answers import FailureKind
from podium.domain.errors import NoAnswer, Retryable
from podium.domain.states import BreakerState
from podium.gateway import prompt
from podium.ports.models import ModelRequest
from podium.providers import Script
from podium.settings.resilience import Limits
from tests.gateway.support import Clock, failure, models, scripted

FAULTS = st.builds(
    failure, st.sampled_from(FailureKind), st.none() | st.sampled_from([0.0, 1.0, 20.0, 400.0])
)
LINES = st.lists(st.tuples(st.sampled_from([0.0, 0.1, 3.0]), FAULTS | st.just("Yes.")), max_size=8)


def model(clock: Clock, lines: list[Any]) -> Script:
    """A model that says its lines over and over, each after its time, within what the request leaves it."""
    said = 0

    async def speak(request: ModelRequest) -> Any:
        nonlocal said
        seconds, line = lines[said % len(lines)] if lines else (0.0, failure(FailureKind.SERVER))
        said += 1
        await clock.sleep(min(seconds, request.limits.total))
        return failure(FailureKind.TIMEOUT) if seconds >= request.limits.total else line

    return Script(speak)


@settings(deadline=None, max_examples=60)
@given(
    a=LINES,
    b=LINES,
    timeouts=st.lists(st.sampled_from([0.5, 2.0, 10.0, 60.0]), min_size=1, max_size=12),
    requests=st.none() | st.integers(1, 20),
    tokens=st.none() | st.integers(100, 5000),
    retries=st.integers(0, 4),
)
async def test_a_call_never_outlives_its_deadline(
    a: list[Any],
    b: list[Any],
    timeouts: list[float],
    requests: int | None,
    tokens: int | None,
    retries: int,
):
    clock = Clock()
    limits = {"scripted": Limits(requests=requests, tokens=tokens)}
    desk = scripted(clock, a=model(clock, a), b=model(clock, b), settings={"provider_limits": limits})
    for timeout in timeouts:
        asked = prompt("say", "{text}", models=models("a", "b"), timeout=timeout, retries=retries)
        began = clock.now
        try:
            told = (await desk.ask(asked, text="hello")).value
        except (NoAnswer, Retryable) as error:
            told = str(error)
        assert told == "Yes." or asked.reference in told
        assert clock.now <= began + timeout + 1e-6
    for lane in desk.gateway.traffic.lanes.values():
        assert (lane.on_the_way, lane.cautious) == (0, 0)
        assert lane.breaker.state in BreakerState
    for budget in desk.gateway.traffic.budgets.values():
        assert 0 <= budget.left <= 500
