"""The benchmarks work: each runs at a tiny size, and what they report is what they measured."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import __main__ as command
from benchmarks.bench import Bench, Effort
from benchmarks.figures import Bound, Figure, Result, Target, best, median, percentile, ratio
from benchmarks.machine import Machine
from benchmarks.report import Report, as_json, show_machine, show_result
from benchmarks.table import BENCHMARKS, Benchmark

TINY = Effort(rounds=1, factor=0.01)
MACHINE = Machine("a processor", 2, "Linux", "CPython 3.11", "3.40.1", "ext4", 0.5, {"podium": "1.0"})


@pytest.mark.parametrize("benchmark", BENCHMARKS, ids=lambda benchmark: benchmark.name)
def test_every_benchmark_measures_something_and_cleans_up(benchmark: Benchmark, tmp_path: Path):
    shown = io.StringIO()
    report = command.measure([benchmark], TINY, tmp_path, Console(file=shown, width=100))
    (result,) = report.results
    assert (result.name, result.title) == (benchmark.name, benchmark.title)
    assert result.figures
    for figure in result.figures:
        assert len(figure.samples) == TINY.rounds
        assert math.isfinite(figure.value)
        assert figure.value > 0
        assert figure.name in shown.getvalue()
    assert len({figure.name for figure in result.figures}) == len(result.figures)
    assert list(tmp_path.iterdir()) == []


def test_every_benchmark_is_named_once_and_told_of_in_the_help(capsys):
    names = [benchmark.name for benchmark in BENCHMARKS]
    assert len(set(names)) == len(names)
    with pytest.raises(SystemExit) as end:
        command.main(["--help"])
    help_text = capsys.readouterr().out
    assert end.value.code == 0
    assert "examples:" in help_text
    assert [name for name in names if name not in help_text] == []


def test_an_unknown_benchmark_is_refused_with_the_names_of_those_there_are(capsys):
    with pytest.raises(SystemExit) as end:
        command.main(["import", "nonsense"])
    assert end.value.code == 2
    assert "'nonsense'; there are durable-steps, one-run" in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_one_line(capsys, tmp_path: Path):
    assert command.main(["import", "--folder", str(tmp_path / "missing")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("benchmarks: ")


def test_json_is_one_object_on_standard_output_that_says_whether_targets_are_met(capsys, tmp_path: Path):
    assert command.main(["import", "--quick", "--json", "--folder", str(tmp_path)]) == 0
    report = json.loads(capsys.readouterr().out)
    (result,) = report["results"]
    (figure,) = result["figures"]
    assert figure["target"]["met"] is (figure["value"] <= figure["target"]["value"])
    assert len(figure["samples"]) == report["effort"]["rounds"] == 3
    assert report["machine"]["cores"] >= 1
    assert set(report["machine"]["versions"]) >= {"podium", "pydantic"}


@pytest.mark.parametrize(
    ("bound", "value", "met"),
    [
        (Bound.AT_LEAST, 8_000, True),
        (Bound.AT_LEAST, 7_999.9, False),
        (Bound.AT_MOST, 8_000, True),
        (Bound.AT_MOST, 8_000.1, False),
    ],
)
def test_a_target_is_shown_as_met_or_not_met(bound: Bound, value: float, met: bool):
    figure = Figure("steps", "steps/s", value, (value,), "median", Target(bound, 8_000))
    result = Result("durable-steps", "Durable steps", (figure,), 1.0)
    shown = io.StringIO()
    show_result(Console(file=shown, width=80), result)
    assert f"target: {bound} 8,000" in shown.getvalue()
    assert ("NOT MET" in shown.getvalue()) is not met
    data = json.loads(as_json(Report(MACHINE, 0.5, TINY, (result,))))
    assert data["results"][0]["figures"][0]["target"] == {"bound": bound, "value": 8_000, "met": met}


def test_databases_in_memory_are_called_out():
    for file_system, warned in (("tmpfs", True), ("ext4", False)):
        shown = io.StringIO()
        machine = Machine("a processor", 2, "Linux", "CPython", "3.40.1", file_system, None, {})
        show_machine(Console(file=shown, width=200), machine)
        assert ("commits cost nothing" in shown.getvalue()) is warned


def test_contenders_take_turns_and_the_warm_up_is_not_counted(tmp_path: Path):
    calls: list[str] = []

    def contender(name: str, *seconds: float):
        left = iter(seconds)

        def measure() -> float:
            calls.append(name)
            return next(left)

        return measure

    bench = Bench(tmp_path, Effort(rounds=3, factor=1), lambda _: None)
    ours, theirs = bench.take_turns(contender("a", 99, 1, 2, 3), contender("b", 99, 4, 5, 6))
    assert (ours, theirs) == ([1, 2, 3], [4, 5, 6])
    assert "".join(calls[2:]) == "abbaab"


def test_figures_sum_up_their_samples_as_they_say():
    assert median("m", "s", [5, 1, 2]).value == 2
    assert best("b", "s", [5, 1, 2]).value == 1
    # Paired by round: a slow moment that hit both sides leaves their ratio alone.
    assert ratio("r", [10, 1, 20], [5, 0.5, 10]).samples == (2, 2, 2)
    assert percentile([4, 1, 3, 2], 50) == 2
    assert percentile(list(range(1, 51)), 99) == 50
    assert percentile(list(range(1, 201)), 99) == 198
