"""How long what a run leaves behind is kept, and in which form."""

from __future__ import annotations

from dataclasses import dataclass

from podium.domain.durations import Duration, seconds
from podium.domain.errors import InvalidInput
from podium.domain.states import RunState


@dataclass(frozen=True, slots=True)
class Retention:
    """What becomes of finished runs with time; ages count from the end of a run, None means never.

    `archive_after`: age at which the journal is folded into a compressed archive, which shows and replays the same.
    `delete_after`: age at which a run is deleted, with its child runs and all that belongs to them.
    `keep_failed`: age at which failed runs are deleted, instead of `delete_after`; None treats them like the others.

    Raises `InvalidInput` for what is no duration, and for `keep_failed` where nothing is ever deleted.
    """

    archive_after: Duration | None = "6h"
    delete_after: Duration | None = None
    keep_failed: Duration | None = None

    def __post_init__(self) -> None:
        for age in (self.archive_after, self.delete_after, self.keep_failed):
            if age is not None:
                seconds(age)
        if self.keep_failed is not None and self.delete_after is None:
            raise InvalidInput(
                "keep_failed says when failed runs are deleted, but without delete_after nothing is. Set both."
            )

    @property
    def archive_age(self) -> float | None:
        """The age in seconds at which a finished run's journal is archived, None for never."""
        return None if self.archive_after is None else seconds(self.archive_after)

    def delete_age(self, state: RunState) -> float | None:
        """Return the age in seconds at which a run that ended in `state` is deleted, None for never."""
        age = self.delete_after
        if state is RunState.FAILED and self.keep_failed is not None:
            age = self.keep_failed
        return None if age is None else seconds(age)
