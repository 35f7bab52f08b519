"""Write docs/state_machines.md from the tables in podium.domain.states. The page is never edited by hand.

Whatever that module calls `..._TRANSITIONS` is a state machine: its keys are the states of an enumeration, the
first of which is where it begins, and each value holds the states that may follow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from podium.domain import states

PAGE = Path(__file__).resolve().parent.parent / "docs" / "state_machines.md"

Transitions = Mapping[Any, frozenset[StrEnum]]
"""From each state, the states it may change to."""

HEAD = """\
# State machines

Each diagram is generated from the one table in
[`podium.domain.states`](../src/podium/domain/states.py) that decides which transitions are allowed: what is not drawn
here cannot happen. Change the table and run `make docs`.
"""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(machines()))
    print(f"wrote {PAGE.relative_to(PAGE.parents[1])}")


def machines() -> list[Transitions]:
    """Return the transition tables in the order of their declaration."""
    return [table for name, table in vars(states).items() if name.endswith("_TRANSITIONS")]


def page(tables: list[Transitions]) -> str:
    """Return the whole page, as Markdown."""
    return "\n".join([HEAD, *(section(table) for table in tables)])


def section(table: Transitions) -> str:
    """Return one state machine: what it is about, its diagram, and its transitions in words."""
    kind = type(next(iter(table)))
    lines = [
        f"## {kind.__name__.removesuffix('State')} states",
        "",
        str(kind.__doc__).replace("\n", " "),
        "",
        "```mermaid",
        "stateDiagram-v2",
        *(f"    {line}" for line in diagram(kind, table)),
        "```",
        "",
        "| from | to |",
        "| --- | --- |",
        *(f"| `{state}` | {targets(kind, table[state])} |" for state in kind),
        "",
    ]
    return "\n".join(lines)


def diagram(kind: type[StrEnum], table: Transitions) -> Iterator[str]:
    """Return the transitions as Mermaid draws them, with where the machine begins and where it must end."""
    yield f"[*] --> {next(iter(kind))}"
    for state in kind:
        yield from (f"{state} --> {target}" for target in kind if target in table[state])
        if not table[state]:
            yield f"{state} --> [*]"


def targets(kind: type[StrEnum], following: frozenset[StrEnum]) -> str:
    """Return the states that may follow, in the order in which they are declared."""
    return ", ".join(f"`{state}`" for state in kind if state in following) or "nothing: it ends here"


if __name__ == "__main__":
    main()
