"""Tests of workflows: a harness whose clock skips, whose models are scripted, and which replays, and crashes, at will.

`async with Harness(workflows=[...], models={...}) as app` is an app for one test; `crashes(scenario)` runs one over
and over, losing its process at every write. No test framework is needed, and any will do.
"""

from __future__ import annotations

from podium.app.scripts import Script, say
from podium.domain.answers import FailureKind
from podium.ports.models import ModelFailure
from podium.testing.crashes import Crash, crashes
from podium.testing.executing import Call
from podium.testing.failures import ExecutedAgain, NotDeterministic, OtherResult, ProcessLost, Stuck
from podium.testing.harness import Harness
from podium.testing.replaying import Replayer

__all__ = [
    "Call",
    "Crash",
    "ExecutedAgain",
    "FailureKind",
    "Harness",
    "ModelFailure",
    "NotDeterministic",
    "OtherResult",
    "ProcessLost",
    "Replayer",
    "Script",
    "Stuck",
    "crashes",
    "say",
]
