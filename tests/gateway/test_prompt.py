"""A prompt is checked at the line that declares it, typed, versioned, and durable or nothing."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any, Literal, assert_type

import pytest
from pydantic import BaseModel

from podium.domain.answers import Answer, Usage
from podium.domain.errors import InvalidDefinition, InvalidInput, NotInRun, NotSerialisable
from podium.domain.ids import RunId
from podium.domain.money import Money
from podium.domain.operations import Execute, Intent, OperationKind
from podium.domain.quality import Quality
from podium.gateway import Prompt, prompt
from podium.ports.run import RUN_ATTRIBUTE
from tests.gateway import support


class Reply(BaseModel):
    text: str


class Run:
    """The least that a prompt needs of a run: notes what it is to perform, and answers at once."""

    id = RunId("run-1")

    def __init__(self, value: object = None) -> None:
        self.value = value
        self.intents: list[Intent] = []

    def now(self) -> float:
        return 0.0

    def random(self) -> float:
        return 0.5

    def uuid(self) -> uuid.UUID:
        return uuid.UUID(int=0)

    async def perform(self, intent: Intent) -> Any:
        self.intents.append(intent)
        return answer(self.value)


def answer(value: object) -> Answer[Any]:
    return Answer(value, 0.9, Quality(), "scripted:a", Money(), Usage(), "p@12345678")


@pytest.fixture
def run():
    """A run that is executing on the test's event loop."""

    async def enter() -> Run:
        made = Run(support.Intent.REFUND)
        setattr(asyncio.get_running_loop(), RUN_ATTRIBUTE, made)
        return made

    return enter


def classify(**options: Any) -> Prompt[support.Intent]:
    return prompt("classify", "Classify: {text}", output=support.Intent, **options)


async def test_a_call_in_a_run_is_a_model_operation_that_the_run_performs(run):
    current = await run()
    asked = classify()
    result = await asked(text="hello")
    (intent,) = current.intents
    assert (intent.kind, intent.name) == (OperationKind.MODEL, "classify")
    assert isinstance(intent.request, Execute)
    assert intent.request.target is asked
    assert intent.request.arguments == {"text": "hello"}
    assert intent.request.policy.retries == 0
    assert intent.request.policy.reschedules > 0
    assert result.value is support.Intent.REFUND


async def test_the_answer_survives_its_journal(run):
    current = await run()
    await classify()(text="hello")
    codec = current.intents[0].codec
    stored = answer(support.Intent.BUG)
    assert codec.decode(codec.encode(stored)) == stored


async def test_the_fingerprint_is_of_the_arguments_alone(run):
    current = await run()
    await classify()(text="a")
    await classify(timeout=3)(text="a")
    await classify()(text="b")
    first, same, other = (intent.fingerprint for intent in current.intents)
    assert first == same != other


async def test_outside_a_run_a_call_is_refused_at_once():
    with pytest.raises(NotInRun) as raised:
        _ = classify()(text="hello")
    assert str(raised.value).startswith("prompt 'classify' was called outside a run")


def test_without_any_event_loop_too():
    with pytest.raises(NotInRun):
        _ = classify()(text="hello")


async def test_wrong_variables_are_refused_at_once(run):
    current = await run()
    with pytest.raises(InvalidInput, match=r"missing: text; unexpected: txt"):
        _ = classify()(txt="hello")
    with pytest.raises(NotSerialisable, match=r"a variable of prompt 'classify'.* text "):
        _ = classify()(text=object())
    assert current.intents == []


async def test_a_variable_may_be_called_self(run):
    current = await run()
    await prompt("p", "{self}")(self="me")
    assert current.intents[0].request == Execute(
        current.intents[0].request.target, {"self": "me"}, current.intents[0].request.policy
    )


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"name": ""}, "the name must be"),
        ({"name": "two words"}, "the name must be"),
        ({"name": "a:b#1"}, "the name must be"),
        ({"name": "x" * 65}, "the name must be"),
        ({"template": "{"}, "cannot be read"),
        ({"output": lambda text: text}, "output="),
        ({"models": "openai:gpt"}, "models= takes a list"),
        ({"models": ["gpt"]}, "names no model"),
        ({"models": ["openai:"]}, "names no model"),
        ({"models": ["a:b", "a:b"]}, "twice"),
        ({"timeout": 0}, "timeout=0"),
        ({"timeout": float("nan")}, "timeout=nan"),
        ({"timeout": float("inf")}, "timeout=inf"),
        ({"retries": -1}, "retries=-1"),
        ({"reasks": -1}, "reasks=-1"),
        ({"max_tokens": 0}, "max_tokens=0"),
        ({"temperature": -0.1}, "temperature=-0.1"),
        ({"validators": ["positive"]}, "no validator"),
        ({"validators": [Run.perform]}, "no validator"),
    ],
)
def test_a_declaration_that_can_never_work_is_refused_where_it_stands(options: dict[str, Any], problem: str):
    given = {"name": "classify", "template": "Classify: {text}", **options}
    with pytest.raises(InvalidDefinition) as raised:
        prompt(**given)
    assert problem in str(raised.value)
    assert str(raised.value).startswith("prompt ")


def test_the_version_is_eight_characters_and_the_same_for_the_same_prompt():
    assert classify().version == classify().version
    assert len(classify().version) == 8
    assert set(classify().version) <= set("0123456789abcdef")
    assert classify().reference == f"classify@{classify().version}"


def test_the_version_changes_with_whatever_changes_the_answer():
    versions = {
        classify().version,
        prompt("classify", "Classify this: {text}", output=support.Intent).version,
        prompt("classify", "Classify: {text}", output=Literal["refund", "bug"]).version,
        prompt("classify", "Classify: {text}").version,
        classify(system="Be quick.").version,
        classify(models=["a:b"]).version,
        classify(models=["b:a"]).version,
        classify(max_tokens=5).version,
        classify(temperature=0.0).version,
        classify(fallback_on_refusal=True).version,
    }
    assert len(versions) == 10


async def test_types_flow_from_the_declaration_to_the_answer(run):
    await run()
    intent = classify()
    text = prompt("reply", "Reply to {text}")
    several = prompt("several", "{text}", output=list[Reply])
    label = prompt("label", "{text}", output=Literal["a", "b"])
    maybe = prompt("maybe", "{text}", output=Reply | None)
    checked = prompt("checked", "{text}", output=Reply, validators=[lambda reply: reply.text and None])
    assert_type(intent, Prompt[support.Intent])
    assert_type(await intent(text="x"), Answer[support.Intent])
    assert_type((await intent(text="x")).value, support.Intent)
    assert_type(text, Prompt[str])
    assert_type(await text(text="x"), Answer[str])
    assert_type(several, Prompt[list[Reply]])
    assert_type(label, Prompt[Literal["a", "b"]])
    assert_type(maybe, Prompt[Reply | None])
    assert_type(checked, Prompt[Reply])
    both = await asyncio.gather(intent(text="x"), text(text="y"))
    assert_type(both, tuple[Answer[support.Intent], Answer[str]])
    assert [type(each) for each in both] == [Answer, Answer]
