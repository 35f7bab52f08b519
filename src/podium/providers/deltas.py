"""The pieces of a streamed reply, as they come, for whoever watches."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pydantic_ai import messages as ai

from podium.ports.models import Delta, TextDelta, ToolCallDelta


class Deltas:
    """Turns the events of one stream into deltas for `observer`.

    The arguments of the tool called `answer`, when there is one, are the text of the reply.
    """

    def __init__(self, observer: Callable[[Delta], None], answer: str | None) -> None:
        self._observer = observer
        self._answer = answer
        # Which call each part of the stream is; the answer's part is none.
        self._calls: dict[int, int | None] = {}

    def see(self, event: ai.PartStartEvent | ai.PartDeltaEvent) -> None:
        """Pass on what `event` brings."""
        match event:
            case ai.PartStartEvent(part=ai.TextPart(content=text)):
                self._tell_text(text)
            case ai.PartDeltaEvent(delta=ai.TextPartDelta(content_delta=text)):
                self._tell_text(text)
            case ai.PartStartEvent(part=ai.ToolCallPart() as part, index=index):
                self._begin(index, part)
            case ai.PartDeltaEvent(delta=ai.ToolCallPartDelta(args_delta=arguments), index=index):
                self._go_on(index, arguments)
            case _:
                pass

    def _tell_text(self, text: str) -> None:
        if text:
            self._observer(TextDelta(text))

    def _begin(self, index: int, part: ai.ToolCallPart) -> None:
        if part.tool_name == self._answer:
            self._calls[index] = None
            self._tell_text(_written(part.args))
            return
        call = self._calls[index] = sum(each is not None for each in self._calls.values())
        self._observer(ToolCallDelta(call, part.tool_call_id, part.tool_name, _written(part.args)))

    def _go_on(self, index: int, arguments: str | dict[str, Any] | None) -> None:
        written = _written(arguments)
        if not written or index not in self._calls:
            return
        call = self._calls[index]
        self._observer(TextDelta(written) if call is None else ToolCallDelta(call, arguments=written))


def _written(arguments: str | dict[str, Any] | None) -> str:
    if isinstance(arguments, dict):
        return json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))
    return arguments or ""
