"""How models are named, found and checked, without any traffic."""

from __future__ import annotations

import subprocess
import sys

import pytest

from podium.domain.errors import CredentialMissing, InvalidInput
from podium.providers import Providers, Script
from tests import wire
from tests.providers.asking import KEY, ask


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("openai:gpt-5-mini", "gpt-5-mini"),
        ("openai:ft:gpt-4.1:acme::1", "ft:gpt-4.1:acme::1"),
        ("openai:meta/llama-4@http://127.0.0.1:8000/v1", "meta/llama-4"),
        ("anthropic:claude-haiku-4-5", "claude-haiku-4-5"),
        ("google:gemini-2.5-flash@001", "gemini-2.5-flash@001"),
        ("local:smollm2", "smollm2"),
        ("local:/models/tiny.gguf", "/models/tiny.gguf"),
        ("scripted:desk", "desk"),
    ],
)
def test_a_name_is_a_provider_and_a_model(name: str, model: str):
    _, found = Providers({}).find(name)
    assert found == model


@pytest.mark.parametrize("name", ["gpt-5-mini", "openai:", ":gpt", "", "   "])
def test_what_names_no_model_is_refused_with_examples(name: str):
    with pytest.raises(InvalidInput, match="write provider:model, such as anthropic:"):
        Providers({}).find(name)


def test_an_unknown_provider_is_refused_with_the_known_ones_and_the_nearest():
    with pytest.raises(InvalidInput) as caught:
        Providers({}).find("antropic:claude-haiku-4-5")
    assert "anthropic, google, openai, local, scripted" in str(caught.value)
    assert "did you mean anthropic:claude-haiku-4-5?" in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["http://", "http://host:port/v1", "http://host:99999/v1", "https://host/v1?key=1", "http://host/#x"],
)
def test_an_address_that_is_none_is_refused(url: str):
    with pytest.raises(InvalidInput, match="is not a base URL"):
        Providers({}).find(f"openai:gpt@{url}")


def test_an_address_with_a_password_is_refused_without_repeating_it():
    with pytest.raises(InvalidInput, match="would be stored and shown") as caught:
        Providers({}).find("openai:gpt@https://me:hunter2@host/v1")
    assert "hunter2" not in str(caught.value)


def test_an_address_without_a_model_is_refused():
    with pytest.raises(InvalidInput, match="names no model"):
        Providers({}).find("openai:@http://127.0.0.1:8000/v1")


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("openai:gpt-5-mini", "OPENAI_API_KEY"),
        ("anthropic:claude-haiku-4-5", "ANTHROPIC_API_KEY"),
        ("google:gemini-2.5-flash", "GOOGLE_API_KEY or GEMINI_API_KEY"),
    ],
)
async def test_a_missing_key_is_told_by_its_variable_before_anything_is_sent(name: str, variable: str):
    provider, model = Providers({}).find(name)
    with pytest.raises(CredentialMissing, match=f"set {variable} in the environment"):
        provider.check(model)
    with pytest.raises(CredentialMissing):
        await provider.complete(model, ask())


@pytest.mark.parametrize("variable", ["GOOGLE_API_KEY", "GEMINI_API_KEY"])
def test_either_name_of_the_key_will_do(variable: str):
    provider, model = Providers({variable: KEY}).find("google:gemini-2.5-flash")
    provider.check(model)


def test_a_server_of_ones_own_needs_no_key():
    provider, model = Providers({}).find("openai:llama@http://127.0.0.1:8000/v1")
    provider.check(model)


def test_models_at_one_address_share_their_provider():
    providers = Providers({"OPENAI_API_KEY": KEY})
    here, _ = providers.find("openai:a@http://127.0.0.1:8000/v1")
    again, _ = providers.find("openai:b@http://127.0.0.1:8000/v1/")
    vendor, _ = providers.find("openai:a")
    assert here is again
    assert here is not vendor


async def test_the_environment_may_name_the_server_which_then_gets_the_vendors_key():
    async with wire.WireServer("openai") as server:
        server.reply(wire.ok("Yes."))
        providers = Providers({"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": KEY})
        provider, model = providers.find("openai:llama")
        await provider.complete(model, ask())
        await providers.close()
        assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("vendor", ["openai", "anthropic", "google"])
async def test_the_vendors_key_never_goes_to_a_server_that_only_a_name_points_to(vendor: wire.Vendor):
    async with wire.WireServer(vendor) as server:
        server.reply(wire.ok("Yes."))
        providers = Providers({f"{vendor.upper()}_API_KEY": KEY})
        provider, model = providers.find(server.name())
        await provider.complete(model, ask())
        await providers.close()
        assert KEY not in str(server.requests[0].headers)


async def test_closing_twice_is_safe():
    providers = Providers({}, scripts={"desk": Script(["Yes."])})
    providers.find("scripted:desk")
    providers.find("local:smollm2")
    providers.find("openai:gpt@http://127.0.0.1:8000/v1")
    await providers.close()
    await providers.close()


def test_finding_and_checking_loads_no_vendors_library():
    program = (
        "import sys\n"
        "from podium.providers import Providers\n"
        "names = ['openai:gpt@http://127.0.0.1:1/v1', 'anthropic:c@http://127.0.0.1:1', 'local:smollm2']\n"
        "for provider, model in map(Providers({}).find, names):\n"
        "    provider.check(model)\n"
        "print(*sys.modules)\n"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "podium.providers.vendors" in loaded
    assert not {"openai", "anthropic", "google.genai", "pydantic_ai", "httpx2", "xllamacpp"} & set(loaded)


def test_a_missing_library_is_told_with_the_line_that_installs_it():
    # An interpreter that sees nothing but Podium's own source.
    program = (
        "import sys\n"
        "sys.modules['pydantic_ai'] = sys.modules['xllamacpp'] = None\n"
        "from podium.providers import Providers\n"
        "from podium.domain.errors import InvalidInput\n"
        "for name in ('anthropic:claude', 'local:smollm2'):\n"
        "    provider, model = Providers({'ANTHROPIC_API_KEY': 'k'}).find(name)\n"
        "    try:\n"
        "        provider.check(model)\n"
        "    except InvalidInput as error:\n"
        "        print(error)\n"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "pip install 'podium[anthropic]'" in told
    assert "pip install 'podium[local]'" in told
    assert len(told.splitlines()) == 2
