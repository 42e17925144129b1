"""The payments worker: what the engine asks of gateways, carried out, and what became of it reported back.

It follows the event stream from its own cursor. Whatever it calls carries a key that comes from the event, and whatever
it reports a request id that does, so that a kill between the two charges nobody twice and loses no refund.
"""

import asyncio
import hashlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import grpc

from allot.v1 import events_pb2, life_pb2, payments_pb2, payments_pb2_grpc
from server.asking import Declined, Unreachable
from server.gateways.gateway import Asked, Gateway
from server.workers.failure import WorkerError
from server.workers.frame import Cursor, Frame

AT_ONCE = 32  # payments that gateways are asked about


class PaymentsWorker:
    """One worker of some gateways."""

    def __init__(self, frame: Frame, gateways: Mapping[str, Gateway], cursors: Path) -> None:
        """cursors: the folder of a cursor for each gateway: one that is down holds up no other."""
        self._frame, self._gateways, self._cursors = frame, gateways, cursors
        self._engine: Any = payments_pb2_grpc.PaymentServiceStub(frame.channel)

    async def run(self) -> None:
        """Until the worker stops."""
        kinds = [events_pb2.EVENT_KIND_STEP_TAKEN]
        await asyncio.gather(
            *(
                self._frame.follow(
                    f"payments of {name}", Cursor(self._cursors / f"{name}.cursor"), partial(self._carry_out, gateway),
                    kinds, AT_ONCE, payment_of,
                )
                for name, gateway in self._gateways.items()
            )
        )  # fmt: skip

    async def _carry_out(self, gateway: Gateway, event: events_pb2.Event) -> None:
        """What one event asks of a gateway. Raises WorkerError where it is to be tried again."""
        told = event.step_taken
        work = {
            "PAY": self._open, "ASK_CAPTURE": self._capture, "ASK_VOID": self._void, "ASK_REFUND": self._refund,
            "RETRY_REFUND": self._refund,
        }.get(told.step)  # fmt: skip
        if told.how != gateway.name or work is None:
            return
        number = payment_of(event)
        found = await self._payment(number)
        if found is None:
            self._frame.log.warning("a payment is gone", worker=self._frame.name, number=number, step=told.step)
            return
        try:
            await work(event, gateway, found)
        except Unreachable as error:
            raise WorkerError("GATEWAY_UNREACHABLE", f"{gateway.name}: {error}") from error

    async def _payment(self, number: int) -> payments_pb2.GetPaymentResponse | None:
        try:
            found: payments_pb2.GetPaymentResponse = await self._engine.GetPayment(
                payments_pb2.GetPaymentRequest(number=number), metadata=self._frame.metadata
            )
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return None
            raise
        return found

    # What is asked

    async def _open(self, event: events_pb2.Event, gateway: Gateway, found: payments_pb2.GetPaymentResponse) -> None:
        """A payment there; where the customer saved a method, it is charged at once."""
        if found.payment.state != life_pb2.PAYMENT_STATE_PENDING:
            return
        asked = _asked(found, found.payment.amount)
        try:
            order = await gateway.open(asked, _key(event, found, "open"))
            await self._report(event, found, "OPEN", reference=order)
            if event.step_taken.note:
                held = await gateway.charge(asked, order, event.step_taken.note, _key(event, found, "charge"))
                step = "CAPTURE" if held.is_captured else "AUTHORISE"
                await self._report(event, found, step, amount=asked.amount, reference=held.reference)
        except Declined as error:
            self._declined(event, error)
            await self._report(event, found, "FAIL")

    async def _capture(self, event: events_pb2.Event, gateway: Gateway, found: payments_pb2.GetPaymentResponse) -> None:
        try:
            amount = await gateway.capture(
                found.payment.reference, _asked(found, event.step_taken.amount), _key(event, found, "capture")
            )
            await self._report(event, found, "CAPTURE", amount=amount)
        except Declined as error:
            self._declined(event, error)
            await self._report(event, found, "CAPTURE_FAILED")

    async def _void(self, event: events_pb2.Event, gateway: Gateway, found: payments_pb2.GetPaymentResponse) -> None:
        """Let it go; what nobody has paid is only forgotten: money that comes all the same is given back."""
        try:
            if found.payment.authorised:
                await gateway.void(found.payment.reference, _key(event, found, "void"))
        except Declined as error:  # it is let go of there already, or was captured meanwhile, which a webhook tells
            self._declined(event, error)
        await self._report(event, found, "VOID")

    async def _refund(self, event: events_pb2.Event, gateway: Gateway, found: payments_pb2.GetPaymentResponse) -> None:
        told = event.step_taken
        if told.state != "ASKED" or told.refund_to not in ("SOURCE", ""):
            return
        asked = _asked(found, told.amount, told.number)
        try:
            step = "DONE" if await gateway.refund(found.payment.reference, asked, _key(event, found, "refund")) else ""
        except Declined as error:
            self._declined(event, error)
            step = "FAILED"
        if step:
            request = payments_pb2.AdvanceRefundRequest(
                request_id=_request_id(event, step), channel=found.channel, payment_id=found.payment.payment_id,
                number=told.number, step=f"REFUND_STEP_{step}",
            )  # fmt: skip
            await self._take(self._engine.AdvanceRefund, request)

    # What is reported

    async def _report(
        self, event: events_pb2.Event, found: payments_pb2.GetPaymentResponse, step: str, amount: int = 0,
        reference: str = "",
    ) -> None:  # fmt: skip
        request = payments_pb2.AdvancePaymentRequest(
            request_id=_request_id(event, step), channel=found.channel, payment_id=found.payment.payment_id,
            step=f"PAYMENT_STEP_{step}", amount=amount, gateway=event.step_taken.how, reference=reference,
        )  # fmt: skip
        await self._take(self._engine.AdvancePayment, request)

    async def _take(self, call: Any, request: Any) -> None:
        """Report; that it does not fit any more (a webhook was faster) changes nothing."""
        try:
            await call(request, metadata=self._frame.metadata)
        except grpc.RpcError as error:
            if error.code() not in (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.ALREADY_EXISTS):
                raise
            self._frame.log.warning("what a gateway did does not fit", worker=self._frame.name, error=error.details())

    def _declined(self, event: events_pb2.Event, error: Exception) -> None:
        told = event.step_taken
        self._frame.log.warning(
            "a gateway declined", worker=self._frame.name, gateway=told.how, step=told.step, number=told.number,
            error=str(error),
        )  # fmt: skip


def payment_of(event: events_pb2.Event) -> int:
    """Events of one payment, and of its refunds, are carried out one after the other."""
    told = event.step_taken
    return told.of_number if told.kind == "REFUND" else told.number


def _asked(found: payments_pb2.GetPaymentResponse, amount: int, refund: int = 0) -> Asked:
    notes = {"allot_channel": found.channel, "allot_payment": found.payment.payment_id}
    if refund:
        notes["allot_refund"] = str(refund)
    return Asked(amount, found.currency, notes)


def _key(event: events_pb2.Event, found: payments_pb2.GetPaymentResponse, what: str) -> str:
    """The key of a call to the outside: of this event and payment, and of nothing that changes."""
    whole = f"{found.channel}\0{found.payment.payment_id}\0{event.event_id}\0{what}"
    return "allot-" + hashlib.blake2b(whole.encode(), digest_size=16).hexdigest()


def _request_id(event: events_pb2.Event, step: str) -> str:
    return f"payments {event.event_id} {step}"
