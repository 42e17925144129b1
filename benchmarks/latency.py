"""latency: PlaceOrder's latency against load, beside the bare echo of the same bytes, by turns in the same run.

Closed, 1 to 256 at a time; open, at shares of the closed peak, as calls come (Poisson), with 256 under way at most,
each timed from when it should have been sent. The echo gets the same calls a second. p50 and p99 are the medians of the
rounds, p99.9 is of the calls of all rounds together. A full run writes its section of benchmarks/RESULTS.md.
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.row import Row
from benchmarks.service import Client, Measured, clients, echo, serving, stocked_folder, sync_seconds
from benchmarks.wire import POPULAR_SKUS

CONCURRENCY = (1, 2, 4, 8, 16, 32, 64, 128, 256)
SHARES = (0.10, 0.25, 0.50, 0.75, 0.90, 0.95)  # of the peak
UNDER_WAY_MAX = 256
PERCENTS = (50, 99, 99.9)
RARE = 99.9  # of one round there are too few
ROUNDS, CLOSED_SECONDS, OPEN_SECONDS = 5, 0.7, 1.1
CONCURRENCY_QUICK, SHARES_QUICK, ROUNDS_QUICK, SECONDS_QUICK = (1, 16, 256), (0.50, 0.90), 1, 0.7
WARM_UP_SECONDS = 0.3
SYNCS = 300
STOCKED_ORDERS = 3_000_000_000  # were all SKUs equally popular: the first one gets 2% of the lines
ECHO = "uvloop"  # the server's own loop
NAMES = ("order", "echo")


class Point(NamedTuple):
    """Latencies at one load, ms: by percentile the figure, the lowest and the highest of a round."""

    at: float  # callers of a closed loop, or calls a second that an open loop offers
    per_second: float  # calls that were answered, the median of the rounds
    calls: int  # in all rounds
    failed: int
    client_cores: float  # the most of any round
    percentiles: dict[float, tuple[float, float, float]]


class Measurement(NamedTuple):
    """All of a run: points of the service and of the echo."""

    closed: dict[str, list[Point]]
    open: dict[str, list[Point]]
    shares: tuple[float, ...]  # of the peak, one for each point of `open`
    sync_ms: float  # the disk's write and fdatasync alone, the median
    cores: int
    others: float  # processes that wanted a core in the minute before it began

    @property
    def peak(self) -> float:
        """Orders a second, the most of the closed loops."""
        return max(point.per_second for point in self.closed["order"])


def rows(quick: bool = False) -> list[Row]:
    """Rows of both loops; in full, the section of the results too."""
    found = measure(quick)
    if not quick:
        from benchmarks.latency_results import write_results

        write_results(Path(__file__).parent, found)
    callers = tuple(point.at for point in found.closed["order"])
    out = [*_rows("closed", found.closed, callers), *_rows("open", found.open, found.shares)]
    return [replace(row, runs=ROUNDS_QUICK if quick else ROUNDS) for row in out]


def measure(quick: bool = False) -> Measurement:
    """The closed loops, then the open ones."""
    concurrency, shares = (CONCURRENCY_QUICK, SHARES_QUICK) if quick else (CONCURRENCY, SHARES)
    rounds, others = ROUNDS_QUICK if quick else ROUNDS, os.getloadavg()[0]
    with (
        stocked_folder(STOCKED_ORDERS, POPULAR_SKUS) as folder,
        serving(folder) as service,
        echo(ECHO) as address,
        clients(1) as (client,),
    ):
        loads = _Loads(client, service, {"order": service.address, "echo": address}, rounds)
        for name in NAMES:
            loads.warm_up(name)
        closed = loads.points("closed", "concurrency", concurrency, SECONDS_QUICK if quick else CLOSED_SECONDS)
        peak = max(point.per_second for point in closed["order"])
        rates = [share * peak for share in shares]
        arriving = loads.points("open_loop", "rate", rates, SECONDS_QUICK if quick else OPEN_SECONDS)
        syncs = sync_seconds(folder, SYNCS)
    return Measurement(closed, arriving, shares, 1e3 * float(np.median(syncs)), os.cpu_count() or 1, others)


class _Loads:
    """Jobs of one client, to the service and to the echo by turns."""

    def __init__(self, client: Client, service: Measured, addresses: dict[str, str], rounds: int) -> None:
        self._client, self._service, self._addresses, self._rounds = client, service, addresses, rounds

    def warm_up(self, name: str) -> None:
        self._run(name, "closed", seconds=WARM_UP_SECONDS, concurrency=max(CONCURRENCY_QUICK))

    def points(self, do: str, what: str, loads: Any, seconds: float) -> dict[str, list[Point]]:
        """A point of each for each load. what: the name of a load in the job."""
        told: dict[tuple[str, float], list[dict[str, Any]]] = {}
        for turn in range(self._rounds):
            for load in loads:
                for name in NAMES if turn % 2 == 0 else reversed(NAMES):
                    job = {what: load, "seconds": seconds, "seed": turn, "under_way_max": UNDER_WAY_MAX}
                    told.setdefault((name, load), []).append(self._run(name, do, **job))
        return {name: [_point(load, told[name, load]) for load in loads] for name in NAMES}

    def _run(self, name: str, do: str, **job: Any) -> dict[str, Any]:
        told = self._client.run(do, to=name, address=self._addresses[name], each=True, **job)
        if name == "order":
            self._service.seconds_to_catch_up()  # the views' work falls on the order's turn, not on the echo's
        return told


def _point(at: float, told: list[dict[str, Any]]) -> Point:
    """Of the rounds of one load."""
    rounds = [np.array(one["each_ms"]) for one in told]
    together = np.concatenate(rounds)
    percentiles = {}
    for percent in PERCENTS:
        each = [float(np.percentile(one, percent)) for one in rounds]
        figure = float(np.median(each) if percent < RARE else np.percentile(together, percent))
        percentiles[percent] = figure, min(each), max(each)
    return Point(
        at, float(np.median([one["per_second"] for one in told])), together.size,
        sum(sum(one.get("failed", {}).values()) for one in told), max(one["client_cores"] for one in told), percentiles,
    )  # fmt: skip


def _rows(loop: str, points: dict[str, list[Point]], loads: tuple[float, ...]) -> list[Row]:
    """A row for each percentile of each load; the echo's is the peer."""
    out = []
    for order, bare, load in zip(points["order"], points["echo"], loads, strict=True):
        at = f"{load:.0f} at a time" if loop == "closed" else f"at {load:.0%} of the peak"
        told = f"{order.per_second:,.0f}/s" + (f", {order.failed} failed" if order.failed else "")
        for percent in PERCENTS:
            value, low, high = order.percentiles[percent]
            what = f"PlaceOrder, {loop}, {at}, p{percent:g} ({told})"
            out.append(Row("latency", what, value, "ms", {"echo": bare.percentiles[percent][0]}, low, high))
    return out
