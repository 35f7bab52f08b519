"""What both formats have in common: how they are read, and what cannot be had on the typed lane."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from podium.domain.errors import InvalidInput
from podium.domain.media import Audio, Document, Image, Media
from podium.ports.models import ToolChoice
from podium.server.errors import ApiError, bad_request

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


def tool_choice(choice: object) -> ToolChoice:
    """Return the choice; raises `ApiError` for one that names a tool."""
    match choice:
        case None | "auto":
            return ToolChoice.AUTO
        case "required":
            return ToolChoice.REQUIRED
        case "none":
            return ToolChoice.NONE
        case _:
            raise ApiError(
                400,
                "tool_choice must be auto, required or none for this model: offer only the tool that must be called",
                param="tool_choice",
                code="unsupported_parameter",
            )


__all__ = ["Audio", "Document", "Image", "Lenient", "media", "media_at", "read", "refuse", "tool_choice"]
