"""`podium run --each`: the job of the support desk, on all its tickets, as a person or a script sees it."""

from __future__ import annotations

import json
import re

from tests.cli.conftest import FinishedJob
from tests.cli.support import (
    REPLY,
    TARGET,
    TICKETS,
    Shell,
    asked,
    described,
    held,
    is_answer,
    item,
    job_arguments,
    rows,
    ticket,
)
from tests.wire import WireServer, ok

IDS = [json.loads(line.decode("utf-8", "replace"))["id"] for line in TICKETS.read_bytes().splitlines()]


def test_every_ticket_ends_and_the_job_says_so_with_exit_code_0(finished: FinishedJob):
    states = finished.shell.states()
    assert finished.first.code == 0
    assert finished.first.err == ""
    assert list(states) == IDS
    assert set(states.values()) == {"completed", "waiting"}


def test_each_ticket_has_a_line_with_intent_confidence_outcome_time_and_cost(finished: FinishedJob):
    lines, states = described(finished.first.out), finished.shell.states()
    assert sorted(lines) == sorted(IDS)
    for run, line in lines.items():
        assert states[run] in line.split()
        assert re.search(r"\d (ms|s|m) .*\$0\.00", line), line
    sent = lines["ticket-001" if states["ticket-001"] == "completed" else "ticket-002"]
    assert re.match(r"shipping +0\.\d\d  ", sent)
    waits = [line for run, line in lines.items() if states[run] == "waiting"]
    assert all(re.search(r"review [0-9a-f]+ in queue support", line) for line in waits)


def test_the_totals_are_those_of_the_database(finished: FinishedJob):
    states = list(finished.shell.states().values())
    requests = len(finished.received)
    (tokens,) = finished.shell.rows("SELECT sum(input_tokens), sum(output_tokens), sum(cost_nanos) FROM runs")
    out = finished.first.out
    assert (
        f"{states.count('completed')} completed, {states.count('waiting')} waiting for a person, 0 failed\n"
        in out
    )
    assert re.search(rf"answered by  openai:m@http://127\.0\.0\.1:\d+/v1 \({requests} answers\)\n", out)
    assert f"{tokens[0]:,} in, {tokens[1]:,} out · cost $" in out
    assert tokens[0] == 11 * requests
    answers = sum(is_answer(request) for request in finished.received)
    assert tokens[2] == answers * 2_000_000 + (requests - answers) * 1_000_000
    assert re.search(r"latency +p50 [\d.]+ m?s, p95 [\d.]+ m?s", out)


def test_it_ends_with_commands_that_can_be_typed_next(finished: FinishedJob):
    told = finished.first.out.partition("Next:")[2]
    assert re.search(r"podium reviews list +", told)
    assert re.search(r"podium reviews decide \S+ approve +", told)
    (run,) = re.findall(r"podium runs show (\S+)", told)
    assert run in IDS


def test_the_outbox_has_one_reply_for_each_completed_ticket_and_none_for_others(finished: FinishedJob):
    completed = {run for run, state in finished.shell.states().items() if state == "completed"}
    assert finished.outbox_before == dict.fromkeys(completed, REPLY)
    keys = rows(finished.shell.folder / "outbox.db", "SELECT message_key FROM outbox")
    assert len(set(keys)) == len(completed)


def test_a_line_of_broken_utf8_is_named_and_worked_on(finished: FinishedJob):
    (number,) = [
        number
        for number, line in enumerate(TICKETS.read_bytes().splitlines(), 1)
        if line.decode("utf-8", "replace").encode() != line
    ]
    assert f"line {number}: is not valid UTF-8; what could not be read was replaced\n" in finished.first.out
    assert finished.shell.states()[IDS[number - 1]] in {"completed", "waiting"}


def test_the_empty_ticket_asks_no_model_and_waits_for_a_person(finished: FinishedJob):
    (empty,) = [
        json.loads(line.decode("utf-8", "replace"))["id"]
        for line in TICKETS.read_bytes().splitlines()
        if b'"text": ""' in line
    ]
    assert finished.shell.states()[empty] == "waiting"
    journal = "SELECT name FROM journal JOIN runs ON number = run_number WHERE id = ? AND kind = 'model'"
    assert finished.shell.rows(journal, empty) == []


def test_no_prompt_is_asked_twice(finished: FinishedJob):
    prompts = [asked(request) for request in finished.received]
    assert len(set(prompts)) == len(prompts)


