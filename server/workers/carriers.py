"""The carriers worker: books shipments that were made, and cancels what was recalled.

Which carrier is chosen is reported before it is asked to take the parcel: offers change, and a worker that was killed
goes on with the carrier that may have taken it. What carriers tell comes by webhooks (server/web/webhooks.py).
"""

import asyncio
import hashlib
import time
from collections.abc import Collection, Sequence
from typing import Any

import grpc

from allot.v1 import events_pb2, life_pb2, shipments_pb2, shipments_pb2_grpc
from allot_client.errors import AllotError, error_of
from allot_client.requests import new_request_id
from server.asking import Declined, Unreachable
from server.carriers.carrier import Booked, Carrier, Offer, Parcel, choose
from server.workers.cursor import Cursor
from server.workers.failure import WillNotDo, WorkerError
from server.workers.frame import Frame

PART = "carriers"
GRAMS = 500  # of a unit that nobody has weighed
AT_ONCE = 32  # shipments that carriers are asked for
CALL_SECONDS = 10.0  # of a call to the engine
BOOKING_US_MAX = 60_000_000  # so long after a recall a carrier may still book what it was asked for before
OFFER_SECONDS = 3.0  # who has not answered then makes no offer
DAY_US = 86_400_000_000
_REFUSED = (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.ALREADY_EXISTS, grpc.StatusCode.INVALID_ARGUMENT)
_Found = shipments_pb2.GetShipmentResponse


