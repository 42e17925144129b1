"""Streams of requests answered in their order: several are under way at once, and no more than the reader of the
answers keeps up with."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc

from server.batcher import QUEUE_FULL
from server.errors import Rejection


def draining() -> Rejection:
    """The end of a stream that might have gone on."""
    message = "the server is about to stop: go on with another stream"
    return Rejection(grpc.StatusCode.UNAVAILABLE, "DRAINING", message, retry_after_ms=1000)


async def in_order(
    messages: AsyncIterator[Any], begin: Callable[[Any], Awaitable[Any]], window: int, ends: asyncio.Event
) -> AsyncIterator[tuple[Any, Any]]:
    """Each message with its result or its Rejection. window: messages that are under way at once.

    begin: starts one message and gives back a future. It is awaited before the next message is read, so that requests
    are decided in the order of the stream. Who stops reading the answers stops the reading of messages. ends: when it
    is set nothing more is read; what is under way is answered, then DRAINING is raised.
    """
    under_way: asyncio.Queue[tuple[Any, Any] | None] = asyncio.Queue(window)

    async def read() -> None:
        async for message in messages:
            await under_way.put((message, await _begun(begin, message)))

    reader = asyncio.create_task(read())
    ending = asyncio.create_task(ends.wait())
    last = asyncio.create_task(_after_either(reader, ending, under_way))
    try:
        while (started := await under_way.get()) is not None:
            message, pending = started
            try:
                yield message, (await pending if asyncio.isfuture(pending) else pending)
            except Rejection as rejection:
                yield message, rejection
        await last
        if reader.cancelled():
            raise draining()
        await reader
    finally:
        for task in (reader, ending, last):
            task.cancel()
        while not under_way.empty():
            started = under_way.get_nowait()
            if started is not None and asyncio.isfuture(started[1]):
                started[1].cancel()


async def until(ends: asyncio.Event, answers: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """Answers until an event is set; then DRAINING is raised, even while the next one is being waited for."""
    ending = asyncio.create_task(ends.wait())
    following: asyncio.Task[Any] | None = None
    try:
        while True:
            following = asyncio.ensure_future(_following(answers))
            await asyncio.wait((following, ending), return_when=asyncio.FIRST_COMPLETED)
            if not following.done():
                raise draining()
            try:
                answer = await following
            except StopAsyncIteration:
                return
            yield answer
    finally:
        ending.cancel()
        if following is not None:
            following.cancel()
            await asyncio.wait((following,))
        await answers.aclose()  # type: ignore[attr-defined]


async def _following(answers: AsyncIterator[Any]) -> Any:
    return await anext(answers)


async def _after_either(reader: Any, ending: Any, under_way: asyncio.Queue[Any]) -> None:
    """When all is read, or nothing more is to be: close the queue."""
    await asyncio.wait((reader, ending), return_when=asyncio.FIRST_COMPLETED)
    reader.cancel()
    await asyncio.wait((reader,))
    await under_way.put(None)


async def _begun(begin: Callable[[Any], Awaitable[Any]], message: Any) -> Any:
    """The future of a message, or why there is none."""
    try:
        return await begin(message)
    except Rejection as rejection:
        return rejection


async def when_there_is_room(submit: Callable[[], Any]) -> Any:
    """What `submit` returns, once the queue is not full any more: a stream holds back instead of being refused."""
    while True:
        try:
            return submit()
        except Rejection as rejection:
            if rejection.reason != QUEUE_FULL:
                raise
            await asyncio.sleep(rejection.retry_after_ms / 1000)
