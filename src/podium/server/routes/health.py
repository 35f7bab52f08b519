"""`GET /health`."""

from __future__ import annotations

import orjson

from podium.app.serving import Serving
from podium.server.http import Exchange


async def show_health(exchange: Exchange, serving: Serving) -> None:
    """Answer that the server is there, and how its log fares; tells nothing else, and needs no key.

    `degraded`: requests are answered, and the log of them cannot be written.
    """
    log = serving.log
    await exchange.respond(
        200,
        orjson.dumps(
            {
                "status": "ok" if log.trouble is None else "degraded",
                "log": "ok" if log.trouble is None else "unwritable",
                "waiting_log_rows": log.waiting,
                "dropped_log_rows": log.dropped,
            }
        ),
    )
