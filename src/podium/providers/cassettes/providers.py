"""The providers behind `record:` and `replay:`."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path

from podium.domain.answers import FailureKind
from podium.domain.errors import InvalidInput, RecordingUnusable
from podium.ports.models import ModelFailure, ModelProvider, ModelReply, ModelRequest
from podium.providers import names
from podium.providers.cassettes.asked import Asked
from podium.providers.cassettes.cassette import SUFFIX, Cassette, append, file_name, names_in
from podium.providers.cassettes.masking import Masking
from podium.providers.cassettes.nearest import difference, nearest
from podium.providers.cassettes.recording import Circumstances, recorded
from podium.providers.pieces import tell
from podium.providers.wording import one_line
from podium.settings.cassettes import CassetteSettings, ReplayMode

FOLDER_VARIABLE = "PODIUM_CASSETTES"
MODE_VARIABLE = "PODIUM_CASSETTES_MODE"

_MOST_NAMES = 10

Find = Callable[[str], tuple[ModelProvider, str]]


@dataclass(frozen=True, slots=True)
class _Shelf:
    """Where cassettes are, and what must not get into them."""

    folder: Path
    masking: Masking

    def path(self, name: str) -> Path:
        return self.folder / file_name(name)


def recorder_or_player(
    provider: str, settings: CassetteSettings, environment: Mapping[str, str], find: Find
) -> ModelProvider:
    """Return the provider called `record` or `replay`. `find` finds the real models.

    Raises `RecordingUnusable` when the environment asks for a mode that there is not.
    """
    folder = Path(settings.folder or environment.get(FOLDER_VARIABLE) or "cassettes")
    shelf = _Shelf(folder, Masking(environment))
    recorder = Recorder(shelf, find)
    if provider == names.RECORD:
        return recorder
    mode = settings.mode or _mode(environment.get(MODE_VARIABLE) or ReplayMode.ONLY)
    return Player(shelf, recorder if mode is ReplayMode.RECORD_MISSING else None)


class Recorder:
    """`record:PROVIDER:MODEL`: makes each request at the real provider and writes it down, failures too."""

    def __init__(self, shelf: _Shelf, find: Find) -> None:
        self._shelf = shelf
        self._find = find
        self._take = uuid.uuid4().hex[:12]

    def check(self, model: str) -> None:
        """Raise what the real provider's `check` raises."""
        provider, own = self._find(model)
        provider.check(own)
        self._shelf.path(model)

    async def complete(self, model: str, request: ModelRequest) -> ModelReply:
        """Make the request and record it; raises `ModelFailure`, one when the recording cannot be written."""
        provider, own = self._find(model)
        at = datetime.now(UTC).isoformat(timespec="seconds")
        started = time.monotonic()
        outcome: ModelReply | ModelFailure
        try:
            outcome = await provider.complete(own, request)
        except ModelFailure as failure:
            outcome = failure
        around = Circumstances(model, request.schema_name, at, self._take, time.monotonic() - started)
        await self._write(model, request, outcome, around)
        if isinstance(outcome, ModelFailure):
            raise outcome
        return outcome

    async def close(self) -> None:
        """Nothing is held: the real provider is closed by who opened it."""

    async def _write(
        self, model: str, request: ModelRequest, outcome: ModelReply | ModelFailure, around: Circumstances
    ) -> None:
        masking, path = self._shelf.masking, self._shelf.path(model)

        def write() -> None:
            append(path, recorded(Asked.of(request, masking), outcome, around, masking))

        # To the end, even when nobody waits for the reply any more: it was paid for.
        writing = asyncio.ensure_future(asyncio.to_thread(write))
        try:
            await asyncio.shield(writing)
        except OSError as error:
            # Of the class that ends the call: what was to be recorded shall not go on without.
            raise ModelFailure(
                FailureKind.BAD_REQUEST,
                one_line(
                    f"record:{model} answered, but its recording could not be written to {path}: {error}"
                ),
                usage=outcome.usage,
                cost=outcome.cost,
                price_table=outcome.price_table,
            ) from None


