"""`@workflow`: a durable `async def`, and what the engine needs to know of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping
from functools import cached_property, update_wrapper
from typing import Any, Generic, NotRequired, ParamSpec, TypeVar, overload

import orjson
import pydantic
from typing_extensions import TypedDict

from podium.domain.budgets import Budget, Scope
from podium.domain.checks import LONGEST, is_number, shown
from podium.domain.errors import InvalidDefinition, InvalidInput, NotSerialisable
from podium.domain.ids import digest
from podium.domain.operations import Intent, OperationKind, StartChild
from podium.domain.policies import PromptPolicy
from podium.domain.values import MOST_LEVELS, TypedCodec
from podium.flow.signatures import MAX_NAME, Signature, checked_name
from podium.ports.run import CurrentRun, current_run

P = ParamSpec("P")
R = TypeVar("R")


class Workflow(Generic[P, R]):
    """A workflow definition. Called inside a run it is a child run; started by the app it is a run of its own.

    `timeout` bounds the seconds in which a run is actively at work; waiting for people, timers and events
    does not count. `version` tells workflows of one name apart; a run stays with the version it began with.
    `queue` is the queue in which its runs are placed unless they name another. `policy` is what its prompts go by
    where they do not say otherwise. `budget` is what the model calls of each run may come to, those of its child runs
    apart.
    """

    def __init__(
        self,
        function: Callable[..., Coroutine[Any, Any, Any]],
        name: str,
        timeout: float | None,
        version: str = "",
        queue: str | None = None,
        policy: PromptPolicy | None = None,
        budget: Budget | None = None,
    ) -> None:
        self.function = function
        self.name = checked_name(name, "@workflow")
        self.timeout = timeout
        self.version = version
        self.queue = queue
        self.policy = policy
        self.budget = budget
        self.signature = Signature(function, f"workflow {name!r}")
        update_wrapper(self, function)

    @cached_property
    def codec(self) -> TypedCodec:
        """How the workflow's result is stored."""
        return TypedCodec(self.signature.type_of("return"), f"the result of workflow {self.name!r}")

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Run this workflow as a child run of the run that calls it; raises `NotInRun` outside one."""
        run = current_run(f"workflow {self.name!r}", f"e.g. `run = await app.start({self.name}, ...)`.")
        return self._perform(run, self.encode_input(args, kwargs))

    def encode_input(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        """Return call arguments as the JSON object that is stored; raises `InvalidInput` or `NotSerialisable`."""
        # Before anything is done whose result could then not be kept.
        self.codec.require_storable()
        arguments = self.signature.bind(args, kwargs)
        parts = [
            orjson.dumps(name) + b":" + self._codecs[name].encode(value) for name, value in arguments.items()
        ]
        data = b"{" + b",".join(parts) + b"}"
        if data.count(b"{") + data.count(b"[") > MOST_LEVELS:
            # The object of the arguments is one level more than each of them was found to have.
            self._require_readable(data)
        return data

    def decode_input(self, data: bytes) -> dict[str, Any]:
        """Return stored input as call arguments; raises `InvalidInput` naming the field that does not fit."""
        return self._decoded(data, by_alias=False)

    def parse_input(self, text: bytes) -> bytes:
        """Return JSON that a person or a file gave as stored input.

        It may be an object of all arguments by name or, for a workflow with a single parameter, that
        argument itself. Raises `InvalidInput` naming the field that does not fit.
        """
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise InvalidInput(f"the input is not valid JSON: {error}") from None
        names = set(self.signature.names)
        if len(names) == 1 and not (isinstance(value, dict) and set(value) == names):
            value = {next(iter(names)): value}
        if not isinstance(value, dict) or not set(value) <= names:
            expected = ", ".join(self.signature.names) or "none"
            raise InvalidInput(
                f"the input must be a JSON object of the arguments of {self.name!r} ({expected})"
            )
        try:
            named = orjson.dumps(value)
        except orjson.JSONEncodeError as error:
            raise InvalidInput(f"the input cannot be stored: {error}") from None
        return self.encode_input((), self._decoded(named, by_alias=True))

    def call(self, stored_input: bytes) -> Coroutine[Any, Any, Any]:
        """Return the workflow's coroutine for a stored input."""
        return self.function(**self.decode_input(stored_input))

    def _require_readable(self, data: bytes) -> None:
        try:
            self._input.validate_json(data, by_alias=False, by_name=True)
        except pydantic.ValidationError as error:
            if "recursion limit" not in str(error):
                raise
            where, most = f"the input of workflow {self.name!r}", MOST_LEVELS - 1
            problem = f"hold a value that is nested more than {most} levels deep"
            raise NotSerialisable(where, "its arguments", problem) from None

    def _decoded(self, data: bytes, *, by_alias: bool) -> dict[str, Any]:
        try:
            arguments: dict[str, Any] = self._input.validate_json(data, by_alias=by_alias, by_name=True)
        except pydantic.ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(str(part) for part in first["loc"]) or "input"
            raise InvalidInput(
                f"the input does not fit workflow {self.name!r}: {field}: {first['msg']}"
            ) from None
        return arguments

    @cached_property
    def _codecs(self) -> dict[str, TypedCodec]:
        where = f"the input of workflow {self.name!r}"
        types = self.signature.type_of
        return {name: TypedCodec(types(name), where, name) for name in self.signature.names}

    @cached_property
    def _input(self) -> pydantic.TypeAdapter[Any]:
        fields: dict[str, Any] = {}
        for name in self.signature.names:
            annotation = self.signature.type_of(name)
            annotation = Any if annotation is inspect.Parameter.empty else annotation
            fields[name] = annotation if name in self.signature.required else NotRequired[annotation]
        return pydantic.TypeAdapter(TypedDict("Input", fields))  # type: ignore[operator]

    def as_child(self, encoded: bytes, *, outlives: bool = False) -> Intent:
        """Return what asks for a child run with this encoded input; see `StartChild`."""
        request = StartChild(self.name, encoded, outlives)
        return Intent(OperationKind.CHILD, self.name, digest(encoded)[:16], request, self.codec)

    async def _perform(self, run: CurrentRun, encoded: bytes) -> R:
        result: R = await run.perform(self.as_child(encoded))
        return result


