"""The outbox holds one reply per ticket, whoever sends it, however often, and whatever dies meanwhile."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import desk_outbox
import pytest
from desk_outbox import AlreadySent, KeyTaken, OutboxUnavailable, Receipt, deliver

TICKETS = 200

STORM = """
import random, sys
from concurrent.futures import ThreadPoolExecutor
from desk_outbox import deliver

def send(number):
    receipt = deliver(f"key-{number}", f"ticket-{number}", f"reply {number}")
    sys.stdout.write(f'["{receipt.ticket_id}", "{receipt.sent_at}", {str(receipt.duplicate).lower()}]\\n')
    sys.stdout.flush()

with ThreadPoolExecutor(4) as threads:
    list(threads.map(send, random.sample(range(int(sys.argv[1])), int(sys.argv[1]))))
"""


@pytest.fixture(autouse=True)
def outbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "replies.db"
    monkeypatch.setenv("SUPPORT_DESK_OUTBOX", str(path))
    return path


def rows(path: Path) -> dict[str, tuple[str, str, str]]:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        sent = connection.execute("SELECT ticket_id, message_key, body, sent_at FROM outbox").fetchall()
    assert len({row[0] for row in sent}) == len(sent)
    return {ticket: (key, body, sent_at) for ticket, key, body, sent_at in sent}


def storm(desk: Path) -> subprocess.Popen[str]:
    """A process of its own that sends the replies to all tickets, in any order, and prints each receipt."""
    return subprocess.Popen(
        [sys.executable, "-c", STORM, str(TICKETS)],
        env=os.environ | {"PYTHONPATH": str(desk)},
        stdout=subprocess.PIPE,
        text=True,
    )


def receipts(lines: list[str]) -> list[tuple[str, str, bool]]:
    """What a process printed; the last line may be torn by its death."""
    return [tuple(json.loads(line)) for line in lines if line.endswith("]\n")]


def test_a_reply_is_stored_with_its_ticket_key_body_and_time(outbox):
    receipt = deliver("run-1:send", "ticket-1", "Dear Ms Raman, …")

    assert receipt == Receipt("ticket-1", "run-1:send", receipt.sent_at, duplicate=False)
    assert datetime.fromisoformat(receipt.sent_at).utcoffset() == timedelta(0)
    assert rows(outbox) == {"ticket-1": ("run-1:send", "Dear Ms Raman, …", receipt.sent_at)}


def test_the_same_key_again_returns_the_first_receipt_and_sends_nothing(outbox):
    first = deliver("key", "ticket-1", "the first text")

    again = deliver("key", "ticket-1", "another text")

    assert again == Receipt("ticket-1", "key", first.sent_at, duplicate=True)
    assert rows(outbox) == {"ticket-1": ("key", "the first text", first.sent_at)}


def test_a_second_message_for_an_answered_ticket_is_refused_by_name(outbox):
    deliver("key-1", "ticket-1", "the first text")

    with pytest.raises(AlreadySent, match="ticket-1") as refused:
        deliver("key-2", "ticket-1", "another text")

    assert refused.value.ticket_id == "ticket-1"
    assert [body for _, body, _ in rows(outbox).values()] == ["the first text"]


def test_a_key_of_another_ticket_is_refused_rather_than_taken_for_a_duplicate(outbox):
    deliver("key", "ticket-1", "text")

    with pytest.raises(KeyTaken, match=r"'key'.*'ticket-2'"):
        deliver("key", "ticket-2", "text")

    assert list(rows(outbox)) == ["ticket-1"]


@pytest.mark.parametrize(
    "body", ["", "\x00", "'); DROP TABLE outbox; --", "\x1b[2J", "🌧️ 返金", "x" * 1_000_000]
)
def test_a_body_is_stored_as_it_is(outbox, body):
    deliver("key", "ticket-1", body)

    assert rows(outbox)["ticket-1"][1] == body


def test_half_a_surrogate_pair_in_a_body_does_not_stop_the_reply(outbox):
    deliver("key", "ticket-1", "half \ud83d of it")

    assert rows(outbox)["ticket-1"][1] == "half ? of it"


def test_the_file_is_the_one_named_when_a_reply_is_sent(tmp_path, monkeypatch):
    monkeypatch.setenv("SUPPORT_DESK_OUTBOX", str(tmp_path / "other.db"))
    deliver("key", "ticket-1", "text")
    monkeypatch.delenv("SUPPORT_DESK_OUTBOX")
    monkeypatch.chdir(tmp_path)
    deliver("key", "ticket-2", "text")

    assert list(rows(tmp_path / "other.db")) == ["ticket-1"]
    assert list(rows(tmp_path / "outbox.db")) == ["ticket-2"]


def test_a_reply_is_on_disk_before_its_receipt_is_returned(outbox):
    with closing(desk_outbox._open(str(outbox))) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert not connection.in_transaction


def test_a_file_that_is_no_database_is_named_and_left_alone(outbox):
    outbox.write_bytes(b"letters from 1998, do not delete\n" * 40)

    with pytest.raises(OutboxUnavailable, match=r"replies\.db.*SUPPORT_DESK_OUTBOX"):
        deliver("key", "ticket-1", "text")

    assert outbox.read_bytes().startswith(b"letters from 1998")


def test_a_folder_that_does_not_exist_is_an_error_that_names_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("SUPPORT_DESK_OUTBOX", str(tmp_path / "missing" / "out.db"))

    with pytest.raises(OutboxUnavailable, match=r"missing.*out\.db"):
        deliver("key", "ticket-1", "text")


@pytest.mark.parametrize("exists", [True, False])
def test_a_file_locked_for_longer_than_the_wait_is_an_error_and_works_once_unlocked(
    outbox, monkeypatch, exists
):
    monkeypatch.setattr(desk_outbox, "_BUSY_SECONDS", 0.1)
    if exists:
        deliver("key-0", "ticket-0", "text")
    with closing(sqlite3.connect(outbox, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        other.execute("CREATE TABLE other (x)")
        with pytest.raises(OutboxUnavailable, match="locked"):
            deliver("key", "ticket-1", "text")
        other.execute("ROLLBACK")

    assert not deliver("key", "ticket-1", "text").duplicate


def test_a_reply_waits_for_another_that_is_making_the_file(outbox):
    with closing(sqlite3.connect(outbox, isolation_level=None, check_same_thread=False)) as other:
        other.execute("CREATE TABLE other (x)")
        other.execute("BEGIN IMMEDIATE")
        end = threading.Timer(0.2, other.execute, ["COMMIT"])
        end.start()
        receipt = deliver("key", "ticket-1", "text")
        end.join()

    assert not receipt.duplicate


def test_one_thread_of_many_sends_and_the_others_get_its_receipt(outbox):
    with ThreadPoolExecutor(16) as threads:
        sent = list(threads.map(lambda n: deliver("key", "ticket-1", f"text {n}"), range(64)))

    assert sum(not receipt.duplicate for receipt in sent) == 1
    assert len({receipt.sent_at for receipt in sent}) == 1
    assert len(rows(outbox)) == 1


def test_one_key_of_many_wins_a_ticket(outbox):
    def attempt(number: int) -> str | None:
        try:
            return deliver(f"key-{number}", "ticket-1", f"text {number}").message_key
        except AlreadySent:
            return None

    with ThreadPoolExecutor(16) as threads:
        [winner] = [key for key in threads.map(attempt, range(64)) if key]

    assert rows(outbox)["ticket-1"][0] == winner


def test_processes_that_send_the_same_replies_at_once_send_each_once(desk, outbox):
    processes = [storm(desk), storm(desk), storm(desk)]
    printed = [process.communicate(timeout=60)[0] for process in processes]

    assert [process.returncode for process in processes] == [0, 0, 0]
    sent = [receipt for text in printed for receipt in receipts(text.splitlines(keepends=True))]
    assert len(sent) == 3 * TICKETS
    assert sum(not duplicate for _, _, duplicate in sent) == TICKETS
    assert {(ticket, at) for ticket, at, _ in sent} == {(t, row[2]) for t, row in rows(outbox).items()}


def test_kill_9_in_a_storm_of_replies_loses_none_that_was_acknowledged_and_repeats_none(desk, outbox):
    acknowledged: dict[str, str] = {}
    dice = random.Random(20)
    for _ in range(6):
        process = storm(desk)
        assert process.stdout is not None
        heard = [process.stdout.readline() for _ in range(dice.randrange(1, TICKETS // 2))]
        process.send_signal(signal.SIGKILL)
        heard += process.communicate(timeout=60)[0].splitlines(keepends=True)
        assert process.returncode == -signal.SIGKILL
        for ticket, sent_at, _ in receipts(heard):
            assert acknowledged.setdefault(ticket, sent_at) == sent_at
        stored = rows(outbox)
        assert {ticket: stored[ticket][2] for ticket in acknowledged} == acknowledged

    last = storm(desk)
    repeated = receipts(last.communicate(timeout=60)[0].splitlines(keepends=True))

    assert last.returncode == 0
    assert len(repeated) == TICKETS
    for ticket, sent_at, _ in repeated:
        assert acknowledged.setdefault(ticket, sent_at) == sent_at
    assert rows(outbox) == {
        f"ticket-{n}": (f"key-{n}", f"reply {n}", acknowledged[f"ticket-{n}"]) for n in range(TICKETS)
    }
