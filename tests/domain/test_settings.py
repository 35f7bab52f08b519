"""Settings are checked where they are made: what could never work is refused by name, with what is allowed."""

from __future__ import annotations

import datetime
import math
import pickle
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium import Budget, Semantic, prompt
from podium.domain.errors import InvalidDefinition, InvalidInput
from podium.domain.policies import Fallback, PromptPolicy
from podium.domain.schema_modes import SchemaMode
from podium.settings import (
    BreakerSettings,
    CassetteSettings,
    EngineSettings,
    GatewaySettings,
    HedgeSettings,
    Limits,
    ModelPrice,
    PriceSettings,
    ReplayMode,
    RetentionSettings,
    RetryBudgetSettings,
    ServerSettings,
    Settings,
    StorageSettings,
)

CLASSES: list[tuple[type[Any], type[Exception]]] = [
    (BreakerSettings, InvalidInput),
    (CassetteSettings, InvalidInput),
    (EngineSettings, InvalidInput),
    (GatewaySettings, InvalidInput),
    (HedgeSettings, InvalidInput),
    (Limits, InvalidInput),
    (PriceSettings, InvalidInput),
    (RetentionSettings, InvalidInput),
    (RetryBudgetSettings, InvalidInput),
    (ServerSettings, InvalidInput),
    (Settings, InvalidInput),
    (StorageSettings, InvalidInput),
    (PromptPolicy, InvalidDefinition),
]


