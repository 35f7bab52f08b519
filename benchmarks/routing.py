"""What routing is worth: twelve models' recorded answers to 1,319 questions, replayed through the gateway.

The replies are real ones, collected by WildEval/ZeroEval on the questions of GSM8K; cassettes are made of them in a
folder that is removed afterwards. What the collection does not say is taken so: a token is 4 characters, and prices
are those of today's table at the provider named in `MODELS`.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path

from pydantic import BaseModel

from benchmarks.bench import Bench, NothingToMeasure
from benchmarks.contest import ROOT
from benchmarks.figures import Figure, median
from podium import prompt
from podium.domain.answers import AnyAnswer, CallAttempt, FailureKind, Usage
from podium.domain.errors import NoAnswer
from podium.domain.ids import RunId
from podium.domain.money import Money
from podium.domain.operations import Execute
from podium.domain.quality import Verdict
from podium.domain.retries import RetryPolicy
from podium.gateway.conversation import opening
from podium.gateway.gateway import Gateway
from podium.gateway.policy import CallPolicy
from podium.ports.execution import AttemptContext
from podium.ports.models import FinishReason, ModelReply, ModelRequest
from podium.providers import Providers, Script
from podium.providers.prices import Prices, Tokens
from podium.settings import CassetteSettings, GatewaySettings

CORPUS = Path(os.environ.get("PODIUM_CORPORA", ROOT.parent / "shared" / "data")) / "routing"
CHARACTERS_A_TOKEN = 4

MODELS: Mapping[str, tuple[str, str]] = {
    "gemma-2-2b-it": ("huggingface_nebius", "google/gemma-2-2b-it"),
    "Qwen2-7B-Instruct": ("novita", "qwen/qwen-2-7b-instruct"),
    "Meta-Llama-3.1-8B-Instruct": ("together", "meta-llama/Meta-Llama-3.1-8B-Instruct-Turbo"),
    "gemini-1.5-flash": ("google", "gemini-1.5-flash"),
    "gpt-4o-mini-2024-07-18": ("openai", "gpt-4o-mini-2024-07-18"),
    "claude-3-haiku-20240307": ("anthropic", "claude-3-haiku-20240307"),
    "Meta-Llama-3.1-70B-Instruct": ("together", "meta-llama/Meta-Llama-3.1-70B-Instruct-Turbo"),
    "deepseek-chat": ("deepseek", "deepseek-chat"),
    "claude-3-5-haiku-20241022": ("anthropic", "claude-3-5-haiku-20241022"),
    "gemini-1.5-pro": ("google", "gemini-1.5-pro"),
    "gpt-4o-2024-08-06": ("openai", "gpt-4o-2024-08-06"),
    "claude-3-5-sonnet-20241022": ("anthropic", "claude-3-5-sonnet-20241022"),
}
"""The models that were recorded, cheapest first, and under which provider and name the price table has them. Open
models have as many prices as there are hosts; the host is chosen once, here."""

CHEAP = ("gemini-1.5-flash", "gpt-4o-mini-2024-07-18")
STRONG = "claude-3-5-sonnet-20241022"
CASCADE = "two cheap agree, else strong"

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


class Solution(BaseModel):
    """What the models were asked for. The answer is a number, which most of them wrote as text."""

    reasoning: str
    answer: str | int | float


def has_a_number(solution: Solution) -> str | None:
    return None if number_in(solution.answer) is not None else "answer must be a number"


solve = prompt("solve", "{question}", output=Solution, validators=[has_a_number])


@dataclass(frozen=True, slots=True)
class Question:
    """A question as it was put to the models, with the right answer, and each model's reply by its name."""

    text: str
    answer: Decimal
    replies: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Told:
    """What came of asking once: the number or why there is none, what it cost, whether its text needed help."""

    number: Decimal | None
    cost: Money
    repaired: bool = False
    fault: FailureKind | None = None


@dataclass(slots=True)
class Tally:
    """What came of all questions. `seconds` are of processor time."""

    asked: int = 0
    right: int = 0
    repaired: int = 0
    rejected: int = 0
    cost: Money = field(default_factory=Money)
    seconds: float = 0.0


Way = Callable[[Question], Awaitable[Told]]


def measure(bench: Bench) -> tuple[Figure, ...]:
    questions = read_questions(bench.size)
    bench.say("recording")
    cassettes = CassetteSettings(bench.folder)
    asyncio.run(record(questions, cassettes))
    rows = (*MODELS, CASCADE)
    tallies: dict[str, Tally] = {}

    def seconds(row: str) -> float:
        tallies[row] = asyncio.run(answer_all(row, questions, cassettes))
        return tallies[row].seconds

    samples = bench.take_turns(*(partial(seconds, row) for row in rows))
    return tuple(
        figure
        for row, taken in zip(rows, samples, strict=True)
        for figure in _figures(row, tallies[row], taken)
    )


