"""Frozen groups of settings. They read no environment: only the entry points do."""

from __future__ import annotations

from dataclasses import dataclass, field

from podium.settings.engine import EngineSettings
from podium.settings.gateway import GatewaySettings
from podium.settings.resilience import BreakerSettings, HedgeSettings, Limits, RetryBudgetSettings
from podium.settings.retention import RetentionSettings
from podium.settings.storage import StorageSettings


@dataclass(frozen=True, slots=True)
class Settings:
    """All groups of settings, each with defaults that work."""

    engine: EngineSettings = field(default_factory=EngineSettings)
    gateway: GatewaySettings = field(default_factory=GatewaySettings)
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    storage: StorageSettings = field(default_factory=StorageSettings)


__all__ = [
    "BreakerSettings",
    "EngineSettings",
    "GatewaySettings",
    "HedgeSettings",
    "Limits",
    "RetentionSettings",
    "RetryBudgetSettings",
    "Settings",
    "StorageSettings",
]
