"""What a request costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from podium.domain.answers import Usage
from podium.domain.money import Money
from podium.providers.prices import price, reported

MILLION = Usage(1_000_000, 1_000_000)


@pytest.mark.parametrize(
    ("vendor", "model"),
    [("openai", "gpt-5-mini"), ("anthropic", "claude-haiku-4-5-20251001"), ("google", "gemini-2.5-flash")],
)
def test_models_of_the_vendors_have_a_price(vendor: str, model: str):
    found = price(vendor, model, MILLION)
    assert found is not None
    assert Money.usd("0.1") < found < Money.usd("100")


def test_twice_the_tokens_cost_twice_the_money():
    once = price("openai", "gpt-5-mini", MILLION)
    twice = price("openai", "gpt-5-mini", MILLION + MILLION)
    assert once is not None
    assert twice == once + once


def test_tokens_from_the_cache_are_cheaper():
    dear = price("openai", "gpt-5-mini", MILLION)
    cheap = price("openai", "gpt-5-mini", MILLION, cache_read=900_000)
    assert dear is not None
    assert cheap is not None
    assert cheap < dear


def test_an_unknown_model_or_server_has_no_price():
    assert price("openai", "no-such-model", MILLION) is None
    assert price("openai", "gpt-5-mini", MILLION, base_url="http://127.0.0.1:8000/v1") is None


@pytest.mark.parametrize(
    ("told", "cost"),
    [
        (0.25, Money.usd("0.25")),
        ("0.000001", Money.usd("0.000001")),
        (0, Money()),
        (None, None),
        (True, None),
        (-1, None),
        (float("nan"), None),
        (float("inf"), None),
        ("1e99", None),
        ("free", None),
    ],
)
def test_only_a_sane_amount_counts_as_a_reported_cost(told: object, cost: Money | None):
    assert reported(told) == cost


def test_prices_are_found_without_touching_the_network():
    program = (
        "import sys\n"
        "def refuse(event, arguments):\n"
        "    assert not event.startswith('socket.'), event\n"
        "sys.addaudithook(refuse)\n"
        "import threading\n"
        "from podium.domain.answers import Usage\n"
        "from podium.providers import prices\n"
        "prices.load()\n"
        "print(prices.price('openai', 'gpt-5-mini', Usage(1000, 1000)), threading.active_count())\n"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    amount, threads = told.split()
    assert amount.startswith("$0.00")
    assert threads == "1"
