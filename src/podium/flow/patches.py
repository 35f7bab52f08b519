"""Patches: changes of code that runs under way do not see."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from podium.ports.run import current_run


@dataclass(frozen=True, slots=True)
class Patch:
    """That the new code was taken at journal key `key`, by the call `patched(name)`."""

    key: str
    name: str


class Patches:
    """Decides at each `patched()` whether the new code is taken.

    It is taken by runs that come to it for the first time, which is then recorded, and by those for which
    that is recorded. Runs that had passed it before the code was changed go on with the old code: of those,
    the journal records nothing there. `recorded` are the keys in the journal; `is_live` says that the code
    is doing what it has not done before.
    """

    def __init__(self, recorded: Iterable[str] = (), *, is_live: bool = True) -> None:
        self._taken = set(recorded)
        self._new: list[Patch] = []
        self.is_live = is_live

    def taken(self, key: str, name: str) -> bool:
        """Return whether the new code is taken at `key`."""
        if key in self._taken:
            return True
        if not self.is_live:
            return False
        self._taken.add(key)
        self._new.append(Patch(key, name))
        return True

    def take_new(self) -> list[Patch]:
        """Return, once, what is to be recorded before anything that the new code asks for is begun."""
        taken, self._new = self._new, []
        return taken


def patched(name: str) -> bool:
    """Return True where new code is to be taken, False for a run that had passed this place before the change.

    `if patched("ask-first"): ... new code ... else: ... old code ...` inside a workflow: runs under way finish as
    they began, new ones take the new code. Raises `NotInRun` outside a run.
    """
    return current_run("patched()").patched(name)
