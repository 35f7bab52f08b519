"""An app on a real database, quick to notice things, and a way to wait for what it tells."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from podium import EngineSettings, GatewaySettings, Podium, RunState, Settings, StorageSettings
from podium.app.timeline import Timeline
from podium.domain.errors import StorageUnavailable
from podium.domain.happenings import EntryMade, Happening, RunMoved
from podium.domain.journal import Entry, EntryType
from podium.flow.workflows import Workflow
from podium.settings.prices import PriceSettings
from podium.storage.sqlite.database import open_sqlite
from podium.testing import Replayer

PATIENCE = 20.0
T = TypeVar("T")


class Story:
    """All that an app has told, in order."""

    def __init__(self, app: Podium) -> None:
        self.happenings: list[Happening] = []
        self._waiting: list[tuple[Callable[[Happening], bool], asyncio.Future[Happening]]] = []
        app.subscribe(self._note)

    def moves(self, run_id: str) -> list[RunState]:
        return [h.state for h in self.happenings if isinstance(h, RunMoved) and h.run == run_id]

    def entries(self, run_id: str) -> list[Entry]:
        return [h.entry for h in self.happenings if isinstance(h, EntryMade) and h.entry.run == run_id]

    async def tells(self, is_it: Callable[[Happening], bool]) -> Happening:
        """Return the first happening of that kind, one of the past or one to come."""
        for happening in self.happenings:
            if is_it(happening):
                return happening
        future: asyncio.Future[Happening] = asyncio.get_running_loop().create_future()
        self._waiting.append((is_it, future))
        async with asyncio.timeout(PATIENCE):
            return await future

    async def state(self, run_id: str, state: RunState) -> RunMoved:
        """Return once the run has moved to that state, at whatever time."""
        moved = await self.tells(lambda h: isinstance(h, RunMoved) and (h.run, h.state) == (run_id, state))
        assert isinstance(moved, RunMoved)
        return moved

    def _note(self, happening: Happening) -> None:
        self.happenings.append(happening)
        for is_it, future in self._waiting:
            if not future.done() and is_it(happening):
                future.set_result(happening)


class App(Podium):
    """A `Podium` whose story is kept, and into whose memory the tests may look.

    At the end of its life the runs that moved in it are replayed from each prefix of their journals, and must do
    the same again, unless `unreplayed` gives a reason why they cannot.
    """

    unreplayed = ""

    async def __aenter__(self) -> Self:
        self.story = Story(self)
        await super().__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await super().__aexit__(kind, error, trace)
        if kind is None and not self.unreplayed:
            # A database that can no longer be read is the subject of the tests that make it so.
            with contextlib.suppress(StorageUnavailable):
                await self._replay()

    async def _replay(self) -> None:
        """Replay what is on disk, now that nothing works on it any more."""
        storage = await open_sqlite(self._database, settings=StorageSettings(), own=False)
        try:
            replayer = Replayer(storage, self._workflows)
            for run_id in dict.fromkeys(h.run for h in self.story.happenings if isinstance(h, RunMoved)):
                await replayer.check(run_id)
        finally:
            await storage.close()

    @property
    def in_memory(self) -> set[str]:
        return set(self._engine._active)

    async def journal(self, run_id: str) -> Sequence[Entry]:
        loaded = await self._engine._journal.load(run_id)  # type: ignore[arg-type]
        assert loaded is not None
        return loaded.entries

    async def inbox_is_empty(self) -> bool:
        return not await self._engine._journal.deliveries(0, 1)

    async def timeline(self, run_id: str) -> Timeline:
        return await self.runs.timeline(run_id)

    async def finished(self, *run_ids: str) -> Counter[RunState]:
        """Return how many of the runs are in each state, once the engine has nothing more to do."""
        await self.idle()
        return Counter([(await self.runs.get(run_id)).state for run_id in run_ids])


def app_on(
    database: Path,
    *workflows: Workflow[Any, Any],
    linger: float = 1.0,
    max_active_runs: int = 1000,
    step_threads: int = 16,
    storage: StorageSettings | None = None,
    gateway: GatewaySettings | None = None,
    prices: PriceSettings | None = None,
    unreplayed: str = "",
    **options: Any,
) -> App:
    """An app that looks for news every 10 ms; `unreplayed` says why its runs do not do the same when replayed."""
    engine = EngineSettings(
        poll_interval=0.01, linger=linger, max_active_runs=max_active_runs, step_threads=step_threads
    )
    settings = Settings(
        engine=engine,
        storage=storage or StorageSettings(),
        gateway=gateway or GatewaySettings(),
        prices=prices or PriceSettings(),
    )
    app = App(database, workflows=workflows, settings=settings, **options)
    app.unreplayed = unreplayed
    return app


def some(value: T | None) -> T:
    """Return a value that is there."""
    assert value is not None
    return value


async def all_are(app: App, state: RunState, count: int) -> bool:
    """Return whether exactly `count` runs are stored, all in this state."""
    return dict(await app.runs.counts()) == {state: count}


async def until(is_so: Callable[[], object]) -> None:
    """Return once `is_so()` is true, or gives an awaitable of something that is."""
    async with patiently():
        while True:
            answer = is_so()
            if await answer if inspect.isawaitable(answer) else answer:
                return
            await asyncio.sleep(0.002)


@asynccontextmanager
async def patiently() -> AsyncIterator[None]:
    """Fail, instead of hanging, when something never comes."""
    async with asyncio.timeout(PATIENCE):
        yield


def outcomes(entries: Sequence[Entry]) -> list[str]:
    """The delivered entries as `key=type`, in order."""
    told = (EntryType.DONE, EntryType.ERROR, EntryType.SIGNAL)
    return [f"{entry.key or entry.name}={entry.type}" for entry in entries if entry.type in told]
