"""Wakes coroutines when other threads have something new for them: coalesced, paced, and free where nobody waits.

Whoever is woken looks for himself what is new; nothing is queued for anybody. The feed and the event stream wait here.
"""

import asyncio
from collections.abc import Callable, Hashable

INTERVAL_SECONDS = 0.02  # between two rings, at least
WOKEN_PER_SECOND_MAX = 2500  # over all who wait: where many do, rings are further apart


class _Bell(asyncio.Event):
    """What those wait on who wait for a key since the last ring that concerned it."""

    def __init__(self, newest: int) -> None:
        super().__init__()
        self.newest = newest  # when it was hung up


class Wakeups:
    """Waiters by key, each woken by a ring that concerns it. `notify` is for any thread, the rest for the loop."""

    def __init__(self, newest: Callable[[Hashable], int]) -> None:
        """newest: of a key, a number that grows with everything that is new."""
        self._newest = newest
        self._loop: asyncio.AbstractEventLoop | None = None
        self._bells: dict[Hashable, _Bell] = {}
        self._wanted: set[Hashable] = set()  # rung at the next ring whatever is new
        self._waiting = 0
        self._is_due = False
        self._not_before = 0.0
        self.rings = 0  # so far

    def notify(self) -> None:
        """Something is new."""
        loop = self._loop
        if self._waiting and not self._is_due and loop is not None:
            self._is_due = True
            loop.call_soon_threadsafe(self._ring)

    async def until(self, key: Hashable, after: int) -> None:
        """Return at a ring when a key is newer than `after`: at the next ring, where it is already."""
        self._loop = asyncio.get_running_loop()
        while True:
            self._waiting += 1  # before looking: what comes after the look is notified
            try:
                newest = self._newest(key)
                bell = self._bells.get(key)
                if bell is None:
                    bell = self._bells[key] = _Bell(newest)
                if newest > after:
                    self._wanted.add(key)
                    self._ring_soon()
                await bell.wait()
            finally:
                self._waiting -= 1
            if self._newest(key) > after:
                return

    def _ring_soon(self) -> None:
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._ring)

    def _ring(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        if now < self._not_before:
            loop.call_at(self._not_before, self._ring)
            return
        self._is_due = False  # before looking, as above
        self._not_before = now + max(INTERVAL_SECONDS, self._waiting / WOKEN_PER_SECOND_MAX)
        self.rings += 1
        wanted, self._wanted = self._wanted, set()
        for key in [key for key, bell in self._bells.items() if key in wanted or self._newest(key) > bell.newest]:
            self._bells.pop(key).set()
