"""What a decorated function takes and returns, read from its annotations."""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from podium.domain.errors import InvalidDefinition, InvalidInput

MAX_NAME = 200


class Signature:
    """A function's parameters and return type.

    Annotations are resolved when they are first needed, because they may name types that are defined
    further down; names local to the place of decoration are remembered.
    """

    def __init__(self, function: Callable[..., Any], what: str) -> None:
        self._function = function
        self._what = what
        self._signature = inspect.signature(function)
        self._parameters = self._signature.parameters
        self._locals = _enclosing_locals(function)
        kinds = {parameter.kind for parameter in self._parameters.values()}
        if kinds - {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}:
            raise InvalidDefinition(
                f"{what} takes {self._signature}; parameters must have names by which they can be given (no *args, "
                "**kwargs or /), so that arguments can be recorded."
            )
        self._all_positional = inspect.Parameter.KEYWORD_ONLY not in kinds

    @property
    def names(self) -> tuple[str, ...]:
        """Parameter names in order."""
        return tuple(self._parameters)

    @property
    def required(self) -> frozenset[str]:
        """Names of the parameters without a default."""
        return frozenset(name for name, p in self._parameters.items() if p.default is p.empty)

    @property
    def defaults(self) -> Mapping[str, Any]:
        """Default values by parameter name."""
        return {name: p.default for name, p in self._parameters.items() if p.default is not p.empty}

    @cached_property
    def hints(self) -> Mapping[str, Any]:
        """Resolved annotations by parameter name, with `return` for the result."""
        try:
            return typing.get_type_hints(self._function, localns=self._locals, include_extras=True)
        except NameError as error:
            raise InvalidDefinition(
                f"{self._what} is annotated with a type that cannot be found: {error}. Import or define it in the "
                "module, outside any `if TYPE_CHECKING`."
            ) from error

    def type_of(self, name: str) -> Any:
        """Return the declared type of a parameter, or of `return`; `inspect.Parameter.empty` when undeclared."""
        return self.hints.get(name, inspect.Parameter.empty)

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return all arguments by name, defaults filled in; raises `InvalidInput` when they do not fit."""
        if self._all_positional and not kwargs and len(args) == len(self._parameters):
            return dict(zip(self._parameters, args, strict=True))
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise InvalidInput(
                f"{self._what} was called with arguments that it does not take: {error}"
            ) from None
        bound.apply_defaults()
        return bound.arguments


def checked_name(name: str, what: str) -> str:
    """Return the name of a step or workflow; raises `InvalidDefinition` when it could not be stored or shown."""
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
        raise InvalidDefinition(f"{what} {name[:60]!a}: a name must be 1 to {MAX_NAME} printable characters.")
    return name


def _enclosing_locals(function: Callable[..., Any]) -> dict[str, Any]:
    if "<locals>" not in function.__qualname__:
        return {}
    frame = sys._getframe(1)  # noqa: SLF001 - only the call stack knows where the decorator stands
    # Up out of this package: the first foreign frame is the one in which the decorator stands.
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("podium.flow"):
        frame = frame.f_back
    return dict(frame.f_locals)
