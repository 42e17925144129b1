"""The sending itself, in one event loop: closed, so many requests at a time, or open, at moments drawn before.

Requests go out as bytes over one connection, batches over one stream on it. A call that ended without an answer may
have been carried out: it is kept, and made again under the same ids when the run is over (`settle`), as clients do.
"""

import asyncio
import contextlib
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from itertools import count, takewhile
from typing import Any, NamedTuple

import grpc

from allot.v1 import orders_pb2, types_pb2
from allot_client import AllotError, Busy, TimedOut, Unavailable, calls
from allot_client.calls import Call
from allot_client.connection import Connection
from allot_client.errors import ReservationOver, error_of, error_of_problem
from server.health import VERSION_KEY
from server.load import lane
from server.load.arrivals import OpenLoop, poisson
from server.load.ledger import Ledger
from server.load.mix import Kind, Mix
from server.load.orders import Batch, Orders, Sent
from server.load.tally import Second, Tally, kind_of

BATCHES_UNDER_WAY_MAX = 4
REPEATED_MAX = 100_000  # calls without an answer that are kept
REPEATED_AT_A_TIME = 32
SECOND_MIN = 0.5  # the last one is told where it is so long
_PAUSE_SECONDS = 0.1  # of a caller who met no server
_BUSY_SECONDS = 0.01  # of one who was told to wait, where the server does not say how long
_ENDS = ("Confirm", "Release")  # of carts
_Repeat = Callable[[], Awaitable[AllotError | None]]


class Plan(NamedTuple):
    """How a run goes."""

    mix: Mix
    rate: float  # requests a second; 0: as fast as answers come
    concurrency: int  # requests under way at most
    seconds: float  # after the warm-up; inf: until it is ended
    warm_up_seconds: float
    timeout: float  # seconds that a call may take
    patience: float  # seconds without any answer after which the run ends
    seed: int


class Settled(NamedTuple):
    """What became of calls that had ended without an answer."""

    repeated: int
    unknown: int  # have none still, or were too many to be kept
    failed: Counter[str]  # were refused now, by code and reason


def opened(connection: Connection) -> grpc.aio.Channel:
    """A channel for bytes."""
    credentials, options = connection.credentials(), connection.channel_options()
    if credentials is None:
        return grpc.aio.insecure_channel(connection.target, options)
    return grpc.aio.secure_channel(connection.target, credentials, options)


async def version_of(channel: grpc.aio.Channel, metadata: tuple[tuple[str, str], ...], timeout: float) -> str:
    """Of the server; empty where it does not tell."""
    method: Any = channel.unary_unary("/grpc.health.v1.Health/List")
    call = method(b"", metadata=metadata, timeout=timeout)
    try:
        await call
    except grpc.aio.AioRpcError:
        return ""
    return next((str(value) for key, value in await call.trailing_metadata() if key == VERSION_KEY), "")


