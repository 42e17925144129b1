"""The return service: returns, exchanges and claims, and the policies that they go by."""

from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pyarrow as pa

from allot.v1 import returns_pb2 as pb
from allot.v1 import returns_pb2_grpc
from engine.commands import PutCategories, PutReturnPolicies
from engine.intake.orders import SKU_CHARACTERS_MAX
from engine.life_reading import document_row
from engine.outcomes import Namespace, Reply
from engine.policies import CONDITIONS, DAY, POLICIES_MAX
from kernels.columns import NONE
from kernels.life import Condition, DocumentKind
from kernels.steps import AUTO_APPROVES, EXCHANGES, REFUNDS_SHIPPING
from server.deadlines import deadline_of
from server.errors import invalid
from server.replies import check_reply
from server.services.life import LifeDesk
from server.step_batches import StepBatches
from server.validation import life as asked
from server.validation.orders import channel_of
from server.validation.values import number, request_id, text

_KIND = DocumentKind.RETURN
DAYS_MAX = 3650
CATEGORY_CHARACTERS_MAX = 32


class ReturnService(returns_pb2_grpc.ReturnServiceServicer):
    """Keeps what comes back."""

    def __init__(self, desk: LifeDesk) -> None:
        self._desk = desk
        self._batches = StepBatches(desk.orders.batcher.engine.state.names, (_KIND,))

    async def CreateReturn(self, request: pb.CreateReturnRequest, context: Any) -> pb.CreateReturnResponse:  # noqa: N802
        """A return, an exchange or a claim."""
        result = await self._desk.step(asked.new_return, request, context)
        return pb.CreateReturnResponse(number=result.quantity, again=result.again)

    async def AdvanceReturn(self, request: pb.AdvanceReturnRequest, context: Any) -> pb.AdvanceReturnResponse:  # noqa: N802
        """One step of a return."""
        result = await self._desk.step(asked.return_step, request, context)
        return pb.AdvanceReturnResponse(quantity=result.quantity, again=result.again)

    async def AdvanceReturns(  # noqa: N802
        self, requests: AsyncIterator[pb.AdvanceReturnsRequest], context: Any
    ) -> AsyncIterator[pb.AdvanceReturnsResponse]:
        """Batches of steps."""
        async for response in self._desk.steps(self._batches, requests, context, pb.AdvanceReturnsResponse):
            yield response

    async def GetReturn(self, request: pb.GetReturnRequest, context: Any) -> pb.GetReturnResponse:  # noqa: N802
        """One return as it stands."""
        channel = channel_of("channel", request.channel, self._desk.orders.lookup)
        row = lambda engine: document_row(engine.state, _KIND, channel, request.return_id)  # noqa: E731
        found = await self._desk.document(row, Reply.UNKNOWN_RETURN, context)
        return pb.GetReturnResponse(
            returned=self._desk.messages.returned(found.document), order_number=found.order.number,
            sequence=found.sequence,
        )  # fmt: skip

    async def PutReturnPolicies(  # noqa: N802
        self, request: pb.PutReturnPoliciesRequest, context: Any
    ) -> pb.PutReturnPoliciesResponse:
        """What may be returned."""
        deadline, desk = deadline_of(context), self._desk.orders
        key = request_id(request.request_id)
        if len(request.policies) > POLICIES_MAX:
            raise invalid(
                "policies", f"policies: {len(request.policies)}: give at most {POLICIES_MAX}", "TOO_MANY_ROWS"
            )
        rows = [self._policy(f"policies[{at}]", policy) for at, policy in enumerate(request.policies)]
        skus = [self._category(f"categories[{at}]", row) for at, row in enumerate(request.categories)]
        words = {policy[1] for policy in rows} | {category for _, category in skus}
        new = [word for word in words if word and desk.lookup.find(Namespace.WORD, word) < 0]
        if new:
            await desk.naming.name(pa.array(sorted(new), pa.string()), deadline)
        if skus:
            sku, category = zip(*skus, strict=True)
            categories = PutCategories(f"{key} categories", np.array(sku, np.int32), self._words(category))
            check_reply(int((await desk.batcher.ask(categories, deadline)).reply[0]))
        columns: list[Any] = list(zip(*rows, strict=True)) if rows else [()] * 8
        within, claim, refund, fee = (np.array(column, np.int64) for column in columns[2:6])
        command = PutReturnPolicies(
            key, np.array(columns[0], np.int16), self._words(columns[1]), within, claim, refund, fee,
            np.array(columns[6], np.int32), np.array(columns[7], np.uint8),
        )  # fmt: skip
        replies = await desk.batcher.ask(command, deadline)
        check_reply(int(replies.reply[0]))
        return pb.PutReturnPoliciesResponse(policies=int(replies.quantity[0]), again=bool(replies.again[0]))

    def _policy(self, where: str, policy: pb.ReturnPolicy) -> tuple[int, str, int, int, int, int, int, int]:
        lookup = self._desk.orders.lookup
        channel = channel_of(f"{where}.channel", policy.channel, lookup) if policy.channel else NONE
        category = text(f"{where}.category", policy.category, CATEGORY_CHARACTERS_MAX) if policy.category else ""
        within, claim, refund = (
            number(f"{where}.{name}", getattr(policy, name), 0, DAYS_MAX) * DAY
            for name in ("return_days", "claim_days", "refund_days")
        )
        fee = number(f"{where}.fee", policy.fee, 0, 10**12, "AMOUNT_OUT_OF_RANGE")
        for condition in policy.conditions:
            number(f"{where}.conditions", condition, 0, len(Condition), "OUT_OF_RANGE")
        conditions = sum({1 << max(0, condition - 1) for condition in policy.conditions}) or CONDITIONS
        flags = (
            policy.approves_at_once * AUTO_APPROVES + policy.refunds_shipping * REFUNDS_SHIPPING
            + policy.exchanges * EXCHANGES
        )  # fmt: skip
        return channel, category, within, claim, refund, fee, conditions, flags

    def _category(self, where: str, row: pb.SkuCategory) -> tuple[int, str]:
        sku = self._desk.orders.lookup.find(Namespace.SKU, row.sku)
        if sku < 0:
            text(f"{where}.sku", row.sku, SKU_CHARACTERS_MAX)
            raise invalid(f"{where}.sku", f"{where}.sku: {row.sku!r} is not known: name it by PutSkus", "UNKNOWN_SKU")
        return sku, text(f"{where}.category", row.category, CATEGORY_CHARACTERS_MAX) if row.category else ""

    def _words(self, texts: Any) -> Any:
        return np.array([self._desk.word(word) for word in texts], np.int16)

    async def ListReturnPolicies(  # noqa: N802
        self, request: pb.ListReturnPoliciesRequest, context: Any
    ) -> pb.ListReturnPoliciesResponse:
        """All policies, the default first."""
        batcher = self._desk.orders.batcher
        policies = await batcher.read(lambda engine: engine.state.afterwards.policies, deadline_of(context))
        response = pb.ListReturnPoliciesResponse()
        for channel, category, within, claim, refund, fee, conditions, flags in zip(
            *(column.tolist() for column in policies), strict=True
        ):
            message = response.policies.add(
                channel="" if channel == NONE else self._desk.channel_name(channel),
                category=self._desk.messages.word(category), return_days=within // DAY, claim_days=claim // DAY,
                refund_days=refund // DAY, fee=fee, approves_at_once=bool(flags & AUTO_APPROVES),
                refunds_shipping=bool(flags & REFUNDS_SHIPPING), exchanges=bool(flags & EXCHANGES),
            )  # fmt: skip
            if conditions != CONDITIONS:
                found: Any = [condition + 1 for condition in Condition if conditions >> condition & 1]
                message.conditions.extend(found)
        return response
