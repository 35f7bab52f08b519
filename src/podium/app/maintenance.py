"""Looking after a database once, beside the process that owns it or without one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path

from podium.app.retention import Keeper
from podium.app.rounds import Round
from podium.domain.errors import InvalidInput, StorageUnavailable
from podium.settings import RetentionSettings, StorageSettings
from podium.storage import finished
from podium.storage.sqlite.database import open_sqlite
from podium.storage.sqlite.lock import is_owned
from podium.storage.sqlite.space import Space, space, vacuum


@dataclass(frozen=True, slots=True)
class Maintained:
    """What was done, and how much of its file the database filled `before` and `after`, in bytes.

    `longest` is the longest transaction in seconds, `vacuumed` says that free space was given back to the system.
    """

    done: Round
    before: Space
    after: Space
    longest: float
    vacuumed: bool


async def maintain(
    path: Path,
    settings: RetentionSettings,
    *,
    workflow: str | None = None,
    dry_run: bool = False,
    vacuumed: bool = False,
    tell: Callable[[Round], None] | None = None,
) -> Maintained:
    """Archive, delete and sweep as `settings` say, for one workflow or for all; then give back free space if asked.

    A `dry_run` only counts. `tell` is called with the sum of what was done so far. Raises `StorageUnavailable` when
    the database cannot be used, and for `vacuumed` when another process owns it; `InvalidInput` for a workflow of
    which there is no run.
    """
    if not path.exists():  # noqa: ASYNC240 - one look, before there is any work to hold up
        raise StorageUnavailable(
            f"there is no database {path}. Name another one with --db or PODIUM_DATABASE."
        )
    vacuumed = vacuumed and not dry_run
    storage = await open_sqlite(path, settings=StorageSettings(), own=False)
    try:
        if vacuumed and is_owned(path):
            raise StorageUnavailable(
                f"the database {path} is owned by another process, beside which its free space cannot be given back. "
                "End that process, or leave out --vacuum: what is free is filled again by what comes."
            )
        if workflow is not None:
            _check_known(workflow, await storage.read(partial(finished.workflows, all_runs=True)))
        keeper = Keeper(storage, settings, workflow=workflow, tell=tell)
        before = await storage.read(space)
        done = await (keeper.due() if dry_run else keeper.round())
        after = await storage.read(space)
    finally:
        await storage.close()
    if vacuumed:
        after = await asyncio.to_thread(vacuum, path, StorageSettings())
    return Maintained(done, before, after, keeper.longest, vacuumed)


def _check_known(workflow: str, known: Sequence[str]) -> None:
    if workflow in known:
        return
    close = get_close_matches(workflow, known, 1)
    meant = f" Did you mean {close[0]!a}?" if close else ""
    raise InvalidInput(
        f"there is no run of a workflow {workflow!a}.{meant} `podium runs list` shows the runs and their workflows."
    )
