"""relay: from a durable commit until Redis has its figures, at 50,000 orders a second; and behind P1's surge.

A probe beside the load orders SKUs that nobody else orders, one at a time, and from each answer on reads Redis until
the figure is another one. Engine, relay, Redis and both clients share one machine.

`python -m benchmarks.relay --seconds 20 --rate 50000` for other figures than those of the goal.
"""

import argparse
import asyncio
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from redis import Redis

from allot_client import Client as AllotClient
from benchmarks import load, wire
from benchmarks.p1_lane import BATCH_ORDERS, ORDERS_PER_SECOND_MAX, STREAMS, WINDOW
from benchmarks.row import Row
from benchmarks.service import (
    Client,
    Measured,
    clients,
    cpu_seconds,
    empty_folder,
    free_port,
    metrics_at,
    serving,
    stocked_folder,
)
from server.local_redis import LocalRedis, local_redis
from server.workers.redis_address import Address, Keys
from server.workers.redis_store import RedisStore
from tests.relays import relay

RATE, RATE_BATCH, RATE_WINDOW = 50_000, 500, 32
SECONDS, SURGE_SECONDS, ROUNDS = 20.0, 8.0, 3
SECONDS_QUICK, SURGE_SECONDS_QUICK, ROUNDS_QUICK = 5.0, 3.0, 1
PROBES, PROBE_UNITS = 500, 1_000_000  # SKUs of the probe, and what there is of each
BARE_PIECE = 850  # figures of one HSET, as the relay brings them: what changes in 10 ms
LOOK_SECONDS = 0.02  # between two looks at how far Redis is
CATCH_UP_SECONDS_MAX = 60.0
STOCKED_ORDERS_MIN = 10_000_000  # or most figures would stay 0, and nothing would change
_RATE_SEED = 1  # its batches have ids of their own
_PAGE = 10_000


class Relayed:
    """A relay process, seen from outside."""

    def __init__(self, pid: int, metrics: str) -> None:
        self._pid, self._metrics = pid, metrics

    def cpu_seconds(self) -> float:
        """Processor time so far."""
        return cpu_seconds(self._pid)

    def totals(self) -> dict[str, float]:
        """Its counters, over all channels; of the histogram each bucket by its upper bound."""
        found: dict[str, float] = {}
        for line in metrics_at(self._metrics):
            name, _, value = line.rpartition(" ")
            if name.startswith("allot_relay_"):
                kind, _, labels = name.partition("{")
                bound = labels.partition('le="')[2].partition('"')[0]
                key = f"{kind} {bound}".strip()
                found[key] = found.get(key, 0.0) + float(value)
        return found


@contextmanager
def relaying(service: Measured, url: str) -> Iterator[Relayed]:
    """`allot relay` between a service and Redis, once Redis has everything."""
    metrics = f"127.0.0.1:{free_port()}"
    with relay(service, url, f"--metrics-listen={metrics}", "--log-level=info") as running:  # type: ignore[arg-type]
        behind(service, url)
        yield Relayed(running.process.pid, metrics)


def behind(service: Measured, url: str) -> float:
    """Wait until Redis has everything that is durable now; how long that took."""
    began, goal = time.perf_counter(), service.metric("allot_durable_sequence")
    with Redis.from_url(url) as redis:
        while min(_state(redis, channel)[0] for channel in wire.CHANNELS) < goal:
            assert time.perf_counter() - began < CATCH_UP_SECONDS_MAX, "Redis does not catch up"
            time.sleep(0.001)
    return time.perf_counter() - began


def _state(redis: Any, channel: str) -> tuple[int, int]:
    """Version, and as_of_us, of a channel."""
    version, as_of_us = redis.hmget(Keys.of(channel).state, "version", "as_of_us")
    return int(version or 0), int(as_of_us or 0)


class _Looks:
    """How old the figures of Redis are, looked at all the time in a thread: seconds from the end of the last pass."""

    def __init__(self, url: str) -> None:
        self._url, self._ends = url, threading.Event()
        self.seconds: list[float] = []
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "_Looks":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()

    def _run(self) -> None:
        with Redis.from_url(self._url) as redis:
            while not self._ends.wait(LOOK_SECONDS):
                oldest = min(_state(redis, channel)[1] for channel in wire.CHANNELS)
                self.seconds.append(time.time() - oldest / 1e6)


def rows(quick: bool = False) -> list[Row]:
    """At a rate, then the surge."""
    if quick:
        return measure(SECONDS_QUICK, RATE, SURGE_SECONDS_QUICK, ROUNDS_QUICK)
    return measure(SECONDS, RATE, SURGE_SECONDS, ROUNDS)


