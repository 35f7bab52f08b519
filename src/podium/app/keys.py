"""Use-cases on API keys: making, listing and revoking them, and knowing who calls."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import time
from collections.abc import Callable, Sequence

from podium.domain.errors import StorageUnavailable
from podium.domain.keys import ApiKey, KeyLimits, checked_key_name, new_token, shown_prefix, token_digest
from podium.domain.runs import DEFAULT_TENANT
from podium.ports.storage import Storage
from podium.storage import keys


class Keys:
    """The API keys of a database. Works beside a process that serves."""

    def __init__(self, storage: Storage, tenant: str = DEFAULT_TENANT) -> None:
        self._storage = storage
        self._tenant = tenant

    async def create(self, name: str, limits: KeyLimits) -> tuple[ApiKey, str]:
        """Make a key and return it with its token, which is nowhere kept; raises `InvalidInput` for a taken name."""
        token = new_token()
        key = ApiKey(
            checked_key_name(name),
            shown_prefix(token),
            token_digest(token.encode()),
            limits,
            time.time(),
            tenant=self._tenant,
        )
        await self._storage.write(lambda conn: keys.add_key(conn, key))
        return key, token

    async def list(self) -> Sequence[ApiKey]:
        """Return the keys, oldest first, revoked ones too."""
        return await self._storage.read(lambda conn: keys.list_keys(conn, tenant=self._tenant))

    async def revoke(self, name: str) -> ApiKey:
        """Revoke the key of this name or prefix; servers refuse it within a second. Raises `UnknownKey`."""
        return await self._storage.write(
            lambda conn: keys.revoke_key(conn, name, time.time(), tenant=self._tenant)
        )


class Keyring:
    """The keys that are valid, in memory; looked up anew as soon as the database has changed.

    `version` returns a number that is another one after anything was written. When the database cannot be read for
    longer than `patience` seconds, no key is valid any more: a revocation may have been missed.
    """

    def __init__(
        self, storage: Storage, version: Callable[[], int], *, refresh: float, patience: float = 10.0
    ) -> None:
        self._storage = storage
        self._version = version
        self._refresh = refresh
        self._patience = patience
        self._known: int | None = None
        self._seen_at = 0.0
        self._by_digest: dict[bytes, ApiKey] = {}
        self._task: asyncio.Task[None] | None = None
        self.any_made = False

    async def open(self) -> None:
        """Read the keys, and go on looking for changes until closed."""
        await self.look()
        self._task = asyncio.create_task(self._watch())

    def find(self, token: bytes) -> ApiKey | None:
        """Return the valid key that `token` belongs to, or None."""
        digest = token_digest(token)
        key = self._by_digest.get(digest)
        return key if key is not None and hmac.compare_digest(key.digest, digest) else None

    async def look(self) -> None:
        """Look now for what has changed."""
        version = self._version()
        if version != self._known:
            found = await self._storage.read(keys.list_keys)
            self.any_made = bool(found)
            self._by_digest = {key.digest: key for key in found if key.revoked_at is None}
            self._known = version
        self._seen_at = time.monotonic()

    async def close(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._refresh)
            with contextlib.suppress(StorageUnavailable):
                await self.look()
            if time.monotonic() - self._seen_at > self._patience:
                self._by_digest = {}
                self._known = None
