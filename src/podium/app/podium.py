"""`Podium`: one database, the workflows that run on it, and everything wired together."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from podium.app.budgets import BudgetList
from podium.app.collector import patient_collector
from podium.app.executors import executors_on
from podium.app.firing import Firing
from podium.app.forks import fork_run
from podium.app.gateway import Means, Prompting, gateway_on
from podium.app.gateway_status import GatewayView, StatusWriter
from podium.app.handles import RunHandle
from podium.app.placement import Time, Wish, placement_of, queues_by_name
from podium.app.prompts import Prompts
from podium.app.queues import QueueList
from podium.app.retention import Keeper
from podium.app.reviews import Reviews
from podium.app.runs import Runs
from podium.app.streams import chunks_of
from podium.app.tenants import TenantView, view_of
from podium.app.triggers import Triggers
from podium.domain.attributes import AttributeValue, checked_attributes
from podium.domain.budgets import Budget
from podium.domain.checks import budgets_of
from podium.domain.chunks import Chunk
from podium.domain.durations import Duration
from podium.domain.errors import InvalidInput, StateConflict
from podium.domain.filters import EVERYTHING, Filter
from podium.domain.happenings import ChunkPublished, Happening
from podium.domain.ids import RunId, checked_run_id, checked_tenant, new_run_id
from podium.domain.policies import PromptPolicy
from podium.domain.queues import Queue
from podium.domain.runs import DEFAULT_TENANT, Placement, Run
from podium.domain.states import RunState
from podium.engines.embedded.engine import EmbeddedEngine
from podium.engines.embedded.queues import Queues
from podium.engines.embedded.spawning import new_seed
from podium.flow.catalog import WorkflowCatalog
from podium.flow.emit import emission_of
from podium.flow.step_executor import StepExecutor
from podium.flow.triggers import Trigger, by_trigger_name
from podium.flow.workflows import Workflow
from podium.gateway.streaming import Streamer
from podium.ports.execution import Executors
from podium.ports.live import making_live_calls
from podium.providers.registry import Providers
from podium.settings import Settings
from podium.storage.queues import StoredQueues
from podium.storage.sqlite.database import SqliteStorage, open_sqlite

if TYPE_CHECKING:
    from podium.providers.scripted import Script

P = ParamSpec("P")
R = TypeVar("R")


class Podium:
    """Runs workflows durably on one database.

    `database` is the path of an SQLite file, made when it is missing. `workflows` are those that this
    process can run; unfinished runs of theirs are taken up again on entry. `queues` are those that
    runs may be placed in; one that a workflow names and that is missing raises `InvalidDefinition`. `budgets` bound model
    calls, beside those of the settings. `triggers` start runs as long as
    this process works, of workflows that need not be named twice. `scripts` are the models that
    tests name `scripted:NAME`. `source` is recorded with each run as the `FILE.py:workflow` it came from.
    `only` restricts the work to one run and its children.

    Use as `async with Podium(...) as app`. Entering raises `StorageUnavailable` when the database cannot be
    opened or another process owns it.
    """

    def __init__(  # noqa: PLR0913 - options by name
        self,
        database: str | Path = "podium.db",
        *,
        workflows: Sequence[Workflow[Any, Any]] = (),
        triggers: Sequence[Trigger] = (),
        queues: Sequence[Queue] = (),
        budgets: Sequence[Budget] = (),
        engine: str = "embedded",
        settings: Settings | None = None,
        scripts: Mapping[str, Script] | None = None,
        environment: Mapping[str, str] | None = None,
        source: str | None = None,
        only: RunId | None = None,
    ) -> None:
        if engine != "embedded":
            raise InvalidInput(f"engine {engine!r} is not known; this version has 'embedded'.")
        self._database = Path(database)
        self._declared = tuple(by_trigger_name(tuple(triggers)).values())
        used = [trigger.workflow for trigger in self._declared]
        self._workflows = WorkflowCatalog([*workflows, *(each for each in used if each not in workflows)])
        self._queues = queues_by_name(queues, self._workflows)
        self._settings = settings or Settings()
        self._budgets = budgets_of(budgets, "Podium: budgets")
        self._scripts = scripts or {}
        self._environment = os.environ if environment is None else environment
        self._source = source
        self._only = only
        self._listeners: list[Callable[[Happening], None]] = []
        self._stack = AsyncExitStack()
        self._published = asyncio.Event()
        self._firing: Firing | None = None
        # What a test may put in the place of the system's: see `podium.testing`.
        self._clock: Callable[[], float] = time.time
        self.taken_up = 0

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.enter_context(patient_collector(self._settings.engine.gc_threshold))
            opened = await open_sqlite(self._database, settings=self._settings.storage, own=True)
            stack.push_async_callback(opened.close)
            self._storage = storage = self._storage_over(opened)
            providers = Providers(
                self._environment,
                scripts=self._scripts,
                credentials=self._settings.gateway.credentials,
                cassettes=self._settings.cassettes,
                prices=self._settings.prices,
            )
            stack.push_async_callback(providers.close)
            steps = StepExecutor(self._settings.engine.step_threads)
            stack.callback(steps.close)
            self.triggers = Triggers(storage, self.look, clock=self._clock)
            policies = {each.name: each.policy for each in self._workflows if each.policy is not None}
            prompting = self._gateway(providers, policies, stack)
            gateway = prompting.gateway
            stack.enter_context(making_live_calls(Streamer(gateway, lambda _: None)))
            executors = executors_on(storage, steps, prompting, self.triggers)
            stored_queues = StoredQueues(storage, self._settings.storage.blob_threshold)
            self._engine = EmbeddedEngine(
                storage,
                self._workflows,
                self._executors_over(executors),
                self._settings.engine,
                self._tell,
                Queues(stored_queues, self._queues.values(), self._clock),
                self._clock,
            )
            stack.push_async_callback(self._engine.close)
            self.runs = Runs(storage)
            self.reviews = Reviews(storage)
            self.queues = QueueList(storage)
            self.gateway = GatewayView(storage)
            writer = StatusWriter(opened, gateway)
            stack.push_async_callback(writer.close, asyncio.create_task(writer.work()))
            self.budgets = BudgetList(storage)
            self.prompts = Prompts(storage)
            self.taken_up = await self._engine.start(self._only)
            if self._only is None:
                keeper = Keeper(storage, self._settings.retention, clock=self._clock)
                stack.push_async_callback(_ended, asyncio.create_task(keeper.work()))
            await self._fire(storage, stack)
            self._stack = stack.pop_all()
        return self

    async def _fire(self, storage: SqliteStorage, stack: AsyncExitStack) -> None:
        if self._declared:
            source = self._source and self._source.rpartition(":")[0]
            self._firing = Firing(
                self._declared,
                storage,
                self.runs,
                self.submit,
                source=source,
                poll_interval=self._settings.engine.poll_interval,
                version=storage.version,
                clock=self._clock,
            )
            stack.push_async_callback(self._firing.close)
            await self._firing.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def start(  # noqa: PLR0913 - options by name
        self,
        workflow: Workflow[P, R],
        *args: Any,
        run_id: str | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        queue: str | None = None,
        priority: int | None = None,
        start_at: Time | None = None,
        delay: Duration | None = None,
        debounce: str | None = None,
        tenant: str = DEFAULT_TENANT,
        **kwargs: Any,
    ) -> RunHandle[R]:
        """Start a run, durably, and return its handle; the remaining arguments are the workflow's.

        With a `run_id` that exists already, nothing is started: the handle is that run's. The run has the `attributes`,
        apart from those it set itself, when this returns. `queue` is where the run
        waits for room, in place of the workflow's own; there, `priority` ranks it (higher first, 0 by default), and
        it does not begin before `start_at`, or before `delay` from now. With `debounce`, a run of the same workflow
        and key that has not begun takes over the input, priority and time of this start, and the handle is that
        run's: with `delay=30`, one run begins 30 seconds after the last of a burst of starts. `tenant` is on whose
        behalf it runs: its children, reviews, budgets, limits and kept answers are that tenant's alone.

        Raises `InvalidInput` for arguments, a place or an id that cannot be used, such as one of another tenant's run,
        `StateConflict` when the id
        belongs to a run of another workflow, and `QueueFull`, with nothing stored, when the queue is full.
        """
        if debounce is not None and run_id is not None:
            raise InvalidInput(
                "run_id= and debounce= exclude each other: both say which run this start means."
            )
        checked = checked_attributes(attributes or {})
        wish = Wish(queue, priority, start_at, delay, debounce)
        placement = placement_of(wish, workflow, self._queues, self._clock())
        encoded = workflow.encode_input(args, kwargs)
        run, _ = await self.submit(workflow, encoded, run_id, placement=placement, tenant=tenant)
        if checked:
            # The run may be at work by now, or have been started before: what it says of itself stands.
            await self.for_tenant(tenant).runs.set_attributes(run.id, checked, replace=False)
        return self._handle(run.id, workflow, tenant)

    async def submit(
        self,
        workflow: Workflow[Any, Any],
        encoded: bytes,
        run_id: str | None,
        trigger: str | None = None,
        placement: Placement | None = None,
        tenant: str = DEFAULT_TENANT,
    ) -> tuple[Run, bool]:
        """Start a run of already encoded input; returns the stored run and whether it is new. See `start`.

        `trigger` names the trigger that starts it.
        """
        if self._workflows.find(workflow.name, workflow.version) is not workflow:
            raise InvalidInput(
                f"workflow {workflow.name!r} is not known here: add it to Podium(..., workflows=[...])."
            )
        now = self._clock()
        run = Run(
            id=new_run_id() if run_id is None else checked_run_id(run_id),
            workflow=workflow.name,
            input=encoded,
            seed=new_seed(),
            created_at=now,
            tenant=checked_tenant(tenant),
            source=self._source,
            version=workflow.version,
            trigger=trigger,
            placement=placement or placement_of(Wish(), workflow, self._queues, now),
        )
        stored, is_new = await self._engine.submit(run)
        if stored.workflow != workflow.name:
            raise StateConflict(
                f"run id {stored.id!r} belongs to a run of workflow {stored.workflow!r}. Choose another run id."
            )
        return stored, is_new

    async def run(
        self,
        workflow: Workflow[P, R],
        *args: Any,
        run_id: str | None = None,
        tenant: str = DEFAULT_TENANT,
        **kwargs: Any,
    ) -> R:
        """Start a run and wait for its result; see `start` and `RunHandle.result`."""
        handle = await self.start(workflow, *args, run_id=run_id, tenant=tenant, **kwargs)
        return await handle.result()

    def for_tenant(self, tenant: str) -> TenantView:
        """Return the runs, reviews and keys of one tenant; those of this object are tenant `default`'s."""
        return view_of(self._storage, tenant)

    async def get(self, run_id: str, *, tenant: str = DEFAULT_TENANT) -> RunHandle[Any]:
        """Return the handle of a tenant's run; raises `UnknownRun`, or `InvalidInput` when its workflow is unknown."""
        run = await self.for_tenant(tenant).runs.get(run_id)
        workflow = self._workflows.find(run.workflow, run.version)
        if workflow is None:
            version = f" (version {run.version!r})" if run.version else ""
            raise InvalidInput(
                f"run {run_id!r} is of workflow {run.workflow!r}{version}, which is not known here. "
                "Add it to Podium(..., workflows=[...])."
            )
        return self._handle(run.id, workflow, tenant)

    async def list(
        self,
        filter: str | Filter = EVERYTHING,
        *,
        states: Collection[RunState] | None = None,
        workflow: str | None = None,
        limit: int = 50,
        after: Run | None = None,
    ) -> Sequence[Run]:
        """Return up to `limit` runs that match `filter`, newest first; the next page follows run `after`.

        `filter` is text such as `state:failed workflow:support attr.customer=42`; raises `InvalidInput` when it
        cannot be read.
        """
        return await self.runs.list(filter, states=states, workflow=workflow, limit=limit, after=after)

    async def send_event(
        self, run_id: str, name: str, payload: Any = None, *, dedupe: str | None = None
    ) -> bool:
        """Send an event to a run; returns whether it was new. See `Runs.send_event`."""
        is_new = await self.runs.send_event(run_id, name, payload, dedupe=dedupe)
        self._engine.look()
        return is_new

    def stream(self, run_id: str, after: int = 0, *, tenant: str = DEFAULT_TENANT) -> AsyncIterator[Chunk]:
        """Yield what a run publishes, from the beginning or after a `Chunk.position`, until it has ended."""
        return chunks_of(
            self._storage,
            self.for_tenant(tenant).runs,
            RunId(run_id),
            after=after,
            poll_interval=self._settings.engine.poll_interval,
            news=lambda: self._published,
        )

    async def emit(
        self,
        name: str,
        payload: Any = None,
        *,
        to: str | Sequence[str] | None = None,
        dedupe: str | None = None,
    ) -> bool:
        """Emit an event, durably: to the runs `to` or, without, to every trigger that listens for `name`.

        Returns whether it is new: one of a `dedupe` key that was emitted before is not emitted again. Raises
        `UnknownRun`, and `InvalidInput` or `NotSerialisable` for what cannot be sent.
        """
        return await self.triggers.emit(emission_of(name, payload, to, dedupe))

    def subscribe(self, listener: Callable[[Happening], None]) -> None:
        """Call `listener` with every happening, after it is on disk, on the event loop; it must return quickly."""
        self._listeners.append(listener)

    async def idle(self) -> None:
        """Return once every run has ended, or waits for somebody or for a time."""
        await self._idle()

    def look(self) -> None:
        """Look now, and not at the next poll, for what was put into the inbox or emitted."""
        self._engine.look()
        if self._firing is not None:
            self._firing.look()

    async def _idle(self, *, asleep: bool = True) -> None:
        await self._engine.idle(asleep=asleep)
        while self._firing is not None and self._firing.is_busy:
            await self._firing.quiet()
            await self._engine.idle(asleep=asleep)

    def _storage_over(self, storage: SqliteStorage) -> SqliteStorage:
        return storage

    def _executors_over(self, executors: Executors) -> Executors:
        return executors

    def _gateway(
        self, providers: Providers, policies: Mapping[str, PromptPolicy], stack: AsyncExitStack
    ) -> Prompting:
        means = Means(self._storage, providers, self._settings, self._environment, self._budgets, self._clock)
        return gateway_on(means, stack, policies)

    def _handle(self, run_id: RunId, workflow: Workflow[Any, R], tenant: str) -> RunHandle[R]:
        runs, stream = self.for_tenant(tenant).runs, partial(self.stream, tenant=tenant)
        return RunHandle(run_id, workflow, runs, self._engine, self._fork, stream)

    async def _fork(
        self, run_id: RunId, at: str | None, replacing: Mapping[str, Any], new_id: str | None
    ) -> RunId:
        forked = await fork_run(self._storage, self._workflows, run_id, at, replacing, new_id)
        self._engine.look()
        return forked

    def _tell(self, happening: Happening) -> None:
        if isinstance(happening, ChunkPublished):
            self._published.set()
            self._published = asyncio.Event()
        for listener in self._listeners:
            listener(happening)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