class Nasty:
    """Something that cannot even be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([10**400, -(10**400), 2**63]),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(
        [
            "90s",
            "5",
            "$5/day",
            "openai:gpt-5",
            "a:b",
            "FULL",
            "fail",
            "refuse",
            "\r\nX: y",
            "tool",
            "*",
            "\ud800",
        ]
    ),
    st.binary(max_size=3),
    st.timedeltas(),
    st.decimals(),
    st.builds(Limits),
    st.builds(BreakerSettings),
    st.builds(Nasty),
    st.just(Budget("$5/day")),
    st.just(Fallback(3)),
    st.just(GatewaySettings()),
)
JUNK = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.one_of(st.text(max_size=4), st.integers()), inner, max_size=2),
    ),
    max_leaves=5,
)


@pytest.mark.parametrize(("kind", "error"), CLASSES, ids=lambda each: each.__name__)
@given(data=st.data())
def test_whatever_is_given_makes_settings_that_can_be_used_or_one_clear_error(
    kind: type[Any], error: type[Exception], data: st.DataObject
):
    name = data.draw(st.sampled_from([each.name for each in fields(kind)]))
    value = data.draw(JUNK)
    made, problem = tried(lambda: kind(**{name: value}), error)
    if made is None:
        assert name in problem
        assert problem.isprintable()
        assert len(problem) < 500
    else:
        assert usable(getattr(made, name)), (name, getattr(made, name))


def tried(make: Callable[[], Any], error: type[Exception]) -> tuple[Any, str]:
    """What was made, or the one error that may be raised in its place."""
    try:
        return make(), ""
    except error as raised:
        return None, str(raised)


def usable(value: Any) -> bool:
    """Whether a setting is of types that code works with, and each number in it one that can be counted with."""
    match value:
        case None | bool() | Enum() | Path() | Fallback() | Budget():
            return True
        case int() | float():
            return math.isfinite(value) and 0 <= value <= 10**15
        case str():
            return True
        case tuple():
            return all(usable(each) for each in value)
        case dict():
            return all(isinstance(key, str) and usable(each) for key, each in value.items())
        case _:
            return is_dataclass(value)


OPTIONS = [
    "name",
    "template",
    "timeout",
    "retries",
    "max_tokens",
    "cache",
    "budget",
    "models",
    "semantic",
    "stream",
]


@given(name=st.sampled_from([*OPTIONS, "validators", "system", "policy", "hedge", "on_outage"]), value=JUNK)
def test_whatever_a_prompt_is_given_makes_one_or_one_clear_error(name: str, value: Any):
    options: dict[str, Any] = {"name": "p", "template": "{text}", name: value}
    made, problem = tried(lambda: prompt(**options), InvalidDefinition)
    if made is None:
        assert problem.startswith("prompt ")
    else:
        assert usable(made.policy.timeout)
        assert usable(made.cache)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: GatewaySettings(timeout=-1), "GatewaySettings: timeout=-1 must be a time above 0 s"),
        (lambda: GatewaySettings(timeout=math.nan), "timeout=nan must be"),
        (lambda: GatewaySettings(retries=-5), "retries=-5 must be a whole number from 0"),
        (lambda: GatewaySettings(max_tokens=0), "max_tokens=0 must be a whole number from 1"),
        (lambda: GatewaySettings(max_tokens=True), "max_tokens=True must be"),
        (lambda: GatewaySettings(stall="x"), "stall='x' must be a time"),  # type: ignore[arg-type]
        (lambda: GatewaySettings(models="local:smollm2"), "models= takes a list: models=['local:smollm2']"),  # type: ignore[arg-type]
        (lambda: GatewaySettings(budgets=("$5",)), "budgets: '$5' is no budget"),  # type: ignore[arg-type]
        (lambda: GatewaySettings(budgets="$5/day"), "budgets='$5/day' must be a list"),  # type: ignore[arg-type]
        (
            lambda: GatewaySettings(credentials={"openai": "OPENAI_API_KEY"}),  # type: ignore[dict-item]
            "takes a list",
        ),
        (lambda: GatewaySettings(provider_limits={"openai": 5}), "must be a Limits"),  # type: ignore[dict-item]
        (lambda: GatewaySettings(on_outage="hope"), "on_outage='hope' must be one of 'fail'"),  # type: ignore[arg-type]
        (lambda: GatewaySettings(context_windows={"a:b": 0}), "at least 1"),
        (lambda: Limits(requests=1.5), "Limits: requests=1.5 must be a whole number"),  # type: ignore[arg-type]
        (lambda: ServerSettings(drain=math.inf), "ServerSettings: drain=inf"),
        (lambda: ServerSettings(max_body=True), "max_body=True"),
        (lambda: EngineSettings(poll_interval=0), "EngineSettings: poll_interval=0"),
        (lambda: StorageSettings(synchronous="SOMETIMES"), "synchronous='SOMETIMES' must be one of 'OFF'"),
        (lambda: CassetteSettings(mode="live"), "mode='live' must be one of 'replay-only'"),  # type: ignore[arg-type]
        (lambda: Settings(gateway={}), "gateway={} must be a GatewaySettings"),  # type: ignore[arg-type]
        (lambda: ModelPrice(True, "1"), "input=True must be US dollars"),
    ],
)
def test_what_could_never_work_is_refused_where_it_is_made(make: Callable[[], object], problem: str):
    with pytest.raises(InvalidInput) as raised:
        make()
    assert problem in str(raised.value)


def test_times_may_be_written_as_text_or_as_timedeltas():
    made = GatewaySettings(timeout="90s", cache=datetime.timedelta(days=1), stall=7)  # type: ignore[arg-type]
    assert (made.timeout, made.cache, made.stall) == (90.0, 86_400.0, 7)
    assert prompt("p", "{a}", timeout="2m").policy.timeout == 120.0
    assert PromptPolicy(timeout="1h").timeout == 3600.0  # type: ignore[arg-type]


def test_budgets_and_modes_may_be_written_as_text():
    made = GatewaySettings(budgets=["$5/day"], schema_modes=[("a:*", "tool")])  # type: ignore[arg-type]
    assert made.budgets == (Budget("$5/day"),)
    assert made.schema_modes == (("a:*", SchemaMode.TOOL),)
    assert CassetteSettings(mode="record-missing").mode is ReplayMode.RECORD_MISSING  # type: ignore[arg-type]


def test_settings_keep_what_they_were_made_of_when_that_changes_later():
    limits = {"openai": Limits(requests=1)}
    made = GatewaySettings(provider_limits=limits)
    limits["openai"] = Limits(requests=9)
    assert made.provider_limits["openai"].requests == 1


@pytest.mark.parametrize("host", ["http://hx", "hx:8080", "hx/v1", "*.example", "h x", "[::1]:80"])
def test_a_host_that_no_request_could_name_is_refused(host: str):
    with pytest.raises(InvalidInput, match="ServerSettings: hosts="):
        ServerSettings(hosts=(host,))


@pytest.mark.parametrize(
    "origin", ["chat.example", "https://", "https://chat.example/page", "https://*.example", "https://a@b"]
)
def test_an_origin_that_no_browser_could_send_is_refused(origin: str):
    with pytest.raises(InvalidInput, match="ServerSettings: origins="):
        ServerSettings(origins=(origin,))


def test_hosts_and_origins_are_kept_as_requests_name_them():
    made = ServerSettings(
        hosts=("Desk.Example", "[FD00::1]", "*"),
        origins=(
            "HTTPS://Chat.example/",
            "https://a.example:443",
            "http://[::1]:81",
            "tauri://localhost",
            "*",
        ),
    )
    assert made.hosts == ("desk.example", "fd00::1", "*")
    assert made.origins == (
        "https://chat.example",
        "https://a.example",
        "http://[::1]:81",
        "tauri://localhost",
        "*",
    )


def test_a_price_is_kept_by_the_name_that_its_model_has():
    price, url = ModelPrice(1, 2), "http://127.0.0.1:1/v1"
    assert PriceSettings({f"openai:m@{url}/": price}).models == {f"openai:m@{url}": price}
    with pytest.raises(InvalidInput, match="not named already"):
        PriceSettings({f"openai:m@{url}/": price, f"openai:m@{url}": price})
    for name in ("gpt-5", "openai:", ":m", "openai/m"):
        with pytest.raises(InvalidInput, match="names no model: write 'provider:model'"):
            PriceSettings({name: price})


def test_settings_can_be_handed_to_another_process():
    made = Settings(prices=PriceSettings({"openai:m": ModelPrice(Decimal(1), 2)}))
    assert pickle.loads(pickle.dumps(made)) == made


@pytest.mark.parametrize("threshold", [0, 1.5, math.nan, True, "high"])
def test_a_similarity_is_a_number_above_0_and_at_most_1(threshold: Any):
    with pytest.raises(InvalidDefinition, match="threshold="):
        Semantic(threshold)
