"""`GET /health`."""

from __future__ import annotations

import orjson

from podium.app.serving import Serving
from podium.server.http import Exchange


async def show_health(exchange: Exchange, serving: Serving) -> None:
    """Answer that the server is there, and how many rows of its log were lost; tells nothing else, and needs no key."""
    await exchange.respond(200, orjson.dumps({"status": "ok", "dropped_log_rows": serving.log.dropped}))
