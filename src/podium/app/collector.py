"""Python's collector of cyclic garbage, set for many small objects that mostly go by themselves."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def patient_collector(threshold: int) -> Iterator[None]:
    """Let Python look for cyclic garbage only every `threshold` new objects; 0 leaves it as it is.

    By default it looks every 700 or so, and each time again and again at every run in memory, which takes a
    quarter of the time in which many runs are at work. Whoever has set it to look more rarely, or not at all, has
    their way. It is for the whole process, and as before when this is left.
    """
    before = gc.get_threshold()
    if threshold <= before[0] or before[0] == 0:
        yield
        return
    gc.set_threshold(threshold, *before[1:])
    try:
        yield
    finally:
        if gc.get_threshold()[0] == threshold:
            gc.set_threshold(*before)
