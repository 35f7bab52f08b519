"""Runs: the repository, as plain functions over a connection."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Update, bindparam, func, null, select, tuple_, update

from podium.domain.answers import Usage
from podium.domain.errors import StateConflict
from podium.domain.filters import EVERYTHING, Filter
from podium.domain.runs import Spending
from podium.domain.states import TERMINAL_RUN_STATES, RunState, sources_of
from podium.storage import blobs
from podium.storage.archives import archive_generation
from podium.storage.rows import error_json, run_query, runs_of
from podium.storage.run_conditions import condition
from podium.storage.run_filters import RunQuery
from podium.storage.tables import IS_UNFINISHED, WAKES, inline, runs
from podium.storage.texts import storable

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from podium.domain.ids import RunId
    from podium.domain.runs import Run
    from podium.ports.journal import MoveRun, Renew


@dataclass(frozen=True, slots=True)
class Totals:
    """What a set of runs comes to: how many they are and what they used together."""

    runs: int
    spending: Spending


_CHUNK = 500

# Built once: building the statement costs more than running it.
_GET = run_query().where(runs.c.id == bindparam("wanted"))


def get_run(conn: Connection, run: RunId, *, tenant: str | None = None) -> Run | None:
    """Return the run with this id, of this tenant when one is given, or None."""
    rows = conn.execute(_GET, {"wanted": storable(run)})
    found = runs_of(conn, [row for row in rows if tenant in (None, row.tenant)])
    return found[0] if found else None


def list_runs(
    conn: Connection,
    *,
    tenant: str,
    filter: Filter = EVERYTHING,
    limit: int = 50,
    after: Run | None = None,
    now: float | None = None,
) -> Sequence[Run]:
    """Return up to `limit` runs that match `filter`, newest first; the page after run `after`.

    `now`, in seconds since the epoch, is what relative times count from: the present when it is not given.
    """
    ids = RunQuery(filter, tenant=tenant, now=_present(now)).page(conn, limit, after)
    found = {
        run.id: run
        for start in range(0, len(ids), _CHUNK)
        for run in runs_of(conn, conn.execute(run_query().where(runs.c.id.in_(ids[start : start + _CHUNK]))))
    }
    return [found[id] for id in ids if id in found]


def count_runs(conn: Connection, *, tenant: str, filter: Filter, now: float | None = None) -> int:
    """Return how many runs match `filter`; `now` as in `list_runs`."""
    return RunQuery(filter, tenant=tenant, now=_present(now)).count(conn)


def count_by_state(conn: Connection, *, tenant: str) -> dict[RunState, int]:
    """Return how many runs of the tenant are in each state; states without runs are left out."""
    query = select(runs.c.state, func.count()).where(runs.c.tenant == tenant).group_by(runs.c.state)
    return {RunState(state): count for state, count in conn.execute(query)}


def open_by_version(conn: Connection, *, tenant: str) -> dict[tuple[str, str], int]:
    """Return how many runs of each workflow and version have not ended."""
    query = (
        select(runs.c.workflow, runs.c.version, func.count())
        .where(runs.c.tenant == tenant, runs.c.state.in_(sorted(set(RunState) - TERMINAL_RUN_STATES)))
        .group_by(runs.c.workflow, runs.c.version)
    )
    return {(workflow, version): count for workflow, version, count in conn.execute(query)}


def totals(conn: Connection, *, tenant: str, filter: Filter = EVERYTHING, now: float | None = None) -> Totals:
    """Return the number of runs that match `filter`, and the sums of what they used; `now` as in `list_runs`."""
    query = select(
        func.count(),
        func.coalesce(func.sum(runs.c.input_tokens), 0),
        func.coalesce(func.sum(runs.c.output_tokens), 0),
        func.coalesce(func.sum(runs.c.cost_nanos), 0),
        func.coalesce(func.sum(runs.c.active_seconds), 0.0),
        func.coalesce(func.sum(runs.c.unpriced), 0),
    ).where(runs.c.tenant == tenant, condition(filter, _present(now)))
    count, read, written, nanos, seconds, unpriced = conn.execute(query).one()
    spending = Spending(Usage(int(read), int(written)), int(nanos), float(seconds), int(unpriced))
    return Totals(count, spending)


def unfinished(conn: Connection, limit: int, after: Run | None = None) -> Sequence[Run]:
    """Return up to `limit` of the oldest `pending` and `running` runs, those after run `after`."""
    query = run_query().where(IS_UNFINISHED)
    if after is not None:
        query = query.where(tuple_(runs.c.created_at, runs.c.id) > tuple_(after.created_at, after.id))
    query = query.order_by(runs.c.created_at, runs.c.id).limit(limit)
    return runs_of(conn, conn.execute(query))


def due(conn: Connection, now: float, limit: int) -> Sequence[RunId]:
    """Return up to `limit` waiting runs whose time came at or before `now`, in seconds, the earliest first."""
    query = select(runs.c.id).where(WAKES, runs.c.wake_at <= now).order_by(runs.c.wake_at).limit(limit)
    return list(conn.scalars(query))


def next_wake(conn: Connection) -> float | None:
    """Return the earliest time, in seconds since the epoch, at which a waiting run wants to go on, or None."""
    return conn.scalar(select(runs.c.wake_at).where(WAKES).order_by(runs.c.wake_at).limit(1))


def _present(now: float | None) -> float:
    return time.time() if now is None else now


def move_statement(target: RunState) -> Update:
    """Return the update that moves a run to `target`, if its state allows that, for `move_row`."""
    values: dict[str, Any] = {
        "state": inline([target])[0],
        "finished_at": bindparam("moved_at") if target in TERMINAL_RUN_STATES else null(),
        "wake_at": bindparam("new_wake_at"),
        "waiting_on": bindparam("new_waiting_on"),
        "output": bindparam("new_output"),
        "output_digest": bindparam("new_output_digest"),
        "error": bindparam("new_error"),
        "input_tokens": bindparam("new_input_tokens"),
        "output_tokens": bindparam("new_output_tokens"),
        "cost_nanos": bindparam("new_cost_nanos"),
        "active_seconds": bindparam("new_active_seconds"),
        "unpriced": bindparam("new_unpriced"),
    }
    if target is RunState.RUNNING:
        values["started_at"] = func.coalesce(runs.c.started_at, bindparam("moved_at"))
    return (
        update(runs)
        .where(runs.c.id == bindparam("run"), runs.c.state.in_(inline(sources_of(target))))
        .values(values)
    )


def renew(conn: Connection, number: int, change: Renew, blob_threshold: int) -> None:
    """Let the run of row `number` go on as new; see `Renew`. Raises `StateConflict` unless it is running."""
    tenant = conn.scalar(select(runs.c.tenant).where(runs.c.number == number))
    kept, digest = blobs.split(conn, str(tenant), change.input, blob_threshold)
    renewed = conn.execute(
        update(runs)
        .where(runs.c.number == number, runs.c.state == RunState.RUNNING.value)
        .values(
            input=kept,
            input_digest=digest,
            version=storable(change.version),
            generation=runs.c.generation + 1,
            input_tokens=change.spending.usage.input_tokens,
            output_tokens=change.spending.usage.output_tokens,
            cost_nanos=change.spending.cost_nanos,
            active_seconds=change.spending.active_seconds,
            unpriced=change.spending.unpriced,
        )
    )
    if renewed.rowcount != 1:
        raise StateConflict(f"run {change.run!a} is not running, and yet the engine tried to renew it")
    archive_generation(conn, number, change.generation)


def move_row(move: MoveRun, kept_output: tuple[bytes | None, bytes | None]) -> dict[str, Any]:
    """Return the parameters of `move_statement` for `move`."""
    return {
        "run": move.run,
        "moved_at": move.at,
        "new_wake_at": move.wake_at,
        "new_waiting_on": None if move.waiting_on is None else storable(move.waiting_on),
        "new_output": kept_output[0],
        "new_output_digest": kept_output[1],
        "new_error": error_json(move.error),
        "new_input_tokens": move.spending.usage.input_tokens,
        "new_output_tokens": move.spending.usage.output_tokens,
        "new_cost_nanos": move.spending.cost_nanos,
        "new_active_seconds": move.spending.active_seconds,
        "new_unpriced": move.spending.unpriced,
    }
