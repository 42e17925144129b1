"""When requests of an open loop are due, and their sending: each at its moment, whether those before are done or not.

A request that is late, because too many are under way or the client has no time, keeps its moment: who times from that
leaves nothing out (no coordinated omission).
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any

import numpy as np

_SEED = 31
_CHUNK = 4_096
DRAIN_SECONDS_MAX = 10.0
SWITCH_SECONDS = 0.0005  # for sys.setswitchinterval: the thread that tells moments must not wait for the loop


def poisson(rate: float, seed: int) -> Iterator[float]:
    """Moments in seconds from 0, so many a second in the mean, as independent customers come. Does not end."""
    chance, at = np.random.default_rng((_SEED, seed)), 0.0
    while True:
        moments = at + np.cumsum(chance.exponential(1 / rate, _CHUNK))
        yield from moments.tolist()
        at = float(moments[-1])


class OpenLoop:
    """Requests that are begun at their moments, so many under way at most; who finds no room waits, and keeps his
    moment."""

    def __init__(self, begin: Callable[[float], Coroutine[Any, Any, object]], under_way_max: int) -> None:
        """begin: makes the request that was due at a moment, by time.perf_counter."""
        self._begin = begin
        self._under_way_max = under_way_max
        self._under_way: set[asyncio.Task[object]] = set()
        self._late: deque[float] = deque()
        self._failure: BaseException | None = None
        self.ended = threading.Event()  # set it to send nothing more

    @property
    def under_way(self) -> int:
        """Requests that were sent and are not answered."""
        return len(self._under_way)

    @property
    def late(self) -> int:
        """Requests that are due and find no room."""
        return len(self._late)

    async def run(self, moments: Iterable[float], drain_seconds: float = DRAIN_SECONDS_MAX) -> int:
        """Until the moments end and all is answered, or `ended`. Then what was late has so many seconds to find room;
        how many requests did not. Raises what a request raised."""
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(None, self._wait, loop, moments)
        except asyncio.CancelledError:
            self.ended.set()
            raise
        await asyncio.sleep(0)  # the last ones are begun
        until = time.perf_counter() + drain_seconds
        while self._under_way:
            left = until - time.perf_counter()
            if self.ended.is_set() or left <= 0 or self._failure is not None:
                break
            await asyncio.wait(self._under_way, timeout=min(left, 0.1))
        never_sent = len(self._late)
        self._late.clear()
        if self._under_way:
            await asyncio.wait(self._under_way)
        if self._failure is not None:
            raise self._failure
        return never_sent

    def _wait(self, loop: asyncio.AbstractEventLoop, moments: Iterable[float]) -> None:
        """A thread of its own tells the moments: timers of the loop are whole milliseconds. Those that have passed
        already are told together: one by one, at a rate far too high, they would take all of the loop's time."""
        due: list[float] = []
        for moment in moments:
            left = moment - time.perf_counter()
            if due and (left > 0 or len(due) == _CHUNK):
                loop.call_soon_threadsafe(self._are_due, due)
                due = []
            if (left > 0 and self.ended.wait(left)) or self.ended.is_set():
                return
            due.append(moment)
        loop.call_soon_threadsafe(self._are_due, due)

    def _are_due(self, moments: list[float]) -> None:
        self._late.extend(moments)
        self._fill()

    def _fill(self) -> None:
        while self._late and len(self._under_way) < self._under_way_max:
            task: asyncio.Task[object] = asyncio.ensure_future(self._begin(self._late.popleft()))
            self._under_way.add(task)
            task.add_done_callback(self._over)

    def _over(self, task: "asyncio.Task[object]") -> None:
        self._under_way.discard(task)
        failure = None if task.cancelled() else task.exception()
        if failure is not None:
            self._failure = self._failure or failure
            self.ended.set()
        self._fill()
