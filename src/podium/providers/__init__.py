"""Adapters of language models: vendors through Pydantic AI, local ones through llama.cpp, scripted ones for tests.

Importing this package loads no vendor's library; each is loaded when its first model is called.
"""

from podium.providers.registry import Providers
from podium.providers.scripted import Piecewise, Script, piecewise, say

__all__ = ["Piecewise", "Providers", "Script", "piecewise", "say"]
