"""Scripted models, for whoever may not name the adapter that serves them."""

from __future__ import annotations

from podium.providers.scripted import Item, Line, Script, say

__all__ = ["Item", "Line", "Script", "say"]
