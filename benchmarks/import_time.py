"""What `import podium` adds to the start of a program."""

from __future__ import annotations

import re
import subprocess
import sys

from benchmarks.bench import Bench
from benchmarks.figures import Bound, Figure, Target, best

TARGET = Target(Bound.AT_MOST, 150)


def measure(bench: Bench) -> tuple[Figure, ...]:
    (samples,) = bench.take_turns(_milliseconds)
    return (best("import podium, with all that it imports", "ms", samples, TARGET),)


def _milliseconds() -> float:
    command = [sys.executable, "-X", "importtime", "-c", "import podium"]
    report = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    cumulative = re.search(r"\|\s*(\d+) \| podium$", report, re.MULTILINE)
    assert cumulative, report
    return int(cumulative[1]) / 1000
