"""When a failed attempt is tried again, as pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how soon an attempt is repeated. Times in seconds.

    `retries` is the number of attempts after the first. The wait before retry n (from 0) is drawn evenly
    from 0 to `min(base * 2**n, cap)`: exponential backoff with full jitter, as in Marc Brooker's
    "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015). `timeout` bounds one attempt.
    `at_most_once` forbids a second execution: after a crash the outcome counts as unknown. `reschedules` is
    how often the operation may be put off because the other side named a later time; that counts as no retry.
    An attempt that gives no sign of life for `heartbeat` seconds counts as stalled; `restarts` is how many
    attempts may follow because of that, beside the retries.
    """

    retries: int = 0
    base: float = 0.5
    cap: float = 30.0
    timeout: float | None = None
    at_most_once: bool = False
    reschedules: int = 0
    heartbeat: float | None = None
    restarts: int = 3

    def allows(self, failed_attempts: int) -> bool:
        """Return whether another attempt may follow after `failed_attempts` failures."""
        return not self.at_most_once and failed_attempts <= self.retries

    def allows_restart(self, failed_attempts: int) -> bool:
        """Return whether another attempt may follow the last of `failed_attempts`, which stalled."""
        return not self.at_most_once and failed_attempts <= self.retries + self.restarts

    def delay(self, failed_attempts: int, jitter: float, at_least: float | None = None) -> float:
        """Return the wait before the next attempt; `jitter` is a random number from 0 to 1."""
        ceiling = min(self.base * 2.0 ** min(failed_attempts - 1, 30), self.cap)
        return max(ceiling * jitter, at_least or 0.0)
