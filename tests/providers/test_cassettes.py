"""What `record:` writes down, `replay:` answers: from files that people read and that hold no secret."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from podium.domain.answers import FailureKind, Usage
from podium.domain.errors import CredentialMissing, InvalidInput
from podium.domain.money import Money
from podium.ports.models import (
    FinishReason,
    Message,
    ModelFailure,
    ModelReply,
    ModelRequest,
    Role,
    TokenProbability,
)
from podium.providers import Providers, Script
from podium.providers.cassettes.cassette import append, file_name
from podium.providers.cassettes.recording import Recording
from podium.settings import CassetteSettings, ReplayMode
from tests.providers.asking import KEY, SCHEMA, ask
from tests.wire import WireServer, ok

FULL = ModelReply(
    "It is \u201con\u201d its way\n\ud83d \U0001f4e6",
    FinishReason.LENGTH,
    Usage(12, 5),
    "desk-2026-11",
    (TokenProbability("It", -0.25), TokenProbability(" is", float("-inf"))),
    Money(12_345),
    "genai-prices 1.2.3",
)


class Studio:
    """A folder of cassettes, and providers that record to it and replay from it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def providers(
        self,
        script: Any = (),
        *,
        environment: dict[str, str] | None = None,
        mode: ReplayMode | None = None,
    ) -> Providers:
        scripts = {"desk": script if isinstance(script, Script) else Script(script)}
        return Providers(environment or {}, scripts=scripts, cassettes=CassetteSettings(self.folder, mode))

    async def record(
        self, script: Any, *requests: ModelRequest, environment: dict[str, str] | None = None
    ) -> list[ModelReply | ModelFailure]:
        providers = self.providers(script, environment=environment)
        return [await outcome(providers, "record:scripted:desk", each) for each in requests]

    async def replay(
        self, *requests: ModelRequest, name: str = "scripted:desk"
    ) -> list[ModelReply | ModelFailure]:
        providers = self.providers()
        return [await outcome(providers, f"replay:{name}", each) for each in requests]

    @property
    def file(self) -> Path:
        return self.folder / "scripted-desk.jsonl"

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.file.read_bytes().splitlines()]


async def outcome(providers: Providers, name: str, request: ModelRequest) -> ModelReply | ModelFailure:
    provider, model = providers.find(name)
    try:
        return await provider.complete(model, request)
    except ModelFailure as failure:
        return failure


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(tmp_path / "cassettes")


async def test_a_reply_is_replayed_with_all_that_was_recorded_of_it(studio: Studio):
    assert all(getattr(FULL, field.name) != field.default for field in fields(FULL)), "fill in what is new"
    assert await studio.record([FULL], ask()) == [FULL]
    (again,) = await studio.replay(ask())
    assert again == FULL


async def test_a_failure_is_recorded_and_replayed_too(studio: Studio):
    failure = ModelFailure(
        FailureKind.RATE_LIMIT,
        "slow down",
        retry_after=2.5,
        usage=Usage(7, 1),
        cost=Money(3),
        price_table="provider",
    )
    assert await studio.record([failure], ask()) == [failure]
    (again,) = await studio.replay(ask())
    assert isinstance(again, ModelFailure)
    assert str(again) == "slow down"
    for name in ("kind", "retry_after", "usage", "cost", "price_table"):
        assert getattr(again, name) == getattr(failure, name)


async def test_a_line_says_in_plain_words_what_was_asked_and_answered(studio: Studio):
    await studio.record([FULL], replace(ask("Wo ist es, Jürgen?", schema=SCHEMA), schema_name="where"))
    raw = studio.file.read_text()
    assert raw.count("\n") == 1
    assert "Wo ist es, Jürgen?" in raw
    (line,) = studio.lines()
    assert line["podium_cassette"] == 1
    assert line["model"] == "scripted:desk"
    assert line["prompt"] == "where"
    assert line["seconds"] >= 0
    assert line["at"].endswith("+00:00")
    assert line["request"]["schema"] == SCHEMA
    assert line["request"]["max_tokens"] == 64
    assert line["reply"]["cost_usd"] == "0.000012345"
    assert line["reply"]["finish"] == "length"


async def test_deadlines_and_the_prompts_name_make_no_other_request(studio: Studio):
    await studio.record(["yes"], ask(total=20))
    (again,) = await studio.replay(replace(ask(total=0.5, stall=1), schema_name="another"))
    assert isinstance(again, ModelReply)
    assert again.text == "yes"


async def test_what_was_asked_twice_is_answered_in_order_and_the_last_again(studio: Studio):
    busy = ModelFailure(FailureKind.SERVER, "busy")
    await studio.record([busy, "one", "two"], ask(), ask(), ask())
    said = [
        each if isinstance(each, ModelFailure) else each.text for each in await studio.replay(*[ask()] * 5)
    ]
    assert str(said[0]) == "busy"
    assert said[1:] == ["one", "two", "two", "two"]


