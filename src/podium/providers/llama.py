"""llama.cpp in this process: one model, one thread, one request at a time. Everything here blocks."""

from __future__ import annotations

import codecs
import json
import os
import secrets
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from podium.domain.answers import FailureKind, Usage
from podium.domain.errors import InvalidInput
from podium.domain.schema_modes import SchemaMode
from podium.ports.models import FinishReason, ModelReply, ModelRequest, TextDelta, TokenProbability
from podium.providers.constrained import Candidate, Step, conditioned, grammar_schema
from podium.providers.instructions import explained

# Tokens of prompt and answer together. SmolLM2 was trained on this many.
CONTEXT = 8192
# The prompt is read in pieces of this many tokens; between them a request can be stopped.
_BATCH = 256
# States of earlier prompts kept for requests that begin alike, in MiB for each worker.
_PROMPT_CACHE = 256
# How many of the likeliest tokens are looked at to tell how a choice stood against the others.
_SEEN = 100
_SMALL = 1 << 30
_MOST_WORKERS = 4
_LONGEST_SOCKET_PATH = 100


@dataclass(frozen=True, slots=True)
class Plan:
    """How many workers serve one model, and with how many threads each."""

    workers: int
    threads: int


def plan(size: int, cores: int) -> Plan:
    """Return the plan for weights of `size` bytes on a machine with `cores`.

    A small model gets workers of one thread: threads that share one request wait for each other at every
    layer, spinning, and come to a crawl as soon as anything else wants the cores. A large one needs them all.
    """
    if size < _SMALL:
        return Plan(min(cores, _MOST_WORKERS), 1)
    return Plan(1, cores if cores <= 2 else cores - 1)


class Refused(Exception):
    """The model did not take the request."""

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(slots=True)
class _Collected:
    """The chunks of one reply, put together."""

    text: str = ""
    finish: FinishReason = FinishReason.OTHER
    usage: Usage = field(default_factory=Usage)
    steps: list[Step] = field(default_factory=list)
    error: Mapping[str, Any] | None = None
    decoder: codecs.IncrementalDecoder = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8")("replace")
    )

    def add(self, chunk: Mapping[str, Any]) -> None:
        """Take one chunk in the format of chat completions, or an error."""
        self.error = chunk.get("error", self.error)
        if counted := chunk.get("usage"):
            self.usage = Usage(counted["prompt_tokens"], counted["completion_tokens"])
        for choice in chunk.get("choices", ()):
            self.text += choice.get("delta", {}).get("content") or ""
            for token in (choice.get("logprobs") or {}).get("content", ()):
                # The token that ends the reply has no text and no choice in it that was not counted before.
                if token["bytes"]:
                    self.steps.append(self._step(token))
            if choice.get("finish_reason"):
                self.finish = _FINISHES.get(choice["finish_reason"], FinishReason.OTHER)

    def _step(self, token: Mapping[str, Any]) -> Step:
        # A token may end within a character: the character is then counted to the token that completes it.
        text = self.decoder.decode(bytes(token["bytes"]))
        seen = tuple(Candidate(each["token"], each["logprob"]) for each in token.get("top_logprobs", ()))
        return Step(text, token["logprob"], seen)


_FINISHES = {"stop": FinishReason.STOP, "length": FinishReason.LENGTH}


