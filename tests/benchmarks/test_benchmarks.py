"""The benchmarks work: each runs at a tiny size, and what they report is what they measured."""

from __future__ import annotations

import io
import json
import math
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import __main__ as command
from benchmarks import routing, similar
from benchmarks.bench import FULL, Bench, Effort
from benchmarks.contest import (
    KNOWN_PEERS,
    PODIUM,
    ROOT,
    Contender,
    ContestError,
    Peers,
    installed_peers,
)
from benchmarks.figures import Bound, Figure, Result, Target, at_best, best, median, percentile, ratio
from benchmarks.machine import Machine
from benchmarks.page import page
from benchmarks.report import Report, as_json, show_machine, show_result
from benchmarks.table import BENCHMARKS, Benchmark

TINY = Effort(rounds=1, factor=0.01, targets=True)
MACHINE = Machine(
    "a processor", 2, 8.0, "Linux", "CPython 3.11", "3.40.1", "ext4", "a hard disk", 0.5, {"podium": "1.0"}
)
# The real peers are no part of this environment.
PEERS = Peers(
    tuple(replace(PODIUM, name=peer.name, module="tests.benchmarks.quick_contender") for peer in KNOWN_PEERS),
    (("langgraph", "1.0"), ("langgraph-checkpoint-sqlite", "1.0"), ("dbos", "1.0")),
)


PAGE = ROOT / "docs" / "performance.md"


# Dozens of processes are started one after the other.
@pytest.mark.timeout(400)
@pytest.mark.parametrize("benchmark", BENCHMARKS, ids=lambda benchmark: benchmark.name)
def test_every_benchmark_measures_something_and_cleans_up(benchmark: Benchmark, tmp_path: Path):
    shown = io.StringIO()
    report = command.measure([benchmark], TINY, tmp_path, Console(file=shown, width=200), PEERS)
    if benchmark.name == "routing" and not routing.CORPUS.is_dir():
        assert report.results == ()
        assert "left out, the recorded replies are not here" in shown.getvalue()
        return
    if benchmark.name == "similar" and not similar.CORPUS.is_dir():
        assert report.results == ()
        assert "left out, the messages and questions are not here" in shown.getvalue()
        return
    (result,) = report.results
    assert (result.name, result.title) == (benchmark.name, benchmark.title)
    assert result.figures
    for figure in result.figures:
        assert len(figure.samples) == TINY.rounds
        assert math.isfinite(figure.value)
        # A share may be of none, and what something adds may be lost in what else the machine does.
        is_difference = ": added to " in figure.name or " over " in figure.name
        assert figure.value > 0 or is_difference or (figure.value == 0 and figure.unit == "%")
        assert figure.name in shown.getvalue()
    assert len({figure.name for figure in result.figures}) == len(result.figures)
    assert list(tmp_path.iterdir()) == []
    assert_the_page_has_this_section(report)


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
    data = json.loads(as_json(Report(MACHINE, 0.5, TINY, (result,), (), "2026-01-31")))
    assert data["results"][0]["figures"][0]["target"] == {"bound": bound, "value": 8_000, "met": met}


def test_databases_in_memory_are_called_out():
    for file_system, warned in (("tmpfs", True), ("ext4", False)):
        shown = io.StringIO()
        machine = replace(MACHINE, file_system=file_system, load=None)
        show_machine(Console(file=shown, width=200), machine, ())
        assert ("commits cost nothing" in shown.getvalue()) is warned


def test_contenders_take_turns_and_the_warm_up_is_not_counted(tmp_path: Path):
    calls: list[str] = []

    def contender(name: str, *seconds: float):
        left = iter(seconds)

        def measure() -> float:
            calls.append(name)
            return next(left)

        return measure

    bench = Bench(tmp_path, Effort(rounds=3, factor=1, targets=True), lambda _: None)
    ours, theirs = bench.take_turns(contender("a", 99, 1, 2, 3), contender("b", 99, 4, 5, 6))
    assert (ours, theirs) == ([1, 2, 3], [4, 5, 6])
    assert "".join(calls[2:]) == "abbaab"


