"""What both formats have in common: how they are read, and what cannot be had on the typed lane."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from podium.domain.errors import InvalidInput
from podium.domain.media import Audio, Document, Image, Media
from podium.ports.models import Tool, ToolChoice
from podium.server.errors import bad_request

B = TypeVar("B", bound=BaseModel)


class Lenient(BaseModel):
    """A part of a body: what is not known is passed over, what is known must have its type."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


def read(model: type[B], asked: Mapping[str, Any]) -> B:
    """Return `asked` as `model`; raises `ApiError` naming the first member that is wrong."""
    try:
        return model.model_validate(asked)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        raise bad_request(f"{where or 'the body'}: {first['msg']}", where or None, "invalid_value") from None


def refuse(asked: Mapping[str, Any], *members: str) -> None:
    """Raise `ApiError` when one of `members` asks for what only a pass-through gives."""
    for member in members:
        if asked.get(member) not in (None, False, 0):
            raise bad_request(
                f"{member} is not supported for this model: it is reached through another vendor's API",
                member,
                "unsupported_parameter",
            )


def media(kind: type[Media], where: str, data: str, media_type: str) -> Media:
    """Return a picture, recording or document from its base64; raises `ApiError`."""
    try:
        return kind(base64.b64decode(data, validate=True), media_type)
    except (binascii.Error, ValueError, InvalidInput) as error:
        raise bad_request(f"{where}: {error}", where, "invalid_value") from None


def media_at(kind: type[Media], where: str, url: str) -> Media:
    """Return what a `data:` URL holds; raises `ApiError` for any other.

    Not every vendor reads a URL itself, and this server must not be made to fetch what only it can reach.
    """
    head, comma, data = url.partition(",")
    if not (comma and head.startswith("data:") and head.endswith(";base64")):
        raise bad_request(
            f"{where}: this model takes only data: URLs in base64", where, "unsupported_parameter"
        )
    return media(kind, where, data, head.removeprefix("data:").removesuffix(";base64"))


def offered(tools: Sequence[Tool], choice: object) -> tuple[tuple[Tool, ...], ToolChoice]:
    """Return the tools to offer and the choice between them: one that must be called is the only one offered.

    Raises `ApiError` for a choice that is none.
    """
    match choice:
        case None | "auto":
            return tuple(tools), ToolChoice.AUTO
        case "required":
            return tuple(tools), ToolChoice.REQUIRED
        case "none":
            return tuple(tools), ToolChoice.NONE
        case {"type": "function", "function": {"name": str(name)}} | {"type": "function", "name": str(name)}:
            chosen = tuple(tool for tool in tools if tool.name == name)
            if chosen:
                return chosen, ToolChoice.REQUIRED
            raise bad_request(f"tool_choice names {name[:80]!a}, which is not among the tools", "tool_choice")
        case _:
            raise bad_request(
                "tool_choice must be auto, required, none or name a function for this model",
                "tool_choice",
                "unsupported_parameter",
            )


__all__ = ["Audio", "Document", "Image", "Lenient", "media", "media_at", "offered", "read", "refuse"]
