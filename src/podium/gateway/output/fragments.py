"""Where in a reply its JSON may stand: the whole, a fenced block, or between the outer brackets."""

from __future__ import annotations

from collections.abc import Iterator

from podium.gateway.output.structure import structure

_FENCE = "```"
_MOST_FENCES = 256
_TAGS = {"", "json", "json5", "jsonc"}


def fragments(text: str) -> Iterator[str]:
    """Yield the parts of `text` that may be its JSON, the likeliest first.

    A part that begins inside an unclosed string or bracket is not among them: it would be a piece of a longer
    value and could pass for the whole. Where there are hundreds of fences none is taken for one around an answer.
    """
    yield text
    yield from _fenced(text)
    yield from _bracketed(text)


def _fenced(text: str) -> Iterator[str]:
    if text.count(_FENCE) > _MOST_FENCES:
        return
    before, *pieces = text.split(_FENCE)
    if not structure(before).closed:
        return
    blocks = pieces[0 : len(pieces) // 2 * 2 : 2]
    # The last block comes first: models that think aloud show their final answer at the end.
    for block in reversed(blocks):
        tag, newline, body = block.partition("\n")
        if newline and tag.strip().lower() in _TAGS:
            yield body.strip()
        elif block.lstrip().startswith(("{", "[")):
            yield block.strip()


def _bracketed(text: str) -> Iterator[str]:
    for opening, closing in sorted((("{", "}"), ("[", "]")), key=lambda pair: text.find(pair[0])):
        start, end = text.find(opening), text.rfind(closing)
        if 0 <= start < end and structure(text[:start]).closed:
            yield text[start : end + 1]
