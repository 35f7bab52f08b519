"""The workflows that a process can run, by name and version."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from podium.domain.errors import InvalidInput
from podium.flow.workflows import Workflow

AnyWorkflow = Workflow[Any, Any]


class WorkflowCatalog:
    """Finds workflows. Of several versions, the one listed last is current: new runs take it.

    Raises `InvalidInput` for what is no workflow, and for two of the same name and version.
    """

    def __init__(self, workflows: Sequence[AnyWorkflow] = ()) -> None:
        self._current: dict[str, AnyWorkflow] = {}
        self._versions: dict[tuple[str, str], AnyWorkflow] = {}
        for workflow in workflows:
            if not isinstance(workflow, Workflow):
                raise InvalidInput(f"{workflow!r} is no workflow; decorate it with @workflow.")
            if self._versions.setdefault((workflow.name, workflow.version), workflow) is not workflow:
                raise InvalidInput(
                    f"two workflows are called {workflow.name!r}"
                    + (f" in version {workflow.version!r}" if workflow.version else "")
                    + "; give one of them another name= or version=."
                )
            self._current[workflow.name] = workflow

    def current(self, name: str) -> AnyWorkflow | None:
        """Return the workflow that new runs of this name take, or None."""
        return self._current.get(name)

    def find(self, name: str, version: str) -> AnyWorkflow | None:
        """Return the workflow of this name and version, or None."""
        return self._versions.get((name, version))

    def __iter__(self) -> Iterator[AnyWorkflow]:
        return iter(self._versions.values())
