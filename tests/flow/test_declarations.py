"""`@step` and `@workflow`: what they accept, what they refuse at the line that declares it, and what they keep."""

from __future__ import annotations

import functools

import pytest

from podium import InvalidDefinition, InvalidInput, step, workflow
from podium.domain.retries import RetryPolicy
from podium.flow.steps import Step
from podium.flow.workflows import Workflow


def test_a_step_may_be_declared_bare_or_with_options():
    @step
    async def bare(x: int) -> int:
        """Says what it does."""
        return x

    @step()
    def called(x: int) -> int:
        return x

    @step(name="post", retries=2, timeout=1.5, backoff=0.1, max_backoff=4)
    def dressed(x: int) -> int:
        return x

    assert isinstance(bare, Step)
    assert (bare.name, bare.is_async, bare.policy) == ("bare", True, RetryPolicy())
    assert (called.name, called.is_async) == ("called", False)
    assert (dressed.name, dressed.policy) == ("post", RetryPolicy(2, 0.1, 4, 1.5))
    assert bare.__doc__ == "Says what it does."
    assert dressed.function(3) == 3


def test_a_workflow_may_be_declared_bare_or_with_options():
    @workflow
    async def bare(x: int) -> int:
        return x

    @workflow(name="desk", timeout=60)
    async def dressed(x: int) -> int:
        return x

    assert isinstance(bare, Workflow)
    assert (bare.name, bare.timeout) == ("bare", None)
    assert (dressed.name, dressed.timeout) == ("desk", 60)


@pytest.mark.parametrize(
    "options", [{"retries": -1}, {"timeout": 0}, {"timeout": -1}, {"backoff": -0.1}, {"max_backoff": -1}]
)
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(InvalidDefinition, match="must not be negative"):
        step(**options)


def test_a_workflow_must_be_async():
    with pytest.raises(InvalidDefinition, match="@workflow 'plain' must be an `async def`"):

        @workflow  # type: ignore[arg-type]
        def plain() -> None: ...


def test_parameters_must_have_names_by_which_they_can_be_recorded():
    for declare in (step, workflow):
        with pytest.raises(InvalidDefinition, match="parameters must have names"):

            @declare
            async def starred(*items: int) -> None: ...

        with pytest.raises(InvalidDefinition, match="parameters must have names"):

            @declare
            async def keywords(**items: int) -> None: ...

        with pytest.raises(InvalidDefinition, match="parameters must have names"):

            @declare
            async def positional(item: int, /) -> None: ...


def test_a_generator_is_no_step():
    with pytest.raises(InvalidDefinition, match="a step returns one value"):

        @step
        def counts():
            yield 1

    with pytest.raises(InvalidDefinition, match="a step returns one value"):

        @step
        async def counts_slowly():
            yield 1


def test_arguments_are_bound_as_python_binds_them():
    @step
    async def takes(a: int, b: int = 2, *, c: int = 3) -> None: ...

    bind = takes.signature.bind
    assert bind((1,), {}) == {"a": 1, "b": 2, "c": 3}
    assert bind((1, 5), {"c": 6}) == {"a": 1, "b": 5, "c": 6}
    assert bind((), {"b": 1, "a": 2}) == {"a": 2, "b": 1, "c": 3}
    for args, kwargs in [((), {}), ((1, 2, 3), {}), ((1,), {"d": 1}), ((1,), {"a": 1})]:
        with pytest.raises(
            InvalidInput, match="step 'takes' was called with arguments that it does not take"
        ):
            bind(args, kwargs)


def test_types_may_be_named_before_they_are_defined():
    @workflow
    async def early(later: Later) -> Later:
        return later

    assert early.encode_input((Later(),), {}) == b'{"later":{"x":1}}'


def test_a_type_that_cannot_be_found_is_named():
    @workflow
    async def lost(thing: Nowhere) -> None: ...  # type: ignore[name-defined] # noqa: F821 - that it is nowhere is the point

    with pytest.raises(
        InvalidDefinition, match=r"workflow 'lost' is annotated with a type that cannot be found: .*Nowhere"
    ):
        lost.encode_input((1,), {})


def test_a_decorated_function_keeps_the_names_of_its_parameters():
    def twice(function):
        @functools.wraps(function)
        async def both(x: int) -> int:
            return int(await function(x) + await function(x))

        return both

    @step
    @twice
    async def count(x: int) -> int:
        return x

    assert count.signature.names == ("x",)
    assert count.name == "count"


import dataclasses


@dataclasses.dataclass
class Later:
    x: int = 1
