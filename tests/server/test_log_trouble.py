"""A log of requests that cannot be written is told of: by /health, on standard error, and among the lines of JSON."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from typing import Any

import httpx

from podium.app.database import make_database
from tests.server.support import serving

NOBODY: Any = {"model": "nobody", "messages": [{"role": "user", "content": "Hello?"}]}
BROKEN = "CREATE TRIGGER broken BEFORE INSERT ON requests BEGIN SELECT RAISE(ABORT, 'out of order'); END"

SMALL_FILES = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
from podium.cli.main import main
main()
"""


def change(folder, statement: str) -> None:
    with closing(sqlite3.connect(folder / "podium.db", timeout=10)) as conn:
        conn.execute(statement)
        conn.commit()


async def health(client: httpx.AsyncClient, status: str) -> Any:
    async with asyncio.timeout(10):
        while (got := (await client.get("/health")).json())["status"] != status:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return got


async def test_health_is_degraded_while_rows_cannot_be_written_and_ok_once_they_are(tmp_path):
    async with serving(tmp_path) as server, server.http() as client:
        assert (await health(client, "ok"))["log"] == "ok"
        change(tmp_path, BROKEN)
        for _ in range(3):
            await client.post("/v1/chat/completions", json=NOBODY)
        got = await health(client, "degraded")
        assert (got["log"], got["dropped_log_rows"]) == ("unwritable", 0)
        assert got["waiting_log_rows"] >= 1
        change(tmp_path, "DROP TRIGGER broken")
        assert (await health(client, "ok"))["dropped_log_rows"] == 0
        assert len(await server.log(3)) == 3


async def test_rows_beyond_those_that_may_wait_are_counted(tmp_path):
    async with serving(tmp_path, max_log_queue=4) as server, server.http() as client:
        change(tmp_path, BROKEN)
        for _ in range(10):
            await client.post("/v1/chat/completions", json=NOBODY)
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.2)
        got = await health(client, "degraded")
        assert (got["waiting_log_rows"], got["dropped_log_rows"]) == (4, 6)
        change(tmp_path, "DROP TRIGGER broken")
        await health(client, "ok")
        assert len(await server.log(4)) == 4


async def test_a_full_disk_is_told_of_and_no_line_is_missing(tmp_path):
    await make_database(tmp_path / "podium.db")
    command = [sys.executable, "-c", SMALL_FILES, "serve", "--port", "0", "--json", "--db", "podium.db"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    sent, states = 0, []
    try:
        url = json.loads(process.stdout.readline())["url"]
        until = time.monotonic() + 30
        async with httpx.AsyncClient(base_url=url.removesuffix("/v1")) as client:
            while "degraded" not in states and time.monotonic() < until:
                for _ in range(5):
                    await client.post("/v1/chat/completions", json=NOBODY)
                    sent += 1
                await asyncio.sleep(0.2)
                states.append((await client.get("/health")).json()["status"])
    finally:
        process.send_signal(signal.SIGTERM)
        out, complaints = process.communicate(timeout=30)
    assert process.returncode == 0
    assert states[-1] == "degraded"
    lines = [json.loads(line) for line in out.splitlines()]
    warned = [line for line in lines if "warning" in line]
    assert len([line for line in lines if "route" in line]) == sent
    assert warned[0]["warning"] == "log_unwritable"
    assert "podium: the log of requests cannot be written" in complaints
    with closing(sqlite3.connect(tmp_path / "podium.db")) as conn:
        (written,) = conn.execute("SELECT count(*) FROM requests").fetchone()
    assert warned[-1]["dropped_log_rows"] == sent - written > 0
    assert f"{sent - written} were lost" in complaints
