"""What of a request is worth marking for a provider that keeps only what it is asked to keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from podium.ports.models import ModelRequest, Role

# Services keep no fewer than 1,024 tokens, which are no fewer bytes than this. A mark below that changes nothing.
_WORTH_KEEPING: Final = 3_072


@dataclass(frozen=True, slots=True)
class Marks:
    """Where a request's stable beginning may end: after the tools, after the system text, and inside the first message."""

    tools: bool
    system: bool
    opening: bool

    @classmethod
    def of(cls, request: ModelRequest) -> Marks:
        """Return the marks that are worth it: each stands for all that comes before it too."""
        tools = sum(len(f"{tool.name}{tool.description}{tool.schema}".encode()) for tool in request.tools)
        said = [each.text for each in request.messages if each.role is Role.SYSTEM]
        system = tools + sum(len(text.encode()) for text in said)
        opening = next((each.stable for each in request.messages if each.role is Role.USER), 0)
        return cls(
            tools=tools >= _WORTH_KEEPING,
            system=bool(said) and system >= _WORTH_KEEPING,
            opening=opening > 0 and system + opening >= _WORTH_KEEPING,
        )
