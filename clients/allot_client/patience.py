"""When to try again: where no server answered, after pauses that grow and are drawn by chance, and not for ever."""

import random
import time
from collections.abc import Callable

from allot_client.errors import AllotError, Unavailable

PAUSE_SECONDS_MIN = 0.05
PAUSE_SECONDS_MAX = 2.0


class Patience:
    """Of one call or one stream. Its time runs from the first failure on, and anew after every answer."""

    def __init__(
        self,
        seconds: float,
        until: float = float("inf"),
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._seconds = seconds
        self._until = until  # by the clock: the deadline of the call
        self._clock = clock
        self._chance = chance
        self._failures = 0
        self._ends = until

    def answered(self) -> None:
        """The server is there."""
        self._failures = 0

    def left(self) -> float:
        """Seconds to the deadline, 0 or more."""
        return max(0.0, self._until - self._clock())

    def pause(self, failure: AllotError) -> float:
        """Seconds to wait before trying again. Raises the failure where that does not help, or it is too late."""
        if not isinstance(failure, Unavailable):
            raise failure
        now = self._clock()
        if self._failures == 0:
            self._ends = min(self._until, now + self._seconds)
        longest = min(PAUSE_SECONDS_MAX, PAUSE_SECONDS_MIN * 2.0 ** min(self._failures, 16))
        pause = max(self._chance(longest / 2, longest), failure.retry_after or 0.0)
        if now + pause >= self._ends:
            raise failure
        self._failures += 1
        return pause