class Player:
    """`replay:NAME`: answers from a cassette, at once.

    What was recorded several times for one request is given in that order; the last of it again from then on. A request
    that was not recorded fails with `FailureKind.BAD_REQUEST`, so that no other candidate answers in its place; with a
    `recorder`, it is made and recorded instead.
    """

    def __init__(self, shelf: _Shelf, recorder: Recorder | None) -> None:
        self._shelf = shelf
        self._recorder = recorder
        self._cassettes: dict[str, Cassette] = {}
        self._played: dict[str, Counter[str]] = defaultdict(Counter)
        self._asking: dict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)

    def check(self, model: str) -> None:
        """Raise `RecordingUnusable` when there is no such cassette, or else what a recorder's `check` raises."""
        if self._recorder is not None:
            self._recorder.check(model)
        elif not self._shelf.path(model).is_file():
            raise RecordingUnusable(self._missing(model))

    async def complete(self, model: str, request: ModelRequest) -> ModelReply:
        """Return what was recorded for this request; raises `ModelFailure` when that was a failure, or nothing."""
        asked = Asked.of(request, self._shelf.masking)
        if self._recorder is None:
            return _given(await self._play(model, asked) or self._miss(model, asked), request)
        # Of several that ask the same at once, one asks the real model.
        async with self._asking[model, asked.digest]:
            played = await self._play(model, asked)
            if played is not None:
                return _given(played, request)
            self._played[model][asked.digest] += 1
            return await self._recorder.complete(model, request)

    async def close(self) -> None:
        """Forget what was read and how far it was played."""
        self._cassettes.clear()
        self._played.clear()
        self._asking.clear()

    async def _play(self, model: str, asked: Asked) -> ModelReply | ModelFailure | None:
        played = self._played[model]
        try:
            cassette = self._cassettes.setdefault(model, Cassette(self._shelf.path(model)))
            for newly in (False, True):
                # On a miss, perhaps it was recorded since.
                if newly:
                    await asyncio.to_thread(cassette.refresh)
                recordings = cassette.find(asked.digest)
                if played[asked.digest] < len(recordings):
                    played[asked.digest] += 1
                    return recordings[played[asked.digest] - 1].outcome()
                # A failure is not the last word while the model itself can be asked.
                if recordings and (self._recorder is None or recordings[-1].failure is None):
                    return recordings[-1].outcome()
        except FileNotFoundError:
            return None if self._recorder else _unusable(self._missing(model))
        except (InvalidInput, OSError) as error:
            return _unusable(f"replay:{model}: {error}")
        return None

    def _miss(self, model: str, asked: Asked) -> ModelFailure:
        near = nearest(asked.request, self._cassettes[model].latest())
        if near is None:
            said = "holds no recording at all"
        else:
            differs = difference(asked.request, near.request)
            said = f"has no such request. Nearest ({near.digest[:8]}, prompt {near.prompt}): {differs}"
        return ModelFailure(FailureKind.BAD_REQUEST, one_line(f"replay:{model} {said}"))

    def _missing(self, model: str) -> str:
        folder, file = self._shelf.folder, self._shelf.path(model).name
        known = names_in(folder)
        near = get_close_matches(file.removesuffix(SUFFIX), known, 1)
        hint = f"; did you mean replay:{near[0]}?" if near else ""
        there = ", ".join(known[:_MOST_NAMES]) or "none"
        return (
            f"replay:{model} needs {file} in {folder}, and there is none (there: {there}){hint} "
            f"Record one with record:PROVIDER:MODEL, or name another folder in {FOLDER_VARIABLE}."
        )


def _given(outcome: ModelReply | ModelFailure, request: ModelRequest) -> ModelReply:
    if isinstance(outcome, ModelFailure):
        raise outcome
    if request.on_token is not None:
        request.on_token()
    # How it was cut is not recorded.
    tell(request, outcome)
    return outcome


def _unusable(message: str) -> ModelFailure:
    # Of the class that ends the call: no other candidate shall answer in place of a recording.
    return ModelFailure(FailureKind.BAD_REQUEST, one_line(message))


def _mode(text: str) -> ReplayMode:
    try:
        return ReplayMode(text)
    except ValueError:
        known = ", ".join(ReplayMode)
        raise RecordingUnusable(f"{MODE_VARIABLE}={text!a} is no mode of replay: it can be {known}") from None
