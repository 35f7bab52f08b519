"""`--model record:...` writes down a job's model calls; `--model replay:...` works through it again without a model."""

from __future__ import annotations

import json

from podium.cli.exits import Exit
from tests.cli.support import TARGET, Shell, ticket
from tests.wire import WireServer


async def test_a_recorded_job_is_replayed_without_its_model_and_a_miss_is_loud(
    shell: Shell, server: WireServer
):
    file = shell.write("tickets.jsonl", ticket(1), ticket(2))
    job = ("run", TARGET, "--each", file, "--id-field", "id", "--json")
    shell.variables["OPENAI_COMPATIBLE_API_KEY"] = "sk-not-for-any-file"
    live = await shell.job(*job, "--model", f"record:{server.name('m')}")
    assert live.code == 0, live.err
    (cassette,) = (shell.folder / "cassettes").iterdir()
    assert "sk-not-for-any-file" not in cassette.read_text()
    requests = len(server.requests)

    shell.variables["PODIUM_CASSETTES"] = str(cassette.parent)
    again = await shell.job(*job, "--db", "again.db", "--model", f"replay:{cassette.stem}")
    assert again.code == 0, again.err
    assert len(server.requests) == requests
    assert states(again.out) == states(live.out)

    shell.write("tickets.jsonl", ticket(3))
    await shell.job(*job, "--db", "missed.db", "--model", f"replay:{cassette.stem}")
    shown = shell.podium("runs", "show", ticket(3)["id"], "--db", "missed.db", "--json").out
    assert "has no such request. Nearest (" in shown
    assert len(server.requests) == requests


def test_a_cassette_that_is_not_there_is_told_before_anything_runs(shell: Shell):
    told = shell.podium("run", TARGET, "--input", '{"id": "t", "text": "x"}', "--model", "replay:nothing")
    assert told.code == Exit.INVALID
    assert "replay:nothing needs nothing.jsonl in cassettes, and there is none (there: none)" in told.err
    assert not shell.database.exists()


def states(lines: str) -> object:
    return json.loads(lines.splitlines()[-1]).get("states")
