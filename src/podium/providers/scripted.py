"""`scripted:NAME`: models that say what a test wrote down for them."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import assert_never

from podium.domain.answers import FailureKind, Usage
from podium.domain.errors import InvalidInput
from podium.domain.money import Money
from podium.ports.models import (
    Delta,
    FinishReason,
    ModelFailure,
    ModelReply,
    ModelRequest,
    TextDelta,
    TokenProbability,
    ToolCall,
    ToolCallDelta,
)
from podium.providers.pieces import tell

Piece = str | float | ToolCall | ModelFailure


@dataclass(frozen=True, slots=True)
class Piecewise:
    """A line said piece by piece: texts, tool calls, pauses in seconds, and perhaps a failure that breaks it off."""

    pieces: tuple[Piece, ...]


Line = str | ModelReply | ModelFailure | Piecewise
Item = Line | Callable[[ModelRequest], "Line | Awaitable[Line]"]


def piecewise(*pieces: Piece) -> Piecewise:
    """Return a line of `pieces`: texts, `ToolCall`s, pauses in seconds, a `ModelFailure` to break it off.

    Whoever watches the reply hears each as it comes. A pause longer than the request's deadline for the first token,
    or for a pause after it, ends as that deadline says.
    """
    return Piecewise(pieces)


def say(
    text: str,
    *,
    logprob: float | None = None,
    finish: FinishReason = FinishReason.STOP,
    calls: Iterable[ToolCall] = (),
) -> ModelReply:
    """Return a reply of `text`, each word a token with the log-probability `logprob` when one is given.

    With `calls` it asks for tools to be called.
    """
    wanted = tuple(calls)
    if wanted and finish is FinishReason.STOP:
        finish = FinishReason.TOOL_CALLS
    words = text.split(" ")
    tokens = tuple(
        TokenProbability(word if i == 0 else f" {word}", logprob)
        for i, word in enumerate(words)
        if logprob is not None
    )
    return ModelReply(
        text, finish, Usage(0, len(text.split())), "scripted", tokens, Money(), "free", calls=wanted
    )


class Script:
    """What one scripted model says: a line per request, in order, or whatever a function of the request says.

    A line is a text, a `ModelReply`, what `piecewise` gives, or a `ModelFailure` to raise; a function of the request, plain or async,
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
                tell(request, item)
                return item
            case str():
                reply = self._reply(name, item, request)
                tell(request, reply)
                return reply
            case Piecewise():
                return await self._perform(name, item, request)
            case _:
                assert_never(item)

    async def _perform(self, name: str, line: Piecewise, request: ModelRequest) -> ModelReply:
        said: list[str] = []
        calls: list[ToolCall] = []
        for piece in line.pieces:
            match piece:
                case str():
                    said.append(piece)
                    _hear(request, TextDelta(piece))
                case ToolCall():
                    _hear(request, ToolCallDelta(len(calls), piece.id, piece.name, piece.arguments))
                    calls.append(piece)
                case ModelFailure():
                    raise piece
                case int() | float():
                    await _pause(name, piece, request, spoke=bool(said or calls))
                case _:
                    assert_never(piece)
        spoken = self._reply(name, "".join(said), request)
        finish = FinishReason.TOOL_CALLS if calls else FinishReason.STOP
        return replace(spoken, calls=tuple(calls), finish=finish)

    def _reply(self, name: str, text: str, request: ModelRequest) -> ModelReply:
        read = sum(len(message.text.split()) for message in request.messages)
        spoken = say(text)
        return replace(spoken, usage=Usage(read, spoken.usage.output_tokens), model=name)


def _hear(request: ModelRequest, delta: Delta) -> None:
    if request.on_delta is not None:
        request.on_delta(delta)


async def _pause(name: str, seconds: float, request: ModelRequest, *, spoke: bool) -> None:
    limit = request.limits.stall if spoke else request.limits.first_token
    await asyncio.sleep(min(seconds, limit))
    if seconds > limit:
        what = "fell silent" if spoke else "sent no token"
        raise ModelFailure(FailureKind.STALL, f"scripted:{name} {what} for {limit:g} s")


class ScriptedProvider:
    """Serves the scripts of one test. Costs nothing; words count as tokens.

    The total deadline applies to all, those of the first token and of pauses to what is said `piecewise`.
    """

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
