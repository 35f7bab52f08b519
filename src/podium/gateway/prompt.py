"""`prompt(...)`: a typed, versioned model call."""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from pydantic import ValidationError

from podium.domain.answers import Answer
from podium.domain.budgets import Budget, Scope
from podium.domain.checks import is_whole, shown
from podium.domain.durations import Duration, seconds
from podium.domain.errors import InvalidDefinition, InvalidInput, NotInRun, PodiumError
from podium.domain.ids import digest
from podium.domain.operations import Codec, Execute, Intent, OperationKind
from podium.domain.policies import Fallback, Outage, PromptPolicy
from podium.domain.retries import RetryPolicy
from podium.domain.values import TypedCodec, fingerprint
from podium.gateway.batches import batching
from podium.gateway.cache.semantic import Semantic
from podium.gateway.output.form import OutputForm
from podium.gateway.streaming import AnswerPart
from podium.gateway.template import Template
from podium.gateway.wording import as_json
from podium.ports.live import live_calls
from podium.ports.run import current_run, in_run

if TYPE_CHECKING:
    import typing_extensions

    Output = typing_extensions.TypeVar("Output", default=str)

T = TypeVar("T")

RESCHEDULES = 10
"""How often a call may be put off because a provider named a later time."""

# What vendors accept as the name of a schema; the journal's keys ask for less.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True, eq=False)
class Prompt(Generic[T]):
    """A typed model call. Inside a run, `await classify(text=...)` returns an `Answer[T]`, recorded once.

    `version` is 8 hexadecimal characters that change with the template, the system text, the output type and
    the policy. `streams`: what the model writes is published in the run's stream as it comes. `budget` bounds all its
    calls, `cache` is how many seconds an answer may be given again, None for what the settings say and 0 for never,
    `semantic` whether also to similar questions; none of them changes the version. Made by `prompt(...)`.
    """

    name: str
    template: Template
    output: OutputForm[T]
    policy: PromptPolicy
    system: str | None
    validators: tuple[Callable[[T], str | None], ...]
    version: str
    codec: Codec = field(repr=False)
    streams: bool = False
    budget: Budget | None = None
    cache: float | None = None
    semantic: Semantic | None = None

    @property
    def reference(self) -> str:
        """Name and version, as answers give them: `classify_intent@3f9c2a1b`."""
        return f"{self.name}@{self.version}"

    def __call__(self, /, **variables: object) -> Coroutine[None, None, Answer[T]]:
        """Ask, with a value for each variable of the template; durable, and only inside a run.

        With `stream=True` (unless that is a variable of the template) the pieces of the model's text are published in
        the run's stream as they come; when they come anew, from another attempt or model, the earlier ones are marked
        there as superseded.
        Raises `NotInRun` outside one and `InvalidInput` for wrong variables, both at the call; when awaited,
        what the run raises for a call that nobody answered.
        """
        where = f"prompt {self.name!r}"
        run = current_run(
            where, f"outside workflows, async for part in {self.name}.stream(...) asks unrecorded."
        )
        target = self
        if "stream" in variables and "stream" not in self.template.variables:
            target = replace(self, streams=bool(variables["stream"]))
            variables = {name: value for name, value in variables.items() if name != "stream"}
        self.template.check(variables, where)
        request = Execute(target, variables, RetryPolicy(reschedules=RESCHEDULES))
        mark = fingerprint(variables, f"a variable of {where}")
        return run.perform(Intent(OperationKind.MODEL, self.name, mark, request, self.codec))

    async def batch(
        self, items: Sequence[Mapping[str, object]], *, concurrency: int = 16
    ) -> list[Answer[T] | PodiumError]:
        """Ask once for each of `items`, which hold the variables; durable, and only inside a run.

        Returns what became of each, in their order: its answer, or the error that asking for it alone would have
        raised. Where the vendor of the first candidate takes batches, they are handed in as one, which costs less and
        may take a day; the run waits for it, across restarts, without submitting it again. What it does not answer,
        and all where there are no batches, is asked for one by one, at most `concurrency` at a time.

        Raises `NotInRun` outside a run and `InvalidInput` for wrong variables, before anything is asked.
        """
        where = f"prompt {self.name!r}"
        run = current_run(f"{self.name}.batch()", "there is no other way to ask for a batch.")
        if not is_whole(concurrency) or concurrency < 1:
            raise InvalidInput(
                f"{where}: batch(concurrency={shown(concurrency)}) must be a whole number, at least 1"
            )
        for number, variables in enumerate(items):
            self.template.check(variables, f"{where}, item {number} of a batch")
        return await batching.batch(run, self, items, concurrency)

    def stream(self, /, **variables: object) -> AsyncGenerator[AnswerPart[T], None]:
        """Ask, and read the answer while it is written: `async for part in classify.stream(text=...)`.

        For the bodies of `async` steps, whose attempts record what was asked, and for code inside
        `async with Podium(...)`, where nothing is recorded. Until its first piece a call is tried again and falls back
        as any other; a failure after that raises `BrokenOff`, because what was shown cannot be taken back. Leaving the
        loop early ends the request at the provider; `contextlib.aclosing` makes sure of when.

        Raises `InvalidInput` for wrong variables and in workflow code, `NotInRun` where no Podium is open.
        """
        where = f"prompt {self.name!r}"
        if in_run():
            raise InvalidInput(
                f"{where}: workflow code cannot read a live stream, since a replay would not see it again. "
                f"Call {self.name}.stream(...) in a step, or await {self.name}(..., stream=True)."
            )
        self.template.check(variables, where)
        calls = live_calls.get(None)
        if calls is None:
            raise NotInRun(
                f"{self.name}.stream()", "to ask outside runs, call it inside `async with Podium(...)`."
            )
        return calls.stream(self, variables, self.output)


