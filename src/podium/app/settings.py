"""The settings that a command works with: those of its file, with what its options say over them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from podium.app.workflow_file import ServedFile
from podium.settings import EngineSettings, GatewaySettings, RetentionSettings, ServerSettings, Settings


def with_models(settings: Settings, models: Sequence[str] | None) -> Settings:
    """Return the settings with `models`, when there are any, in place of every prompt's own."""
    if not models:
        return settings
    return replace(settings, gateway=replace(settings.gateway, override=tuple(models)))


def with_concurrency(settings: Settings, concurrency: int | None, default: int) -> Settings:
    """Return the settings with at most `concurrency` runs at work at once.

    Without one, the file's own number counts if it is not that of every `EngineSettings`, and otherwise `default`.
    """
    most = settings.engine.max_active_runs
    if concurrency is None:
        concurrency = default if most == EngineSettings().max_active_runs else most
    return replace(settings, engine=replace(settings.engine, max_active_runs=concurrency))


def server_settings(
    settings: ServerSettings,
    aliases: Mapping[str, tuple[str, ...]],
    hosts: Sequence[str] = (),
    origins: Sequence[str] = (),
) -> ServerSettings:
    """Return the server's settings with more hosts, origins and aliases, which go before those of the same name."""
    return replace(
        settings,
        aliases={**settings.aliases, **aliases},
        hosts=(*settings.hosts, *hosts),
        origins=(*settings.origins, *origins),
    )


def retention_settings(settings: RetentionSettings, keep_requests: str | None) -> RetentionSettings:
    """Return the settings with the age at which rows of the log of requests are deleted: text, `never`, or as it is."""
    if keep_requests is None:
        return settings
    return replace(settings, requests=None if keep_requests.strip().lower() == "never" else keep_requests)


def settings_for_clients(served: ServedFile) -> Settings:
    """Return what a server's clients are answered by: a file's settings, and its budgets, which bound them too.

    Its gateway's deadlines bound clients' requests as well. What overrides its prompts' models does not concern
    clients, nor what its prompts do in an outage.
    """
    gateway = served.settings.gateway
    return replace(
        served.settings,
        gateway=replace(gateway, budgets=(*gateway.budgets, *served.budgets), override=(), on_outage="fail"),
        server=_within(served.settings.server, gateway),
    )


def _within(server: ServerSettings, gateway: GatewaySettings) -> ServerSettings:
    """Return the server's settings with no deadline of an upstream longer than the gateway's, where that was set."""
    usual = GatewaySettings()
    # A deadline that nobody chose is meant for prompts: a server's clients may wait longer.
    total, connect, first, stall = (
        math.inf if own == default else own
        for own, default in (
            (gateway.timeout, usual.timeout),
            (gateway.connect, usual.connect),
            (gateway.first_token, usual.first_token),
            (gateway.stall, usual.stall),
        )
    )
    return replace(
        server,
        total=min(server.total, total),
        connect=min(server.connect, connect),
        first_byte=min(server.first_byte, first, total),
        silence=min(server.silence, stall),
    )
