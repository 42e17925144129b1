"""What came of the calls of a run: counts and latencies by kind of call, failures by reason, and a line a second.

Calls that were due in the warm-up are not counted. All times are by time.perf_counter, in seconds.
"""

import time
from collections import Counter
from typing import NamedTuple

from allot_client import AllotError
from server.load.latencies import Latencies, merged


class Calls:
    """Calls of one kind."""

    def __init__(self) -> None:
        self.latencies = Latencies()  # of those that were answered
        self.orders = 0  # that were taken by them
        self.failed: Counter[str] = Counter()  # by code and reason
        self.not_taken: Counter[str] = Counter()  # orders of batches, by reason


class Second(NamedTuple):
    """One second of the run."""

    at: float  # its end, seconds since the warm-up
    answered: float  # a second
    orders: float  # taken, a second
    failed: float  # a second
    p50: float  # seconds, of those that were answered
    p99: float
    under_way: int
    late: int  # due, and not sent


class Tally:
    """All calls of a run."""

    def __init__(self) -> None:
        self.calls: dict[str, Calls] = {}
        self.messages: dict[str, str] = {}  # what the first failure of each kind said
        self.seconds: list[Second] = []
        self.sending = Latencies()  # from when a request was due until it was sent
        self.began = float("inf")  # when the warm-up was over
        self.last_answer = 0.0
        self.told = 0.0  # when the last second was over
        self._second = Calls()

    def begin(self, now: float) -> None:
        """The warm-up is over."""
        self.began = self.told = now

    def sent(self, due: float) -> None:
        """A request goes out."""
        if due >= self.began:
            self.sending.add(max(0.0, time.perf_counter() - due))

    def answered(self, name: str, due: float, now: float, orders: int) -> None:
        """A call was answered; so many orders were taken by it."""
        if due >= self.began:
            for calls in (self._of(name), self._second):
                calls.latencies.add(now - due)
                calls.orders += orders
            self.last_answer = now

    def failed(self, name: str, due: float, failure: AllotError) -> None:
        """A call failed."""
        if due >= self.began:
            self.messages.setdefault(kind_of(failure), str(failure))
            self._of(name).failed[kind_of(failure)] += 1
            self._second.failed[kind_of(failure)] += 1

    def not_taken(self, name: str, due: float, reason: str, count: int) -> None:
        """So many orders of a batch that was answered were not taken."""
        if due >= self.began:
            self._of(name).not_taken[reason] += count
            self._second.not_taken[reason] += count

    def tick(self, now: float, under_way: int, late: int) -> Second:
        """A second is over."""
        ended, lasted = self._second, max(1e-9, now - self.told)
        self._second, self.told = Calls(), now
        p50, p99 = (ended.latencies.percentile(percent) for percent in (50, 99))
        counts = ended.latencies.count, ended.orders, ended.failed.total() + ended.not_taken.total()
        answered, orders, failed = (count / lasted for count in counts)
        self.seconds.append(Second(now - self.began, answered, orders, failed, p50, p99, under_way, late))
        return self.seconds[-1]

    @property
    def failures(self) -> Counter[str]:
        """Of all calls by code and reason, and of orders of batches by reason."""
        return sum((calls.failed + calls.not_taken for calls in self.calls.values()), Counter[str]())

    @property
    def latencies(self) -> Latencies:
        """Of all calls."""
        return merged(calls.latencies for calls in self.calls.values())

    def _of(self, name: str) -> Calls:
        return self.calls.setdefault(name, Calls())


def kind_of(failure: AllotError) -> str:
    """A failure by its code and its reason."""
    return f"{failure.code.name} {failure.reason}".strip()
