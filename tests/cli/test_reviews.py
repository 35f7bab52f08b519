"""`podium reviews`: what waits for a person is listed, shown and decided, beside a job that runs and after it."""

from __future__ import annotations

import re

import pytest

from tests.cli.conftest import FinishedJob
from tests.cli.support import REPLY, Shell, ended, job_arguments, ticket, until
from tests.wire import WireServer

BY_HAND = "Thank you for your message. This was written by a person."


def waiting(shell: Shell, run: str = "letter", flow: str = "approve", given: str = '"Ada"') -> str:
    """Start a run that waits for a person, and return the id of its review."""
    told = shell.podium("run", f"flows.py:{flow}", "--id", run, "--input", given)
    assert told.code == 0
    assert told.out.startswith(f"Run {run} waits for ")
    return review_of(shell, run)


def review_of(shell: Shell, run: str) -> str:
    own = "(run_id = ? OR run_id LIKE ? || '/%')"
    ((review,),) = shell.rows(f"SELECT id FROM reviews WHERE {own} AND state = 'open'", run, run)
    assert isinstance(review, str)
    return review


def test_the_most_urgent_reviews_come_first_and_each_names_its_run(finished: FinishedJob):
    told = finished.shell.podium("reviews", "list", "--limit", 100)
    as_json = finished.shell.podium("reviews", "list", "--limit", 100, "--json").json
    waits = {run for run, state in finished.shell.states().items() if state == "waiting"}
    assert told.code == 0
    lines = told.out.splitlines()
    assert re.match(r"review +queue +kind +run +state +due +proposal / question", lines[0])
    assert {run for line in lines for run in re.findall(r" (ticket-\d+) ", line)} == waits
    kinds = [found[1] for line in lines if (found := re.search(r" support +(\w+) +ticket", line))]
    assert kinds == sorted(kinds, key=lambda kind: kind != "escalation")
    assert {"escalation", "approval", "question"} == set(kinds)
    assert [review["run"] for review in as_json] == re.findall(r" (ticket-\d+) ", told.out)
    assert re.search(rf"Look at one: \S*podium reviews show {as_json[0]['id']}", told.out)


def test_reviews_are_listed_by_queue(finished: FinishedJob):
    assert finished.shell.podium("reviews", "list", "--queue", "billing").out == "No open reviews.\n"
    assert finished.shell.podium("reviews", "list", "--queue", "billing", "--json").json == []
    assert (
        len(finished.shell.podium("reviews", "list", "--queue", "support", "--limit", 2, "--json").json) == 2
    )


def test_one_review_is_shown_with_proposal_evidence_and_how_to_decide(finished: FinishedJob):
    first = finished.shell.podium("reviews", "list", "--json").json[0]
    told = finished.shell.podium("reviews", "show", first["id"])
    assert told.code == 0
    assert f"review {first['id']} · escalation · queue support · open\n" in told.out
    assert f"run {first['run']} · due in 1 h " in told.out
    assert "Do not trust the proposal as it stands: the model was not sure of it.\n" in told.out
    assert re.search(r"^confidence: 0\.\d+$", told.out, re.MULTILINE)
    assert f"\nProposal:\n{REPLY}\n" in told.out
    for verdict in ("approve", "edit --value '...'", "reject --comment '...'"):
        assert re.search(rf"podium reviews decide {first['id']} {re.escape(verdict)}\n", told.out)
    assert finished.shell.podium("reviews", "show", first["id"][:6], "--json").json == first


def test_a_review_that_is_not_there_or_not_the_only_one_is_an_error(finished: FinishedJob):
    ids = [review["id"] for review in finished.shell.podium("reviews", "list", "--json", "--limit", 100).json]
    unknown = finished.shell.podium("reviews", "show", "nothing")
    assert (unknown.code, unknown.error) == (
        5,
        "There is no review 'nothing'. List the open ones with `podium reviews list`.",
    )
    several = next(a[:1] for a in ids if sum(b.startswith(a[:1]) for b in ids) > 1)
    ambiguous = finished.shell.podium("reviews", "decide", several, "approve")
    assert ambiguous.code == 2
    assert ambiguous.error.startswith(f"Several reviews begin with '{several}' (")
    assert finished.shell.podium("reviews", "show", "").code == 5


def test_an_approval_after_the_job_finishes_the_run_in_the_same_command(flows: Shell):
    review = waiting(flows)
    told = flows.podium("reviews", "decide", review[:5], "approve")
    assert told.code == 0
    assert told.out == f"Decided: {review} approve as robin.\nRun letter is now completed.\n"
    assert flows.states() == {"letter": "completed"}
    assert flows.posted() == ["Dear Ada"]
    shown = flows.podium("reviews", "show", review).out
    assert "robin decided approve." in shown
    assert "Decide it:" not in shown
    assert flows.podium("reviews", "list").out == "No open reviews.\n"
    assert flows.podium("reviews", "list", "--all", "--json").json[0]["state"] == "decided"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Dear Ms Lovelace", "Dear Ms Lovelace"),
        ('"Dear \\u00e9"', "Dear é"),
        ("42", "42"),
        ("null", "null"),
        ('{"not": "meant as JSON"}', '{"not": "meant as JSON"}'),
        ("@letter.txt", "From a file: über"),
    ],
)
def test_an_edit_of_text_takes_bare_text_a_json_string_or_a_file(flows: Shell, value: str, text: str):
    (flows.folder / "letter.txt").write_text("From a file: über\n", encoding="utf-8")
    told = flows.podium("reviews", "decide", waiting(flows), "edit", "--value", value)
    assert told.code == 0
    assert flows.posted() == [text]


