"""Cassettes on disk: where they are, written line by line by any number of processes, read as they grow."""

from __future__ import annotations

import fcntl
import os
import re
import threading
from pathlib import Path
from typing import BinaryIO

from podium.domain.errors import InvalidInput, RecordingUnusable
from podium.domain.ids import digest
from podium.providers import names
from podium.providers.cassettes.recording import Recording

SUFFIX = ".jsonl"
_LONGEST_NAME = 120
_EXACT = re.compile(r"[A-Za-z0-9._-]+(?::[A-Za-z0-9._-]+)?")
_CHUNK = 4096


def file_name(name: str) -> str:
    """Return the name of the file that holds the cassette `name`: `openai:gpt-5-mini` is `openai-gpt-5-mini.jsonl`.

    What a file's name should not hold becomes a dash, and a digest then keeps apart what would be called the same.
    Raises `RecordingUnusable` for a name of nothing but dots and dashes, and for a path.
    """
    if "/" in name or "\\" in name or not name.isprintable():
        _require_model(name)
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-")
    if not plain:
        raise RecordingUnusable(f"{name!a} cannot be a cassette's name: it needs a letter or digit")
    if not _EXACT.fullmatch(name) or len(plain) > _LONGEST_NAME:
        plain = f"{plain[:_LONGEST_NAME]}-{digest(name)[:8]}"
    return plain + SUFFIX


def _require_model(name: str) -> None:
    try:
        names.parse(name)
    except InvalidInput:
        raise RecordingUnusable(
            f"{name!a} cannot be a cassette's name: it is neither a plain name nor a model's. The "
            "folder is named in the settings or the environment."
        ) from None


def names_in(folder: Path) -> list[str]:
    """Return the names of the cassettes in a folder, in order; none when there is no such folder."""
    return sorted(path.stem for path in folder.glob(f"*{SUFFIX}"))


def append(path: Path, recording: Recording) -> None:
    """Add a recording to the file, which is made when it is missing; raises `OSError`.

    Safe beside other processes that do the same: one lock for each line. A line that a killed process left
    unfinished is taken away, so that the file holds whole lines alone.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        end = _end_of_lines(handle)
        os.ftruncate(handle, end)
        rest = memoryview(recording.line())
        try:
            while rest:
                rest = rest[os.write(handle, rest) :]
        except OSError:
            os.ftruncate(handle, end)
            raise
    finally:
        os.close(handle)


def _end_of_lines(handle: int) -> int:
    """Return where the last whole line ends."""
    end = os.fstat(handle).st_size
    while end > 0:
        start = max(end - _CHUNK, 0)
        found = os.pread(handle, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


class Cassette:
    """The recordings of one file, by the digest of what was asked. Reads on when the file has grown."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._takes: dict[str, list[Recording]] = {}
        self._identity: tuple[int, int] | None = None
        self._read = 0
        self._lines = 0
        self._reading = threading.Lock()

    def refresh(self) -> None:
        """Read what was added since the last time.

        Raises `InvalidInput`, naming file and line, for a line that is no recording, and `OSError`.
        """
        with self._reading, self.path.open("rb") as file:
            self._read_on(file)

    def _read_on(self, file: BinaryIO) -> None:
        status = os.fstat(file.fileno())
        identity = (status.st_dev, status.st_ino)
        if identity != self._identity or status.st_size < self._read:
            self._takes.clear()
            self._identity, self._read, self._lines = identity, 0, 0
        file.seek(self._read)
        # Only whole lines: the last one may be on its way.
        added = file.read(status.st_size - self._read)
        added = added[: added.rfind(b"\n") + 1]
        lines = added.split(b"\n")[:-1]
        read = [
            Recording.read(line, f"{self.path.name}, line {number},")
            for number, line in enumerate(lines, self._lines + 1)
            if line.strip()
        ]
        for recording in read:
            self._add(recording)
        self._read += len(added)
        self._lines += len(lines)

    def find(self, asked: str) -> list[Recording]:
        """Return what the latest take recorded for the request of this digest, in order."""
        return self._takes.get(asked, [])

    def latest(self) -> list[Recording]:
        """Return for each request what was recorded of it last."""
        return [recordings[-1] for recordings in self._takes.values()]

    def _add(self, recording: Recording) -> None:
        known = self._takes.setdefault(recording.digest, [])
        if known and known[-1].take != recording.take:
            known.clear()
        known.append(recording)
