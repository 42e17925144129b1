"""Streams of requests answered in their order: several are under way at once, and no more than the reader of the
answers keeps up with."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from server.batcher import QUEUE_FULL
from server.errors import Rejection


async def in_order(
    messages: AsyncIterator[Any], begin: Callable[[Any], Awaitable[Any]], window: int
) -> AsyncIterator[tuple[Any, Any]]:
    """Each message with its result or its Rejection. window: messages that are under way at once.

    begin: starts one message and gives back a future. It is awaited before the next message is read, so that requests
    are decided in the order of the stream. Who stops reading the answers stops the reading of messages.
    """
    under_way: asyncio.Queue[tuple[Any, Any] | None] = asyncio.Queue(window)

    async def read() -> None:
        try:
            async for message in messages:
                await under_way.put((message, await _begun(begin, message)))
        finally:
            await under_way.put(None)

    reader = asyncio.create_task(read())
    try:
        while (started := await under_way.get()) is not None:
            message, pending = started
            try:
                yield message, (await pending if asyncio.isfuture(pending) else pending)
            except Rejection as rejection:
                yield message, rejection
        await reader
    finally:
        reader.cancel()
        while not under_way.empty():
            started = under_way.get_nowait()
            if started is not None and asyncio.isfuture(started[1]):
                started[1].cancel()


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
