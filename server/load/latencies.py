"""Latencies of any number of calls in a room that does not grow: counts of buckets, each a hundredth wider than the
one before.

A percentile is known to half a bucket, 0.5% of it; the least and the most are exact.
"""

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

SECONDS_MIN = 1e-6  # what is shorter counts as this
_GROWTH = math.log(1.01)
_BUCKETS = int(math.log(1e10) / _GROWTH) + 1  # to 10,000 s


class Latencies:
    """Latencies in seconds."""

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS
        self.count = 0
        self.sum = 0.0
        self.min = math.inf
        self.max = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        place = int(math.log(seconds / SECONDS_MIN) / _GROWTH) if seconds > SECONDS_MIN else 0
        self._counts[min(place, _BUCKETS - 1)] += 1
        self.count += 1
        self.sum += seconds
        self.min = min(self.min, seconds)
        self.max = max(self.max, seconds)

    def merge(self, other: "Latencies") -> None:
        """Those of another too."""
        self._counts = [mine + its for mine, its in zip(self._counts, other._counts, strict=True)]
        self.count += other.count
        self.sum += other.sum
        self.min, self.max = min(self.min, other.min), max(self.max, other.max)

    def percentile(self, percent: float) -> float:
        """Seconds within which so many percent of the calls were answered, 0 to 100; 0.0 where there were none."""
        if not self.count:
            return 0.0
        rank = max(1, math.ceil(percent / 100 * self.count))
        place = int(np.searchsorted(np.cumsum(self._counts), rank))
        middle = SECONDS_MIN * math.exp((place + 0.5) * _GROWTH)
        return min(max(middle, self.min), self.max)

    def buckets(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Those with any calls: upper ends in seconds, and counts."""
        counts = np.array(self._counts, np.int64)
        there = np.flatnonzero(counts)
        return SECONDS_MIN * np.exp((there + 1) * _GROWTH), counts[there]


def merged(parts: Iterable[Latencies]) -> Latencies:
    """All of them together."""
    whole = Latencies()
    for part in parts:
        whole.merge(part)
    return whole
