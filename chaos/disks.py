"""Disks that fail under the real engine: errors, torn writes, full disks, failed syncs and power failures."""

from __future__ import annotations

import asyncio
import shutil
from typing import Final

from chaos.disk import STRIKES_AT, Call, Fault, Plan
from chaos.lives import Database, Work, empty_database
from chaos.part import Effort, Outcome
from tests.support.programs import tree_of, with_children

LIVES: Final = 6
"""Faults that strike one database, one after the other."""

_AT_MOST: Final = {Call.READ: 250, Call.WRITE: 150, Call.SYNC: 25, Call.SHARE: 90}
"""How late a fault may strike: calls that the work of one life makes."""


def disks(effort: Effort) -> Outcome:
    """Strike one database after the other."""
    outcome = Outcome()
    template = empty_database()
    for number, dice, folder in effort.rounds("disks"):
        # One in six begins with no file at all.
        database = Database(folder, dice, template=dice.choice((None, *[template] * 5)))
        asyncio.run(strike(database, outcome))
        outcome.violations += [f"disks, round {number}: {told}" for told in database.ledger.violations]
        shutil.rmtree(folder)
    return outcome


async def strike(database: Database, outcome: Outcome) -> None:
    """Let a database live through several faults, and then end its work."""
    dice = database.dice
    trees = [with_children(tree_of(dice.randint(2, 14), dice), dice, 0.08) for _ in range(LIVES)]
    # Drawn beforehand: how many dice a life throws depends on how its threads run.
    faults = [dice.choice(list(Fault)) for _ in range(LIVES)]
    plans = [Plan(fault, dice.randint(1, _AT_MOST[STRIKES_AT[fault]])) for fault in faults]
    chances = [(dice.random() < 0.15, dice.random() < 0.5) for _ in range(LIVES)]
    work = Work(orders=0)
    for life, (at_opening, power_failed) in enumerate(chances):
        # Each life brings new work, so that there is something to strike.
        work = Work(orders=3 * life + 3, trees=trees[: life + 1])
        disk = await database.live(work, plans[life], strike_at_opening=at_opening)
        outcome.tried[faults[life]] += disk.struck is not None
        database.crash(disk, power_failed=power_failed)
    await database.end(work)
