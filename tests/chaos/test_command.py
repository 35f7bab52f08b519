"""The command: what it shows, and by what exit code it tells that a promise was broken."""

from __future__ import annotations

import ast
import io
import json
from collections import Counter

import pytest
from rich.console import Console

from chaos import __main__ as command
from chaos.part import Outcome, Part
from chaos.points import CRASH_POINTS
from chaos.report import Tried, show
from tests.support.processes import ROOT


def test_the_same_seed_tries_the_same_things(capsys, tmp_path):
    told = []
    for _ in range(2):
        code = command.main(
            ["--only", "disks", "--seconds", "0", "--seed", "7", "--json", "--folder", str(tmp_path)]
        )
        assert code == 0
        report = json.loads(capsys.readouterr().out)
        assert report["seed"] == 7
        (part,) = report["parts"]
        assert part["violations"] == []
        told.append(part["tried"].keys())
    assert told[0] == told[1]


def test_a_violation_is_shown_with_the_seed_and_fails_the_command(capsys, monkeypatch):
    broken = Part(
        "broken", "a part that finds something", 1.0, lambda _: Outcome(Counter(fault=3), ["r1 is lost"])
    )
    monkeypatch.setattr(command, "PARTS", (broken,))
    assert command.main(["--seed", "11"]) == 1
    shown = capsys.readouterr().out
    assert "r1 is lost" in shown
    assert "--seed 11" in shown


def test_the_table_adds_up():
    part = Part("a", "first", 1.0, lambda _: Outcome())
    shown = io.StringIO()
    tried = [Tried(part, Outcome(Counter(x=2, y=3)), 1.0), Tried(part, Outcome(Counter(x=1), ["bad"]), 2.0)]
    show(Console(file=shown, width=100), 5, tried, details=True)
    (together,) = [line.split() for line in shown.getvalue().splitlines() if "together" in line]
    assert together == ["together", "6", "1", "3"]


def test_an_unknown_part_is_refused(capsys):
    with pytest.raises(SystemExit) as end:
        command.main(["--only", "nonsense"])
    assert end.value.code == 2
    assert "nonsense" in capsys.readouterr().err


@pytest.mark.parametrize("test", [test for tests in CRASH_POINTS.values() for test in tests])
def test_every_crash_point_is_a_test_that_there_is(test: str):
    file, _, name = test.partition("::")
    tree = ast.parse((ROOT / file).read_text())
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert name in names