def prompt(  # noqa: PLR0913 - each is an option of its own, and all but two are optional
    name: str,
    template: str,
    *,
    output: typing_extensions.TypeForm[Output] = cast("Any", str),  # noqa: B008 - no call: str under another type
    models: Sequence[str] = (),
    timeout: Duration | None = None,
    retries: int | None = None,
    reasks: int | None = None,
    max_tokens: int | None = None,
    temperature: float | None = None,
    system: str | None = None,
    validators: Sequence[Callable[[Output], str | None]] = (),
    fallback_on_refusal: bool = False,
    hedge: bool | None = None,
    on_outage: Outage | Fallback | None = None,
    policy: PromptPolicy | None = None,
    stream: bool = False,
    budget: Budget | str | None = None,
    cache: Duration | None = None,
    semantic: Semantic | None = None,
) -> Prompt[Output]:
    """Declare a typed model call: what is asked, in which form the answer comes, and of which models.

    `template`: the text with a `{name}` or `{name.field}` for each value that a call gives; literal braces are
    `{{` and `}}`. `output`: `str` for free text, or a pydantic model, dataclass, Enum, Literal or plain JSON
    type. `models`: candidates in order, `provider:model`. `timeout`: for the whole call, with all that
    is tried again: seconds, or text such as `"90s"`. `retries`: requests made again after transient failures, over all candidates. `reasks`: how
    often each model is shown its latest mistake. `max_tokens`: output of one request, doubled once when it is
    too short. `system`: what the model is told first. `validators`: functions of the value that return what is
    wrong with it, or None. `fallback_on_refusal`: whether the next candidate may answer what one refused.
    `stream`: whether calls publish what the model writes in the run's stream. `budget`: what all calls of this prompt
    may come to, such as `"$5/day"`. `cache`: how long a clean answer is given again to whoever asks exactly the same,
    such as `"24h"`; 0 for never. `semantic`: the permission to give it again to similar questions too. `hedge`: whether a second model or credential may be asked when the first is
    unusually late. `on_outage`: what
    follows when no model can answer: `"fail"`, `Fallback(value)`, `"stale"` for an earlier answer, `"reschedule"` to
    try later. `policy`: all of these together; what is named by itself beats it. What is None or empty is left to the
    workflow's policy and the gateway's settings.

    Raises `InvalidDefinition` when any of it could never work.
    """
    where = f"prompt {shown(name)}"
    _check_texts({"name": name, "template": template, "system": system or ""}, where)
    if not _NAME.fullmatch(name):
        raise InvalidDefinition(
            f"{where}: the name must be 1 to 64 letters, digits, - or _, beginning with a letter"
        )
    if not isinstance(stream, bool):
        raise InvalidDefinition(f"{where}: stream={shown(stream)} must be True or False")
    parsed = Template.parse(template, where)
    form: OutputForm[Output] = OutputForm.of(output, where)
    try:
        # The policy checks what it is made of, times as text too, and turns it into what it says it holds.
        own = PromptPolicy(
            cast("tuple[str, ...]", models),
            cast("float | None", timeout),
            retries,
            reasks,
            max_tokens,
            temperature,
            fallback_on_refusal,
            hedge,
            on_outage,
        )
    except InvalidDefinition as error:
        raise InvalidDefinition(f"{where}: {error}") from None
    if policy is not None and not isinstance(policy, PromptPolicy):
        raise InvalidDefinition(f"{where}: policy={shown(policy)} must be a PromptPolicy")
    policy = own if policy is None else own.over(policy)
    _check_fallback(policy.on_outage, form, where)
    _check_validators(validators, where)
    version = digest(template, system or "", as_json(form.schema), as_json(policy.identity()))[:8]
    codec = TypedCodec(Answer[output], f"the answer of {where}")  # type: ignore[valid-type]
    kept = _kept(cache, where)
    bound = _own_budget(budget, where)
    if semantic is not None:
        if not isinstance(semantic, Semantic):
            raise InvalidDefinition(f"{where}: semantic={shown(semantic)} must be a Semantic(...)")
        semantic = semantic.checked(parsed, kept=kept, temperature=policy.temperature, where=where)
    return Prompt(
        name, parsed, form, policy, system, tuple(validators), version, codec, stream, bound, kept, semantic
    )


