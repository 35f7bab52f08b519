"""`Schedule` and `OnEvent`: the triggers as they are declared."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import orjson

from podium.domain.durations import Duration
from podium.domain.errors import InvalidDefinition, InvalidInput
from podium.domain.timetables import Cron, Every, Timetable
from podium.domain.triggers import CatchUp, Overlap, Rules, TriggerKind
from podium.flow.signatures import checked_name
from podium.flow.workflows import Workflow

_LONGEST_NAME = 120
_LONGEST_JITTER = 86_400.0
_MOST_CAUGHT_UP = 1000


class Schedule:
    """Starts a run of `workflow` at set times: `cron` in `timezone`, or `every` so often; exactly one run for each.

    `input`: the workflow's arguments by name. `catch_up`: what becomes of firings that were missed while no
    process worked; `ALL` makes up for the latest `catch_up_limit` of them. `overlap`: what a firing does while
    the run before is still open. `jitter`: seconds by which firings are spread, the same for one each time.
    Raises `InvalidDefinition` when these cannot be used.
    """

    def __init__(  # noqa: PLR0913 - options by name
        self,
        name: str,
        workflow: Workflow[Any, Any],
        *,
        cron: str | None = None,
        every: Duration | None = None,
        timezone: str = "UTC",
        input: Mapping[str, Any] | None = None,
        catch_up: CatchUp = CatchUp.LATEST,
        catch_up_limit: int = 10,
        overlap: Overlap = Overlap.ALLOW,
        jitter: float = 0.0,
    ) -> None:
        self.name = _checked(name, workflow)
        self.workflow = workflow
        self.kind = TriggerKind.SCHEDULE
        what = f"Schedule {name!r}"
        if not 1 <= catch_up_limit <= _MOST_CAUGHT_UP or not 0 <= jitter <= _LONGEST_JITTER:
            raise InvalidDefinition(
                f"{what}: catch_up_limit must be from 1 to {_MOST_CAUGHT_UP}, jitter from 0 seconds to a day."
            )
        if catch_up == CatchUp.SKIP and overlap == Overlap.QUEUE:
            raise InvalidDefinition(
                f"{what}: overlap=QUEUE keeps a firing that comes late, catch_up=SKIP drops it; choose one."
            )
        timetable = _timetable(what, cron, every, timezone)
        self.rules = Rules(timetable, CatchUp(catch_up), catch_up_limit, Overlap(overlap), float(jitter))
        self._input = dict(input or {})

    @property
    def spec(self) -> str:
        """When it fires, in words."""
        return self.rules.timetable.words()

    @cached_property
    def input(self) -> bytes:
        """The input of its runs, as stored JSON; raises `InvalidInput` when the workflow does not take it."""
        try:
            return self.workflow.encode_input((), self._input)
        except InvalidInput as error:
            raise InvalidInput(f"Schedule {self.name!r}: {error}") from None

    def __repr__(self) -> str:
        return f"Schedule({self.name!r}, {self.spec})"


class OnEvent:
    """Starts a run of `workflow` for each emitted event called `event`; the payload becomes the run's input.

    `where`: only events whose payload is an object with these fields of these (plain) values. `dedupe`: the
    field whose value names what the event is about: one run for each value, however many events tell of it.
    `name` is the trigger's own, by default made of event and workflow.
    """

    def __init__(
        self,
        event: str,
        workflow: Workflow[Any, Any],
        *,
        where: Mapping[str, str | int | float | bool | None] | None = None,
        dedupe: str | None = None,
        name: str | None = None,
    ) -> None:
        self.event = checked_name(event, "OnEvent")
        self.name = _checked(name or f"{event}:{getattr(workflow, 'name', '')}", workflow)
        self.workflow = workflow
        self.kind = TriggerKind.EVENT
        self.where = dict(where or {})
        self.dedupe = dedupe

    @property
    def spec(self) -> str:
        """What it waits for, in words."""
        conditions = " and ".join(
            f"{field} = {orjson.dumps(value).decode()}" for field, value in self.where.items()
        )
        return f"event {self.event}" + (f" where {conditions}" if conditions else "")

    def matches(self, payload: bytes) -> bool:
        """Return whether an event with this payload (UTF-8 JSON) is one that it fires for."""
        if not self.where:
            return True
        try:
            value = orjson.loads(payload)
        except orjson.JSONDecodeError:
            return False
        return isinstance(value, dict) and all(
            field in value and _equal(value[field], wanted) for field, wanted in self.where.items()
        )

    def same(self, payload: bytes) -> bytes | None:
        """Return what the event is about, as JSON, when `dedupe` names a field; raises `InvalidInput` without it."""
        if self.dedupe is None:
            return None
        value = orjson.loads(payload)
        if not isinstance(value, dict) or self.dedupe not in value:
            raise InvalidInput(
                f"the payload has no field {self.dedupe!r}, by which the trigger tells events apart."
            )
        return orjson.dumps(value[self.dedupe], option=orjson.OPT_SORT_KEYS)

    def input(self, payload: bytes) -> bytes:
        """Return a payload as the stored input of a run; raises `InvalidInput` when it does not fit the workflow.

        A workflow without parameters takes any; one that requires none takes its defaults when there is no payload.
        """
        signature = self.workflow.signature
        if not signature.names or (payload == b"null" and not signature.required):
            return self.workflow.encode_input((), {})
        return self.workflow.parse_input(payload)

    def __repr__(self) -> str:
        return f"OnEvent({self.event!r}, {self.workflow.name})"


Trigger = Schedule | OnEvent
"""A rule that starts a run."""


def by_trigger_name(triggers: tuple[Trigger, ...]) -> dict[str, Trigger]:
    """Return triggers by name; raises `InvalidInput` when two share one, or a schedule's input does not fit."""
    named: dict[str, Trigger] = {}
    for trigger in triggers:
        if not isinstance(trigger, Schedule | OnEvent):
            raise InvalidInput(f"{trigger!r} is no trigger; use Schedule(...) or OnEvent(...).")
        if named.setdefault(trigger.name, trigger) is not trigger:
            raise InvalidInput(f"two triggers are called {trigger.name!r}; give one of them another name.")
        if isinstance(trigger, Schedule):
            # Looked at now, so that a misfit is told of today and not at three in the night.
            _ = trigger.input
    return named


def _timetable(what: str, cron: str | None, every: Duration | None, zone: str) -> Timetable:
    if (cron is None) == (every is None):
        raise InvalidDefinition(f"{what}: give either cron= or every=.")
    if every is not None and zone != "UTC":
        raise InvalidDefinition(f"{what}: timezone= goes with cron=; intervals are counted in UTC.")
    try:
        return Cron(cron, zone) if cron is not None else Every.of(every or 0.0)
    except InvalidDefinition as error:
        raise InvalidDefinition(f"{what}: {error}") from None


def _checked(name: str, workflow: object) -> str:
    if not isinstance(workflow, Workflow):
        raise InvalidDefinition(f"trigger {name!r}: {workflow!r} is no workflow; decorate it with @workflow.")
    if len(name) > _LONGEST_NAME:
        raise InvalidDefinition(f"trigger {name[:60]!a}...: a name has at most {_LONGEST_NAME} characters.")
    return checked_name(name, "trigger")


def _equal(value: object, wanted: object) -> bool:
    # In JSON, true is not 1.
    return value == wanted and isinstance(value, bool) == isinstance(wanted, bool)
