"""Settings of what is kept of finished runs and of answered requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from podium.domain.checks import Checks
from podium.domain.durations import Duration, seconds
from podium.domain.retention import Retention


@dataclass(frozen=True, slots=True)
class RetentionSettings:
    """What is kept of finished runs, and how the process that owns the database sees to it.

    `default`: for every workflow that has no entry of its own; it archives and never deletes.
    `workflows`: for workflows by name. A child run goes with the run that began its line.
    `requests`: the age at which rows of the server's log of requests are deleted; None keeps them for ever.
    `every`: seconds between two rounds of archiving and deleting; 0 leaves it all to `podium maintain`.
    `forget_keys`: age at which the `dedupe` keys of events emitted for triggers are forgotten, None for never.
    `share`: the most of its time, between 0 and 1, that a round is at work; the rest it pauses, for the runs' sake.
    """

    default: Retention = field(default_factory=Retention)
    workflows: Mapping[str, Retention] = field(default_factory=dict)
    requests: Duration | None = None
    every: float = 60.0
    share: float = 0.1
    forget_keys: Duration | None = "90d"

    def __post_init__(self) -> None:
        checks = Checks(self)
        checks.kind("default", Retention)
        checks.mapping_of("workflows", Retention)
        checks.time("requests", "every")
        if self.forget_keys is not None:
            checks.time("forget_keys")
        checks.number("share", above=True, most=1)

    @property
    def keys_age(self) -> float | None:
        """The age in seconds at which the keys of emitted events are forgotten, None for never."""
        return None if self.forget_keys is None else seconds(self.forget_keys)

    def of(self, workflow: str) -> Retention:
        """Return what applies to the runs of a workflow."""
        return self.workflows.get(workflow, self.default)
