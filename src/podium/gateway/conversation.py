"""What is said to a model: the opening, and the one correction that a re-ask adds to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, assert_never

from podium.domain.media import Media
from podium.gateway.policy import CallPolicy
from podium.gateway.prompt import Prompt
from podium.ports.models import Message, ModelRequest, Part, Role, Text, ToolCall, ToolResult

_LONGEST_ECHO = 4000
_LONGEST_KEY = 64


def opening(prompt: Prompt[Any], variables: Mapping[str, object]) -> tuple[Message, ...]:
    """Return the messages of a first request: the prompt's system text and output form, then the filled template."""
    system = "\n\n".join(text for text in (prompt.system, prompt.output.instruction) if text)
    template = prompt.template
    user = Message(Role.USER, template.fill(variables), len(template.beginning))
    return (Message(Role.SYSTEM, system), user) if system else (user,)


def asked_of(prompt: Prompt[Any], variables: Mapping[str, object], policy: CallPolicy) -> ModelRequest:
    """Return what a call of `prompt` asks, of whichever candidate."""
    return ModelRequest(
        messages=opening(prompt, variables),
        limits=policy.limits,
        schema=prompt.output.schema,
        schema_name=prompt.name,
        max_tokens=policy.max_tokens,
        temperature=policy.temperature,
        schema_told=True,
        cache_key=prompt.reference[-_LONGEST_KEY:],
    )


def reasked(messages: Sequence[Message], reply: str, problem: str) -> tuple[Message, ...]:
    """Return the opening `messages` with the model's latest reply and what is wrong with it, and no earlier ones."""
    correction = f"That answer cannot be used: {problem}. Give the whole corrected answer and nothing else."
    return (*messages, Message(Role.ASSISTANT, reply[:_LONGEST_ECHO]), Message(Role.USER, correction))


def transcript(messages: Sequence[Message]) -> str:
    """Return the messages as one text, for people to read: each under its role, what is no text described."""
    return "\n\n".join(f"[{message.role}]\n{''.join(map(_shown, message.parts))}" for message in messages)


def _shown(part: Part) -> str:
    match part:
        case Text():
            return part.text
        case Media():
            return part.description
        case ToolCall():
            return f"[call {part.name} {part.id}: {part.arguments}]"
        case ToolResult():
            return f"[{'failure' if part.failed else 'result'} of {part.name} {part.id}: {part.text}]"
        case _:
            assert_never(part)