def test_run_again_a_finished_job_asks_nothing_sends_nothing_and_says_so(finished: FinishedJob):
    assert finished.second.code == 0
    assert finished.again == []
    assert finished.shell.outbox() == finished.outbox_before
    assert described(finished.second.out) == {}
    assert "Every line had been worked on before; nothing was repeated." in finished.second.out
    assert "To start over: the same command with --fresh\n" in finished.second.out
    totals = re.compile(r"^\d+ completed.*\n(?:.*\n){3}", re.MULTILINE)
    assert totals.findall(finished.second.out) == totals.findall(finished.first.out)


def test_what_stands_in_front_of_the_command_may_name_its_own_way_to_start_over(flows: Shell):
    flows.variables["PODIUM_FRESH_HINT"] = "make run FRESH=1"
    arguments = list(held(flows.write("t.jsonl", item(1))))
    assert flows.podium(*arguments).code == 0
    assert "To start over: make run FRESH=1\n" in flows.podium(*arguments).out


def test_new_lines_of_a_finished_job_are_worked_on_and_the_others_left_alone(flows: Shell):
    assert flows.podium(*held(flows.write("t.jsonl", item(1)))).code == 0
    more = flows.podium(*held(flows.write("t.jsonl", item(1), item(2))))
    assert more.code == 0
    assert (
        "Going on: 1 had ended and 0 wait; none of that is repeated. 0 go on where they were, 1 begin.\n"
        in more.out
    )
    assert list(described(more.out)) == ["i-2"]
    assert flows.posted() == ["item 1", "item 2"]


def test_a_line_that_has_changed_since_its_run_began_changes_nothing(flows: Shell):
    assert flows.podium(*held(flows.write("t.jsonl", item(1)))).code == 0
    again = flows.podium(*held(flows.write("t.jsonl", item(1, "something else"))))
    assert "1 line has changed since its run began; the first input stands\n" in again.out
    assert flows.posted() == ["item 1"]


def test_fresh_puts_the_database_and_what_goes_with_it_aside_and_starts_over(flows: Shell):
    arguments = list(held(flows.write("t.jsonl", item(1)), "--fresh", "--fresh-also", "sent.db"))
    first = flows.podium(*arguments)
    assert first.code == 0
    assert "earlier database" not in first.out
    seeds = flows.rows("SELECT seed FROM runs")
    for count in (1, 2):
        (flows.folder / "sent.db").write_text(f"{count}")
        over = flows.podium(*arguments)
        assert not (flows.folder / "sent.db").exists()
        asides = sorted(flows.folder.glob("podium.db.before-*"))
        assert over.code == 0
        assert len(asides) == count
        sent = flows.folder / asides[-1].name.replace("podium", "sent")
        assert sent.read_text() == f"{count}"
        assert f"The earlier database is now {asides[-1].name}.\n" in over.out
    assert flows.posted() == ["item 1"] * 3
    assert rows(asides[0], "SELECT seed FROM runs") == seeds
    assert flows.rows("SELECT seed FROM runs") != seeds


async def test_as_json_the_job_prints_one_document_and_nothing_else(shell: Shell, server: WireServer):
    server.reply(ok("I cannot say."), ok("Still not."))
    file = shell.write("t.jsonl", ticket(1, "unsure"), ticket(2), "{oops\n")
    told = await shell.job(*job_arguments(file, server, "--json", "--concurrency", 1))
    assert told.err == ""
    start, totals = told.json["start"], told.json["totals"]
    assert start["new"] == ["t-1", "t-2"]
    assert [line["number"] for line in start["broken"]] == [3]
    assert totals["states"] == {"waiting": 1, "completed": 1}
    assert totals["models"] == {server.name("m"): 2}
    assert totals["p50_seconds"] > 0
    assert told.code == 1


async def test_lines_without_ids_are_named_by_what_they_say(shell: Shell, server: WireServer):
    file = shell.write(
        "messages.jsonl", {"message": "Where is it? (sure)"}, '"refund??"\n', {"text": "Hello (sure)"}
    )
    arguments = ("run", TARGET, "--each", file, "--model", server.name("m"))
    told = await shell.job(*arguments)
    assert told.code == 0
    assert len(shell.states()) == 3
    assert all(re.fullmatch(r"line-[0-9a-f]{16}", run) for run in shell.states())
    prompts = [asked(request) for request in server.requests if not is_answer(request)]
    for text in ("Where is it? (sure)", "refund??", "Hello (sure)"):
        assert sum(text in prompt for prompt in prompts) == 1
    server.requests.clear()
    assert "nothing was repeated" in (await shell.job(*arguments)).out
    assert server.requests == []
