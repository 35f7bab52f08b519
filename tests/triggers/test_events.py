"""Events start runs: for those who listen, once each, with the payload as input; what does not fit stops nobody."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from podium import (
    InvalidDefinition,
    InvalidInput,
    NotSerialisable,
    OnEvent,
    Schedule,
    UnknownTrigger,
    workflow,
)
from tests.triggers.support import HOUR, NOON, Clock, triggered


class Order(BaseModel):
    number: int
    currency: str = "EUR"


@workflow
async def charge(order: Order) -> int:
    return order.number


@workflow
async def thank(number: int, currency: str = "EUR") -> str:
    return f"{number} {currency}"


@workflow
async def greet(name: str = "you") -> str:
    return f"hello {name}"


@workflow
async def count() -> str:
    return "counted"


async def test_an_event_starts_a_run_of_every_workflow_that_listens_with_its_payload_as_input(database):
    triggers = (OnEvent("order.paid", charge), OnEvent("order.paid", thank), OnEvent("order.sent", count))
    async with triggered(database, *triggers) as t:
        assert await t.app.emit("order.paid", Order(number=7))
        await t.look()
        runs = {str(run.id): run for run in await t.runs()}
        assert set(runs) == {"order.paid:charge@event-1", "order.paid:thank@event-1"}
        assert runs["order.paid:charge@event-1"].output == b"7"
        assert runs["order.paid:thank@event-1"].output == b'"7 EUR"'
        assert runs["order.paid:thank@event-1"].trigger == "order.paid:thank"
        # One that takes nothing is content with any payload.
        await t.app.emit("order.sent", {"whatever": 1})
        await t.look()
        assert (await t.app.runs.get("order.sent:count@event-2")).output == b'"counted"'


async def test_an_event_without_payload_leaves_a_workflow_its_defaults(database):
    async with triggered(database, OnEvent("tick", greet)) as t:
        await t.app.emit("tick")
        await t.app.emit("tick", "Robin")
        await t.look()
        assert [run.output for run in await t.runs()] == [b'"hello you"', b'"hello Robin"']


async def test_idle_covers_the_runs_of_events_that_were_emitted(database):
    async with triggered(database, OnEvent("paid", charge)) as t:
        for number in range(250):
            await t.app.emit("paid", {"number": number})
        await t.app.idle()
        assert sorted(int(run.output or b"") for run in await t.runs()) == list(range(250))


async def test_an_event_with_a_key_is_emitted_once(database):
    async with triggered(database, OnEvent("paid", charge)) as t:
        told = [await t.app.emit("paid", {"number": 1}, dedupe="order-1") for _ in range(3)]
        await t.app.idle()
        told.append(await t.app.emit("paid", {"number": 1}, dedupe="order-1"))
        told.append(await t.app.emit("refunded", {"number": 1}, dedupe="order-1"))
        await t.app.idle()
        assert told == [True, False, False, False, True]
        assert len(await t.runs()) == 1


async def test_a_trigger_may_start_one_run_for_each_value_of_a_field(database):
    async with triggered(database, OnEvent("paid", charge, dedupe="number", name="once")) as t:
        for number in (1, 2, 1, 1):
            await t.app.emit("paid", {"number": number})
        await t.app.idle()
        assert sorted(run.output or b"" for run in await t.runs()) == [b"1", b"2"]
        await t.app.emit("paid", {"currency": "EUR"})
        await t.app.idle()
        error = (await t.state("once")).error
        assert error is not None
        assert error.type == "InvalidInput"


async def test_a_trigger_may_want_fields_to_have_certain_values(database):
    euros = OnEvent("paid", charge, where={"currency": "EUR", "test": False})
    async with triggered(database, euros) as t:
        for payload in (
            {"number": 1, "currency": "EUR", "test": 0},
            {"number": 2, "currency": "USD", "test": False},
            {"number": 3, "currency": "EUR"},
            {"number": 4, "currency": "EUR", "test": False},
            "EUR",
            None,
        ):
            await t.app.emit("paid", payload)
        await t.app.idle()
        assert [run.output for run in await t.runs()] == [b"4"]
        assert (await t.state(euros.name)).spec == 'event paid where currency = "EUR" and test = false'


async def test_a_payload_that_does_not_fit_is_recorded_and_neither_stops_others_nor_comes_again(database):
    async with triggered(database, OnEvent("paid", charge), OnEvent("paid", count)) as t:
        await t.app.emit("paid", {"number": "seven"})
        await t.look()
        state = await t.state("paid:charge")
        assert state.error is not None
        assert state.error.type == "InvalidInput"
        assert "number" in state.error.message
        assert (state.error_at, state.last_run) == (NOON, None)
        assert [run.id for run in await t.runs()] == ["paid:count@event-1"]
        await t.after(HOUR)
        assert (await t.state("paid:charge")).error_at == NOON
        await t.app.emit("paid", {"number": 8})
        await t.look()
        assert (await t.state("paid:charge")).error is None
        assert len(await t.runs()) == 3


async def test_events_wait_for_a_process_that_fires_triggers(database):
    async with triggered(database) as t:
        await t.firing.close()
        await t.app.emit("paid", {"number": 1})
    async with triggered(database, OnEvent("paid", charge), clock=Clock(NOON + HOUR)) as t:
        await t.app.idle()
        assert [run.output for run in await t.runs()] == [b"1"]


async def test_a_paused_trigger_starts_no_run_and_makes_up_for_none(database):
    async with triggered(database, OnEvent("paid", charge)) as t:
        await t.triggers.pause("paid:charge")
        await t.app.emit("paid", {"number": 1})
        await t.look()
        await t.triggers.resume("paid:charge")
        await t.app.emit("paid", {"number": 2})
        await t.look()
        assert [run.output for run in await t.runs()] == [b"2"]


async def test_a_trigger_is_fired_by_hand_paused_or_not(database):
    async with triggered(
        database, OnEvent("paid", charge), Schedule("nightly", count, cron="0 3 * * *")
    ) as t:
        await t.triggers.pause("nightly")
        await t.triggers.fire("nightly")
        await t.triggers.fire("paid:charge", b'{"number": 5}')
        await t.look()
        assert [(run.id, run.output) for run in await t.runs()] == [
            ("nightly@event-1", b'"counted"'),
            ("paid:charge@event-2", b"5"),
        ]
        with pytest.raises(InvalidInput, match="has its own input"):
            await t.triggers.fire("nightly", b"1")
        with pytest.raises(InvalidInput, match="needs the event's payload"):
            await t.triggers.fire("paid:charge")
        for act in (t.triggers.fire, t.triggers.pause, t.triggers.resume, t.triggers.get):
            with pytest.raises(UnknownTrigger, match="nobody"):
                await act("nobody")


async def test_what_is_fired_by_hand_waits_for_a_process_that_has_the_trigger(database):
    async with triggered(database, Schedule("a", count, every="1h"), source="a.py"):
        pass
    async with triggered(database, Schedule("b", count, every="1h"), source="b.py") as t:
        await t.triggers.fire("a")
        await t.look()
        assert await t.runs() == []
    async with triggered(database, Schedule("a", count, every="1h"), source="a.py") as t:
        await t.look()
        assert [run.id for run in await t.runs()] == ["a@event-1"]


async def test_what_cannot_be_emitted_is_refused(database):
    async with triggered(database, OnEvent("paid", charge)) as t:
        for name, payload, options, error in (
            ("", 1, {}, InvalidDefinition),
            ("a\x00b", 1, {}, InvalidDefinition),
            ("paid", object(), {}, NotSerialisable),
            ("paid", float("nan"), {}, NotSerialisable),
            ("paid", 1, {"to": []}, InvalidInput),
            ("paid", 1, {"dedupe": ""}, InvalidDefinition),
        ):
            with pytest.raises(error):
                await t.app.emit(name, payload, **options)
        await t.look()
        assert await t.runs() == []


def test_a_trigger_on_events_is_checked_where_it_is_declared():
    with pytest.raises(InvalidDefinition, match="is no workflow"):
        OnEvent("paid", print)  # type: ignore[arg-type]
    with pytest.raises(InvalidDefinition, match="printable"):
        OnEvent("pa\nid", charge)
