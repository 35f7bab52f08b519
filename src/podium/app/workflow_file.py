"""Loading workflows from `FILE.py:workflow`."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

from podium.domain.budgets import Budget, Scope
from podium.domain.errors import InvalidInput
from podium.domain.queues import Queue
from podium.flow.failures import source_line
from podium.flow.triggers import OnEvent, Schedule, Trigger
from podium.flow.workflows import Workflow
from podium.gateway.prompt import Prompt
from podium.settings import Settings


@dataclass(frozen=True, slots=True)
class WorkflowFile:
    """What a Python file defines: the workflow that was asked for, all its workflows, prompts, triggers, queues and
    budgets, and its settings, which are the default ones where it has none.
    """

    chosen: Workflow[Any, Any]
    workflows: tuple[Workflow[Any, Any], ...]
    prompts: tuple[Prompt[Any], ...]
    source: str
    triggers: tuple[Trigger, ...] = ()
    queues: tuple[Queue, ...] = ()
    budgets: tuple[Budget, ...] = ()
    settings: Settings = field(default_factory=Settings)


@dataclass(frozen=True, slots=True)
class ServedFile:
    """What a server takes from a Python file: settings, budgets, and what there is `to_do`, if it has workflows."""

    settings: Settings = field(default_factory=Settings)
    budgets: tuple[Budget, ...] = ()
    to_do: WorkflowFile | None = None


def load_file(location: str) -> WorkflowFile:
    """Import a file and return what it defines, with its first workflow as the chosen one; see `load_workflow`."""
    module, path = _module(location)
    workflows = _workflows(module, location)
    return _defined(module, path, next(iter(workflows)), next(iter(workflows.values())))


def load_served(location: str) -> ServedFile:
    """Import a file that may hold nothing but settings or budgets, and return what a server takes from it.

    Raises as `load_workflow` does, and `InvalidInput` for a file without settings, budgets and workflows.
    """
    module, path = _module(location)
    settings, budgets = _settings(module, location), _budgets(module)
    workflows = {key: value for key, value in vars(module).items() if isinstance(value, Workflow)}
    if not workflows and settings is None and not budgets:
        raise InvalidInput(f"{location} defines neither workflows nor settings nor budgets to serve with.")
    to_do = _defined(module, path, *next(iter(workflows.items()))) if workflows else None
    return ServedFile(settings or Settings(), budgets, to_do)


def load_prompts(location: str) -> tuple[Prompt[Any], ...]:
    """Import a file, which may define no workflow, and return its prompts; see `load_workflow`."""
    module, _ = _module(location)
    found = {id(value): value for value in vars(module).values() if isinstance(value, Prompt)}
    return tuple(found.values())


def load_workflow(target: str) -> WorkflowFile:
    """Import the file of `FILE.py:workflow` and return what it defines; the name may be left out if there is one.

    The file's folder is put in front of the import path, as Python does for a script. Raises `InvalidInput`
    when the file or the workflow is not there, or the file cannot be imported.
    """
    location, _, name = target.rpartition(":") if ".py:" in target else (target, "", "")
    module, path = _module(location, "FILE.py:workflow")
    by_variable = _workflows(module, location)
    named = {value.name: value for value in by_variable.values()}
    if not name:
        if len(by_variable) > 1:
            raise InvalidInput(
                f"{location} defines several workflows; add one of {_listed(by_variable)} after a colon."
            )
        name = next(iter(by_variable))
    chosen = by_variable.get(name) or named.get(name)
    if chosen is None:
        close = get_close_matches(name, by_variable, 1)
        meant = f" Did you mean {close[0]!r}?" if close else ""
        raise InvalidInput(f"{location} has no workflow {name!r}; it has {_listed(by_variable)}.{meant}")
    return _defined(module, path, name, chosen)


def _module(location: str, form: str = "FILE.py") -> tuple[ModuleType, Path]:
    path = Path(location).resolve()
    if not path.is_file():
        given = "workflow" if ":" in form else "file with the workflows"
        close = get_close_matches(path.name, [each.name for each in path.parent.glob("*.py")], 1)
        meant = f" Did you mean {str(Path(location).with_name(close[0]))!a}?" if close else ""
        raise InvalidInput(f"there is no file {location!a}.{meant} Give the {given} as {form}.")
    return _import(path), path


def _workflows(module: ModuleType, location: str) -> dict[str, Workflow[Any, Any]]:
    """Return the module's workflows by the variables that hold them; at least one."""
    found = {key: value for key, value in vars(module).items() if isinstance(value, Workflow)}
    if not found:
        raise InvalidInput(f"{location} defines no workflow; decorate an `async def` with @workflow.")
    return found


def _defined(module: ModuleType, path: Path, name: str, chosen: Workflow[Any, Any]) -> WorkflowFile:
    values = list(vars(module).values())
    # By identity: one may be held by two variables, and several versions of one have a name in common.
    workflows = {id(value): value for value in values if isinstance(value, Workflow)}
    prompts = tuple(value for value in values if isinstance(value, Prompt))
    # By identity: a trigger may be held by two variables.
    triggers = {id(value): value for value in values if isinstance(value, Schedule | OnEvent)}
    queues = tuple(value for value in values if isinstance(value, Queue))
    return WorkflowFile(
        chosen,
        tuple(workflows.values()),
        prompts,
        f"{path}:{name}",
        tuple(triggers.values()),
        queues,
        _budgets(module),
        _settings(module, path.name) or Settings(),
    )


def _budgets(module: ModuleType) -> tuple[Budget, ...]:
    values = list(vars(module).values())
    # A budget of runs stands at its workflow, and one that a prompt or the settings were given is theirs.
    taken = [value.budget for value in values if isinstance(value, Prompt)]
    for value in values:
        taken += value.gateway.budgets if isinstance(value, Settings) else ()
    return tuple(
        value
        for value in values
        if isinstance(value, Budget)
        and not any(value is each for each in taken)
        and value.scope is not Scope.RUN
    )


def _settings(module: ModuleType, location: str) -> Settings | None:
    """Return the one `Settings` of the module, whatever variable holds it, or None."""
    found = {id(value): (key, value) for key, value in vars(module).items() if isinstance(value, Settings)}
    if len(found) > 1:
        names = _listed(key for key, _ in found.values())
        raise InvalidInput(f"{location} defines several Settings: {names}. Keep one, with all groups in it.")
    return next((value for _, value in found.values()), None)


def _import(path: Path) -> ModuleType:
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    # A file may bear the name of a module that is loaded already, whose place it must not take.
    name = path.stem if path.stem not in sys.modules else f"{path.stem} ({path})"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InvalidInput(f"{path} is no Python file.")
    module = importlib.util.module_from_spec(spec)
    # Registered, because dataclasses and pydantic look types up in the module they were defined in.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        where = f"{error.filename or path} line {error.lineno}"
        raise InvalidInput(f"{path} cannot be imported: {where}: {error.msg}.") from error
    except (Exception, SystemExit) as error:
        where = source_line(error) or path.name
        raise InvalidInput(
            f"{path} cannot be imported: {type(error).__name__} at {where}: {error}"
        ) from error
    return module


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(map(repr, names)))
