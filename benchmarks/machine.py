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
    """What was measured on.

    `disk` is the device that holds the databases, in words. `load` is the load average of the last minute. What the
    system does not tell is None or said to be unknown.
    """

    cpu: str
    cores: int
    memory_gb: float | None
    system: str
    python: str
    sqlite: str
    file_system: str
    disk: str
    load: float | None
    versions: dict[str, str]

    @property
    def keeps_nothing(self) -> bool:
        """Whether the databases are in memory, where a safe commit costs nothing and proves nothing."""
        return self.file_system in {"tmpfs", "ramfs"}


def this_machine(folder: Path) -> Machine:
    """Return what is measured on now, with the databases in `folder`."""
    device, file_system = _mount(folder)
    return Machine(
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_gb=_memory_gb(),
        system=f"{platform.system()} {platform.release()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        sqlite=sqlite3.sqlite_version,
        file_system=file_system,
        disk=_disk(device),
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


def _memory_gb() -> float | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (OSError, ValueError):
        return None


def _mount(folder: Path) -> tuple[str, str]:
    """Return the device and the type of the file system that holds `folder`, where the system says so."""
    unknown = "an unknown device", "unknown file system"
    try:
        mounts = [line.split()[:3] for line in Path("/proc/self/mounts").read_text().splitlines()]
    except OSError:
        return unknown
    holding = [
        (len(point), (device, kind))
        for device, point, kind in mounts
        if folder.resolve().is_relative_to(point)
    ]
    # Of mounts at one point the last one covers the others.
    return max(reversed(holding), key=lambda mount: mount[0])[1] if holding else unknown


def _disk(device: str) -> str:
    """Return what is known of a device: whether it turns, and whether it is a virtual machine's."""
    name = Path(device).name
    for block in Path("/sys/block").glob("*"):
        if not name.startswith(block.name):
            continue
        try:
            turns = (block / "queue" / "rotational").read_text().strip() == "1"
        except OSError:
            break
        if block.name.startswith("vd"):
            return "a virtual disk"
        return "a hard disk" if turns else "a solid-state disk"
    return "a device of unknown kind"