def measure(seconds: float, rate: int, surge_seconds: float, rounds: int) -> list[Row]:
    """One run of all."""
    orders = STOCKED_ORDERS_MIN + int(seconds * rate + 2 * rounds * surge_seconds * ORDERS_PER_SECOND_MAX)
    with (
        stocked_folder(orders) as folder, empty_folder() as beside, local_redis(beside.resolve() / "redis") as redis,
        serving(folder) as service, clients(2) as (lane, probe),
    ):  # fmt: skip
        with AllotClient(service.address) as client:
            client.receive_stock([(f"PROBE-{number}", "FC00", PROBE_UNITS) for number in range(PROBES)])
        with relaying(service, redis.url) as relayed:
            told = _at_rate(service, redis, relayed, (lane, probe), seconds, rate)
        out = _rate_rows(told, rate) + _bare(beside, told)
        if surge_seconds:
            out += _surge(service, redis, lane, surge_seconds, rounds)
    return out


def _at_rate(
    service: Measured, redis: LocalRedis, relayed: Relayed, both: tuple[Client, ...], seconds: float, rate: int
) -> dict[str, Any]:
    lane, probe = both

    def cpu() -> Any:
        server, background = service.cpu_seconds()
        return np.array([server, relayed.cpu_seconds(), cpu_seconds(redis.process_id), background])

    every = {"address": service.address, "seconds": seconds}
    batches = {"batch": RATE_BATCH, "streams": 1, "window": RATE_WINDOW, "seed": _RATE_SEED, "first_pass": 0}
    lane.run("lane", to="lane", rate=rate, **{**every, "seconds": 1.0}, **batches)  # what is made once is made
    first, before, commits = relayed.totals(), cpu(), service.metric("allot_durable_sequence")
    began = time.perf_counter()
    lane.begin("lane", to="lane", rate=rate, **every, **{**batches, "first_pass": 1_000})
    told = {"probe": probe.run("probe", redis=redis.url, skus=PROBES, **every), "lane": lane.result()}
    took = time.perf_counter() - began
    cores = (cpu() - before) / took
    commits = service.metric("allot_durable_sequence") - commits
    counted = {name: value - first.get(name, 0.0) for name, value in relayed.totals().items()}
    return {**told, "cores": cores.tolist(), "counted": counted, "seconds": took, "commits": commits}


def _rate_rows(told: dict[str, Any], rate: int) -> list[Row]:
    probe, lane, counted = told["probe"], told["lane"], told["counted"]
    within = counted["allot_relay_lag_seconds_bucket 0.01"] / counted["allot_relay_lag_seconds_count"]
    server, its_relay, redis, views = told["cores"]
    figures = counted["allot_relay_figures_total"]
    coalesced = counted["allot_relay_coalesced_commits_total"] / len(wire.CHANNELS)
    at = f"at {rate:,} orders/s in batches of {RATE_BATCH}"
    return [
        Row(
            "relay", f"answer to visible in Redis, p99 {at} (low: p50, high: worst)", probe["p99_ms"], "ms",
            {"goal": 10.0, "from the call": probe["call_p99_ms"], "a read of Redis": probe["read_p99_ms"],
             "mean of the relay's own": 1e3 * counted["allot_relay_lag_seconds_sum"]
             / counted["allot_relay_lag_seconds_count"]},
            probe["p50_ms"], probe["max_ms"],
        ),
        Row(
            "relay", f"probes within 10 ms (of {probe['count']:,})", 100 * probe["within_10_ms"], "%",
            {"passes, by the relay itself": 100 * within},
        ),
        Row("relay", f"lane {at} (p99 of a batch {lane['p99_ms']:.1f} ms)", lane["orders_per_second"], "orders/s",
            {"offered": float(rate)}),
        Row("relay", f"figures of {len(wire.CHANNELS)} channels in Redis {at}", figures / told["seconds"], "1/s"),
        Row("relay", "commits told with a later one, of each channel", coalesced, "commits",
            {"all": told["commits"]}),
        Row(
            "relay", f"processor {at}: relay", its_relay, "cores",
            {"server": server, "Redis": redis, "lane's client": lane["client_cores"],
             "probe": probe["client_cores"], "views": views},
        ),
    ]  # fmt: skip


def _bare(folder: Path, told: dict[str, Any]) -> list[Row]:
    """As many figures by redis-py's HSET alone, into a Redis of its own."""
    figures, server, own = int(told["counted"]["allot_relay_figures_total"]), 0.0, 0.0
    units = np.random.default_rng(0).integers(1000, 9999, load.SKUS).tolist()
    pairs = [text for sku in range(load.SKUS) for text in (f"SKU-{sku:06d}-XL".encode(), b"%d:12345" % units[sku])]
    with local_redis(folder.resolve() / "bare") as bare:
        before, mine = cpu_seconds(bare.process_id), time.process_time()
        asyncio.run(_write(bare.url, pairs, figures))
        server, own = cpu_seconds(bare.process_id) - before, time.process_time() - mine
    relay_cores, redis_cores = told["cores"][1:3]
    each = 1e6 * told["seconds"] / figures
    return [
        Row("relay", f"processor of Redis for a figure (of {figures:,})", redis_cores * each, "us",
            {f"HSET alone, {BARE_PIECE} at a time": 1e6 * server / figures}),
        Row("relay", "processor of the relay for a figure", relay_cores * each, "us",
            {"redis-py's HSET alone": 1e6 * own / figures}),
    ]  # fmt: skip


