"""Settings of the server."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from types import MappingProxyType
from typing import Final

from podium.domain.checks import Checks

_HOST: Final = re.compile(r"[a-z0-9._-]+")
_ORIGIN: Final = re.compile(r"([a-z][a-z0-9+.-]*)://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]+)?")
_USUAL_PORTS: Final = MappingProxyType({"http": ":80", "https": ":443"})


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How the server works. Times in seconds, sizes in bytes.

    `aliases`: names of one's own for models, each for one candidate or several in order.
    `hosts`: names, beside those of this machine, under which a server that only this machine can reach is called, as
    behind a proxy. `origins`: pages, such as `https://chat.example`, that may call the server from a browser. `*` in
    either allows all.
    `max_body`: the longest request that is taken. `max_reply`: the longest reply, unless it is streamed.
    `receive`: how long a client may take to send its request's head, and its body. `send`: how long it may take to
    take a piece of the reply. `connect`, `first_byte`, `silence`, `total`: deadlines of an upstream: for the
    connection, for the first byte of a stream, for a pause in one, and for a whole reply.
    `max_tokens`: output of a request that names no limit, where a limit is needed: on the typed lane, and under a budget.
    `drain`: how long requests at work may go on after the server was told to stop.
    `patience`: how long a request waits when only what others have set aside of a budget is in its way.
    `refresh`: how often keys are looked up anew. `flush`: how often the log is written.
    `max_log_queue`: rows of the log that may wait to be written; beyond that the oldest are dropped, and counted.
    """

    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    max_body: int = 16 * 1024 * 1024
    max_reply: int = 64 * 1024 * 1024
    receive: float = 30.0
    send: float = 30.0
    connect: float = 5.0
    first_byte: float = 120.0
    silence: float = 60.0
    total: float = 600.0
    max_tokens: int = 4096
    drain: float = 20.0
    patience: float = 5.0
    refresh: float = 0.4
    flush: float = 0.5
    max_log_queue: int = 50_000

    def __post_init__(self) -> None:
        checks = Checks(self)
        checks.mapping("aliases", "a mapping of names to lists of models", checks.models_of)

        def host(given: str) -> str:
            name = given.lower().removeprefix("[").removesuffix("]")
            if name != "*" and not _HOST.fullmatch(name) and not _is_ipv6(name):
                raise checks.wrong("hosts", given, "a name alone, such as 'desk.example', or '*' for all")
            return name

        def origin(given: str) -> str:
            page = given.lower().rstrip("/")
            found = _ORIGIN.fullmatch(page)
            if page not in {"*", "null"} and found is None:
                raise checks.wrong(
                    "origins", given, "a scheme and a host, such as 'https://chat.example', or '*' for all"
                )
            # Browsers leave out the port that the scheme has anyway.
            return page if found is None else page.removesuffix(_USUAL_PORTS.get(found[1], ""))

        # As they are compared with what a client sends.
        checks.texts("hosts", like=host)
        checks.texts("origins", like=origin)
        checks.count("max_body", "max_reply", "max_tokens", "max_log_queue", least=1)
        checks.time("receive", "send", "connect", "first_byte", "silence", "total", above=True)
        checks.time("refresh", "flush", above=True)
        checks.time("drain", "patience")


def _is_ipv6(name: str) -> bool:
    try:
        IPv6Address(name)
    except ValueError:
        return False
    return True
