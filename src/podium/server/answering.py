"""The path of every request to a model: key, body, model, limits; then a lane; then its account."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from podium.app.admission import Admitted, Refused
from podium.app.serving import Serving
from podium.domain.answers import FailureKind, Usage
from podium.domain.errors import InvalidInput, StorageUnavailable
from podium.ports.models import ModelFailure
from podium.server.account import Account
from podium.server.asking import asks_for_json, key_of, most_of, parsed, target_of, with_reasks
from podium.server.call import ModelCall
from podium.server.discretion import for_client
from podium.server.errors import ApiError, bad_request, internal_error, of_failure, of_refusal
from podium.server.http import ClientGone, Exchange
from podium.server.origins import check_json
from podium.server.pass_through import pass_through

logger = logging.getLogger(__name__)

_BYTES_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class ModelRoute:
    """A route to models. `path` is the upstream's, under its base address.

    `limit` names the member that limits the output, empty where there is none. `typed` answers what cannot be passed
    through.
    """

    name: str
    path: str
    limit: str
    typed: Callable[[ModelCall], Awaitable[None]]


async def answer(exchange: Exchange, serving: Serving, route: ModelRoute) -> None:
    """Answer one request, whatever comes of it, and note it in the log."""
    account = Account(route.name)
    try:
        await _answered(exchange, serving, route, account)
    except ApiError as error:
        account.error = account.error or error.kind
        if not exchange.status:
            await exchange.respond(
                error.status, error.body(), ((b"content-type", b"application/json"), *error.headers)
            )
    except ClientGone:
        account.error = "client_gone"
    except Exception:
        logger.exception("A request failed in a way that nobody foresaw")
        fault = internal_error(exchange.id)
        account.error = fault.kind
        if not exchange.status:
            await exchange.respond(fault.status, fault.body(), ((b"content-type", b"application/json"),))
    finally:
        serving.log.note(account.row(exchange))


async def _answered(exchange: Exchange, serving: Serving, route: ModelRoute, account: Account) -> None:
    key = account.key = key_of(exchange, serving)
    check_json(exchange)
    body = await exchange.body()
    asked = parsed(body)
    account.model = str(asked.get("model", ""))
    target = target_of(asked, serving, key)
    elsewhere = target.upstream is not None and target.upstream.priced_at is not None
    limit = "max_tokens" if elsewhere and route.limit == "max_completion_tokens" else route.limit
    most, cap = most_of(body, asked, limit, exchange.settings.max_tokens)
    if target.upstream is None and asks_for_json(asked):
        most = with_reasks(most, serving.settings.gateway.reasks, len(target.models))
    call = ModelCall(exchange, serving, target, asked, account)
    try:
        await exchange.heeding(_paid(call, route, body, most, cap))
    except ApiError as error:
        raise for_client(call, error) from None


async def _paid(call: ModelCall, route: ModelRoute, body: bytes, most: Usage, cap: Mapping[str, Any]) -> None:
    """Set aside the most that the request may use, have it answered, and settle; `cap` holds it to the most."""
    account, serving, target = call.account, call.serving, call.target
    admitted = await _admitted(call, most)
    try:
        if target.upstream is not None:
            # A byte for a token, as a budget needs it, would be far too much for a limit.
            tokens = most.input_tokens // _BYTES_PER_TOKEN + most.output_tokens
            await pass_through(call, route.path, body, tokens, cap if admitted.bounded else None)
        else:
            await _typed(replace(call, target=replace(target, models=tuple(admitted.models))), route)
    finally:
        # A log's price may wait; a budget's may not.
        asked_for = admitted.in_money and account.cost is None and account.usage is not None
        if asked_for and account.usage is not None and len(admitted.models) == 1:
            account.cost = serving.price(admitted.models[0], account.usage)
        admitted.settle(account.usage, account.cost)


async def _admitted(call: ModelCall, most: Usage) -> Admitted:
    try:
        admitted = await call.serving.admission.admit(call.account.key, call.target.models, most)
    except StorageUnavailable:
        raise ApiError(
            503,
            "the budgets cannot be looked up at the moment",
            type="server_error",
            code="limits_unavailable",
        ) from None
    if isinstance(admitted, Refused):
        raise of_refusal(admitted)
    return admitted


async def _typed(call: ModelCall, route: ModelRoute) -> None:
    try:
        await route.typed(call)
    except ModelFailure as failure:
        call.account.usage, call.account.cost = failure.usage, failure.cost
        if failure.kind in {FailureKind.TIMEOUT, FailureKind.STALL, FailureKind.RESET}:
            # It may have generated what nobody counted.
            call.account.usage = call.account.cost = None
        raise of_failure(failure) from None
    except InvalidInput as error:
        # Said of what was asked, before anybody was.
        call.account.usage = Usage()
        raise bad_request(str(error), code="invalid_schema") from None
