"""Finds the ways to a model by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType

from podium.domain.errors import CredentialMissing
from podium.ports.models import ModelProvider, Route
from podium.providers import names
from podium.providers.names import ModelName
from podium.providers.prices import Prices
from podium.providers.scripted import Script, ScriptedProvider
from podium.providers.vendors import VENDORS, Access, VendorProvider
from podium.providers.windows import context_window
from podium.settings.cassettes import CassetteSettings
from podium.settings.prices import PriceSettings

_NONE: Mapping[str, Script] = MappingProxyType({})
_VENDORS_OWN: Mapping[str, tuple[str, ...]] = MappingProxyType({})


class Providers:
    """Every way of calling a model that Podium knows, each opened when it is first asked for.

    Names are `openai:MODEL`, `anthropic:MODEL`, `google:MODEL`; any of them with `@http://HOST:PORT/v1` for
    another server with the same wire format (or with `OPENAI_BASE_URL`, `ANTHROPIC_BASE_URL`,
    `GOOGLE_GEMINI_BASE_URL` in the environment); `local:smollm2`, `local:PATH.gguf`; `scripted:NAME`;
    `record:PROVIDER:MODEL`, which writes down what the model answers, and `replay:NAME`, which reads it.

    `environment` holds the keys and addresses (pass `os.environ` from an entry point), `scripts` the models
    that tests wrote down, by NAME or by the whole name of a model in whose place they speak. `credentials` names,
    for a vendor (`openai`) or another server (`openai@URL`), the environment variables with its keys, where there are
    several or they are called otherwise than usual. `cassettes` says where recordings are, `prices`
    what models cost by one's own prices.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        scripts: Mapping[str, Script] = _NONE,
        credentials: Mapping[str, Sequence[str]] = _VENDORS_OWN,
        cassettes: CassetteSettings | None = None,
        prices: PriceSettings | None = None,
    ) -> None:
        self._environment = environment
        self._scripts = scripts
        self._credentials = credentials
        self._cassettes = cassettes or CassetteSettings()
        self._prices = Prices(prices)
        self._open: dict[tuple[str, str], ModelProvider] = {}
        self._vendors: dict[tuple[str, str], VendorProvider] = {}
        self._routes: dict[str, tuple[Route, ...]] = {}

    def routes(self, name: str) -> Sequence[Route]:
        """Return the ways to a model, one for each credential whose variable is set, or one without any.

        Raises `InvalidInput` naming the known providers, and `CredentialMissing` when `credentials` names
        variables of which none is set.
        """
        found = self._routes.get(name)
        if found is None:
            found = self._routes[name] = self._find(name)
        return found

    def find(self, name: str) -> tuple[ModelProvider, str]:
        """Return the first provider of a model and the model's own name; raises what `routes` raises."""
        first = self.routes(name)[0]
        return first.provider, first.model

    async def close(self) -> None:
        """Close every provider that was opened; the next `find` opens anew."""
        self._routes.clear()
        self._vendors.clear()
        while self._open:
            _, provider = self._open.popitem()
            await provider.close()

    def _find(self, name: str) -> tuple[Route, ...]:
        if name in self._scripts:
            # A script of a test, in the place of the model that is called so.
            return (Route(self._provider(names.SCRIPTED), names.SCRIPTED, name),)
        parsed = names.parse(name)
        if parsed.provider == names.RECORD:
            load = self.routes(parsed.model)[0].load
            return (Route(self._provider(parsed.provider), parsed.provider, parsed.model, load=load),)
        if parsed.provider not in VENDORS:
            return (Route(self._provider(parsed.provider), parsed.provider, parsed.model),)
        vendor = VENDORS[parsed.provider]
        access = Access.find(vendor, self._environment, parsed.base_url)
        trusted = access.base_url in {vendor.home, Access.find(vendor, self._environment, None).base_url}
        place = f"{vendor.name}@{access.base_url}" if access.foreign else vendor.name
        # The vendor's keys never go to a server that only a model's name points to.
        named = self._credentials.get(place) or (self._credentials.get(vendor.name) if trusted else None)
        if named is None:
            usual = vendor.keys if trusted else (vendor.other_key,)
            variable = next((each for each in usual if self._environment.get(each)), "")
            return (self._route(parsed, place, access, variable),)
        keys = {each: self._environment[each].strip() for each in named if self._environment.get(each)}
        if not keys:
            raise CredentialMissing(f"{name} needs a key: set {' or '.join(named)} in the environment")
        return tuple(
            self._route(parsed, place, replace(access, key=key), variable) for variable, key in keys.items()
        )

    def _route(self, parsed: ModelName, place: str, access: Access, variable: str) -> Route:
        key = (place, variable)
        provider = self._vendors.get(key)
        if provider is None:
            provider = self._open[key] = self._vendors[key] = VendorProvider(access, self._prices)
        vendor, url = access.vendor.name, access.base_url if access.foreign else None
        return Route(
            provider,
            place,
            parsed.model,
            variable,
            price=partial(self._prices.cost_of, vendor, parsed.model, base_url=url),
            window=partial(context_window, vendor, parsed.model, url),
            load=provider.load,
        )

    def _provider(self, provider: str) -> ModelProvider:
        key = (provider, "")
        if key not in self._open:
            self._open[key] = self._other(provider)
        return self._open[key]

    def _other(self, provider: str) -> ModelProvider:
        if provider == names.SCRIPTED:
            return ScriptedProvider(self._scripts)
        if provider in {names.RECORD, names.REPLAY}:
            from podium.providers.cassettes import recorder_or_player

            return recorder_or_player(provider, self._cassettes, self._environment, self.find)
        from podium.providers.local import LocalProvider

        return LocalProvider()