def _check_texts(given: Mapping[str, object], where: str) -> None:
    for option, text in given.items():
        if not isinstance(text, str):
            raise InvalidDefinition(f"{where}: {option}={shown(text)} must be a text")


def _own_budget(budget: Budget | str | None, where: str) -> Budget | None:
    if isinstance(budget, str):
        if "/" not in budget:
            raise InvalidDefinition(f"{where}: budget={budget!r} has no period: write e.g. '$5/day'")
        try:
            return Budget(budget, scope=Scope.PROMPT)
        except InvalidDefinition as error:
            raise InvalidDefinition(f"{where}: budget={shown(budget)}: {error}") from None
    if budget is not None and not isinstance(budget, Budget):
        raise InvalidDefinition(f"{where}: budget={shown(budget)} must be a Budget, or text such as '$5/day'")
    return budget


def _kept(cache: Duration | None, where: str) -> float | None:
    try:
        return None if cache is None else seconds(cache)
    except InvalidInput as error:
        raise InvalidDefinition(f"{where}: cache={shown(cache)}: {error}") from None


def _check_fallback(on_outage: object, form: OutputForm[Any], where: str) -> None:
    if isinstance(on_outage, Fallback):
        try:
            form.adapter.validate_python(on_outage.value, strict=True)
        except ValidationError as error:
            raise InvalidDefinition(
                f"{where}: on_outage={on_outage!r} is not of the output type: {error.errors()[0]['msg']}"
            ) from None


def _check_validators(validators: Sequence[object], where: str) -> None:
    if not isinstance(validators, list | tuple):
        raise InvalidDefinition(f"{where}: validators={shown(validators)} must be a list of functions")
    for validator in validators:
        if not callable(validator) or inspect.iscoroutinefunction(validator):
            raise InvalidDefinition(
                f"{where}: {shown(validator)} is no validator: it must be a plain function"
            )
