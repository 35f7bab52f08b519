"""The gateway of an app, with what it keeps on the app's database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from podium.domain.budgets import Budget
from podium.domain.ids import new_run_id
from podium.domain.policies import PromptPolicy
from podium.gateway.batches.batches import Batches
from podium.gateway.batches.work import BatchMeans
from podium.gateway.budgets.budgets import Budgets
from podium.gateway.budgets.held import Reservations
from podium.gateway.budgets.purse import Purses
from podium.gateway.cache.answers import AnswerCache
from podium.gateway.cache.similar import SimilarAnswers
from podium.gateway.gateway import Gateway
from podium.gateway.versions import PromptUses
from podium.ports.models import ModelProviders
from podium.ports.storage import Storage
from podium.providers.embeddings import StaticEmbeddings
from podium.providers.price_list import PriceList
from podium.providers.prices import Prices
from podium.settings import Settings
from podium.storage.budgets import StoredBudgets
from podium.storage.cached_answers import StoredAnswers
from podium.storage.holds import StoredHolds
from podium.storage.prompts import StoredPrompts
from podium.storage.similar_questions import StoredQuestions
from podium.storage.vendor_batches import StoredBatches


@dataclass(frozen=True, slots=True)
class Means:
    """What a gateway works with; `budgets` come to those of the settings, `clock` gives seconds since the epoch."""

    storage: Storage
    providers: ModelProviders
    settings: Settings
    environment: Mapping[str, str]
    budgets: Sequence[Budget] = ()
    clock: Callable[[], float] = time.time


@dataclass(frozen=True, slots=True)
class Prompting:
    """What asks models: the gateway, and batches beside it, which know the same of budgets, answers and providers."""

    gateway: Gateway
    batches: Batches


def gateway_on(
    means: Means,
    stack: AsyncExitStack,
    workflows: Mapping[str, PromptPolicy] | None = None,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Prompting:
    """Return a gateway, with batches, that spends, caches and takes note of prompts on a database; `stack` closes what it opened.

    `workflows` are the policies of workflows by name, `clock` and `sleep` those of its deadlines.
    """
    storage, settings = means.storage, means.settings.gateway
    # The holder is this process for as long as it has the database open: no other one settles what it holds.
    holder = StoredBudgets(storage, new_run_id(), clock=means.clock)
    budgets = Budgets(holder, (*settings.budgets, *means.budgets), clock=means.clock)
    answers = StoredAnswers(
        storage,
        stale_for=settings.cache_stale,
        most=settings.cache_bytes,
        blob_threshold=means.settings.storage.blob_threshold,
        clock=means.clock,
    )
    cache = AnswerCache(answers, clock=means.clock)
    questions = StoredQuestions(storage, most=settings.cache_questions, clock=means.clock)
    similar = SimilarAnswers(
        cache, questions, StaticEmbeddings(), most=settings.cache_questions, clock=means.clock
    )
    uses = PromptUses(StoredPrompts(storage), clock=means.clock)
    for part in (budgets, cache, similar, uses):
        stack.push_async_callback(part.close)
    prices = PriceList(means.environment, Prices(means.settings.prices))
    purses = Purses(budgets, prices, settings.unpriced)
    gateway = Gateway(
        means.providers,
        settings,
        workflows=workflows,
        purses=purses,
        cache=cache,
        similar=similar,
        uses=uses,
        clock=clock,
        sleep=sleep,
    )
    work = BatchMeans(
        means.providers,
        settings,
        gateway.traffic,
        StoredBatches(storage),
        reservations=Reservations(purses, StoredHolds(storage, clock=means.clock), sleep),
        cache=cache,
        uses=uses,
        workflows=workflows or {},
        clock=clock,
        now=means.clock,
    )
    batches = Batches(work)
    stack.push_async_callback(batches.close)
    return Prompting(gateway, batches)
