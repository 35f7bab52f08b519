"""The page of state machines says exactly what the tables say."""

from __future__ import annotations

import re
from typing import Any

import pytest

from podium.domain.states import REVIEW_TRANSITIONS, RUN_TRANSITIONS, ReviewState, RunState
from scripts.state_machines import PAGE, machines, page

ENTRY = re.compile(r"^    (\S+) --> (\S+)$", re.MULTILINE)


def drawn(title: str) -> set[tuple[str, str]]:
    """The arrows of one diagram of the page as it is on disk."""
    section = PAGE.read_text().split(f"## {title}\n")[1].partition("\n## ")[0]
    (diagram,) = re.findall(r"```mermaid\nstateDiagram-v2\n(.*?)```", section, re.DOTALL)
    return set(ENTRY.findall(diagram))


def test_the_page_is_what_the_tables_generate():
    assert PAGE.read_text() == page(machines()), "run `make docs` and commit docs/state_machines.md"


@pytest.mark.parametrize(
    ("title", "table", "start"),
    [
        ("Run states", RUN_TRANSITIONS, RunState.PENDING),
        ("Review states", REVIEW_TRANSITIONS, ReviewState.OPEN),
    ],
)
def test_a_diagram_draws_every_allowed_transition_and_no_other(title: str, table, start):
    allowed = {(state.value, target.value) for state, following in table.items() for target in following}
    ends = {(state.value, "[*]") for state, following in table.items() if not following}
    assert drawn(title) == allowed | ends | {("[*]", start.value)}


def test_another_table_makes_another_page():
    without_retry = {**RUN_TRANSITIONS, RunState.FAILED: frozenset[RunState]()}
    assert page([without_retry, REVIEW_TRANSITIONS]) != page(machines())


def test_every_machine_has_a_row_for_each_of_its_states():
    for table in machines():
        kind: Any = type(next(iter(table)))
        assert set(table) == set(kind)
