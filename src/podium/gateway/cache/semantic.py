"""What a prompt permits when a question is not the same as an earlier one, but like it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from podium.domain.checks import Checks
from podium.domain.errors import InvalidDefinition

if TYPE_CHECKING:
    from podium.gateway.prompt import Prompt
    from podium.gateway.template import Template

THRESHOLD = 0.95
"""How similar two questions must be: below it, measured, hits are more and right ones fewer."""

VERIFIES = frozenset(("question", "earlier", "answer"))
"""The variables that a verifying prompt may have."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """A question, and an earlier one like it whose answer was `value`; `similarity` from 0 to 1."""

    question: str
    earlier: str
    value: Any
    similarity: float


@dataclass(frozen=True, slots=True)
class Semantic:
    """The permission to give an answer again to a question that is like the one it was given to.

    `of`: the one variable whose wording may differ; everything else must be equal. It may be left out where the
    template has one variable. `threshold`: the least similarity, from above 0 to 1. `verify`: who is asked whether the
    earlier answer is right for this question too: a model (`provider:model`), a prompt with any of the variables
    `question`, `earlier` and `answer` whose output is `bool`, or a function of a `Likeness`, plain or `async`; whatever
    is not a plain yes counts as no. Without one, no word that carries content may differ. `sampled`: also where the
    temperature is above 0. Never given are answers to questions that differ in numbers, names, negations or quotations.
    """

    threshold: float = THRESHOLD
    verify: str | Prompt[Any] | Callable[[Likeness], bool | Awaitable[bool]] | None = None
    of: str | None = None
    sampled: bool = False

    def __post_init__(self) -> None:
        checks = Checks(self, InvalidDefinition)
        checks.number("threshold", above=True, most=1)
        checks.kind("of", str)
        checks.flag("sampled")

    def checked(
        self, template: Template, *, kept: float | None, temperature: float | None, where: str
    ) -> Semantic:
        """Return this with `of` filled in; raises `InvalidDefinition`, naming `where`, when it could never work."""
        if not kept:
            raise InvalidDefinition(f"{where}: semantic= needs cache=, how long answers are given again")
        if temperature and not self.sampled:
            raise InvalidDefinition(
                f"{where}: at temperature={temperature:g} answers are meant to differ. Leave semantic= out, or say "
                "Semantic(sampled=True)."
            )
        _check_verifier(self.verify, where)
        return replace(self, of=_variable(self.of, template, where))


def _variable(of: str | None, template: Template, where: str) -> str:
    whole: Sequence[str] = template.whole
    if of is None and len(template.variables) == 1:
        of = template.variables[0]
    if of is None:
        raise InvalidDefinition(
            f"{where}: say whose wording may differ, Semantic(of=...): one of {', '.join(template.variables) or 'none'}"
        )
    if of not in whole:
        raise InvalidDefinition(
            f"{where}: Semantic(of={of!r}) must be a variable that the template takes as a whole, as {{{of}}}; "
            f"it takes so: {', '.join(whole) or 'none'}"
        )
    return of


def _check_verifier(verify: object, where: str) -> None:
    from podium.gateway.prompt import Prompt

    if isinstance(verify, str):
        provider, colon, model = verify.partition(":")
        if not (provider and colon and model):
            raise InvalidDefinition(f"{where}: verify={verify!r} names no model: write 'provider:model'")
    elif isinstance(verify, Prompt):
        if not set(verify.template.variables) <= VERIFIES or verify.output.adapter.json_schema() != {
            "type": "boolean"
        }:
            raise InvalidDefinition(
                f"{where}: the verifying prompt {verify.name!r} may only have the variables question, earlier and "
                "answer, and its output must be bool"
            )
        if verify.semantic is not None:
            raise InvalidDefinition(
                f"{where}: the verifying prompt {verify.name!r} must not be semantic= itself"
            )
    elif verify is not None and not callable(verify):
        raise InvalidDefinition(f"{where}: verify={verify!r} is neither a model, a prompt nor a function")
