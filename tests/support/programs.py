"""Workflow programs made at random: trees of everything that asyncio and the verbs offer."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable
from random import Random as Dice
from typing import Any

from podium import StepFailed, gather, now, random, sleep, step, uuid, workflow
from podium.flow.steps import Step
from tests.support.replay import Log, Program

Tree = tuple[Any, ...]
NAMES = ("a", "b", "c")


async def work(argument: str) -> str:
    """What the steps do on an engine; a test's driver decides itself what they give."""
    await asyncio.sleep(Dice().random() * 0.004)
    if Dice().random() < 0.15:
        raise ValueError(f"no luck with {argument}")
    return argument


STEPS: dict[str, Step[[str], str]] = {name: step(name=name)(work) for name in NAMES}


class Memory:
    """What the branches of one run share, as any program may."""

    def __init__(self, log: Log, scale: float) -> None:
        self.log = log
        self.scale = scale
        self.count = 0
        self.lock = asyncio.Lock()
        self.queue: asyncio.Queue[int] = asyncio.Queue()

    def note(self, what: object) -> None:
        self.count += 1
        self.log.append(f"{self.count} {what}")


def program(tree: Tree, scale: float = 1.0) -> Program:
    """The code of a tree; all its times are multiplied by `scale`."""

    async def code(log: Log) -> str:
        memory = Memory(log, scale)
        result = await run(tree, memory)
        memory.note("ended")
        return f"{result} after {memory.count}"

    return code


async def run(tree: Tree, memory: Memory) -> str:
    """Carry out one node, and note all that it sees."""
    kind, *parts = tree
    try:
        result = await NODES[kind](memory, *parts)
    except BaseException as error:
        memory.note(f"{kind} raised {type(error).__name__}: {str(error)[:60]}")
        raise
    memory.note(f"{kind} gave {result}")
    return result


async def one_step(memory: Memory, name: str) -> str:
    # The argument is of the past: should that differ on replay, so will the fingerprint.
    return await STEPS[name](f"{memory.count}")


async def in_order(memory: Memory, *trees: Tree) -> str:
    return "+".join([await run(tree, memory) for tree in trees])


async def together(memory: Memory, *trees: Tree) -> str:
    return "|".join(await gather(*[run(tree, memory) for tree in trees]))


async def together_by_asyncio(memory: Memory, *trees: Tree) -> str:
    results = await asyncio.gather(*[run(tree, memory) for tree in trees], return_exceptions=True)
    return "|".join(str(result) for result in results)


async def in_a_group(memory: Memory, *trees: Tree) -> str:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(run(tree, memory)) for tree in trees]
    return "&".join(task.result() for task in tasks)


async def race(memory: Memory, *trees: Tree) -> str:
    runners = {asyncio.create_task(run(tree, memory)) for tree in trees}
    try:
        done, losers = await asyncio.wait(runners, return_when=asyncio.FIRST_COMPLETED)
        for loser in losers:
            loser.cancel()
        left = await asyncio.gather(*losers, return_exceptions=True)
        memory.note(f"{len(done)} won, {[type(loser).__name__ for loser in left]}")
        return "/".join(winner.result() for winner in done)
    finally:
        for runner in runners:
            runner.cancel()


async def as_they_come(memory: Memory, *trees: Tree) -> str:
    tasks = [asyncio.create_task(run(tree, memory)) for tree in trees]
    results = []
    for following in asyncio.as_completed(tasks):
        try:
            results.append(await following)
        except StepFailed as failure:
            results.append(str(failure))
    return ">".join(results)


async def limited(memory: Memory, seconds: float, tree: Tree) -> str:
    try:
        async with asyncio.timeout(seconds * memory.scale):
            return await run(tree, memory)
    except TimeoutError:
        return "too late"


async def waited_for(memory: Memory, seconds: float, tree: Tree) -> str:
    return await asyncio.wait_for(run(tree, memory), seconds * memory.scale)


async def caught(memory: Memory, tree: Tree, handler: Tree) -> str:
    try:
        return await run(tree, memory)
    except (StepFailed, ExceptionGroup, TimeoutError):
        return await run(handler, memory)


async def cleaned(memory: Memory, tree: Tree, cleaner: Tree) -> str:
    try:
        return await run(tree, memory)
    finally:
        await run(cleaner, memory)