async def _write(url: str, pairs: list[bytes], figures: int) -> None:
    address = Address.parse(url).hosts[0]
    from redis.asyncio import Redis as AsyncRedis

    redis: Any = AsyncRedis(host=address[0], port=address[1])
    for number in range(figures // BARE_PIECE + 1):
        at = number * BARE_PIECE % (load.SKUS - BARE_PIECE)
        pipeline = redis.pipeline(transaction=False)
        pipeline.execute_command("HSET", "figures", *pairs[2 * at : 2 * (at + BARE_PIECE)])
        await pipeline.execute()
    await redis.aclose()


def _surge(service: Measured, redis: LocalRedis, lane: Client, seconds: float, rounds: int) -> list[Row]:
    """The lane at full speed with a relay, then without one, by turns."""
    job: dict[str, Any] = {
        "to": "lane", "address": service.address, "batch": BATCH_ORDERS, "streams": STREAMS, "window": WINDOW,
        "seconds": seconds, "first_pass": 0,
    }  # fmt: skip
    speed: dict[bool, list[float]] = {True: [], False: []}
    lag: list[float] = []
    behind_seconds, behind_commits, cores, figures = [], [], [], 0.0

    def run(with_relay: bool) -> dict[str, Any]:
        told = lane.run("lane", **job)
        job["first_pass"] = told["next_pass"]
        speed[with_relay].append(told["orders_per_second"])
        return told

    for _ in range(rounds):
        run(False)
        with relaying(service, redis.url) as relayed:
            before, first = relayed.cpu_seconds(), relayed.totals()["allot_relay_figures_total"]
            with _Looks(redis.url) as looks, Redis.from_url(redis.url) as asked:
                told = run(True)
                version = min(_state(asked, channel)[0] for channel in wire.CHANNELS)
                behind_commits.append(service.metric("allot_durable_sequence") - version)
            behind_seconds.append(behind(service, redis.url))
            cores.append((relayed.cpu_seconds() - before) / told["seconds"])
            figures += relayed.totals()["allot_relay_figures_total"] - first
            lag += looks.seconds[1:]
            _check(service, redis.url)
    low, p99, high = np.percentile(lag, [50, 99, 100]).tolist()
    beside, alone = (statistics.median(speed[with_relay]) for with_relay in (True, False))
    return [
        Row("relay", f"surge of {seconds:g} s, lane beside the relay ({statistics.median(cores):.2f} cores)", beside,
            "orders/s", {"without": alone}, min(speed[True]), max(speed[True])),
        Row("relay", "surge, age of the figures in Redis, p99 (low: median, high: worst)", p99, "s", {}, low, high),
        Row("relay", "surge, figures written", figures / rounds / seconds, "1/s"),
        Row("relay", "surge, commits that Redis lacks at its end", statistics.median(behind_commits), "commits"),
        Row("relay", "surge, Redis has every figure after its end", statistics.median(behind_seconds), "s", {},
            min(behind_seconds), max(behind_seconds)),
    ]  # fmt: skip


def _check(service: Measured, url: str) -> None:
    """Every figure of every channel is the engine's."""
    skus = [f"SKU-{sku:06d}-XL" for sku in range(load.SKUS)] + [f"PROBE-{number}" for number in range(PROBES)]

    async def of_redis(channel: str) -> dict[str, tuple[int, int]]:
        store = RedisStore(Address.parse(url))
        try:
            return await store.all_figures(channel)
        finally:
            await store.close()

    with AllotClient(service.address) as client:
        for channel in wire.CHANNELS:
            pages = (
                client.get_availability(channel, skus[at : at + _PAGE]).figures for at in range(0, len(skus), _PAGE)
            )
            wanted = {figure.sku: (figure.units, figure.version) for page in pages for figure in page}
            assert asyncio.run(of_redis(channel)) == wanted, f"figures of {channel} are not the engine's"


def main() -> None:
    """A run with other figures."""
    from benchmarks.__main__ import print_row

    parser = argparse.ArgumentParser("python -m benchmarks.relay", description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--rate", type=int, default=RATE)
    parser.add_argument("--surge-seconds", type=float, default=SURGE_SECONDS, help="0: no surge")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    chosen = parser.parse_args()
    for row in measure(chosen.seconds, chosen.rate, chosen.surge_seconds, chosen.rounds):
        print_row(row)


if __name__ == "__main__":
    main()
