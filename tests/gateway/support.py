"""What the tests of the gateway share: a gateway over scripted models, with a clock that waits for nobody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from podium.domain.answers import AnyAnswer, CallAttempt, FailureKind
from podium.domain.ids import RunId
from podium.domain.operations import Execute
from podium.domain.retries import RetryPolicy
from podium.gateway import Gateway, Prompt
from podium.ports.execution import AttemptContext
from podium.ports.models import ModelFailure, ModelProviders
from podium.providers import Providers, Script
from podium.settings.gateway import GatewaySettings


class Intent(Enum):
    """What a customer wants."""

    REFUND = "refund"
    BUG = "bug"


REFUND = '{"value": "refund"}'


def failure(kind: FailureKind, retry_after: float | None = None) -> ModelFailure:
    return ModelFailure(kind, f"it was {kind}", retry_after=retry_after)


@dataclass
class Clock:
    """Time that passes only when somebody sleeps. `waits` are the sleeps, in seconds."""

    now: float = 1000.0
    waits: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


class Desk:
    """A gateway with what it recorded. Jitter is 1: a backoff waits for as long as it may."""

    def __init__(self, providers: ModelProviders, *, clock: Clock | None = None, **settings: Any) -> None:
        self.clock = clock or Clock()
        self.recorded: list[CallAttempt] = []
        self.gateway = Gateway(
            providers,
            GatewaySettings(**settings),
            clock=self.clock,
            sleep=self.clock.sleep,
            jitter=lambda: 1.0,
        )

    async def ask(self, prompt: Prompt[Any], **variables: object) -> AnyAnswer:
        return await ask(self.gateway, prompt, variables, self.recorded)

    @property
    def story(self) -> list[tuple[str, str | None, str]]:
        """Model, failure and outcome of each recorded attempt."""
        return [(each.model, each.failure and each.failure.value, each.outcome) for each in self.recorded]


def ignore(_: bytes) -> None:
    """What publishes to nobody."""


async def ask(
    gateway: Gateway, prompt: Prompt[Any], variables: dict[str, object], recorded: list[CallAttempt]
) -> AnyAnswer:
    context = AttemptContext(RunId("run-1"), "classify#1", 1, "run-1/classify#1", recorded.append, ignore)
    return await gateway.execute(Execute(prompt, variables, RetryPolicy()), context)


def scripted(clock: Clock | None = None, *, settings: dict[str, Any] | None = None, **scripts: Any) -> Desk:
    """A desk whose model `scripted:NAME` says the lines given for NAME."""
    given = {name: lines if isinstance(lines, Script) else Script(lines) for name, lines in scripts.items()}
    return Desk(Providers({}, scripts=given), clock=clock, **(settings or {}))


def models(*names: str) -> Sequence[str]:
    return [f"scripted:{name}" for name in names]
