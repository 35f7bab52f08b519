"""Workflows and triggers for the tests of the command, which copy this file."""

from __future__ import annotations

from pathlib import Path

from podium import CatchUp, OnEvent, Schedule, step, workflow


@step
async def post(text: str) -> str:
    """Leave a trace of being called, and return it."""
    with Path("posted.txt").open("a", encoding="utf-8") as file:
        file.write(f"{text}\n")
    return text


@workflow
async def report(kind: str = "short") -> str:
    """Post what kind it is."""
    return await post(kind)


@workflow
async def charge(order: int) -> str:
    """Post an order."""
    return await post(f"order {order}")


nightly = Schedule("nightly", report, cron="0 3 * * *", timezone="Europe/Berlin", catch_up=CatchUp.SKIP)
often = Schedule("often", report, every="1s", input={"kind": "often"})
paid = OnEvent("order.paid", charge, name="paid")
