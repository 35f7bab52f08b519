"""A database through one life after another: a fault ends each, and the next goes on with what it left."""

from __future__ import annotations

import asyncio
import atexit
import functools
import json
import random
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chaos.disk import Disk, Plan
from chaos.ledger import Ledger
from chaos.replayed import replay_differs
from chaos.stored import Stored, read
from chaos.vfs import faulty_vfs
from chaos.watched import WatchedApp, database_of
from chaos.workload import anything, expected, order
from podium import PodiumError, RunHandle, StorageSettings, StorageUnavailable
from podium.domain.states import TERMINAL_RUN_STATES, RunState
from podium.storage.sqlite.database import open_sqlite
from tests.support.programs import Tree

PATIENCE = 20.0
"""Seconds after which a life that neither ends nor fails counts as hanging."""


@dataclass(frozen=True, slots=True)
class Work:
    """The runs that a database has to do: so many orders, and programs by their trees. `scale` multiplies their times."""

    orders: int
    trees: Sequence[Tree] = ()
    scale: float = 0.004

    async def begin(self, app: WatchedApp, ledger: Ledger) -> list[RunHandle[str]]:
        """Start all that is not started yet."""
        starts = [app.start(order, i, run_id=f"order-{i}") for i in range(self.orders)]
        starts += [
            app.start(anything, list(tree), self.scale, run_id=f"tree-{i}")
            for i, tree in enumerate(self.trees)
        ]
        handles = await asyncio.gather(*starts)
        ledger.started |= {handle.id for handle in handles}
        return handles


@dataclass
class Database:
    """One database in a folder that is replaced after each crash; it begins as a copy of `template`, if given."""

    home: Path
    dice: random.Random
    ledger: Ledger = field(default_factory=Ledger)
    template: Path | None = None
    lives: int = 0
    synchronous: str = "FULL"

    def __post_init__(self) -> None:
        self.folder = self.home / "life-0"
        self.folder.mkdir(parents=True)
        if self.template is not None:
            shutil.copy(self.template, database_of(self.folder))

    async def live(
        self, work: Work, plan: Plan | None, *, strike_at_opening: bool = False, checkpoint: int | None = None
    ) -> Disk:
        """Work until all is done or the fault has struck; return the disk as it was at the end.

        A checkpoint is made after every `checkpoint` pages of the log; how many, the dice decide when it is None.
        """
        disk = Disk(self.folder, self.dice)
        disk.plan(plan if strike_at_opening else None)
        with faulty_vfs().as_default(disk):
            try:
                async with asyncio.timeout(PATIENCE):
                    await self._work(disk, work, plan, checkpoint)
            except StorageUnavailable:
                if disk.struck is None:
                    self.ledger.violations.append(
                        "the database was called unusable, and nothing had happened to it"
                    )
            except TimeoutError:
                self.ledger.violations.append(f"after {disk.struck} the app hangs")
            except Exception as error:  # noqa: BLE001 - whatever else comes out is not what was promised
                self.ledger.violations.append(f"after {disk.struck} the app raised {error!r}")
        if disk.written_after_failed_sync:
            self.ledger.violations.append("the log was written again after its fsync had failed")
        return disk

    async def _work(self, disk: Disk, work: Work, plan: Plan | None, checkpoint: int | None) -> None:
        app = WatchedApp(
            disk,
            self.ledger,
            linger=self.dice.choice((0.0, 1.0)),
            checkpoint=checkpoint or self.dice.choice((5, 40, 4096)),
            synchronous=self.synchronous,
        )
        async with app:
            if disk.struck is None:
                disk.plan(plan)
            await app.checkpoint_often()
            handles = await work.begin(app, self.ledger)
            results = await asyncio.gather(*[handle.result() for handle in handles], return_exceptions=True)
            for result in results:
                if isinstance(result, BaseException) and not isinstance(result, PodiumError):
                    raise result
            await app.idle()

    def crash(self, disk: Disk, *, power_failed: bool) -> Stored:
        """Go on with what the crash left, after a look at a copy of it."""
        self.lives += 1
        following = self.home / f"life-{self.lives}"
        disk.image(following, power_failed=power_failed or disk.lost_power)
        self.folder = following
        stored = self.look()
        self.ledger.check(stored)
        return stored

    def look(self) -> Stored:
        """Read a copy of the database as it is now, while nobody has it open."""
        copy = self.home / "copy"
        shutil.copytree(self.folder, copy, ignore=shutil.ignore_patterns("*-shm", "*.lock"))
        try:
            return read(database_of(copy))
        finally:
            shutil.rmtree(copy)

    async def end(self, work: Work) -> None:
        """Let everything end without further faults, and check how it did."""
        await self.live(work, None)
        self.ledger.check(self.look())
        try:
            async with WatchedApp(Disk(self.folder, self.dice), self.ledger) as app:
                self.ledger.violations += await ends(app, work)
        except PodiumError as error:
            self.ledger.violations.append(f"how it ended cannot be told: {error}")


async def ends(app: WatchedApp, work: Work) -> list[str]:
    """Return, in words, which runs of the work did not come to the end that they should, or not by replay too."""
    wrong = []
    for i in range(work.orders):
        run = await app.runs.get(f"order-{i}")
        unknown = run.state is RunState.BLOCKED and run.error and run.error.type == "OutcomeUnknown"
        if not unknown and (
            run.state is not RunState.COMPLETED or json.loads(run.output or b"null") != expected(i)
        ):
            wrong.append(f"order-{i} ended as {run}")
    for i, tree in enumerate(work.trees):
        run = await app.runs.get(f"tree-{i}")
        if run.state not in TERMINAL_RUN_STATES:
            wrong.append(f"tree-{i}, {tree} ended as {run}")
        wrong += await replay_differs(app, f"tree-{i}", tree, work.scale)
    return wrong


@functools.cache
def empty_database() -> Path:
    """Return a database with its tables and nothing in them, made once because that takes longer than most lives."""
    path = database_of(Path(tempfile.mkdtemp(prefix="podium-chaos-")))
    atexit.register(shutil.rmtree, path.parent)

    async def make() -> None:
        await (await open_sqlite(path, settings=StorageSettings(), own=True)).close()

    asyncio.run(make())
    return path