def test_an_edit_of_structured_data_takes_json_that_fits_and_nothing_else(flows: Shell):
    review = waiting(flows, "quote", "price", '"a hub"')
    assert "Wanted: a JSON object with amount, currency\n" in flows.podium("reviews", "show", review).out
    (flows.folder / "latin.txt").write_bytes(b'{"amount": 5, "currency": "\xff"}')
    for arguments, problem in [
        (
            ("edit", "--value", "{oops"),
            "the value is not valid JSON: .*; wanted is a JSON object with amount, curr",
        ),
        (
            ("edit", "--value", '{"amount": "much"}'),
            f"the value does not fit review {review}: amount: 'much' is not",
        ),
        (("edit", "--value", "@latin.txt"), "the value is not valid JSON: "),
        (("edit", "--value", "@nowhere.json"), "nowhere.json cannot be read: No such file or directory."),
        (("edit", "--value", "  "), "an edit needs the new value"),
        (("edit",), "an edit needs the new value"),
        (("approve",), "Review .* does not take approve"),
        (("reject", "--value", "1"), "a rejection takes no value"),
        (("shred",), "Invalid value for .*'shred' is not one of 'approve', 'edit', 'reject'"),
    ]:
        told = flows.podium("reviews", "decide", review, *arguments)
        assert told.code == 2
        assert re.match(problem, told.error)
    assert review_of(flows, "quote") == review
    assert flows.podium("reviews", "decide", review, "edit", "--value", '{"amount": 5}').code == 0
    assert flows.podium("runs", "show", "quote", "--json").json["run"]["output"] == {
        "amount": 5,
        "currency": "EUR",
    }


def test_a_rejection_fails_the_run_with_the_reviewers_reason(flows: Shell):
    told = flows.podium(
        "reviews", "decide", waiting(flows), "reject", "--comment", "not our customer", "--as", "Kim"
    )
    assert told.code == 0
    assert told.out.endswith("Run letter is now failed: Kim stopped the letter: not our customer.\n")
    assert flows.states() == {"letter": "failed"}
    assert flows.posted() == []


def test_the_first_decision_stands_and_a_second_one_says_whose_it_was(flows: Shell):
    review = waiting(flows)
    assert flows.podium("reviews", "decide", review, "approve", "--as", "Kim").code == 0
    agrees = flows.podium("reviews", "decide", review, "approve")
    assert agrees.code == 0
    assert agrees.out == "Nothing changed: Kim decided approve before.\nRun letter is now completed.\n"
    differs = flows.podium("reviews", "decide", review, "reject", "--json")
    assert differs.code == 2
    assert differs.json["recorded"] is False
    assert differs.json["review"]["decision"]["reviewer"] == "Kim"
    assert flows.posted() == ["Dear Ada"]


def test_of_decisions_made_at_the_same_time_exactly_one_stands(flows: Shell):
    review = waiting(flows)
    deciding = [
        flows.start("reviews", "decide", review, "edit", "--value", f"Letter {n}", "--as", f"person {n}")
        for n in range(4)
    ]
    told = [ended(process) for process in deciding]
    (winner,) = [n for n, each in enumerate(told) if each.out.startswith("Decided: ")]
    assert flows.posted() == [f"Letter {winner}"]
    assert [each.code for each in told] == [0 if n == winner else 2 for n in range(4)]
    for n, each in enumerate(told):
        assert n == winner or each.out.startswith(f"Nothing changed: person {winner} decided edit before.\n")


def test_different_reviews_can_be_decided_at_the_same_time(flows: Shell):
    reviews = [waiting(flows, f"letter-{n}", given=f'"Person {n}"') for n in range(3)]
    told = [
        ended(each) for each in [flows.start("reviews", "decide", review, "approve") for review in reviews]
    ]
    assert [each.code for each in told] == [0, 0, 0]
    assert flows.states() == dict.fromkeys(["letter-0", "letter-1", "letter-2"], "completed")
    assert sorted(flows.posted()) == ["Dear Person 0", "Dear Person 1", "Dear Person 2"]


def test_a_run_may_wait_again_after_a_decision(flows: Shell):
    first = waiting(flows, "two", "letters", '["Ada", "Bob"]')
    told = flows.podium("reviews", "decide", first, "approve")
    second = flows.rows("SELECT id FROM reviews WHERE state = 'open'")[0][0]
    assert second != first
    assert re.search(r"Run two is now waiting: ", told.out)
    assert flows.podium("reviews", "decide", second, "approve").out.endswith("Run two is now completed.\n")
    assert flows.posted() == ["Dear Ada", "Dear Bob"]


