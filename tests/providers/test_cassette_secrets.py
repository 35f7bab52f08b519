"""No key and no header gets into a cassette."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from podium.domain.answers import FailureKind
from podium.ports.models import (
    ModelFailure,
    ModelReply,
    TokenProbability,
)
from podium.providers import Providers
from podium.settings import CassetteSettings
from tests.providers.asking import KEY, ask
from tests.providers.studio import FULL, Studio, outcome
from tests.wire import WireServer, ok

# Put together here, so that no scanner takes this file for a leak.
KEYS = [
    "sk-" + "proj-" + "a1B2c3D4e5F6g7H8i9J0",
    "sk-ant-" + "api03-" + "abcdefghijklmnopqrstuvwxyz012345",
    "AIza" + "SyA1234567890abcdefghijklmnopqrstuv",
    "AKIA" + "ABCDEFGHIJKLMNOP",
    "ghp_" + "abcdefghijklmnopqrstuvwxyz0123456789",
    "xoxb-" + "1234567890-abcdefghijkl",
    "eyJ" + "hbGciOiJIUzI1NiJ9." + "eyJ" + "zdWIiOiIxMjM0In0.abcDEF123_-",
    "SG." + "ngeVfQFYQlKU0ufo8x5d1A." + "TwL2iGABf9DHoTf-09kqeF8tAmbihYzrnopKc-1s5cr",
    "AC" + "0123456789abcdef0123456789abcdef",
    "shpat_" + "0123456789abcdef0123456789abcdef",
    "ya29." + "a0AfH6SMBx1234567890abcdefgh",
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


NAMED = [
    ("Authorization: Basic ", "dXNlcjpw"),
    ("authorization:basic ", "dXNlcjpwYXNzd29yZA=="),
    ('{"Authorization": "Basic ', "dXNlcjpwYXNzd29yZA=="),
    ("-H 'Proxy-Authorization: Basic ", "dXNlcjpwYXNz"),
    ("Basic ", "dXNlcjpwYXNzd29yZA=="),
    ("Authorization:Bearer ", "abcdefghijklmnopqrstuvwxyz"),
    ("https://example.org/?a=1&api_key=", "aB3dE5gH7"),
    ("API-KEY: ", "aB3dE5gH7"),
    ('{"apiKey": "', "aB3dE5gH7jK9"),
    ('\\"client_secret\\": \\"', "aB3dE5gH7jK9"),
    ("access_token=", "aB3dE5gH7jK9"),
    ("MY_APP_PASSWORD=", "correct-horse"),
]


@pytest.mark.parametrize(("before", "key"), NAMED)
async def test_what_is_called_a_key_is_never_written(studio: Studio, before: str, key: str):
    await studio.record([f"it was {before}{key} !"], ask(f"Use {before}{key}"))
    assert key not in studio.file.read_text()
    assert "[key]" in studio.file.read_text()


@pytest.mark.parametrize(
    "text", ["basic questions about your password", "the key: value pairs", "Basic understanding", "SG. Mr"]
)
async def test_words_that_only_speak_of_keys_stay(studio: Studio, text: str):
    await studio.record(["yes"], ask(text))
    assert text in studio.file.read_text()


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