class Decorate:
    """The decorator that `workflow(...)` with options returns: takes the function, gives the `Workflow`."""

    def __init__(
        self,
        name: str | None,
        timeout: float | None,
        version: str,
        queue: str | None,
        policy: PromptPolicy | None,
        budget: Budget | None = None,
    ) -> None:
        self._name = name
        self._timeout = timeout
        self._version = version
        self._queue = queue
        self._policy = policy
        self._budget = budget

    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]]) -> Workflow[P, R]:
        """Return the workflow that `function` defines; raises `InvalidDefinition` when it is not async."""
        if not inspect.iscoroutinefunction(function):
            raise InvalidDefinition(f"@workflow {function.__name__!r} must be an `async def`.")
        name = self._name or function.__name__
        return Workflow(function, name, self._timeout, self._version, self._queue, self._policy, self._budget)


@overload
def workflow(function: Callable[P, Coroutine[Any, Any, R]], /) -> Workflow[P, R]: ...
@overload
def workflow(
    *,
    name: str | None = None,
    timeout: float | None = None,
    version: str = "",
    queue: str | None = None,
    policy: PromptPolicy | None = None,
    budget: Budget | str | None = None,
) -> Decorate: ...
def workflow(
    function: Callable[..., Coroutine[Any, Any, Any]] | None = None,
    /,
    *,
    name: str | None = None,
    timeout: float | None = None,
    version: str = "",
    queue: str | None = None,
    policy: PromptPolicy | None = None,
    budget: Budget | str | None = None,
) -> Workflow[Any, Any] | Decorate:
    """Make an `async def` a durable workflow; bare (`@workflow`) or with options (`@workflow(timeout=60)`).

    `timeout`: seconds of active work after which the run fails; time spent waiting for people, timers and
    events does not count. `version`: give changed code another one and keep the old code beside it, under
    the same `name`: runs under way stay with the version they began with, new ones take the one that is
    listed last. `queue`: where its runs wait for room, children included, unless a start names another. `policy`: what
    its prompts go by where they do not say otherwise. `budget`: what
    the model calls of each run may come to, such as `"$0.50"` or `"200k tokens"`; children have their own.
    Raises `InvalidDefinition` when the function is not async or an option makes no sense.
    """
    if timeout is not None and not (is_number(timeout) and 0 < timeout <= LONGEST):
        raise InvalidDefinition(f"@workflow: timeout={shown(timeout)} must be a number of seconds above 0")
    if version and (len(version) > MAX_NAME or not version.isprintable()):
        raise InvalidDefinition(f"@workflow: version must be up to {MAX_NAME} printable characters")
    if policy is not None and not isinstance(policy, PromptPolicy):
        raise InvalidDefinition(f"@workflow: policy={shown(policy)} must be a PromptPolicy")
    if isinstance(budget, str):
        budget = Budget(budget, scope=Scope.RUN)
    if budget is not None and budget.scope is not Scope.RUN:
        raise InvalidDefinition(
            f"@workflow: budget={budget} is for each {budget.scope.value}; here belongs one with scope=Scope.RUN, and "
            "others in GatewaySettings(budgets=...)"
        )
    decorate = Decorate(name, timeout, version, queue, policy, budget)
    return decorate if function is None else decorate(function)
