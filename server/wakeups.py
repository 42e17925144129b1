"""Wakes coroutines when other threads have something new for them: coalesced, paced, and free where nobody waits.

Whoever is woken looks for himself what is new; nothing is queued for anybody. Where many wait they are woken some at a
time, in turns, so that orders go on in between. The feed and the event stream wait here.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable

INTERVAL_SECONDS = 0.02  # between two rings, at least
FEW_SECONDS = 0.002  # the same where no more wait than one ring wakes
WOKEN_MAX = 25  # by one ring; where more are due, the next one follows after RUSH_SECONDS
RUSH_SECONDS = 0.01


class Wakeups:
    """Waiters by key, each woken by a ring that concerns it. `notify` is for any thread, the rest for the loop."""

    def __init__(self, newest: Callable[[Hashable], int]) -> None:
        """newest: of a key, a number that grows with everything that is new."""
        self._newest = newest
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiters: dict[Hashable, deque[tuple[int, asyncio.Future[None]]]] = {}  # keys and waiters in their turns
        self._is_due = False
        self._not_before = 0.0
        self.rings = 0  # so far

    def notify(self) -> None:
        """Something is new."""
        loop = self._loop
        if self._waiters and not self._is_due and loop is not None:
            self._is_due = True
            loop.call_soon_threadsafe(self._ring)

    async def until(self, key: Hashable, after: int) -> None:
        """Return at a ring when a key is newer than `after`: soon, where it is already."""
        self._loop = asyncio.get_running_loop()
        bell = self._loop.create_future()
        self._waiters.setdefault(key, deque()).append((after, bell))  # before looking: what comes later is notified
        if self._newest(key) > after and not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._ring)
        await bell

    def _ring(self) -> None:
        """Wake those who are due, WOKEN_MAX of them; the others are the first of the next ring."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if now < self._not_before:
            loop.call_at(self._not_before, self._ring)
            return
        self._is_due = False  # before looking, as above
        self.rings += 1
        left = WOKEN_MAX
        are_few = sum(map(len, self._waiters.values())) <= WOKEN_MAX
        for key in list(self._waiters):
            left -= self._wake(key, left)
            if left == 0:
                break
        self._not_before = now + (FEW_SECONDS if are_few else RUSH_SECONDS if left == 0 else INTERVAL_SECONDS)
        if left == 0 and not self._is_due:
            self._is_due = True
            loop.call_at(self._not_before, self._ring)

    def _wake(self, key: Hashable, most: int) -> int:
        """Wake those of a key that are due; how many. A key that has had its turn goes behind the others."""
        newest, waiters, woken = self._newest(key), self._waiters[key], 0
        for _ in range(len(waiters)):
            after, bell = waiters[0]
            if bell.done():  # who waited has gone
                waiters.popleft()
            elif newest <= after:
                waiters.rotate(-1)
            elif woken < most:
                waiters.popleft()
                bell.set_result(None)
                woken += 1
            else:
                break
        if woken or not waiters:
            del self._waiters[key]
            if waiters:
                self._waiters[key] = waiters
        return woken
