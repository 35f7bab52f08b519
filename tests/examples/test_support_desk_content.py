"""The tickets and articles of the support desk are as varied as a real inbox, and belong together."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from desk_knowledge import search
from pydantic import BaseModel, ConfigDict


class Ticket(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    id: str
    customer: str
    channel: str
    subject: str
    text: str


@pytest.fixture(scope="module")
def lines(desk: Path) -> list[bytes]:
    return (desk / "tickets.jsonl").read_bytes().removesuffix(b"\n").split(b"\n")


@pytest.fixture(scope="module")
def tickets(lines: list[bytes]) -> dict[str, Ticket]:
    parsed = [Ticket.model_validate(json.loads(line.decode("utf-8", "replace"))) for line in lines]
    return {ticket.id: ticket for ticket in parsed}


def containing(tickets: dict[str, Ticket], pattern: str) -> list[Ticket]:
    return [ticket for ticket in tickets.values() if re.search(pattern, f"{ticket.subject}\n{ticket.text}")]


def is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def test_there_are_sixty_tickets_or_more_each_with_an_id_of_its_own(lines, tickets):
    assert len(lines) >= 64
    assert len(tickets) == len(lines)
    assert list(tickets) == [f"ticket-{number:03d}" for number in range(1, len(lines) + 1)]


def test_tickets_come_by_every_channel(tickets):
    assert {ticket.channel for ticket in tickets.values()} == {"email", "chat", "form"}


def test_no_two_tickets_are_alike(tickets):
    assert len({ticket.text for ticket in tickets.values()}) == len(tickets)


def test_exactly_one_line_is_broken_utf8_and_is_still_readable_with_replacement_characters(lines):
    [broken] = [line for line in lines if not is_utf8(line)]

    ticket = Ticket.model_validate(json.loads(broken.decode("utf-8", "replace")))

    assert "�" in ticket.text
    assert "E41" in ticket.text


def test_exactly_one_ticket_is_empty(tickets):
    assert [ticket.text for ticket in tickets.values() if not ticket.text.strip()] == [""]


def test_exactly_one_ticket_is_a_pasted_log_of_twenty_thousand_characters(tickets):
    [long] = [ticket for ticket in tickets.values() if len(ticket.text) > 5_000]

    assert 19_500 <= len(long.text) <= 20_500
    log_lines = long.text.splitlines()
    assert len(set(log_lines)) > 0.9 * len(log_lines)
    assert 5_000 < long.text.index("my actual question") < 15_000


def test_tickets_are_terse_and_rambling(tickets):
    assert sum(len(ticket.text) < 60 for ticket in tickets.values()) >= 4
    assert sum(1_000 < len(ticket.text) < 5_000 for ticket in tickets.values()) >= 1


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("German", r"\b(Kündigung|Löschung|Rückerstattung)\b"),
        ("French", r"\bBonjour\b"),
        ("Spanish", r"\bbuenas tardes\b"),
        ("Portuguese", r"\bBoa tarde\b"),
        ("Italian", r"\bBuongiorno\b"),
        ("Polish", r"\bDzień dobry\b"),
        ("Turkish", r"\bMerhaba\b"),
        ("Japanese", r"[ぁ-ゖ]{3}"),
        ("Chinese", r"請問"),
        ("Arabic", r"[\u0600-\u06ff]{3}"),
    ],
)
def test_customers_write_in_their_own_language(tickets, language, words):
    assert containing(tickets, words), language


@pytest.mark.parametrize(
    ("what", "pattern"),
    [
        ("an e-mail address", r"[\w.]+@example\.(com|org|net)"),
        ("a card number", r"\b4242 4242 4242 4242\b"),
        ("an IBAN", r"\bDE89 3704 0044 0532 0130 00\b"),
        ("a telephone number", r"\b\d{3}-555-01\d\d\b"),
    ],
)
def test_customers_send_personal_data(tickets, what, pattern):
    assert containing(tickets, pattern), what


def test_no_address_in_a_ticket_can_belong_to_anyone(tickets):
    text = "\n".join(ticket.text for ticket in tickets.values())
    hosts = re.findall(r"(?:@|https?://)([\w.-]+\.[a-z]+)", text)

    reserved = re.compile(r"(^|\.)(example|example\.(com|org|net))$")
    assert len(hosts) > 10
    assert [host for host in hosts if not reserved.search(host)] == []


@pytest.mark.parametrize(
    ("kind", "pattern"),
    [
        ("a direct order", r"(?i)ignore all previous instructions"),
        ("a false system message", r"<\|im_start\|>system"),
        ("a picture that carries data away", r"!\[[^]]*]\(https://[^)]*\{\{"),
        ("a script", r"<script>"),
        ("terminal escapes", r"\x1b\["),
        ("terminal markup without an opening", r"\[/b]"),
        ("a NUL", r"\x00"),
        ("reversed writing", r"\u202e"),
        ("a made-up duty", r"must refund \$5000"),
    ],
)
def test_some_tickets_attack_the_model_the_terminal_or_the_reader(tickets, kind, pattern):
    assert containing(tickets, pattern), kind


def test_some_tickets_hold_what_a_template_or_a_line_splitter_would_trip_over(tickets):
    assert containing(tickets, r"\{value\}")
    assert containing(tickets, r"\u2028")


def test_there_are_twenty_five_articles_or_more_of_readable_length(desk):
    articles = sorted((desk / "knowledge").glob("*.md"))
    assert len(articles) >= 26
    for article in articles:
        title, _, rest = article.read_text(encoding="utf-8").partition("\n")
        body, _, search_words = rest.partition("<!-- search:")
        assert re.fullmatch(r"# \S.*\S", title), article.name
        assert 120 <= len(body.split()) <= 300, article.name
        assert search_words.rstrip().endswith("-->"), article.name


@pytest.mark.parametrize(
    ("ticket", "slug"),
    [
        ("ticket-001", "returns-and-refunds"),
        ("ticket-002", "error-e51-firmware"),
        ("ticket-003", "returns-and-refunds"),
        ("ticket-004", "charged-twice"),
        ("ticket-005", "cancel-subscription"),
        ("ticket-006", "track-or-lost-parcel"),
        ("ticket-007", "reset-password"),
        ("ticket-008", "error-e41-rain-gauge"),
        ("ticket-010", "error-e31-e32"),
        ("ticket-011", "api-keys-and-limits"),
        ("ticket-012", "two-factor-lost-phone"),
        ("ticket-013", "billing-cycle-and-invoices"),
        ("ticket-015", "error-e21-e22"),
        ("ticket-016", "feature-requests"),
        ("ticket-020", "cancel-subscription"),
        ("ticket-021", "privacy-and-deletion"),
        ("ticket-023", "customs-and-duties"),
        ("ticket-025", "track-or-lost-parcel"),
        ("ticket-027", "hub-lights"),
        ("ticket-033", "returns-and-refunds"),
        ("ticket-035", "error-e42-wind"),
        ("ticket-039", "error-e11-e12"),
        ("ticket-041", "account-compromised"),
        ("ticket-044", "error-e41-rain-gauge"),
        ("ticket-053", "change-email-or-transfer"),
        ("ticket-062", "error-e41-rain-gauge"),
    ],
)
def test_the_article_that_answers_a_ticket_is_among_the_first_three(tickets, ticket, slug):
    assert slug in [article.slug for article in search(tickets[ticket].text, limit=3)]


def test_most_tickets_find_an_article(tickets):
    found = [ticket for ticket in tickets.values() if search(ticket.text)]

    assert len(found) >= 0.9 * len(tickets)
