"""Batches at vendors that take them, through Pydantic AI."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import TypeAdapter
from pydantic_ai.models import Model
from pydantic_ai.models.batch import Batch, BatchRequest, BatchResult, EncodedBatchRequest

from podium.domain.answers import FailureKind
from podium.ports.models import ModelFailure, ModelReply, ModelRequest
from podium.providers import http, translation
from podium.providers.exchange import Exchange, Plan

_HANDLES = TypeAdapter(list[Batch])
_PATIENCE = 120.0
_CONNECT = 10.0
R = TypeVar("R")


class VendorBatches:
    """Submits and collects over the connection of `exchange`."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def takes_batches(self, name: str) -> bool:
        """Return whether the vendor's library offers batches for this model at this address."""
        return bool(self._exchange.batch_model(name).batch_max_requests)

    async def submit(self, name: str, requests: Sequence[ModelRequest]) -> str:
        """Hand in `requests` in as few batches as the vendor takes; return their handles. Raises `ModelFailure`."""
        model = self._exchange.batch_model(name)
        return await self._within_patience(name, self._submit(name, model, requests))

    async def collect(
        self, name: str, ticket: str, requests: Sequence[ModelRequest]
    ) -> Sequence[ModelReply | ModelFailure] | None:
        """Return what became of each request, None while a batch is under way. Raises `ModelFailure`."""
        model = self._exchange.batch_model(name)
        return await self._within_patience(name, self._collect(name, model, ticket, requests))

    async def _within_patience(self, name: str, work: Coroutine[Any, Any, R]) -> R:
        http.current.set(http.Line(_CONNECT))
        failure: ModelFailure
        try:
            async with asyncio.timeout(_PATIENCE):
                return await work
        except TimeoutError:
            failure = ModelFailure(
                FailureKind.TIMEOUT, f"{name} did not answer about a batch in {_PATIENCE:g} s"
            )
        except Exception as error:  # noqa: BLE001 - whatever happens is classified here
            failure = self._exchange.failure(error, name)
        # Raised here, so that no vendor's exception, which may hold the key, hangs on to it as its context.
        raise failure

    async def _submit(self, name: str, model: Model[Any], requests: Sequence[ModelRequest]) -> str:
        groups: dict[str, list[EncodedBatchRequest]] = {}
        for number, request in enumerate(requests):
            encoded = await model.batch_encode(self._spelled(name, model, number, request)[0])
            groups.setdefault(encoded.group, []).append(encoded)
        handles = [
            await model.batch_create(part) for group in groups.values() for part in _portions(model, group)
        ]
        return _HANDLES.dump_json(handles).decode()

    async def _collect(
        self, name: str, model: Model[Any], ticket: str, requests: Sequence[ModelRequest]
    ) -> Sequence[ModelReply | ModelFailure] | None:
        handles = [await model.batch_status(handle) for handle in _HANDLES.validate_json(ticket)]
        if any(handle.status != "ended" for handle in handles):
            return None
        results = {each.custom_id: each for handle in handles for each in await model.batch_results(handle)}
        return [
            self._outcome(name, model, results.get(_id(number)), number, request)
            for number, request in enumerate(requests)
        ]

    def _outcome(
        self, name: str, model: Model[Any], result: BatchResult | None, number: int, request: ModelRequest
    ) -> ModelReply | ModelFailure:
        if result is None:
            return ModelFailure(FailureKind.SERVER, f"{name} gave no result for request {number} of a batch")
        spelled, plan = self._spelled(name, model, number, request)
        try:
            return self._exchange.reply(model.batch_decode(result, spelled), request, plan, name)
        except Exception as error:  # noqa: BLE001 - whatever happens is classified here
            return self._exchange.failure(error, name)

    def _spelled(
        self, name: str, model: Model[Any], number: int, request: ModelRequest
    ) -> tuple[BatchRequest, Plan]:
        # Nobody watches, and probabilities of a batch are not for every vendor to give.
        plan = replace(self._exchange.plan(name, model, request), asked=frozenset())
        spelled = BatchRequest(
            custom_id=_id(number),
            messages=translation.messages_of(request, plan.mode),
            model_settings=self._exchange.settings(model, request, plan),
            model_request_parameters=translation.parameters_of(request, plan.mode),
        )
        return spelled, plan


def _id(number: int) -> str:
    return f"request-{number}"


def _portions(model: Model[Any], requests: Sequence[EncodedBatchRequest]) -> list[list[EncodedBatchRequest]]:
    """Return `requests` in portions that the vendor takes as one batch each."""
    most, widest = model.batch_max_requests or len(requests), model.batch_max_bytes
    portions: list[list[EncodedBatchRequest]] = []
    size = 0
    for request in requests:
        weight = model.batch_request_size(request)
        full = not portions or len(portions[-1]) == most or (widest is not None and size + weight > widest)
        if full:
            portions.append([])
            size = 0
        portions[-1].append(request)
        size += weight
    return portions
