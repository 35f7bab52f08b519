"""A reply that is there already, told in pieces as if it were being written."""

from __future__ import annotations

import re

from podium.ports.models import ModelReply, ModelRequest, TextDelta, ToolCallDelta

_WORDS = re.compile(r"\s*\S+|\s+")


def tell(request: ModelRequest, reply: ModelReply) -> None:
    """Let whoever watches `request` hear the whole `reply`: its text word by word, then the calls of tools."""
    if request.on_delta is None:
        return
    for word in _WORDS.findall(reply.text):
        request.on_delta(TextDelta(word))
    for index, call in enumerate(reply.calls):
        request.on_delta(ToolCallDelta(index, call.id, call.name, call.arguments))
