"""`prompt.stream(...)`: an answer while it is being written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from pydantic_core import from_json

from podium.domain.answers import Answer, CallAttempt
from podium.domain.ids import RunId
from podium.domain.operations import Execute
from podium.domain.retries import RetryPolicy
from podium.domain.runs import DEFAULT_TENANT
from podium.gateway.output.form import OutputForm
from podium.gateway.output.partial import so_far
from podium.ports.execution import AttemptContext, Executor

T = TypeVar("T")

_LONGEST_PARTIAL = 100_000
_NO_RUN = RunId("")


@dataclass(frozen=True, slots=True)
class AnswerPart(Generic[T]):
    """A piece of an answer on its way.

    `delta` is the text that is new, `text` all of it so far. The last part has no new text but the `answer`, read and
    validated in full; it is None in all others.
    """

    delta: str
    text: str
    answer: Answer[T] | None
    form: OutputForm[T]

    @property
    def partial(self) -> Any:
        """The value as far as it is written, in plain JSON types and not validated; None before it begins.

        Read from the text each time it is asked for.
        """
        return so_far(self.form, self.text, _LONGEST_PARTIAL)


@dataclass(frozen=True, slots=True)
class Streamer:
    """Makes live calls through `executor`, the gateway, for a step, or for nobody in particular outside one.

    Each request goes to `record`; `run`, `key`, `workflow` and `tenant` are the step's.
    """

    executor: Executor
    record: Callable[[CallAttempt], None]
    run: RunId = _NO_RUN
    key: str = ""
    workflow: str = ""
    tenant: str = DEFAULT_TENANT

    async def stream(
        self, prompt: Any, variables: Mapping[str, object], form: OutputForm[T]
    ) -> AsyncGenerator[AnswerPart[T], None]:
        """Yield the parts of the answer of `prompt`; raises `BrokenOff` and what awaiting the prompt raises.

        Ending the iteration early ends the request at the provider.
        """
        told: asyncio.Queue[bytes | None] = asyncio.Queue()
        context = AttemptContext(
            self.run,
            self.key,
            1,
            f"{self.run}/{self.key}",
            self.record,
            told.put_nowait,
            self.workflow,
            self.tenant,
        )
        request = Execute(replace(prompt, streams=True), variables, RetryPolicy())
        call = asyncio.ensure_future(self.executor.execute(request, context))
        call.add_done_callback(lambda _: told.put_nowait(None))
        text = ""
        try:
            while (piece := await told.get()) is not None:
                delta = from_json(piece)
                text += delta
                yield AnswerPart(delta, text, None, form)
            yield AnswerPart("", text, await call, form)
        finally:
            call.cancel()
            await asyncio.wait((call,))
            if not call.cancelled():
                # Looked at, so that nobody complains that it was not.
                call.exception()
