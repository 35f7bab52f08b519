"""The path of a call, over scripted models and a clock that waits for nobody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from podium.domain.answers import CallAttempt, FailureKind, Usage
from podium.domain.errors import NoAnswer
from podium.domain.money import Money
from podium.domain.quality import Verdict
from podium.gateway import Prompt, prompt
from podium.ports.models import FinishReason, ModelFailure, ModelReply, ModelRequest, Role
from podium.providers import Providers, Script, say
from podium.settings import CassetteSettings
from tests.gateway.support import REFUND, Desk, Intent, failure, models, scripted

K = FailureKind


def classify(*names: str, **options: Any) -> Prompt[Intent]:
    return prompt("classify", "Classify: {text}", output=Intent, models=models(*names), **options)


def paid(text: str, nanos: int, logprob: float | None = None) -> ModelReply:
    spoken = say(text, logprob=logprob)
    return ModelReply(text, spoken.finish, Usage(10, 5), "m", spoken.tokens, Money(nanos))


async def test_an_answer_says_everything_needed_to_judge_it():
    desk = scripted(a=[paid(REFUND, 7, logprob=0.0)])
    asked = classify("a")
    answer = await desk.ask(asked, text="money back")
    assert answer.value is Intent.REFUND
    assert answer.confidence == 1.0
    assert answer.quality.verdict is Verdict.CLEAN
    assert (answer.model, answer.prompt) == ("scripted:a", asked.reference)
    assert (answer.usage, answer.cost) == (Usage(10, 5), Money(7))
    assert len(answer.attempts) == 1


async def test_a_model_is_told_the_form_and_the_filled_template():
    script = Script([REFUND])
    await scripted(a=script).ask(
        classify("a", system="Be brief.", max_tokens=50, temperature=0.0), text="{x}"
    )
    (request,) = script.requests
    system, user = request.messages
    assert (system.role, user.role) == (Role.SYSTEM, Role.USER)
    assert system.text.startswith("Be brief.\n\nAnswer with one JSON object")
    assert user.text == "Classify: {x}"
    assert request.schema is not None
    assert (request.schema_name, request.max_tokens, request.temperature) == ("classify", 50, 0.0)


async def test_free_text_needs_no_system_message_and_loses_only_the_space_around_it():
    script = Script([" Dear Ada,\n{not json}\n"])
    answer = await scripted(a=script).ask(prompt("reply", "{text}", models=models("a")), text="hi")
    assert answer.value == "Dear Ada,\n{not json}"
    (request,) = script.requests
    assert [message.role for message in request.messages] == [Role.USER]
    assert request.schema is None


async def test_the_ledger_holds_prompt_and_reply_and_the_answer_carries_neither():
    desk = scripted(a=['{"value": "refnd"}', REFUND])
    answer = await desk.ask(classify("a"), text="hi")
    first, second = desk.recorded
    assert first.raw == '{"value": "refnd"}'
    assert first.prompt.endswith("[user]\nClassify: hi")
    assert "[assistant]\n" + first.raw in second.prompt
    assert [each.number for each in answer.attempts] == [1, 2]
    assert all(each.prompt == each.raw == "" for each in answer.attempts)
    assert [each.failure for each in answer.attempts] == [K.INVALID_SCHEMA, None]


async def test_each_attempt_is_recorded_before_the_next_is_made():
    seen: list[int] = []
    recorded: list[CallAttempt] = []

    def look(request: ModelRequest) -> str:
        seen.append(len(recorded))
        return "not json"

    desk = scripted(a=look)
    desk.recorded = recorded
    with pytest.raises(NoAnswer):
        await desk.ask(classify("a", reasks=2), text="hi")
    assert seen == [0, 1, 2]


async def test_usage_and_cost_are_those_of_all_attempts():
    desk = scripted(a=[paid("nonsense", 3), paid("nonsense", 4)], b=[paid(REFUND, 5)])
    answer = await desk.ask(classify("a", "b"), text="hi")
    assert (answer.usage, answer.cost) == (Usage(30, 15), Money(12))
    assert answer.model == "scripted:b"


async def test_what_a_failed_request_cost_counts_too():
    cut = ModelFailure(K.RESET, "cut", usage=Usage(8, 2), cost=Money(9))
    answer = await scripted(a=[cut, paid(REFUND, 1)]).ask(classify("a"), text="hi")
    assert (answer.usage, answer.cost) == (Usage(18, 7), Money(10))


async def test_a_mistake_is_shown_once_with_only_the_latest_error():
    script = Script(["first nonsense", '{"value": "refnd"}', REFUND])
    answer = await scripted(a=script).ask(classify("a", reasks=2), text="hi")
    assert answer.value is Intent.REFUND
    opening = list(script.requests[0].messages)
    *start, said, correction = script.requests[2].messages
    assert start == opening
    assert (said.role, said.text) == (Role.ASSISTANT, '{"value": "refnd"}')
    assert correction.role is Role.USER
    assert "Input should be 'refund' or 'bug', not \"refnd\"" in correction.text
    assert "first nonsense" not in correction.text


async def test_a_long_reply_is_echoed_in_part():
    script = Script(["x" * 100_000, REFUND])
    await scripted(a=script).ask(classify("a"), text="hi")
    assert len(script.requests[1].messages[-2].text) == 4000


async def test_a_validator_is_a_reason_to_ask_again():
    class Price(BaseModel):
        amount: int

    script = Script(['{"amount": -1}', '{"amount": 1}'])
    asked = prompt(
        "price",
        "{text}",
        output=Price,
        models=models("a"),
        validators=[lambda price: "amount must be positive" if price.amount < 0 else None],
    )
    answer = await scripted(a=script).ask(asked, text="hi")
    assert answer.value == Price(amount=1)
    assert "amount must be positive" in script.requests[1].messages[-1].text


async def test_a_broken_validator_ends_the_call_with_its_place():
    def broken(intent: Intent) -> str | None:
        raise KeyError(intent)

    desk = scripted(a=[REFUND], b=[REFUND])
    with pytest.raises(NoAnswer, match=r"validator broken raised KeyError at test_gateway\.py:\d+"):
        await desk.ask(classify("a", "b", validators=[broken]), text="hi")
    assert desk.story == [("scripted:a", "bad_request", "fail")]


async def test_after_its_reasks_a_model_makes_way_for_the_next():
    desk = scripted(a=["no", "no"], b=[REFUND])
    answer = await desk.ask(classify("a", "b"), text="hi")
    assert answer.model == "scripted:b"
    assert desk.story == [
        ("scripted:a", "invalid_syntax", "reask"),
        ("scripted:a", "invalid_syntax", "next"),
        ("scripted:b", None, "accepted"),
    ]


async def test_the_next_candidate_starts_from_the_opening():
    script = Script([REFUND])
    await scripted(a=["no", "no"], b=script).ask(classify("a", "b"), text="hi")
    assert len(script.requests[0].messages) == 2


async def test_help_lowers_quality_and_confidence():
    desk = scripted(a=[say("{'value': 'refund'}", logprob=0.0)])
    answer = await desk.ask(classify("a"), text="hi")
    assert answer.value is Intent.REFUND
    assert answer.quality.verdict is Verdict.SUSPECT
    assert answer.confidence == pytest.approx(0.74)


async def test_candidates_that_cannot_be_called_are_skipped():
    desk = scripted(a=[REFUND])
    asked = prompt(
        "classify", "{text}", output=Intent, models=["openai:gpt", "nobody:m", "scripted:x", "scripted:a"]
    )
    answer = await desk.ask(asked, text="hi")
    assert answer.model == "scripted:a"
    assert [failed for _, failed, _ in desk.story] == ["unavailable"] * 3 + [None]
    assert all(each.prompt == "" for each in desk.recorded[:3])


async def test_when_no_candidate_can_be_called_the_error_names_the_variables():
    asked = prompt("classify", "{text}", output=Intent, models=["openai:gpt", "anthropic:claude"])
    with pytest.raises(NoAnswer) as raised:
        await scripted().ask(asked, text="hi")
    said = str(raised.value)
    assert "OPENAI_API_KEY" in said
    assert "ANTHROPIC_API_KEY" in said


async def test_the_error_says_what_each_candidate_came_to_and_what_to_do():
    desk = scripted(a=["no", "no"], b=[failure(K.AUTHENTICATION)])
    asked = classify("a", "b")
    with pytest.raises(NoAnswer) as raised:
        await desk.ask(asked, text="hi")
    assert str(raised.value) == (
        f"Prompt {asked.reference} got no answer. "
        "scripted:a: invalid syntax: the reply holds no JSON object (2 requests); "
        "scripted:b: authentication: it was authentication. "
        "Make the template or the output type plainer, raise reasks=, or add a stronger model in models=. "
        "Check the key and the account behind it, or add a candidate of another provider in models=."
    )


async def test_text_from_models_is_made_fit_to_be_shown_and_stored():
    nasty = say("no \x1b[31m\u202e red \ud800", finish=FinishReason.REFUSAL)
    desk = scripted(a=[nasty])
    with pytest.raises(NoAnswer) as raised:
        await desk.ask(classify("a"), text="hi")
    assert str(raised.value).isprintable()
    assert desk.recorded[0].message.isprintable()
    assert desk.recorded[0].raw.encode()


async def test_a_cost_says_whose_price_it_is_and_one_that_nobody_knows_is_flagged():
    known = ModelReply("nonsense", FinishReason.STOP, Usage(10, 5), "m", (), Money(7), "genai-prices 1.2.3")
    unknown = ModelReply(REFUND, FinishReason.STOP, Usage(10, 5), "m")
    desk = scripted(a=[known], b=[unknown])
    answer = await desk.ask(classify("a", "b", reasks=0), text="money back")
    assert [(each.price_table, each.priced) for each in desk.recorded] == [
        ("genai-prices 1.2.3", True),
        ("", False),
    ]
    assert (answer.cost, answer.priced) == (Money(7), False)


async def test_a_request_that_used_nothing_has_no_price_to_be_known():
    desk = scripted(a=[failure(K.CONNECT), paid(REFUND, 7)])
    answer = await desk.ask(classify("a"), text="money back")
    assert [each.priced for each in answer.attempts] == [True, True]
    assert answer.priced


async def test_a_miss_in_a_cassette_ends_the_call_so_that_no_other_candidate_covers_it_up(tmp_path: Path):
    other = Script([REFUND])
    (tmp_path / "desk.jsonl").touch()
    providers = Providers({}, scripts={"b": other}, cassettes=CassetteSettings(tmp_path))
    asked = prompt("classify", "Classify: {text}", output=Intent, models=["replay:desk", "scripted:b"])
    with pytest.raises(NoAnswer, match="replay:desk: bad request: replay:desk holds no recording at all"):
        await Desk(providers).ask(asked, text="money back")
    assert other.requests == []
