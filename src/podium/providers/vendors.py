"""Hosted models: what is known of each vendor, and a provider that loads its library on the first call."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING

from podium.domain.errors import CredentialMissing, InvalidInput
from podium.ports.batches import BatchLimits, Lookup, Sought
from podium.ports.models import ModelFailure, ModelReply, ModelRequest
from podium.providers.names import checked_url
from podium.providers.prices import Prices

if TYPE_CHECKING:
    from podium.providers.batches import VendorBatches
    from podium.providers.exchange import Exchange

NO_KEY = "none"


@dataclass(frozen=True, slots=True)
class Vendor:
    """One vendor. `keys` and `address` are environment variables, the first key that is set counts.

    `other_key` is the variable with the key of servers that a model's name points to with `@URL`.
    """

    name: str
    library: str
    home: str
    keys: tuple[str, ...]
    address: str
    other_key: str


VENDORS: Mapping[str, Vendor] = {
    vendor.name: vendor
    for vendor in (
        Vendor(
            "anthropic",
            "anthropic",
            "https://api.anthropic.com",
            ("ANTHROPIC_API_KEY",),
            "ANTHROPIC_BASE_URL",
            "ANTHROPIC_COMPATIBLE_API_KEY",
        ),
        Vendor(
            "google",
            "google.genai",
            "https://generativelanguage.googleapis.com",
            ("GOOGLE_API_KEY", "GEMINI_API_KEY"),
            "GOOGLE_GEMINI_BASE_URL",
            "GOOGLE_COMPATIBLE_API_KEY",
        ),
        Vendor(
            "openai",
            "openai",
            "https://api.openai.com/v1",
            ("OPENAI_API_KEY",),
            "OPENAI_BASE_URL",
            "OPENAI_COMPATIBLE_API_KEY",
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Access:
    """Where a vendor's models are reached and with which key. `foreign`: at a server that is not the vendor's.

    `key` is None when the environment has none.
    """

    vendor: Vendor
    base_url: str
    foreign: bool
    key: str | None = field(repr=False)

    @classmethod
    def find(cls, vendor: Vendor, environment: Mapping[str, str], base_url: str | None) -> Access:
        """Settle on a server and a key.

        The vendor's key goes to the vendor and to the server that the environment itself names, never to one
        that only a model's name points to.
        """
        named = environment.get(vendor.address)
        configured = checked_url(named) if named else vendor.home
        url = base_url or configured
        trusted = url in {vendor.home, configured}
        variables = vendor.keys if trusted else (vendor.other_key,)
        key = next((environment[name] for name in variables if environment.get(name)), None)
        return cls(vendor, url, url != vendor.home, key.strip() if key else None)

    @property
    def secret(self) -> str:
        """What is sent as the key: servers of one's own often need none, the libraries always need something."""
        return self.key or NO_KEY


class VendorProvider:
    """The models of one vendor at one server. Its library is imported and its client made on the first call."""

    def __init__(self, access: Access, prices: Prices) -> None:
        self._access = access
        self._prices = prices
        self._exchange: Exchange | None = None
        self._opening = asyncio.Lock()

    def check(self, model: str) -> None:
        """Raise `InvalidInput` when the library is missing, `CredentialMissing` when the key is."""
        vendor = self._access.vendor
        if not (_is_installed("pydantic_ai") and _is_installed(vendor.library)):
            raise InvalidInput(
                f"{vendor.name}:{model} needs a library that is not installed: "
                f"pip install 'podium[{vendor.name}]'"
            )
        if self._access.key is None and not self._access.foreign:
            raise CredentialMissing(
                f"{vendor.name}:{model} needs a key: set {' or '.join(vendor.keys)} in the environment"
            )

    async def complete(self, model: str, request: ModelRequest) -> ModelReply:
        """Make one request; raises `ModelFailure`, or what `check` raises."""
        self.check(model)
        return await (await self._opened()).complete(model, request)

    async def load(self) -> None:
        """Import the library and make the client, if that was not done yet; raises `ImportError`."""
        await self._opened()

    async def batch_limits(self, model: str) -> BatchLimits | None:
        """See `BatchProvider.batch_limits`; raises what `check` raises."""
        self.check(model)
        return (await self._batches()).limits(model)

    async def submit(self, model: str, mark: str, requests: Sequence[ModelRequest]) -> str:
        """See `BatchProvider.submit`; raises `ModelFailure`, or what `check` raises."""
        self.check(model)
        return await (await self._batches()).submit(model, mark, requests)

    async def find(self, model: str, sought: Sought) -> Lookup:
        """See `BatchProvider.find`; raises `ModelFailure`, or what `check` raises."""
        self.check(model)
        return await (await self._batches()).find(model, sought)

    async def is_over(self, model: str, batch: str) -> bool:
        """See `BatchProvider.is_over`; raises `ModelFailure`, or what `check` raises."""
        self.check(model)
        return await (await self._batches()).is_over(model, batch)

    async def results(
        self, model: str, batch: str, mark: str, requests: Sequence[ModelRequest]
    ) -> Sequence[ModelReply | ModelFailure]:
        """See `BatchProvider.results`; raises `ModelFailure`, or what `check` raises."""
        self.check(model)
        return await (await self._batches()).results(model, batch, mark, requests)

    async def cancel(self, model: str, batch: str) -> None:
        """See `BatchProvider.cancel`; raises `ModelFailure`, or what `check` raises."""
        self.check(model)
        await (await self._batches()).cancel(model, batch)

    async def close(self) -> None:
        """Close the client, if there is one."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            await exchange.close()

    async def _opened(self) -> Exchange:
        if self._exchange is not None:
            return self._exchange
        async with self._opening:
            if self._exchange is None:
                # The libraries take up to a second to import, during which other runs should go on.
                self._exchange = await asyncio.to_thread(self._open)
            return self._exchange

    async def _batches(self) -> VendorBatches:
        exchange = await self._opened()
        from podium.providers.batches import VendorBatches

        return VendorBatches(exchange)

    def _open(self) -> Exchange:
        from podium.providers.exchange import Exchange

        self._prices.load()
        module = importlib.import_module(f"podium.providers.{self._access.vendor.name}")
        return Exchange(module.connect(self._access), self._prices)


def _is_installed(library: str) -> bool:
    try:
        return find_spec(library) is not None
    except ModuleNotFoundError:
        return False
