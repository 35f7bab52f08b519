"""An app whose every step and every word goes into a ledger."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from chaos.disk import Disk
from chaos.ledger import Ledger
from chaos.workload import LONG, WORKFLOWS
from podium import EngineSettings, Settings, StorageSettings
from podium.domain.happenings import Happening
from podium.domain.operations import Execute, OperationKind
from podium.storage.sqlite.connections import driver
from tests.support.apps import App

if TYPE_CHECKING:
    from podium.ports.execution import AttemptContext, Executor


class WatchedApp(App):
    """An app of the chaos workflows on a file of `disk`; what it does while the disk is dead, nobody sees.

    `checkpoint` is after how many pages SQLite carries its log over into the database.
    """

    def __init__(
        self,
        disk: Disk,
        ledger: Ledger,
        *,
        linger: float = 0.0,
        checkpoint: int = 4096,
        synchronous: str = "FULL",
        clock: Callable[[], float] = time.time,
    ) -> None:
        engine = EngineSettings(poll_interval=0.01, linger=linger, max_active_runs=20)
        storage = StorageSettings(blob_threshold=LONG // 2, synchronous=synchronous)
        settings = Settings(engine=engine, storage=storage)
        super().__init__(disk.folder / "podium.db", workflows=WORKFLOWS, settings=settings)
        self._disk = disk
        self._ledger = ledger
        self._checkpoint = checkpoint
        self._clock = clock
        self.subscribe(self._hear)

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        executors: Any = self._engine._host.executors  # noqa: SLF001 - the one seam through which all steps go
        executors[OperationKind.STEP] = _Witness(executors[OperationKind.STEP], self._disk, self._ledger)
        return self

    async def checkpoint_often(self) -> None:
        """Set how often SQLite makes a checkpoint; the product has no setting for it."""
        pragma = f"PRAGMA wal_autocheckpoint = {self._checkpoint}"
        await self.runs._storage.write(lambda conn: driver(conn).execute(pragma).close())  # noqa: SLF001

    def _hear(self, happening: Happening) -> None:
        self._ledger.hear(happening)


class _Witness:
    """Sees every execution of a step, for the real executor."""

    def __init__(self, inner: Executor, disk: Disk, ledger: Ledger) -> None:
        self._inner = inner
        self._disk = disk
        self._ledger = ledger

    async def execute(self, request: Execute, context: AttemptContext) -> Any:
        if not self._disk.is_dead:
            self._ledger.begins(context.run, context.key, at_most_once=request.policy.at_most_once)
        return await self._inner.execute(request, context)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def database_of(folder: Path) -> Path:
    """Return the database in the folder of a disk."""
    return folder / "podium.db"
