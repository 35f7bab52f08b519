"""kill -9 between any two steps of a batch: the vendor is handed one batch, and its cost is counted once."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from podium.settings import StorageSettings
from podium.storage import budgets as repository
from podium.storage.sqlite.database import open_sqlite
from tests.support.processes import ROOT, written
from tests.wire import Received, Reply, WireServer, reset
from tests.wire.batches import BatchService, MessageBatches, ResponseBatches, answered, succeeded

PROGRAM = """
from podium.gateway.batches import batching, submission
from podium.gateway.batches.batches import Batches

batching._FIRST_LOOK = batching._RAREST_LOOK = 0.02
submission._SOONEST = 0.02
write = prompt("write", "Say: {{text}}", models=[{name!r}], max_tokens=100)
judged = Batches._judged

async def judged_or_dead(self, *arguments):
    # The cost is settled by now, and no answer recorded.
    marker = DATABASE.with_name("to-die-once-settled")
    if marker.exists():
        marker.unlink()
        die()
    return await judged(self, *arguments)

Batches._judged = judged_or_dead

@workflow
async def writing() -> list[str]:
    outcomes = await write.batch([{{"text": text}} for text in ("storm", "parcel", "letter")])
    return [one.value for one in outcomes]

async def main():
    gateway = GatewaySettings(budgets=(Budget("1m tokens/month"), Budget("1m tokens", scope=Scope.RUN)))
    keys = {{"ANTHROPIC_COMPATIBLE_API_KEY": "k", "OPENAI_COMPATIBLE_API_KEY": "k"}}
    async with app_on(DATABASE, writing, gateway=gateway, environment=keys) as app:
        run = await app.start(writing, run_id="r")
        note(",".join(await run.result()))

asyncio.run(main())
"""


class Deadly:
    """A service whose client dies when a batch has been taken from it, and when its results are read: once each."""

    def __init__(self, service: BatchService, moments: Sequence[str]) -> None:
        self.service = service
        self.moments = list(moments)
        self.process: asyncio.subprocess.Process | None = None

    def __call__(self, request: Received) -> Reply:
        """Answer a request, unless its client is dead by then."""
        before = len(self.service.jobs)
        told = self.service(request)
        read = request.path.partition("?")[0].endswith(("/results", "/content"))
        moment = "read" if read else "taken" if before < len(self.service.jobs) else ""
        if moment not in self.moments:
            return told
        self.moments.remove(moment)
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        return reset()


def said(body: Mapping[str, Any]) -> str:
    return next(text for text in ("storm", "parcel", "letter") if text in str(body))


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("vendor", "moments"), [("openai", ["taken", "read", "settled"]), ("anthropic", ["taken"])]
)
async def test_one_batch_is_handed_in_and_paid_for_once_whenever_the_process_is_killed(
    database, tmp_path, vendor, moments
):
    if "settled" in moments:
        database.with_name("to-die-once-settled").touch()
    service: BatchService
    if vendor == "openai":
        service = ResponseBatches(lambda body: answered(said(body)), looks=-1)
    else:
        service = MessageBatches(lambda body: succeeded(said(body)), looks=-1)
    deadly = Deadly(service, [each for each in moments if each != "settled"])
    async with WireServer(vendor) as server:
        server.always(deadly)
        model = {"openai": "gpt-5-mini", "anthropic": "claude-haiku-4-5"}[vendor]
        program = written(tmp_path, PROGRAM.format(name=server.name(model)))
        codes: list[int] = []
        while not codes or codes[-1] == -signal.SIGKILL:
            codes.append(await lived(program, database, deadly))
    assert codes == [-signal.SIGKILL] * len(moments) + [0]
    assert deadly.moments == []
    assert len(service.jobs) == 1
    assert database.with_name("world.txt").read_text() == "storm,parcel,letter\n"
    assert await uses(database) == {"tenant": (48, 0), "run": (48, 0)}


async def lived(program: Path, database: Path, deadly: Deadly) -> int:
    """Run the program to its end, be that a natural one or not, and return its code."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    deadly.process = await asyncio.create_subprocess_exec(
        sys.executable, str(program), str(database), cwd=ROOT, env=environment
    )
    async with asyncio.timeout(90):
        return await deadly.process.wait()


async def uses(database: Path) -> dict[str, tuple[int, int]]:
    """What is spent and held of each budget, by its scope."""
    storage = await open_sqlite(database, settings=StorageSettings(), own=False)
    try:
        found = await storage.read(lambda conn: repository.list_budgets(conn, 0.0))
        return {each.scope: (each.spent, each.held) for each in found}
    finally:
        await storage.close()
