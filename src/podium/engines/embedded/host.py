"""What an active run needs of the engine around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from podium.domain.happenings import Happening
    from podium.domain.ids import RunId
    from podium.domain.runs import Run
    from podium.flow.workflows import Workflow
    from podium.ports.execution import Executors
    from podium.ports.journal import Journal
    from podium.settings.engine import EngineSettings


@dataclass(frozen=True, slots=True)
class Host:
    """The engine as its active runs see it.

    `clock` returns seconds since the epoch, `jitter` a random number from 0 to 1. `tell` passes on what is
    on disk. `left` is called when a run has left memory, with the time of its next timer; `child` when one has started another.
    """

    journal: Journal
    workflows: Mapping[str, Workflow[Any, Any]]
    executors: Executors
    settings: EngineSettings
    clock: Callable[[], float]
    jitter: Callable[[], float]
    tell: Callable[[Happening], None]
    left: Callable[[RunId, float | None], None]
    child: Callable[[Run], None]
