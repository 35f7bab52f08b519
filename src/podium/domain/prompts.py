"""Versions of prompts: what stands behind the name and digest that every answer carries."""

from __future__ import annotations

from dataclasses import dataclass

from podium.domain.runs import DEFAULT_TENANT


@dataclass(frozen=True, slots=True)
class PromptVersion:
    """One version of a prompt, with all that its digest covers. `schema` and `policy` are JSON."""

    name: str
    version: str
    template: str
    system: str | None
    schema: str | None
    policy: str

    @property
    def reference(self) -> str:
        """Name and version, as answers give them."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True)
class PromptUse:
    """A version and how often it was used, first and last in seconds since the epoch; None when it never was."""

    prompt: PromptVersion
    uses: int = 0
    first_used: float | None = None
    last_used: float | None = None
    tenant: str = DEFAULT_TENANT
