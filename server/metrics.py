"""What the server counts, for Prometheus: calls, orders, commits, queues, lags. Every part reports here, any thread.

Calls are counted by plain integers on the event loop, as every call pays for it; a collector reads them when asked. All
else goes to instruments of prometheus-client, which take their own locks. `serve` shows it on a port of its own.
"""

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    start_http_server,
)
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from server.config import parse_address

CALL_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # upper bounds
COMMIT_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
COMMIT_ORDERS = (1, 4, 16, 64, 256, 1024, 4096, 16_384)
OUTCOMES = ("unspecified", "allocated", "partly", "short", "refused")  # by the number of an Outcome
_FEW_ORDERS = 4  # counted one by one
_OUTCOMES_MAX = 8  # room for numbers, so that channel and outcome fit one


class Calls:
    """The calls of one method. Only the event loop writes it."""

    __slots__ = ("failed", "ok", "seconds", "within")

    def __init__(self) -> None:
        self.ok = 0
        self.failed: dict[str, int] = {}  # by code
        self.within = [0] * (len(CALL_SECONDS) + 1)  # by bucket, not cumulative; the last has no bound
        self.seconds = 0.0

    def done(self, seconds: float) -> None:
        """A call that was answered, after so long."""
        self.ok += 1
        self.seconds += seconds
        self.within[bisect_left(CALL_SECONDS, seconds)] += 1

    def ended(self) -> None:
        """A stream that came to its end. How long it was open says nothing about speed."""
        self.ok += 1

    def failed_with(self, code: str) -> None:
        """A call or a stream that ended with an error. Its time is not counted: refusals are quick, timeouts slow."""
        self.failed[code] = self.failed.get(code, 0) + 1


class Metrics:
    """Everything that is counted. Gauges may be set, or be given a function that is asked at each scrape."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._calls: dict[str, Calls] = {}
        self.registry.register(self)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._orders = self._counter(
            "orders", "Orders and reservations decided, repeats left out", "channel", "outcome"
        )
        self._order_children: dict[int, Counter] = {}
        self._order_lock = Lock()
        self._rejected = self._counter("rejected", "Calls and messages of streams that were refused", "reason")
        self._commits = self._counter("commits", "Commits that became durable")
        self._commit_orders = Histogram(
            "allot_commit_orders", "Orders of a commit", buckets=COMMIT_ORDERS, registry=self.registry
        )
        self._commit_seconds = Histogram(
            "allot_commit_seconds", "From the start of a commit until it is durable", buckets=COMMIT_SECONDS,
            registry=self.registry,
        )  # fmt: skip
        queue = Gauge("allot_queue_depth", "What waits for a commit", ["queue"], registry=self.registry)
        self.queue_requests: Gauge = queue.labels("requests")
        self.queue_batches: Gauge = queue.labels("batches")
        self.streams_open = self._gauge("streams_open", "Streams that are open")
        self.durable_sequence = self._gauge("durable_sequence", "The last commit that is durable")
        self.ats_lag_seconds = self._gauge("ats_lag_seconds", "From a durable commit until watchers are told of it")
        self.view_sequence = self._gauge("view_sequence", "The last commit that the views take in")
        self.view_lag_commits = self._gauge("view_lag_commits", "Durable commits that the views do not take in yet")
        self.snapshot_sequence = self._gauge("snapshot_sequence", "The last commit that a snapshot takes in")
        self.snapshot_age_seconds = self._gauge("snapshot_age_seconds", "Since the last snapshot was written")
        self.memory_ahead_bytes = self._gauge("memory_ahead_bytes", "Memory taken for orders to come, not used yet")
        self.journal_bytes = self._gauge("journal_bytes", "Bytes of the journal on disk")

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(f"allot_{name}", what, labels, registry=self.registry)

    def _gauge(self, name: str, what: str) -> Gauge:
        return Gauge(f"allot_{name}", what, registry=self.registry)

    # --- reporting ---

    def calls_of(self, method: str) -> Calls:
        """Where the calls of a method are counted; ask once, not for each call."""
        return self._calls.setdefault(method, Calls())

    def decided(self, channel: NDArray, outcome: NDArray, name_of: Callable[[int], str]) -> None:
        """Orders that were decided: index of the channel and number of the outcome of each, same length.

        name_of: the name of a channel; asked once for each.
        """
        cells = channel.astype(np.int64) * _OUTCOMES_MAX + outcome
        if cells.size <= _FEW_ORDERS:
            counts = [(cell, 1) for cell in cells.tolist()]
        else:
            of_cell = np.bincount(cells)
            counts = [(cell, int(of_cell[cell])) for cell in np.flatnonzero(of_cell).tolist()]
        for cell, count in counts:
            child = self._order_children.get(cell) or self._order_child(cell, name_of)
            child.inc(count)

    def _order_child(self, cell: int, name_of: Callable[[int], str]) -> Counter:
        channel, outcome = divmod(cell, _OUTCOMES_MAX)
        with self._order_lock:
            child = self._orders.labels(name_of(channel), OUTCOMES[outcome])
            self._order_children[cell] = child
        return child

    def rejected(self, reason: str, count: int = 1) -> None:
        """So many calls or messages of streams were refused for a reason."""
        self._rejected.labels(reason).inc(count)

    def committed(self, orders: int, seconds: float) -> None:
        """A commit of so many orders became durable, so long after it was begun."""
        self._commits.inc()
        self._commit_orders.observe(orders)
        self._commit_seconds.observe(seconds)

    def snapshot_written(self, sequence: int) -> None:
        """A snapshot was written just now; its age is counted from here on."""
        self.snapshot_sequence.set(sequence)
        written = time.monotonic()
        self.snapshot_age_seconds.set_function(lambda: time.monotonic() - written)

    # --- telling ---

    def collect(self) -> Iterator[Metric]:
        """Calls, as prometheus-client asks for them."""
        counted = CounterMetricFamily("allot_calls", "Calls that ended, by gRPC code", labels=["method", "code"])
        took = HistogramMetricFamily(
            "allot_call_seconds", "From the call to its answer, of unary calls that were answered", labels=["method"]
        )
        for method, calls in list(self._calls.items()):
            counted.add_metric([method, "OK"], calls.ok)
            for code, count in list(calls.failed.items()):
                counted.add_metric([method, code], count)
            if not any(calls.within):
                continue
            upto, buckets = 0, []
            for bound, count in zip([*map(str, CALL_SECONDS), "+Inf"], list(calls.within), strict=True):
                upto += count
                buckets.append((bound, upto))
            took.add_metric([method], buckets, calls.seconds)
        yield counted
        yield took

    def serve(self, listen: str) -> Callable[[], None]:
        """Show it at an address of this machine, under /metrics. What is given back ends that."""
        address = parse_address(listen)
        server, thread = start_http_server(address.port, address.host, self.registry)
        self.port = int(server.server_port)

        def end() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        return end
