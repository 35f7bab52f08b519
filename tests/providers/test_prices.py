"""What a request costs."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from typing import Any

import genai_prices
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.domain.answers import Usage
from podium.domain.errors import InvalidInput
from podium.domain.money import Money
from podium.providers.prices import Charge, Prices, Tokens, reported
from podium.settings import ModelPrice, PriceSettings

MILLION = Usage(1_000_000, 1_000_000)
GPT = "openai", "gpt-5-mini"
PRICES = Prices()


def price(
    vendor: str, model: str, usage: Usage, *, base_url: str | None = None, cache_read: int = 0
) -> Money | None:
    charge = Prices().charge(vendor, model, Tokens(usage, cache_read), base_url=base_url)
    return charge.cost if charge else None


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
    charge = reported(told)
    assert charge == (None if cost is None else Charge(cost, "provider"))


def test_a_price_comes_with_the_name_and_version_of_its_table():
    charge = Prices().charge(*GPT, Tokens(MILLION))
    assert charge is not None
    assert charge.table == f"genai-prices {version('genai-prices')}"


@pytest.mark.parametrize(
    "place",
    [GPT, ("anthropic", "claude-haiku-4-5"), ("google", "gemini-2.5-pro"), ("google", "gemini-2.0-flash")],
)
@given(
    read=st.integers(0, 10**6),
    cached=st.integers(0, 10**6),
    written=st.integers(0, 10**6),
    out=st.integers(0, 10**6),
)
def test_the_price_is_that_of_the_table_to_the_last_digit(
    place: tuple[str, str], read: int, cached: int, written: int, out: int
):
    """Also where what a token costs is kept, and where it depends on how many there are."""
    cached = min(cached, read)
    written = min(written, read - cached)
    counted = genai_prices.Usage(
        input_tokens=read, cache_read_tokens=cached, cache_write_tokens=written, output_tokens=out
    )
    listed = genai_prices.calc_price(counted, place[1], provider_id=place[0]).total_price
    charge = PRICES.charge(*place, Tokens(Usage(read, out), cached, written))
    assert charge is not None
    assert charge.cost == Money.usd(listed)


OWN = PriceSettings(
    {"openai:gpt-5-mini": ModelPrice("1", "10", "0.5"), "openai:own@http://127.0.0.1:1/v1": ModelPrice(2, 3)}
)


def test_prices_of_ones_own_go_before_the_table():
    prices = Prices(OWN)
    tokens = Tokens(Usage(1_000_000, 100_000), cache_read=500_000)
    assert prices.charge(*GPT, tokens) == Charge(Money.usd("1.75"), "settings")
    dated = prices.charge("openai", "gpt-5-mini-2025-08-07", tokens, asked="gpt-5-mini")
    assert dated == Charge(Money.usd("1.75"), "settings")
    other = prices.charge("openai", "gpt-5", tokens)
    assert other is not None
    assert other.table.startswith("genai-prices")


def test_a_server_of_ones_own_has_a_price_where_it_is_given_one():
    prices = Prices(OWN)
    here = prices.charge("openai", "own", Tokens(MILLION), base_url="http://127.0.0.1:1/v1")
    assert here == Charge(Money.usd("5"), "settings")
    assert prices.charge("openai", "own", Tokens(MILLION), base_url="http://127.0.0.1:2/v1") is None


@pytest.mark.parametrize("amount", ["-1", "nan", "1e9", "free", 0.1])
def test_a_price_that_is_no_exact_amount_is_refused(amount: Any):
    with pytest.raises(InvalidInput, match="US dollars per million tokens"):
        ModelPrice("1", amount)


def test_prices_are_found_without_touching_the_network():
    program = (
        "import sys\n"
        "def refuse(event, arguments):\n"
        "    assert not event.startswith('socket.'), event\n"
        "sys.addaudithook(refuse)\n"
        "import threading\n"
        "from podium.domain.answers import Usage\n"
        "from podium.providers.prices import Prices, Tokens\n"
        "prices = Prices()\n"
        "prices.load()\n"
        "charge = prices.charge('openai', 'gpt-5-mini', Tokens(Usage(1000, 1000)))\n"
        "print(charge.cost, threading.active_count())\n"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    amount, threads = told.split()
    assert amount.startswith("$0.00")
    assert threads == "1"
