"""P1: orders a second over AllocateBatches, each acknowledged after its fdatasync, beside a bare echo of equal bytes.

All is on: text keys and SKUs on the wire, validation, idempotency, reasons, ATS, views and snapshots beside the server.
The server has taken the memory of a surge's rows before the clock runs, as operations would have it do
(`--memory-ahead-bytes`); short runs without stand beside it. The client runs on the same machine; what it sends is
encoded before the clock runs, but for six digits of each order id (benchmarks/wire.py), whose cost is printed. Then
PostgreSQL, Redis, NumPy and plain Python decide such orders over such stock (benchmarks/peers/).

`python -m benchmarks.p1_lane --seconds 20 --batch 8192 --streams 1` for other figures than those of the goal.
"""

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.peers.contest import beside
from benchmarks.row import Row
from benchmarks.service import Client, Measured, clients, echo, serving, stocked_folder, stored, verify_seconds
from server.memory import machine_bytes

BATCH_ORDERS = 13_000
STREAMS, WINDOW = 1, 4  # streams of the client (two only wait longer), and batches of each that are under way
SECONDS, SECONDS_QUICK, ECHO_SECONDS = 60.0, 5.0, 5.0
MEMORY_AHEAD = "allot_memory_ahead_bytes"  # a metric
BESIDE_SECONDS, BESIDE_SECONDS_QUICK = 10.0, 3.0  # of a run beside the peers
ORDERS_PER_SECOND_MAX = 2_000_000  # there is stock for so many
BYTES_AHEAD_PER_SECOND = 300_000_000  # memory that the server takes before the surge, for each second of it:
MACHINE_SHARE_AHEAD, MACHINE_SHARE_MAX = 0.65, 0.9  # of the machine's, taken ahead and in all, at most


def rows(quick: bool = False) -> Iterator[Row]:
    """The lane, then what it left behind, then its peers."""
    seconds = SECONDS_QUICK if quick else SECONDS
    out = measure(seconds, BATCH_ORDERS, STREAMS, WINDOW, verify=not quick)
    yield from out
    yield without_memory_ahead(quick)
    yield from peers(quick)


def without_memory_ahead(quick: bool = False) -> Row:
    """Short runs with the memory of the rows taken before, and without."""
    seconds = BESIDE_SECONDS_QUICK if quick else BESIDE_SECONDS
    rates = {ahead: _rate(seconds, ahead) for ahead in (True, False)}
    return Row(
        "P1", f"lane, no memory taken ahead, for {seconds:g} s", rates[False], "orders/s", {"taken ahead": rates[True]}
    )


def peers(quick: bool = False) -> Iterator[Row]:
    """The peers, and short runs of the lane before them, between them and after them."""
    seconds = BESIDE_SECONDS_QUICK if quick else BESIDE_SECONDS
    return beside(lambda: _rate(seconds), int(seconds * ORDERS_PER_SECOND_MAX), quick)


def _rate(seconds: float, ahead: bool = True) -> float:
    """The lane's orders/s over a new folder, in so short a run. ahead: whether memory was taken before."""
    orders = int(seconds * ORDERS_PER_SECOND_MAX)
    with stocked_folder(orders) as folder, clients(1) as (client,), _ready(folder, seconds if ahead else 0) as service:
        job = {"to": "lane", "address": service.address, "batch": BATCH_ORDERS, "streams": STREAMS, "window": WINDOW}
        told = client.run("lane", seconds=seconds, **job)
    return float(told["orders_per_second"])


@contextmanager
def _ready(folder: Path, seconds: float) -> Iterator[Measured]:
    """The service, with the memory that a surge of so many seconds needs, as operations would have it take before; none
    for 0."""
    ahead = min(int(BYTES_AHEAD_PER_SECOND * seconds), int(MACHINE_SHARE_AHEAD * machine_bytes()))
    limits = (f"--memory-ahead-bytes={ahead}", f"--memory-bytes-max={int(MACHINE_SHARE_MAX * machine_bytes())}")
    with serving(folder, *limits) as service:
        taken = -1.0
        while taken < (taken := service.metric(MEMORY_AHEAD)):
            time.sleep(1)
        yield service


