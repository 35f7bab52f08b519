"""A process may open a database more than once, while others open and close it: nothing that was committed is lost."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from tests.storage.support import a_run, opened

LOOK = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('SELECT count(*) FROM runs').fetchone()"


async def another_process_looks(path: Path) -> None:
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", LOOK, str(path)], check=True)


async def test_what_an_owner_commits_after_its_process_opened_the_file_again_is_kept(path: Path):
    owner = await opened(path)
    await owner.create(a_run("before"))
    beside = await opened(path, own=False)
    # The last connection to leave takes the log with it: this process must still count as having some.
    await another_process_looks(path)
    await owner.create(a_run("between"))
    await beside.close()
    await another_process_looks(path)
    await owner.create(a_run("after"))
    await owner.close()
    again = await opened(path)
    kept = [await again.load(a_run(name).id) is not None for name in ("before", "between", "after")]
    await again.close()
    assert kept == [True, True, True]