class Worker:
    """One copy of a model, loaded when it is made; raises `Refused` when the file cannot be loaded.

    Loading takes a fifth of a second for a model of 100 MB and halts all of Python meanwhile: llama.cpp's
    binding keeps the interpreter's lock.
    """

    def __init__(self, weights: Path, threads: int) -> None:
        import xllamacpp

        self._llama = xllamacpp
        self._name = weights.stem
        params = xllamacpp.CommonParams()
        params.model.path = str(weights)
        params.n_ctx = CONTEXT
        params.n_batch = params.n_ubatch = _BATCH
        params.n_parallel = params.n_threads_http = 1
        params.cache_ram_mib = _PROMPT_CACHE
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        params.fit_params = weights.stat().st_size >= _SMALL
        # The request below warms the model up.
        params.warmup = False
        # Below every level: llama.cpp writes its log to the terminal.
        params.verbosity = -1
        params.ui = params.endpoint_slots = False
        # It insists on serving HTTP. Nobody learns this key, and a socket that was unlinked has no address.
        params.api_keys = [secrets.token_urlsafe(32)]
        with tempfile.TemporaryDirectory(prefix="podium-") as private:
            address = os.path.join(private, "llama.sock")  # noqa: PTH118 - its length in bytes is what matters
            params.hostnames = [address if len(os.fsencode(address)) < _LONGEST_SOCKET_PATH else "127.0.0.1"]
            try:
                self._server = xllamacpp.Server(params)
            except (RuntimeError, ValueError) as error:
                raise Refused(FailureKind.NOT_FOUND, f"could not be loaded: {error}") from None
        # A server that is unloaded before its loop has begun waits for that loop for ever. One that has answered
        # has begun.
        self._server.handle_completions({"prompt": "a", "max_tokens": 1})

    def answer(self, request: ModelRequest, stop: threading.Event) -> ModelReply:
        """Generate a reply, until done or until `stop` is set; raises `Refused`."""
        collected = _Collected()
        mode = _mode(request)

        def on_chunk(chunk: Mapping[str, Any]) -> bool:
            known = len(collected.text)
            collected.add(chunk)
            if request.on_delta is not None and len(collected.text) > known and not stop.is_set():
                request.on_delta(TextDelta(collected.text[known:]))
            return stop.is_set()

        try:
            self._server.handle_chat_completions(self._body(request, mode), on_chunk)
        except ValueError as error:
            raise Refused(FailureKind.BAD_REQUEST, f"refused the request: {error}") from None
        if collected.error is not None:
            raise _refusal(collected.error)
        return ModelReply(
            collected.text,
            collected.finish,
            collected.usage,
            self._name,
            self._tokens(request, mode, collected),
            schema_mode=mode,
        )

    def _body(self, request: ModelRequest, mode: SchemaMode | None) -> dict[str, Any]:
        told = explained(request) if mode is SchemaMode.PROMPTED else request.messages
        body: dict[str, Any] = {
            "messages": [{"role": message.role.value, "content": message.text} for message in told],
            "max_tokens": request.max_tokens,
            "temperature": request.temperature or 0.0,
            # Small models begin to repeat themselves for ever; this makes a sequence they have just written dearer.
            "dry_multiplier": 0.8,
            "cache_prompt": True,
            "logprobs": True,
            "top_logprobs": _SEEN if mode is SchemaMode.CONSTRAINED else 1,
            "stream": True,
            "stream_options": {"include_usage": True},
            "return_progress": True,
        }
        wishes = {"top_p": request.top_p, "seed": request.seed, "stop": list(request.stop) or None}
        body |= {option: value for option, value in wishes.items() if value is not None}
        if request.schema is not None and mode is SchemaMode.CONSTRAINED:
            # The chat format's own way with a schema lets the model begin with a code fence and end in blanks.
            try:
                schema = json.dumps(grammar_schema(request.schema))
            except InvalidInput as error:
                raise Refused(FailureKind.BAD_REQUEST, f"cannot be held to the schema: {error}") from None
            body["grammar"] = self._llama.json_schema_to_grammar(schema)
        return body

    def _tokens(
        self, request: ModelRequest, mode: SchemaMode | None, collected: _Collected
    ) -> tuple[TokenProbability, ...]:
        whole = "".join(step.text for step in collected.steps) == collected.text
        if request.schema is not None and mode is SchemaMode.CONSTRAINED and whole:
            return conditioned(request.schema, collected.steps)
        return tuple(TokenProbability(step.text, step.logprob) for step in collected.steps)


def _mode(request: ModelRequest) -> SchemaMode | None:
    if request.schema is None:
        return None
    wished = request.schema_mode
    return SchemaMode.PROMPTED if wished is SchemaMode.PROMPTED else SchemaMode.CONSTRAINED


def _refusal(error: Mapping[str, Any]) -> Refused:
    if error.get("type") == "exceed_context_size_error":
        needed, given = error.get("n_prompt_tokens"), error.get("n_ctx")
        return Refused(
            FailureKind.CONTEXT_WINDOW,
            f"cannot take so long a prompt: it has {needed} tokens, the window {given}",
        )
    kind = FailureKind.BAD_REQUEST if error.get("code") == 400 else FailureKind.INTERNAL
    return Refused(kind, f"refused the request: {error.get('message', 'it gave no reason')}")


def usable_cores() -> int:
    """Return how many cores this process may run on."""
    with suppress(AttributeError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
