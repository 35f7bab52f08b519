"""What a queue may be declared as, and what a start may ask for."""

from __future__ import annotations

import datetime
import time

import pytest

from podium import Budget, InvalidDefinition, InvalidInput, Money, Podium, Queue, Rate, workflow
from podium.domain.queues import QueueUse, Room, Spent, Used, budget_used, room
from tests.support.apps import app_on


@workflow(queue="emails")
async def letter(to: str) -> str:
    return to


@workflow
async def urgent(priority: int) -> int:
    return priority


@pytest.mark.parametrize(
    ("text", "rate"),
    [("10/s", Rate(10)), ("100/min", Rate(100, 60)), (" 5 / 30s ", Rate(5, 30)), ("1/day", Rate(1, 86_400))],
)
def test_a_rate_is_written_as_people_say_it(text, rate):
    assert Rate.parse(text) == rate
    assert Rate.parse(str(rate)) == rate


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("$5/h", Budget(Money.usd("5"))),
        ("$0.50 / min", Budget(Money.usd("0.5"), 60)),
        ("200k tokens/h", Budget(200_000)),
        ("1.5M tokens/d", Budget(1_500_000, 86_400)),
    ],
)
def test_a_budget_is_money_or_tokens_in_a_period(text, budget):
    assert Budget.parse(text) == budget
    assert Queue("q", budget=text) == Queue("q", budget=budget)


@pytest.mark.parametrize(
    "declare",
    [
        lambda: Queue(""),
        lambda: Queue("a\nb"),
        lambda: Queue("q", concurrency=0),
        lambda: Queue("q", max_depth=0),
        lambda: Queue("q", rate="ten a second"),
        lambda: Queue("q", rate="0/s"),
        lambda: Queue("q", rate="5/0s"),
        lambda: Queue("q", rate="5/fortnight"),
        lambda: Queue("q", budget="5/h"),
        lambda: Queue("q", budget="$0/h"),
        lambda: Queue("q", budget="5 euros/h"),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused_where_it_is_declared(declare):
    with pytest.raises(InvalidDefinition):
        declare()


def test_a_workflow_whose_queue_is_missing_is_refused_at_start_up_with_what_to_do(tmp_path):
    with pytest.raises(InvalidDefinition, match=r"'letter' names the queue 'emails'.*queues=\["):
        Podium(tmp_path / "podium.db", workflows=[letter], queues=[Queue("letters")])


def test_a_queue_is_declared_once(tmp_path):
    with pytest.raises(InvalidDefinition, match="declared twice"):
        Podium(tmp_path / "podium.db", queues=[Queue("q"), Queue("q", concurrency=1)])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"queue": "unheard-of"}, "not declared"),
        ({"start_at": time.time(), "delay": 5}, "exclude"),
        ({"start_at": datetime.datetime(2030, 1, 1)}, "time zone"),
        ({"start_at": float("nan")}, "seconds"),
        ({"delay": "soon"}, "duration"),
        ({"priority": 2**40}, "whole number"),
        ({"debounce": ""}, "debounce key"),
        ({"debounce": "k", "run_id": "r"}, "exclude"),
    ],
)
async def test_a_place_that_cannot_be_had_is_refused_and_nothing_is_stored(database, options, message):
    async with app_on(database, letter, queues=[Queue("emails")]) as app:
        with pytest.raises(InvalidInput, match=message):
            await app.start(letter, "ada", **options)
        assert not await app.list()


async def test_only_runs_in_a_queue_can_be_put_off_or_ranked(database):
    async with app_on(database, urgent) as app:
        with pytest.raises(InvalidInput, match="for runs in a queue"):
            await app.start(urgent, 1, delay=5)


async def test_an_argument_is_never_taken_for_a_place_in_silence(database):
    async with app_on(database, urgent, queues=[Queue("q")]) as app:
        with pytest.raises(InvalidInput, match="by position"):
            await app.start(urgent, priority=3, queue="q")
        assert await app.run(urgent, 3, queue="q") == 3


def test_room_is_what_the_narrowest_limit_leaves():
    queue = Queue("q", concurrency=5, rate="10/s", budget="$1/h")
    assert room(Queue("q"), QueueUse()) == Room(None)
    assert room(queue, QueueUse(running=2, started=Used(8))).places == 2
    assert room(queue, QueueUse(running=4, started=Used(8))).places == 1


def test_a_closed_queue_says_what_it_waits_for_longest():
    queue = Queue("q", concurrency=5, rate="10/s", budget="$5/h")
    rate, spent = Used(10, 101.0), Used(5 * 10**9, 900.0)
    assert room(queue, QueueUse(started=rate)) == Room(0, "rate of 10/s used up", 101.0)
    assert room(queue, QueueUse(started=rate, spent=spent)) == Room(0, "budget of $5.00/h used up", 900.0)
    full = room(queue, QueueUse(running=5, started=rate, spent=spent))
    assert full == Room(0, "5 of 5 runs are at work")


def test_a_budget_is_free_again_when_enough_of_the_spending_is_an_hour_old():
    budget = Budget(100)
    calls = [
        Spent(1000.0, 60),
        Spent(2000.0, 30),
        Spent(3000.0, 60),
        Spent(-9000.0, 500),
        Spent(99_000.0, 500),
    ]
    assert budget_used(calls[:2], budget, 3000.0) == Used(90)
    assert budget_used(calls, budget, 3000.0) == Used(150, 4600.0)
    assert budget_used(calls, budget, 4600.0) == Used(90)
