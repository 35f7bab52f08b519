"""Forking a run: another run that shares its beginning and goes its own way from there."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from functools import partial
from typing import Any

import pydantic_core

from podium.app.callbacks import from_callback
from podium.domain.errors import InvalidInput, UnknownRun
from podium.domain.history import encode_spending, history_of
from podium.domain.ids import RunId, checked_run_id, new_run_id
from podium.domain.journal import DELIVERED, Entry, EntryType
from podium.domain.runs import Origin, Run, Spending
from podium.domain.states import RunState
from podium.flow.catalog import WorkflowCatalog
from podium.flow.execution import CodeChanged, Undecodable
from podium.flow.replanning import plan_fork
from podium.flow.workflows import Workflow
from podium.ports.storage import Storage
from podium.settings import StorageSettings
from podium.storage import entries, runs
from podium.storage.forks import store_fork

_KEPT_MARKS = frozenset({EntryType.PATCH, EntryType.CONTINUED})


async def fork_run(
    storage: Storage,
    workflows: WorkflowCatalog,
    run_id: RunId,
    at: str | None,
    replacing: Mapping[str, Any],
    new_id: str | None,
) -> RunId:
    """Store a fork of a run, to be taken up by the process that owns the database; returns the fork's id.

    See `forked`. Raises `UnknownRun` too, and `InvalidInput` when the run's workflow is not among `workflows`,
    it has not begun yet, or the new id is taken.
    """
    loaded = await storage.read(lambda conn: (runs.get_run(conn, run_id), entries.entries(conn, run_id)))
    run, journal = loaded
    if run is None:
        raise UnknownRun(f"there is no run {run_id!a}. See `podium runs list`.")
    workflow = workflows.find(run.workflow, run.version)
    if workflow is None:
        raise InvalidInput(f"run {run_id!a} is of workflow {run.workflow!a}, whose code is not known here.")
    fork_id = new_run_id() if new_id is None else checked_run_id(new_id)
    try:
        fork, beginning = await from_callback(partial(forked, run, journal, workflow, fork_id, at, replacing))
    except (CodeChanged, Undecodable) as error:
        raise InvalidInput(f"run {run_id!a} cannot be forked there: {error}") from error
    threshold = StorageSettings().blob_threshold
    await storage.write(lambda conn: store_fork(conn, fork, beginning, threshold))
    return fork.id


def forked(
    run: Run,
    journal: Sequence[Entry],
    workflow: Workflow[Any, Any],
    new_id: RunId,
    at: str | None,
    replacing: Mapping[str, Any],
) -> tuple[Run, Sequence[Entry]]:
    """Return a fork of `run` and its first entries, taken from `journal`, the whole one of `run`.

    The fork shares what was recorded before the outcome of the operation at key `at`, which it does anew.
    `replacing` gives other values to operations that are shared; without `at`, what follows the first of them
    is done anew. Attempts are not shared: they were the other run's.

    Raises `InvalidInput` for a key that the journal does not hold, and when neither is given; `CodeChanged` and
    `Undecodable` when the code or a replaced value does not fit.
    """
    history = history_of(journal)
    outcomes = {entry.key: entry for entry in history.entries if entry.type in DELIVERED and entry.key}
    cut = _cut(run, outcomes, at, replacing)
    beginning = [
        _replaced(entry, replacing)
        for entry in history.entries
        if entry.seq < cut and entry.type in DELIVERED
    ]
    kept = {entry.seq: entry for entry in plan_fork(workflow, run, history, beginning)}
    struck = {entry.seq for entry in history.struck}
    marks = {
        entry.seq: replace(entry, payload=_nothing_used(entry))
        for entry in journal
        if entry.type in _KEPT_MARKS and entry.seq < cut and entry.seq not in struck
    }
    fork = Run(
        id=new_id,
        workflow=run.workflow,
        input=run.input,
        seed=run.seed,
        created_at=time.time(),
        tenant=run.tenant,
        state=RunState.RUNNING,
        source=run.source,
        # The same, because the run's clock begins there.
        started_at=run.started_at or run.created_at,
        version=run.version,
        generation=run.generation,
        forked_from=Origin(run.id, at or ""),
    )
    in_order = [entry for _, entry in sorted((kept | marks).items())]
    return fork, [replace(entry, run=new_id, seq=seq) for seq, entry in enumerate(in_order, 1)]


def _cut(run: Run, outcomes: Mapping[str, Entry], at: str | None, replacing: Mapping[str, Any]) -> int:
    named = {} if at is None else {at: "at= (--at)"}
    for key, option in (dict.fromkeys(replacing, "replace= (--replace)") | named).items():
        if key not in outcomes:
            close = get_close_matches(key, outcomes, 1, 0.3)
            meant = f" Did you mean {close[0]!a}?" if close else ""
            raise InvalidInput(
                f"{option} names the key {key!a}, at which run {run.id!a} has recorded no outcome.{meant} "
                f"`podium runs show {run.id} --json` lists the keys."
            )
    if at is not None:
        return outcomes[at].seq
    if not replacing:
        raise InvalidInput(
            f"nothing says where run {run.id!a} is to be forked. Give the key from which to do things anew, at= "
            "(--at KEY), or values to replace, replace= (--replace KEY=JSON). "
            f"`podium runs show {run.id} --json` lists the keys."
        )
    return min(outcomes[key].seq for key in replacing) + 1


def _replaced(entry: Entry, replacing: Mapping[str, Any]) -> Entry:
    if entry.key not in replacing:
        return entry
    try:
        payload = pydantic_core.to_json(replacing[entry.key])
    except pydantic_core.PydanticSerializationError as error:
        raise InvalidInput(f"the value for {entry.key!a} cannot be stored: {error}") from None
    return replace(entry, type=EntryType.DONE, payload=payload)


def _nothing_used(entry: Entry) -> bytes:
    return encode_spending(Spending()) if entry.type is EntryType.CONTINUED else entry.payload
