"""`GET /v1/models` and `GET /v1/models/{model}`."""

from __future__ import annotations

from typing import Any

import orjson

from podium.app.serving import Serving
from podium.domain.errors import UnknownModel
from podium.server.asking import key_of, may_use
from podium.server.errors import ApiError
from podium.server.http import Exchange


async def list_models(exchange: Exchange, serving: Serving) -> None:
    """Answer with the aliases, and the models that prompts ask for by default, as far as the key may use them."""
    key = key_of(exchange, serving)
    names = dict.fromkeys((*serving.targets.aliases, *serving.settings.gateway.models))
    shown = []
    for name in names:
        try:
            if may_use(key, serving.targets.find(name)):
                shown.append(_shown(name))
        except UnknownModel:
            continue
    await exchange.respond(200, orjson.dumps({"object": "list", "data": shown}))


async def show_model(exchange: Exchange, serving: Serving, name: str) -> None:
    """Answer with one model; raises `ApiError` when the key may not use it, or it is not offered."""
    key = key_of(exchange, serving)
    try:
        target = serving.targets.find(name)
        if not may_use(key, target):
            raise UnknownModel(f"the model {name!r} does not exist here")
    except UnknownModel as error:
        raise ApiError(404, str(error), param="model", code="model_not_found") from None
    await exchange.respond(200, orjson.dumps(_shown(target.name)))


def _shown(name: str) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": name.partition(":")[0] if ":" in name else "podium",
    }
