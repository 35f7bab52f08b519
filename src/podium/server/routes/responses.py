"""`POST /v1/responses`."""

from __future__ import annotations

import time

import orjson

from podium.server.answering import ModelRoute
from podium.server.call import ModelCall
from podium.server.formats import responses
from podium.server.typed import limits_of, tell, whole


async def typed(call: ModelCall) -> None:
    """Answer a response on the typed lane."""
    request = responses.request_of(call.asked, limits_of(call), call.exchange.settings.max_tokens)
    id, created, model = call.exchange.id, int(time.time()), call.target.name
    if call.asked.get("stream"):
        await tell(call, request, responses.Events(id, created, model))
    else:
        replied = await whole(call, request)
        await call.exchange.respond(200, orjson.dumps(responses.response(id, created, model, replied)))


ROUTE = ModelRoute("responses", "/responses", "max_output_tokens", typed)
"""Responses."""
