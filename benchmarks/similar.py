"""What answers to similar questions are worth: how often one is found, and how often it is another question's.

Customers' messages of 77 intents (banking77) come in a fixed random order, and each looks among the 2,000 before it for
one like it. "Of another intent" is wrong for certain, up to the labels' own mistakes; the same intent may still need
another answer. The traps are questions of GSM8K beside a copy in which one thing was changed so that it is another
question: a number, the order of two numbers, a name, a negation, a word for its opposite. An answer given to a trap is wrong.
"""

from __future__ import annotations

import asyncio
import csv
import gzip
import json
import os
import random
import re
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.bench import Bench, NothingToMeasure
from benchmarks.contest import ROOT
from benchmarks.figures import Figure, median
from podium import Likeness, Prompt, Semantic
from podium.domain.answers import AnyAnswer
from podium.domain.errors import InvalidInput
from podium.domain.ids import RunId
from podium.domain.operations import Execute
from podium.domain.retries import RetryPolicy
from podium.gateway.cache.guard import difference
from podium.gateway.cache.verifying import Verifier
from podium.gateway.gateway import Gateway
from podium.ports.execution import AttemptContext
from podium.providers import Providers
from podium.providers.embeddings import StaticEmbeddings
from podium.settings import GatewaySettings

CORPUS = Path(os.environ.get("PODIUM_CORPORA", ROOT.parent / "shared" / "data"))
MESSAGES = CORPUS / "support" / "banking77_train.csv"
QUESTIONS = CORPUS / "routing" / "gsm_questions.jsonl.gz"
THRESHOLDS = (0.85, 0.90, 0.95, 0.98)
WINDOW = GatewaySettings().cache_questions
LOOKED_AT = 10
VERIFIER = "local:smollm2"

_NUMBER = re.compile(r"\d+")
_NAMES = ("Priya", "Tomasz")
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]{2,}\b")
_OPPOSITES = {
    "buys": "sells",
    "bought": "sold",
    "sells": "buys",
    "sold": "bought",
    "gives": "takes",
    "gave": "took",
    "earns": "spends",
    "spends": "earns",
    "spent": "earned",
    "earned": "spent",
    "lost": "found",
    "found": "lost",
    "adds": "removes",
    "total": "average",
}
_VERBS_OF_TRADE = re.compile(rf"\b({'|'.join(_OPPOSITES)})\b")
_VERB = re.compile(r"\b(is|are|was|were|can|does|did|will)\b")


@dataclass(frozen=True, slots=True)
class Message:
    """A customer's message, its intent, and its vector."""

    text: str
    intent: str
    vector: bytes


@dataclass(frozen=True, slots=True)
class Pair:
    """Two texts, how similar they are, whether one intent is behind both, and what the guard has against them.

    `exact`: they differ in what must never differ; `content`: in that, or in another word that carries content.
    """

    one: str
    other: str
    similarity: float
    same: bool
    exact: bool
    content: bool


GUARDS: Mapping[str, Callable[[Pair], bool]] = {
    "nearest": lambda _: True,
    "exact words equal": lambda pair: not pair.exact,
    "guarded": lambda pair: not pair.content,
}
"""Which pairs pass: all, those that a verifier may be asked about, those that need none."""


def measure(bench: Bench) -> tuple[Figure, ...]:
    if not (MESSAGES.is_file() and QUESTIONS.is_file()):
        raise NothingToMeasure(f"the messages and questions are not here: {CORPUS}; set PODIUM_CORPORA")
    embeddings = StaticEmbeddings()
    try:
        embeddings.check()
    except InvalidInput as missing:
        raise NothingToMeasure(str(missing)) from None
    bench.say("embedding")
    messages = asyncio.run(read_messages(embeddings, bench.size(4000)))
    seconds: list[float] = []
    found = looked_up(messages, embeddings, seconds)
    traps = asyncio.run(set_traps(embeddings, bench.size(1319)))
    rounds = bench.effort.rounds
    told = [*_of_messages(found, len(messages)), *_of_traps(traps)]
    told.append(("a look among 2,000 questions", "ms", 1000 * statistics.median(seconds)))
    bench.say(f"asking {VERIFIER}")
    told += asyncio.run(verified(found, traps, bench.size(25)))
    # The same in every round: neither messages nor weights change.
    return tuple(median(name, unit, [value] * rounds) for name, unit, value in told)


async def read_messages(embeddings: StaticEmbeddings, most: int) -> list[Message]:
    """Return up to `most` messages in an order that is random and always the same."""
    with MESSAGES.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    random.Random(77).shuffle(rows)
    read = []
    for row in rows[:most]:
        vector = await embeddings.embed(row["text"])
        if vector is not None:
            read.append(Message(row["text"], row["category"], vector))
    return read


def looked_up(
    messages: Sequence[Message], embeddings: StaticEmbeddings, seconds: list[float]
) -> list[list[Pair]]:
    """Return for each message the ones before it that come into question, nearest first; adds what a look took."""
    found = []
    for number, message in enumerate(messages):
        earlier = messages[max(number - WINDOW, 0) : number]
        began = time.perf_counter()
        near = embeddings.nearest(message.vector, [each.vector for each in earlier], min(THRESHOLDS))
        if len(earlier) == WINDOW or number == len(messages) - 1:
            seconds.append(time.perf_counter() - began)
        found.append(
            [
                _pair(
                    message.text,
                    earlier[each.index].text,
                    each.similarity,
                    same=message.intent == earlier[each.index].intent,
                )
                for each in near[:LOOKED_AT]
            ]
        )
    return found


