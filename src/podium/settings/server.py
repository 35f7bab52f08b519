"""Settings of the server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from podium.domain.checks import Checks


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
        # As they are compared with what a client sends.
        checks.texts("hosts", like=str.lower)
        checks.texts("origins", like=lambda origin: origin.lower().rstrip("/"))
        checks.count("max_body", "max_reply", "max_tokens", "max_log_queue", least=1)
        checks.time("receive", "send", "connect", "first_byte", "silence", "total", above=True)
        checks.time("refresh", "flush", above=True)
        checks.time("drain", "patience")
