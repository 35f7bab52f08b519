"""Workflow code on its deterministic loop: what it may do, what it may not, and how it ends."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from pathlib import Path
from random import Random
from typing import Any

import pytest

from podium import NotInRun, ask_human, current_step, gate, gather, now, random, sleep, step, uuid, workflow
from podium.domain.errors import ErrorRecord
from podium.domain.journal import EntryType
from podium.domain.operations import Execute
from podium.flow.results import Completed, Errored, Stopped
from tests.support.apps import some
from tests.support.replay import Driver, Life, ended


@step
async def work(name: str = "x") -> str:
    return name


@workflow
async def child() -> None: ...


def lived(code: Any, *, failures: float = 0.0, seed: int = 1) -> Life:
    """A life that has been led to its end, replayed at every step."""
    life = Life(code, seed)
    Driver(Random(seed), failures).journal(life)
    return life


def error_of(code: Any, *, failures: float = 0.0) -> ErrorRecord:
    result = ended(lived(code, failures=failures))
    assert isinstance(result, Errored), result
    return result.error


def test_it_ends_with_what_the_code_returns():
    async def code(log):
        return (await work(), await work())

    result = ended(lived(code))
    assert isinstance(result, Completed)
    assert len(result.value) == 2


def test_an_ordinary_exception_fails_the_run_with_type_message_and_line():
    async def code(log):
        await work()
        raise KeyError("no such thing")  # this line

    error = error_of(code)
    assert (error.type, error.message, error.retryable) == ("KeyError", "'no such thing'", False)
    file, line = some(error.where).split(":")
    assert file == "test_execution.py"
    assert "# this line" in Path(__file__).read_text().splitlines()[int(line) - 1]


def test_a_failed_step_that_nobody_catches_fails_the_run_with_its_error():
    async def code(log):
        await work()

    error = error_of(code, failures=1.0)
    assert (error.type, error.message) == ("Broken", "step 'work' failed: Broken: 0:work#1 broke")


@pytest.mark.parametrize(
    "leaves", [SystemExit(3), StopIteration("odd"), GeneratorExit(), asyncio.CancelledError()]
)
def test_whatever_it_raises_ends_the_run_and_nothing_else(leaves):
    async def code(log):
        await work()
        raise leaves

    assert error_of(code).type in (type(leaves).__name__, "RuntimeError")


def test_waiting_for_what_nothing_will_bring_is_noticed():
    async def code(log):
        await work()
        await asyncio.Event().wait()

    error = error_of(code)
    assert error.type == "Deadlock"
    assert "waits for something that nothing will ever bring" in error.message


def test_two_tasks_that_wait_for_each_other_are_noticed():
    async def code(log):
        one, other = asyncio.Event(), asyncio.Event()

        async def first() -> None:
            await one.wait()
            other.set()

        async def second() -> None:
            await other.wait()
            one.set()

        await gather(first(), second())

    assert error_of(code).type == "Deadlock"


def test_events_and_locks_between_branches_work_as_ever():
    async def code(log):
        ready, lock = asyncio.Event(), asyncio.Lock()

        async def sets() -> None:
            await work("first")
            ready.set()

        async def waits(name: str) -> str:
            await ready.wait()
            async with lock:
                return await work(name)

        return await gather(sets(), waits("a"), waits("b"))

    assert isinstance(ended(lived(code)), Completed)


OUTSIDE: dict[str, Callable[[], Awaitable[Any]]] = {
    "a connection": lambda: asyncio.open_connection("127.0.0.1", 9),
    "a server": lambda: asyncio.start_server(lambda r, w: None, "127.0.0.1", 0),
    "a thread": lambda: asyncio.to_thread(len, ""),
    "a process": lambda: asyncio.create_subprocess_exec("true"),
    "a shell": lambda: asyncio.create_subprocess_shell("true"),
    "a name": lambda: asyncio.get_running_loop().getaddrinfo("localhost", 80),
    "a socket": lambda: asyncio.get_running_loop().sock_connect(
        None,  # type: ignore[arg-type]
        ("127.0.0.1", 9),
    ),
    "an executor": lambda: asyncio.get_running_loop().run_in_executor(None, len, ""),
}


@pytest.mark.parametrize("way", OUTSIDE)
def test_reaching_outside_directly_is_refused_with_what_to_do_instead(way):
    async def code(log):
        await OUTSIDE[way]()

    error = error_of(code)
    assert error.type == "OutsideWork"
    assert "Move it into a function decorated with @step" in error.message


def test_a_loop_has_no_way_outside_that_is_not_refused_by_name():
    """What the standard library leaves unimplemented would say nothing to anybody."""
    from podium.flow.loop import DeterministicLoop

    harmless = {
        "set_task_factory",
        "get_task_factory",
        "set_debug",
        "set_exception_handler",
        "get_exception_handler",
    }
    harmless |= {"default_exception_handler", "shutdown_asyncgens", "shutdown_default_executor"}
    inherited = {
        name
        for name in vars(asyncio.AbstractEventLoop)
        if not name.startswith("_")
        and getattr(DeterministicLoop, name) is getattr(asyncio.AbstractEventLoop, name)
    }
    assert inherited <= harmless


OUT_OF_PLACE: dict[str, Callable[[], Any]] = {
    "step 'work'": work,
    "workflow 'child'": child,
    "gather()": gather,
    "sleep()": lambda: sleep(1),
    "ask_human()": lambda: ask_human("Why?"),
    "now()": now,
    "uuid()": uuid,
    "random()": random,
    "current_step()": current_step,
    "gate()": lambda: gate(None, accept=0.5),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("verb", OUT_OF_PLACE)
async def test_outside_a_run_every_verb_says_where_it_belongs(verb):
    async def call() -> Any:
        result = OUT_OF_PLACE[verb]()
        return await result if asyncio.iscoroutine(result) else result

    with pytest.raises(NotInRun) as caught:
        await call()
    message = str(caught.value)
    assert message.startswith(f"{verb} was called outside a run, where it would not be durable.")
    assert "start that with app.start(...)" in message


@pytest.mark.parametrize("verb", OUT_OF_PLACE)
def test_without_any_loop_too(verb):
    with pytest.raises(NotInRun):
        result = OUT_OF_PLACE[verb]()
        result.send(None)


def test_timers_that_are_alike_are_not_taken_for_one_another():
    async def code(log):
        loop = asyncio.get_running_loop()
        done = asyncio.Event()
        first = loop.call_at(loop.time() + 1, log.append, "rang")
        loop.call_at(first.when(), log.append, "rang")
        loop.call_at(first.when() + 1, done.set)
        first.cancel()
        await done.wait()

    assert lived(code).log == ["rang"]


def test_a_loop_tells_the_runs_time_and_no_other():
    async def code(log):
        loop = asyncio.get_running_loop()
        log.append(f"{loop.time()}")
        await work()
        log.append(f"{loop.time()}")
        assert loop.time() == pytest.approx(now().timestamp(), abs=1e-5)
        assert loop.is_running()
        assert not loop.is_closed()

    life = lived(code)
    assert isinstance(ended(life), Completed)
    assert life.log == sorted(life.log)


def test_context_variables_are_each_branchs_own():
    colour: ContextVar[str] = ContextVar("colour", default="none")

    async def code(log):
        async def branch(name: str) -> str:
            colour.set(name)
            await work()
            return colour.get()

        result = await gather(branch("red"), branch("blue"))
        return (*result, colour.get())

    assert ended(lived(code)) == Completed(("red", "blue", "none"))


def test_a_failed_task_that_nobody_asks_is_told_of(caplog):
    async def code(log):
        async def fails() -> None:
            raise ValueError("unheard")

        asyncio.create_task(fails())  # noqa: RUF006 - nobody asks it
        await work()

    life = Life(code, 1)
    gc.collect()
    assert "run 'r': BranchTask exception was never retrieved: ValueError('unheard')" in caplog.text
    life.execution.close()


class TestDroppedCode:
    """A run that leaves memory in the middle: its code gets no say in the run any more, and disturbs no other."""

    def test_it_asks_for_nothing_and_ends_at_once(self):
        async def code(log):
            try:
                try:
                    await work("a")
                except asyncio.CancelledError:
                    log.append("nothing was cancelled")
                finally:
                    log.append("finally")
                    await work("clean")
                    log.append("cleaned")
            finally:
                await gather(work("more"), work("more"))

        life = Life(code, 1)
        asked = len(life.asked)
        life.execution.close()
        assert life.log == ["finally"]
        assert not life.execution.take_requests()
        assert asked == 1
        assert isinstance(life.execution.result, Stopped)

    def test_it_cannot_wake_up_in_another_run(self):
        """Left to the garbage collector, clean-up would run wherever that happens to strike."""

        async def parked(log):
            try:
                await work("parked")
            finally:
                await work("clean-up of the parked")

        async def other(log):
            gc.collect()
            await work("other")
            gc.collect()

        for _ in range(20):
            life = Life(parked, 1)
            life.execution.close()
            del life
        second = Life(other, 2)
        assert [op.key for op in second.asked] == ["0:work#1"]
        request = second.asked[0].intent.request
        assert isinstance(request, Execute)
        assert request.arguments == {"name": "other"}
        second.execution.close()

    def test_asynchronous_generators_end_with_the_run_and_not_on_the_hosts_loop(self, recwarn):
        async def code(log):
            async def numbers() -> AsyncIterator[str]:
                try:
                    for i in range(10):
                        yield await work(f"{i}")
                finally:
                    log.append("closing")
                    await work("clean")

            async for _ in numbers():
                log.append("one")
                break
            gc.collect()
            await work("last")

        async def on_a_host() -> Life:
            life = Life(code, 1)

            Driver(Random(1), failures=0).journal(life)
            await asyncio.sleep(0)
            return life

        life = asyncio.run(on_a_host())
        assert isinstance(ended(life), Completed)
        assert life.log == ["one", "closing"]

    def test_code_that_will_not_end_is_left_to_itself(self):
        async def code(log):
            while True:
                try:
                    await work()
                except BaseException:
                    if len(log) > 1000:
                        raise
                    log.append("no")

        life = Life(code, 1)
        life.execution.close()
        assert 10 < len(life.log) <= 1000
        life.log.extend(["now"] * 1000)


def test_a_signal_is_delivered_in_its_place():
    async def code(log):
        try:
            for i in range(50):
                await work(f"{i}")
        except asyncio.CancelledError:
            await work("clean")
            raise

    life = Life(code, 3)
    journal = Driver(Random(3), failures=0, cancel=0.2).journal(life)
    kinds = [entry.type for entry in journal]
    assert kinds.count(EntryType.SIGNAL) == 1
    assert kinds[-1] is EntryType.DONE
    assert isinstance(ended(life), Stopped)
