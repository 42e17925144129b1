"""mixed: everybody at once. A surge of Arrow batches at 80% of the lane's peak, beside single orders, carts that are
confirmed or let go, and watchers of availability.

The same again with a watcher that never reads and a stream of batches whose answers nobody reads: they are to cost the
others nothing. The two take turns in one run.
"""

import statistics
import time
from dataclasses import replace
from typing import Any

from benchmarks.p1_lane import BATCH_ORDERS, ORDERS_PER_SECOND_MAX, STREAMS, WINDOW
from benchmarks.row import Row
from benchmarks.service import Client, Measured, clients, serving, stocked_folder

SURGE = 0.8  # of the lane's peak
SINGLES_PER_SECOND, CARTS_PER_SECOND, WATCHERS = 200, 50, 8
SETTLE_SECONDS = 2.0  # in which watchers are told of every SKU
_SLOW_SEED = 5
PEAK_SECONDS, SECONDS, ROUNDS = 10.0, 10.0, 3
PEAK_SECONDS_QUICK, SECONDS_QUICK, ROUNDS_QUICK = 1.5, 2.0, 1


class _Surge:
    """The lane: its peak, then a share of it; its passes go on from one job to the next, as no id may come twice."""

    def __init__(self, client: Client, address: str) -> None:
        self._client = client
        self._job: dict[str, Any] = {
            "to": "lane", "address": address, "batch": BATCH_ORDERS, "streams": STREAMS, "window": WINDOW,
            "first_pass": 0,
        }  # fmt: skip

    def begin(self, **job: Any) -> None:
        self._client.begin("lane", **self._job, **job)

    def result(self) -> dict[str, Any]:
        told = self._client.result()
        self._job["first_pass"] = told["next_pass"]
        return told


def rows(quick: bool = False) -> list[Row]:
    """Peak alone, then rounds without and with those who do not read."""
    seconds, rounds = (SECONDS_QUICK, ROUNDS_QUICK) if quick else (SECONDS, ROUNDS)
    peak_seconds = PEAK_SECONDS_QUICK if quick else PEAK_SECONDS
    in_all = peak_seconds + 2 * rounds * seconds
    with (
        stocked_folder(int(in_all * ORDERS_PER_SECOND_MAX)) as folder,
        serving(folder) as service,
        clients(4) as (lane, singles, watchers, slow),
    ):
        surge = _Surge(lane, service.address)
        surge.begin(seconds=peak_seconds)
        peak = surge.result()["orders_per_second"]
        found: dict[bool, list[dict[str, Any]]] = {False: [], True: []}
        for turn in range(rounds):
            for with_slow in (False, True):
                watchers.begin("watch", watchers=WATCHERS, settle=SETTLE_SECONDS, **_every(service, seconds, turn))
                if with_slow:
                    _begin_slow(slow, service, seconds, turn)
                time.sleep(SETTLE_SECONDS)
                surge.begin(seconds=seconds, rate=SURGE * peak)
                _begin_singles(singles, _every(service, seconds, turn))
                cpu = service.cpu_seconds()
                told = {"lane": surge.result(), **singles.result(), "watch": watchers.result()}
                after = service.cpu_seconds()
                told["server_cores"] = [
                    (end - start) / told["lane"]["seconds"] for start, end in zip(cpu, after, strict=True)
                ]
                if with_slow:
                    slow.result()
                found[with_slow].append(told)
    return _rows(peak, found)


def _every(service: Measured, seconds: float, turn: int) -> dict[str, Any]:
    """What all jobs are told."""
    return {"to": "order", "address": service.address, "seconds": seconds, "seed": turn}


def _begin_singles(client: Client, every: dict[str, Any]) -> None:
    orders = {"do": "open_loop", "rate": SINGLES_PER_SECOND, **every}
    client.begin("together", jobs=[orders, {"do": "carts", "rate": CARTS_PER_SECOND, **every}])


def _begin_slow(client: Client, service: Measured, seconds: float, turn: int) -> None:
    """Those who do not read. The seed of the stream is one that the surge does not have, its passes one a round."""
    every = _every(service, SETTLE_SECONDS + seconds, _SLOW_SEED)
    stream = {"do": "stalled", "batch": BATCH_ORDERS, "window": 1, "first_pass": turn, **every}
    client.begin("together", jobs=[stream, {"do": "watch", "watchers": 0, "slow": 1, "settle": 0, **every}])


def _rows(peak: float, found: dict[bool, list[dict[str, Any]]]) -> list[Row]:
    def middle(with_slow: bool, part: str, figure: str) -> float:
        return statistics.median(told[part][figure] for told in found[with_slow])

    def failed(part: str) -> int:
        return sum(sum(told[part]["failed"].values()) for runs in found.values() for told in runs)

    beside = "beside who does not read"
    out = []
    for what, part, figure in (
        ("single orders, p99", "open_loop", "p99_ms"),
        ("single orders, p50", "open_loop", "p50_ms"),
        ("carts, Reserve to the end, p99", "carts", "p99_ms"),
    ):
        without = middle(False, part, figure)
        out.append(Row("mixed", f"{what} ({failed(part)} failed)", without, "ms"))
        out.append(Row("mixed", f"{what}, {beside}", middle(True, part, figure), "ms", {"without": without}))
    rate = middle(False, "lane", "orders_per_second")
    held = {f"{SURGE:.0%} of its peak": SURGE * peak, "peak": peak}
    told = middle(False, "watch", "messages") / middle(False, "watch", "seconds")
    cores = [[told["server_cores"][part] for told in found[False]] for part in (0, 1)]
    server, views = (statistics.median(values) for values in cores)
    out += [
        Row("mixed", "processor of the server", server, "cores", {"views and snapshots": views}),
        Row("mixed", f"surge (p99 of a batch {middle(False, 'lane', 'p99_ms'):.0f} ms)", rate, "orders/s", held),
        Row("mixed", f"surge, {beside}", middle(True, "lane", "orders_per_second"), "orders/s", {"without": rate}),
        Row("mixed", f"messages to {WATCHERS} watchers, {beside}", middle(True, "watch", "messages")
            / middle(True, "watch", "seconds"), "1/s", {"without": told}),
    ]  # fmt: skip
    return [replace(row, runs=len(found[False])) for row in out]
