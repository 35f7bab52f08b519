"""The model on this machine as a guest in a process: how much of it it takes, and that it lets it go."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from podium.providers.llama import Plan, plan


def test_small_models_get_workers_of_one_thread_and_large_ones_the_cores():
    assert plan(93_000_000, 2) == Plan(workers=2, threads=1)
    assert plan(93_000_000, 16) == Plan(workers=4, threads=1)
    assert plan(8_000_000_000, 2) == Plan(workers=1, threads=2)
    assert plan(8_000_000_000, 16) == Plan(workers=1, threads=15)


@pytest.mark.parametrize("ending", ["await provider.close()", "pass"])
def test_an_interrupted_program_ends_promptly(ending: str):
    program = (
        "import asyncio, signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from podium.providers.local import LocalProvider\n"
        "from tests.providers.test_local import MODEL, STORY\n"
        "async def main():\n"
        "    provider = LocalProvider()\n"
        "    try:\n"
        "        stories = [provider.complete(MODEL, STORY) for _ in range(3)]\n"
        "        asyncio.get_running_loop().call_later(0.5, print, 'writing', '', '', True)\n"
        "        await asyncio.gather(*stories)\n"
        "    finally:\n"
        f"        {ending}\n"
        "asyncio.run(main())\n"
    ).replace("print, 'writing', '', '', True", "lambda: print('writing', flush=True)")
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
        assert time.monotonic() - began < 10
    assert errors.strip().endswith("KeyboardInterrupt")
    assert "Exception ignored" not in errors