class Drive:
    """One run against one server."""

    def __init__(
        self, channel: grpc.aio.Channel, metadata: tuple[tuple[str, str], ...], plan: Plan, orders: Orders,
        ledger: Ledger, told: Callable[[Second], None],
    ) -> None:  # fmt: skip
        """metadata: of each call. told: hears of every second."""
        self._plan, self._orders, self._ledger, self._told = plan, orders, ledger, told
        self._channel, self._metadata = channel, metadata
        self._methods: dict[str, Any] = {}
        self._lane = _Lane(lambda: channel.stream_stream(calls.ALLOCATE_BATCHES.path)(metadata=metadata))
        self._kinds = plan.mix.draws(plan.seed)
        self._open = OpenLoop(self._one, plan.concurrency)
        self._under_way = 0
        self._heard = 0.0  # of the server, last
        self._silent = False  # since then
        self._unanswered: deque[_Repeat] = deque()
        self._forgotten = 0  # calls without an answer beyond those
        self.tally = Tally()
        self.never_sent = 0
        self.gone = False  # the server was, for too long
        self.stopped = False  # from outside
        self.seconds = 0.0  # that were counted
        self.client_cores = 0.0  # of a processor, while counted

    def stop(self) -> None:
        """Send nothing more; what is under way is waited for."""
        self.stopped = True
        self._open.ended.set()

    async def run(self) -> None:
        """From the warm-up to the last answer."""
        began = self._heard = time.perf_counter()
        end = began + self._plan.warm_up_seconds + self._plan.seconds
        if not self._plan.warm_up_seconds:
            self._begin(began)  # before any request: the first ones count
        clock = asyncio.create_task(self._watch_the_clock(began + self._plan.warm_up_seconds))
        if self._plan.rate:
            moments = (began + moment for moment in poisson(self._plan.rate, self._plan.seed))
            never_sent = await self._open.run(takewhile(lambda moment: moment < end, moments))
            self.never_sent = 0 if self._open.ended.is_set() else never_sent
        else:
            await asyncio.gather(*[self._one_by_one(end) for _ in range(self._plan.concurrency)])
        clock.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await clock
        now = time.perf_counter()
        if now >= self.tally.began:
            self.seconds = max(self.tally.last_answer, min(now, end)) - self.tally.began
            self.client_cores = (time.process_time() - self._cpu) / (now - self.tally.began)
            if now - self.tally.told >= SECOND_MIN:
                self._tick(now)

    async def settle(self) -> Settled:
        """Make calls without an answer again, until each has one or the patience ends."""
        kept, failed = len(self._unanswered), Counter[str]()
        until = time.perf_counter() + self._plan.patience

        async def repeat() -> None:
            while self._unanswered and time.perf_counter() < until:
                failure = await self._unanswered.popleft()()
                if isinstance(failure, Busy | Unavailable | TimedOut):  # and stands at the end of the queue
                    await asyncio.sleep(failure.retry_after or _PAUSE_SECONDS)
                elif failure is not None:
                    failed[kind_of(failure)] += 1

        await asyncio.gather(*[repeat() for _ in range(min(REPEATED_AT_A_TIME, kept))])
        await self._lane.close()
        return Settled(kept + self._forgotten, len(self._unanswered) + self._forgotten, failed)

    async def _watch_the_clock(self, warm: float) -> None:
        """Ends the warm-up, tells every second, and ends a run that no server answers."""
        if self._plan.warm_up_seconds:
            await asyncio.sleep(max(0.0, warm - time.perf_counter()))
            self._begin(time.perf_counter())
        for number in count(1):
            await asyncio.sleep(max(0.0, self.tally.began + number - time.perf_counter()))
            now = time.perf_counter()
            self._tick(now)
            if self._silent and now - self._heard > self._plan.patience:
                self.gone = True
                self._open.ended.set()

    def _begin(self, now: float) -> None:
        """The warm-up is over."""
        self._cpu = time.process_time()
        self.tally.begin(now)

    def _tick(self, now: float) -> None:
        self._told(self.tally.tick(now, self._under_way, self._open.late))

    async def _one_by_one(self, end: float) -> None:
        """One of the callers of a closed loop."""
        while not self._open.ended.is_set() and (due := time.perf_counter()) < end:
            failure = await self._one(due)
            if isinstance(failure, Busy):
                await asyncio.sleep(failure.retry_after or _BUSY_SECONDS)
            elif isinstance(failure, Unavailable):
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _one(self, due: float) -> AllotError | None:
        """The next request of the mix; why it failed."""
        kind = next(self._kinds)
        self.tally.sent(due)
        self._under_way += 1
        try:
            if kind is Kind.PLACE:
                return await self._place(self._orders.place(), due)
            if kind is Kind.RESERVE:
                return await self._cart(self._orders.reserve(), due)
            if kind is Kind.BATCH:
                return await self._batch(self._orders.batch(), due)
            return await self._look(kind, due)
        finally:
            self._under_way -= 1

    async def _place(self, order: Sent, due: float | None) -> AllotError | None:
        answer = await self._ask(calls.PLACE_ORDER, order.message, due, 1, lambda: self._place(order, None))
        if isinstance(answer, AllotError):
            return answer
        self._ledger.decided(order.order_id, order.skus, answer.decision, due is None)
        return None

    async def _cart(self, cart: Sent, due: float | None) -> AllotError | None:
        """A reservation, and its end: every other one becomes an order."""
        answer = await self._ask(calls.RESERVE, cart.message, due, 0, lambda: self._cart(cart, None))
        if isinstance(answer, AllotError):
            return answer
        self._ledger.held(cart.skus, answer.decision, due is None)
        if answer.decision.outcome == types_pb2.OUTCOME_REFUSED:
            return None
        end = self._confirm if int(cart.order_id[-1]) % 2 else self._release
        return await end(cart, answer.decision, None if due is None else time.perf_counter())

    async def _confirm(self, cart: Sent, held: Any, due: float | None) -> AllotError | None:
        order = self._orders.confirm(cart)
        answer = await self._ask(calls.CONFIRM, order.message, due, 1, lambda: self._confirm(cart, held, None))
        if isinstance(answer, AllotError):
            return self._over(cart, held, due, answer)
        self._ledger.held(cart.skus, held, True, -1)
        self._ledger.decided(order.order_id, cart.skus, answer.decision, due is None)
        return None

    async def _release(self, cart: Sent, held: Any, due: float | None) -> AllotError | None:
        message = self._orders.release(cart).message
        answer = await self._ask(calls.RELEASE, message, due, 0, lambda: self._release(cart, held, None))
        if isinstance(answer, AllotError):
            return self._over(cart, held, due, answer)
        self._ledger.held(cart.skus, held, True, -1)
        return None

    def _over(self, cart: Sent, held: Any, due: float | None, failure: AllotError) -> AllotError | None:
        """A cart whose end failed holds nothing more where its time ended before. No fault of an end made again."""
        if isinstance(failure, ReservationOver):
            self._ledger.held(cart.skus, held, True, -1)
            return None if due is None else failure
        return failure

    async def _look(self, kind: Kind, due: float) -> AllotError | None:
        """A call that changes nothing. Reads are of orders and of availability in turn."""
        last = self._ledger.last
        if kind is Kind.PROMISE:
            call: Call[Any, Any] = calls.PROMISE
            message = self._orders.promise()
        elif last and self._orders.chosen(2):
            call, message = calls.GET_ORDER, self._orders.get(last[self._orders.chosen(len(last))].order_id)
        else:
            call, message = calls.GET_AVAILABILITY, self._orders.look()
        answer = await self._ask(call, message, due, 0, None)
        return answer if isinstance(answer, AllotError) else None

    async def _batch(self, batch: Batch, due: float | None) -> AllotError | None:
        name, repeat = _name(calls.ALLOCATE_BATCHES), lambda: self._batch(batch, None)
        try:
            async with asyncio.timeout(self._plan.timeout):
                answer = orders_pb2.AllocateBatchesResponse.FromString(await self._lane.ask(batch))
        except TimeoutError:
            failure: AllotError = TimedOut(grpc.StatusCode.DEADLINE_EXCEEDED, f"no answer in {self._plan.timeout:g} s")
            return self._failed(name, failure, due, repeat)
        except AllotError as error:
            return self._failed(name, error, due, repeat)
        if answer.WhichOneof("result") == "problem":
            return self._failed(name, error_of_problem(answer.problem), due, repeat)
        now = self._hear()
        taken, reasons = self._ledger.decided_batch(batch, lane.answered(answer), due is None)
        if due is not None:
            self.tally.answered(name, due, now, taken)
            for reason, count in reasons.items():
                self.tally.not_taken(name, due, reason, count)
        return None

    async def _ask(
        self, call: Call[Any, Any], message: bytes, due: float | None, orders: int, repeat: _Repeat | None
    ) -> Any:
        """A call that is counted, or with due None made again: its answer, or why it failed. orders: that it takes."""
        method = self._methods.get(call.name)
        if method is None:
            method = self._methods[call.name] = self._channel.unary_unary(call.path)
        try:
            answer = await method(message, timeout=self._plan.timeout, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            return self._failed(_name(call), error_of(error), due, repeat)
        now = self._hear()
        if due is not None:
            self.tally.answered(_name(call), due, now, orders)
        return call.answer.FromString(answer)

    def _failed(self, name: str, failure: AllotError, due: float | None, repeat: _Repeat | None) -> AllotError:
        """repeat: makes the call again, where that matters. What the server has no room for is left in a run, but for
        ends of carts, which would keep their units; in `settle` it is tried until there is room."""
        unanswered = isinstance(failure, Unavailable | TimedOut)
        if unanswered:
            self._silent = True
        else:
            self._hear()
        if due is not None:
            self.tally.failed(name, due, failure)
        if repeat is not None and (unanswered or (isinstance(failure, Busy) and (due is None or name in _ENDS))):
            if len(self._unanswered) < REPEATED_MAX:
                self._unanswered.append(repeat)
            else:
                self._forgotten += 1
        return failure

    def _hear(self) -> float:
        """The server has answered; when."""
        self._heard, self._silent = time.perf_counter(), False
        return self._heard


class _Lane:
    """A stream of batches that is opened again where it ends, with few batches under way."""

    def __init__(self, open_stream: Callable[[], Any]) -> None:
        self._open_stream = open_stream
        self._stream: _Stream | None = None
        self._room, self._writing = asyncio.Semaphore(BATCHES_UNDER_WAY_MAX), asyncio.Lock()

    async def ask(self, batch: Batch) -> bytes:
        """The answer to a batch. Raises Unavailable where the stream ends before."""
        async with self._room:
            async with self._writing:
                if self._stream is None or self._stream.is_over:
                    self._stream = _Stream(self._open_stream())
                answer = await self._stream.write(batch.content.of_pass(batch.number))
            return await answer

    async def close(self) -> None:
        """When nothing is under way."""
        if self._stream is not None:
            await self._stream.close()


class _Stream:
    """One stream: answers come in the order of the batches."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self._waiting: deque[asyncio.Future[bytes]] = deque()
        self._reader = asyncio.create_task(self._read())
        self.is_over = False

    async def write(self, message: bytes) -> "asyncio.Future[bytes]":
        """Sends a batch; its answer is to come."""
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting.append(answer)
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):  # the reader says what it was
            await self._call.write(message)
        if self.is_over:
            self._fail(Unavailable(grpc.StatusCode.UNAVAILABLE, "the stream has ended"))
        return answer

    async def close(self) -> None:
        """Ends it."""
        self._call.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reader

    async def _read(self) -> None:
        failure = Unavailable(grpc.StatusCode.UNAVAILABLE, "the stream has ended")
        try:
            async for message in self._call:
                answer = self._waiting.popleft()
                if not answer.done():
                    answer.set_result(message)
        except grpc.aio.AioRpcError as error:
            told = error_of(error)  # what became of the batches under way is not known, whatever it is
            failure = Unavailable(told.code, told.message, told.reason, told.field, told.retry_after)
        finally:
            self.is_over = True
            self._fail(failure)

    def _fail(self, failure: AllotError) -> None:
        while self._waiting:
            answer = self._waiting.popleft()
            if not answer.done():
                answer.set_exception(failure)


def _name(call: Call[Any, Any]) -> str:
    return call.name.rpartition("/")[2]
