"""Branches: where in a run's tree of tasks an operation is asked for, and so its journal key."""

from __future__ import annotations

from contextvars import ContextVar


class Branch:
    """One task of a run. Its path is given by its parent in program order, so it is the same on replay."""

    __slots__ = ("_children", "_occurrences", "path")

    def __init__(self, path: str = "0") -> None:
        self.path = path
        self._children = 0
        self._occurrences: dict[str, int] = {}

    def child(self) -> Branch:
        """Return the branch of the next task that this branch starts."""
        self._children += 1
        return Branch(f"{self.path}.{self._children}")

    def key(self, name: str) -> str:
        """Return the journal key of the next operation called `name` in this branch."""
        occurrence = self._occurrences.get(name, 0) + 1
        self._occurrences[name] = occurrence
        return f"{self.path}:{name}#{occurrence}"


current_branch: ContextVar[Branch] = ContextVar("podium_branch")
"""The branch of the task that is running. Only ever set inside a deterministic loop's tasks."""
