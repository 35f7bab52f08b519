"""From a request's body to what is asked: which model, of which key, using how much at most."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from podium.app.serving import Serving
from podium.app.targets import Target
from podium.domain.answers import Usage
from podium.domain.errors import UnknownModel
from podium.domain.keys import ApiKey
from podium.server.errors import ApiError, bad_request
from podium.server.http import Exchange

_BEARER = b"bearer "
# No model takes more: longer bodies hold pictures or recordings, whose bytes are no tokens.
_MOST_INPUT = 2_000_000
_MOST_OUTPUT = 10_000_000
# What a re-ask adds at most: the beginning of the reply, and what is wrong with it.
_REASK = 20_000


def key_of(exchange: Exchange, serving: Serving) -> ApiKey | None:
    """Return the key that the request was sent with, None where none is needed; raises `ApiError`."""
    if serving.is_open:
        return None
    sent = exchange.header(b"authorization") or b""
    token = sent[len(_BEARER) :].strip() if sent[: len(_BEARER)].lower() == _BEARER else b""
    if not token:
        raise ApiError(
            401,
            "this server needs a key: send `Authorization: Bearer KEY` with one made by `podium keys create`",
            type="authentication_error",
            code="missing_api_key",
        )
    key = serving.keyring.find(token)
    if key is None:
        raise ApiError(
            401,
            "this key is not valid: it was never made here, or has been revoked",
            type="authentication_error",
            code="invalid_api_key",
        )
    return key


def parsed(body: bytes) -> dict[str, Any]:
    """Return the JSON object that the body is; raises `ApiError`."""
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise bad_request(f"the body is not valid JSON: {error}", code="invalid_json") from None
    if not isinstance(asked, dict):
        raise bad_request("the body must be a JSON object", code="invalid_json")
    stream = asked.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise bad_request("stream must be true or false", "stream")
    return asked


def target_of(asked: Mapping[str, Any], serving: Serving, key: ApiKey | None) -> Target:
    """Return who is to answer; raises `ApiError` for a model that is not offered, or not to this key."""
    name = asked.get("model")
    if not isinstance(name, str) or not name:
        raise bad_request("model must name a model", "model")
    try:
        target = serving.targets.find(name)
    except UnknownModel as error:
        raise ApiError(404, str(error), param="model", code="model_not_found") from None
    if not may_use(key, target):
        raise ApiError(
            403,
            f"this key may not use the model {name!r}",
            type="permission_error",
            param="model",
            code="model_not_allowed",
        )
    return target


def may_use(key: ApiKey | None, target: Target) -> bool:
    """Return whether a key's patterns allow the name that was given, or every model behind it."""
    return (
        key is None
        or key.limits.permits(target.name)
        or all(key.limits.permits(model) for model in target.models)
    )


def most_of(body: bytes, asked: Mapping[str, Any], member: str, default: int) -> tuple[Usage, dict[str, Any]]:
    """Return the most that a request may use, and the members that hold it to that if it does not do so itself.

    `member` names the limit of output tokens, empty where there is no output; `default` is what it is set to.
    """
    read = min(len(body), _MOST_INPUT)
    if not member:
        return Usage(read, 0), {}
    both = ("max_completion_tokens", "max_tokens")
    names = both if member in both else (member,)
    limits = {name: asked[name] for name in names if asked.get(name) is not None}
    for name, limit in limits.items():
        if not _is_count(limit, _MOST_OUTPUT):
            raise bad_request(f"{name} must be a whole number from 1 to {_MOST_OUTPUT}", name)
    times = asked.get("n")
    if times is not None and not _is_count(times, 128):
        raise bad_request("n must be a whole number from 1 to 128", "n")
    cap = {} if limits else {member: default}
    return Usage(read, max(limits.values(), default=default) * (times or 1)), cap


def asks_for_json(asked: Mapping[str, Any]) -> bool:
    """Return whether the reply is to be JSON, in the words of either format."""
    text = asked.get("text")
    told = (asked.get("response_format"), text.get("format") if isinstance(text, Mapping) else None)
    return any(isinstance(each, Mapping) and str(each.get("type", "")).startswith("json") for each in told)


def with_reasks(most: Usage, reasks: int, models: int) -> Usage:
    """Return the most that a request may use when each of so many models may be asked again so many times."""
    times = (1 + reasks) * models
    return Usage(most.input_tokens * times + _REASK * reasks * models, most.output_tokens * times)


def _is_count(value: object, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most
