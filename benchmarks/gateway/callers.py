"""Those who call a model in their own process: `python -m benchmarks.gateway.callers NAME URL CONCURRENCY REQUESTS`.

Prints, as JSON, the median seconds of a call, how many are answered in a second, and the processor's seconds of each.
A name that ends in `-stream` takes the reply piece by piece. Each needs only its own packages.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

WARM_UP = 30
MODEL = "gpt-4.1-mini"
ASK = "Say a word, many times."
REPLY = "word " * 64

Call = Callable[[], Awaitable[str]]


@asynccontextmanager
async def raw_aiohttp(url: str) -> AsyncIterator[Call]:
    """The least that a client can do."""
    import aiohttp

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        body = {"model": MODEL, "messages": [{"role": "user", "content": ASK}], "max_tokens": 64}

        async def call() -> str:
            async with session.post(f"{url}/chat/completions", json=body) as response:
                said: str = (await response.json())["choices"][0]["message"]["content"]
                return said

        yield call


@asynccontextmanager
async def pydantic_ai(url: str, *, stream: bool = False) -> AsyncIterator[Call]:
    """Pydantic AI's direct requests."""
    from openai import AsyncOpenAI
    from pydantic_ai import direct
    from pydantic_ai.messages import ModelRequest, TextPart
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    async with AsyncOpenAI(api_key="none", base_url=url, max_retries=0) as client:
        model = OpenAIChatModel(MODEL, provider=OpenAIProvider(openai_client=client))
        messages = [ModelRequest.user_text_prompt(ASK)]

        async def call() -> str:
            reply = await direct.model_request(model, messages, model_settings={"max_tokens": 64})
            return "".join(part.content for part in reply.parts if isinstance(part, TextPart))

        async def streamed() -> str:
            async with direct.model_request_stream(
                model, messages, model_settings={"max_tokens": 64}
            ) as coming:
                async for _ in coming:
                    pass
                reply = coming.get()
            return "".join(part.content for part in reply.parts if isinstance(part, TextPart))

        yield streamed if stream else call


@asynccontextmanager
async def podium(url: str, *, stream: bool = False) -> AsyncIterator[Call]:
    """The gateway's typed lane."""
    from podium.gateway.chat import Chat
    from podium.ports.models import CallLimits, Delta, Message, ModelRequest, Role
    from podium.providers import Providers
    from podium.settings import GatewaySettings

    providers = Providers({})
    chat = Chat(providers, GatewaySettings())
    pieces: list[Delta] = []
    request = ModelRequest(
        (Message(Role.USER, ASK),),
        CallLimits(60.0),
        max_tokens=64,
        on_delta=pieces.append if stream else None,
    )

    async def call() -> str:
        pieces.clear()
        return (await chat.reply((f"openai:{MODEL}@{url}",), request)).reply.text

    try:
        yield call
    finally:
        await providers.close()


@asynccontextmanager
async def litellm(url: str, *, router: bool = False) -> AsyncIterator[Call]:
    """LiteLLM's `acompletion`, or its Router."""
    import litellm as library

    options = {"model": f"openai/{MODEL}", "api_base": url, "api_key": "none"}
    messages = [{"role": "user", "content": ASK}]
    if router:
        routed = library.Router(
            model_list=[{"model_name": "m", "litellm_params": options}], num_retries=0, set_verbose=False
        )

    async def call() -> str:
        if router:
            reply = await routed.acompletion("m", messages=messages, max_tokens=64)
        else:
            reply = await library.acompletion(messages=messages, max_tokens=64, **options)
        said: str = reply.choices[0].message.content
        return said

    yield call


def opened(name: str, url: str):  # type: ignore[no-untyped-def] # noqa: ANN201 - a context of a Call, whichever
    """Return the caller of this name."""
    match name:
        case "aiohttp":
            return raw_aiohttp(url)
        case "pydantic-ai" | "pydantic-ai-stream":
            return pydantic_ai(url, stream=name.endswith("-stream"))
        case "podium" | "podium-stream":
            return podium(url, stream=name.endswith("-stream"))
        case "litellm" | "litellm-router":
            return litellm(url, router=name.endswith("-router"))
    raise SystemExit(f"there is no caller {name!r}")


async def measure(name: str, url: str, concurrency: int, requests: int) -> dict[str, float]:
    """Return the median seconds of a call, the calls in a second, and the processor's seconds of each."""
    took: list[float] = []
    left = 0

    async def go_on(call: Call) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            began = time.perf_counter()
            said = await call()
            took.append(time.perf_counter() - began)
            assert said.strip() == REPLY.strip(), said

    async with opened(name, url) as call:
        left = WARM_UP
        await asyncio.gather(*(go_on(call) for _ in range(concurrency)))
        took.clear()
        left = requests
        began, processor = time.perf_counter(), time.process_time()
        await asyncio.gather(*(go_on(call) for _ in range(concurrency)))
        seconds, used = time.perf_counter() - began, time.process_time() - processor
    return {"p50": statistics.median(took), "rate": len(took) / seconds, "cpu": used / len(took)}


if __name__ == "__main__":
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    print(json.dumps(asyncio.run(measure(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))))