async def later(memory: Memory, tree: Tree, meanwhile: Tree) -> str:
    task = asyncio.create_task(run(tree, memory))
    between = await run(meanwhile, memory)
    return f"{between}, then {await task}"


async def left_behind(memory: Memory, tree: Tree) -> str:
    async def quietly() -> None:
        with contextlib.suppress(StepFailed, TimeoutError, ExceptionGroup):
            await run(tree, memory)

    asyncio.create_task(quietly())  # noqa: RUF006 - that it is left behind is the point
    return "not waited for"


async def shielded(memory: Memory, tree: Tree) -> str:
    return await asyncio.shield(run(tree, memory))


async def one_at_a_time(memory: Memory, tree: Tree) -> str:
    if memory.lock.locked():
        return "somebody else is at it"
    async with memory.lock:
        return await run(tree, memory)


async def through_a_queue(memory: Memory, tree: Tree) -> str:
    memory.queue.put_nowait(memory.count)
    result = await run(tree, memory)
    return f"{await memory.queue.get()} {result}"


async def pause(memory: Memory, seconds: float) -> str:
    await sleep(seconds * memory.scale)
    return now().isoformat()


async def nap(memory: Memory, seconds: float) -> str:
    await asyncio.sleep(seconds * memory.scale)
    return "napped"


async def as_a_child(memory: Memory, tree: Tree) -> str:
    return await branch(list(tree), memory.scale)


async def draw(memory: Memory) -> str:
    return f"{random():.3f} {uuid()} {asyncio.get_running_loop().time():.3f}"


NODES: dict[str, Callable[..., Awaitable[str]]] = {
    "step": one_step,
    "seq": in_order,
    "gather": together,
    "asyncio.gather": together_by_asyncio,
    "group": in_a_group,
    "race": race,
    "as_completed": as_they_come,
    "timeout": limited,
    "wait_for": waited_for,
    "catch": caught,
    "finally": cleaned,
    "later": later,
    "left": left_behind,
    "shield": shielded,
    "lock": one_at_a_time,
    "queue": through_a_queue,
    "sleep": pause,
    "nap": nap,
    "draw": draw,
    "child": as_a_child,
}


@workflow
async def branch(tree: list[Any], scale: float) -> str:
    return str(await program(tuple(tree), scale)([]))


SECONDS = (0, 0.5, 1.0, 1.0, 2.5, 2.5, 5.0, 5.0)
MANY = ("seq", "gather", "asyncio.gather", "group", "race", "as_completed")
TIMED = ("timeout", "wait_for")
PAIRS = ("catch", "finally", "later")
SINGLE = ("left", "shield", "lock", "queue")


def tree_of(leaves: int, dice: Dice) -> Tree:
    """A program with that many leaves, as the dice fall."""
    if leaves <= 1:
        return dice.choice([("step", dice.choice(NAMES)), ("step", dice.choice(NAMES)), *quiet_leaves(dice)])
    kind = dice.choice([*MANY, *MANY, *TIMED, *PAIRS, *SINGLE])
    if kind in MANY:
        return (kind, *[tree_of(part, dice) for part in parts_of(leaves, dice.randint(2, 4), dice)])
    if kind in TIMED:
        return (kind, dice.choice(SECONDS), tree_of(leaves - 1, dice))
    if kind in PAIRS:
        return (kind, *[tree_of(part, dice) for part in parts_of(leaves, 2, dice)])
    return (kind, tree_of(leaves - 1, dice))


def quiet_leaves(dice: Dice) -> list[Tree]:
    return [("sleep", dice.choice(SECONDS)), ("nap", dice.choice(SECONDS)), ("draw",)]


def parts_of(leaves: int, parts: int, dice: Dice) -> list[int]:
    cuts = sorted(dice.randint(0, leaves) for _ in range(parts - 1))
    return [end - start for start, end in itertools.pairwise([0, *cuts, leaves])]


def a_program(seed: int, leaves: int, scale: float = 1.0) -> Program:
    """The program of that seed and size."""
    return program(tree_of(leaves, Dice(seed)), scale)


def with_children(tree: Tree, dice: Dice, share: float) -> Tree:
    """The same program, in which about that share of the parts of every node are runs of their own."""
    if dice.random() < share and tree[0] not in {"nap", "sleep", "draw"}:
        return ("child", tree)
    return tuple(with_children(part, dice, share) if isinstance(part, tuple) else part for part in tree)
