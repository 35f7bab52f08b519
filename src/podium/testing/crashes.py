"""A scenario run over and over, its process lost at another write each time."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Generic, TypeVar

from podium.testing.failures import OtherResult
from podium.testing.harness import Harness

R = TypeVar("R")
Scenario = Callable[[Harness], Awaitable[R]]


@dataclass(frozen=True, slots=True)
class Crash(Generic[R]):
    """One crash that a scenario survived.

    `write` is the number of the write at which the process was lost, from 1. `kept` says that this write was on disk,
    and only nobody told of it. `result` is what the scenario returned when it was run again on what was left.
    """

    write: int
    kept: bool
    result: R


async def crashes(scenario: Callable[[Harness], Awaitable[R]], **options: Any) -> AsyncIterator[Crash[R]]:
    """Run `scenario(app)` over and over, losing the process at write 1, 2, 3, ... until it comes through unharmed.

    Each write is tried twice: lost, and kept without anybody being told. After each crash the scenario is run again
    from its beginning in another harness on the same database, as a program that is started again: name its runs
    (`run_id=`) and give its events a `dedupe` key, so that nothing is begun twice. Yields each crash that it survived.
    `options` are those of `Harness`.

    Raises `OtherResult` when the scenario returns something else than without a crash, and whatever waiting on a
    `Harness` raises: `ExecutedAgain` for a completed step that was executed once more.
    """
    with tempfile.TemporaryDirectory(prefix="podium-") as folder:
        empty = Path(folder) / "empty.db"
        async with Harness(empty, **options):
            pass
        expected = await _whole(scenario, _copy(empty, "whole"), options)
        for write in count(1):
            for kept in (False, True):
                database = _copy(empty, f"{write}-{kept}")
                lost = await _until_lost(
                    scenario, Harness(database, crash_at=write, crash_kept=kept, **options)
                )
                if lost is None:
                    return
                result = await _whole(scenario, database, {**options, "after": lost})
                if result != expected:
                    raise OtherResult(
                        f"after a crash at write {write} ({'kept' if kept else 'lost'}) the scenario returned "
                        f"{result!r}, without one {expected!r}."
                    )
                yield Crash(write, kept, result)


async def _whole(scenario: Scenario[R], database: Path, options: dict[str, Any]) -> R:
    async with Harness(database, **options) as app:
        return await scenario(app)


async def _until_lost(scenario: Scenario[R], app: Harness) -> Harness | None:
    try:
        async with app:
            await scenario(app)
    except Exception:
        # Whatever the test made of the loss is part of it.
        if not app.is_lost:
            raise
    return app if app.is_lost else None


def _copy(empty: Path, name: str) -> Path:
    return Path(shutil.copy(empty, empty.with_name(f"{name}.db")))
