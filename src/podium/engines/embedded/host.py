"""What an active run needs of the engine around it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from podium.domain.happenings import Happening
    from podium.domain.ids import RunId
    from podium.domain.runs import Run
    from podium.flow.catalog import WorkflowCatalog
    from podium.ports.execution import Executors
    from podium.ports.journal import Journal
    from podium.settings.engine import EngineSettings


@dataclass(frozen=True, slots=True)
class Host:
    """The engine as its active runs see it.

    `clock` returns seconds since the epoch, `jitter` a random number from 0 to 1. `work` runs an attempt as a
    task of that name, for whose end closing waits. `tell` passes on what is on disk. `left` is called when a run has left memory,
    with the time of its next timer; `child` when a run has started another, or goes on as new; `mailed` when one has put
    something into the inbox of another. `renewed` holds the runs that have just gone on as new, whose code
    has not begun, with the ids of the deliveries that ask for them to be paused.
    """

    journal: Journal
    workflows: WorkflowCatalog
    executors: Executors
    settings: EngineSettings
    clock: Callable[[], float]
    jitter: Callable[[], float]
    work: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]]
    tell: Callable[[Happening], None]
    left: Callable[[RunId, float | None], None]
    child: Callable[[Run], None]
    mailed: Callable[[], None]
    renewed: dict[RunId, Sequence[int]] = field(default_factory=dict)
