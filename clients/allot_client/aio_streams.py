"""Streams of the async client that outlive a broken connection: `streams.py` without threads.

One thing is its own. Where a server ends a stream while grpc.aio is writing to it, the status that the server gave may
be lost, and INTERNAL stands in its place (grpc/grpc#36066). Then the stream is opened again carefully: nothing is
written while the server may still refuse it, and one request only until there is an answer. So its status is heard.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable
from typing import Any, Generic, TypeVar

import grpc

from allot_client.errors import AllotError, Unavailable, error_of
from allot_client.patience import Patience
from allot_client.streams import ended_early

Q = TypeVar("Q")
_STATUS_LOST = "Internal error from Core"
_REFUSAL_SECONDS_MAX = 0.25  # in which a server says that it does not take a stream


class _Window(Generic[Q]):
    """Requests that are not answered yet, in order. A task fills it from the caller's iterable as there is room."""

    def __init__(self, requests: Iterable[Q] | AsyncIterable[Q], most: int) -> None:
        self._requests = requests
        self._most = most
        self._changed = asyncio.Condition()
        self._unanswered: deque[Q] = deque()
        self._sent = 0  # of the unanswered, by this attempt
        self._attempt = 0
        self._under_way_most = most
        self._complete = False  # the caller's iterable is at its end
        self.failure: BaseException | None = None  # what the caller's iterable raised
        self._filling = asyncio.ensure_future(self._fill())

    async def _fill(self) -> None:
        try:
            if isinstance(self._requests, AsyncIterable):
                async for request in self._requests:
                    await self._add(request)
            else:
                for request in self._requests:
                    await self._add(request)
        except Exception as failure:
            self.failure = failure
        finally:
            async with self._changed:
                self._complete = True
                self._changed.notify_all()

    async def _add(self, request: Q) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: len(self._unanswered) < self._most)
            self._unanswered.append(request)
            self._changed.notify_all()

    async def attempt(self, careful: bool) -> AsyncIterator[Q]:
        """The requests of a new stream: first those that an earlier one left unanswered. Ends any earlier one."""
        async with self._changed:
            self._attempt += 1
            self._sent = 0
            self._under_way_most = 1 if careful else self._most
            self._changed.notify_all()
            return self._send(self._attempt, _REFUSAL_SECONDS_MAX if careful else 0)

    def _may_send(self) -> bool:
        return self._sent < min(len(self._unanswered), self._under_way_most)

    def _all_sent(self) -> bool:
        return self._complete and self._sent == len(self._unanswered)

    async def _send(self, attempt: int, wait_seconds: float) -> AsyncIterator[Q]:
        await asyncio.sleep(wait_seconds)
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self._attempt != attempt or self._may_send() or self._all_sent())
                if self._attempt != attempt or not self._may_send():
                    return
                request = self._unanswered[self._sent]
                self._sent += 1
            yield request

    async def take(self) -> Q:
        """The request that an answer belongs to."""
        async with self._changed:
            if self._sent == 0:
                raise AllotError(grpc.StatusCode.INTERNAL, "the server answered more than it was asked")
            self._sent -= 1
            self._under_way_most = self._most
            self._changed.notify_all()
            return self._unanswered.popleft()

    async def is_done(self) -> bool:
        """Waits while nothing is under way and it is not known whether more comes."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._complete or len(self._unanswered) > 0)
            return self._complete and not self._unanswered

    async def close(self) -> None:
        self._filling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._filling
        async with self._changed:
            self._attempt += 1
            self._changed.notify_all()


async def answered(
    open_stream: Callable[[AsyncIterator[Q]], Any],
    requests: Iterable[Q] | AsyncIterable[Q],
    most: int,
    patience: Patience,
) -> AsyncGenerator[tuple[Q, Any], None]:
    """Each request with its answer, in order, at most `most` of them under way."""
    if most < 1:
        raise ValueError(f"window: {most}: give 1 or more")
    window, careful = _Window(requests, most), False
    try:
        while not await window.is_done():
            stream = open_stream(await window.attempt(careful))
            try:
                async for answer in stream:
                    request = await window.take()
                    patience.answered()
                    yield request, answer
                if await window.is_done():
                    break
                failure, careful = ended_early(), False
            except grpc.RpcError as error:
                failure = error_of(error)
                careful = failure.message == _STATUS_LOST
                if careful:
                    failure = Unavailable(failure.code, "the stream broke, and why was lost")
            finally:
                stream.cancel()
            await asyncio.sleep(patience.pause(failure))
    finally:
        await window.close()
    if window.failure is not None:
        raise window.failure


async def resumed(open_stream: Callable[[], Any], once: bool, patience: Patience) -> AsyncGenerator[Any, None]:
    """The answers of a stream that is opened again where it broke: `open_stream` knows where to go on."""
    while True:
        stream = open_stream()
        try:
            async for answer in stream:
                patience.answered()
                yield answer
            if once:
                return
            failure = ended_early()
        except grpc.RpcError as error:
            failure = error_of(error)
        finally:
            stream.cancel()
        await asyncio.sleep(patience.pause(failure))
