"""What the services of payments, shipments and returns share: steps one by one and in Arrow batches, and looking up."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
import pyarrow as pa

from allot.v1 import life_pb2
from engine.answers import Replies
from engine.life_reading import DocumentNow, OrderOf, document_now, order_of, refunds_of, told_with_order
from engine.outcomes import Namespace, Reply
from engine.writer import Engine
from kernels.columns import NONE
from server.batcher import Lane
from server.deadlines import deadline_of
from server.errors import Rejection
from server.gather import STEP
from server.life import LifeMessages
from server.metrics import Metrics
from server.replies import check_reply
from server.security import current_caller
from server.services.orders import BATCHES_UNDER_WAY_MAX, OrderDesk
from server.step_batches import StepBatches, answer_steps
from server.streams import in_order, when_there_is_room
from server.validation.orders import actor_of
from server.validation.values import request_id

_NAMINGS_MAX = 4


@dataclass(frozen=True)
class LifeDesk:
    """What the three services share."""

    orders: OrderDesk
    messages: LifeMessages
    decoding: Executor
    metrics: Metrics
    draining: asyncio.Event

    async def step(self, read: Any, request: Any, context: Any) -> Any:
        """One step: what it came to. Raises Rejection."""
        deadline = deadline_of(context)
        row = await self.orders.row(read, request, deadline)
        result = await self.orders.batcher.place(STEP, row, deadline)
        if result.reply == Reply.KEY_CONFLICT:
            raise Rejection(
                grpc.StatusCode.ALREADY_EXISTS, "KEY_CONFLICT",
                "request_id: it, the document's id or its reference was used before for something else: give new ones,"
                " or send what was sent first", "request_id",
            )  # fmt: skip
        check_reply(result.reply)
        return result

    async def steps(
        self, batches: StepBatches, requests: AsyncIterator[Any], context: Any, response: Callable[..., Any]
    ) -> AsyncIterator[Any]:
        """Batches of steps as they come. response: makes the message of `answers` or `problem`."""
        deadline, lane, channel = deadline_of(context), Lane(), current_caller().channel

        async def begin(request: Any) -> Any:
            return await self._begin(batches, lane, request.steps, channel, deadline)

        async for _, result in in_order(requests, begin, BATCHES_UNDER_WAY_MAX, self.draining):
            if isinstance(result, Rejection):
                self.metrics.rejected(result.reason)
                yield response(problem=result.problem())
            else:
                yield response(answers=life_pb2.StepAnswers(batch=result))

    async def _begin(
        self, batches: StepBatches, lane: Lane, steps: life_pb2.StepBatch, channel: str, deadline: float
    ) -> Any:
        """Begin a batch: the future of its answer, as bytes."""
        key, loop = request_id(steps.request_id), asyncio.get_running_loop()
        actor = await self.orders.row(lambda _, lookup: actor_of(lookup), None, deadline)
        for _ in range(_NAMINGS_MAX):
            taken = await loop.run_in_executor(self.decoding, batches.take, steps.batch, key, actor, channel)
            if taken.command is not None:
                break
            await self.orders.naming.name(pa.concat_arrays(taken.unnamed).unique(), deadline)
        assert taken.command is not None, "what a batch names is known after it was named"
        rows = int(taken.command.step.size)
        submit = partial(self.orders.batcher.allocate, lane, taken.command, rows, deadline)
        return asyncio.ensure_future(self._answered(await when_there_is_room(submit)))

    async def _answered(self, future: Any) -> bytes:
        answers: Replies = await future
        return await asyncio.get_running_loop().run_in_executor(self.decoding, answer_steps, answers)

    async def document(
        self, row_of: Callable[[Engine], int], unknown: Reply, context: Any, is_public: bool = False
    ) -> "Found":
        """A document as it stands, by a look at the state. Raises Rejection; also where a bound caller's channel is
        another one. is_public: for everybody, without ids, references and refunds."""
        bound = "" if is_public else current_caller().channel

        def look(engine: Engine) -> Found | None:
            row = row_of(engine)
            if row == NONE:
                return None
            order = order_of(engine.state, row)
            channel = engine.state.names[Namespace.CHANNEL].text(order.channel)
            if bound and channel != bound:
                return None
            if is_public:
                return Found(document_now(engine, row, False), (), order, channel, "", 0, engine.state.sequence)
            return Found(
                document_now(engine, row), refunds_of(engine, row), order, channel, *told_with_order(engine, order),
                engine.state.sequence,
            )  # fmt: skip

        found = await self.orders.batcher.read(look, deadline_of(context))
        if found is None:
            check_reply(unknown)
        assert isinstance(found, Found)
        return found

    def channel_name(self, channel: int) -> str:
        """The text of a channel."""
        return self.orders.batcher.engine.state.names[Namespace.CHANNEL].text(channel)

    def word(self, text: str) -> int:
        """The index of a word, or NONE: looked for, never named."""
        index = self.orders.lookup.find(Namespace.WORD, text) if text else NONE
        return index if index >= 0 else NONE


@dataclass(frozen=True)
class Found:
    """A document, its refunds, its order, and the commit that all take in."""

    document: DocumentNow
    refunds: tuple[DocumentNow, ...]
    order: OrderOf
    channel: str
    order_id: str  # "": its record was moved away
    deliver_by: int  # UTC us; 0: not told
    sequence: int
