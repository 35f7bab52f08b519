"""Which runs are admitted, and when, beside a simple model that knows nothing of indexes."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import create_engine, select, update

from podium import Queue, Rate
from podium.domain.ids import RunId
from podium.domain.queues import Used
from podium.domain.runs import Placement, Run
from podium.domain.states import RunState
from podium.ports.queues import Ask, Full, Mine, Stored
from podium.storage import queues
from podium.storage.tables import blobs, inbox, metadata, runs

PER = 10.0
PENDING, RUNNING, WAITING, ENDED = RunState.PENDING, RunState.RUNNING, RunState.WAITING, RunState.COMPLETED


@dataclass
class Modelled:
    number: int
    id: RunId
    workflow: str
    tenant: str
    priority: int
    start_at: float
    debounce: str | None
    input: bytes
    state: RunState = PENDING
    started_at: float | None = None


@dataclass
class Model:
    """A list of runs, gone through from end to end for every question."""

    runs: list[Modelled] = field(default_factory=list)
    turns: dict[int, str] = field(default_factory=dict)

    def those(self, *states: RunState) -> list[Modelled]:
        return [run for run in self.runs if run.state in states]

    def mine(self, *states: RunState) -> list[Modelled]:
        return [run for run in self.those(*states) if run.workflow == "mine"]

    def places(self, queue: Queue, now: float) -> int:
        free = 1000
        if queue.concurrency is not None:
            begun = self.mine(RUNNING, WAITING) if queue.counts_waiting else self.mine(RUNNING)
            free = min(free, queue.concurrency - len(begun))
        if queue.rate is not None:
            lately = [r for r in self.runs if r.started_at and now - PER < r.started_at <= now + PER]
            free = min(free, queue.rate.count - len(lately))
        return max(free, 0)

    def next_one(self, queue: Queue, now: float) -> Modelled | None:
        ready = [run for run in self.mine(PENDING) if run.start_at <= now]
        if not ready:
            return None
        highest = max(run.priority for run in ready)
        ready = [run for run in ready if run.priority == highest]
        if queue.fair:
            last = self.turns.get(highest, "")
            tenants = sorted({run.tenant for run in ready})
            turn = next((tenant for tenant in tenants if tenant > last), tenants[0])
            ready = [run for run in ready if run.tenant == turn]
        return min(ready, key=lambda run: (run.start_at, run.number))

    def admit(self, queue: Queue, now: float, most: int) -> list[RunId]:
        admitted: list[RunId] = []
        most = min(most, self.places(queue, now))
        while len(admitted) < most and (run := self.next_one(queue, now)) is not None:
            run.state, run.started_at = RUNNING, now
            self.turns[run.priority] = run.tenant
            admitted.append(run.id)
        return admitted


LIMITS = st.builds(
    lambda concurrency, starts, depth, fair, waiting: Queue(
        "q",
        concurrency=concurrency,
        rate=starts and Rate(starts, PER),
        max_depth=depth,
        fair=fair,
        counts_waiting=waiting,
    ),
    st.none() | st.integers(1, 4),
    st.none() | st.integers(1, 4),
    st.none() | st.integers(5, 20),
    st.booleans(),
    st.booleans(),
)

STARTS = st.tuples(
    st.sampled_from(["mine", "mine", "mine", "foreign"]),
    st.sampled_from("abcd"),
    st.sampled_from([0, 0, 0, 1, -1]),
    st.sampled_from([0.0, 0.0, 0.0, 3.0, 20.0]),
    st.sampled_from([None, None, None, "k"]),
)


class Admission(RuleBasedStateMachine):
    """Starts, ends and time in any order; what is admitted must be what the model says."""

    @initialize(queue=LIMITS)
    def open(self, queue: Queue) -> None:
        self.conn = create_engine("sqlite://").connect()
        metadata.create_all(self.conn, tables=[runs, blobs, inbox])
        self.queue, self.model, self.now = queue, Model(), 1000.0
        self.turns: dict[int, str] = {}
        self.ids = count(1)

    def teardown(self) -> None:
        if hasattr(self, "conn"):
            self.conn.close()
            self.conn.engine.dispose()

    @rule(starts=st.lists(STARTS, min_size=1, max_size=8))
    def start(self, starts) -> None:
        for start in starts:
            self.start_one(*start)

    def start_one(
        self, workflow: str, tenant: str, priority: int, delay: float, debounce: str | None
    ) -> None:
        number = next(self.ids)
        start_at, input = self.now + delay, b"%d" % number
        placement = Placement("q", priority, start_at, debounce)
        run = Run(RunId(f"r{number}"), workflow, input, number, self.now, tenant=tenant, placement=placement)
        earlier = [
            r
            for r in self.model.those(PENDING)
            if debounce and (r.debounce, r.workflow, r.tenant) == (debounce, workflow, tenant)
        ]
        placed = queues.place(self.conn, run, self.queue.max_depth, 100)
        if earlier:
            (replaced,) = earlier
            replaced.input, replaced.priority, replaced.start_at = input, priority, start_at
            assert isinstance(placed, Stored)
            assert (placed.run.id, placed.run.input) == (replaced.id, input)
        elif self.queue.max_depth is not None and len(self.model.those(PENDING)) >= self.queue.max_depth:
            assert placed == Full(self.queue.max_depth)
        else:
            assert placed == Stored(run)
            self.model.runs.append(
                Modelled(number, run.id, workflow, tenant, priority, start_at, debounce, input)
            )

    @rule(most=st.integers(1, 6))
    def admit(self, most: int) -> None:
        ask = Ask(self.queue, Mine(("mine",)), self.now, most, Used(), dict(self.turns))
        admission = queues.admit(self.conn, ask)
        self.turns |= {each.priority: each.tenant for each in admission.runs}
        assert [each.run for each in admission.runs] == self.model.admit(self.queue, self.now, most)
        pending = self.model.mine(PENDING)
        assert admission.left == bool(pending)
        assert admission.closed == (self.model.places(self.queue, self.now) == 0)
        if pending and not admission.closed:
            assert admission.again_at == min(run.start_at for run in pending)

    @precondition(lambda self: self.model.those(RUNNING, WAITING))
    @rule(data=st.data(), state=st.sampled_from([RUNNING, WAITING, ENDED]))
    def move(self, data, state: RunState) -> None:
        run = data.draw(st.sampled_from(self.model.those(RUNNING, WAITING)))
        run.state = state
        ended = self.now if state is ENDED else None
        self.conn.execute(
            update(runs).where(runs.c.id == run.id).values(state=state.value, finished_at=ended)
        )

    @rule(seconds=st.sampled_from([1.0, 5.0, PER, PER, 30.0, -100.0]))
    def time_goes_by(self, seconds: float) -> None:
        self.now += seconds

    @rule(queue=LIMITS)
    def restart_with_other_limits(self, queue: Queue) -> None:
        self.queue, self.turns = queue, {}
        started = [run for run in self.model.runs if run.started_at is not None]
        started.sort(key=lambda run: (run.started_at, run.number))
        self.model.turns = {run.priority: run.tenant for run in started}

    @invariant()
    def what_is_stored_is_what_the_model_holds(self) -> None:
        if not hasattr(self, "conn"):
            return
        columns = runs.c.id, runs.c.state, runs.c.started_at, runs.c.input
        stored = self.conn.execute(select(*columns).order_by(runs.c.id)).all()
        expected = [(run.id, run.state.value, run.started_at, run.input) for run in self.model.runs]
        assert [tuple(row) for row in stored] == sorted(expected)


TestAdmission = Admission.TestCase
TestAdmission.settings = settings(max_examples=50, stateful_step_count=30, deadline=None, derandomize=True)
