"""The public API, name by name and signature by signature: it changes only when somebody means it to."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import re
from collections.abc import Iterator

from pydantic import BaseModel

import podium


def test_the_public_api_is_the_recorded_one(snapshot):
    lines = [line for name in sorted(podium.__all__) for line in described(name)]
    snapshot("public_api.txt", "\n".join(lines) + "\n")


def test_every_public_name_can_be_had():
    assert len(set(podium.__all__)) == len(podium.__all__)
    assert [name for name in podium.__all__ if not hasattr(podium, name)] == []
    assert set(podium.__all__) <= set(dir(podium))


def described(name: str) -> Iterator[str]:
    """The lines of the snapshot for one public name: its kind and signature, and those of its public members."""
    value = getattr(podium, name)
    if inspect.isclass(value):
        bases = ", ".join(base.__name__ for base in value.__bases__ if base is not object)
        yield f"class {name}" + (f"({bases})" if bases else "")
        yield from (f"    {line}" for line in sorted(members(value)))
    elif callable(value):
        yield function(name, value)
    else:
        yield f"{name}: {type(value).__name__}"


def members(owner: type) -> Iterator[str]:
    """What a class declares itself: values of an enum, else constructor, attributes, properties and methods."""
    if issubclass(owner, enum.Enum):
        yield from (f"{member.name} = {member.value!r}" for member in owner)
        return
    if dataclasses.is_dataclass(owner) or issubclass(owner, BaseModel):
        yield function("__init__", owner)
    else:
        annotations = vars(owner).get("__annotations__", {})
        yield from (f"{name}: {kind}" for name, kind in annotations.items() if not name.startswith("_"))
        if getattr(vars(owner).get("__init__"), "__module__", None) == owner.__module__:
            yield function("__init__", vars(owner)["__init__"])
    for name, value in vars(owner).items():
        if name.startswith("_"):
            continue
        if isinstance(value, property):
            yield f"property {function(name, value.fget)}"
        elif isinstance(value, classmethod | staticmethod):
            yield f"{type(value).__name__} {function(name, value.__func__)}"
        elif inspect.isfunction(value):
            yield function(name, value)


def function(name: str, value) -> str:
    """One line for a function, `async` where it is, without the addresses and quotes of Python's own wording."""
    signature = re.sub(r" at 0x[0-9a-f]+", "", str(inspect.signature(value)))
    signature = re.sub(r"(: |-> )'([^']*)'", r"\1\2", signature)
    return f"{'async ' if inspect.iscoroutinefunction(value) else ''}def {name}{signature}"
