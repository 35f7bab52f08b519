"""Counting over the recent past."""

from __future__ import annotations

CELLS = 30
"""Into how many cells a window is cut: a count covers the cell that has begun and the 29 before it."""


class RollingCount:
    """How often something happened within the last `window` seconds, to a thirtieth of it. Times only grow."""

    __slots__ = ("_cells", "_latest", "_total", "_width")

    def __init__(self, window: float) -> None:
        self._width = window / CELLS
        self._cells = [0] * CELLS
        self._latest = 0
        self._total = 0

    def add(self, now: float) -> None:
        """Count one."""
        cell = self._move(now)
        self._cells[cell % CELLS] += 1
        self._total += 1

    def total(self, now: float) -> int:
        """Return the count."""
        self._move(now)
        return self._total

    def clear(self) -> None:
        """Forget everything."""
        self._cells = [0] * CELLS
        self._total = 0

    def _move(self, now: float) -> int:
        cell = int(now / self._width)
        if cell > self._latest:
            if cell - self._latest >= CELLS:
                self.clear()
            else:
                for passed in range(self._latest + 1, cell + 1):
                    self._total -= self._cells[passed % CELLS]
                    self._cells[passed % CELLS] = 0
            self._latest = cell
        return self._latest
