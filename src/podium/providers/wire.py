"""Servers of OpenAI's format, reached without reading what is sent: one pool of connections for all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

import aiohttp

from podium.domain.answers import FailureKind
from podium.ports.models import ModelFailure
from podium.ports.wire import Upstream, WireReply
from podium.providers import names
from podium.providers.vendors import VENDORS, Access
from podium.providers.wording import one_line

_OPENAI = "openai"
# Shorter than servers commonly keep idle connections, so that few are closed just as they are used again.
_IDLE = 15.0
_CONNECTING = "could not be reached"


class OpenAIWire:
    """The upstreams that the environment's keys and addresses lead to; `connect` seconds are for connecting to one.

    To be made on the event loop that uses it.
    """

    def __init__(self, environment: Mapping[str, str], connect: float) -> None:
        self._environment = environment
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE, ttl_dns_cache=60),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect),
            # The bytes go on as they come.
            auto_decompress=False,
            skip_auto_headers=("Accept", "User-Agent", "Content-Type"),
        )

    def upstream(self, name: str, credential: str = "") -> Upstream | None:
        """See `Wire.upstream`; raises `InvalidInput` for what names no model."""
        parsed = names.parse(name)
        if parsed.provider != _OPENAI:
            return None
        access = Access.find(VENDORS[_OPENAI], self._environment, parsed.base_url)
        if credential:
            access = replace(access, key=self._environment[credential].strip())
        return Upstream(
            name, parsed.model, access.base_url, access.secret, access.base_url if access.foreign else None
        )

    async def post(self, upstream: Upstream, path: str, body: bytes, headers: Mapping[str, str]) -> WireReply:
        """See `Wire.post`."""
        try:
            response = await self._session.post(
                upstream.url + path,
                data=body,
                headers={
                    **headers,
                    "Content-Type": "application/json",
                    "Accept-Encoding": "identity",
                    "User-Agent": "podium",
                    "Authorization": f"Bearer {upstream.key}",
                },
                # A key does not follow a redirection.
                allow_redirects=False,
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            failure = _failure(error, upstream)
        else:
            return _Reply(response, upstream)
        # Raised here, so that no library's exception, which may hold the key, hangs on to it.
        raise failure

    async def close(self) -> None:
        """See `Wire.close`."""
        await self._session.close()


class _Reply:
    def __init__(self, response: aiohttp.ClientResponse, upstream: Upstream) -> None:
        self._response = response
        self._upstream = upstream
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    async def read(self, most: int) -> bytes:
        length = self._response.content_length
        if length is not None and length <= most:
            try:
                return await self._response.read()
            except (aiohttp.ClientError, OSError) as error:
                failure = _failure(error, self._upstream)
            raise failure
        whole = bytearray()
        async for chunk in self.chunks():
            whole += chunk
            if len(whole) > most:
                raise ModelFailure(
                    FailureKind.SERVER, f"{self._upstream.name} sent a reply of more than {most} bytes"
                )
        return bytes(whole)

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._response.content.iter_any():
                yield chunk
            return
        except (aiohttp.ClientError, OSError) as error:
            failure = _failure(error, self._upstream)
        raise failure

    def close(self) -> None:
        # Gives the connection back when all of it was read, and drops it otherwise.
        self._response.close() if not self._response.content.at_eof() else self._response.release()


def _failure(error: Exception, upstream: Upstream) -> ModelFailure:
    match error:
        case aiohttp.ConnectionTimeoutError() | aiohttp.ClientConnectorError():
            kind, what = FailureKind.CONNECT, _CONNECTING
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            kind, what = FailureKind.NOT_FOUND, "has no usable address"
        case _:
            kind, what = FailureKind.RESET, "broke off"
    return ModelFailure(kind, one_line(f"{upstream.name} {what}", (upstream.key,)))
