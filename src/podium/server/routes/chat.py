"""`POST /v1/chat/completions`."""

from __future__ import annotations

import time

from podium.server.answering import ModelRoute
from podium.server.call import ModelCall
from podium.server.formats import chat
from podium.server.typed import limits_of, tell, whole


async def typed(call: ModelCall) -> None:
    """Answer a chat completion on the typed lane."""
    request = chat.request_of(call.asked, limits_of(call), call.exchange.settings.max_tokens)
    id, created, model = call.exchange.id, int(time.time()), call.target.name
    if call.asked.get("stream"):
        with_usage = chat.wants_usage(call.asked)
        await tell(call, request, chat.Chunks(id, created, model, with_usage=with_usage))
    else:
        replied = await whole(call, request)
        await call.exchange.respond(200, chat.completion(id, created, model, replied))


ROUTE = ModelRoute("chat", "/chat/completions", "max_completion_tokens", typed)
"""Chat completions."""
