"""Checks of what is set: of the attributes of a frozen dataclass, as it is made; each raises one clear error."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from enum import StrEnum
from typing import Any, Final, TypeGuard, TypeVar

from podium.domain.budgets import Budget
from podium.domain.durations import seconds
from podium.domain.errors import InvalidInput, PodiumError, Terminal

E = TypeVar("E", bound=StrEnum)

LARGEST: Final = 10**15
"""The largest number that may be set: beyond it, floating point counts no more one by one."""

LONGEST: Final = 3_200_000_000.0
"""The longest time that may be set, in seconds: a hundred years."""

_WIDTH: Final = 80


class Checks:
    """Checks attributes of `of`, by their names, and puts in their place what they stand for: times in seconds, tuples.

    None is allowed where it is an attribute's default. What is wrong raises `error` with the class, the attribute, the
    value and what is allowed; `where` stands in front in place of the class, when given.
    """

    def __init__(
        self, of: Any, error: Callable[[str], PodiumError] = InvalidInput, where: str | None = None
    ) -> None:
        self._of = of
        self._error = error
        self._where = f"{type(of).__name__}: " if where is None else where
        self._optional = {each.name for each in fields(of) if each.default is None}

    def count(self, *names: str, least: int = 0) -> None:
        """Whole numbers, at least `least`."""
        for name, value in self._given(names):
            if not is_whole(value) or not least <= value <= LARGEST:
                raise self.wrong(name, value, f"a whole number from {least} to 10^15")

    def number(self, *names: str, least: float = 0, most: float = LARGEST, above: bool = False) -> None:
        """Numbers from `least`, or `above` it, to `most`; neither NaN nor infinite."""
        for name, value in self._given(names):
            if not is_number(value) or not least <= value <= most or (above and value == least):
                bounds = f"above {least:g}" if above else f"at least {least:g}"
                until = "" if most == LARGEST else f" and at most {most:g}"
                raise self.wrong(name, value, f"a number {bounds}{until}")

    def time(self, *names: str, above: bool = False) -> None:
        """Times of 0 seconds or more, or `above` it, as numbers of seconds, timedeltas or text such as `90s`."""
        for name, value in self._given(names):
            try:
                taken = seconds(value)
            except InvalidInput:
                taken = -1.0
            if not 0 <= taken <= LONGEST or (above and not taken):
                least = "above 0 s" if above else "of 0 s or more"
                raise self.wrong(
                    name, value, f"a time {least}: seconds, or text such as '90s', '15m' or '2h'"
                )
            # What was a number stays as it is: versions of prompts depend on how it was written.
            if isinstance(value, str | datetime.timedelta):
                self._put(name, taken)

    def flag(self, *names: str) -> None:
        """True or False."""
        for name, value in self._given(names):
            if not isinstance(value, bool):
                raise self.wrong(name, value, "True or False")

    def choice(self, name: str, allowed: Iterable[str], *kinds: type) -> None:
        """One of several words, or an object of one of `kinds`."""
        for _, value in self._given([name]):
            if not isinstance(value, kinds) and not (isinstance(value, str) and value in allowed):
                words = [*map(repr, allowed), *(f"a {kind.__name__}" for kind in kinds)]
                raise self.wrong(name, value, f"one of {', '.join(words)}")

    def member(self, name: str, kind: type[StrEnum]) -> None:
        """A member of an enumeration, or the text of one."""
        for _, value in self._given([name]):
            self._put(name, self.member_of(name, value, kind))

    def member_of(self, name: str, value: object, kind: type[E]) -> E:
        """Return the member of `kind` that `value` is or spells."""
        try:
            # By its type first: the error that an enumeration raises shows the value, whatever that does.
            return kind(value if isinstance(value, str) else "")
        except ValueError:
            raise self.wrong(name, value, f"one of {', '.join(repr(each.value) for each in kind)}") from None

    def kind(self, name: str, *kinds: type) -> None:
        """An object of one of `kinds`."""
        for _, value in self._given([name]):
            if not isinstance(value, kinds):
                raise self.wrong(name, value, f"a {' or '.join(kind.__name__ for kind in kinds)}")

    def models(self, *names: str) -> None:
        """Several names of models, `provider:model`, none twice."""
        for name, value in self._given(names):
            self._put(name, self.models_of(name, value))

    def models_of(self, name: str, value: object) -> tuple[str, ...]:
        """Return several names of models as a tuple."""
        found = self.texts_of(name, value)
        for model in found:
            provider, colon, rest = model.partition(":")
            if not (provider and colon and rest):
                raise self._error(
                    f"{self._where}{name}: {shown(model)} names no model: write 'provider:model'"
                )
        if len(set(found)) < len(found):
            raise self._error(f"{self._where}{name}= names one model twice; use retries= to ask it again")
        return found

    def texts(self, name: str, *, like: Callable[[str], str]) -> None:
        """Several texts, kept as `like` writes them."""
        for _, value in self._given([name]):
            self._put(name, tuple(like(each) for each in self.texts_of(name, value)))

    def texts_of(self, name: str, value: object) -> tuple[str, ...]:
        """Return several texts as a tuple. One alone is refused, since its letters could be meant as well."""
        if isinstance(value, str):
            raise self._error(f"{self._where}{name}= takes a list: {name}=[{shown(value)}]")
        found = self.items_of(name, value, "a list of texts")
        for each in found:
            if not isinstance(each, str) or not each.strip():
                raise self.wrong(name, value, "a list of texts, none of them empty")
        return found

    def items_of(self, name: str, value: object, allowed: str) -> tuple[Any, ...]:
        """Return what a list or another collection holds, as a tuple."""
        if not isinstance(value, list | tuple | set | frozenset):
            raise self.wrong(name, value, allowed)
        return tuple(value)

    def budgets(self, name: str) -> None:
        """Several budgets; text such as `$5/day` is one that each tenant has."""
        self._put(name, budgets_of(getattr(self._of, name), f"{self._where}{name}", self._error))

    def mapping(self, name: str, allowed: str, value: Callable[[str, Any], Any]) -> None:
        """A mapping from names; `value` is told the name of each item, and returns what is put in its place."""
        given = getattr(self._of, name)
        if not isinstance(given, Mapping):
            raise self.wrong(name, given, allowed)
        found = {}
        for key, item in given.items():
            if not isinstance(key, str) or not key:
                raise self.wrong(name, given, allowed)
            found[key] = value(f"{name}[{shown(key)}]", item)
        self._put(name, found)

    def mapping_of(self, name: str, kind: type) -> None:
        """A mapping from names to objects of `kind`."""

        def checked(place: str, item: object) -> object:
            if not isinstance(item, kind):
                raise self.wrong(place, item, f"a {kind.__name__}")
            return item

        self.mapping(name, f"a mapping of names to {kind.__name__}", checked)

    def wrong(self, name: str, value: object, allowed: str) -> PodiumError:
        """Return the error about a value that is not `allowed`."""
        return self._error(f"{self._where}{name}={shown(value)} must be {allowed}")

    def _given(self, names: Iterable[str]) -> Iterable[tuple[str, Any]]:
        for name in names:
            value = getattr(self._of, name)
            if value is not None or name not in self._optional:
                yield name, value

    def _put(self, name: str, value: object) -> None:
        object.__setattr__(self._of, name, value)


def budgets_of(
    given: object, where: str, error: Callable[[str], PodiumError] = InvalidInput
) -> tuple[Budget, ...]:
    """Return the budgets of a list that may hold their texts too; raises `error`, naming `where`."""
    if not isinstance(given, list | tuple):
        raise error(f"{where}={shown(given)} must be a list of budgets: [Budget('$5/day')]")
    found: list[Budget] = []
    for each in given:
        try:
            budget = Budget.parse(each) if isinstance(each, str) else each
        except Terminal as problem:
            raise error(f"{where}: {problem}") from None
        if not isinstance(budget, Budget):
            raise error(f"{where}: {shown(each)} must be a budget: Budget('$5/day'), or its text")
        found.append(budget)
    return tuple(found)


def is_whole(value: object) -> TypeGuard[int]:
    """Return whether a value is a whole number; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> TypeGuard[float]:
    """Return whether a value is a number, NaN and infinity included; True and False are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def shown(value: object) -> str:
    """Return a value for an error: as Python writes it, in plain characters, cut where it is long."""
    try:
        text = ascii(value)
    except Exception:  # noqa: BLE001 - what is refused may be anything, and its text is code of its own
        text = f"a {type(value).__name__}"
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"