def read_questions(size: Callable[[int], int] = lambda all_of_them: all_of_them) -> list[Question]:
    """Return the questions, or as many of them as `size` says of their number; raises `NothingToMeasure`."""
    if not CORPUS.is_dir():
        raise NothingToMeasure("the recorded replies are not here: name their folder in PODIUM_CORPORA")
    replies: dict[str, dict[str, str]] = {}
    for row in _rows("gsm_outputs.jsonl.gz"):
        replies.setdefault(row["id"], {})[row["model"]] = row["output"]
    rows = _rows("gsm_questions.jsonl.gz")
    return [
        Question(row["prompt"], Decimal(row["answer"].replace(",", "")), replies[row["id"]])
        for row in rows[: size(len(rows))]
    ]


async def record(
    questions: Sequence[Question], cassettes: CassetteSettings, models: Iterable[str] = MODELS
) -> None:
    """Write a cassette for each of the models, as if it had been called with each question."""
    prices = Prices()
    policy = CallPolicy.merged(GatewaySettings(), solve.policy)
    for model in models:
        script = Script([_reply(model, question, MODELS[model], prices) for question in questions])
        providers = Providers({}, scripts={model: script}, cassettes=cassettes)
        recorder, name = providers.find(f"record:scripted:{model}")
        for question in questions:
            request = ModelRequest(
                opening(solve, {"question": question.text}),
                policy.limits,
                solve.output.schema,
                solve.name,
                policy.max_tokens,
            )
            await recorder.complete(name, request)


async def answer_all(row: str, questions: Sequence[Question], cassettes: CassetteSettings) -> Tally:
    """Answer every question through the gateway, as `row` says: by a model, or by the cascade."""
    providers = Providers({}, cassettes=cassettes)
    way = _cascade(providers) if row == CASCADE else asked_of(row, providers)
    tally = Tally()
    # Reading the cassettes is no part of answering.
    for model in (*CHEAP, STRONG) if row == CASCADE else (row,):
        await asked_of(model, providers)(questions[0])
    started = time.process_time()
    for question in questions:
        told = await way(question)
        tally.asked += 1
        tally.right += told.number == question.answer
        tally.repaired += told.repaired
        tally.rejected += told.number is None
        tally.cost += told.cost
    tally.seconds = time.process_time() - started
    await providers.close()
    return tally


def number_in(text: str | float) -> Decimal | None:
    """Return the first number in `text`, commas between its digits left out; None when there is none."""
    found = _NUMBER.search(str(text).replace(",", ""))
    return Decimal(found[0]) if found else None


def tokens_of(text: str) -> int:
    """Return how many tokens `text` is taken for."""
    return -(-len(text) // CHARACTERS_A_TOKEN)


def asked_of(model: str, providers: Providers) -> Way:
    """Return the way to ask one recorded model through the gateway."""
    # Nothing that was not recorded can be asked: no second try, and no correction.
    settings = GatewaySettings(models=(f"replay:scripted:{model}",), reasks=0, retries=0)
    gateway = Gateway(providers, settings)

    async def way(question: Question) -> Told:
        calls: list[CallAttempt] = []
        context = AttemptContext(RunId("routing"), "solve#1", 1, "routing/solve#1", calls.append, _ignore)
        request = Execute(solve, {"question": question.text}, RetryPolicy())
        try:
            answer: AnyAnswer = await gateway.execute(request, context)
        except NoAnswer:
            # A second try after a first that was cut off, say, was not recorded: the first tells why.
            return Told(None, sum((call.cost for call in calls), Money()), fault=calls[0].failure)
        repaired = answer.quality.verdict is not Verdict.CLEAN
        return Told(number_in(answer.value.answer), answer.cost, repaired)

    return way


def _cascade(providers: Providers) -> Way:
    cheap = [asked_of(model, providers) for model in CHEAP]
    strong = asked_of(STRONG, providers)

    async def way(question: Question) -> Told:
        one, other = [await ask(question) for ask in cheap]
        cost = one.cost + other.cost
        if one.number is not None and one.number == other.number:
            return Told(one.number, cost, one.repaired)
        last = await strong(question)
        return Told(last.number, cost + last.cost, last.repaired)

    return way


def _reply(model: str, question: Question, place: tuple[str, str], prices: Prices) -> ModelReply:
    text = question.replies[model]
    usage = Usage(tokens_of(question.text), tokens_of(text))
    charge = prices.charge(*place, Tokens(usage))
    assert charge, f"the price table has lost {place}"
    return ModelReply(text, FinishReason.STOP, usage, model, cost=charge.cost, price_table=charge.table)


def _figures(row: str, tally: Tally, seconds: Sequence[float]) -> tuple[Figure, ...]:
    dollars = tally.cost.nanos / 1e9
    found = {
        ("right", "%"): 100 * tally.right / tally.asked,
        ("cost", "$"): dollars,
        ("cost of 1,000 right answers", "$"): 1000 * dollars / max(tally.right, 1),
        ("repaired", "%"): 100 * tally.repaired / tally.asked,
        ("rejected", "%"): 100 * tally.rejected / tally.asked,
    }
    # The same in every round: replies do not change.
    told = [median(f"{row}: {what}", unit, [value] * len(seconds)) for (what, unit), value in found.items()]
    return (*told, median(f"{row}: processor time", "s", seconds))


def _rows(name: str) -> list[dict[str, str]]:
    with gzip.open(CORPUS / name, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _ignore(_: bytes) -> None:
    """Nobody listens."""
