"""What `record:` writes down, `replay:` answers: from files that people read and that hold no secret."""

from __future__ import annotations

import asyncio
from dataclasses import fields, replace
from pathlib import Path

import pytest

from podium.domain.answers import FailureKind, Usage
from podium.domain.errors import CredentialMissing, InvalidInput
from podium.domain.money import Money
from podium.ports.models import (
    Delta,
    Message,
    ModelFailure,
    ModelReply,
    ModelRequest,
    Role,
    TextDelta,
)
from podium.providers import Providers, Script
from podium.providers.cassettes.cassette import file_name
from podium.settings import ReplayMode
from tests.providers.asking import SCHEMA, ask
from tests.providers.studio import FULL, Studio, outcome


async def test_a_reply_is_replayed_with_all_that_was_recorded_of_it(studio: Studio):
    assert all(getattr(FULL, field.name) != field.default for field in fields(FULL)), "fill in what is new"
    assert await studio.record([FULL], ask()) == [FULL]
    (again,) = await studio.replay(ask())
    assert again == FULL


async def test_a_replayed_reply_is_heard_in_several_parts(studio: Studio):
    request = ask("Count.")
    await studio.record(["one two three"], request)
    heard: list[Delta] = []
    await studio.replay(replace(request, on_delta=heard.append))
    assert heard == [TextDelta("one"), TextDelta(" two"), TextDelta(" three")]


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
    for no_name in ("..", "../../etc/passwd", "/etc/passwd", "a/b", "a\\b", "a\nb"):
        with pytest.raises(InvalidInput, match="cannot be a cassette's name"):
            file_name(no_name)


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
    assert failed.kind is FailureKind.BAD_REQUEST
    assert "could not be written" in str(failed)
    assert (failed.usage, failed.cost) == (FULL.usage, FULL.cost)
