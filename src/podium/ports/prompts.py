"""Prompt versions on disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from podium.domain.prompts import PromptUse


class PromptStore(Protocol):
    """Keeps the content of each prompt version once, and counts its uses."""

    async def add(self, used: Sequence[PromptUse]) -> None:
        """Add these uses to those that are known; a version that is not known is stored."""
        ...
