"""The semantic cache: who asks something very like it gets the earlier answer, marked, guarded and verified."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from podium import (
    Image,
    Podium,
    PromptPolicy,
    Semantic,
    Settings,
    prompt,
    workflow,
)
from podium.app.models import check_models
from podium.cli.timeline import print_timeline
from podium.domain.answers import AnyAnswer, Usage
from podium.domain.errors import InvalidDefinition, InvalidInput
from podium.domain.ids import RunId
from podium.domain.money import Money
from podium.domain.operations import Execute
from podium.domain.quality import Verdict
from podium.domain.retries import RetryPolicy
from podium.ports.execution import AttemptContext
from podium.providers import Script, embeddings
from podium.providers.embeddings import StaticEmbeddings
from podium.storage import similar_questions
from tests.gateway.similar_support import ASKED, LIKE, OTHER_WORD, desk_on, helpdesk, paid, written
from tests.gateway.support import ignore, models
from tests.gateway.test_cache import DAY, Wall
from tests.storage.support import opened


@pytest.fixture
async def storage(tmp_path: Path):
    storage = await opened(tmp_path / "podium.db")
    yield storage
    await storage.close()


async def test_a_question_like_an_earlier_one_gets_its_answer_and_says_so(storage):
    desk = desk_on(storage, a=[paid("Click on reset.")])
    await desk.ask(helpdesk(), question=ASKED)
    answer = await desk.ask(helpdesk(), question=LIKE)
    assert (answer.value, answer.cost, answer.usage) == ("Click on reset.", Money(), Usage())
    assert answer.quality.verdict is Verdict.DEGRADED
    assert "similar question" in answer.quality.reasons[0]
    [attempt] = answer.attempts
    assert attempt.outcome == "similar"
    assert ASKED in attempt.message
    assert "alike" in attempt.message
    assert [each.outcome for each in desk.recorded] == ["accepted", "similar"]


async def test_it_is_found_after_a_restart_until_the_answer_expires(storage):
    wall = Wall()
    before = desk_on(storage, wall, a=[paid("Click on reset.")])
    await before.ask(helpdesk(), question=ASKED)
    await written(before)
    wall.now += DAY - 1
    assert (await desk_on(storage, wall, a=[]).ask(helpdesk(), question=LIKE)).value == "Click on reset."
    wall.now += 2
    assert (await desk_on(storage, wall, a=[paid("Anew.")]).ask(helpdesk(), question=LIKE)).value == "Anew."


async def test_what_was_given_for_another_question_is_not_kept_as_its_own_answer(storage):
    # Else likeness would creep from question to question.
    script = Script([paid("Click on reset."), paid("Ask again.")])
    desk = desk_on(storage, a=script)
    await desk.ask(helpdesk(), question=ASKED)
    for _ in range(2):
        assert (await desk.ask(helpdesk(), question=LIKE)).attempts[-1].outcome == "similar"
    exact = helpdesk(semantic=None)
    assert (await desk.ask(exact, question=LIKE)).value == "Ask again."


@pytest.mark.parametrize(
    "other",
    [
        "How do I not reset my password?",
        "How do I reset my password 2 times?",
        "How do I reset Ann password?",
        OTHER_WORD,
        "My exchange rate is wrong",
    ],
)
async def test_a_number_a_name_a_negation_or_any_other_word_is_another_question(storage, other):
    desk = desk_on(storage, a=[paid("one"), paid("other")])
    await desk.ask(helpdesk(semantic=Semantic(threshold=0.1)), question=ASKED)
    assert (await desk.ask(helpdesk(semantic=Semantic(threshold=0.1)), question=other)).value == "other"


async def test_below_the_threshold_models_are_asked(storage):
    desk = desk_on(storage, a=[paid("one"), paid("other")])
    exacting = helpdesk(semantic=Semantic(threshold=1.0))
    await desk.ask(exacting, question=ASKED)
    assert (await desk.ask(exacting, question=LIKE)).value == "other"


async def test_only_prompts_that_permit_it_get_answers_to_other_questions(storage):
    desk = desk_on(storage, a=[paid("one"), paid("other")])
    await desk.ask(helpdesk(semantic=None), question=ASKED)
    assert (await desk.ask(helpdesk(semantic=None), question=LIKE)).value == "other"


async def test_tenants_share_nothing(storage):
    desk = desk_on(storage, a=[paid("ada's"), paid("bob's")])

    async def ask(tenant: str, question: str) -> AnyAnswer:
        context = AttemptContext(RunId("r"), "k#1", 1, "once", desk.recorded.append, ignore, tenant=tenant)
        return await desk.gateway.execute(Execute(helpdesk(), {"question": question}, RetryPolicy()), context)

    await ask("ada", ASKED)
    assert (await ask("bob", LIKE)).value == "bob's"
    assert (await ask("ada", LIKE)).value == "ada's"


async def test_every_other_variable_must_be_equal(storage):
    two = helpdesk(template="{name} of {city} asks: {question}", semantic=Semantic(0.8, of="question"))
    desk = desk_on(storage, a=[paid("Ann's"), paid("Bob's"), paid("elsewhere")])
    await desk.ask(two, name="Ann", city="Rome", question=ASKED)
    assert (await desk.ask(two, name="Bob", city="Rome", question=LIKE)).value == "Bob's"
    assert (await desk.ask(two, name="Ann", city="Bonn", question=LIKE)).value == "elsewhere"
    assert (await desk.ask(two, name="Ann", city="Rome", question=LIKE)).value == "Ann's"


@pytest.mark.parametrize(
    "other", [{"system": "Be brief."}, {"max_tokens": 5}, {"template": "Say: {question}"}]
)
async def test_whatever_may_change_the_answer_must_be_equal(storage, other):
    desk = desk_on(storage, a=[paid("one"), paid("other")])
    await desk.ask(helpdesk(), question=ASKED)
    assert (await desk.ask(helpdesk(**other), question=LIKE)).value == "other"


async def test_only_clean_answers_are_given_again(storage):
    desk = desk_on(storage, a=['{"value": 1,}', paid('{"value": 2}')])
    number = prompt("number", "{q}", output=int, models=models("a"), cache="1d", semantic=Semantic(0.8))
    assert (await desk.ask(number, q=ASKED)).quality.verdict is not Verdict.CLEAN
    assert (await desk.ask(number, q=LIKE)).value == 2


async def test_questions_beside_pictures_and_long_ones_are_never_alike(storage):
    shown = helpdesk(template="{question} {picture}", semantic=Semantic(0.8, of="question"))
    picture = Image(b"\x89PNG", "image/png")
    desk = desk_on(storage, a=[paid(str(number)) for number in range(4)])
    await desk.ask(shown, question=ASKED, picture=picture)
    assert (await desk.ask(shown, question=LIKE, picture=picture)).value == "1"
    long = "really " * 400
    await desk.ask(helpdesk(), question=long + ASKED)
    assert (await desk.ask(helpdesk(), question=long + LIKE)).value == "3"


async def test_the_latest_questions_are_kept_and_those_without_an_answer_go(storage):
    wall = Wall()
    desk = desk_on(storage, wall, most=3, a=[paid(f"{number}") for number in range(6)])
    for number in range(5):
        wall.now += 1
        await desk.ask(helpdesk(), question=f"What is {number}?")
        await desk.gateway._similar._write()  # type: ignore[union-attr]
    assert await storage.read(similar_questions.count) == 3
    wall.now += 2 * DAY
    await desk.ask(helpdesk(), question="What is 9?")
    await written(desk)
    assert await storage.read(similar_questions.count) == 1


async def test_without_embeddings_models_are_asked_and_it_is_said_once(storage, monkeypatch, caplog):
    desk = desk_on(storage, a=[paid("one"), paid("other")])

    def missing() -> None:
        raise InvalidInput("pip install 'podium[semantic]'")

    absent = StaticEmbeddings()
    monkeypatch.setattr(absent, "check", missing)
    desk.gateway._similar._embeddings = absent  # type: ignore[union-attr]
    await desk.ask(helpdesk(), question=ASKED)
    assert (await desk.ask(helpdesk(), question=LIKE)).value == "other"
    assert caplog.text.count("podium[semantic]") == 1


async def test_what_another_process_was_asked_is_found_too(storage):
    wall = Wall()
    here, there = (
        desk_on(storage, wall, a=[paid("zero")]),
        desk_on(storage, wall, a=[paid("Click on reset.")]),
    )
    await here.ask(helpdesk(), question="What is the exchange rate?")
    await there.ask(helpdesk(), question=ASKED)
    await written(there)
    assert (await here.ask(helpdesk(), question=LIKE)).value == "Click on reset."


def test_looking_ahead_asks_for_the_embeddings_that_prompts_need(monkeypatch):
    local = [replace(helpdesk(), policy=PromptPolicy(models=("scripted:a",)))]
    monkeypatch.setattr(embeddings, "_DISTRIBUTION", "no-such-distribution")
    with pytest.raises(InvalidInput, match=r"podium\[semantic\]"):
        check_models(local, Settings(), {})


# --- definitions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"cache": None}, "needs cache="),
        ({"cache": 0}, "needs cache="),
        ({"temperature": 0.7}, "sampled=True"),
        ({"semantic": Semantic(of="nobody")}, "nobody"),
        ({"semantic": Semantic(verify="smollm2")}, "names no model"),
        ({"semantic": Semantic(verify=prompt("v", "{question}"))}, "bool"),
        ({"semantic": Semantic(verify=prompt("v", "{else_}", output=bool))}, "only have"),
        ({"template": "{a} {b}"}, "of="),
        ({"template": "{ticket.text}"}, "as a whole"),
        ({"template": "Hello"}, "of="),
    ],
)
def test_what_could_never_work_is_refused_when_it_is_written(options, problem):
    given: dict[str, Any] = {"template": "{q}", "cache": "1d", "semantic": Semantic(), **options}
    with pytest.raises(InvalidDefinition, match=problem):
        prompt("ask", given.pop("template"), **given)


def test_it_is_no_part_of_the_version():
    assert helpdesk().version == helpdesk(semantic=None).version


asked_twice = prompt("twice", "Answer: {question}", models=models("a"), cache="1h", semantic=Semantic(0.8))


@workflow
async def ask_twice(_: str) -> list[str]:
    first = await asked_twice(question=ASKED)
    again = await asked_twice(question=LIKE)
    return [first.value, again.value, again.quality.verdict.value]


async def test_the_timeline_shows_that_the_answer_was_another_questions(tmp_path: Path):
    async with Podium(
        tmp_path / "podium.db", workflows=[ask_twice], scripts={"a": Script(["Click on reset."])}
    ) as app:
        run = await app.start(ask_twice, "go")
        assert await run.result() == ["Click on reset.", "Click on reset.", "degraded"]
        timeline = await run.timeline()
        calls = [each.call for operation in timeline.operations for each in operation.attempts]
    assert [each.outcome for each in calls if each is not None] == ["accepted", "similar"]
    assert ASKED in (calls[-1].message if calls[-1] is not None else "")
    shown = io.StringIO()
    print_timeline(Console(file=shown, width=400), timeline, full=False)
    assert "[degraded] Click on reset." in shown.getvalue()
    assert "similar" in shown.getvalue()
    assert ASKED in shown.getvalue()
