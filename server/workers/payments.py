"""The payments worker: what the engine asks of gateways, carried out, and what became of it reported back.

It follows the event stream from its own cursor. Whatever it calls carries a key that comes from the event, and whatever
it reports a request id that does, so that a kill between the two charges nobody twice and loses no refund. Gateways
forget keys: so nothing is called that the engine does not still wait for, however often its event is read.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import grpc

from allot.v1 import events_pb2, life_pb2, payments_pb2, payments_pb2_grpc
from allot_client.errors import error_of
from engine.payments import capability
from kernels.life import PayMethod
from server.asking import Declined, Unreachable
from server.gateways.gateway import AT_ONCE, Asked, Gateway, StaysOpen
from server.workers.cursor import Cursor
from server.workers.failure import WillNotDo, WorkerError
from server.workers.frame import Frame

CALL_SECONDS = 10.0  # of a call to the engine
CLOCKS_DIFFER_US = 60_000_000  # at most, this machine's and the engine's
_COMES_LATE = "WRONG_STATE"  # somebody else has told it, or it is over
_WILL_NOT_DO = (
    grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.ALREADY_EXISTS, grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.OUT_OF_RANGE,
)  # fmt: skip
_Found = payments_pb2.GetPaymentResponse


class PaymentsWorker:
    """One worker of some gateways."""

    def __init__(
        self, frame: Frame, gateways: Mapping[str, Gateway], cursors: Path, clock: Callable[[], float] = time.time
    ) -> None:
        """cursors: the folder of a cursor for each gateway: one that is down holds up no other."""
        self._frame, self._gateways, self._cursors = frame, gateways, cursors
        self._engine: Any = payments_pb2_grpc.PaymentServiceStub(frame.channel)
        self._is_new_from_us = int(clock() * 1e6) + CLOCKS_DIFFER_US
        self._begun: set[str] = set()  # ids of events that were begun and are not done

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

    async def _carry_out(self, gateway: Gateway, event: events_pb2.Event) -> bool:
        """What one event asks of a gateway; whether it was called. Raises WorkerError where it is to be tried again."""
        told = event.step_taken
        work = {
            "PAY": self._open, "ASK_CAPTURE": self._capture, "ASK_VOID": self._void, "ASK_REFUND": self._refund,
            "RETRY_REFUND": self._refund,
        }.get(told.step)  # fmt: skip
        if told.how != gateway.name or work is None:
            return False
        number = payment_of(event)
        found = await self._payment(number)
        if found is None:
            self._frame.log.warning("a payment is gone", worker=self._frame.name, number=number, step=told.step)
            return False
        try:
            is_called = await work(event, gateway, found)
        except Unreachable as error:
            self._begun.add(event.event_id)
            raise WorkerError("GATEWAY_UNREACHABLE", f"{gateway.name}: {error}") from error
        except Exception:
            self._begun.add(event.event_id)
            raise
        self._begun.discard(event.event_id)
        return is_called

    async def _payment(self, number: int) -> _Found | None:
        try:
            found: _Found = await self._engine.GetPayment(
                payments_pb2.GetPaymentRequest(number=number), metadata=self._frame.metadata, timeout=CALL_SECONDS
            )
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return None
            raise
        return found

    def _asked(self, event: events_pb2.Event, found: _Found, amount: int, refund: int = 0) -> Asked:
        notes = {"allot_channel": found.channel, "allot_payment": found.payment.payment_id}
        if refund:
            notes["allot_refund"] = str(refund)
        method = PayMethod(found.payment.method)
        can = capability(found.payment.gateway, method)
        return Asked(
            amount, found.currency, notes, method.name, can.authorised_days if can.authorises else 0,
            event.step_taken.note if event.step_taken.step == "PAY" else "",
            is_repeat=event.event_id in self._begun or event.stamp_us < self._is_new_from_us,
        )  # fmt: skip

    # What is asked, where the engine still waits for it

    async def _open(self, event: events_pb2.Event, gateway: Gateway, found: _Found) -> bool:
        """A payment there; where the customer saved a method, it is charged at once."""
        if found.payment.state != life_pb2.PAYMENT_STATE_PENDING:
            return False
        asked, order = self._asked(event, found, found.payment.amount), found.payment.reference
        if order and not asked.token:
            return False
        try:
            if not order:
                order = await gateway.open(asked, _key(event, found, "open"))
                await self._report(event, found, "OPEN", reference=order)
            if asked.token:
                held = await gateway.charge(asked, order, _key(event, found, "charge"))
                step = "CAPTURE" if held.is_captured else "AUTHORISE"
                await self._report(event, found, step, amount=asked.amount, reference=held.reference)
        except StaysOpen as error:
            self._declined(event, error)
        except Declined as error:
            self._declined(event, error)
            await self._report(event, found, "FAIL")
        return True

    async def _capture(self, event: events_pb2.Event, gateway: Gateway, found: _Found) -> bool:
        told = event.step_taken
        if not 0 < told.amount <= found.payment.capturing:  # it was captured, or was not to be had
            return False
        try:
            amount = await gateway.capture(
                found.payment.reference, self._asked(event, found, told.amount), _key(event, found, "capture")
            )
            await self._report(event, found, "CAPTURE", amount=amount)
        except Declined as error:
            self._declined(event, error)
            await self._report(event, found, "CAPTURE_FAILED")
        return True

    async def _void(self, event: events_pb2.Event, gateway: Gateway, found: _Found) -> bool:
        """Let it go; what nobody has paid is only forgotten: money that comes all the same is given back."""
        payment = found.payment
        if payment.state != life_pb2.PAYMENT_STATE_VOIDING:
            return False
        try:
            if payment.authorised and not await gateway.void(payment.reference, _key(event, found, "void")):
                self._frame.log.warning(
                    "the customer's money is held until the gateway lets go by itself", worker=self._frame.name,
                    gateway=gateway.name, number=payment.number, reference=payment.reference,
                )  # fmt: skip
        except Declined as error:  # it is let go of there already, or was captured meanwhile, which a webhook tells
            self._declined(event, error)
        await self._report(event, found, "VOID")
        return payment.authorised > 0

    async def _refund(self, event: events_pb2.Event, gateway: Gateway, found: _Found) -> bool:
        number = event.step_taken.number
        refund = next((one for one in found.refunds if one.number == number), None)
        if refund is None or refund.state != life_pb2.REFUND_STATE_ASKED or refund.to != life_pb2.REFUND_TO_SOURCE:
            return False
        asked = self._asked(event, found, refund.amount, number)
        try:
            step = "DONE" if await gateway.refund(found.payment.reference, asked, _key(event, found, "refund")) else ""
        except Declined as error:
            self._declined(event, error)
            step = "FAILED"
        if step:
            request = payments_pb2.AdvanceRefundRequest(
                request_id=_request_id(event, step), channel=found.channel, payment_id=found.payment.payment_id,
                number=number, step=f"REFUND_STEP_{step}",
            )  # fmt: skip
            await self._take(self._engine.AdvanceRefund, request)
        return True

    # What is reported

    async def _report(
        self, event: events_pb2.Event, found: _Found, step: str, amount: int = 0, reference: str = ""
    ) -> None:  # fmt: skip
        request = payments_pb2.AdvancePaymentRequest(
            request_id=_request_id(event, step, reference), channel=found.channel, payment_id=found.payment.payment_id,
            step=f"PAYMENT_STEP_{step}", amount=amount, gateway=event.step_taken.how, reference=reference,
        )  # fmt: skip
        await self._take(self._engine.AdvancePayment, request)

    async def _take(self, call: Any, request: Any) -> None:
        """Report. That it comes late changes nothing; what the engine will not take else, somebody has to look at."""
        try:
            await call(request, metadata=self._frame.metadata, timeout=CALL_SECONDS)
        except grpc.RpcError as error:
            failure = error_of(error)
            if failure.reason == _COMES_LATE:
                self._frame.log.warning("what a gateway did comes late", worker=self._frame.name, error=str(failure))
                return
            if failure.code in _WILL_NOT_DO:
                raise WillNotDo(failure.reason or failure.code.name, f"the gateway has done it: {failure}") from error
            raise

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


def _key(event: events_pb2.Event, found: _Found, what: str) -> str:
    """The key of a call to the outside: of this event and payment, and of nothing that changes."""
    whole = f"{found.channel}\0{found.payment.payment_id}\0{event.event_id}\0{what}"
    return "allot-" + hashlib.blake2b(whole.encode(), digest_size=16).hexdigest()


def _request_id(event: events_pb2.Event, step: str, reference: str = "") -> str:
    """Of the event, and of what the gateway said: another answer is told as another."""
    said = hashlib.blake2b(reference.encode(), digest_size=4).hexdigest() if reference else ""
    return f"payments {event.event_id} {step} {said}".rstrip()
