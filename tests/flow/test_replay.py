"""Replay is exact: from every prefix of every journal, whatever the program and whatever ended first."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from podium import gather, step
from podium.domain.journal import Entry, EntryType
from podium.domain.operations import OperationKind
from podium.flow.execution import CodeChanged
from podium.flow.results import Completed, Stopped
from tests.support.processes import ROOT
from tests.support.programs import a_program
from tests.support.replay import RUN, Driver, Life, ended, replayed

SEEDS = st.integers(0, 2**62)
LEAVES = st.sampled_from([2, 4, 8, 12, 16, 20, 24])
thorough = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


@thorough
@given(SEEDS, LEAVES)
def test_every_prefix_of_a_journal_leads_to_the_same_place(seed, leaves):
    life = Life(a_program(seed, leaves), seed)
    Driver(random.Random(seed)).journal(life)
    assert life.execution.result is not None


@thorough
@given(SEEDS, LEAVES)
def test_also_when_the_run_is_cancelled_on_the_way(seed, leaves):
    life = Life(a_program(seed, leaves), seed)
    journal = Driver(random.Random(seed), failures=0.1, cancel=0.3).journal(life)
    cancelled = any(entry.type is EntryType.SIGNAL for entry in journal)
    assert cancelled or not isinstance(ended(life), Stopped)


@settings(thorough, max_examples=60)
@given(SEEDS, LEAVES)
def test_an_entry_that_the_code_never_asked_for_is_found_wherever_it_stands(seed, leaves):
    life = Life(a_program(seed, leaves), seed)
    journal = Driver(random.Random(seed)).journal(life)
    for at in range(len(journal) + 1):
        foreign = a_foreign_entry(journal, at)
        with pytest.raises(CodeChanged, match="'0:unheard of#1'"):
            replayed(life.program, seed, [*journal[:at], foreign, *journal[at:]])


@settings(thorough, max_examples=60)
@given(SEEDS, LEAVES)
def test_other_arguments_are_found_wherever_they_stand(seed, leaves):
    life = Life(a_program(seed, leaves), seed)
    journal = Driver(random.Random(seed)).journal(life)
    for at, entry in enumerate(journal):
        other = [*journal]
        other[at] = replace(entry, fingerprint="another")
        with pytest.raises(CodeChanged, match="with other arguments"):
            replayed(life.program, seed, other)


def a_foreign_entry(journal: list[Entry], at: int) -> Entry:
    when = journal[at - 1].at if at else 0.0
    return Entry(
        RUN,
        at + 1,
        EntryType.DONE,
        OperationKind.STEP,
        "0:unheard of#1",
        "unheard of",
        "",
        1,
        b"null",
        when,
        when,
    )


def test_shared_state_and_a_race_are_replayed_as_they_happened():
    """The case by which journals keyed by call order go wrong: what a branch asks depends on who was first."""

    @step
    async def fetch(name: str) -> str:
        return name

    async def racing(log: list[str]) -> list[str]:
        order: list[str] = []

        async def runner(name: str) -> str:
            got = await fetch(name)
            order.append(name)
            return await fetch(f"{got} as number {len(order)}")

        results = await gather(*[runner(name) for name in "abcde"])
        log.extend(order)
        return list(results)

    orders = set()
    for seed in range(150):
        life = Life(racing, seed)
        Driver(random.Random(seed), failures=0).journal(life)
        assert isinstance(ended(life), Completed)
        orders.add(tuple(life.log))
    assert len(orders) > 50


def test_the_children_of_a_task_group_are_cancelled_in_the_same_order_every_time():
    @step
    async def work(name: str) -> str:
        raise AssertionError("the driver decides what it gives")

    async def grouped(log: list[str]) -> None:
        async def child(name: str) -> None:
            try:
                await work(name)
            except asyncio.CancelledError:
                log.append(name)
                await work(f"clean up {name}")
                raise

        async with asyncio.TaskGroup() as group:
            for i in range(20):
                group.create_task(child(f"{i}"))

    orders = set()
    for attempt in range(30):
        # Other objects at other addresses, as in another process.
        ballast = [object() for _ in range(attempt * 7)]
        life = Life(grouped, seed=42)
        Driver(random.Random(1), failures=0.5).journal(life)
        orders.add(tuple(life.log))
        del ballast
    assert len(orders) == 1


SAME_EVERYWHERE = """
import hashlib, logging
from random import Random
from tests.support.processes import ROOT
from tests.support.programs import a_program
from tests.support.replay import RUN, Driver, Life

logging.disable()
digest = hashlib.sha256()
for seed in range(120):
    life = Life(a_program(seed, 12), seed)
    for entry in Driver(Random(seed), cancel=0.05).journal(life):
        digest.update(repr(entry).encode())
    digest.update(repr(life.seen()).encode())
print(digest.hexdigest())
"""


def test_another_process_with_other_hashes_comes_to_the_same():
    told = set()
    for hash_seed in ("0", "1", "4711"):
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        process = subprocess.run(
            [sys.executable, "-c", SAME_EVERYWHERE],
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        told.add(process.stdout)
    assert len(told) == 1