def measure(seconds: float, batch: int, streams: int, window: int, verify: bool, ahead: bool = True) -> list[Row]:
    """One run of the lane, then the echoes. ahead: whether the memory of its rows is taken before."""
    with stocked_folder(int(seconds * ORDERS_PER_SECOND_MAX)) as folder, clients(1) as (client,):
        before = stored(folder).bytes
        with _ready(folder, seconds if ahead else 0) as service:
            taken = service.metric(MEMORY_AHEAD)
            base, cpu = service.metric("allot_durable_sequence"), service.cpu_seconds()
            job = {"to": "lane", "address": service.address, "batch": batch, "streams": streams, "window": window}
            told = client.run("lane", seconds=seconds, **job) | {"memory_ahead": taken}
            after = service.cpu_seconds()
            cores = [(end - start) / told["seconds"] for start, end in zip(cpu, after, strict=True)]
            snapshot = service.metric("allot_snapshot_sequence")
            views = _views(service, told["orders"] / (service.metric("allot_durable_sequence") - base), seconds)
            later = service.metric("allot_snapshot_sequence")
        out = _speed(client, told, {**job, "seconds": min(ECHO_SECONDS, seconds)})
        left = stored(folder)
        sent = told["orders"] + told["warm_up_orders"]
        out += [
            _journal(sent, (left.bytes - before) / sent),
            *views,
            Row("P1", "of it taken before the surge (--memory-ahead-bytes)", taken / 1e9, "GB"),
            Row(
                "P1", f"processor of the server (client's patching: {told['patch_ns_per_order']:.0f} ns/order)",
                cores[0], "cores", {"client": told["client_cores"], "views and snapshots": cores[1]},
            ),
            Row(
                "P1", f"last snapshot at the end (sealed up to commit {left.sealed_up_to:,})", snapshot, "commit",
                {"while the views catch up": later},
            ),
        ]  # fmt: skip
        if verify:
            out.append(Row("P1", f"allot verify, clean ({sent:,} orders)", verify_seconds(folder), "s"))
    return out


def _speed(client: Client, told: dict[str, Any], job: dict[str, Any]) -> list[Row]:
    """Rate and latency, beside echoes that answer as many bytes."""
    peers = {}
    for kind in ("uvloop", "threads"):
        with echo(kind, told["answer_bytes"]) as address:
            peers[kind] = client.run("lane", **{**job, "to": "echo", "address": address})
    ahead = "memory taken ahead, " if told["memory_ahead"] else ""
    each = f"{ahead}batches of {job['batch']:,}, {job['streams']} streams"
    size = f"{told['request_bytes'] / job['batch']:.0f} B in, {told['answer_bytes'] / job['batch']:.0f} B out an order"
    rate, p99 = told["orders_per_second"], told["p99_ms"]
    lane = Row(
        "P1", f"lane, {each} ({told['allocated']:.1%} allocated)", rate, "orders/s",
        {f"echo {kind}": peer["orders_per_second"] for kind, peer in peers.items()},
    )  # fmt: skip
    late = Row(
        "P1", f"lane, p99 of a batch; {size} (low: median, high: worst)", p99, "ms",
        {f"echo {kind}": peer["p99_ms"] for kind, peer in peers.items()}, told["p50_ms"], told["max_ms"],
    )  # fmt: skip
    return [lane.judged("1,000,000 or more", rate >= 1e6), late.judged("100 ms at most", p99 <= 100)]


def _journal(orders: int, bytes_an_order: float) -> Row:
    row = Row("P1", f"journal; {orders:,} orders", bytes_an_order, "bytes/order")
    return row.judged("140 at most", bytes_an_order <= 140)


def _views(service: Measured, orders_per_commit: float, seconds_max: float) -> list[Row]:
    """How far the views are behind, and how soon they are not; from their pace where that takes longer than we wait."""
    memory = service.resident_bytes()
    lag = service.metric("allot_view_lag_commits")
    started = time.perf_counter()
    while (left := service.metric("allot_view_lag_commits")) > 0 and time.perf_counter() - started < seconds_max:
        time.sleep(0.1)
    waited = time.perf_counter() - started
    pace = max(lag - left, 1) / waited
    what = "views have caught up after" if not left else f"views will have caught up after, by {waited:.0f} s of it"
    return [
        Row("P1", f"views behind at the end ({orders_per_commit:,.0f} orders a commit)", lag, "commits"),
        Row("P1", f"{what} ({pace * orders_per_commit:,.0f} orders/s)", lag / pace, "s"),
        Row("P1", "memory of the server at the end", memory[0] / 1e9, "GB", {"views and snapshots": memory[1] / 1e9}),
    ]


def main() -> None:
    """A run with other figures."""
    from benchmarks.__main__ import print_row

    parser = argparse.ArgumentParser("python -m benchmarks.p1_lane", description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--batch", type=int, default=BATCH_ORDERS)
    parser.add_argument("--streams", type=int, default=STREAMS)
    parser.add_argument("--window", type=int, default=WINDOW)
    parser.add_argument("--verify", action="store_true")
    parser.add_argument("--no-memory-ahead", action="store_true", help="let the server find memory as it goes")
    chosen = parser.parse_args()
    started = time.perf_counter()
    for row in measure(
        chosen.seconds, chosen.batch, chosen.streams, chosen.window, chosen.verify, not chosen.no_memory_ahead
    ):
        print_row(row)
    print(f"{time.perf_counter() - started:.1f} s in all")


if __name__ == "__main__":
    main()
