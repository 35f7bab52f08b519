"""The tests of this repository run their workflows under forced replay too."""

from __future__ import annotations

import random as dice

import pytest

from podium import step, workflow
from podium.testing import NotDeterministic
from tests.support.apps import app_on
from tests.support.fixtures import database, empty_database

__all__ = ["database", "empty_database"]


@step
async def note(number: float) -> float:
    return number


@workflow
async def careless() -> float:
    return await note(dice.random())


async def test_an_app_of_the_tests_replays_its_runs_when_it_ends(database):
    with pytest.raises(NotDeterministic, match="careless"):
        async with app_on(database, careless) as app:
            await app.run(careless)


async def test_a_reason_excuses_it(database):
    async with app_on(database, careless, unreplayed="it throws dice of its own") as app:
        await app.run(careless)