async def test_recording_again_replaces_what_was_recorded_before(studio: Studio):
    await studio.record(["old", "older"], ask(), ask())
    await studio.record(["new"], ask())
    replies = await studio.replay(ask(), ask())
    assert [getattr(reply, "text", None) for reply in replies] == ["new", "new"]
    assert len(studio.lines()) == 3


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            ask("Where is my parcels?"),
            'message 1 differs at character 19: is "is my parcels?", was "is my parcel?"',
        ),
        (ask(max_tokens=128), "max_tokens is 128, was 64"),
        (ask(temperature=0.5), "temperature is 0.5, was not set"),
        (ask(schema=SCHEMA), 'schema is {"properties": {"intent"'),
        (
            ask(messages=[Message(Role.USER, "Where is my parcel?"), Message(Role.USER, "Well?")]),
            "2 messages, were 1",
        ),
    ],
)
async def test_a_miss_names_the_nearest_request_and_what_differs(
    studio: Studio, asked: ModelRequest, said: str
):
    await studio.record(["yes", "no"], ask("Something else altogether"), ask())
    (miss,) = await studio.replay(asked)
    assert isinstance(miss, ModelFailure)
    assert miss.kind is FailureKind.BAD_REQUEST
    near = next(line for line in studio.lines() if "parcel" in line["request"]["messages"][0]["text"])
    assert (
        f"replay:scripted:desk has no such request. Nearest ({near['digest'][:8]}, prompt answer): {said}"
        in str(miss)
    )


def test_a_cassette_that_is_not_there_is_named_with_those_that_are(studio: Studio):
    studio.folder.mkdir()
    (studio.folder / "openai-gpt-5-mini.jsonl").touch()
    provider, model = studio.providers().find("replay:openai-gpt-5-mni")
    with pytest.raises(InvalidInput) as caught:
        provider.check(model)
    assert "(there: openai-gpt-5-mini); did you mean replay:openai-gpt-5-mini?" in str(caught.value)
    provider.check("openai:gpt-5-mini")


async def test_a_cassette_has_two_names(studio: Studio):
    await studio.record(["yes"], ask())
    for name in ("scripted:desk", "scripted-desk"):
        assert isinstance((await studio.replay(ask(), name=name))[0], ModelReply)


def test_names_make_plain_files_that_are_never_mistaken_for_one_another():
    names = [
        "openai:a/b",
        "openai:a-b",
        "openai:a@http://127.0.0.1:1/v1",
        "local:/x/y.gguf",
        "a" * 400,
        "ünï:cödé",
    ]
    made = [file_name(name) for name in names]
    assert len(set(made)) == len(made)
    assert all(len(name) < 150 and "/" not in name and not name.startswith(".") for name in made)
    assert file_name("openai:gpt-5-mini") == "openai-gpt-5-mini.jsonl"
    assert "/" not in file_name("../../etc/passwd")
    with pytest.raises(InvalidInput, match="cannot be a cassette's name"):
        file_name("..")


async def test_what_is_missing_is_asked_for_and_recorded_where_the_mode_says_so(studio: Studio):
    script = Script(["yes", "no"])
    providers = studio.providers(script, mode=ReplayMode.RECORD_MISSING)
    asked = [ask(), ask(), ask("another")]
    said = [await outcome(providers, "replay:scripted:desk", each) for each in asked]
    assert [getattr(each, "text", None) for each in said] == ["yes", "yes", "no"]
    assert len(script.requests) == len(studio.lines()) == 2


async def test_of_many_that_miss_the_same_at_once_one_asks(studio: Studio):
    script = Script(["yes"])
    providers = studio.providers(script, mode=ReplayMode.RECORD_MISSING)
    said = await asyncio.gather(*(outcome(providers, "replay:scripted:desk", ask()) for _ in range(20)))
    assert {getattr(each, "text", None) for each in said} == {"yes"}
    assert len(script.requests) == 1


async def test_a_recorded_failure_is_not_the_last_word_where_what_is_missing_is_recorded(studio: Studio):
    await studio.record([ModelFailure(FailureKind.SERVER, "busy")], ask())
    providers = studio.providers(["yes"], mode=ReplayMode.RECORD_MISSING)
    said = [await outcome(providers, "replay:scripted:desk", ask()) for _ in range(3)]
    assert [getattr(each, "text", None) for each in said] == [None, "yes", "yes"]


async def test_the_environment_names_the_folder_and_the_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    environment = {"PODIUM_CASSETTES": str(tmp_path / "here"), "PODIUM_CASSETTES_MODE": "record-missing"}
    providers = Providers(environment, scripts={"desk": Script(["yes"])})
    await outcome(providers, "replay:scripted:desk", ask())
    assert (tmp_path / "here" / "scripted-desk.jsonl").exists()
    monkeypatch.chdir(tmp_path)
    await outcome(Providers({}, scripts={"desk": Script(["yes"])}), "record:scripted:desk", ask())
    assert (tmp_path / "cassettes" / "scripted-desk.jsonl").exists()
    with pytest.raises(InvalidInput, match="it can be replay-only, record-missing"):
        Providers({"PODIUM_CASSETTES_MODE": "nonsense"}).find("replay:desk")


