"""`podium runs`: list, show and cancel, for people, for scripts, and with hostile text in every field."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import pytest

from tests.cli.conftest import FinishedJob
from tests.cli.support import (
    PODIUM,
    REPLY,
    SURE,
    UNSURE,
    Shell,
    ended,
    held,
    is_answer,
    job_arguments,
    ticket,
    until,
)
from tests.wire import Received, Reply, WireServer, ok, server_error

EVIL = (
    "red \x1b[31m bell \x07 csi \x9b31m delete \x7f rtl \u202e isolate \u2066 [/b] [bold]x[/] zero\u200bwidth"
)


def test_runs_are_listed_newest_first_with_state_and_cost(finished: FinishedJob):
    told = finished.shell.podium("runs", "list", "--limit", 100)
    listed = finished.shell.podium("runs", "list", "--limit", 100, "--json").json
    states = finished.shell.states()
    assert told.code == 0
    lines = told.out.splitlines()
    assert re.match(r"run +workflow +state +started \(UTC\) +active +cost +waits for / reason", lines[0])
    assert {line.split()[0]: line.split()[2] for line in lines[1:]} == states
    assert {run["id"]: run["state"] for run in listed} == states
    created = [run["created_at"] for run in listed]
    assert created == sorted(created, reverse=True)


def test_runs_are_filtered_by_state_and_workflow_and_counted(finished: FinishedJob):
    def ids(*filters: object) -> list[str]:
        return [run["id"] for run in finished.shell.podium("runs", "list", "--json", *filters).json]

    states = finished.shell.states()
    waiting = [run for run, state in states.items() if state == "waiting"]
    assert sorted(ids("--state", "waiting", "--limit", 100)) == sorted(waiting)
    assert len(ids("--state", "waiting", "--state", "completed", "--limit", 7)) == 7
    assert ids("--workflow", "another") == []
    assert finished.shell.podium("runs", "list", "--state", "failed").out == "No runs.\n"


def test_a_timeline_shows_each_step_with_model_tokens_cost_confidence_and_duration(finished: FinishedJob):
    run = next(run for run, state in finished.shell.states().items() if state == "completed")
    told = finished.shell.podium("runs", "show", run)
    assert told.code == 0
    assert told.out.startswith(f"run {run} · workflow support · completed\n")
    assert re.search(r"started 20\d\d-.* UTC · active [\d.]+ m?s · 22\+\d+ tokens · \$0\.003\n", told.out)
    model = r"done +[\d.]+ m?s +openai:m@http://127\S+ +11\+\d+ +\$0\.00\d +0\.9\d +"
    assert re.search(rf"model classify_intent +{model}shipping", told.out)
    assert re.search(rf"model answer_ticket +{model}{re.escape(REPLY[:20])}", told.out)
    assert re.search(r"step retrieve +done +[\d.]+ m?s", told.out)
    assert re.search(r"step send +done +[\d.]+ m?s", told.out)
    assert "--full shows rendered prompts, raw responses and values." in told.out


def test_a_full_timeline_has_the_rendered_prompt_and_the_raw_response(finished: FinishedJob):
    run = next(run for run, state in finished.shell.states().items() if state == "completed")
    told = finished.shell.podium("runs", "show", run, "--full")
    assert re.search(r"classify_intent#1 attempt 1: prompt to openai:m@http://127\.0\.0\.1", told.out)
    assert re.search(r'classify_intent#1 attempt 1: raw response\n\{"value":"shipping"\}\n', told.out)
    assert "Which one fits this message?" in told.out or "[user]" in told.out
    assert REPLY in told.out


def test_a_timeline_as_json_has_everything_and_is_one_document(finished: FinishedJob):
    run = next(run for run, state in finished.shell.states().items() if state == "completed")
    timeline = finished.shell.podium("runs", "show", run, "--json").json
    assert timeline["run"]["id"] == run
    names = [operation["name"] for operation in timeline["operations"]]
    assert sorted(names) == ["answer_ticket", "classify_intent", "retrieve", "send"]
    (call,) = [
        attempt["call"]
        for operation in timeline["operations"]
        if operation["name"] == "answer_ticket"
        for attempt in operation["attempts"]
    ]
    assert call["cost"] == pytest.approx(0.002)
    assert call["usage"]["input_tokens"] == 11
    assert REPLY in call["raw"]


async def test_every_attempt_is_on_the_timeline_with_its_error(shell: Shell, server: WireServer):
    server.reply(
        server_error(), ok('{"value": "nonsense"}', logprobs=SURE), ok('{"value": "refund"}', logprobs=SURE)
    )
    assert (await shell.job(*job_arguments(shell.write("t.jsonl", ticket(1)), server))).code == 0
    told = await shell.job("runs", "show", "t-1")
    attempts = re.findall(r"attempt (\d) +(\w+) +([\d.]+ m?s)", told.out)
    assert [attempt[:2] for attempt in attempts] == [
        ("1", "server_error"),
        ("2", "invalid_schema"),
        ("3", "accepted"),
    ]
    assert "The server had an error processing your request" in told.out


def test_an_error_in_a_step_is_shown_with_its_type_and_line(flows: Shell):
    told = flows.podium("run", "flows.py:fails", "--id", "bad")
    assert told.code == 1
    shown = flows.podium("runs", "show", "bad")
    assert shown.code == 0
    assert re.search(r"ValueError \(flows\.py:\d+\): .*the \[/b\]  ?\[31mprinter", shown.out)
    assert re.search(r"step broken +error", shown.out)
    assert re.search(r"bad +fails +failed .* the \[/b\]", flows.podium("runs", "list").out)


async def test_nothing_that_a_customer_or_a_model_writes_reaches_the_terminal_raw(
    shell: Shell, server: WireServer
):
    def evil(request: Received) -> Reply:
        return ok(
            json.dumps({"value": f"Thank you for your message. {EVIL}"}) if is_answer(request) else EVIL,
            logprobs=UNSURE,
        )

    server.always(evil)
    lines = [
        {"id": "e-1", "text": EVIL, "subject": EVIL},
        {"id": "e-2", "text": ""},
        f'{{"text": "{EVIL[:5]}"}}\n',
    ]
    file = shell.write("t.jsonl", *lines)
    told = await shell.job(*job_arguments(file, server))
    review = shell.rows("SELECT id FROM reviews WHERE run_id = 'e-1'")[0][0]
    for command in (
        ("runs", "list"),
        ("runs", "show", "e-1"),
        ("reviews", "list"),
        ("reviews", "show", review),
    ):
        # Every call checks that the output is harmless.
        assert shell.podium(*command).code == 0
        assert_roundtrip(shell.podium(*command, "--json").json)
    assert told.code == 1
    assert "[/b]" in shell.podium("runs", "show", "e-1", "--full").out


def assert_roundtrip(document: Any) -> None:
    """A document in which everything that was escaped is as it was written."""
    text = json.dumps(document, ensure_ascii=False)
    assert "\ufffd" not in text


def test_a_run_that_nobody_works_on_is_cancelled_at_the_next_start(flows: Shell):
    waiting = flows.podium("run", "flows.py:approve", "--id", "letter", "--input", '"Ada"')
    assert waiting.code == 0
    asked = flows.podium("runs", "cancel", "letter")
    assert (asked.code, asked.out) == (
        0,
        "Run letter will be cancelled as soon as a process works on this database.\n",
    )
    ended = flows.podium("run", "flows.py:approve", "--id", "letter", "--input", '"Ada"')
    assert ended.code == 1
    assert ended.out.startswith("Run letter cancelled: ")
    assert flows.states() == {"letter": "cancelled"}
    again = flows.podium("runs", "cancel", "letter")
    assert (again.code, again.error) == (2, "run 'letter' cannot be cancelled: it is cancelled already.")
    unknown = flows.podium("runs", "cancel", "nobody", "--json")
    assert (unknown.code, unknown.error) == (5, "there is no run 'nobody'. See `podium runs list`.")


def test_a_run_of_a_running_job_is_cancelled_at_once(flows: Shell):
    file = flows.write("t.jsonl", {"id": "a", "text": "slow"}, {"id": "b", "text": "quick"})
    job = flows.start(*held(file))
    until(lambda: flows.states() == {"a": "running", "b": "completed"})
    asked = flows.podium("runs", "cancel", "a", "--json")
    assert asked.json == {"run": "a", "state": "running", "cancel": "requested"}
    told = ended(job)
    assert told.code == 1
    assert "1 completed, 0 waiting for a person, 0 failed, 1 cancelled\n" in told.out


def test_a_reader_that_has_seen_enough_causes_no_noise(finished: FinishedJob):
    for command in (
        "runs list --limit 100",
        "runs list --json --limit 100",
        "reviews list",
        "runs show ticket-014 --full",
    ):
        told = subprocess.run(
            ["bash", "-c", f"{PODIUM} {command} | head -c 5"],
            cwd=finished.shell.folder,
            env=finished.shell.variables,
            capture_output=True,
            check=False,
        )
        assert told.stderr == b"", command
        assert len(told.stdout) == 5


async def test_a_job_whose_reader_has_gone_stops_and_can_go_on(shell: Shell, server: WireServer):
    file = shell.write("t.jsonl", *map(ticket, range(40)))
    process = shell.start(*job_arguments(file, server))
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    told = await shell.waited(process)
    assert told.code == 130
    assert told.err == "podium: interrupted. What is finished is kept; the same command goes on from here.\n"
    again = await shell.job(*job_arguments(file, server))
    assert again.code == 0
    assert shell.states() == {f"t-{n}": "completed" for n in range(40)}
    assert len(shell.outbox()) == 40


def test_a_terminal_without_unicode_is_no_problem(finished: FinishedJob):
    shell = Shell(finished.shell.folder, PYTHONIOENCODING="ascii")
    told = shell.podium("runs", "show", "ticket-014", "--full")
    assert told.code == 0
    assert told.out.isascii()
