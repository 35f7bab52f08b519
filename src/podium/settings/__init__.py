"""Frozen groups of settings. They read no environment: only the entry points do."""

from __future__ import annotations

from dataclasses import dataclass, field

from podium.domain.checks import Checks
from podium.settings.cassettes import CassetteSettings, ReplayMode
from podium.settings.engine import EngineSettings
from podium.settings.gateway import GatewaySettings
from podium.settings.prices import ModelPrice, PriceSettings
from podium.settings.resilience import BreakerSettings, HedgeSettings, Limits, RetryBudgetSettings
from podium.settings.retention import RetentionSettings
from podium.settings.server import ServerSettings
from podium.settings.storage import StorageSettings


@dataclass(frozen=True, slots=True)
class Settings:
    """All groups of settings, each with defaults that work."""

    cassettes: CassetteSettings = field(default_factory=CassetteSettings)
    engine: EngineSettings = field(default_factory=EngineSettings)
    gateway: GatewaySettings = field(default_factory=GatewaySettings)
    prices: PriceSettings = field(default_factory=PriceSettings)
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    server: ServerSettings = field(default_factory=ServerSettings)
    storage: StorageSettings = field(default_factory=StorageSettings)

    def __post_init__(self) -> None:
        checks = Checks(self)
        checks.kind("cassettes", CassetteSettings)
        checks.kind("engine", EngineSettings)
        checks.kind("gateway", GatewaySettings)
        checks.kind("prices", PriceSettings)
        checks.kind("retention", RetentionSettings)
        checks.kind("server", ServerSettings)
        checks.kind("storage", StorageSettings)


__all__ = [
    "BreakerSettings",
    "CassetteSettings",
    "EngineSettings",
    "GatewaySettings",
    "HedgeSettings",
    "Limits",
    "ModelPrice",
    "PriceSettings",
    "ReplayMode",
    "RetentionSettings",
    "RetryBudgetSettings",
    "ServerSettings",
    "Settings",
    "StorageSettings",
]
