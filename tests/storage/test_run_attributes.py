"""Attributes as they are stored: set, replaced, removed, bounded, and read back as they were given."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import pytest

from podium.domain.attributes import (
    MAX_ATTRIBUTE_TEXT,
    MAX_ATTRIBUTES,
    Attributes,
    AttributeValue,
    checked_attributes,
)
from podium.domain.errors import InvalidInput, UnknownRun
from podium.domain.filter_language import parse_filter
from podium.domain.ids import RunId
from podium.storage import runs
from podium.storage.attributes import attributes_of, set_attributes
from podium.storage.sqlite.database import SqliteStorage
from tests.storage.support import a_run

Values = Mapping[str, AttributeValue | None]


async def given(storage: SqliteStorage, run: str, values: Values, *, replace: bool = True) -> None:
    checked = checked_attributes(values)
    await storage.write(partial(set_attributes, run=RunId(run), given=checked, replace=replace))


async def held(storage: SqliteStorage, *run_ids: str, tenant: str = "default") -> dict[str, Attributes]:
    query = partial(attributes_of, run_ids=[RunId(run) for run in run_ids], tenant=tenant)
    return {str(run): attributes for run, attributes in (await storage.read(query)).items()}


async def found(storage: SqliteStorage, text: str) -> list[str]:
    listed = await storage.read(partial(runs.list_runs, tenant="default", filter=parse_filter(text)))
    return [run.id for run in listed]


async def test_attributes_come_back_as_they_were_given(storage):
    await storage.create(a_run("r"))
    values: dict[str, AttributeValue | None] = {
        "text": "déjà vu", "empty": "", "digits": "42", "yes": True, "no": False, "whole": 42, "half": -0.5,
        "great": 2**62 + 1, "tiny": 1e-300,
    }  # fmt: skip
    await given(storage, "r", values)
    assert await held(storage, "r") == {"r": values}
    assert await held(storage, "r", tenant="acme") == {}


async def test_an_attribute_is_replaced_and_removed(storage):
    await storage.create(a_run("r"))
    await given(storage, "r", {"stage": "triage", "customer": 42})
    await given(storage, "r", {"stage": "answer", "customer": None, "never": None})
    assert await held(storage, "r") == {"r": {"stage": "answer"}}
    assert await found(storage, "attr.stage=triage") == []
    assert await found(storage, "attr.stage=answer") == ["r"]


async def test_what_is_set_stands_unless_it_may_be_replaced(storage):
    await storage.create(a_run("r"))
    await given(storage, "r", {"stage": "answer"})
    await given(storage, "r", {"stage": "triage", "customer": 42}, replace=False)
    assert await held(storage, "r") == {"r": {"stage": "answer", "customer": 42}}


async def test_the_same_set_twice_is_set_once(storage):
    await storage.create(a_run("r"))
    for _ in range(2):
        await given(storage, "r", {"stage": "triage", "vip": True})
    assert await held(storage, "r") == {"r": {"stage": "triage", "vip": True}}


async def test_a_run_has_no_more_attributes_than_are_allowed_and_keeps_those_it_has(storage):
    await storage.create(a_run("r"))
    first: dict[str, AttributeValue | None] = {f"a{number}": number for number in range(MAX_ATTRIBUTES)}
    await given(storage, "r", first)
    with pytest.raises(InvalidInput, match="a run may have 64 attributes, not 65"):
        await given(storage, "r", {"one_more": 1})
    await given(storage, "r", {"a0": None, "one_more": 1})
    kept = (await held(storage, "r"))["r"]
    assert len(kept) == MAX_ATTRIBUTES
    assert "a0" not in kept


async def test_an_unknown_run_has_no_attributes(storage):
    with pytest.raises(UnknownRun, match="no run 'nobody'"):
        await given(storage, "nobody", {"stage": "triage"})


async def test_attributes_of_many_runs_are_read_at_once(storage):
    for number in range(5):
        await storage.create(a_run(f"r{number}"))
        await given(storage, f"r{number}", {"customer": number})
    assert await held(storage, *(f"r{number}" for number in range(1000))) == {
        f"r{number}": {"customer": number} for number in range(5)
    }


@pytest.mark.parametrize("name", ["", "1st", "with space", "é", "x" * 65, "a=b", "'"])
def test_a_name_that_could_not_be_searched_for_is_refused(name: str):
    with pytest.raises(InvalidInput, match="a name begins with a letter"):
        checked_attributes({name: 1})


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), 2**63, "x" * (MAX_ATTRIBUTE_TEXT + 1), b"bytes", ["a"], {"a": 1}, object()],
)
def test_a_value_that_cannot_be_stored_is_refused_by_name(value: object):
    with pytest.raises(InvalidInput, match="attribute 'customer'"):
        checked_attributes({"customer": value})  # type: ignore[dict-item]
