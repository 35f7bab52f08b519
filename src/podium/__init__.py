"""Podium: the orchestration layer for AI systems.

Durable workflows, checked model calls and people in the loop, in one library. Everything public is here;
each name is loaded when it is first used, so that `import podium` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from podium.app.handles import RunHandle
    from podium.app.podium import Podium
    from podium.domain.answers import Answer, CallAttempt, FailureKind, Usage
    from podium.domain.budgets import Breach, Budget, Period, Scope
    from podium.domain.chunks import Chunk
    from podium.domain.errors import (
        BrokenOff,
        BudgetExceeded,
        CompensationFailed,
        ContinueAsNew,
        ControlFlow,
        CredentialMissing,
        InvalidDefinition,
        InvalidInput,
        ModelsUnavailable,
        NoAnswer,
        NotInRun,
        NotSerialisable,
        PodiumError,
        QueueFull,
        Rejected,
        Retryable,
        ReviewClosed,
        RunBlocked,
        RunCancelled,
        RunFailed,
        RunTimeout,
        StateConflict,
        StepFailed,
        StepStalled,
        StepTimeout,
        StorageUnavailable,
        Terminal,
        UnknownPrompt,
        UnknownReview,
        UnknownRun,
        UnknownTrigger,
        WorldMoved,
    )
    from podium.domain.media import Audio, Document, Image
    from podium.domain.money import Money
    from podium.domain.policies import Fallback, PromptPolicy
    from podium.domain.quality import Quality, Verdict
    from podium.domain.queues import Queue, Rate
    from podium.domain.retention import Retention
    from podium.domain.reviews import Decision, DecisionVerdict, HumanAnswer, Review
    from podium.domain.runs import Run
    from podium.domain.settlements import Settlement, SettlementKind
    from podium.domain.states import BreakerState, ReviewState, RunState
    from podium.domain.triggers import CatchUp, Overlap, TriggerState
    from podium.flow.attributes import set_attributes
    from podium.flow.children import Child, spawn
    from podium.flow.emit import emit
    from podium.flow.events import wait_for_event
    from podium.flow.patches import patched
    from podium.flow.publishing import publish
    from podium.flow.step_executor import current_step, heartbeat
    from podium.flow.steps import step
    from podium.flow.transactions import transaction
    from podium.flow.triggers import OnEvent, Schedule
    from podium.flow.verbs import continue_as_new, gather, now, random, sleep, uuid
    from podium.flow.workflows import workflow
    from podium.gateway.cache.semantic import Likeness, Semantic
    from podium.gateway.prompt import Prompt, prompt
    from podium.gateway.streaming import AnswerPart
    from podium.review.ask_human import ask_human
    from podium.review.gate import Checked, GateDecision, gate
    from podium.settings import (
        BreakerSettings,
        CassetteSettings,
        EngineSettings,
        GatewaySettings,
        HedgeSettings,
        Limits,
        ModelPrice,
        PriceSettings,
        ReplayMode,
        RetentionSettings,
        RetryBudgetSettings,
        ServerSettings,
        Settings,
        StorageSettings,
    )

_ERRORS = (
    "BrokenOff BudgetExceeded CompensationFailed ContinueAsNew ControlFlow CredentialMissing InvalidDefinition InvalidInput ModelsUnavailable NoAnswer NotInRun NotSerialisable PodiumError "
    "QueueFull Rejected Retryable ReviewClosed RunBlocked RunCancelled RunFailed RunTimeout StateConflict StepFailed "
    "StepStalled StepTimeout StorageUnavailable Terminal UnknownPrompt UnknownReview UnknownRun UnknownTrigger WorldMoved"
)
_MODULES = {
    "app.handles": "RunHandle",
    "app.podium": "Podium",
    "domain.answers": "Answer CallAttempt FailureKind Usage",
    "domain.budgets": "Breach Budget Period Scope",
    "domain.chunks": "Chunk",
    "domain.errors": _ERRORS,
    "domain.media": "Audio Document Image",
    "domain.money": "Money",
    "domain.policies": "Fallback PromptPolicy",
    "domain.quality": "Quality Verdict",
    "domain.retention": "Retention",
    "domain.queues": "Queue Rate",
    "domain.reviews": "Decision DecisionVerdict HumanAnswer Review",
    "domain.runs": "Run",
    "domain.settlements": "Settlement SettlementKind",
    "domain.states": "BreakerState ReviewState RunState",
    "flow.children": "Child spawn",
    "flow.events": "wait_for_event",
    "flow.patches": "patched",
    "flow.publishing": "publish",
    "flow.step_executor": "current_step heartbeat",
    "flow.attributes": "set_attributes",
    "flow.steps": "step",
    "flow.transactions": "transaction",
    "flow.verbs": "continue_as_new gather now random sleep uuid",
    "domain.triggers": "CatchUp Overlap TriggerState",
    "flow.emit": "emit",
    "flow.triggers": "OnEvent Schedule",
    "flow.workflows": "workflow",
    "gateway.cache.semantic": "Likeness Semantic",
    "gateway.prompt": "Prompt prompt",
    "gateway.streaming": "AnswerPart",
    "review.ask_human": "ask_human",
    "review.gate": "Checked GateDecision gate",
    "settings": (
        "BreakerSettings CassetteSettings EngineSettings GatewaySettings HedgeSettings Limits ModelPrice PriceSettings "
        "ReplayMode RetentionSettings RetryBudgetSettings ServerSettings Settings StorageSettings"
    ),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names.split()}

__version__ = "0.1.0"

__all__ = [
    "Answer",
    "AnswerPart",
    "Audio",
    "Breach",
    "BreakerSettings",
    "BreakerState",
    "BrokenOff",
    "Budget",
    "BudgetExceeded",
    "CallAttempt",
    "CassetteSettings",
    "CatchUp",
    "Checked",
    "Child",
    "Chunk",
    "CompensationFailed",
    "ContinueAsNew",
    "ControlFlow",
    "CredentialMissing",
    "Decision",
    "DecisionVerdict",
    "Document",
    "EngineSettings",
    "FailureKind",
    "Fallback",
    "GateDecision",
    "GatewaySettings",
    "HedgeSettings",
    "HumanAnswer",
    "Image",
    "InvalidDefinition",
    "InvalidInput",
    "Likeness",
    "Limits",
    "ModelPrice",
    "ModelsUnavailable",
    "Money",
    "NoAnswer",
    "NotInRun",
    "NotSerialisable",
    "OnEvent",
    "Overlap",
    "Period",
    "Podium",
    "PodiumError",
    "PriceSettings",
    "Prompt",
    "PromptPolicy",
    "Quality",
    "Queue",
    "QueueFull",
    "Rate",
    "Rejected",
    "ReplayMode",
    "Retention",
    "RetentionSettings",
    "RetryBudgetSettings",
    "Retryable",
    "Review",
    "ReviewClosed",
    "ReviewState",
    "Run",
    "RunBlocked",
    "RunCancelled",
    "RunFailed",
    "RunHandle",
    "RunState",
    "RunTimeout",
    "Schedule",
    "Scope",
    "Semantic",
    "ServerSettings",
    "Settings",
    "Settlement",
    "SettlementKind",
    "StateConflict",
    "StepFailed",
    "StepStalled",
    "StepTimeout",
    "StorageSettings",
    "StorageUnavailable",
    "Terminal",
    "TriggerState",
    "UnknownPrompt",
    "UnknownReview",
    "UnknownRun",
    "UnknownTrigger",
    "Usage",
    "Verdict",
    "WorldMoved",
    "ask_human",
    "continue_as_new",
    "current_step",
    "emit",
    "gate",
    "gather",
    "heartbeat",
    "now",
    "patched",
    "prompt",
    "publish",
    "random",
    "set_attributes",
    "sleep",
    "spawn",
    "step",
    "transaction",
    "uuid",
    "wait_for_event",
    "workflow",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'podium' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"podium.{home}"), name)
    # Kept, so that it is looked up once.
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
