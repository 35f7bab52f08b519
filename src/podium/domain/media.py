"""Images, recordings and documents: values like any other, that a prompt can show to a model."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import ClassVar
from urllib.parse import urlsplit

from pydantic import ConfigDict

from podium.domain.errors import InvalidInput

_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*")


@dataclass(frozen=True, slots=True)
class Media:
    """Something other than text: its bytes and their media type, or a URL where it is found.

    In JSON the bytes are base64 for URLs. A URL is read by the model's vendor, or by the client on its way there; with
    one the media type is optional. Raises `InvalidInput` unless exactly one of both is given and it fits.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")
    family: ClassVar[str] = ""

    data: bytes | None = field(default=None, repr=False)
    media_type: str | None = None
    url: str | None = None

    def __post_init__(self) -> None:
        kind = type(self).__name__
        if (self.data is None) == (self.url is None):
            raise InvalidInput(
                f"{kind} takes either bytes and their media type, or url=, and exactly one of both"
            )
        if self.media_type is not None:
            self._check_media_type(kind, self.media_type)
        elif self.data is not None:
            raise InvalidInput(
                f"{kind} needs the media type of its bytes, as in {kind}(data, {self._example!r})"
            )
        if self.url is not None and not _is_web_address(self.url):
            raise InvalidInput(f"{kind} takes an http:// or https:// address as url=, not {self.url[:80]!r}")

    @property
    def digest(self) -> str:
        """What it is, in a few words that are the same in every process: the SHA-256 of its bytes, or its URL."""
        return self.url if self.data is None else f"sha256:{hashlib.sha256(self.data).hexdigest()}"  # type: ignore[return-value]

    @property
    def description(self) -> str:
        """What stands for it in a transcript: `[image/png, 1024 bytes, sha256:9f86d081884c7d65]`."""
        if self.data is None:
            return f"[{self.media_type or type(self).__name__.lower()} at {self.url}]"
        return f"[{self.media_type}, {len(self.data)} bytes, {self.digest[:23]}]"

    @property
    def _example(self) -> str:
        return f"{self.family}png" if self.family == "image/" else f"{self.family or 'application/'}pdf"

    def _check_media_type(self, kind: str, media_type: str) -> None:
        if not _MEDIA_TYPE.fullmatch(media_type) or not media_type.startswith(self.family):
            raise InvalidInput(f"{media_type!r} is no media type of {kind}: it looks like {self._example!r}")


@dataclass(frozen=True, slots=True)
class Image(Media):
    """A picture: `Image(data, "image/png")` or `Image(url="https://...")`."""

    family: ClassVar[str] = "image/"


@dataclass(frozen=True, slots=True)
class Audio(Media):
    """A recording: `Audio(data, "audio/wav")` or `Audio(url="https://...")`."""

    family: ClassVar[str] = "audio/"


@dataclass(frozen=True, slots=True)
class Document(Media):
    """A document: `Document(data, "application/pdf")`, also of text (`text/csv`), or `Document(url="https://...")`."""


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)
