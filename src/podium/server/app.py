"""The server as an ASGI application: which route a request takes, and what becomes of errors that nobody foresaw."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from types import MappingProxyType
from typing import Final

from podium.app.serving import Serving
from podium.server.answering import ModelRoute, answer
from podium.server.errors import ApiError, internal_error
from podium.server.http import ClientGone, Exchange, Receive, Scope, Send
from podium.server.origins import answer_preflight, check_caller
from podium.server.routes import chat, embeddings, responses
from podium.server.routes.health import show_health
from podium.server.routes.models import list_models, show_model

logger = logging.getLogger(__name__)

MODEL_ROUTES: Final[Mapping[str, ModelRoute]] = MappingProxyType(
    {
        "/v1/chat/completions": chat.ROUTE,
        "/v1/responses": responses.ROUTE,
        "/v1/embeddings": embeddings.ROUTE,
    }
)
"""What is posted to, by path."""

LOOKS: Final[Mapping[str, Callable[[Exchange, Serving], Awaitable[None]]]] = MappingProxyType(
    {"/health": show_health, "/v1/models": list_models}
)
"""What is looked at, by path."""

_ONE_MODEL = "/v1/models/"


class App:
    """Answers requests with what `opening` opens when the server starts and closes when it ends."""

    def __init__(self, opening: Callable[[], AbstractAsyncContextManager[Serving]]) -> None:
        self._opening = opening
        self._opened: AbstractAsyncContextManager[Serving] | None = None
        self._serving: Serving | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or the server's start and end."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http" and self._serving is not None:
            await self._answer(Exchange(scope, receive, send, self._serving.settings.server), self._serving)

    async def _answer(self, exchange: Exchange, serving: Serving) -> None:
        try:
            check_caller(exchange, public=serving.public)
            if await answer_preflight(exchange):
                return
            route = MODEL_ROUTES.get(exchange.scope["path"])
            if route is not None and exchange.scope["method"] == "POST":
                await answer(exchange, serving, route)
            else:
                await _looked(exchange, serving)
        except ApiError as error:
            await _refuse(exchange, error)
        except ClientGone:
            return
        except asyncio.CancelledError:
            # The client went away just as the reply was ready; anything else that cancels means it.
            if not exchange.gone:
                raise
        except Exception:
            logger.exception("A request failed in a way that nobody foresaw")
            await _refuse(exchange, internal_error(exchange.id))

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    self._opened = self._opening()
                    self._serving = await self._opened.__aenter__()
                except Exception as error:
                    logger.exception("The server could not be started")
                    await send({"type": "lifespan.startup.failed", "message": str(error)})
                    return
                await send({"type": "lifespan.startup.complete"})
            else:
                if self._opened is not None:
                    await self._opened.__aexit__(None, None, None)
                self._serving = None
                await send({"type": "lifespan.shutdown.complete"})
                return


async def _looked(exchange: Exchange, serving: Serving) -> None:
    path, method = exchange.scope["path"], exchange.scope["method"]
    look = LOOKS.get(path)
    named = path.removeprefix(_ONE_MODEL) if path.startswith(_ONE_MODEL) else ""
    if look is None and not named and path not in MODEL_ROUTES:
        raise ApiError(404, "there is nothing at this address", code="unknown_url", kind="not_found")
    allowed = b"POST" if path in MODEL_ROUTES else b"GET"
    if method not in {allowed.decode(), "HEAD" if allowed == b"GET" else ""}:
        raise ApiError(
            405, f"use {allowed.decode()} here", code="method_not_allowed", headers=((b"allow", allowed),)
        )
    if look is not None:
        await look(exchange, serving)
    else:
        await show_model(exchange, serving, named)


async def _refuse(exchange: Exchange, error: ApiError) -> None:
    if not exchange.status:
        headers = ((b"content-type", b"application/json"), *error.headers)
        await exchange.respond(error.status, error.body(), headers)