async def set_traps(embeddings: StaticEmbeddings, most: int) -> dict[str, list[Pair]]:
    """Return questions beside copies whose answers differ, by what was changed in them."""
    with gzip.open(QUESTIONS, "rt", encoding="utf-8") as lines:
        questions = [json.loads(line)["question"] for line in lines][:most]
    traps: dict[str, list[Pair]] = {name: [] for name in CHANGES}
    for question in questions:
        mine = await embeddings.embed(question)
        for name, change in CHANGES.items():
            changed = change(question)
            theirs = None if changed is None else await embeddings.embed(changed)
            if changed is not None and mine is not None and theirs is not None:
                (near,) = embeddings.nearest(mine, [theirs], -1)
                traps[name].append(_pair(question, changed, near.similarity, same=False))
    return traps


def _another_number(question: str) -> str | None:
    found = _NUMBER.search(question)
    return question[: found.start()] + str(int(found[0]) + 1) + question[found.end() :] if found else None


def _numbers_turned(question: str) -> str | None:
    numbers = list(_NUMBER.finditer(question))
    other = next((each for each in numbers if each[0] != numbers[0][0]), None)
    if other is None:
        return None
    first = numbers[0]
    middle = question[first.end() : other.start()]
    return question[: first.start()] + other[0] + middle + first[0] + question[other.end() :]


def _another_name(question: str) -> str | None:
    found = _NAME.search(question)
    if found is None:
        return None
    name = next(each for each in _NAMES if each != found[0])
    return question[: found.start()] + name + question[found.end() :]


def _a_negation(question: str) -> str | None:
    found = _VERB.search(question)
    return question[: found.end()] + " not" + question[found.end() :] if found else None


def _an_opposite(question: str) -> str | None:
    found = _VERBS_OF_TRADE.search(question)
    return question[: found.start()] + _OPPOSITES[found[0]] + question[found.end() :] if found else None


CHANGES: Mapping[str, Callable[[str], str | None]] = {
    "a number": _another_number,
    "numbers turned": _numbers_turned,
    "a name": _another_name,
    "a negation": _a_negation,
    "an opposite": _an_opposite,
}


async def verified(
    found: Sequence[Sequence[Pair]], traps: Mapping[str, Sequence[Pair]], most: int
) -> list[tuple[str, str, float]]:
    """Return how often a small local model says yes to pairs that the exact part of the guard lets pass, and to traps."""
    providers = Providers({})
    try:
        provider, model = providers.find(VERIFIER)
        provider.check(model)
    except InvalidInput:
        return []
    passing = [pair for pairs in found for pair in pairs[:1] if not pair.exact]
    asked = {
        "the same intent": [pair for pair in passing if pair.same][:most],
        "another intent": [pair for pair in passing if not pair.same][:most],
        "traps, unguarded": [pair for pairs in zip(*traps.values(), strict=False) for pair in pairs][:most],
    }
    gateway = Gateway(providers, GatewaySettings())
    told = []
    try:
        for name, pairs in asked.items():
            yes = [await _says_yes(gateway, pair) for pair in pairs]
            told.append((f"{VERIFIER} verifies, {name}: yes", "%", _percent(sum(yes), len(yes))))
    finally:
        await providers.close()
    return told


async def _says_yes(gateway: Gateway, pair: Pair) -> bool:
    context = AttemptContext(RunId("similar"), "verify#1", 1, "similar/verify#1", _ignore, _ignore)

    async def ask(prompt: Prompt[bool], variables: Mapping[str, object]) -> AnyAnswer:
        return await gateway.execute(Execute(prompt, variables, RetryPolicy()), context)

    # The corpora hold no answers of a desk: the verifier compares the questions.
    likeness = Likeness(pair.one, pair.other, f"The answer to: {pair.other}", pair.similarity)
    return await Verifier().agrees(Semantic(verify=VERIFIER), likeness, partial(ask), 60.0)


def _of_messages(found: Sequence[Sequence[Pair]], asked: int) -> list[tuple[str, str, float]]:
    told = []
    for guard, passes in GUARDS.items():
        for threshold in THRESHOLDS:
            first = [
                next((pair for pair in pairs if pair.similarity >= threshold and passes(pair)), None)
                for pairs in found
            ]
            hits = [pair for pair in first if pair is not None]
            wrong = sum(not pair.same for pair in hits)
            at = f"messages, {guard}, {threshold:.2f}"
            told += [
                (f"{at}: found", "%", _percent(len(hits), asked)),
                (f"{at}: of these, of another intent", "%", _percent(wrong, len(hits))),
            ]
    return told


def _of_traps(traps: Mapping[str, Sequence[Pair]]) -> list[tuple[str, str, float]]:
    told = []
    for name, pairs in traps.items():
        for guard, passes in GUARDS.items():
            for threshold in THRESHOLDS[-2:]:
                fallen = sum(pair.similarity >= threshold and passes(pair) for pair in pairs)
                told.append((f"trap, {name}, {guard}, {threshold:.2f}", "%", _percent(fallen, len(pairs))))
    return told


def _pair(one: str, other: str, similarity: float, *, same: bool) -> Pair:
    differs = difference(one, other)
    exact = differs is not None and differs.exact
    return Pair(one, other, similarity, same, exact, content=differs is not None)


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0.0


def _ignore(_: object) -> None:
    """Nobody listens."""
