"""A run as stored and shown: its row, without its journal."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from podium.domain.answers import Usage
from podium.domain.money import Money, shown_cost
from podium.domain.states import RunState

if TYPE_CHECKING:
    from podium.domain.errors import ErrorRecord
    from podium.domain.ids import RunId

DEFAULT_TENANT = "default"


@dataclass(frozen=True, slots=True)
class Spending:
    """What a run has used so far: tokens, money, and the seconds in which it was actively at work.

    `unpriced` counts the requests whose price nobody knows; they are not in the money.
    """

    usage: Usage = field(default_factory=Usage)
    cost_nanos: int = 0
    active_seconds: float = 0.0
    unpriced: int = 0

    @property
    def priced(self) -> bool:
        """Whether the money is all that it cost."""
        return not self.unpriced

    @property
    def cost(self) -> str:
        """The money, for people: `$0.0123`, or `$0.0123 + unpriced` when that is not all of it."""
        return shown_cost(Money(self.cost_nanos), priced=self.priced)


@dataclass(frozen=True, slots=True)
class Parent:
    """The run, and the journal key in it, that a child run reports to."""

    run: RunId
    key: str


@dataclass(frozen=True, slots=True)
class Origin:
    """The run, and the journal key in it, that a run was forked from."""

    run: RunId
    key: str


@dataclass(frozen=True, slots=True)
class Placement:
    """A run's place among those that wait to begin.

    `queue` is the queue that it waits in, `priority` its rank there (higher first). It does not begin before
    `start_at` (seconds since the epoch). While it waits, a start with the same `debounce` key replaces it.
    """

    queue: str | None = None
    priority: int = 0
    start_at: float | None = None
    debounce: str | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of a workflow.

    `input` and `output` are UTF-8 JSON. Times are seconds since the epoch. `seed` feeds the run's random
    numbers. `waiting_on` says in words what a waiting or blocked run needs; `wake_at` is its next timer.
    `source` is the `FILE.py:workflow` it was started from, when it was started from a file. `version` is
    the workflow's, for good. `generation` counts how often it went on as new, with an empty journal.
    `forked_from` names the run whose beginning it shares, `trigger` the rule that started it.
    """

    id: RunId
    workflow: str
    input: bytes
    seed: int
    created_at: float
    tenant: str = DEFAULT_TENANT
    state: RunState = RunState.PENDING
    output: bytes | None = None
    error: ErrorRecord | None = None
    parent: Parent | None = None
    source: str | None = None
    started_at: float | None = None
    finished_at: float | None = None
    wake_at: float | None = None
    waiting_on: str | None = None
    spending: Spending = field(default_factory=Spending)
    version: str = ""
    generation: int = 0
    forked_from: Origin | None = None
    trigger: str | None = None
    placement: Placement = field(default_factory=Placement)
