"""The models that clients may name: the vendors' by their own names, one's own by aliases, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from podium.domain.errors import CredentialMissing, InvalidInput, UnknownModel
from podium.ports.models import ModelProviders, Route
from podium.ports.wire import Upstream, Wire
from podium.providers import names
from podium.providers.weights import SMOLLM2

# What ends up in an address must not lead anywhere else, and what is logged must fit a line.
_FIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}")
_MOST_KNOWN = 1000


@dataclass(frozen=True, slots=True)
class Target:
    """Who is to answer: `models` in order, and the `upstreams` when the one model speaks the client's format.

    Each is reached with another key, by one of the `routes`, in the same order: ways as the gateway knows them.
    """

    name: str
    models: tuple[str, ...]
    upstreams: tuple[Upstream, ...] = ()
    routes: tuple[Route, ...] = ()

    @property
    def upstream(self) -> Upstream | None:
        """The first of the upstreams, None where the request cannot be passed through."""
        return self.upstreams[0] if self.upstreams else None

    def upstream_by(self, route: Route) -> Upstream:
        """Return the upstream that a route leads to."""
        return self.upstreams[self.routes.index(route)]


class Targets:
    """Finds the target of a model's name. A client cannot name a server, a file or a script: only aliases can."""

    def __init__(self, providers: ModelProviders, wire: Wire, aliases: Mapping[str, tuple[str, ...]]) -> None:
        self._providers = providers
        self._wire = wire
        self._known: dict[str, Target] = {}
        self.aliases = aliases
        for alias, models in aliases.items():
            if not _FIT.fullmatch(alias) or not models:
                raise InvalidInput(
                    f"{alias[:60]!a} cannot be an alias: write NAME=provider:model[,provider:model]"
                )
            # Raises for what could never be called.
            self._known[alias] = self._target(alias, models)

    def find(self, name: str) -> Target:
        """Return the target; raises `UnknownModel` for what is not offered, saying why."""
        known = self._known.get(name)
        if known is not None:
            return known
        target = self._named(name)
        if len(self._known) < _MOST_KNOWN:
            self._known[name] = target
        return target

    def _named(self, name: str) -> Target:
        if not _FIT.fullmatch(name) or ".." in name or "//" in name:
            raise UnknownModel(f"{name[:80]!a} cannot be the name of a model")
        provider, colon, model = name.partition(":")
        if not colon:
            provider, colon, model = name.partition("/")
        offered = provider in names.VENDORS or (provider, model) == (names.LOCAL, SMOLLM2)
        if not (colon and model and offered) or "@http" in model:
            listed = ", ".join(f"{vendor}:MODEL" for vendor in names.VENDORS)
            raise UnknownModel(
                f"the model {name!r} does not exist here. Name one as {listed}, or one of `GET /v1/models`"
            )
        try:
            return self._target(name, (f"{provider}:{model}",))
        except (CredentialMissing, InvalidInput) as error:
            raise UnknownModel(f"the model {name!r} is not available on this server: {error}") from None

    def _target(self, name: str, models: tuple[str, ...]) -> Target:
        for each in models:
            first = self._providers.routes(each)[0]
            first.provider.check(first.model)
        if len(models) != 1:
            return Target(name, models)
        routes = tuple(self._providers.routes(models[0]))
        found = [self._wire.upstream(models[0], route.credential) for route in routes]
        upstreams = tuple(each for each in found if each is not None)
        return Target(name, models, upstreams, routes if upstreams else ())
