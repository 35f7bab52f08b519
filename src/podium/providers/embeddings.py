"""Static embeddings: the mean of a text's token vectors, from weights that come with a package."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from podium.domain.errors import InvalidInput
from podium.ports.embeddings import Near

if TYPE_CHECKING:
    import numpy
    import tokenizers

_DISTRIBUTION: Final = "wordllama"
_WEIGHTS: Final = "l2_supercat_256.safetensors"
_TOKENIZER: Final = "l2_supercat_tokenizer_config.json"
_TENSOR: Final = "embedding.weight"
_INSTALL: Final = "similar questions need embeddings, which are not installed: pip install 'podium[semantic]'"


@dataclass(frozen=True, slots=True)
class _Model:
    tokenizer: tokenizers.Tokenizer
    table: numpy.ndarray[tuple[int, ...], numpy.dtype[numpy.float32]]


class StaticEmbeddings:
    """The port `Embeddings` with 256 dimensions, halves of floats: 512 bytes a vector.

    Only the files of the distribution `wordllama` are used: its code sets up logging for the whole process when it is
    imported, and looks for its tokenizer on the network.
    """

    def __init__(self) -> None:
        self._model: _Model | None = None
        self._loading = asyncio.Lock()

    @property
    def name(self) -> str:
        """See `Embeddings.name`."""
        return f"{_WEIGHTS}/f16"

    def check(self) -> None:
        """See `Embeddings.check`."""
        for package in ("numpy", "tokenizers"):
            if find_spec(package) is None:
                raise InvalidInput(_INSTALL)
        _found(_WEIGHTS)
        _found(_TOKENIZER)

    async def embed(self, text: str) -> bytes | None:
        """See `Embeddings.embed`. The first one loads the weights in a thread, which takes a fifth of a second."""
        if self._model is None:
            async with self._loading:
                if self._model is None:
                    self.check()
                    self._model = await asyncio.to_thread(_loaded)
        import numpy as np

        ids = self._model.tokenizer.encode(text, add_special_tokens=False).ids
        if not ids:
            return None
        mean = self._model.table[ids].mean(axis=0)
        length = float(np.linalg.norm(mean))
        return (mean / length).astype(np.float16).tobytes() if length > 0 else None

    def nearest(self, vector: bytes, others: Sequence[bytes], least: float) -> list[Near]:
        """See `Embeddings.nearest`. Exact: every one is looked at, a microsecond each."""
        import numpy as np

        if not others:
            return []
        mine = np.frombuffer(vector, np.float16).astype(np.float32)
        matrix = np.frombuffer(b"".join(others), np.float16).reshape(len(others), -1).astype(np.float32)
        # Not by the linear algebra library: its threads wait for each other longer than all of this takes.
        found = np.einsum("ij,j->i", matrix, mine)
        close = np.flatnonzero(found >= least)
        ordered = close[np.argsort(-found[close], kind="stable")]
        return [Near(int(index), min(float(found[index]), 1.0)) for index in ordered]


def _found(name: str) -> Path:
    try:
        files = distribution(_DISTRIBUTION).files or []
    except PackageNotFoundError:
        files = []
    found = next((Path(str(file.locate())) for file in files if file.name == name), None)
    if found is None or not found.is_file():
        raise InvalidInput(_INSTALL)
    return found


def _loaded() -> _Model:
    import numpy as np
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(_found(_TOKENIZER)))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    raw = _found(_WEIGHTS).read_bytes()
    # A file of safetensors: the length of its header, the header in JSON, the numbers.
    (length,) = struct.unpack_from("<Q", raw)
    tensor = json.loads(raw[8 : 8 + length])[_TENSOR]
    begin, end = tensor["data_offsets"]
    numbers = np.frombuffer(raw[8 + length + begin : 8 + length + end], np.float16)
    return _Model(tokenizer, numbers.reshape(tensor["shape"]).astype(np.float32))
