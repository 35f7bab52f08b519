"""Use-cases on prompts: which versions were used, what is in them, and how they differ."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from typing import Any

from podium.domain.errors import InvalidInput, UnknownPrompt
from podium.domain.prompts import PromptUse, PromptVersion
from podium.gateway.prompt import Prompt
from podium.gateway.versions import version_of
from podium.ports.storage import Storage
from podium.storage import prompts


class Prompts:
    """The prompt versions that a database knows. Works beside a process that owns it."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def list(self, name: str | None = None) -> Sequence[PromptUse]:
        """Return the versions that were used, by prompt and then the latest used first; of one prompt, or of all."""
        return await self._storage.read(lambda conn: prompts.list_prompts(conn, name=name))

    async def get(self, reference: str) -> PromptUse:
        """Return the version that `NAME@VERSION` names, by the beginning of the version if need be; see `found_in`."""
        return found_in(await self.list(_name_of(reference)), reference)

    async def diff(self, before: str, after: str) -> str:
        """Return what changed from one version to another; see `difference`. Raises as `get` does."""
        return difference((await self.get(before)).prompt, (await self.get(after)).prompt)


def in_file(defined: Sequence[Prompt[Any]]) -> Sequence[PromptUse]:
    """Return the versions of prompts that a file defines, by name."""
    return [PromptUse(version_of(each)) for each in sorted(defined, key=lambda each: each.reference)]


def found_in(known: Sequence[PromptUse], reference: str) -> PromptUse:
    """Return the version that `reference` (`NAME` or `NAME@VERSION`) names: without a version, the first one known.

    Raises `UnknownPrompt` when there is none, `InvalidInput` when several begin so.
    """
    name, _, version = reference.partition("@")
    named = [each for each in known if each.prompt.name == name]
    found = [each for each in named if each.prompt.version.startswith(version)]
    if not found:
        have = ", ".join(each.prompt.reference for each in named) or "no version of it"
        raise UnknownPrompt(
            f"there is no prompt {reference[:100]!a} (known: {have}). `podium prompts list` shows those that there are."
        )
    if version and len({each.prompt.version for each in found}) > 1:
        listed = ", ".join(each.prompt.reference for each in found)
        raise InvalidInput(f"{reference[:100]!a} may be any of {listed}. Give more of the version.")
    return found[0]


def difference(before: PromptVersion, after: PromptVersion) -> str:
    """Return a unified diff of template, system text, schema and policy, each with all its lines; empty if equal."""
    parts: list[str] = []
    for part, old, new in (
        ("template", before.template, after.template),
        ("system", before.system, after.system),
        ("schema", _pretty(before.schema), _pretty(after.schema)),
        ("policy", _pretty(before.policy), _pretty(after.policy)),
    ):
        names = f"{before.reference} {part}", f"{after.reference} {part}"
        parts += difflib.unified_diff(_lines(old), _lines(new), *names, lineterm="", n=100)
    return "\n".join(parts)


def _name_of(reference: str) -> str:
    return reference.partition("@")[0]


def _lines(text: str | None) -> list[str]:
    return [] if text is None else text.split("\n")


def _pretty(text: str | None) -> str | None:
    return (
        None if text is None else json.dumps(json.loads(text), indent=2, ensure_ascii=False, sort_keys=True)
    )
