"""A conversation of many model calls: what the database takes for it, beside the text that was said.

Each call sends all that has been said before it, and the journal keeps each prompt as it was sent.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from contextlib import closing
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.figures import Bound, Figure, Target, median
from podium import Podium, prompt, workflow
from podium.ports.models import ModelRequest
from podium.providers.scripted import Script

CALLS = 400
TURN = 1000
OVER_TEXT = Target(Bound.AT_MOST, 3)
EVEN = Target(Bound.AT_MOST, 1.3)
_WORDS = 2000

go_on = prompt("go_on", "{said}", models=["scripted:model"])


@workflow
async def conversation(calls: int) -> int:
    """Make so many calls, each with one more turn of 1 KB; return the characters of all turns together."""
    said = ""
    for number in range(calls):
        said += f"\nuser: {_turn(number)}"
        said += f"\nassistant: {(await go_on(said=said)).value}"
    return len(said)


def measure(bench: Bench) -> tuple[Figure, ...]:
    # Fewer would not fill the pages by which a file grows.
    calls = max(bench.size(CALLS), 40)
    text: list[float] = []
    evenness: list[float] = []
    quarters: list[list[float]] = []

    def converse() -> float:
        said, sizes = asyncio.run(_converse(bench.new_file(), calls))
        quarter = calls // 4
        text.append((sizes[-1] - sizes[0]) / said)
        evenness.append((sizes[-1] - sizes[-1 - quarter]) / max(sizes[quarter] - sizes[0], 1))
        quarters.append([sizes[number * quarter] / 1e6 for number in (1, 2, 3, 4)])
        return said / 1e6

    (said,) = bench.take_turns(converse)
    rounds = len(said)
    after = zip(*quarters[-rounds:], strict=True)
    return (
        median(f"Podium, {calls} calls: text said", "MB", said),
        *(
            median(f"database after {number * calls // 4} calls", "MB", sizes)
            for number, sizes in enumerate(after, 1)
        ),
        median("database / text said", "x", text[-rounds:], bench.target(OVER_TEXT)),
        median("growth of the last quarter / of the first", "x", evenness[-rounds:], bench.target(EVEN)),
    )


async def _converse(path: Path, calls: int) -> tuple[int, list[int]]:
    """Return the characters said, and the bytes of the database before the first call and after each."""
    sizes: list[int] = []

    def say(request: ModelRequest) -> str:
        del request
        sizes.append(_size(path))
        return f"That is answer {len(sizes)}."

    async with Podium(path, workflows=[conversation], scripts={"model": Script(say)}) as app:
        run = await app.start(conversation, calls)
        said = await run.result()
        sizes.append(_size(path))
    return said, sizes


def _size(path: Path) -> int:
    with closing(sqlite3.connect(path)) as raw:
        (pages,) = raw.execute("PRAGMA page_count").fetchone()
        (page,) = raw.execute("PRAGMA page_size").fetchone()
    return int(pages) * int(page)


def _turn(number: int) -> str:
    """Return 1 KB of words, others for each number; the common words are as common as in prose."""
    chance = random.Random(number)
    words = (int(chance.paretovariate(0.5)) % _WORDS for _ in range(TURN // 2))
    return " ".join(f"{word * 7919:x}" for word in words)[:TURN]