def test_a_decision_can_be_left_for_the_next_start(flows: Shell):
    review = waiting(flows)
    told = flows.podium("reviews", "decide", review, "approve", "--no-wait")
    assert told.out == f"Decided: {review} approve as robin.\n"
    assert flows.states() == {"letter": "waiting"}
    again = flows.podium("run", "flows.py:approve", "--id", "letter", "--input", '"Ada"')
    assert (again.code, again.out) == (0, "Dear Ada\n")


def test_the_review_of_a_cancelled_run_takes_no_decision(flows: Shell):
    review = waiting(flows)
    assert flows.podium("runs", "cancel", "letter").code == 0
    assert flows.podium("run", "flows.py:approve", "--id", "letter", "--input", '"Ada"').code == 1
    told = flows.podium("reviews", "decide", review, "approve")
    assert told.code == 2
    assert "cancelled" in told.error


async def test_code_that_is_not_below_the_folder_is_not_run_but_the_decision_is_kept(
    shell: Shell, server: WireServer
):
    arguments = list(job_arguments(shell.write("t.jsonl", ticket(1, "unsure")), server))
    assert (await shell.job(*arguments)).code == 0
    review = review_of(shell, "t-1")
    told = shell.podium("reviews", "decide", review, "edit", "--value", BY_HAND)
    assert told.code == 0
    assert re.search(
        r"Run t-1 goes on when its workflow is started again: only code below this folder is run here\. "
        r"It was started from \S+desk\.py:support\.\n",
        told.out,
    )
    assert shell.states() == {"t-1": "waiting"}
    assert shell.outbox() == {}
    assert (await shell.job(*arguments)).code == 0
    assert shell.states() == {"t-1": "completed"}
    assert shell.outbox() == {"t-1": BY_HAND}
    assert len(server.requests) == 2


async def test_the_desk_sends_what_the_person_made_of_the_reply(shell: Shell, server: WireServer):
    desk = shell.copy_desk()
    file = shell.write("t.jsonl", ticket(1, "unsure"), ticket(2, "lost"), {"id": "t-3", "text": " "})
    model = ("--model", server.name("m"))
    assert (await shell.job("run", desk, "--each", file, "--id-field", "id", *model)).code == 0
    for run, verdict in (
        ("t-1", ("approve",)),
        ("t-2", ("edit", "--value", BY_HAND)),
        ("t-3", ("reject", "--comment", "empty")),
    ):
        told = await shell.job("reviews", "decide", review_of(shell, run), *verdict, *model)
        assert told.code == 0
    assert shell.states() == {"t-1": "completed", "t-2": "completed", "t-3": "failed"}
    assert shell.outbox() == {"t-1": REPLY, "t-2": BY_HAND}


def test_a_decision_beside_a_running_job_is_taken_by_it_at_once(flows: Shell):
    file = flows.write("t.jsonl", {"id": "a", "text": "slow"}, {"id": "b", "text": "asks"})
    job = flows.start("run", "flows.py:held", "--each", file, "--id-field", "id")
    until(lambda: flows.database.exists() and reviews(flows) != [])
    (review,) = reviews(flows)
    assert flows.podium("reviews", "list", "--json").json[0]["id"] == review
    assert "Dear Robin" in flows.podium("reviews", "show", review).out
    told = flows.podium("reviews", "decide", review, "edit", "--value", "Dear friend")
    assert told.code == 0
    assert told.out.startswith(f"Decided: {review} edit as robin.\nRun ")
    until(lambda: flows.states()["b"] == "completed")
    assert job.poll() is None
    assert flows.posted() == ["Dear friend"]
    (flows.folder / "go").touch()
    end = ended(job)
    assert end.code == 0
    assert "2 completed, 0 waiting" in end.out
    assert flows.posted() == ["Dear friend", "slow"]


def reviews(shell: Shell) -> list[str]:
    """The open reviews, once there are tables for them."""
    if shell.rows("SELECT count(*) FROM sqlite_master WHERE name = 'owner'") == [(0,)]:
        return []
    return [row[0] for row in shell.rows("SELECT id FROM reviews WHERE state = 'open'")]


def test_a_decision_that_the_owner_of_the_database_does_not_take_is_kept(flows: Shell):
    review = waiting(flows)
    file = flows.write("t.jsonl", {"text": "slow"})
    # The process that owns the database meanwhile knows the letter's workflow by no such name.
    code = (flows.folder / "flows.py").read_text()
    (flows.folder / "others.py").write_text(re.sub(r"\bapprove\(", "other_approve(", code))
    job = flows.start("run", "others.py:held", "--each", file)
    until(lambda: "running" in flows.states().values())
    told = flows.podium("reviews", "decide", review, "approve")
    (flows.folder / "go").touch()
    assert told.code == 0
    assert (
        "Run letter does not go on yet: the process that owns the database does not work on it." in told.out
    )
    assert ended(job).code == 0
    assert flows.states()["letter"] == "waiting"
    assert flows.podium("reviews", "decide", review, "approve").out == (
        "Nothing changed: robin decided approve before.\nRun letter is now completed.\n"
    )
