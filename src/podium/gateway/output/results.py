"""What a reading of a model's text comes to, as a value: `Usable | Unusable`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from podium.domain.answers import FailureKind
from podium.domain.quality import Quality


@dataclass(frozen=True, slots=True)
class Usable:
    """The text gave a value; `quality` says with how much help."""

    value: Any
    quality: Quality = field(default_factory=Quality)


@dataclass(frozen=True, slots=True)
class Unusable:
    """The text gave no value. `problem` is short and fit to be shown to the model that wrote it."""

    kind: FailureKind
    problem: str


Reading = Usable | Unusable
