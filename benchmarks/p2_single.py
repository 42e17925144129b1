"""P2: PlaceOrder, one order a call, beside the bare echo of the same bytes in the same run.

Throughput in a closed loop, the latency of one caller alone, and the latency of calls that come as they come at half of
the peak, timed from when each should have been sent. SKUs and postal codes are drawn by popularity, as in life.
"""

import statistics
from typing import Any

from benchmarks.echo import KINDS
from benchmarks.row import Row
from benchmarks.service import Client, Measured, clients, echo, serving, stocked_folder, sync_seconds
from benchmarks.wire import POPULAR_SKUS

CONCURRENCY = (64, 128, 256)
STOCKED_ORDERS = 3_000_000_000  # were all SKUs equally popular: the first one gets 2% of the lines
SYNCS = 300
_WARM_UP_SECONDS = 0.3


def rows(quick: bool = False) -> list[Row]:
    """Closed loop, one alone, open loop."""
    rounds, seconds = (1, 0.7) if quick else (5, 3.0)
    with (
        stocked_folder(STOCKED_ORDERS, POPULAR_SKUS) as folder,
        serving(folder) as service,
        echo("threads") as threads,
        echo("asyncio") as aio,
        echo("uvloop") as uvloop,
        clients(1) as (client,),
    ):
        targets = {"order": service.address, **dict(zip(KINDS, (threads, aio, uvloop), strict=True))}
        throughput, peak, best = _closed(client, service, targets, rounds, seconds)
        alone = _alone(client, targets, folder, rounds, seconds)
        arriving = _open(client, {"order": targets["order"], "echo": targets[best]}, folder, peak / 2, rounds, seconds)
    return [*throughput, *alone, *arriving]


def _to(name: str) -> str:
    return "order" if name == "order" else "echo"


def _closed(
    client: Client, service: Measured, targets: dict[str, str], rounds: int, seconds: float
) -> tuple[list[Row], float, str]:
    """The rows, the peak of orders a second, the echo that was best."""
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for turn in range(rounds + 1):
        for concurrency in CONCURRENCY:
            for name, address in targets.items():
                job = {"to": _to(name), "address": address, "concurrency": concurrency, "seed": turn}
                told = client.run("closed", seconds=seconds if turn else _WARM_UP_SECONDS, **job)
                if name == "order":
                    service.seconds_to_catch_up()  # the views' work falls on the order's turn, not on the echo's
                if turn:
                    found.setdefault((name, concurrency), []).append(told)
    rate = {key: statistics.median(told["per_second"] for told in runs) for key, runs in found.items()}
    out = []
    for concurrency in CONCURRENCY:
        runs = found["order", concurrency]
        got = statistics.mean(told["allocated"] for told in runs)
        each = sorted(told["per_second"] for told in runs)
        middle, late = (statistics.median(told[name] for told in runs) for name in ("p50_ms", "p99_ms"))
        out.append(
            Row(
                "P2", f"PlaceOrder, {concurrency} at a time (p50 {middle:.1f}, p99 {late:.1f} ms, {got:.1%} allocated)",
                rate["order", concurrency], "orders/s",
                {f"echo {kind}": rate[kind, concurrency] for kind in KINDS}, each[0], each[-1], runs=rounds,
            )
        )  # fmt: skip
    peaks = {name: max(rate[name, concurrency] for concurrency in CONCURRENCY) for name in targets}
    best = max(("threads", "asyncio"), key=lambda kind: peaks[kind])
    peers = {f"best echo ({best})": peaks[best], "echo uvloop": peaks["uvloop"]}
    busy = max(told["client_cores"] for runs in found.values() for told in runs)
    top = Row(
        "P2", f"PlaceOrder, best of those (client: {busy:.2f} cores)", peaks["order"], "orders/s", peers, runs=rounds
    )
    out.append(top.judged("0.85 of the best echo", peaks["order"] >= 0.85 * peaks[best]))
    return out, peaks["order"], best


def _alone(client: Client, targets: dict[str, str], folder: Any, rounds: int, seconds: float) -> list[Row]:
    """One caller: beside an echo and the disk's sync."""
    found: dict[str, list[float]] = {name: [] for name in (*targets, "sync")}
    for _ in range(rounds):
        for name, address in targets.items():
            told = client.run("closed", seconds=seconds / 2, to=_to(name), address=address, concurrency=1)
            found[name].append(told["p50_ms"])
        found["sync"].append(1e3 * statistics.median(sync_seconds(folder, SYNCS)))
    middle = {name: statistics.median(values) for name, values in found.items()}
    best = min(("threads", "asyncio"), key=lambda kind: middle[kind])
    peers = {
        f"echo {best} + sync": middle[best] + middle["sync"], "sync": middle["sync"],
        **{f"echo {kind}": middle[kind] for kind in KINDS},
    }  # fmt: skip
    order = found["order"]
    over = middle["order"] - middle[best] - middle["sync"]
    what = f"PlaceOrder, one at a time, median ({over:+.2f} ms over the first peer)"
    row = Row("P2", what, middle["order"], "ms", peers, min(order), max(order), runs=rounds)
    return [row.judged("echo, a sync and 0.2 ms", over <= 0.2)]


def _open(client: Client, targets: dict[str, str], folder: Any, rate: float, rounds: int, seconds: float) -> list[Row]:
    """Calls that come as they come, so many a second."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in targets}
    syncs: list[float] = []
    for turn in range(rounds):
        for name, address in targets.items():
            found[name].append(
                client.run("open_loop", seconds=2 * seconds, to=name, address=address, rate=rate, seed=turn)
            )
        syncs += sync_seconds(folder, SYNCS)
    order, bare = (statistics.median(told["p99_ms"] for told in found[name]) for name in ("order", "echo"))
    sync = 1e3 * statistics.median(syncs)
    runs = sorted(told["p99_ms"] for told in found["order"])
    failed = sum(sum(told["failed"].values()) for told in found["order"])
    middle = statistics.median(told["p50_ms"] for told in found["order"])
    what = f"PlaceOrder, as they come, p99 ({rate:,.0f} a second, p50 {middle:.2f} ms, {failed} failed)"
    peers = {"2 echo p99 + 2 syncs": 2 * bare + 2 * sync, "echo p99": bare, "sync": sync}
    row = Row("P2", what, order, "ms", peers, runs[0], runs[-1], runs=rounds)
    return [row.judged("twice the echo's p99 and two syncs", order <= 2 * bare + 2 * sync)]
