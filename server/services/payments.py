"""The payment service: payments and refunds of orders, and what the ledger's accounts hold."""

from collections.abc import AsyncIterator
from typing import Any

import numpy as np

from allot.v1 import payments_pb2 as pb
from allot.v1 import payments_pb2_grpc
from engine.life_reading import document_row, row_by_number, row_by_reference
from engine.outcomes import Reply
from engine.writer import Engine
from kernels.life import Account, DocumentKind
from server.deadlines import deadline_of
from server.services.life import LifeDesk
from server.step_batches import StepBatches
from server.validation import life as asked
from server.validation.orders import channel_of

_KIND = DocumentKind.PAYMENT


class PaymentService(payments_pb2_grpc.PaymentServiceServicer):
    """Keeps what is paid and given back."""

    def __init__(self, desk: LifeDesk) -> None:
        self._desk = desk
        names = desk.orders.batcher.engine.state.names
        self._batches = StepBatches(names, (DocumentKind.PAYMENT, DocumentKind.REFUND))

    async def CreatePayment(self, request: pb.CreatePaymentRequest, context: Any) -> pb.CreatePaymentResponse:  # noqa: N802
        """A payment of an order."""
        result = await self._desk.step(asked.new_payment, request, context)
        return pb.CreatePaymentResponse(number=result.quantity, again=result.again)

    async def AdvancePayment(self, request: pb.AdvancePaymentRequest, context: Any) -> pb.AdvancePaymentResponse:  # noqa: N802
        """One step of a payment."""
        result = await self._desk.step(asked.payment_step, request, context)
        return pb.AdvancePaymentResponse(amount=result.quantity, again=result.again)

    async def RefundOrder(self, request: pb.RefundOrderRequest, context: Any) -> pb.RefundOrderResponse:  # noqa: N802
        """Money beyond what units are worth."""
        result = await self._desk.step(asked.new_refund, request, context)
        return pb.RefundOrderResponse(number=result.quantity, again=result.again)

    async def AdvanceRefund(self, request: pb.AdvanceRefundRequest, context: Any) -> pb.AdvanceRefundResponse:  # noqa: N802
        """One step of a refund."""
        result = await self._desk.step(asked.refund_step, request, context)
        return pb.AdvanceRefundResponse(amount=result.quantity, again=result.again)

    async def AdvancePayments(  # noqa: N802
        self, requests: AsyncIterator[pb.AdvancePaymentsRequest], context: Any
    ) -> AsyncIterator[pb.AdvancePaymentsResponse]:
        """Batches of steps."""
        async for response in self._desk.steps(self._batches, requests, context, pb.AdvancePaymentsResponse):
            yield response

    async def GetPayment(self, request: pb.GetPaymentRequest, context: Any) -> pb.GetPaymentResponse:  # noqa: N802
        """One payment as it stands."""
        found = await self._desk.document(self._row(request), Reply.UNKNOWN_PAYMENT, context)
        messages = self._desk.messages
        return pb.GetPaymentResponse(
            payment=messages.payment(found.document), order_number=found.order.number,
            currency=messages.word(found.order.currency), sequence=found.sequence, channel=found.channel,
            refunds=map(messages.refund, found.refunds),
        )  # fmt: skip

    def _row(self, request: pb.GetPaymentRequest) -> Any:
        if request.number:
            return lambda engine: row_by_number(engine.state, _KIND, request.number)
        if request.reference:
            how = self._desk.word(request.gateway)
            return lambda engine: row_by_reference(engine.state, _KIND, how, request.reference)
        channel = channel_of("channel", request.channel, self._desk.orders.lookup)
        return lambda engine: document_row(engine.state, _KIND, channel, request.payment_id)

    async def GetLedger(self, request: pb.GetLedgerRequest, context: Any) -> pb.GetLedgerResponse:  # noqa: N802
        """What the accounts hold."""
        balances, sequence = await self._desk.orders.batcher.read(_balances, deadline_of(context))
        response = pb.GetLedgerResponse(sequence=sequence)
        for currency, account, amount in balances:
            response.balances.add(
                currency=self._desk.messages.word(currency), account=Account(account).name, amount=amount
            )
        return response


def _balances(engine: Engine) -> tuple[list[tuple[int, int, int]], int]:
    found = [
        (currency, account, int(balances[account]))
        for currency, balances in sorted(engine.state.ledger.balances.items())
        for account in np.flatnonzero(balances).tolist()
    ]
    return found, engine.state.sequence
