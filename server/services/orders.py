"""The order service: single orders, streams of them, Arrow batches; reading, cancelling, moving to other nodes."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa

from allot.v1 import orders_pb2, orders_pb2_grpc, types_pb2
from engine.outcomes import Namespace
from server.batcher import Batcher, Lane
from server.batches import OrderBatches, Taken, answer_batch
from server.deadlines import deadline_of
from server.errors import Rejection
from server.gather import ACT, ORDER, OrderResult
from server.life import hide_from_customers
from server.lookup import Lookup
from server.metrics import Metrics
from server.naming import Naming, NotYetKnown
from server.reading import OrderReading
from server.reallocation import reallocate_orders, reevaluate_orders
from server.replies import check_reply
from server.security import current_caller
from server.streams import in_order, when_there_is_room
from server.validation.orders import cancel_row, order_row

ORDERS_UNDER_WAY_MAX = 256  # of one stream
BATCHES_UNDER_WAY_MAX = 3  # of one stream: one that is decided, one that waits, one that is read
_NAMINGS_MAX = 8  # of one order: what it names is named one by one
_BATCH_NAMINGS_MAX = 4  # of one batch: places, then words, then it is read with all of them


@dataclass(frozen=True)
class OrderDesk:
    """What the services of orders and reservations share."""

    batcher: Batcher
    lookup: Lookup
    naming: Naming
    reading: OrderReading

    async def row(self, read: Any, request: Any, deadline: float) -> Any:
        """What `read` makes of a request, after naming what it names for the first time. Raises Rejection."""
        for _ in range(_NAMINGS_MAX):
            try:
                return read(request, self.lookup)
            except NotYetKnown as unknown:
                await self.naming.name_one(unknown, deadline)
        return read(request, self.lookup)

    def decision(self, result: OrderResult, key_field: str = "order.order_id") -> types_pb2.Decision:
        """The message of a decision. Raises the Rejection of an answer that is none; key_field: as in check_reply."""
        if result.reply > types_pb2.OUTCOME_REFUSED:
            check_reply(result.reply, key_field)
        node_ids = self.lookup.texts(Namespace.NODE)
        decision = types_pb2.Decision(number=result.number, again=result.again)
        decision.outcome = result.reply  # type: ignore[assignment]
        for line, node, stage, units, metres in result.parts:
            part = decision.parts.add(line=line, quantity=units)
            part.stage = stage + 1  # type: ignore[assignment]
            if node >= 0:
                part.node_id, part.distance_m = node_ids[node], metres
        return decision


class OrderService(orders_pb2_grpc.OrderServiceServicer):
    """Places, reads and cancels orders."""

    def __init__(
        self, desk: OrderDesk, batches: OrderBatches, decoding: Executor, metrics: Metrics, draining: asyncio.Event
    ) -> None:
        """decoding: where Arrow batches are read and answered, away from the event loop. draining: set when streams are
        to end."""
        self._desk = desk
        self._batches = batches
        self._decoding = decoding
        self._metrics = metrics
        self._draining = draining

    async def PlaceOrder(self, request: orders_pb2.PlaceOrderRequest, context: Any) -> orders_pb2.PlaceOrderResponse:  # noqa: N802
        """One order."""
        deadline = deadline_of(context)
        row = await self._desk.row(order_row, request.order, deadline)
        result = await self._desk.batcher.place(ORDER, row, deadline)
        return orders_pb2.PlaceOrderResponse(decision=self._desk.decision(result))

    async def PlaceOrders(  # noqa: N802
        self, requests: AsyncIterator[orders_pb2.PlaceOrdersRequest], context: Any
    ) -> AsyncIterator[orders_pb2.PlaceOrdersResponse]:
        """Orders as they come."""
        deadline = deadline_of(context)

        async def begin(request: orders_pb2.PlaceOrdersRequest) -> Any:
            row = await self._desk.row(order_row, request.order, deadline)
            return await when_there_is_room(partial(self._desk.batcher.place, ORDER, row, deadline))

        async for request, result in in_order(requests, begin, ORDERS_UNDER_WAY_MAX, self._draining):
            yield self._placed(request.order.order_id, result)

    def _placed(self, order_id: str, result: OrderResult | Rejection) -> orders_pb2.PlaceOrdersResponse:
        try:
            if isinstance(result, Rejection):
                raise result
            return orders_pb2.PlaceOrdersResponse(order_id=order_id, decision=self._desk.decision(result))
        except Rejection as rejection:
            self._metrics.rejected(rejection.reason)
            return orders_pb2.PlaceOrdersResponse(order_id=order_id, problem=rejection.problem())

    async def AllocateBatches(  # noqa: N802
        self, requests: AsyncIterator[orders_pb2.AllocateBatchesRequest], context: Any
    ) -> AsyncIterator[orders_pb2.AllocateBatchesResponse]:
        """Arrow batches."""
        deadline, lane, channel = deadline_of(context), Lane(), current_caller().channel

        async def begin(request: orders_pb2.AllocateBatchesRequest) -> Any:
            return await self._allocate(lane, request.batch, channel, deadline)

        async for _, result in in_order(requests, begin, BATCHES_UNDER_WAY_MAX, self._draining):
            if isinstance(result, Rejection):
                self._metrics.rejected(result.reason)
                yield orders_pb2.AllocateBatchesResponse(problem=result.problem())
            else:
                yield orders_pb2.AllocateBatchesResponse(batch=result)

    async def _allocate(self, lane: Lane, data: bytes, channel: str, deadline: float) -> Any:
        """Begin a batch: the future of its answer, as bytes."""
        taken = await self._taken(data, channel, deadline)
        allocated = None
        if taken.command is not None:
            submit = partial(self._desk.batcher.allocate, lane, taken.command, taken.accepted.size, deadline)
            allocated = await when_there_is_room(submit)
        return asyncio.ensure_future(self._answered(taken, allocated))

    async def _taken(self, data: bytes, channel: str, deadline: float) -> Taken:
        """The batch as a command, after naming what it names for the first time."""
        loop = asyncio.get_running_loop()
        for _ in range(_BATCH_NAMINGS_MAX):
            taken = await loop.run_in_executor(self._decoding, self._batches.take, data, channel)
            if not await self._name(taken, deadline):
                return taken
        raise AssertionError("what a batch names is not known after it was named")

    async def _name(self, taken: Taken, deadline: float) -> bool:
        """Name what a batch names for the first time; whether it is to be read again. Words of orders whose postal code
        was not known are seen only then."""
        named = False
        if taken.unplaced is not None:
            named = await self._desk.naming.place(taken.unplaced, deadline)
        if taken.unnamed:
            await self._desk.naming.name(pa.concat_arrays(taken.unnamed).unique(), deadline)
            named = True
        return named

    async def _answered(self, taken: Taken, allocated: Any) -> bytes:
        """What became of a batch, once it is durable; of nothing where nothing of it was asked."""
        answers = None if allocated is None else await allocated
        node_ids = self._desk.lookup.texts(Namespace.NODE)
        return await asyncio.get_running_loop().run_in_executor(self._decoding, answer_batch, taken, answers, node_ids)

    async def CancelOrder(self, request: orders_pb2.CancelOrderRequest, context: Any) -> orders_pb2.CancelOrderResponse:  # noqa: N802
        """Units that are not wanted any more."""
        deadline = deadline_of(context)
        row = await self._desk.row(cancel_row, request, deadline)
        result = await self._desk.batcher.place(ACT, row, deadline)
        check_reply(result.reply)
        return orders_pb2.CancelOrderResponse(quantity=result.quantity, again=result.again)

    async def ReallocateOrders(  # noqa: N802
        self, request: orders_pb2.ReallocateOrdersRequest, context: Any
    ) -> orders_pb2.ReallocateOrdersResponse:
        """Units of nodes that are to be left, to others."""
        return await reallocate_orders(self._desk.batcher, request, deadline_of(context))

    async def ReevaluateOrders(  # noqa: N802
        self, request: orders_pb2.ReevaluateOrdersRequest, context: Any
    ) -> orders_pb2.ReevaluateOrdersResponse:
        """Orders that another node serves more cheaply, to it."""
        return await reevaluate_orders(self._desk.batcher, request, deadline_of(context))

    async def GetOrder(self, request: orders_pb2.GetOrderRequest, context: Any) -> orders_pb2.GetOrderResponse:  # noqa: N802
        """One order as it stands."""
        response = await self._desk.reading.get(request, deadline_of(context))
        if current_caller().customer:
            hide_from_customers(response.life)
        return response

    async def ExplainOrder(  # noqa: N802
        self, request: orders_pb2.ExplainOrderRequest, context: Any
    ) -> orders_pb2.ExplainOrderResponse:
        """Why these nodes."""
        return await self._desk.reading.explain(request, deadline_of(context))

    async def ListOrders(self, request: orders_pb2.ListOrdersRequest, context: Any) -> orders_pb2.ListOrdersResponse:  # noqa: N802
        """A page of orders."""
        return await self._desk.reading.list(request, deadline_of(context))
