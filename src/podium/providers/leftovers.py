"""What broken requests leave behind, and how to be rid of it."""

from __future__ import annotations

import asyncio

_TURNS_TO_FINISH = 20


async def turns() -> None:
    """Let what was begun on the event loop come to its end."""
    for _ in range(_TURNS_TO_FINISH):
        await asyncio.sleep(0)


def let_go(error: BaseException) -> None:
    """Drop the tracebacks of `error` and of what led to it.

    Their frames hold half-read streams, which would otherwise keep their connections until the garbage
    collector comes by.
    """
    chain: list[BaseException] = [error]
    for link in chain:
        link.__traceback__ = None
        chain += [one for one in (link.__cause__, link.__context__) if one is not None and one not in chain]
