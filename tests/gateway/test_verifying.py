"""The verification before an answer is given to a similar question: only a plain yes counts, and all of it is paid for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from podium import (
    Budget,
    Likeness,
    Prompt,
    Scope,
    Semantic,
    prompt,
)
from podium.domain.answers import FailureKind
from podium.domain.budgets import Breach
from podium.domain.money import Money
from podium.gateway.budgets.budgets import Budgets
from podium.gateway.budgets.purse import Purses
from podium.providers import Script
from podium.providers.price_list import PriceList
from podium.providers.prices import Prices
from podium.settings import PriceSettings
from podium.storage.budgets import StoredBudgets
from tests.gateway.similar_support import ASKED, LIKE, OTHER_WORD, desk_on, helpdesk, paid, written
from tests.gateway.support import models
from tests.gateway.test_cache import Wall
from tests.storage.support import opened


@pytest.fixture
async def storage(tmp_path: Path):
    storage = await opened(tmp_path / "podium.db")
    yield storage
    await storage.close()


def verified_by(verify: Any) -> Prompt[str]:
    return helpdesk(semantic=Semantic(threshold=0.5, verify=verify))


async def test_a_verifying_model_may_let_other_words_pass_at_its_own_cost(storage):
    judge = Script([paid('{"value": true}', 3, "judge")])
    desk = desk_on(storage, a=[paid("Click on reset.")], judge=judge)
    asked = verified_by("scripted:judge")
    await desk.ask(asked, question=ASKED)
    answer = await desk.ask(asked, question=OTHER_WORD)
    assert (answer.value, answer.cost) == ("Click on reset.", Money(3))
    assert [(each.model, each.number, each.outcome) for each in answer.attempts] == [
        ("scripted:judge", 1, "accepted"),
        ("scripted:a", 2, "similar"),
    ]
    said = judge.requests[0].messages[-1].text
    assert all(text in said for text in (ASKED, OTHER_WORD, "Click on reset."))
    assert desk.recorded[1].raw == '{"value": true}'


@pytest.mark.parametrize("reply", ['{"value": false}', '{"value": true,}', "nonsense", "true"])
async def test_whatever_is_not_a_plain_yes_is_a_no_and_is_paid_for(storage, reply):
    desk = desk_on(storage, a=[paid("one"), paid("other")], judge=Script(lambda _: paid(reply, 3, "judge")))
    asked = verified_by("scripted:judge")
    await desk.ask(asked, question=ASKED)
    answer = await desk.ask(asked, question=OTHER_WORD)
    assert answer.value == "other"
    judged = [each for each in answer.attempts if each.model == "scripted:judge"]
    assert answer.cost == Money(7 + 3 * len(judged))
    assert [each.number for each in answer.attempts] == list(range(1, len(judged) + 2))


async def test_no_verifier_is_asked_about_another_number(storage):
    judge = Script([])
    desk = desk_on(storage, a=[paid("one"), paid("other")], judge=judge)
    asked = verified_by("scripted:judge")
    await desk.ask(asked, question="What is 2 and 2?")
    assert (await desk.ask(asked, question="What is 2 and 3?")).value == "other"
    assert not judge.requests


async def test_a_verifier_that_is_not_there_is_a_no(storage):
    desk = desk_on(storage, a=[paid("one"), paid("other")])
    asked = verified_by("nowhere:model")
    await desk.ask(asked, question=ASKED)
    assert (await desk.ask(asked, question=LIKE)).value == "other"


async def test_functions_may_verify_and_see_both_questions_and_the_answer(storage):
    pairs: list[Likeness] = []

    def agrees(pair: Likeness) -> bool:
        pairs.append(pair)
        return True

    async def agrees_too(pair: Likeness) -> bool:
        return agrees(pair)

    functions: tuple[Any, ...] = (agrees, agrees_too)
    for number, function in enumerate(functions):
        desk = desk_on(storage, a=[paid("Click on reset.")])
        asked = prompt(
            f"help{number}", "{q}", models=models("a"), cache="1d", semantic=Semantic(0.5, verify=function)
        )
        await desk.ask(asked, q=ASKED)
        assert (await desk.ask(asked, q=OTHER_WORD)).value == "Click on reset."
        await written(desk)
    assert [(each.question, each.earlier, each.value) for each in pairs] == [
        (OTHER_WORD, ASKED, "Click on reset.")
    ] * 2
    assert all(0.5 <= each.similarity < 1 for each in pairs)


def broken(_: Likeness) -> bool:
    raise ValueError("broken")


@pytest.mark.parametrize("function", [broken, lambda _: False, lambda _: "yes"])
async def test_a_function_that_fails_or_says_anything_but_true_is_a_no(storage, function: Any):
    desk = desk_on(storage, a=[paid("one"), paid("other")])
    asked = verified_by(function)
    await desk.ask(asked, question=ASKED)
    assert (await desk.ask(asked, question=LIKE)).value == "other"


async def test_a_prompt_of_ones_own_may_verify(storage):
    own = prompt("compare", "{question} / {earlier}", output=bool, models=models("judge"))
    judge = Script([paid('{"value": true}')])
    desk = desk_on(storage, a=[paid("Click on reset.")], judge=judge)
    await desk.ask(verified_by(own), question=ASKED)
    assert (await desk.ask(verified_by(own), question=LIKE)).attempts[-1].outcome == "similar"
    assert f'"{LIKE}" / "{ASKED}"' in judge.requests[0].messages[-1].text


async def test_a_verifier_is_bound_by_the_budgets_of_the_call(storage):
    wall = Wall()
    judge = Script([paid('{"value": true}', 3)])
    desk = desk_on(storage, wall, a=[paid("one"), paid("other")], judge=judge)
    small = Budget("1 tokens", per="day", scope=Scope.PROMPT, of="same_answer", breach=Breach.FAIL)
    budgets = Budgets(StoredBudgets(storage, "here", clock=wall), (small,), clock=wall)
    desk.gateway._purses = Purses(budgets, PriceList({}, Prices(PriceSettings())))
    await desk.ask(verified_by("scripted:judge"), question=ASKED)
    assert (await desk.ask(verified_by("scripted:judge"), question=LIKE)).value == "other"
    assert not judge.requests
    assert FailureKind.BUDGET in [each.failure for each in desk.recorded]
    await budgets.close()
