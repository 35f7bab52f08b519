"""The ladder against real replies of real models that no strict parser takes."""

from __future__ import annotations

import gzip
import json
import os
import time
from collections import Counter
from pathlib import Path

import pytest

from podium.domain.quality import Verdict
from podium.gateway.output.ladder import read_json
from podium.gateway.output.results import Unusable, Usable

ROOT = Path(__file__).parents[2]
CORPORA = Path(os.environ.get("PODIUM_CORPORA", ROOT.parent / "shared" / "data"))
REPLIES = CORPORA / "json" / "malformed_gsm.jsonl.gz"


@pytest.fixture(scope="module")
def replies() -> list[str]:
    if not REPLIES.exists():
        pytest.skip(f"needs {REPLIES.name} under $PODIUM_CORPORA")
    with gzip.open(REPLIES, "rt", encoding="utf-8") as lines:
        # One in five, which takes a second less and loses no kind of mistake.
        return [json.loads(line)["output"] for line in lines][::5]


def test_most_malformed_replies_are_read_without_guessing(replies):
    readings = [read_json(reply) for reply in replies]
    verdicts = Counter(reading.quality.verdict for reading in readings if isinstance(reading, Usable))
    assert verdicts[Verdict.CLEAN] == 0
    assert verdicts[Verdict.DEGRADED] / len(readings) > 0.97
    assert verdicts[Verdict.SUSPECT] / len(readings) < 0.02
    values = [reading.value for reading in readings if isinstance(reading, Usable)]
    asked_for = sum({"reasoning", "answer"} <= set(value) for value in values)
    assert asked_for / len(readings) > 0.98


def test_no_real_reply_takes_long(replies):
    slowest = 0.0
    for reply in replies:
        start = time.thread_time()
        read_json(reply)
        slowest = max(slowest, time.thread_time() - start)
    assert slowest < 0.5


def test_no_real_reply_that_is_cut_short_passes_for_the_whole(replies):
    for reply in replies[::4]:
        # A cut between brackets and quotes, wherever it falls, takes the object's end with it.
        end = reply.rfind("}")
        if end > 0:
            assert isinstance(read_json(reply[: end * 2 // 3]), Unusable)
