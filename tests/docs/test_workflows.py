"""The guide to workflows: its examples print what it says, and its commands can be called."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import pytest
import typer

PAGE = (Path(__file__).parents[2] / "docs" / "workflows.md").read_text()
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))
PRELUDE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0]
EXAMPLES = [
    pytest.param(code, said, id=title)
    for title, section in SECTIONS.items()
    for code, said in re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", section, re.DOTALL)
]
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]


@pytest.mark.parametrize(("code", "said"), EXAMPLES)
async def test_an_example_prints_what_the_page_says(code, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    program = compile(PRELUDE + code, "workflows.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    await eval(program, {"__name__": "example"})
    assert capsys.readouterr().out == said


def test_every_example_is_run_and_every_verb_has_one():
    assert len(EXAMPLES) == PAGE.count("```python") - 1
    verbs = (
        "wait_for_event sleep now asyncio.timeout asyncio.wait spawn continue_as_new patched version= pause resume retry "
        "fork compensate= transaction recheck= at_most_once= settle heartbeat publish stream "
        "set_attributes attributes="
    )
    code = "".join(example.values[0] for example in EXAMPLES)  # type: ignore[misc]
    assert [verb for verb in verbs.split() if verb not in code] == []
    assert "podium check" in "".join(COMMANDS)


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_the_page_is_one_that_there_is(line: str):
    from podium.cli.commands import app

    command = typer.main.get_command(app)
    program, *words = shlex.split(line)
    assert program == "podium"
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    command.make_context(line, words)
