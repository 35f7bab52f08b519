"""JSON that is typed after a command, or read from a file with `@FILE`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from podium.domain.errors import InvalidInput


def json_given(text: str) -> Any:
    """Return the value that `text`, or the file `@FILE` names, holds as JSON; raises `InvalidInput`."""
    try:
        data = (
            Path(text[1:]).read_bytes() if text.startswith("@") else text.encode("utf-8", "surrogateescape")
        )
        # The standard library's, because it keeps whole numbers of any size.
        return json.loads(data.removeprefix(b"\xef\xbb\xbf"), parse_constant=_refuse)
    except OSError as error:
        raise InvalidInput(f"{text[1:]} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise InvalidInput(
            f"the payload is not valid JSON: {error}. Text needs quotes: '\"text\"'."
        ) from None


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON")
