"""Work on large messages, away from the event loop: while a thread reads fifty thousand rows, single orders go on."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

ROWS_AT_ONCE_MAX = 512  # in the event loop: about a quarter of a millisecond
Result = TypeVar("Result")


async def offload(rows: int, work: Callable[..., Result], *arguments: Any) -> Result:
    """The result of some work on so many rows, done in a thread where they are many."""
    if rows <= ROWS_AT_ONCE_MAX:
        return work(*arguments)
    return await asyncio.to_thread(work, *arguments)