def test_the_real_model_is_checked_before_anything_is_recorded():
    provider, model = Providers({}).find("record:openai:gpt-5-mini")
    with pytest.raises(CredentialMissing):
        provider.check(model)
    for name in ("record:record:openai:x", "record:replay:x", "record:nonsense:x", "record:"):
        with pytest.raises(InvalidInput):
            Providers({}).find(name)


async def test_a_recording_that_cannot_be_written_fails_with_what_was_spent(studio: Studio):
    studio.folder.write_text("in the way")
    (failed,) = await studio.record([FULL], ask())
    assert isinstance(failed, ModelFailure)
    assert failed.kind is FailureKind.UNAVAILABLE
    assert "could not be written" in str(failed)
    assert (failed.usage, failed.cost) == (FULL.usage, FULL.cost)


# Put together here, so that no scanner takes this file for a leak.
KEYS = [
    "sk-" + "proj-" + "a1B2c3D4e5F6g7H8i9J0",
    "sk-ant-" + "api03-" + "abcdefghijklmnopqrstuvwxyz012345",
    "AIza" + "SyA1234567890abcdefghijklmnopqrstuv",
    "AKIA" + "ABCDEFGHIJKLMNOP",
    "ghp_" + "abcdefghijklmnopqrstuvwxyz0123456789",
    "xoxb-" + "1234567890-abcdefghijkl",
    "eyJ" + "hbGciOiJIUzI1NiJ9." + "eyJ" + "zdWIiOiIxMjM0In0.abcDEF123_-",
    "-----BEGIN " + "PRIVATE KEY-----\nMIIabc\n-----END " + "PRIVATE KEY-----",
]


@pytest.mark.parametrize("key", KEYS)
async def test_what_looks_like_a_key_is_never_written(studio: Studio, key: str):
    reply = replace(
        FULL, text=f"your key is {key}.", tokens=tuple(TokenProbability(sign, -1) for sign in f"a {key} b")
    )
    failure = ModelFailure(FailureKind.AUTHENTICATION, f"wrong key {key}!")
    request = replace(
        ask(f"Use {key}, please"), schema={"type": "object", "description": f"as {key}", key: 1}
    )
    await studio.record([reply, failure], request, request)
    raw = studio.file.read_text()
    for part in key.splitlines():
        assert part not in raw
    assert "Use [key], please" in raw
    assert "your key is [key]." in raw
    spelt = "".join(text for text, _ in studio.lines()[0]["reply"]["tokens"])
    assert key not in spelt
    assert (spelt[:2], spelt[-2:]) == ("a ", " b")
    # The same request finds its recording, and so does one with another key: it asks the same.
    (again,) = await studio.replay(request)
    assert isinstance(again, ModelReply)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OPENAI_API_KEY", "hunter2"),
        ("ANTHROPIC_API_KEY", 'with "quotes" and \\ in it'),
        ("GEMINI_API_KEY", "plain-words-here"),
        ("OPENAI_COMPATIBLE_API_KEY", "letmein"),
        ("SOMEONES_PASSWORD", "correct-horse"),
        ("GITHUB_TOKEN", "not-of-any-known-form"),
    ],
)
async def test_no_value_of_a_variable_that_holds_a_key_is_ever_written(
    studio: Studio, variable: str, value: str
):
    reply = replace(FULL, text=f"it is {value}", tokens=(TokenProbability(value, -1),))
    await studio.record([reply], ask(f"Is it {value}?"), environment={variable: value})
    raw = studio.file.read_text()
    assert value not in raw
    assert json.dumps(value)[1:-1] not in raw
    assert raw.count("[key]") == 2


async def test_what_says_that_there_is_no_key_is_no_secret(studio: Studio):
    await studio.record(
        ["none of it"], ask("none?"), environment={"OPENAI_API_KEY": "none", "HOME": "none of"}
    )
    assert "[key]" not in studio.file.read_text()


async def test_no_header_of_a_real_exchange_is_written(tmp_path: Path):
    async with WireServer("openai") as server:
        server.reply(ok(f"it is {KEY}"))
        settings = CassetteSettings(tmp_path)
        providers = Providers({"OPENAI_COMPATIBLE_API_KEY": KEY}, cassettes=settings)
        name = server.name("test-model")
        live = await outcome(providers, f"record:{name}", ask(f"is it {KEY}?"))
        await providers.close()
    (file,) = tmp_path.iterdir()
    raw = file.read_text().lower()
    assert KEY not in raw
    for word in ("authorization", "bearer", "content-type", "header"):
        assert word not in raw
    again = await outcome(Providers({}, cassettes=settings), f"replay:{name}", ask("is it [key]?"))
    assert isinstance(live, ModelReply)
    assert live.text == f"it is {KEY}"
    assert again == replace(live, text="it is [key]")


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
