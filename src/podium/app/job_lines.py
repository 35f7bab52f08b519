"""The lines of a job: a JSON Lines file, one run a line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from podium.domain.errors import InvalidInput, NotSerialisable
from podium.domain.ids import RunId, checked_run_id, digest
from podium.flow.workflows import Workflow


@dataclass(frozen=True, slots=True)
class JobLine:
    """One line, counted from 1. Either `input` is ready to be stored, or `problem` says why it cannot be.

    `repaired` says that bytes that are not UTF-8 were replaced by U+FFFD.
    """

    number: int
    run_id: RunId | None
    input: bytes | None = None
    problem: str | None = None
    repaired: bool = False


def read_job_lines(path: Path, workflow: Workflow[Any, Any], id_field: str | None) -> Iterator[JobLine]:
    """Yield the lines of a JSON Lines file, good and bad, without the empty ones.

    The run id is the value of `id_field` in the line's object, or follows from the line's content. Raises
    `InvalidInput` when the file cannot be read.
    """
    seen: dict[RunId, int] = {}
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, 1):
                data = raw.removeprefix(b"\xef\xbb\xbf").strip() if number == 1 else raw.strip()
                if data:
                    yield _line(number, data, workflow, id_field, seen)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror or error}.") from error


def _line(
    number: int, data: bytes, workflow: Workflow[Any, Any], id_field: str | None, seen: dict[RunId, int]
) -> JobLine:
    text = data.decode("utf-8", "replace")
    repaired = text.encode() != data
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return JobLine(number, None, problem=f"not valid JSON: {error}")
    try:
        run_id = _run_id(value, text, id_field)
        if run_id in seen:
            return JobLine(
                number, run_id, problem=f"has the same {id_field or 'content'} as line {seen[run_id]}"
            )
        encoded = workflow.parse_input(text.encode())
    except (InvalidInput, NotSerialisable) as error:
        return JobLine(number, None, problem=str(error))
    seen[run_id] = number
    return JobLine(number, run_id, encoded, repaired=repaired)


def _run_id(value: Any, text: str, id_field: str | None) -> RunId:
    if id_field is None:
        return RunId(f"line-{digest(text)[:16]}")
    found = value.get(id_field) if isinstance(value, dict) else None
    if not isinstance(found, str | int) or isinstance(found, bool):
        raise InvalidInput(f"has no field {id_field!r} with a text or a whole number to make a run id of")
    return checked_run_id(str(found))
