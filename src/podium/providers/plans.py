"""How one request is made, and what a service refused of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from podium.domain.answers import FailureKind
from podium.domain.schema_modes import SchemaMode
from podium.ports.models import ModelFailure
from podium.providers.profiles import Feature

# How services word the refusal of each.
_REFUSALS: Mapping[Feature, tuple[str, ...]] = {
    Feature.LOGPROBS: ("logprobs", "log probabilities"),
    Feature.NATIVE: ("response_format", "json_schema", "output_config", "output_format", "schema"),
    Feature.TOOL: ("tool_choice", "tools", "function call"),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """How one request is made: in which mode it is brought to its schema, None for free text, and what it asks for."""

    mode: SchemaMode | None
    asked: frozenset[Feature]


def refused_feature(failure: ModelFailure, plan: Plan | None) -> Feature | None:
    """Return what a service refused of a request that was made by `plan`, None where it refused something else."""
    if plan is None or failure.kind is not FailureKind.BAD_REQUEST:
        return None
    said = str(failure).lower()
    return next(
        (
            feature
            for feature in Feature
            if feature in plan.asked and any(word in said for word in _REFUSALS[feature])
        ),
        None,
    )
