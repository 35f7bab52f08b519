"""Rates over any starts, clocks and restarts; budgets of what model calls really cost."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, select

from podium import Budget, Money, Queue, RunState, Usage, prompt, workflow
from podium.domain.ids import RunId
from podium.domain.runs import Placement, Run
from podium.ports.models import FinishReason, ModelReply
from podium.ports.queues import Ask, Mine
from podium.providers.scripted import Script
from podium.storage import queues
from podium.storage.tables import blobs, inbox, metadata, runs
from tests.queues.support import states
from tests.support.apps import app_on, until

ANSWER = ModelReply("yes", FinishReason.STOP, Usage(40, 60), "scripted", (), Money.usd("0.6"))


@given(
    count=st.integers(1, 5),
    per=st.sampled_from([0.1, 1.0, 7.0]),
    steps=st.lists(
        st.tuples(st.floats(-20, 20) | st.floats(0, 1) | st.just(7.0), st.integers(1, 9)), max_size=12
    ),
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_never_more_starts_than_allowed_in_any_window_of_what_is_stored(count, per, steps):
    queue = Queue("q", rate=f"{count}/{per}s")
    engine = create_engine("sqlite://")
    with engine.connect() as conn:
        metadata.create_all(conn, tables=[runs, blobs, inbox])
        for number in range(30):
            place = Placement("q", 0, 0.0)
            queues.place(conn, Run(RunId(f"r{number}"), "w", b"{}", number, 0.0, placement=place), None, 100)
        now = 1000.0
        for step, most in steps:
            now += step
            admitted = queues.admit(conn, Ask(queue, Mine(("w",)), now, most))
            assert not admitted.closed or (admitted.again_at or 0.0) > now
            if admitted.closed and admitted.left and all(step >= 0 for step, _ in steps):
                # Then, within what floating-point numbers can tell, and not later.
                then = (admitted.again_at or 0.0) + 1e-6
                with conn.begin_nested() as tried:
                    assert len(queues.admit(conn, Ask(queue, Mine(("w",)), then, 1)).runs) == 1
                    tried.rollback()
        began = sorted(conn.scalars(select(runs.c.started_at).where(runs.c.started_at.is_not(None))))
    engine.dispose()
    assert all(later - earlier > per - 1e-6 for earlier, later in zip(began, began[count:], strict=False))


def asking(queue: str):
    ask = prompt("ask", "Is it {what}?", output=str, models=["scripted:m"])

    @workflow(queue=queue)
    async def question(what: str) -> str:
        return (await ask(what=what)).value

    return question


@pytest.mark.parametrize("budget", ["$1/h", "150 tokens/h"])
async def test_no_run_begins_once_the_budget_is_spent_not_even_after_a_restart(database, budget):
    question, script = asking("q"), Script(lambda _: ANSWER)
    limits = [Queue("q", concurrency=1, budget=budget)]
    names = list("abcd")
    async with app_on(database, question, queues=limits, scripts={"m": script}) as app:
        for name in names:
            await app.start(question, name, run_id=name)
        # The first leaves some of the budget, the second uses it up.
        await until(lambda: len(script.requests) == 2)
        await until(lambda: not app.in_memory and not app._engine._queues._looking)
        assert await states(app, *names) == [RunState.COMPLETED] * 2 + [RunState.PENDING] * 2
        (status,) = await app.queues.list()
        assert status.reason == f"budget of {Budget.parse(budget)} used up"
        assert status.next_at is not None
        assert 3590 < status.next_at - time.time() <= 3600
    async with app_on(database, question, queues=limits, scripts={"m": script}) as app:
        await until(lambda: not app._engine._queues._looking and not app._engine._queues._wake.is_set())
        assert await states(app, "c") == [RunState.PENDING]
    more = [Queue("q", budget="$100/h")]
    async with app_on(database, question, queues=more, scripts={"m": script}) as app:
        await app.idle()
        assert await states(app, *names) == [RunState.COMPLETED] * 4


async def test_the_budget_frees_itself_and_the_next_run_is_woken(database):
    question, script = asking("q"), Script(lambda _: ANSWER)
    limits = [Queue("q", concurrency=1, budget=Budget(Money.usd("0.5"), per=0.5))]
    async with app_on(database, question, queues=limits, scripts={"m": script}) as app:
        runs = [await app.start(question, name) for name in "abc"]
        assert [await run.result(timeout=20) for run in runs] == ["yes"] * 3
        began = [(await app.runs.get(run.id)).started_at or 0.0 for run in runs]
        assert all(later - earlier >= 0.5 for earlier, later in pairwise(began))
