"""`scripted:NAME`: models that say what a test wrote down for them."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from difflib import get_close_matches

from podium.domain.answers import FailureKind, Usage
from podium.domain.errors import InvalidInput
from podium.domain.money import Money
from podium.ports.models import (
    FinishReason,
    ModelFailure,
    ModelReply,
    ModelRequest,
    TokenProbability,
)

Line = str | ModelReply | ModelFailure
Item = Line | Callable[[ModelRequest], "Line | Awaitable[Line]"]


def say(text: str, *, logprob: float | None = None, finish: FinishReason = FinishReason.STOP) -> ModelReply:
    """Return a reply of `text`, each word a token with the log-probability `logprob` when one is given."""
    words = text.split(" ")
    tokens = tuple(
        TokenProbability(word if i == 0 else f" {word}", logprob)
        for i, word in enumerate(words)
        if logprob is not None
    )
    return ModelReply(text, finish, Usage(0, len(text.split())), "scripted", tokens, Money(), "free")


class Script:
    """What one scripted model says: a line per request, in order, or whatever a function of the request says.

    A line is a text, a `ModelReply`, or a `ModelFailure` to raise; a function of the request, plain or async,
    may stand for any of them, and one function in place of the list answers every request. `requests` holds
    what was asked, in order. A request beyond the last line fails with `FailureKind.INTERNAL`.
    """

    def __init__(self, lines: Iterable[Item] | Callable[[ModelRequest], Line | Awaitable[Line]]) -> None:
        self._always = lines if callable(lines) else None
        self._lines = deque[Item](() if callable(lines) else lines)
        self._length = len(self._lines)
        self.requests: list[ModelRequest] = []

    @property
    def left(self) -> int:
        """How many lines have not been said yet."""
        return len(self._lines)

    async def next(self, name: str, request: ModelRequest) -> ModelReply:
        """Say the next line; raises `ModelFailure` when the line is one, or when there is none."""
        self.requests.append(request)
        if self._always is None and not self._lines:
            raise ModelFailure(
                FailureKind.INTERNAL,
                f"scripted:{name} has no more lines: {self._length} were written, "
                f"this is request {len(self.requests)}",
            )
        item = self._always or self._lines.popleft()
        if callable(item):
            said = item(request)
            item = await said if inspect.isawaitable(said) else said
        match item:
            case ModelFailure():
                raise item
            case ModelReply():
                return item
            case str():
                return self._reply(name, item, request)

    def _reply(self, name: str, text: str, request: ModelRequest) -> ModelReply:
        read = sum(len(message.text.split()) for message in request.messages)
        spoken = say(text)
        return replace(spoken, usage=Usage(read, spoken.usage.output_tokens), model=name)


class ScriptedProvider:
    """Serves the scripts of one test. Costs nothing; words count as tokens; only the total deadline applies."""

    def __init__(self, scripts: Mapping[str, Script]) -> None:
        self._scripts = scripts

    def check(self, model: str) -> None:
        """Raise `InvalidInput` when there is no script of this name."""
        self._script(model)

    async def complete(self, model: str, request: ModelRequest) -> ModelReply:
        """Say the next line of the script; raises `ModelFailure`."""
        script = self._script(model)
        try:
            async with asyncio.timeout(request.limits.total) as total:
                return await script.next(model, request)
        except TimeoutError:
            if not total.expired():
                raise
        raise ModelFailure(
            FailureKind.TIMEOUT, f"scripted:{model} said nothing within {request.limits.total:g} s"
        )

    async def close(self) -> None:
        """Nothing is held."""

    def _script(self, name: str) -> Script:
        if name in self._scripts:
            return self._scripts[name]
        near = get_close_matches(name, self._scripts, 1)
        known = ", ".join(sorted(self._scripts)) or "none"
        hint = f"; did you mean scripted:{near[0]}?" if near else ""
        raise InvalidInput(f"scripted:{name} is not a script that was given (given: {known}){hint}")
