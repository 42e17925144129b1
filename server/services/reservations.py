"""The reservation service: hold units for a cart, turn the hold into an order, or let it go."""

import time
from typing import Any

from allot.v1 import reservations_pb2, reservations_pb2_grpc, types_pb2
from server.deadlines import deadline_of
from server.gather import CART, CONFIRMATION, RELEASE
from server.replies import check_reply
from server.services.orders import OrderDesk
from server.validation.orders import cart_row, check_hold, confirm_row, release_row


class ReservationService(reservations_pb2_grpc.ReservationServiceServicer):
    """Holds units."""

    def __init__(self, desk: OrderDesk) -> None:
        self._desk = desk

    async def Reserve(self, request: reservations_pb2.ReserveRequest, context: Any) -> reservations_pb2.ReserveResponse:  # noqa: N802
        """Units for a cart."""
        deadline = deadline_of(context)
        row = await self._desk.row(cart_row, request, deadline)
        check_hold(row.expires_at, time.time_ns() // 1000)
        decision = self._desk.decision(await self._desk.batcher.place(CART, row, deadline))
        held = decision.outcome != types_pb2.OUTCOME_REFUSED
        return reservations_pb2.ReserveResponse(decision=decision, expires_at_us=row.expires_at if held else 0)

    async def Confirm(self, request: reservations_pb2.ConfirmRequest, context: Any) -> reservations_pb2.ConfirmResponse:  # noqa: N802
        """A cart that became an order."""
        deadline = deadline_of(context)
        row = await self._desk.row(confirm_row, request, deadline)
        result = await self._desk.batcher.place(CONFIRMATION, row, deadline)
        return reservations_pb2.ConfirmResponse(decision=self._desk.decision(result, key_field="request_id"))

    async def Release(self, request: reservations_pb2.ReleaseRequest, context: Any) -> reservations_pb2.ReleaseResponse:  # noqa: N802
        """A cart that was left."""
        deadline = deadline_of(context)
        row = await self._desk.row(release_row, request, deadline)
        result = await self._desk.batcher.place(RELEASE, row, deadline)
        check_reply(result.reply)
        return reservations_pb2.ReleaseResponse(quantity=result.quantity, again=result.again)
