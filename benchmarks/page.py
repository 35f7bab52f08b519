"""The report as the page docs/performance.md."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.figures import Figure, Result
from benchmarks.report import Report, load_of, number_of

HEAD = """\
# Performance

What Podium costs, beside other engines and the plain library underneath, measured in one run on one machine. This page
is written by `make performance`, which takes some minutes and measures anew; it is not edited by hand.
"""

METHOD = """\
## How it is measured

- Every step returns 1 KB and does nothing else, so that what is left is the cost of making it durable.
- Every database is SQLite with a write-ahead log and `synchronous=FULL`: a commit survives a loss of power.
- Podium and each peer run in a process of their own, warm up, and do the same work at the same concurrency, with their
  own clock around the work alone. They take turns, round by round; ratios are taken within a round.
- A figure is the median of {rounds} rounds after a warm-up (importing: the best), with the lowest and the highest beside it.
- A step counts when the code goes on with its result. Podium and DBOS have stored the result by then. LangGraph's
  functional API has not, whatever its durability: its code runs ahead of what is stored, and does those tasks again
  after a crash.
- The twelve models' replies were recorded by WildEval/ZeroEval. They are replayed through the gateway, which reads, repairs
  and validates them as it does live ones. The collection counts no tokens: 4 characters are taken for one. Prices are
  those of today's table; [benchmarks/routing.py](../benchmarks/routing.py) names the host whose price counts for open models.
- The questions that are only similar are banking77's and GSM8K's; [benchmarks/similar.py](../benchmarks/similar.py) says how
  the traps are made. Shares are of all messages or traps, and of what was found where that is said.
- The peers' programs are [benchmarks/contenders](../benchmarks/contenders); each is used in the fastest way that we found
  on SQLite.
- `make bench` prints the same figures. `make bench BENCH="durable-steps --quick"` takes a first look at one of them.
"""


def page(report: Report) -> str:
    """Return the whole page, as Markdown."""
    parts = [HEAD, *_where(report), *(section for result in report.results for section in _section(result))]
    return "\n".join([*parts, METHOD.format(rounds=report.effort.rounds)])


def _where(report: Report) -> Iterator[str]:
    machine = report.machine
    memory = "unknown" if machine.memory_gb is None else f"{machine.memory_gb:.0f} GB"
    facts = {
        "date": report.date,
        "processor": f"{machine.cpu}, {machine.cores} cores",
        "memory": memory,
        "disk": f"{machine.file_system} on {machine.disk}",
        "system": machine.system,
        "load average": f"{load_of(machine.load)} at the start, {load_of(report.load_after)} at the end",
        "Python": machine.python,
        "SQLite": machine.sqlite,
        **machine.versions,
        **{f"{name} (peer)": version for name, version in report.peers},
    }
    yield "## Where\n"
    yield "| what | which |\n| --- | --- |"
    yield from (f"| {_cell(name)} | {_cell(value)} |" for name, value in facts.items())
    if not report.peers:
        yield "\nThe peers could not be installed where this was measured; their rows are missing."
    yield ""


def _section(result: Result) -> Iterator[str]:
    yield f"## {result.title}\n"
    yield "| what | measured | range | target | |\n| --- | ---: | --- | --- | --- |"
    yield from (_row(figure) for figure in result.figures)
    yield ""


def _row(figure: Figure) -> str:
    range_ = ""
    if len(figure.samples) > 1:
        range_ = f"{number_of(min(figure.samples))} to {number_of(max(figure.samples))}"
    target = verdict = ""
    if figure.target is not None:
        target = f"{figure.target.bound} {number_of(figure.target.value)}"
        verdict = "met" if figure.target.is_met_by(figure.value) else "**not met**"
    measured = f"{number_of(figure.value)} {figure.unit}"
    return f"| {_cell(figure.name)} | {measured} | {range_} | {target} | {verdict} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
