"""How many tokens a request takes, before anybody has counted them."""

from __future__ import annotations

from collections.abc import Sequence

from podium.ports.models import Message

_CHARACTERS_PER_TOKEN = 4
_PER_MESSAGE = 4


def input_tokens(messages: Sequence[Message]) -> int:
    """Return about how many tokens the messages are: four bytes of text to a token, and four around each message."""
    return sum(_PER_MESSAGE + text_tokens(message.text) for message in messages)


def text_tokens(text: str) -> int:
    """Return about how many tokens a text is."""
    # Characters of most scripts beyond ASCII take a token for every one or two, which bytes tell better.
    return len(text.encode("utf-8", "surrogatepass")) // _CHARACTERS_PER_TOKEN
