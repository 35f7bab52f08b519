"""`python -m benchmarks`: measure all or some, show a table or JSON."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from benchmarks.bench import FULL, QUICK, Bench, Effort, NothingToMeasure
from benchmarks.contest import ContestError, Peers, installed_peers
from benchmarks.figures import Result
from benchmarks.machine import load, this_machine
from benchmarks.page import page
from benchmarks.report import Report, as_json, show_end, show_machine, show_result
from benchmarks.table import BENCHMARKS, Benchmark

EXAMPLES = """\
examples:
  python -m benchmarks                        everything, in some minutes
  python -m benchmarks durable-steps --quick  one of them, a tenth of the size, in seconds
  python -m benchmarks --page report.md       everything, and write it down
  python -m benchmarks --json > before.json   for comparing later
  python -m benchmarks --folder /mnt/disk     on another file system
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    known = [benchmark.name for benchmark in BENCHMARKS]
    for name in asked.names:
        if name not in known:
            parser.error(f"there is no benchmark {name!a}; there are {', '.join(known)}")
    chosen = [each for each in BENCHMARKS if not asked.names or each.name in asked.names]
    effort = QUICK if asked.quick else FULL
    # Where JSON goes to standard output, people read on standard error.
    console = Console(stderr=asked.json, highlight=False, markup=False)
    try:
        with tempfile.TemporaryDirectory(prefix="podium-benchmarks-", dir=asked.folder) as folder:
            report = measure(chosen, effort, Path(folder), console, installed_peers())
        if asked.page is not None:
            asked.page.write_text(page(report))
            console.print(f"wrote {asked.page}")
    except (ContestError, OSError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    if asked.json:
        print(as_json(report))
    return 0


def measure(
    chosen: Sequence[Benchmark], effort: Effort, folder: Path, console: Console, peers: Peers
) -> Report:
    """Run the benchmarks one after the other with their databases in `folder`, showing each result as it comes."""
    machine = this_machine(folder)
    show_machine(console, machine, peers.versions)
    results = []
    for benchmark in chosen:
        try:
            result = _one(benchmark, effort, folder, console, peers)
        except NothingToMeasure as missing:
            console.print(f"\n{benchmark.title}: left out, {missing}", style="yellow")
            continue
        show_result(console, result)
        results.append(result)
    today = datetime.now(UTC).date().isoformat()
    report = Report(machine, load(), effort, tuple(results), peers.versions, today)
    show_end(console, report)
    return report


def _one(benchmark: Benchmark, effort: Effort, folder: Path, console: Console, peers: Peers) -> Result:
    began = time.perf_counter()
    with console.status(benchmark.title) as status, tempfile.TemporaryDirectory(dir=folder) as own:

        def say(text: str) -> None:
            status.update(f"{benchmark.title}: {text}")

        figures = benchmark.measure(Bench(Path(own), effort, say, peers.contenders))
    return Result(benchmark.name, benchmark.title, figures, time.perf_counter() - began)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="What Podium costs, measured beside plain libraries doing the same work in the same run.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [benchmark.name for benchmark in BENCHMARKS]
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"which to run: {', '.join(names)} (default: all)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a tenth of the size and fewer rounds: for a first look"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object with every sample")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the figures to FILE as Markdown too")
    parser.add_argument(
        "--folder", type=Path, help="where the databases go (default: the system's temporary folder)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
