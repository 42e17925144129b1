"""The promise service: one cart, or Arrow batches of carts."""

import asyncio
import datetime
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from typing import Any

import numpy as np

from allot.v1 import promises_pb2 as pb
from allot.v1 import promises_pb2_grpc
from engine.outcomes import Namespace
from engine.ragged import offsets
from engine.rates.card import ServiceCard
from kernels.columns import NONE, Batch, no_terms
from server.deadlines import deadline_of
from server.errors import Rejection
from server.metrics import Metrics
from server.promising import Answer, CartBatches, Promising, TakenCarts, answer_carts, part_columns
from server.security import current_caller
from server.services.orders import OrderDesk
from server.streams import in_order
from server.validation.orders import cart_lines

BATCHES_UNDER_WAY_MAX = 2  # of one stream
_NAMINGS_MAX = 2  # of one batch: it is read with its new postal codes then
_EPOCH = datetime.date(1970, 1, 1).toordinal()


class PromiseService(promises_pb2_grpc.PromiseServiceServicer):
    """Says what an order would get."""

    def __init__(
        self, desk: OrderDesk, promising: Promising, carts: CartBatches, decoding: Executor, metrics: Metrics,
        draining: asyncio.Event,
    ) -> None:  # fmt: skip
        """decoding: where Arrow batches are read and answered. draining: set when streams are to end."""
        self._desk = desk
        self._promising = promising
        self._carts = carts
        self._decoding = decoding
        self._metrics = metrics
        self._draining = draining

    async def Promise(self, request: pb.PromiseRequest, context: Any) -> pb.PromiseResponse:  # noqa: N802
        """One cart."""
        deadline = deadline_of(context)
        channel, postal_code, sku, quantity = await self._desk.row(cart_lines, request, deadline)
        batch = Batch(
            np.array([channel], np.int16), np.array([postal_code], np.int32), offsets(np.array([len(sku)])),
            np.array(sku, np.int32), np.array(quantity, np.int32), *no_terms(1),
        )  # fmt: skip
        cash = np.array([request.cash_on_delivery], np.uint8)
        (answer,) = await self._promising.ask(batch, cash, deadline)
        return self._message(answer)

    def _message(self, answer: Answer) -> pb.PromiseResponse:
        promised = answer.promised
        message = pb.PromiseResponse(
            units_short=int(promised.units_short[0]), order_by_us=max(0, int(promised.order_by[0])),
            currency=answer.card.currency, sequence=answer.foreseen.sequence,
            short_expected_at_us=max(0, int(answer.foreseen.expected_at[0])),
        )  # fmt: skip
        columns = (promised.ship_day, promised.ship_at, promised.deliver_day, promised.price)
        rows = zip(answer.card.services, *(column[0].tolist() for column in columns), strict=True)
        for service, ship_day, ship_at, deliver_day, price in rows:
            if deliver_day != NONE:
                message.services.add(
                    service=service.name, ship_date=_date(ship_day), ship_at_us=ship_at,
                    deliver_date=_date(deliver_day), price=price,
                )  # fmt: skip
        node_ids = self._desk.lookup.texts(Namespace.NODE)
        line, node, quantity, metres = (column.tolist() for column in part_columns(answer))
        for position, at, units, distance in zip(line, node, quantity, metres, strict=True):
            node_id = "" if at is None else node_ids[at]
            message.parts.add(line=position, node_id=node_id, quantity=units, distance_m=distance if node_id else 0)
        return message

    async def Promises(  # noqa: N802
        self, requests: AsyncIterator[pb.PromisesRequest], context: Any
    ) -> AsyncIterator[pb.PromisesResponse]:
        """Arrow batches."""
        deadline, channel, card = deadline_of(context), current_caller().channel, self._promising.card

        async def begin(request: pb.PromisesRequest) -> Any:
            taken = await self._taken(request.batch, channel, deadline)
            return asyncio.ensure_future(self._answered(taken, card, deadline))

        async for _, result in in_order(requests, begin, BATCHES_UNDER_WAY_MAX, self._draining):
            if isinstance(result, Rejection):
                self._metrics.rejected(result.reason)
                yield pb.PromisesResponse(problem=result.problem())
            else:
                yield pb.PromisesResponse(batch=result)

    async def _taken(self, data: bytes, channel: str, deadline: float) -> TakenCarts:
        """The carts of a batch, after naming the postal codes that it names for the first time."""
        loop = asyncio.get_running_loop()
        for _ in range(_NAMINGS_MAX):
            taken = await loop.run_in_executor(self._decoding, self._carts.read, data, channel)
            if taken.unplaced is None or not await self._desk.naming.place(taken.unplaced, deadline):
                break
        return taken

    async def _answered(self, taken: TakenCarts, card: ServiceCard, deadline: float) -> bytes:
        answers: list[Answer] = []
        if taken.batch is not None:
            answers = await self._promising.ask(taken.batch, taken.cash, deadline, is_batch=True)
        node_ids = self._desk.lookup.texts(Namespace.NODE)
        return await asyncio.get_running_loop().run_in_executor(
            self._decoding, answer_carts, taken, answers, card, node_ids
        )


def _date(day: int) -> str:
    return datetime.date.fromordinal(_EPOCH + day).isoformat()
