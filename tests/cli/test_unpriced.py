"""A cost that is not all of it says so: in the run, in the sums, and to people."""

from __future__ import annotations

from pathlib import Path

from podium import Podium, prompt, workflow
from podium.domain.answers import Usage
from podium.domain.money import Money
from podium.ports.models import FinishReason, ModelReply
from podium.providers import Script
from tests.cli.support import Shell

say = prompt("say", "Say {word}", models=["scripted:a"])


@workflow
async def greet(name: str) -> str:
    for word in ("hello", name):
        await say(word=word)
    return "done"


def reply(cost: Money | None) -> ModelReply:
    return ModelReply("Yes.", FinishReason.STOP, Usage(10, 2), "a", cost=cost)


async def test_a_run_counts_what_nobody_can_price_and_every_sum_says_so(tmp_path: Path):
    replies = [reply(Money.usd("0.0123")), reply(None), reply(Money.usd("0.02")), reply(Money.usd("0.03"))]
    async with Podium(tmp_path / "podium.db", workflows=[greet], scripts={"a": Script(replies)}) as app:
        for run_id in ("partly", "wholly"):
            await (await app.start(greet, "Ada", run_id=run_id)).result()
        spent = await app.runs.spending()
        assert (spent.unpriced, spent.priced, spent.cost) == (1, False, "$0.0623 + unpriced")
    shell = Shell(tmp_path)
    listed = await shell.job("runs", "list")
    assert listed.code == 0, listed.err
    lines = {line.split()[0]: line for line in listed.out.splitlines()}
    assert "$0.0123 + unpriced" in lines["partly"]
    assert "unpriced" not in lines["wholly"]
    shown = (await shell.job("runs", "show", "partly")).out
    assert "20+4 tokens · $0.0123 + unpriced" in shown
