"""Where and on what was measured, without which no figure says anything."""

from __future__ import annotations

import os
import platform
import sqlite3
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

LIBRARIES = ("podium", "pydantic", "sqlalchemy", "orjson")


@dataclass(frozen=True, slots=True)
class Machine:
    """What was measured on. `load` is the load average of the last minute, None where the system has none."""

    cpu: str
    cores: int
    system: str
    python: str
    sqlite: str
    file_system: str
    load: float | None
    versions: dict[str, str]

    @property
    def keeps_nothing(self) -> bool:
        """Whether the databases are in memory, where a safe commit costs nothing and proves nothing."""
        return self.file_system in {"tmpfs", "ramfs"}


def this_machine(folder: Path) -> Machine:
    """Return what is measured on now, with the databases in `folder`."""
    return Machine(
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        system=f"{platform.system()} {platform.release()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        sqlite=sqlite3.sqlite_version,
        file_system=_file_system(folder),
        load=load(),
        versions={name: version(name) for name in LIBRARIES},
    )


def load() -> float | None:
    """Return the load average of the last minute, or None."""
    try:
        return round(os.getloadavg()[0], 2)
    except OSError:
        return None


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _file_system(folder: Path) -> str:
    """Return the type of the file system that holds `folder`, where the system says so."""
    try:
        mounts = [line.split()[1:3] for line in Path("/proc/self/mounts").read_text().splitlines()]
    except OSError:
        return "unknown file system"
    holding = [(len(point), kind) for point, kind in mounts if folder.resolve().is_relative_to(point)]
    # Of mounts at one point the last one covers the others.
    return max(reversed(holding), key=lambda mount: mount[0])[1] if holding else "unknown file system"
