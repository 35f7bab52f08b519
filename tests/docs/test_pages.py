"""The pages keep their promises: examples run, links lead somewhere, commands and settings are documented."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from podium.domain.states import RunState
from podium.settings import (
    CassetteSettings,
    EngineSettings,
    GatewaySettings,
    PriceSettings,
    RetentionSettings,
    StorageSettings,
)

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*/README.md")])
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file(page: Path) -> None:
    missing = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert not missing


def test_the_example_of_the_readme_runs_as_it_stands(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (tmp_path / "example.py").write_text(example)
    ended = subprocess.run(
        [sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split()[-1] in (RunState.COMPLETED, RunState.WAITING)
    assert ended.stderr == ""


@pytest.mark.parametrize(
    "command", ["run", "runs list", "runs show", "runs cancel", "reviews list", "reviews decide"]
)
def test_every_command_of_the_readme_exists_and_has_help_with_an_example(command: str) -> None:
    assert command.rsplit(maxsplit=1)[-1] in README
    shown = subprocess.run(
        [sys.executable, "-m", "podium.cli", *command.split(), "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    assert f"podium {command}" in " ".join(shown.split())


GROUPS = [
    CassetteSettings,
    EngineSettings,
    GatewaySettings,
    PriceSettings,
    RetentionSettings,
    StorageSettings,
]


@pytest.mark.parametrize("group", GROUPS)
def test_every_setting_is_documented_where_it_is_declared(group: type) -> None:
    undocumented = [field.name for field in fields(group) if f"`{field.name}`" not in (group.__doc__ or "")]
    assert not undocumented
