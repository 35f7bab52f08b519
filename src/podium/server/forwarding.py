"""The body that goes to an upstream: the client's own bytes, with the model's name as the upstream knows it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

# Letters of ASCII spelled as escapes: a key that is written so could hide from the search below.
_DISGUISED = re.compile(rb"\\u00[4-7]")
_MODEL = re.compile(rb'"model"\s*:\s*"((?:[^"\\]|\\.)*)"')


def forwarded(
    body: bytes, asked: Mapping[str, Any], model: str, extra: Mapping[str, Any], *, exact: bool
) -> bytes:
    """Return `body`, which says `asked`, with another model's name and with `extra` members.

    Its bytes stay as they are as long as it cannot be read in two ways; else, and when it has to say `exactly` what
    was checked, it is written anew: of two members of one name, the one that was checked stays.
    """
    if exact or body.count(b'"model"') != 1 or _DISGUISED.search(body):
        return orjson.dumps({**asked, "model": model, **extra})
    found = _MODEL.search(body)
    if found is None:
        return orjson.dumps({**asked, "model": model, **extra})
    start, end = found.span(1)
    named = body[:start] + orjson.dumps(model)[1:-1] + body[end:]
    if not extra:
        return named
    opening = named.index(b"{") + 1
    return named[:opening] + orjson.dumps(extra)[1:-1] + b"," + named[opening:]