class CarriersWorker:
    """One worker of some carriers."""

    def __init__(self, frame: Frame, carriers: Sequence[Carrier], cursor: Cursor, within_days: int = 0) -> None:
        """within_days: a parcel whose order was not promised is to arrive in so many days after its shipment was made;
        0: any time."""
        self._frame, self._cursor, self._within_us = frame, cursor, within_days * DAY_US
        self._carriers = {carrier.name: carrier for carrier in carriers}
        self._engine: Any = shipments_pb2_grpc.ShipmentServiceStub(frame.channel)

    async def run(self) -> None:
        """Until the worker stops."""
        kinds = [events_pb2.EVENT_KIND_STEP_TAKEN]
        await self._frame.follow(PART, self._cursor, self._carry_out, kinds, AT_ONCE, shipment_of)

    async def _carry_out(self, event: events_pb2.Event) -> bool:
        """What one event asks of carriers; whether one was called."""
        told = event.step_taken
        if told.step not in ("SEND", "RECALL"):
            return False
        found = await self._shipment(told.number)
        if found is None:
            return False
        try:
            if told.step == "SEND":
                return await self._book(event, found)
            return await self._call_off(event, found)
        except Unreachable as error:
            raise WorkerError("CARRIER_UNREACHABLE", str(error)) from error

    async def _call_off(self, event: events_pb2.Event, found: _Found) -> bool:
        """Cancel what was recalled, also where nobody has told yet that it was booked."""
        shipment, carrier = found.shipment, self._carriers.get(found.shipment.carrier)
        if shipment.state != life_pb2.SHIPMENT_STATE_RECALLED or carrier is None:
            return False
        booked = None if shipment.reference else await carrier.booked(_key(found))
        is_late = time.time() * 1e6 > event.stamp_us + BOOKING_US_MAX
        if booked is None and not shipment.reference and not is_late:
            raise WorkerError("BOOKING_UNKNOWN", f"{carrier.name} may yet book shipment {shipment.number}")
        if tracking := booked.tracking if booked else shipment.reference:
            await self._cancel(carrier.name, tracking)
        return True

    async def _cancel(self, carrier: str, tracking: str) -> None:
        try:
            await self._carriers[carrier].cancel(tracking)
        except Declined as error:
            self._frame.log.warning("a parcel could not be cancelled", tracking=tracking, error=str(error))

    # Booking

    async def _book(self, event: events_pb2.Event, found: _Found) -> bool:
        shipment = found.shipment
        is_chosen = shipment.state == life_pb2.SHIPMENT_STATE_BOOKED and not shipment.reference
        if shipment.state != life_pb2.SHIPMENT_STATE_CREATED and not is_chosen:
            return False
        name, parcel = shipment.carrier if is_chosen else "", self._parcel(event, found)
        declined: set[str] = set()
        while True:
            if not name:
                chosen = await self._choose(parcel, declined)
                if chosen is None:
                    self._frame.log.warning(
                        "no carrier takes a parcel: book it by hand, or recall it", number=shipment.number,
                        postal_code=found.postal_code,
                    )  # fmt: skip
                    return True
                name = chosen.carrier
                if not await self._tell_choice(found, name):
                    return True
            elif name not in self._carriers:
                return False  # somebody else books with it
            try:
                booked = await self._carriers[name].book(parcel, _key(found))
                await self._tell_booking(event, found, name, booked)
                return True
            except Declined as error:
                before = await self._carriers[name].booked(_key(found))  # its answer was lost
                if before is not None:
                    await self._tell_booking(event, found, name, before)
                    return True
                self._frame.log.warning(
                    "a carrier does not take a parcel", number=shipment.number, carrier=name, error=str(error)
                )
                declined.add(name)
                name = ""

    def _parcel(self, event: events_pb2.Event, found: _Found) -> Parcel:
        shipment = found.shipment
        needed_by = found.deliver_by_us or (event.stamp_us + self._within_us if self._within_us else 0)
        grams = GRAMS * sum(item.quantity for item in shipment.items)
        return Parcel(shipment.number, shipment.node_id, found.postal_code, grams, shipment.collect, needed_by)

    async def _choose(self, parcel: Parcel, declined: Collection[str]) -> Offer | None:
        """Of those that answer in time; who does not is waited for only where nobody else goes there."""
        asked = [carrier for name, carrier in self._carriers.items() if name not in declined]
        answers = await asyncio.gather(*(self._offer(carrier, parcel) for carrier in asked))
        chosen = choose([answer for answer in answers if isinstance(answer, Offer)], parcel)
        away = [answer for answer in answers if isinstance(answer, Unreachable)]
        if chosen is None and away:
            raise away[0]
        return chosen

    async def _offer(self, carrier: Carrier, parcel: Parcel) -> Offer | Unreachable | None:
        """What a carrier asks; None where it does not go there."""
        try:
            async with asyncio.timeout(OFFER_SECONDS):
                return await carrier.offer(parcel)
        except Declined:
            return None
        except Unreachable as error:
            return error
        except TimeoutError:
            return Unreachable(f"{carrier.name}: no offer within {OFFER_SECONDS:g} seconds")

    # What is reported

    async def _tell_choice(self, found: _Found, carrier: str) -> bool:
        """Whether the parcel is still to be booked. Its key is a new one each time: to say it twice changes nothing,
        and what was chosen last is what counts."""
        refusal = await self._advance(found, new_request_id(""), carrier=carrier)
        if refusal is not None:
            self._frame.log.warning("a parcel is not to be booked any more", number=found.shipment.number)
        return refusal is None

    async def _tell_booking(self, event: events_pb2.Event, found: _Found, carrier: str, booked: Booked) -> None:
        """What the engine does not take is cancelled there, where it is this parcel's: it was recalled meanwhile."""
        refusal = await self._advance(
            found, _request_id(event, booked), carrier=carrier, reference=booked.tracking, cost=booked.cost,
            at_us=booked.due_at_us,
        )  # fmt: skip
        if refusal is None:
            return
        now = await self._shipment(found.shipment.number)
        if now is not None and (now.shipment.carrier, now.shipment.reference) == (carrier, booked.tracking):
            return
        if refusal.reason != "WRONG_STATE":
            raise WillNotDo(refusal.reason, f"{carrier} has booked {booked.tracking}: {refusal}")
        await self._cancel(carrier, booked.tracking)

    async def _advance(self, found: _Found, request_id: str, **fields: Any) -> AllotError | None:
        """Book it; why that is refused."""
        request = shipments_pb2.AdvanceShipmentRequest(
            request_id=request_id, channel=found.channel, shipment_id=found.shipment.shipment_id,
            step=life_pb2.SHIPMENT_STEP_BOOK, **fields,
        )  # fmt: skip
        try:
            await self._engine.AdvanceShipment(request, metadata=self._frame.metadata, timeout=CALL_SECONDS)
        except grpc.RpcError as error:
            refusal = error_of(error)
            if refusal.code not in _REFUSED:
                raise
            return refusal
        return None

    async def _shipment(self, number: int) -> _Found | None:
        try:
            found: _Found = await self._engine.GetShipment(
                shipments_pb2.GetShipmentRequest(number=number), metadata=self._frame.metadata, timeout=CALL_SECONDS
            )
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return None
            raise
        return found


def shipment_of(event: events_pb2.Event) -> int:
    """Events of one shipment are carried out one after the other."""
    return event.step_taken.number


def _request_id(event: events_pb2.Event, booked: Booked) -> str:
    """Of the event, and of what the carrier said: another number is told as another."""
    return f"carriers {event.event_id} {hashlib.blake2b(booked.tracking.encode(), digest_size=4).hexdigest()}"


def _key(found: _Found) -> str:
    """The key of a booking: of the shipment, which is booked once."""
    whole = f"{found.channel}\0{found.shipment.shipment_id}\0{found.shipment.number}"
    return "allot-" + hashlib.blake2b(whole.encode(), digest_size=16).hexdigest()
