"""A recording that cannot be used ends the call: no other candidate answers in its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from podium import prompt
from podium.app.models import check_models
from podium.domain.answers import FailureKind
from podium.domain.errors import NoAnswer, RecordingUnusable
from podium.providers import Providers, Script
from podium.settings import CassetteSettings, Settings
from tests.gateway.support import Desk

UNUSABLE = [
    "replay:nofile",
    "replay:a/b",
    "replay:/etc/passwd",
    "replay:../../../etc/passwd",
    "replay:..",
    "record:replay:x",
    "record:record:openai:gpt-5",
    "record:nonsense:x",
    "replay:new\r\nline",
]


def asking(*models: str):
    return prompt("greet", "Say {what}.", models=list(models))


@pytest.mark.parametrize("name", UNUSABLE)
async def test_the_call_ends_and_nobody_else_is_asked(tmp_path: Path, name: str):
    (tmp_path / "a").mkdir()
    live = Script(["hello"])
    providers = Providers({}, scripts={"live": live}, cassettes=CassetteSettings(tmp_path))
    desk = Desk(providers)
    with pytest.raises(NoAnswer) as caught:
        await desk.ask(asking(name, "scripted:live"), what="hello")
    assert not live.requests
    assert desk.recorded[0].failure is FailureKind.BAD_REQUEST
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", UNUSABLE)
def test_it_is_told_before_anything_starts(tmp_path: Path, name: str):
    settings = Settings(cassettes=CassetteSettings(tmp_path))
    with pytest.raises(RecordingUnusable):
        check_models([asking(name, "openai:gpt-5")], settings, {"OPENAI_API_KEY": "sk-test"})


async def test_a_recording_that_cannot_be_written_ends_the_call(tmp_path: Path):
    folder = tmp_path / "folder"
    folder.write_text("in the way")
    scripts = {"live": Script(["hello"]), "other": Script(["hello"])}
    desk = Desk(Providers({}, scripts=scripts, cassettes=CassetteSettings(folder)))
    with pytest.raises(NoAnswer, match="could not be written"):
        await desk.ask(asking("record:scripted:live", "scripted:other"), what="hello")
    assert not scripts["other"].requests


async def test_a_model_with_invisible_characters_in_its_name_is_told_without_them():
    desk = Desk(Providers({}))
    with pytest.raises(NoAnswer) as caught:
        await desk.ask(asking("openai:gpt\r\n\x1b[31mred@http://127.0.0.1:9/v1"), what="hello")
    assert str(caught.value).isprintable()
