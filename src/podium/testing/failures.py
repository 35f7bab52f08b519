"""What a test under the harness fails of, beside its own assertions."""

from __future__ import annotations

from podium.domain.errors import StorageUnavailable


class NotDeterministic(AssertionError):
    """A workflow that was run again from its own journal did not do the same as before."""


class ExecutedAgain(AssertionError):
    """A step was executed although it had completed."""


class OtherResult(AssertionError):
    """A scenario ended otherwise after a crash than without one."""


class Stuck(AssertionError):
    """What the test waits for never comes: nothing moves any more, and no timer is left to skip to."""


class ProcessLost(StorageUnavailable):
    """The process was lost here, as `crash_at` asked for: what was not yet written is gone."""
