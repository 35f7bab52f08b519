"""Decides one review as soon as it is told to, and prints whether its decision stands and whose does."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from pathlib import Path

from podium.domain.ids import ReviewId
from podium.storage import reviews
from tests.storage.support import a_decision, opened


async def main(path: Path, id: str, reviewer: str) -> None:
    storage = await opened(path, own=False)
    review = await storage.read(partial(reviews.get_review, review=ReviewId(id)))
    assert review is not None
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    decision = a_decision(review, reviewer=reviewer)
    after, stands = await storage.write(partial(reviews.decide, review=review.id, decision=decision))
    assert after.decision is not None
    print(stands, after.decision.reviewer, flush=True)
    await storage.close()


asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:]))
