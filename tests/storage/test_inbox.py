"""Deliveries: kept in order of arrival until they are taken, each under an id that never comes again."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from podium.domain.errors import UnknownRun
from podium.domain.inbox import Delivery, DeliveryKind
from podium.domain.runs import Run
from podium.ports.journal import Deliver, TakeDelivery
from podium.storage import inbox
from tests.storage.support import a_run, committed


def a_delivery(run: Run, key: str = "", **fields: Any) -> Delivery:
    given: dict[str, Any] = {"kind": DeliveryKind.CHILD, "payload": b'"value"', "at": 1.5}
    return Delivery(run=run.id, key=key, **(given | fields))


async def keys(storage, after: int = 0) -> list[str]:
    return [delivery.key for delivery in await storage.deliveries(after, 100)]


async def test_deliveries_come_in_the_order_of_arrival(storage):
    run, other = await storage.create(a_run()), await storage.create(a_run())
    await committed(storage, Deliver(a_delivery(run, "1")))
    await storage.write(partial(inbox.deliver, delivery=a_delivery(other, "2")))
    await committed(storage, Deliver(a_delivery(run, "3")))
    found = await storage.deliveries(0, 100)
    assert [delivery.key for delivery in found] == ["1", "2", "3"]
    assert [delivery.id for delivery in found] == sorted({delivery.id for delivery in found})
    assert await keys(storage, found[0].id) == ["2", "3"]
    assert [delivery.key for delivery in await storage.deliveries(0, 2)] == ["1", "2"]
    only = await storage.read(partial(inbox.list_deliveries, run=run.id))
    assert [delivery.key for delivery in only] == ["1", "3"]


async def test_every_field_is_kept(storage):
    run = await storage.create(a_run())
    sent = a_delivery(run, "0:child#1", failed=True, payload=b'{"type": "X"}')
    await committed(storage, Deliver(sent))
    (found,) = await storage.deliveries(0, 100)
    assert found == a_delivery(run, "0:child#1", failed=True, payload=b'{"type": "X"}', id=found.id)


async def test_what_is_taken_is_gone(storage):
    run = await storage.create(a_run())
    await committed(storage, *(Deliver(a_delivery(run, key)) for key in "abc"))
    first, second, _ = await storage.deliveries(0, 100)
    await committed(storage, TakeDelivery(first.id))
    assert await storage.write(partial(inbox.take, delivery=second.id))
    assert not await storage.write(partial(inbox.take, delivery=second.id))
    assert await keys(storage) == ["c"]


async def test_an_id_never_comes_again(storage):
    run = await storage.create(a_run())
    seen = 0
    for _ in range(3):
        await committed(storage, Deliver(a_delivery(run)))
        (delivery,) = await storage.deliveries(seen, 100)
        assert delivery.id > seen
        seen = delivery.id
        await committed(storage, TakeDelivery(seen))


async def test_a_delivery_to_nobody_is_refused(storage):
    with pytest.raises(UnknownRun, match="no run 'nobody'"):
        await storage.write(partial(inbox.deliver, delivery=a_delivery(a_run("nobody"))))
    assert await keys(storage) == []
