"""Finds the provider of a model by its name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from podium.ports.models import ModelProvider
from podium.providers import names
from podium.providers.prices import Prices
from podium.providers.scripted import Script, ScriptedProvider
from podium.providers.vendors import VENDORS, Access, VendorProvider
from podium.settings.cassettes import CassetteSettings
from podium.settings.prices import PriceSettings

_NONE: Mapping[str, Script] = MappingProxyType({})


class Providers:
    """Every way of calling a model that Podium knows, each opened when it is first asked for.

    Names are `openai:MODEL`, `anthropic:MODEL`, `google:MODEL`; any of them with `@http://HOST:PORT/v1` for
    another server with the same wire format (or with `OPENAI_BASE_URL`, `ANTHROPIC_BASE_URL`,
    `GOOGLE_GEMINI_BASE_URL` in the environment); `local:smollm2`, `local:PATH.gguf`; `scripted:NAME`;
    `record:PROVIDER:MODEL`, which writes down what the model answers, and `replay:NAME`, which reads it.

    `environment` holds the keys and addresses (pass `os.environ` from an entry point), `scripts` the models
    that tests wrote down, by NAME or by the whole name of a model in whose place they speak. `cassettes` says
    where recordings are, `prices` what models cost by one's own prices.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        scripts: Mapping[str, Script] = _NONE,
        cassettes: CassetteSettings | None = None,
        prices: PriceSettings | None = None,
    ) -> None:
        self._environment = environment
        self._scripts = scripts
        self._cassettes = cassettes or CassetteSettings()
        self._prices = Prices(prices)
        self._open: dict[str, ModelProvider] = {}

    def find(self, name: str) -> tuple[ModelProvider, str]:
        """Return the provider and the model's own name; raises `InvalidInput` naming the known providers."""
        if name in self._scripts:
            # A script of a test, in the place of the model that is called so.
            return self._provider(names.SCRIPTED), name
        parsed = names.parse(name)
        if parsed.provider not in VENDORS:
            return self._provider(parsed.provider), parsed.model
        access = Access.find(VENDORS[parsed.provider], self._environment, parsed.base_url)
        place = f"{parsed.provider}@{access.base_url}"
        if place not in self._open:
            self._open[place] = VendorProvider(access, self._prices)
        return self._open[place], parsed.model

    async def close(self) -> None:
        """Close every provider that was opened; the next `find` opens anew."""
        while self._open:
            _, provider = self._open.popitem()
            await provider.close()

    def _provider(self, provider: str) -> ModelProvider:
        if provider not in self._open:
            self._open[provider] = self._other(provider)
        return self._open[provider]

    def _other(self, provider: str) -> ModelProvider:
        if provider == names.SCRIPTED:
            return ScriptedProvider(self._scripts)
        if provider in {names.RECORD, names.REPLAY}:
            from podium.providers.cassettes import recorder_or_player

            return recorder_or_player(provider, self._cassettes, self._environment, self.find)
        from podium.providers.local import LocalProvider

        return LocalProvider()
