"""Taking note of which prompt versions are used."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from podium.domain.prompts import PromptUse, PromptVersion
from podium.gateway.later import Later
from podium.gateway.wording import as_json

if TYPE_CHECKING:
    from podium.gateway.prompt import Prompt
    from podium.ports.prompts import PromptStore

_WRITE_AFTER: Final = 1.0


def version_of(prompt: Prompt[Any]) -> PromptVersion:
    """Return all that the version of a prompt stands for."""
    schema = prompt.output.schema
    return PromptVersion(
        name=prompt.name,
        version=prompt.version,
        template=prompt.template.source,
        system=prompt.system,
        schema=None if schema is None else as_json(schema),
        policy=as_json(prompt.policy.identity()),
    )


class PromptUses:
    """Counts uses in memory and stores them a moment later. `clock` gives seconds since the epoch."""

    def __init__(
        self,
        store: PromptStore,
        *,
        clock: Callable[[], float] = time.time,
        write_after: float = _WRITE_AFTER,
    ) -> None:
        self._store = store
        self._clock = clock
        self._used: dict[tuple[str, str], PromptUse] = {}
        self._writing = Later(self._write, write_after, "uses of prompts were not written down")

    def note(self, prompt: Prompt[Any], tenant: str) -> None:
        """Count one use."""
        now, key = self._clock(), (tenant, prompt.reference)
        known = self._used.get(key)
        if known is None:
            self._used[key] = PromptUse(version_of(prompt), 1, now, now, tenant)
            self._writing.soon()
        else:
            self._used[key] = replace(known, uses=known.uses + 1, last_used=now)

    async def close(self) -> None:
        """Write down what is not yet on disk."""
        await self._writing.close()

    async def _write(self) -> None:
        used, self._used = self._used, {}
        await self._store.add(list(used.values()))
