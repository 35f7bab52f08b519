"""What clients are told of failures: under the name that they asked for, without the addresses behind it."""

from __future__ import annotations

import re

from podium.app.targets import Target
from podium.server.call import ModelCall
from podium.server.errors import ApiError

# As the names of models hold an address, and as sentences do.
_ADDRESS = re.compile(r"(?:@| at )https?://[^\s'\",;)]*[^\s'\",;:.)]")

# As the system's errors hold one: what a name led to is nowhere else.
_SOCKET = re.compile(r" ?\('[^']*', \d+[^)]*\)")


def for_client(call: ModelCall, error: ApiError) -> ApiError:
    """Return the error as its client may read it; who serves is told all of it where that is more."""
    said = str(error)
    public = without_addresses(said, call.target)
    if public == said:
        return error
    call.serving.complain(f"{call.target.name}: {said}")
    return error.saying(public)


def without_addresses(said: str, target: Target) -> str:
    """Return what was said of a target's models with its name in their place, and without the addresses of servers."""
    said = _SOCKET.sub("", _ADDRESS.sub("", said))
    for upstream in target.upstreams:
        if upstream.priced_at is not None:
            said = said.replace(upstream.url, "its address")
    names = sorted({_ADDRESS.sub("", model) for model in target.models}, key=len, reverse=True)
    either = "|".join(map(re.escape, names))
    return re.sub(rf"(?<![\w:.-])(?:{either})(?![\w-])", lambda _: target.name, said)
