"""What a request may come to, before it is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from podium.domain.answers import Usage
from podium.gateway.wording import as_json
from podium.ports.models import Message

_PER_MESSAGE: Final = 8


def estimate(messages: Sequence[Message], max_tokens: int, schema: Mapping[str, Any] | None = None) -> Usage:
    """Return the tokens that a request may take: its bytes by three, and all the output that it permits.

    English is four to five bytes to a token, code and JSON about three, Chinese and Japanese three to four.
    """
    size = sum(len(message.text.encode()) for message in messages)
    if schema is not None:
        size += len(as_json(schema).encode())
    return Usage(-(-size // 3) + _PER_MESSAGE * len(messages), max_tokens)
