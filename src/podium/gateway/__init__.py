"""The policy path of every model call: typed prompts in, checked answers out."""

from podium.gateway.gateway import Gateway
from podium.gateway.policy import CallPolicy, PromptPolicy
from podium.gateway.prompt import Prompt, prompt

__all__ = ["CallPolicy", "Gateway", "Prompt", "PromptPolicy", "prompt"]
