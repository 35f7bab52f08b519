"""The routing benchmark counts what counting by hand from the recorded files comes to."""

from __future__ import annotations

import gzip
import json
import re
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

import pytest

from benchmarks import routing
from benchmarks.bench import NothingToMeasure
from benchmarks.routing import CASCADE, CHEAP, CORPUS, MODELS, STRONG
from podium.providers import Providers
from podium.settings import CassetteSettings

# US dollars per million tokens in and out, written down by hand from the vendors' and hosts' price lists.
PRICES = {
    "gemma-2-2b-it": ("0.02", "0.06"),
    "Qwen2-7B-Instruct": ("0.054", "0.054"),
    "Meta-Llama-3.1-8B-Instruct": ("0.18", "0.18"),
    "gemini-1.5-flash": ("0.075", "0.3"),
    "gpt-4o-mini-2024-07-18": ("0.15", "0.6"),
    "claude-3-haiku-20240307": ("0.25", "1.25"),
    "Meta-Llama-3.1-70B-Instruct": ("0.88", "0.88"),
    "deepseek-chat": ("0.27", "1.1"),
    "claude-3-5-haiku-20241022": ("0.8", "4"),
    "gemini-1.5-pro": ("1.25", "5"),
    "gpt-4o-2024-08-06": ("2.5", "10"),
    "claude-3-5-sonnet-20241022": ("3", "15"),
}
# The worst at JSON, the best value, and the one whose line breaks need repair most often.
IN_FULL = ("gemma-2-2b-it", "gpt-4o-mini-2024-07-18", "claude-3-haiku-20240307")

needs_corpus = pytest.mark.skipif(
    not CORPUS.is_dir(), reason="needs the recorded replies under $PODIUM_CORPORA"
)


def rows(name: str) -> list[dict[str, Any]]:
    with gzip.open(CORPUS / name, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


class ByHand:
    """What the files say, counted without any of the gateway's code."""

    def __init__(self) -> None:
        self.questions = rows("gsm_questions.jsonl.gz")
        self.outputs = {(row["model"], row["id"]): row["output"] for row in rows("gsm_outputs.jsonl.gz")}

    def is_right(self, model: str, question: dict[str, Any]) -> bool:
        said = answer_in(self.outputs[model, question["id"]])
        numbers = re.findall(r"-?[0-9]+(?:[.][0-9]+)?", said.replace(",", ""))
        return bool(numbers) and float(numbers[0]) == float(question["answer"].replace(",", ""))

    def nanos(self, model: str, question: dict[str, Any]) -> int:
        read, written = (Decimal(price) for price in PRICES[model])
        tokens_in = (len(question["prompt"]) + 3) // 4
        tokens_out = (len(self.outputs[model, question["id"]]) + 3) // 4
        # A dollar per million tokens is a thousand billionths per token.
        return int(((tokens_in * read + tokens_out * written) * 1000).quantize(Decimal(1), ROUND_HALF_EVEN))


def answer_in(output: str) -> str:
    """What stands after the last `"answer":`, or nothing when there is no such member, or no end of the object."""
    found = re.findall(r'"answer"\s*:\s*"?([^"}\n]*)', output)
    return found[-1] if found and "}" in output else ""


async def told_by(model: str, questions: list[routing.Question], folder: Path) -> list[routing.Told]:
    cassettes = CassetteSettings(folder)
    await routing.record(questions, cassettes, [model])
    ask = routing.asked_of(model, Providers({}, cassettes=cassettes))
    return [await ask(question) for question in questions]


@needs_corpus
@pytest.mark.parametrize("model", MODELS)
async def test_each_answer_of_a_sample_is_right_and_costs_as_by_hand(model: str, tmp_path: Path):
    by_hand = ByHand()
    step = 1 if model in IN_FULL else 12
    asked = by_hand.questions[::step]
    questions = routing.read_questions()[::step]
    told = await told_by(model, questions, tmp_path)
    assert len(told) == len(asked) >= 100
    for ours, question, row in zip(told, questions, asked, strict=True):
        assert ours.cost.nanos == by_hand.nanos(model, row)
        assert (ours.number == question.answer) is by_hand.is_right(model, row), row["id"]
        # Whatever gave no number says why.
        assert (ours.number is None) is (ours.fault is not None)
    tally = await routing.answer_all(model, questions, CassetteSettings(tmp_path))
    assert tally.right == sum(by_hand.is_right(model, row) for row in asked)
    assert tally.cost.nanos == sum(by_hand.nanos(model, row) for row in asked)
    assert tally.rejected == sum(ours.number is None for ours in told)


@needs_corpus
async def test_the_cascade_asks_the_strong_model_only_where_the_cheap_ones_differ(tmp_path: Path):
    questions = routing.read_questions()[::12]
    cassettes = CassetteSettings(tmp_path)
    await routing.record(questions, cassettes, (*CHEAP, STRONG))
    by_hand = ByHand()
    right = nanos = 0
    for question, row in zip(questions, by_hand.questions[::12], strict=True):
        said = {model: routing.number_in(answer_in(question.replies[model])) for model in (*CHEAP, STRONG)}
        agreed = said[CHEAP[0]] == said[CHEAP[1]] is not None
        right += said[CHEAP[0] if agreed else STRONG] == question.answer
        nanos += sum(by_hand.nanos(model, row) for model in (CHEAP if agreed else (*CHEAP, STRONG)))
    tally = await routing.answer_all(CASCADE, questions, cassettes)
    assert (tally.right, tally.cost.nanos) == (right, nanos)
    alone = await routing.answer_all(STRONG, questions, cassettes)
    assert tally.cost < alone.cost


def test_a_table_of_prices_is_written_down_for_each_model():
    assert set(PRICES) == set(MODELS)


def test_without_the_recorded_replies_it_is_said_where_they_would_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(routing, "CORPUS", tmp_path / "missing")
    with pytest.raises(NothingToMeasure, match="name their folder in PODIUM_CORPORA"):
        routing.read_questions()


@pytest.mark.parametrize(
    ("text", "number"),
    [("$1,234.50 in all", "1234.50"), ("-3", "-3"), (18, "18"), (2.5, "2.5"), ("70%", "70"), ("none", None)],
)
def test_the_first_number_of_an_answer_counts(text: str | float, number: str | None):
    assert routing.number_in(text) == (None if number is None else Decimal(number))
