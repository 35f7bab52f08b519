"""The guide to prompts: its examples print what it says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "prompts.md").read_text()
PRELUDE, *CODE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
EXAMPLES = re.findall(
    r"```python\n(.*?)```\n\n```text\n(.*?)```", PAGE.partition(PRELUDE)[2].partition("```")[2], re.DOTALL
)


async def test_the_examples_print_what_the_page_says_one_after_the_other(tmp_path, monkeypatch, capsys):
    scope: dict[str, object] = {"__name__": "example"}
    exec(compile(PRELUDE, "prompts.md", "exec"), scope)
    for number, (code, said) in enumerate(EXAMPLES):
        (place := tmp_path / str(number)).mkdir()
        monkeypatch.chdir(place)
        await eval(compile(code, "prompts.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), scope)
        assert capsys.readouterr().out == said


def test_every_example_is_run():
    assert len(EXAMPLES) == len(CODE)


@pytest.mark.parametrize("name", ["SchemaMode", "schema_modes"])
def test_what_the_page_names_exists(name: str):
    from podium.domain import schema_modes
    from podium.settings import GatewaySettings

    assert hasattr(schema_modes, name) or name in GatewaySettings.__dataclass_fields__
