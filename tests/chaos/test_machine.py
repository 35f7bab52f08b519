"""Any order of starts, cancellations, crashes, faults and steps of the clock."""

from __future__ import annotations

from chaos.machine import drive


def test_in_any_order_no_promise_is_broken():
    drive(20261120, examples=3, steps=20)
