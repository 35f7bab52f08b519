"""Batches at vendors that take them: encoded and read by Pydantic AI, handed in and found by the vendor's own library."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from pydantic_ai.models import Model
from pydantic_ai.models.batch import BatchRequest, BatchResult, EncodedBatchRequest

from podium.domain.answers import FailureKind
from podium.ports.batches import BatchLimits, Lookup, Sought
from podium.ports.models import ModelFailure, ModelReply, ModelRequest
from podium.providers import http, translation
from podium.providers.batch_desks import BatchDesk, Listed
from podium.providers.bounds import Bounds, TooMuch
from podium.providers.exchange import Exchange
from podium.providers.plans import Plan

_PATIENCE: Final = 300.0
_CONNECT: Final = 10.0
# Of what is said about batches, a page of them being the longest.
_BOUNDS: Final = Bounds(1 << 24, 1 << 24)
# Of the results by which a batch is recognized: the first that can be read is enough.
_GLANCE: Final = Bounds(1 << 24, 1 << 26)
# How far a vendor's clock may be from ours.
_SKEW: Final = 300.0
# Between so many requests that are encoded or read, others have their turn.
_SOME: Final = 20
R = TypeVar("R")


class VendorBatches:
    """Batches over the connection of `exchange`."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def limits(self, name: str) -> BatchLimits | None:
        """Return what the vendor takes in one batch, None when its library offers none for this model."""
        model = self._exchange.batch_model(name)
        most, size = model.batch_max_requests, model.batch_max_bytes
        return BatchLimits(most, size) if most and size else None

    async def submit(self, name: str, mark: str, requests: Sequence[ModelRequest]) -> str:
        """Hand in those of `requests` that go into one batch; return its id. Raises `ModelFailure`."""
        model = self._exchange.batch_model(name)
        return await self._within_patience(name, self._submit(name, model, mark, requests))

    async def find(self, name: str, sought: Sought) -> Lookup:
        """Return what the vendor's list says of a batch. Raises `ModelFailure`."""
        return await self._within_patience(name, self._find(self._desk(name), sought))

    async def is_over(self, name: str, batch: str) -> bool:
        """Return whether a batch has ended. Raises `ModelFailure`."""
        return (await self._within_patience(name, self._desk(name).look(batch))).ended

    async def results(
        self, name: str, batch: str, mark: str, requests: Sequence[ModelRequest]
    ) -> Sequence[ModelReply | ModelFailure]:
        """Return what became of each request. Raises `ModelFailure`."""
        return await self._within_patience(name, self._results(name, batch, mark, requests))

    async def cancel(self, name: str, batch: str) -> None:
        """Have a batch stopped. Raises `ModelFailure`."""
        await self._within_patience(name, self._desk(name).cancel(batch))

    def _desk(self, name: str) -> BatchDesk:
        connection = self._exchange.connection
        module = importlib.import_module(f"podium.providers.{connection.access.vendor.name}_batches")
        desk: BatchDesk = module.desk(connection, name)
        return desk

    async def _within_patience(self, name: str, work: Coroutine[Any, Any, R]) -> R:
        line = http.Line(_CONNECT, _BOUNDS)
        http.current.set(line)
        failure: ModelFailure
        try:
            async with asyncio.timeout(_PATIENCE):
                return await work
        except asyncio.CancelledError:
            await line.drop()
            raise
        except TimeoutError:
            said = f"{name} did not answer about a batch in {_PATIENCE:g} s"
            failure = ModelFailure(FailureKind.TIMEOUT, said)
        except Exception as error:  # noqa: BLE001 - whatever happens is classified here
            failure = self._exchange.failure(error, name)
        await line.drop()
        # Raised here, so that no vendor's exception, which may hold the key, hangs on to it as its context.
        raise failure

    async def _submit(self, name: str, model: Model[Any], mark: str, requests: Sequence[ModelRequest]) -> str:
        chosen: list[EncodedBatchRequest] = []
        size = 0
        for number, request in enumerate(requests):
            encoded = await model.batch_encode(self._spelled(name, model, _id(mark, number), request)[0])
            weight = model.batch_request_size(encoded)
            fits = model.batch_max_bytes is None or size + weight <= model.batch_max_bytes
            if fits and (not chosen or encoded.group == chosen[0].group):
                chosen.append(encoded)
                size += weight
            if number % _SOME == 0:
                await asyncio.sleep(0)
        if not chosen:
            raise ModelFailure(FailureKind.BAD_REQUEST, f"{name} takes none of these requests in a batch")
        return await self._desk(name).create(mark, chosen)

    async def _find(self, desk: BatchDesk, sought: Sought) -> Lookup:
        maybe: list[str] = []
        async for listed in desk.listing():
            if listed.created_at < sought.since - _SKEW:
                break
            if desk.marks:
                if listed.mark == sought.mark:
                    return Lookup(listed.id)
            elif listed.id not in sought.others and _could_be(listed, sought):
                if not listed.ended:
                    maybe.append(listed.id)
                elif await _is_marked(desk, listed.id, sought.mark):
                    return Lookup(listed.id)
        return Lookup(maybe=tuple(maybe))

    async def _results(
        self, name: str, batch: str, mark: str, requests: Sequence[ModelRequest]
    ) -> Sequence[ModelReply | ModelFailure]:
        model, desk = self._exchange.batch_model(name), self._desk(name)
        # Of each request that is not settled yet, its number.
        open_ones = {_id(mark, number): number for number in range(len(requests))}
        outcomes: list[ModelReply | ModelFailure | None] = [None] * len(requests)
        missing, read_all = f"{name} gave no result for this request of a batch", True
        try:
            async with contextlib.aclosing(desk.results(batch, _bounds(requests))) as results:
                async for result in results:
                    number = open_ones.get(result.custom_id)
                    if number is None:
                        continue
                    outcome = self._outcome(name, model, result, requests[number])
                    outcomes[number] = outcomes[number] or outcome
                    if isinstance(outcome, ModelReply) or result.status != "succeeded":
                        outcomes[number] = outcome
                        del open_ones[result.custom_id]
                    if not open_ones:
                        break
                    if len(open_ones) % _SOME == 0:
                        await asyncio.sleep(0)
        except TooMuch as refusal:
            missing = (
                f"{name} gave more than the results of its batch: {refusal}. The rest of it was not read"
            )
            read_all = False
        with contextlib.suppress(Exception):
            # The vendor lets go of it in the end, whether this succeeds or not.
            await desk.tidy(batch)
        return [each or ModelFailure(FailureKind.SERVER, missing, counted=read_all) for each in outcomes]

    def _outcome(
        self, name: str, model: Model[Any], result: BatchResult, request: ModelRequest
    ) -> ModelReply | ModelFailure:
        spelled, plan = self._spelled(name, model, result.custom_id, request)
        try:
            return self._exchange.reply(model.batch_decode(result, spelled), request, plan, name)
        except Exception as error:  # noqa: BLE001 - whatever happens is classified here
            return self._exchange.failure(error, name)

    def _spelled(
        self, name: str, model: Model[Any], custom_id: str, request: ModelRequest
    ) -> tuple[BatchRequest, Plan]:
        # Nobody watches, and probabilities of a batch are not for every vendor to give.
        plan = replace(self._exchange.plan(name, model, request), asked=frozenset())
        spelled = BatchRequest(
            custom_id=custom_id,
            messages=translation.messages_of(request, plan.mode),
            model_settings=self._exchange.settings(model, request, plan),
            model_request_parameters=translation.parameters_of(request, plan.mode),
        )
        return spelled, plan


def _id(mark: str, number: int) -> str:
    return f"{mark}-{number}"


def _could_be(listed: Listed, sought: Sought) -> bool:
    # A request that was left out of the batch makes it shorter.
    return listed.count is None or 0 < listed.count <= sought.count


async def _is_marked(desk: BatchDesk, batch: str, mark: str) -> bool:
    with contextlib.suppress(TooMuch):
        async with contextlib.aclosing(desk.results(batch, _GLANCE)) as results:
            async for result in results:
                return result.custom_id.startswith(f"{mark}-")
    return False


def _bounds(requests: Sequence[ModelRequest]) -> Bounds:
    """Return the bounds of a batch's results: of a line those of the longest reply, in all those of all replies."""
    sizes = [Bounds.of(each.longest).body for each in requests]
    return Bounds(max(sizes), sum(sizes))
