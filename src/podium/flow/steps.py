"""`@step`: a function whose calls are recorded, so that a completed one is never executed again."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import cached_property, partial, update_wrapper
from typing import Any, Generic, ParamSpec, TypeVar, overload

from podium.domain.errors import InvalidDefinition
from podium.domain.operations import Execute, Intent, OperationKind
from podium.domain.retries import RetryPolicy
from podium.domain.values import TypedCodec, fingerprint
from podium.flow.signatures import Signature, checked_name
from podium.ports.run import CurrentRun, current_run

P = ParamSpec("P")
R = TypeVar("R")
_COMPENSATION = RetryPolicy(retries=5)


class Step(Generic[P, R]):
    """A durable step. Calling it inside a run performs it once; `function` is the plain function underneath."""

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        policy: RetryPolicy,
        compensate: Step[Any, Any] | Callable[..., Any] | None = None,
    ) -> None:
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise InvalidDefinition(f"@step {name!r} is a generator; a step returns one value, e.g. a list.")
        self.function = function
        self.name = checked_name(name, "@step")
        self.policy = policy
        self.is_async = inspect.iscoroutinefunction(function)
        self.signature = Signature(function, f"step {name!r}")
        self._where = f"an argument of step {name!r}"
        self._undo = None if compensate is None else partial(_undo, self._compensation(compensate))
        update_wrapper(self, function)

    @cached_property
    def codec(self) -> TypedCodec:
        """How the step's result is stored."""
        return TypedCodec(self.signature.type_of("return"), f"the result of step {self.name!r}")

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Perform the step in the run that calls it; raises `NotInRun` outside one, `StepFailed` when it fails."""
        run = current_run(
            f"step {self.name!r}",
            f"to run the plain function without durability, call {self.name}.function(...).",
        )
        return self._perform(run, self.signature.bind(args, kwargs))

    async def _perform(self, run: CurrentRun, arguments: dict[str, Any]) -> R:
        # Before anything is done whose result could then not be kept.
        self.codec.require_storable()
        request = Execute(self, arguments, self.policy, self._undo)
        mark = fingerprint(arguments, self._where)
        result: R = await run.perform(Intent(OperationKind.STEP, self.name, mark, request, self.codec))
        return result

    def _compensation(self, compensate: Step[Any, Any] | Callable[..., Any]) -> Step[Any, Any]:
        step = (
            compensate
            if isinstance(compensate, Step)
            else Step(compensate, getattr(compensate, "__name__", "compensate"), _COMPENSATION)
        )
        unknown = set(step.signature.names[1:]) - set(self.signature.names)
        if unknown:
            raise InvalidDefinition(
                f"@step {self.name!r}: compensate={step.name} takes {', '.join(sorted(unknown))}, which the step does "
                "not; it is given the step's result and, by their names, any of the step's own arguments."
            )
        return step


def _undo(
    compensation: Step[Any, Any], result: Any, arguments: Mapping[str, Any]
) -> Coroutine[Any, Any, Any]:
    names = compensation.signature.names
    given = {name: arguments[name] for name in names[1:]}
    if names:
        given[names[0]] = result
    return compensation(**given)


class Decorate:
    """The decorator that `step(...)` with options returns: takes the function, gives the `Step`."""

    def __init__(
        self,
        name: str | None,
        policy: RetryPolicy,
        compensate: Step[Any, Any] | Callable[..., Any] | None,
    ) -> None:
        self._name = name
        self._policy = policy
        self._compensate = compensate

    @overload
    def __call__(self, function: Callable[P, Awaitable[R]]) -> Step[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R]) -> Step[P, R]: ...
    def __call__(self, function: Callable[..., Any]) -> Step[Any, Any]:
        """Return the step that `function` defines."""
        return Step(function, self._name or function.__name__, self._policy, self._compensate)


@overload
def step(function: Callable[P, Awaitable[R]], /) -> Step[P, R]: ...
@overload
def step(function: Callable[P, R], /) -> Step[P, R]: ...
@overload
def step(
    *,
    name: str | None = None,
    retries: int = 0,
    timeout: float | None = None,
    backoff: float = 0.5,
    max_backoff: float = 30.0,
    at_most_once: bool = False,
    heartbeat: float | None = None,
    compensate: Step[Any, Any] | Callable[..., Any] | None = None,
) -> Decorate: ...
def step(  # noqa: PLR0913 - each is an option of its own
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    retries: int = 0,
    timeout: float | None = None,
    backoff: float = 0.5,
    max_backoff: float = 30.0,
    at_most_once: bool = False,
    heartbeat: float | None = None,
    compensate: Step[Any, Any] | Callable[..., Any] | None = None,
) -> Step[Any, Any] | Decorate:
    """Make a function a durable step; bare (`@step`) or with options (`@step(retries=2)`).

    `retries`: attempts after the first, for every error except `Terminal` ones. `timeout`: seconds for one
    attempt. `backoff`, `max_backoff`: seconds; the wait before retry n is random up to
    `min(backoff * 2**n, max_backoff)`. `at_most_once`: never executed twice; when the process dies while it
    runs, its outcome counts as unknown and the run is blocked until a person settles it. `heartbeat`: seconds
    within which the body calls `heartbeat()`; when it does not, it counts as stalled, is cancelled and, unless
    it is `at_most_once`, started again, up to 3 times beside the retries. `compensate`: a step or a function that
    undoes this step when the run fails or is cancelled after it; it is given the result and, by name, any of
    this step's arguments, and as a plain function is retried 5 times. Functions that are not `async` run in a
    thread. Raises `InvalidDefinition` when the options contradict one another.
    """
    limits = [limit for limit in (timeout, heartbeat) if limit is not None]
    if min(retries, backoff, max_backoff) < 0 or min(limits, default=1) <= 0:
        raise InvalidDefinition(
            "@step: retries, backoff and max_backoff must not be negative, timeout and heartbeat must be above 0"
        )
    if at_most_once and retries:
        raise InvalidDefinition(
            "@step: at_most_once forbids a second execution, so it cannot go with retries"
        )
    policy = RetryPolicy(retries, backoff, max_backoff, timeout, at_most_once, heartbeat=heartbeat)
    decorate = Decorate(name, policy, compensate)
    return decorate if function is None else decorate(function)
