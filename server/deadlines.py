"""Until when a call waits: as a moment of `time.monotonic`, so that work whose deadline has passed is never begun."""

import math
import time
from typing import Any


def deadline_of(context: Any) -> float:
    """The moment at which the caller gives up; infinity where the caller did not say."""
    remaining = context.time_remaining()
    return math.inf if remaining is None else time.monotonic() + float(remaining)
