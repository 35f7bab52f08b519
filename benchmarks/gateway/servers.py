"""The servers that are measured, each a process of its own: the stub, Podium, and LiteLLM's proxy."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.contest import PEERS_PYTHON, ROOT, ContestError

PATIENCE = 90.0


@contextmanager
def stub() -> Iterator[str]:
    """Run the stub; yield its base address."""
    with _process([sys.executable, "-m", "benchmarks.gateway.stub"], {}) as process:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        if not port:
            raise ContestError("the stub did not start")
        yield f"http://127.0.0.1:{port}/v1"


@contextmanager
def podium(folder: Path, upstream: str, workers: int) -> Iterator[tuple[str, str]]:
    """Run `podium serve` with a key that has a budget and limits; yield its base address and the key's token."""
    database = folder / f"gateway-{workers}.db"
    token = asyncio.run(_key(database))
    command = [sys.executable, "-m", "podium.cli", "serve", "--db", str(database), "--port", "0", "--json"]
    environment = {"OPENAI_BASE_URL": upstream, "OPENAI_API_KEY": "none"}
    with _process([*command, "--workers", str(workers)], environment) as process:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline() or "{}").get("url")
        if not url:
            raise ContestError("podium serve did not start")
        _wait(f"{url.removesuffix('/v1')}/health")
        # Its log must not fill the pipe.
        process.stdout.close()
        yield url, token


def has_litellm() -> bool:
    """Return whether LiteLLM is installed beside the other peers."""
    return PEERS_PYTHON.with_name("litellm").exists()


@contextmanager
def litellm_proxy(folder: Path, upstream: str) -> Iterator[tuple[str, str]]:
    """Run LiteLLM's proxy with one worker; yield its base address and a key."""
    port = _free_port()
    config = folder / "litellm.yaml"
    config.write_text(
        "model_list:\n  - model_name: gpt-4.1-mini\n    litellm_params:\n      model: openai/gpt-4.1-mini\n"
        f"      api_base: {upstream}\n      api_key: none\n"
        "general_settings:\n  master_key: sk-bench\nlitellm_settings:\n  telemetry: false\n"
    )
    program = PEERS_PYTHON.with_name("litellm")
    command = [str(program), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    with _process([*command, "--num_workers", "1"], {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}):
        _wait(f"http://127.0.0.1:{port}/health/liveliness")
        yield f"http://127.0.0.1:{port}/v1", "sk-bench"


async def _key(database: Path) -> str:
    from podium.app.database import make_database, open_database
    from podium.domain.budgets import Budget
    from podium.domain.keys import KeyLimits

    await make_database(database)
    async with open_database(database) as opened:
        limits = KeyLimits(requests=100_000_000, budget=Budget.parse("900b tokens/day"), models=("openai:*",))
        _, token = await opened.keys.create("bench", limits)
        return token


@contextmanager
def _process(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE if "litellm" not in command[0] else subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _wait(url: str) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - an address of this machine
                return
        except (urllib.error.URLError, OSError):
            if time.monotonic() > end:
                raise ContestError(f"nothing answers at {url}") from None
            time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        return port
