"""The carriers worker: books shipments that were made, and cancels what was recalled.

What carriers tell of parcels comes by webhooks (server/web/webhooks.py).
"""

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Any

import grpc

from allot.v1 import events_pb2, life_pb2, shipments_pb2, shipments_pb2_grpc
from server.asking import Declined, Unreachable
from server.carriers.carrier import Carrier, Offer, Parcel, choose
from server.workers.failure import WorkerError
from server.workers.frame import Cursor, Frame

PART = "carriers"
GRAMS = 500  # of a unit that nobody has weighed
AT_ONCE = 32  # shipments that carriers are asked for
DAY_US = 86_400_000_000


class CarriersWorker:
    """One worker of some carriers."""

    def __init__(self, frame: Frame, carriers: Sequence[Carrier], cursor: Cursor, within_days: int = 0) -> None:
        """within_days: a parcel is to arrive in so many days after its shipment was made; 0: any time."""
        self._frame, self._cursor, self._within_us = frame, cursor, within_days * DAY_US
        self._carriers = {carrier.name: carrier for carrier in carriers}
        self._engine: Any = shipments_pb2_grpc.ShipmentServiceStub(frame.channel)

    async def run(self) -> None:
        """Until the worker stops."""
        kinds = [events_pb2.EVENT_KIND_STEP_TAKEN]
        await self._frame.follow(PART, self._cursor, self._carry_out, kinds, AT_ONCE, shipment_of)

    async def _carry_out(self, event: events_pb2.Event) -> None:
        told = event.step_taken
        try:
            if told.step == "SEND":
                await self._book(event)
            elif told.step == "RECALL" and told.how in self._carriers:
                found = await self._shipment(told.number)
                if found is not None and found.shipment.reference:
                    await self._cancel(told.how, found.shipment.reference)
        except Unreachable as error:
            raise WorkerError("CARRIER_UNREACHABLE", str(error)) from error

    async def _cancel(self, carrier: str, tracking: str) -> None:
        try:
            await self._carriers[carrier].cancel(tracking)
        except Declined as error:
            self._frame.log.warning("a parcel could not be cancelled", tracking=tracking, error=str(error))

    async def _book(self, event: events_pb2.Event) -> None:
        found = await self._shipment(event.step_taken.number)
        if found is None or found.shipment.state != life_pb2.SHIPMENT_STATE_CREATED:
            return
        shipment = found.shipment
        needed_by = event.stamp_us + self._within_us if self._within_us else 0
        units = sum(item.quantity for item in shipment.items)
        parcel = Parcel(
            shipment.number, shipment.node_id, found.postal_code, GRAMS * units, shipment.collect, needed_by
        )
        offers = await asyncio.gather(*(self._offer(carrier, parcel) for carrier in self._carriers.values()))
        chosen = choose([offer for offer in offers if offer is not None], parcel)
        if chosen is None:
            self._frame.log.warning(
                "no carrier takes a parcel: book it by hand, or recall it", number=shipment.number,
                postal_code=found.postal_code,
            )  # fmt: skip
            return
        try:
            booked = await self._carriers[chosen.carrier].book(parcel, _key(event))
        except Declined as error:
            self._frame.log.warning(
                "a carrier does not take a parcel", number=shipment.number, carrier=chosen.carrier, error=str(error)
            )
            return
        request = shipments_pb2.AdvanceShipmentRequest(
            request_id=f"carriers {event.event_id}", channel=found.channel, shipment_id=shipment.shipment_id,
            step=life_pb2.SHIPMENT_STEP_BOOK, carrier=chosen.carrier, reference=booked.tracking, cost=booked.cost,
            at_us=booked.due_at_us,
        )  # fmt: skip
        try:
            await self._engine.AdvanceShipment(request, metadata=self._frame.metadata)
        except grpc.RpcError as error:
            if error.code() not in (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.ALREADY_EXISTS):
                raise
            await self._cancel(chosen.carrier, booked.tracking)  # it was recalled meanwhile

    async def _offer(self, carrier: Carrier, parcel: Parcel) -> Offer | None:
        """What a carrier asks; None where it does not go there. Who is away may be the cheapest: it is waited for."""
        try:
            return await carrier.offer(parcel)
        except Declined:
            return None

    async def _shipment(self, number: int) -> shipments_pb2.GetShipmentResponse | None:
        try:
            found: shipments_pb2.GetShipmentResponse = await self._engine.GetShipment(
                shipments_pb2.GetShipmentRequest(number=number), metadata=self._frame.metadata
            )
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return None
            raise
        return found


def shipment_of(event: events_pb2.Event) -> int:
    """Events of one shipment are carried out one after the other."""
    return event.step_taken.number


def _key(event: events_pb2.Event) -> str:
    """The key of a booking: of this event and shipment."""
    whole = f"{event.step_taken.number}\0{event.event_id}"
    return "allot-" + hashlib.blake2b(whole.encode(), digest_size=16).hexdigest()
