"""`POST /v1/embeddings`: for upstreams that offer it."""

from __future__ import annotations

from podium.server.answering import ModelRoute
from podium.server.call import ModelCall
from podium.server.errors import unsupported


async def typed(call: ModelCall) -> None:
    """Say that there are no embeddings but those of an upstream of OpenAI's format."""
    raise unsupported(
        f"{call.target.name} gives no embeddings here: name a model of OpenAI, or of a server that speaks its format"
    )


ROUTE = ModelRoute("embeddings", "/embeddings", "", typed)
"""Embeddings."""
