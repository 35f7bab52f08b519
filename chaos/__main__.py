"""`python -m chaos`: try faults for a while, show a table, say by its exit code whether a promise was broken."""

from __future__ import annotations

import argparse
import logging
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from chaos.part import Effort, Part
from chaos.parts import PARTS
from chaos.report import Tried, as_json, show

SECONDS = 150.0

EXAMPLES = """\
examples:
  python -m chaos                           everything, in about three minutes, by a seed that it prints
  python -m chaos --seed 7                  the same faults in the same order again
  python -m chaos --only disks --seconds 3600
  python -m chaos --json > chaos.json

exit code: 0 when every promise was kept, 1 when one was broken, 2 for wrong arguments
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    asked = _parser().parse_args(arguments)
    seed: int = random.SystemRandom().randrange(10**6) if asked.seed is None else asked.seed
    chosen = [part for part in PARTS if not asked.only or part.name in asked.only]
    # Where JSON goes to standard output, people read on standard error.
    console = Console(stderr=asked.json, highlight=False, markup=False)
    # The product logs each failed disk, of which there are hundreds here.
    logging.disable(logging.CRITICAL)
    console.print(f"seed {seed}")
    try:
        with tempfile.TemporaryDirectory(prefix="podium-chaos-", dir=asked.folder) as folder:
            tried = [_one(part, chosen, seed, asked.seconds, Path(folder), console) for part in chosen]
    except OSError as error:
        print(f"chaos: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    finally:
        logging.disable(logging.NOTSET)
    show(console, seed, tried, details=asked.details)
    if asked.json:
        print(as_json(seed, tried))
    return int(any(each.outcome.violations for each in tried))


def _one(
    part: Part, chosen: Sequence[Part], seed: int, seconds: float, folder: Path, console: Console
) -> Tried:
    shares = sum(each.share for each in chosen) or 1.0
    own = folder / part.name
    own.mkdir()
    began = time.monotonic()
    with console.status(f"{part.name}: {part.title}"):
        outcome = part.run(Effort(seed, seconds * part.share / shares, own))
    return Tried(part, outcome, time.monotonic() - began)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m chaos",
        description="Break what can break under Podium, and check that it keeps every promise.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [part.name for part in PARTS]
    parser.add_argument("--seed", type=int, help="repeat what was tried by this seed (default: a new one)")
    parser.add_argument(
        "--seconds",
        type=float,
        default=SECONDS,
        help=f"for how long, but for the points (default: {SECONDS:g})",
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=names,
        metavar="PART",
        help=f"one of {', '.join(names)}; may be repeated",
    )
    parser.add_argument("--details", action="store_true", help="show how often each fault was tried")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--folder", type=Path, help="where the databases go (default: the system's temporary folder)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
