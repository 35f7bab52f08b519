"""Filters as queries: whatever way they are answered, the runs are those that the filter means, in their order."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, insert

from podium.domain.answers import Usage
from podium.domain.attributes import AttributeValue
from podium.domain.errors import ErrorRecord
from podium.domain.filter_language import parse_filter
from podium.domain.filters import EVERYTHING, Filter
from podium.domain.ids import RunId
from podium.domain.runs import Parent, Placement, Run, Spending
from podium.domain.states import RunState
from podium.storage import run_filters, runs
from podium.storage.attributes import set_attributes
from podium.storage.rows import run_row
from podium.storage.tables import metadata
from podium.storage.tables import runs as runs_table
from tests.support.filters import filters, matches

START = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
NOW = START + 20 * 3600
WORDS = ("support", "billing", "x", "a_b", "100%", "No", "42", "true", "é", "run-0")
VALUES: tuple[AttributeValue, ...] = ("support", "x", "007", "é", 1, 2.5, -3, 1000, True, False, "1", "true")
NAMES = ("customer", "vip")


def some_run(number: int, choose: random.Random) -> Run:
    created = START + choose.randrange(30) * 3600.0
    started = choose.choice([None, created + 60])
    return Run(
        id=RunId(f"{choose.choice(['run', 'x', '100%', 'a_b'])}-{number:03}"),
        workflow=choose.choice(WORDS[:3]),
        input=b"{}",
        seed=1,
        created_at=created,
        tenant=choose.choice(["mine", "mine", "mine", "theirs"]),
        state=choose.choice(list(RunState)),
        started_at=started,
        finished_at=choose.choice([None, started and started + 7200]),
        waiting_on=choose.choice([None, "review X in queue support", "100% of it"]),
        error=choose.choice(
            [None, ErrorRecord("ValueError", 'said "No" to 42'), ErrorRecord("X", "billing é")]
        ),
        parent=choose.choice([None, Parent(RunId("x"), "0:k#1")]),
        spending=Spending(
            Usage(choose.choice([0, 12]), choose.choice([0, 1])), choose.choice([0, 250_000_000]), 0.25
        ),
        version=choose.choice(["", "x", "42"]),
        trigger=choose.choice([None, "support"]),
        placement=Placement(queue=choose.choice([None, "billing", "x"])),
    )


Labelled = Mapping[str, AttributeValue]


@pytest.fixture(scope="module")
def stored() -> Iterator[tuple[Connection, list[tuple[Run, Labelled]]]]:
    """120 runs of two tenants, with attributes, the newest first."""
    choose = random.Random(7)
    made: list[tuple[Run, Labelled]] = [
        (
            some_run(number, choose),
            {name: choose.choice(VALUES) for name in choose.sample(NAMES, choose.randrange(3))},
        )
        for number in range(120)
    ]
    engine = create_engine("sqlite://")
    with engine.connect() as conn:
        metadata.create_all(conn)
        for run, labels in made:
            conn.execute(insert(runs_table).values(run_row(run, (run.input, None), (None, None))))
            set_attributes(conn, run.id, labels)
        made.sort(key=lambda pair: (pair[0].created_at, pair[0].id), reverse=True)
        yield conn, made
    engine.dispose()


def paged(conn: Connection, filter: Filter, size: int) -> list[Run]:
    """All runs that match, page by page."""
    found: list[Run] = []
    while page := runs.list_runs(
        conn, tenant="mine", filter=filter, limit=size, after=found[-1] if found else None, now=NOW
    ):
        found += page
    return found


FILTERS = filters(
    st.sampled_from(WORDS),
    st.sampled_from(NAMES),
    st.integers(-2, 32).map(lambda hours: datetime.fromtimestamp(START + hours * 3600, UTC)),
)


@pytest.mark.parametrize("look", [5_000, 3], ids=["few runs", "many runs"])
@settings(max_examples=100, deadline=None)
@given(filter=FILTERS)
def test_a_filter_finds_what_it_means(stored, look: int, filter: Filter):
    conn, made = stored
    meant = [run.id for run, labels in made if run.tenant == "mine" and matches(filter, run, labels, NOW)]
    with pytest.MonkeyPatch.context() as patch:
        # How far ahead is looked decides between the ways, never about what is found.
        patch.setattr(run_filters, "_LOOK", look)
        assert [run.id for run in paged(conn, filter, 200)] == meant
        assert [run.id for run in paged(conn, filter, 7)][:50] == meant[:50]
        assert runs.count_runs(conn, tenant="mine", filter=filter, now=NOW) == len(meant)
    assert runs.totals(conn, tenant="mine", filter=filter, now=NOW).runs == len(meant)


@pytest.mark.parametrize(
    "text",
    [
        "error:'VALUEERROR: SAID'",
        "error:message",
        "waiting:100%",
        "waiting:___",
        "id:100%",
        "id:_",
        "attr.customer=007",
        "attr.customer='1'",
        "attr.customer=1.0",
        "attr.vip=true",
        "attr.vip>=1",
        "attr.customer>=o",
        "cost=0.25 tokens>=13",
        "workflow:support,billing,x state!=failed id:run",
        "(state:failed or attr.vip=true) (workflow:x or not parent:*)",
    ],
)
def test_a_filter_as_people_write_it_finds_what_it_means(stored, text: str):
    conn, made = stored
    filter = parse_filter(text)
    meant = [run for run, labels in made if run.tenant == "mine" and matches(filter, run, labels, NOW)]
    assert paged(conn, filter, 200) == meant
    assert bool(meant) is (text not in ("error:message", "waiting:___", "id:_"))


def test_a_filter_with_more_combinations_than_can_be_merged_still_finds_all(stored):
    conn, made = stored
    names = ",".join(["support", "x", *(f"flow-{number}" for number in range(70))])
    found = paged(conn, parse_filter(f"workflow:{names}"), 200)
    assert found == [run for run, _ in made if run.tenant == "mine" and run.workflow in ("support", "x")]


def test_the_longest_filters_are_no_problem_for_the_database(stored):
    conn, made = stored
    values = ",".join(f"{number:02}" for number in range(100))
    for field in ("id", "error", "workflow", "attr.x", "parent"):
        assert paged(conn, parse_filter(f"not {field}:{values}"), 200), field
    many = parse_filter(" ".join(["not error:zz,zzz"] * 100))
    assert paged(conn, many, 200) == [run for run, _ in made if run.tenant == "mine"]


def test_a_long_list_comes_whole(stored):
    conn, made = stored
    found = runs.list_runs(conn, tenant="mine", filter=EVERYTHING, limit=10_000)
    assert len(found) == sum(run.tenant == "mine" for run, _ in made)


def test_hostile_text_is_only_text(stored):
    conn, _ = stored
    for text in ("'; DROP TABLE runs; --", "\0", "\ud800", "%", "\\", '"'):
        quoted = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
        for field in ("workflow", "id", "error", "parent", "attr.x"):
            paged(conn, parse_filter(f"{field}:{quoted}"), 200)
    assert runs.count_runs(conn, tenant="mine", filter=EVERYTHING) > 50
