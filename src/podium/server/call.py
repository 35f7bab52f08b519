"""A request to a model, once it is known who asks and who is to answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from podium.app.serving import Serving
from podium.app.targets import Target
from podium.server.account import Account
from podium.server.http import Exchange


@dataclass(frozen=True, slots=True)
class ModelCall:
    """A request on its way to one of the two lanes. `asked` is its body."""

    exchange: Exchange
    serving: Serving
    target: Target
    asked: Mapping[str, Any]
    account: Account
