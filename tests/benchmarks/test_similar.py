"""The hit quality of similar questions, in short: what the benchmark counts is there, and the guard holds on real texts."""

from __future__ import annotations

import csv
import random
from functools import partial

import pytest

from benchmarks import similar
from benchmarks.similar import CHANGES, CORPUS, MESSAGES, Pair
from podium.providers.embeddings import StaticEmbeddings

needs_corpus = pytest.mark.skipif(
    not CORPUS.is_dir(), reason="needs the messages and questions under $PODIUM_CORPORA"
)


def let_through(pairs: list[Pair], guard: str, threshold: float = 0.95) -> float:
    return sum(each.similarity >= threshold and similar.GUARDS[guard](each) for each in pairs) / len(pairs)


@needs_corpus
async def test_the_guard_alone_falls_into_no_trap_that_the_embeddings_fall_into():
    traps = await similar.set_traps(StaticEmbeddings(), 300)
    assert {name for name, pairs in traps.items() if pairs} == set(CHANGES)
    for name, pairs in traps.items():
        assert let_through(pairs, "nearest") > 0.4, name
        assert let_through(pairs, "guarded") == 0, name
        if name != "an opposite":
            assert let_through(pairs, "exact words equal") == 0, name


@needs_corpus
async def test_of_messages_few_are_found_and_hardly_any_of_another_intent():
    static = StaticEmbeddings()
    messages = await similar.read_messages(static, 1200)
    found = similar.looked_up(messages, static, [])
    figures = {name: value for name, _, value in similar._of_messages(found, len(messages))}
    with MESSAGES.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    random.Random(77).shuffle(rows)
    assert [(each.text, each.intent) for each in messages] == [
        (row["text"], row["category"]) for row in rows[:1200]
    ]
    by_hand = [
        next((pair.same for pair in pairs if pair.similarity >= 0.9 and not pair.content), None)
        for pairs in found
    ]
    hits = [same for same in by_hand if same is not None]
    assert figures["messages, guarded, 0.90: found"] == pytest.approx(100 * len(hits) / 1200)
    assert figures["messages, guarded, 0.90: of these, of another intent"] == pytest.approx(
        100 * hits.count(False) / len(hits)
    )
    assert 0 < len(hits) / 1200 < 0.05
    assert figures["messages, guarded, 0.95: of these, of another intent"] == 0
    assert figures["messages, nearest, 0.90: found"] > figures["messages, exact words equal, 0.90: found"]


def test_every_change_makes_another_question_or_none():
    text = "Ann said that Maria bought 3 apples and 5 pears, and that there is a total of 8."
    for change in CHANGES.values():
        assert change(text) not in {None, text}
        assert partial(change)("hello") is None
