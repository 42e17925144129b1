"""The shipment service: what leaves, what carriers scan, what is done to units in a node, and where a parcel is."""

from collections.abc import AsyncIterator
from typing import Any

import grpc

from allot.v1 import shipments_pb2 as pb
from allot.v1 import shipments_pb2_grpc
from engine.life_reading import document_row, row_by_number, row_by_reference
from engine.outcomes import Namespace, Reply
from engine.views import Views
from kernels.life import DocumentKind
from server.deadlines import deadline_of
from server.errors import Rejection
from server.gather import ACT
from server.replies import check_reply
from server.services.life import LifeDesk
from server.step_batches import StepBatches
from server.timeline import happening
from server.validation import life as asked
from server.validation.orders import channel_of

_KIND = DocumentKind.SHIPMENT


class ShipmentService(shipments_pb2_grpc.ShipmentServiceServicer):
    """Keeps what leaves, and where it is."""

    def __init__(self, desk: LifeDesk) -> None:
        self._desk = desk
        self._batches = StepBatches(desk.orders.batcher.engine.state.names, (_KIND,))

    async def CreateShipment(self, request: pb.CreateShipmentRequest, context: Any) -> pb.CreateShipmentResponse:  # noqa: N802
        """A shipment of what may leave."""
        result = await self._desk.step(asked.new_shipment, request, context)
        return pb.CreateShipmentResponse(number=result.quantity, again=result.again)

    async def AdvanceShipment(self, request: pb.AdvanceShipmentRequest, context: Any) -> pb.AdvanceShipmentResponse:  # noqa: N802
        """One step of a shipment."""
        result = await self._desk.step(asked.shipment_step, request, context)
        return pb.AdvanceShipmentResponse(again=result.again)

    async def AdvanceShipments(  # noqa: N802
        self, requests: AsyncIterator[pb.AdvanceShipmentsRequest], context: Any
    ) -> AsyncIterator[pb.AdvanceShipmentsResponse]:
        """Batches of scans and other steps."""
        async for response in self._desk.steps(self._batches, requests, context, pb.AdvanceShipmentsResponse):
            yield response

    async def ActOnUnits(self, request: pb.ActOnUnitsRequest, context: Any) -> pb.ActOnUnitsResponse:  # noqa: N802
        """Picked, packed, put back, or not there."""
        deadline = deadline_of(context)
        row = await self._desk.orders.row(asked.unit_act, request, deadline)
        result = await self._desk.orders.batcher.place(ACT, row, deadline)
        check_reply(result.reply)
        return pb.ActOnUnitsResponse(quantity=result.quantity, again=result.again)

    async def GetShipment(self, request: pb.GetShipmentRequest, context: Any) -> pb.GetShipmentResponse:  # noqa: N802
        """One shipment as it stands."""
        found = await self._desk.document(self._row(request), Reply.UNKNOWN_SHIPMENT, context)
        names = self._desk.orders.batcher.engine.state.names
        return pb.GetShipmentResponse(
            shipment=self._desk.messages.shipment(found.document), order_number=found.order.number,
            postal_code=names[Namespace.POSTAL_CODE].text(found.order.postal_code), sequence=found.sequence,
            channel=found.channel, order_id=found.order_id, currency=self._desk.messages.word(found.order.currency),
            deliver_by_us=found.deliver_by,
        )  # fmt: skip

    def _row(self, request: pb.GetShipmentRequest) -> Any:
        if request.number:
            return lambda engine: row_by_number(engine.state, _KIND, request.number)
        if request.reference:
            how = self._desk.word(request.carrier)
            return lambda engine: row_by_reference(engine.state, _KIND, how, request.reference)
        channel = channel_of("channel", request.channel, self._desk.orders.lookup)
        return lambda engine: document_row(engine.state, _KIND, channel, request.shipment_id)

    async def TrackShipment(self, request: pb.TrackShipmentRequest, context: Any) -> pb.TrackShipmentResponse:  # noqa: N802
        """Where a parcel is, for whoever holds its token."""
        number = self._desk.messages.number_of(request.tracking_token)
        if number == 0:
            raise Rejection(
                grpc.StatusCode.NOT_FOUND, "UNKNOWN_TOKEN", "tracking_token: nobody was given this one: open the link "
                "as it was sent", "tracking_token",
            )  # fmt: skip
        row = lambda engine: row_by_number(engine.state, _KIND, number)  # noqa: E731
        found = await self._desk.document(row, Reply.UNKNOWN_SHIPMENT, context, is_public=True)
        message = self._desk.messages.shipment(found.document)
        response = pb.TrackShipmentResponse(state=message.state, carrier=message.carrier, due_at_us=message.due_at_us)
        answer = await self._desk.orders.reading.ask_views(
            lambda views: Views.scans(views, number), 0, deadline_of(context)
        )
        for told in answer.rows:
            scan = happening(told)
            scan.stamp_us = told["at"] or told["stamp"]
            scan.actor, scan.amount, scan.number = "", 0, 0
            response.scans.append(scan)
        return response
