"""A state machine that drives a real app: whatever is started, cancelled, cut off and taken up again, in any order.

A new verb is a rule of a few lines: do it through `self.app`, and the ledger and the replays do the checking.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Coroutine
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from chaos.disk import Disk, Fault, Plan
from chaos.lives import PATIENCE, Database, Work, empty_database, ends
from chaos.part import Effort, Outcome
from chaos.replayed import replay_differs
from chaos.vfs import faulty_vfs
from chaos.watched import WatchedApp
from chaos.workload import listener
from podium import RunState, StateConflict, StorageUnavailable
from podium.domain.happenings import Happening
from tests.support.programs import Tree, tree_of, with_children

SCALE = 0.004
HOUR = 3600.0
MOST_VIOLATIONS = 5
"""Violations after which there is enough to look at."""
EVENTS = 5
"""Events that a listener waits for."""


class Chaos(RuleBasedStateMachine):
    """An app on a database, through any number of crashes."""

    tried: ClassVar[Counter[str]] = Counter()
    """What was done, by name, in all machines of this class."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.dice = random.Random(0)
        self.home = Path(tempfile.mkdtemp(prefix="podium-chaos-"))
        self.database = Database(self.home, self.dice, template=empty_database())
        self.ledger = self.database.ledger
        self.trees: list[Tree] = []
        self.orders = 0
        self.sent: list[int] = []
        self.offset = self.furthest = 0.0
        self.is_busy = False
        self._stack = AsyncExitStack()
        self._open()

    # What may happen ------------------------------------------------------------------------------------------------

    @rule(number=st.integers(0, 2**20), leaves=st.integers(1, 16), children=st.sampled_from((0.0, 0.1, 0.3)))
    def start_a_program(self, number: int, leaves: int, children: float) -> None:
        """Start a run of a random program: gather, races, timeouts, timers, clean-up, children."""
        dice = random.Random(number)
        self.trees.append(with_children(tree_of(leaves, dice), dice, children))
        self._do(self._begin())

    @rule()
    def start_an_order(self) -> None:
        """Start a run whose result is known."""
        self.orders += 1
        self._do(self._begin())

    @rule(happenings=st.integers(1, 30))
    def go_on(self, happenings: int) -> None:
        """Let it work until so many more things are on disk, or nothing is left to do."""
        self._do(self._advance(happenings))

    @precondition(lambda self: self.trees)
    @rule(which=st.integers(0, 100))
    def cancel(self, which: int) -> None:
        """Cancel a run, whatever it is doing."""
        self._do(self._cancel(f"tree-{which % len(self.trees)}"))

    @precondition(lambda self: self.trees)
    @rule(which=st.integers(0, 100), verb=st.sampled_from(("pause", "resume", "retry")))
    def control(self, which: int, verb: str) -> None:
        """Pause a run, let it go on, or try it again from what failed."""
        self._do(self._control(f"tree-{which % len(self.trees)}", verb))

    @rule()
    def start_a_listener(self) -> None:
        """Start a run that waits for events."""
        self.is_busy = True
        self.sent.append(0)
        self._do(self.app.start(listener, EVENTS, run_id=f"listener-{len(self.sent) - 1}"))

    @precondition(lambda self: self.sent)
    @rule(which=st.integers(0, 100))
    def send_an_event(self, which: int) -> None:
        """Send a listener its next event, or once more the last one of which nobody said that it was accepted."""
        self.is_busy = True
        self._do(self._send(which % len(self.sent)))

    @rule(fault=st.sampled_from(list(Fault)), at=st.integers(1, 60))
    def let_a_fault_come(self, fault: Fault, at: int) -> None:
        """Let the disk fail at some later time."""
        self.disk.plan(Plan(fault, at))

    @rule(seconds=st.sampled_from((-HOUR, -1.0, 1.0, HOUR)))
    def step_the_clock(self, seconds: float) -> None:
        """Set the system's clock."""
        self._count("clock stepped")
        self.offset += seconds
        self.furthest = max(self.furthest, self.offset)
        self.app.look()

    @precondition(lambda self: self.is_busy)
    @rule(power=st.booleans(), number=st.integers(0, 2**20))
    def crash(self, power: bool, number: int) -> None:  # noqa: FBT001 - rules are called by name
        """End it where it stands, with or without the machine under it, and open what is left."""
        self.dice.seed(number)
        self.disk.cut()
        self._close()
        self._count("power cut" if power else "process dropped")
        self.database.crash(self.disk, power_failed=power)
        self._open()

    @precondition(lambda self: self.is_busy)
    @rule()
    def restart(self) -> None:
        """Close it properly and open it again."""
        self._close()
        self._count("restarted")
        self.database.crash(self.disk, power_failed=False)
        self._open()

    @precondition(lambda self: self.trees)
    @rule(which=st.integers(0, 100))
    def replay(self, which: int) -> None:
        """Replay every beginning of a run's journal, as it is now."""
        self._do(self._replay(which % len(self.trees)))

    # What must hold -------------------------------------------------------------------------------------------------

    @invariant()
    def every_promise_was_kept(self) -> None:
        """Nothing acknowledged is lost, nothing completed is executed again."""
        assert not self.ledger.violations, self.ledger.violations

    def teardown(self) -> None:
        """Let all of it end without further faults; every run must come to the right end."""
        try:
            self._close()
            self.database.crash(self.disk, power_failed=False)
            self.offset = self.furthest
            self._open()
            self._do(self._end())
            self._close()
            self.every_promise_was_kept()
        finally:
            self._close()
            self.loop.close()
            shutil.rmtree(self.home)

    # How it is done -------------------------------------------------------------------------------------------------

    def _begin(self) -> Coroutine[Any, Any, object]:
        self.is_busy = True
        return Work(self.orders, self.trees, SCALE).begin(self.app, self.ledger)

    async def _advance(self, happenings: int) -> None:
        self.is_busy = True
        enough = asyncio.Event()
        left = happenings

        def count(_: Happening) -> None:
            nonlocal left
            left -= 1
            if left <= 0:
                enough.set()

        self.app.subscribe(count)
        with suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                await enough.wait()
        await self.app.runs.counts()

    async def _cancel(self, run_id: str) -> None:
        if run_id not in self.ledger.started:
            return
        with suppress(StateConflict):
            await (await self.app.get(run_id)).cancel()
            self._count("cancelled")

    async def _control(self, run_id: str, verb: str) -> None:
        if run_id not in self.ledger.started:
            return
        handle = await self.app.get(run_id)
        with suppress(StateConflict):
            if verb == "retry" and await handle.status() in {RunState.FAILED, RunState.BLOCKED}:
                self.ledger.may_go_on(run_id)
            async with asyncio.timeout(PATIENCE):
                await getattr(handle, verb)()
            self._count({"pause": "paused", "resume": "resumed", "retry": "retried"}[verb])

    async def _send(self, which: int) -> None:
        handle = await self.app.start(listener, EVENTS, run_id=f"listener-{which}")
        with suppress(StateConflict):
            number = self.sent[which]
            await handle.send_event("tick", number, dedupe=str(number))
            self.sent[which] += 1
            self._count("event sent")

    async def _replay(self, which: int) -> None:
        if f"tree-{which}" not in self.ledger.started:
            return
        self._count("replayed")
        self.ledger.violations += await replay_differs(self.app, f"tree-{which}", self.trees[which], SCALE)

    async def _end(self) -> None:
        work = Work(self.orders, self.trees, SCALE)
        async with asyncio.timeout(PATIENCE):
            await work.begin(self.app, self.ledger)
            await self.app.idle()
            for run in await self.app.list(states=[RunState.PAUSED], limit=1000):
                await self.app.runs.resume(run.id)
            self.app.look()
            await self.app.idle()
            for which in range(len(self.sent)):
                await self._listened(which)
        self.ledger.violations += await ends(self.app, work)

    async def _listened(self, which: int) -> None:
        handle = await self.app.start(listener, EVENTS, run_id=f"listener-{which}")
        with suppress(StateConflict):
            for number in range(EVENTS):
                # Those that were accepted before are known by their keys.
                is_new = await handle.send_event("tick", number, dedupe=str(number))
                if is_new and number < self.sent[which]:
                    self.ledger.violations.append(f"event {number} of {handle.id} was accepted, and is lost")
        heard = await handle.result()
        if heard != list(range(EVENTS)):
            self.ledger.violations.append(f"{handle.id} heard {heard}")

    def _count(self, what: str) -> None:
        type(self).tried[what] += 1

    def _do(self, work: Coroutine[Any, Any, object]) -> None:
        """Do something; when the disk fails meanwhile, go on with what it left."""
        try:
            self.loop.run_until_complete(work)
        except StorageUnavailable:
            assert self.disk.struck, "the database was called unusable, and nothing had happened to it"
            self._close()
            self._count(self.disk.struck.fault)
            self.database.crash(self.disk, power_failed=False)
            self._open()

    def _open(self) -> None:
        self.disk = Disk(self.database.folder, self.dice)
        self._stack = AsyncExitStack()
        self._stack.enter_context(faulty_vfs().as_default(self.disk))
        self.app = WatchedApp(self.disk, self.ledger, checkpoint=20, clock=lambda: time.time() + self.offset)
        self.loop.run_until_complete(self._stack.enter_async_context(self.app))
        self.loop.run_until_complete(self.app.checkpoint_often())
        self.is_busy = False

    def _close(self) -> None:
        self.loop.run_until_complete(self._stack.aclose())


def machines(effort: Effort) -> Outcome:
    """Run state machines until the time is over."""
    outcome = Outcome(tried=Chaos.tried)
    for number, dice, _ in effort.rounds("machine"):
        try:
            drive(dice.randrange(2**32), examples=5)
        except BaseException as error:  # noqa: BLE001 - a group of failures, or one, or a flaky one
            outcome.violations.append(f"machine, round {number}: {_told(error)}")
            if len(outcome.violations) == MOST_VIOLATIONS:
                break
    return outcome


def drive(number: int, *, examples: int, steps: int = 25) -> None:
    """Run the state machine that many times with the choices of seed `number`; raises what it finds."""
    run_state_machine_as_test(
        seed(number)(Chaos),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            # What took place once need not take place again at the same moment, so making it smaller leads nowhere.
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )


def _told(error: BaseException) -> str:
    return "\n".join([repr(error), *getattr(error, "__notes__", ())])
