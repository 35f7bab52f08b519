"""How models are named: `provider:model`, and `provider:model@https://host/path` for another server."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from urllib.parse import urlsplit

from podium.domain.errors import InvalidInput, RecordingUnusable

VENDORS = ("anthropic", "google", "openai")
LOCAL = "local"
SCRIPTED = "scripted"
RECORD = "record"
REPLAY = "replay"
KNOWN = (*VENDORS, LOCAL, SCRIPTED, RECORD, REPLAY)

_EXAMPLES = "anthropic:claude-haiku-4-5, openai:gpt-5-mini, openai:MODEL@http://HOST/v1, local:smollm2"


@dataclass(frozen=True, slots=True)
class ModelName:
    """A model's name, taken apart. `base_url` is None when the name does not say where the model is."""

    provider: str
    model: str
    base_url: str | None = None


def parse(name: str) -> ModelName:
    """Take `name` apart; raises `InvalidInput` that says how models are named and which providers there are.

    That is `RecordingUnusable` for a name that is to be recorded or replayed.
    """
    provider, colon, rest = name.strip().partition(":")
    invalid = RecordingUnusable if provider in {RECORD, REPLAY} else InvalidInput
    if not name.strip().isprintable():
        raise invalid(f"{name!a} does not name a model: it holds characters that cannot be seen")
    if not colon or not provider or not rest:
        raise invalid(f"{name!r} does not name a model: write provider:model, such as {_EXAMPLES}")
    if provider not in KNOWN:
        near = get_close_matches(provider, KNOWN, 1)
        hint = f"; did you mean {near[0]}:{rest}?" if near else ""
        raise InvalidInput(f"there is no provider {provider!r}; known are {', '.join(KNOWN)}{hint}")
    if provider == RECORD:
        _require_recordable(name, rest)
    if provider not in VENDORS:
        return ModelName(provider, rest)
    model, url = _split_url(rest)
    if not model:
        raise InvalidInput(f"{name!r} names no model before the @: write {provider}:MODEL@{url}")
    return ModelName(provider, model, url)


def _require_recordable(name: str, rest: str) -> None:
    try:
        recorded = parse(rest).provider
    except InvalidInput as error:
        raise RecordingUnusable(f"{name!r} cannot be recorded: {error}") from None
    if recorded in {RECORD, REPLAY}:
        raise RecordingUnusable(f"{name!r} records what was recorded already: write record:PROVIDER:MODEL")


def _split_url(rest: str) -> tuple[str, str | None]:
    # Only an @ before a URL counts: some vendors have one in the model's own name.
    for scheme in ("@http://", "@https://"):
        model, found, address = rest.partition(scheme)
        if found:
            return model, checked_url(scheme[1:] + address)
    return rest, None


def checked_url(url: str) -> str:
    """Return `url` without a slash at its end; raises `InvalidInput` for what is not a plain HTTP address.

    A user name or password in it is refused: model names are stored and shown.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
        parts = urlsplit("")
    if not usable or parts.query or parts.fragment:
        raise InvalidInput(f"{url!r} is not a base URL: write http://HOST:PORT/PATH or https://HOST/PATH")
    if "@" in parts.netloc:
        raise InvalidInput(
            f"the base URL at {parts.hostname} holds a user name or password, which would be stored and shown "
            "with the model's name: put the key into the environment instead"
        )
    return url.rstrip("/")
