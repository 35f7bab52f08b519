"""Fingerprints of arguments: the same for equal ones in every process, another for others."""

from __future__ import annotations

import datetime
import ipaddress
import os
import subprocess
import sys
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium import NotSerialisable
from podium.domain.values import fingerprint
from tests.support.processes import ROOT


class Shape(Enum):
    ROUND = "round"


class Model(pydantic.BaseModel):
    name: str
    tags: set[str] = set()


@dataclass
class Pair:
    left: Any
    right: Any


def mark(value: Any) -> str:
    return fingerprint({"argument": value}, "an argument of step 'send'")


@pytest.mark.parametrize(
    "value",
    [
        None,
        1,
        10**40,
        1.5,
        float("nan"),
        "text",
        "lone \udce9 surrogate",
        b"\xff",
        (1, 2),
        {1, 2},
        frozenset({"a"}),
        {1: "a", None: "b", "x": 3},
        Shape.ROUND,
        Model(name="x", tags={"a", "b"}),
        Pair(1, [Shape.ROUND]),
        datetime.datetime(2026, 1, 1),
        Path("a/b"),
        ipaddress.ip_address("127.0.0.1"),
        pydantic.SecretStr("hidden"),
        pydantic.AnyUrl("http://127.0.0.1/"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_whatever_may_be_an_argument_has_one(value):
    assert mark(value) == mark(value)
    assert len(mark(value)) == 16


DIFFERENT = [
    0,
    1,
    "1",
    "",
    None,
    [],
    [1],
    ["1"],
    [[1]],
    {"a": 1},
    {"a": "1"},
    {"b": 1},
    [1, 2],
    [2, 1],
    {1: 2},
    True,
]


def test_other_arguments_have_another():
    assert len({mark(value) for value in DIFFERENT}) == len(DIFFERENT)
    assert fingerprint({"a": 1}, "") != fingerprint({"b": 1}, "")


def test_the_order_in_which_sets_and_dictionaries_were_filled_does_not_matter():
    assert mark({"a": 1, "b": 2}) == mark({"b": 2, "a": 1})
    assert mark({1: "x", 2: "y"}) == mark({2: "y", 1: "x"})
    # 1 and 9 fall into the same place, so that a set shows which was there first.
    one, other = {1, 9}, {9, 1}
    assert list(one) != list(other)
    assert mark(one) == mark(other)
    assert mark({"k": [one]}) == mark({"k": [other]})


@settings(deadline=None)
@given(st.dictionaries(st.text() | st.integers(), st.sets(st.text() | st.integers())), st.randoms())
def test_equal_values_have_equal_fingerprints(value, dice):
    items = [(name, list(members)) for name, members in value.items()]
    dice.shuffle(items)
    for _, members in items:
        dice.shuffle(members)
    assert mark({name: set(members) for name, members in items}) == mark(value)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (object(), "argument"),
        ({"a": [1, lambda: 1]}, "argument.a[1]"),
        (Pair(1, Pair(2, object())), "argument.right.right"),
        ({"a": iter([])}, "argument.a"),
        (Model, "argument"),
        ((i for i in range(3)), "argument"),
    ],
    ids=["object", "lambda", "dataclass", "iterator", "class", "generator"],
)
def test_what_has_no_stable_form_is_refused_with_its_path(value, path):
    with pytest.raises(NotSerialisable) as caught:
        mark(value)
    assert caught.value.path == path
    assert str(caught.value).startswith("an argument of step 'send' cannot be stored: ")


def test_what_contains_itself_is_refused():
    value: list[Any] = []
    value.append(value)
    with pytest.raises(NotSerialisable, match="argument is nested too deeply, or contains itself"):
        mark(value)


PROGRAM = """
from dataclasses import dataclass
from podium.domain.values import fingerprint

@dataclass
class Pair:
    left: object
    right: object

def mark(value):
    return fingerprint({"argument": value}, "")

words = "the quick brown fox jumps over the lazy dog".split()
print(mark(set(words)), mark({word: {word, "x", 1} for word in set(words)}), mark(Pair(frozenset(words), 1)),
      mark({frozenset({w}): 1 for w in set(words)}))
"""


def test_processes_with_other_hashes_come_to_the_same():
    told = set()
    for seed in ("0", "1", "2"):
        process = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env=os.environ | {"PYTHONHASHSEED": seed},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        told.add(process.stdout)
    assert len(told) == 1
