"""Cassettes are written by many processes at once, killed ones among them, and read while they grow."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from podium.ports.models import (
    ModelFailure,
    ModelReply,
)
from podium.providers.cassettes.cassette import append
from podium.providers.cassettes.recording import Recording
from tests.providers.asking import ask
from tests.providers.studio import Studio, outcome


def recording(digest: str, take: str, text: str) -> Recording:
    return Recording.model_validate(
        {
            "digest": digest,
            "model": "scripted:desk",
            "prompt": "answer",
            "at": "2026-01-31T00:00:00+00:00",
            "take": take,
            "seconds": 0.5,
            "request": {"messages": []},
            "reply": {"text": text, "finish": "stop", "model": "desk"},
        }
    )


def write_many(path: Path, take: str, times: int) -> None:
    for number in range(times):
        append(path, recording(f"{take}-{number}", take, "x" * (number * 997 % 20_000)))


def test_processes_that_record_to_one_file_lose_and_tear_nothing(tmp_path: Path):
    path = tmp_path / "shared.jsonl"
    spawn = multiprocessing.get_context("fork")
    writers = [spawn.Process(target=write_many, args=(path, f"take{each}", 60)) for each in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    read = [Recording.read(line, "here") for line in path.read_bytes().splitlines()]
    assert {each.digest for each in read} == {
        f"take{take}-{number}" for take in range(4) for number in range(60)
    }
    assert len(read) == 240


async def test_a_line_that_a_killed_process_left_unfinished_is_not_read_and_then_replaced(studio: Studio):
    await studio.record(["yes"], ask())
    whole = studio.file.read_bytes()
    studio.file.write_bytes(whole + whole[: len(whole) // 2])
    assert isinstance((await studio.replay(ask()))[0], ModelReply)
    await studio.record(["no"], ask("another"))
    assert studio.file.read_bytes().startswith(whole)
    assert [line["reply"]["text"] for line in studio.lines()] == ["yes", "no"]


async def test_what_is_recorded_while_it_is_replayed_is_found(studio: Studio):
    await studio.record(["yes"], ask())
    providers = studio.providers()
    assert isinstance(await outcome(providers, "replay:scripted:desk", ask("another")), ModelFailure)
    await studio.record(["no"], ask("another"))
    assert isinstance(await outcome(providers, "replay:scripted:desk", ask("another")), ModelReply)
    studio.file.unlink()
    await studio.record(["anew"], ask("third"))
    assert isinstance(await outcome(providers, "replay:scripted:desk", ask("third")), ModelReply)
    assert isinstance(await outcome(providers, "replay:scripted:desk", ask("another")), ModelFailure)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"nonsense\n", "line 1, is no recording"),
        (b"[]\n", "line 1, is no recording"),
        (
            b'{"podium_cassette": 2}\n',
            "line 1, has version 2 of the format, and this version of Podium reads 1",
        ),
        (b'{"podium_cassette": 1, "digest": "x"}\n', "line 1, cannot be read: model: Field required"),
        (b"\xff\xfe\n", "line 1, is no recording"),
    ],
)
async def test_a_line_that_is_no_recording_is_named(studio: Studio, line: bytes, said: str):
    studio.folder.mkdir()
    studio.file.write_bytes(line)
    (failure,) = await studio.replay(ask())
    assert isinstance(failure, ModelFailure)
    assert f"scripted-desk.jsonl, {said}" in str(failure)
    assert studio.file.stat().st_size == len(line)