def test_the_page_on_performance_is_as_the_benchmarks_write_it():
    report = Report(MACHINE, 0.5, FULL, (), PEERS.versions, "2026-01-31")
    written, on_disk = page(report), PAGE.read_text()
    assert headings(on_disk) == [
        "Performance",
        "Where",
        *(benchmark.title for benchmark in BENCHMARKS),
        "How it is measured",
    ]
    assert on_disk.startswith(written.partition("## Where")[0])
    assert on_disk.endswith(written[written.index("## How it is measured") :])
    facts = [row[0] for row in rows(section(written, "Where"))]
    of_libraries = [row[0] for row in rows(section(on_disk, "Where"))]
    assert of_libraries[: facts.index("podium") + 1] == facts[: facts.index("podium") + 1]
    assert [name for name in facts if name not in of_libraries] == []


def test_the_page_says_what_was_not_reached_and_what_was_not_there():
    missed = Figure("steps", "steps/s", 7.0, (6.0, 7.0, 8.0), "median", Target(Bound.AT_LEAST, 8_000))
    result = Result("durable-steps", "Durable | steps", (missed,), 1.0)
    written = page(Report(replace(MACHINE, memory_gb=None), None, FULL, (result,), (), "2026-01-31"))
    assert "| steps | 7.00 steps/s | 6.00 to 8.00 | at least 8,000 | **not met** |" in written
    assert "peers could not be installed" in written
    assert "| memory | unknown |" in written
    assert "| load average | 0.50 at the start, unknown at the end |" in written


def test_peers_that_are_not_installed_are_left_out_with_a_word(tmp_path: Path):
    assert installed_peers(tmp_path / "bin" / "python") == Peers()
    # An environment without them is no better than none: this one is.
    assert installed_peers(Path(sys.executable)) == Peers()
    for peers, said in (((), True), (PEERS.versions, False)):
        shown = io.StringIO()
        show_machine(Console(file=shown, width=200), MACHINE, peers)
        assert ("The peers are not installed" in shown.getvalue()) is said
    assert "langgraph 1.0" in shown.getvalue()


def test_a_contender_that_fails_is_told_of_with_its_last_words(tmp_path: Path):
    contender = Contender("Nobody", "benchmarks.contenders.nobody", Path(sys.executable))
    with pytest.raises(ContestError, match=r"Nobody failed with exit code 1: .*No module named"):
        contender.seconds(tmp_path / "it.db", runs=1, steps=1)


def test_every_peer_has_a_program_and_a_locked_package():
    locked = (ROOT / "requirements" / "peers.txt").read_text()
    for peer in KNOWN_PEERS:
        module = peer.module.rpartition(".")[2]
        assert (ROOT / "benchmarks" / "contenders" / f"{module}.py").is_file()
        assert re.search(rf"^{module}==", locked, re.MULTILINE)
        assert f"\n{module}==" not in (ROOT / "requirements" / "lock.txt").read_text()


def assert_the_page_has_this_section(report: Report):
    """Its rows, units and targets are on the page on disk; figures and sizes are another machine's."""
    (result,) = report.results
    written, measured = skeleton(PAGE.read_text(), result.title), skeleton(page(report), result.title)
    if result.name == "gateway":
        # LiteLLM is no part of this environment, unlike the engines whose place another one takes here.
        written = [row for row in written if "LiteLLM" not in row[0]]
        measured = [row for row in measured if "LiteLLM" not in row[0]]
    assert written == measured, "run `make performance` and commit docs/performance.md"


def skeleton(text: str, title: str) -> list[tuple[str, str, str]]:
    return [
        (re.sub(r"[\d,.]*\d", "#", name), measured.partition(" ")[2], target)
        for name, measured, _, target, _ in rows(section(text, title))
    ]


def section(text: str, title: str) -> str:
    return text.split(f"## {title}\n")[1].partition("\n## ")[0]


def headings(text: str) -> list[str]:
    return re.findall(r"^#+ (.*)$", text, re.MULTILINE)


def rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_figures_sum_up_their_samples_as_they_say():
    assert median("m", "s", [5, 1, 2]).value == 2
    assert best("b", "s", [5, 1, 2]).value == 1
    # Paired by round: a slow moment that hit both sides leaves their ratio alone.
    assert ratio("r", [10, 1, 20], [5, 0.5, 10]).samples == (2, 2, 2)
    # The best of each round, whoever it was.
    assert at_best(max, [[1, 5], [2, 4]]) == [2, 5]
    assert at_best(min, [[1, 5], [2, 4]]) == [1, 4]
    assert percentile([4, 1, 3, 2], 50) == 2
    assert percentile(list(range(1, 51)), 99) == 50
    assert percentile(list(range(1, 201)), 99) == 198
