"""Triggers and emitted events: the repository, as plain functions over a connection."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, or_, select, update

from podium.domain.errors import UnknownTrigger
from podium.domain.ids import RunId
from podium.domain.inbox import Delivery, DeliveryKind
from podium.domain.timetables import Cron, Every, Timetable
from podium.domain.triggers import Emitted, TriggerKind, TriggerState
from podium.storage.inbox import accept_event
from podium.storage.present import insert_unless_present
from podium.storage.rows import error_json, error_of
from podium.storage.tables import emitted, emitted_keys, triggers
from podium.storage.texts import storable

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Row

    from podium.domain.triggers import Emission


def list_triggers(conn: Connection, *, tenant: str) -> Sequence[TriggerState]:
    """Return the tenant's triggers by name."""
    query = select(triggers).where(triggers.c.tenant == tenant).order_by(triggers.c.name)
    return [_state_of(row) for row in conn.execute(query)]


def get_trigger(conn: Connection, name: str, *, tenant: str) -> TriggerState:
    """Return the trigger of this name; raises `UnknownTrigger`."""
    row = conn.execute(select(triggers).where(_is(name, tenant))).first()
    if row is None:
        raise _unknown(name)
    return _state_of(row)


def take_up(conn: Connection, declared: Sequence[TriggerState], *, source: str | None, tenant: str) -> None:
    """Store the triggers that a process declares, and remove those that the same `source` declared before.

    What is known of a trigger stays, but a schedule whose times have changed has missed none of the new ones.
    """
    known = {state.name: state for state in list_triggers(conn, tenant=tenant)}
    for state in declared:
        before = known.get(state.name)
        if before is None:
            conn.execute(insert(triggers).values(_declared_row(state) | _progress_row(state)))
            continue
        mark = before.mark if before.spec == state.spec else state.mark
        now = {"mark": mark, "next_at": state.next_at}
        conn.execute(update(triggers).where(_is(state.name, tenant)).values(_declared_row(state) | now))
    gone = [
        name
        for name, state in known.items()
        if state.source == source and name not in {d.name for d in declared}
    ]
    conn.execute(delete(triggers).where(triggers.c.tenant == tenant, triggers.c.name.in_(gone)))


def save_progress(conn: Connection, state: TriggerState) -> None:
    """Store how far a trigger has come; whether it is paused is left as it is."""
    progress = _progress_row(state)
    del progress["paused"]
    conn.execute(update(triggers).where(_is(state.name, state.tenant)).values(progress))


def pause(conn: Connection, name: str, *, tenant: str) -> None:
    """Let a trigger start no runs until it is resumed; raises `UnknownTrigger`."""
    if not conn.execute(update(triggers).where(_is(name, tenant)).values(paused=True)).rowcount:
        raise _unknown(name)


def resume(conn: Connection, name: str, now: float, *, tenant: str) -> None:
    """Let a paused trigger go on from `now`, without what it would have fired meanwhile; raises `UnknownTrigger`."""
    if get_trigger(conn, name, tenant=tenant).paused:
        changed = {"paused": False, "mark": now, "next_at": None}
        conn.execute(update(triggers).where(_is(name, tenant)).values(changed))


def emit(conn: Connection, emission: Emission, at: float, *, tenant: str) -> bool:
    """Put an event into the inboxes of the runs that it is for, or among those for triggers; return whether it is new.

    Raises `UnknownRun`, and then it has reached none of the runs.
    """
    if emission.to:
        deliveries = [
            Delivery(run, DeliveryKind.EVENT, "", emission.payload, at, name=emission.name)
            for run in emission.to
        ]
        accepted = [accept_event(conn, delivery, emission.dedupe, tenant=tenant) for delivery in deliveries]
        return any(accepted)
    if emission.dedupe is not None:
        key = {"tenant": tenant, "name": emission.name, "dedupe": emission.dedupe, "at": at}
        if not insert_unless_present(conn, emitted_keys, key):
            return False
    add_emitted(conn, Emitted(emission.name, emission.payload, at, tenant=tenant))
    return True


def add_emitted(conn: Connection, event: Emitted) -> None:
    """Store an event for triggers."""
    row = {
        "tenant": event.tenant,
        "name": storable(event.name),
        "trigger": event.trigger,
        "payload": event.payload,
        "at": event.at,
    }
    conn.execute(insert(emitted).values(row))


def list_emitted(conn: Connection, known: Collection[str], limit: int, *, tenant: str) -> Sequence[Emitted]:
    """Return up to `limit` events, the oldest first, without those for one trigger that is not among `known`."""
    columns = (
        emitted.c.name,
        emitted.c.payload,
        emitted.c.at,
        emitted.c.trigger,
        emitted.c.id,
        emitted.c.tenant,
    )
    ours = or_(emitted.c.trigger.is_(None), emitted.c.trigger.in_(sorted(known)))
    query = select(*columns).where(emitted.c.tenant == tenant, ours).order_by(emitted.c.id).limit(limit)
    return [Emitted(*row) for row in conn.execute(query)]


def take_emitted(conn: Connection, events: Sequence[Emitted], progress: Collection[TriggerState]) -> None:
    """Remove events that runs have been started for, and store how far the triggers have come with them."""
    conn.execute(delete(emitted).where(emitted.c.id.in_([event.id for event in events])))
    for state in progress:
        save_progress(conn, state)


def _is(name: str, tenant: str) -> ColumnElement[bool]:
    return (triggers.c.tenant == tenant) & (triggers.c.name == storable(name))


def _unknown(name: str) -> UnknownTrigger:
    return UnknownTrigger(f"there is no trigger {name!a}. See `podium triggers list`.")


def _declared_row(state: TriggerState) -> dict[str, Any]:
    timetable = state.timetable
    return {
        "tenant": state.tenant,
        "name": state.name,
        "kind": state.kind.value,
        "spec": storable(state.spec),
        "workflow": state.workflow,
        "source": None if state.source is None else storable(state.source),
        "cron": timetable.expression if isinstance(timetable, Cron) else None,
        "timezone": timetable.zone if isinstance(timetable, Cron) else None,
        "every": timetable.interval if isinstance(timetable, Every) else None,
    }


def _progress_row(state: TriggerState) -> dict[str, Any]:
    return {
        "mark": state.mark,
        "firing": state.firing,
        "last_at": state.last_at,
        "last_run": state.last_run,
        "next_at": state.next_at,
        "paused": state.paused,
        "missed": state.missed,
        "skipped": state.skipped,
        "error": error_json(state.error),
        "error_at": state.error_at,
    }


def _state_of(row: Row[Any]) -> TriggerState:
    timetable: Timetable | None = None
    if row.cron is not None:
        timetable = Cron(row.cron, row.timezone)
    elif row.every is not None:
        timetable = Every(row.every)
    return TriggerState(
        name=row.name,
        kind=TriggerKind(row.kind),
        spec=row.spec,
        workflow=row.workflow,
        mark=row.mark,
        timetable=timetable,
        source=row.source,
        firing=row.firing,
        last_at=row.last_at,
        last_run=None if row.last_run is None else RunId(row.last_run),
        next_at=row.next_at,
        paused=row.paused,
        missed=row.missed,
        skipped=row.skipped,
        error=error_of(row.error),
        error_at=row.error_at,
        tenant=row.tenant,
    )
