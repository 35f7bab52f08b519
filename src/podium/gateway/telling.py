"""Telling of a reply while it is being written, and what may still be done once somebody has heard of it."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic_core import to_json

from podium.domain.errors import BrokenOff
from podium.gateway.line import Line
from podium.gateway.wording import one_line, well_formed
from podium.ports.execution import AttemptContext
from podium.ports.models import Delta, TextDelta


@dataclass(slots=True)
class Telling:
    """Tells the context of one call what the model writes, piece by piece, where it `listens`.

    What is told by a run's stream can be taken back: it is marked there, and the call goes on as if nothing had
    been heard. What a live listener has heard cannot, and ends the call.
    """

    context: AttemptContext
    listens: bool
    heard: int = 0

    @property
    def bound(self) -> bool:
        """Whether a live listener has heard something."""
        return bool(self.heard) and self.context.supersede is None

    def begin(self) -> None:
        """A request is made: what was told of an earlier one no longer counts."""
        if self.heard and self.context.supersede is not None:
            self.context.supersede()
        self.heard = 0

    def hear(self, delta: Delta) -> None:
        """Pass on a piece of the reply's text."""
        if isinstance(delta, TextDelta) and delta.text:
            self.heard += len(delta.text)
            self.context.publish(to_json(well_formed(delta.text)))

    def whole(self, text: str) -> None:
        """Pass on a text that no model has written just now, in place of whatever was told before."""
        if self.listens:
            self.begin()
            self.hear(TextDelta(text))

    def broken_off(self, prompt: str, line: Line) -> BrokenOff | None:
        """Return what to raise for a call that ended without an answer, or None when nobody has heard of it who would mind."""
        if not self.bound or line.latest is None:
            return None
        candidate, fault = line.latest
        said = f"{fault.kind.replace('_', ' ')}: {one_line(fault.message, 200)}"
        return BrokenOff(
            f"Prompt {prompt}: the reply of {candidate.model} ended after {self.heard} characters of it had been shown "
            f"({said}). "
            "What was shown is not repeated by itself: take it back and ask again, or await the prompt instead of "
            "streaming it, which tries again by itself.",
            self.heard,
        )
