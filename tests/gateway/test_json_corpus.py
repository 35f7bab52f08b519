"""The ladder against real replies of real models that no strict parser takes."""

from __future__ import annotations

import gzip
import json
import os
import re
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import BaseModel

from podium.domain.answers import FailureKind
from podium.domain.quality import Verdict
from podium.gateway.output.form import OutputForm
from podium.gateway.output.ladder import read_json
from podium.gateway.output.results import Unusable, Usable
from podium.gateway.output.validation import validated

ROOT = Path(__file__).parents[2]
CORPORA = Path(os.environ.get("PODIUM_CORPORA", ROOT.parent / "shared" / "data"))
REPLIES = CORPORA / "json" / "malformed_gsm.jsonl.gz"


class Solution(BaseModel):
    """What the models were asked for: the answer is a number, which most of them wrote as text."""

    reasoning: str
    answer: str | float


FORM = OutputForm.of(Solution, "the corpus")
SLOWEST = 0.05
BLANKS = re.compile(r"[\s\\]+")


@dataclass(frozen=True, slots=True)
class Case:
    text: str
    reading: Usable | Unusable
    seconds: float


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    if not REPLIES.exists():
        pytest.skip(f"needs {REPLIES.name} under $PODIUM_CORPORA")
    with gzip.open(REPLIES, "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["output"] for line in lines]
    # What reading a first reply loads is no part of reading it.
    read_json("{broken: 'json'}")
    return [case_of(text) for text in texts]


def case_of(text: str) -> Case:
    """The quickest of a few readings, where the first was slow: that may say more of the machine than of the text."""
    tries = [read(text)]
    while tries[-1].seconds > SLOWEST / 5 and len(tries) < 4:
        tries.append(read(text))
    return min(tries, key=lambda case: case.seconds)


def read(text: str) -> Case:
    start = time.thread_time()
    found = read_json(text)
    seconds = time.thread_time() - start
    return Case(text, validated(FORM, found) if isinstance(found, Usable) else found, seconds)


def test_99_in_100_malformed_replies_give_a_value_of_the_type_that_was_asked_for(cases: list[Case]):
    usable = [case.reading for case in cases if isinstance(case.reading, Usable)]
    assert len(usable) / len(cases) >= 0.99
    verdicts = Counter(reading.quality.verdict for reading in usable)
    # None passes for what it is not; most were read exactly, but for what no strict parser takes.
    assert verdicts[Verdict.CLEAN] == 0
    assert verdicts[Verdict.DEGRADED] / len(cases) > 0.98
    assert verdicts[Verdict.SUSPECT] / len(cases) < 0.01


def test_whatever_was_guessed_is_marked_so(cases: list[Case]):
    for case in cases:
        if isinstance(case.reading, Usable) and not can_be_read_exactly(case.text):
            assert case.reading.quality.verdict is Verdict.SUSPECT, case.text


def test_what_gives_no_value_is_cut_off_or_holds_none(cases: list[Case]):
    unusable = [case for case in cases if isinstance(case.reading, Unusable)]
    for case in unusable:
        assert isinstance(case.reading, Unusable)
        ends = case.text.rstrip(" \n`").endswith("}")
        if case.reading.kind is FailureKind.TRUNCATED:
            # The end of the object is missing, and half a sentence stands in its place.
            assert case.text.lstrip("`json \n").startswith("{")
            assert not ends
        else:
            # It is prose, or an object in which no member `answer` was ever begun.
            assert not ends or not re.search(r'"answer"\s*:', case.text)
    assert Counter(each.reading.kind for each in unusable if isinstance(each.reading, Unusable))[
        FailureKind.TRUNCATED
    ]


def test_no_value_holds_text_that_the_model_did_not_write(cases: list[Case]):
    for case in cases:
        if isinstance(case.reading, Usable):
            written = as_text(case.text)
            for value in (case.reading.value.reasoning, str(case.reading.value.answer).removesuffix(".0")):
                assert as_text(value) in written, case.text


def test_no_real_reply_takes_long(cases: list[Case]):
    assert max(case.seconds for case in cases) <= SLOWEST


def test_no_real_reply_that_is_cut_short_passes_for_the_whole(cases: list[Case]):
    for case in cases[::20]:
        # A cut between brackets and quotes, wherever it falls, takes the object's end with it.
        end = case.text.rfind("}")
        if end > 0:
            assert isinstance(read_json(case.text[: end * 2 // 3]), Unusable)


def can_be_read_exactly(text: str) -> bool:
    """Whether Python's own parser takes the object, raw line breaks and stray backslashes let pass."""
    start, end = text.find("{"), text.rfind("}")
    escaped = re.sub(r'(?<!\\)((?:\\\\)*)\\(?!["\\/bfnrt]|u[0-9a-fA-F]{4})', r"\1\\\\", text[start : end + 1])
    try:
        json.loads(escaped, strict=False)
    except ValueError:
        return False
    return True


def as_text(text: str) -> str:
    """The characters that were written, without what escapes and line breaks may have become."""
    plain = re.sub(r"\\u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), text)
    return BLANKS.sub("", re.sub(r"\\[nrtbf]|[\n\r\t\b\f]", "", plain))
