"""The machine that allot itself needs, for `allot plan`: figures measured on a sample of the history, times a growth.

A part of the history goes through a durable engine in a folder that is thrown away: what it writes, how long its
processor works, what its columns take. The rest is stated as assumed. Timings are never twice the same, so all of this
stands apart from what the plan says of orders and nodes.
"""

import resource
import secrets
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from server.cli.jobs import Files
from server.cli.plan_growth import PARTS, Prepared, orders_at

if TYPE_CHECKING:
    from engine.writer import Engine

SAMPLE_ORDERS = 1 << 16
BUSY = 0.5  # of a core: the rest is for what comes at once, and for answers
BESIDE_CORES = 1  # for the process beside the service: views and snapshots
CLOSED_KEPT_DAYS = 30  # rows and keys, as server/upkeep.py frees them
_MIB = 1 << 20


class Measured(NamedTuple):
    """On a sample."""

    orders: int
    seconds: float  # of a clock, from the first batch until the last was durable
    cpu_seconds: float  # of all threads
    journal_bytes: int  # that the sample added
    cell_bytes: int  # of all (SKU, node)
    place_bytes: int  # of all (postal code, node)
    order_bytes: float  # of an order's rows, until it is retired
    key_bytes: float  # of an order's key
    base_bytes: int  # of a process with everything loaded and nothing known


def resident_bytes() -> int:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def measure(files: Files, base_bytes: int) -> Measured:
    """Let a durable engine decide the first SAMPLE_ORDERS of the file, by nodes without limits: the orders are of many
    days. A first batch, if there are more, only warms up.
    """
    from engine.capacity import no_day_terms
    from engine.folder import DataFolder
    from engine.intake.job import BATCH_ORDERS, allocate, count_stock, put_catalogue, put_nodes
    from engine.writer import Engine

    count = min(len(files.orders.order_id), SAMPLE_ORDERS)
    warm = BATCH_ORDERS if count >= 2 * BATCH_ORDERS else 0
    with tempfile.TemporaryDirectory(prefix="allot-plan-") as folder:
        path = Path(folder) / "data"
        DataFolder.create(path, secrets.token_bytes(32)).close()
        with Engine.open(path) as engine:
            stamp = time.time_ns() // 1000
            nodes = replace(files.nodes, terms=no_day_terms(len(files.nodes.node_id)))
            node_index, _ = put_nodes(engine, nodes, stamp)
            count_stock(engine, files.stock, node_index, files.counted_at, stamp)
            put_catalogue(engine, files.orders, stamp)
            allocate(engine, files.orders.slice(0, warm), stamp, True, _nobody)
            before = _journal_bytes(engine)
            clock, cpu = time.perf_counter(), time.process_time()
            allocate(engine, files.orders.slice(warm, count), stamp, True, _nobody)
            clock, cpu = time.perf_counter() - clock, time.process_time() - cpu
            return Measured(count - warm, clock, cpu, _journal_bytes(engine) - before, *_columns(engine), base_bytes)


def _nobody(_: int) -> None:
    """Nobody is told."""


def _journal_bytes(engine: "Engine") -> int:
    return sum(segment.size_bytes for segment in engine.journal.segments())


def _columns(engine: "Engine") -> tuple[int, int, float, float]:
    """What the rows in use take: cells, places, an open order, a key."""
    from engine.outcomes import Namespace
    from kernels.columns import Head
    from kernels.keys import Size

    state = engine.state
    book, cells, orders = state.book, state.cells, max(1, state.head(Head.OPEN_ORDERS))
    of_cell = sum(column[0].nbytes for column in (cells.figures, cells.available, cells.stocked))
    codes = len(state.names[Namespace.POSTAL_CODE])
    of_places = sum(column[0].nbytes for column in state.places)
    tables = ((book.orders, Head.ORDERS), (book.lines, Head.LINES), (book.parts, Head.PARTS))
    in_book = sum(column.itemsize * state.head(head) for columns, head in tables for column in columns)
    keys = state.growing()[-1].column
    used = int(state.keys.sizes[Size.ENTRIES]) or 1
    return (
        of_cell * state.head(Head.CELL_ROWS),
        of_places * codes,
        in_book / orders,
        keys[0].nbytes * _slots(state) / used,
    )


def _slots(state: Any) -> int:
    return state.growing()[-1].used()


def machine_of(
    prepared: Prepared, measured: Measured, growths: list[int], peak_hour_share: float, open_days: int
) -> dict[str, Any]:  # fmt: skip
    """What each growth needs, what was measured and what is assumed."""
    import numpy as np

    days = prepared.days
    count = np.diff(days.first)
    hour = count.max() * peak_hour_share if days.busiest_hour is None else days.busiest_hour.max()
    open_orders = np.convolve(count, np.ones(open_days, np.int64))[: count.size].max()
    cpu = measured.cpu_seconds / max(1, measured.orders)
    lane = measured.orders / measured.seconds if measured.seconds else 0.0
    journal = measured.journal_bytes / max(1, measured.orders)
    known = measured.cell_bytes + measured.place_bytes + measured.base_bytes
    needs = []
    for growth in growths:
        of, a_day = growth / PARTS, orders_at(prepared, growth) / count.size
        rate = hour * of / 3600
        kept = (open_orders * of + a_day * CLOSED_KEPT_DAYS) * (measured.order_bytes + measured.key_bytes)
        needs.append({
            "growth": of, "peak_orders_per_second": round(rate, 2),
            "of_one_engine": round(rate / lane, 4) if lane else None,
            "cores": BESIDE_CORES + max(1, int(np.ceil(rate * cpu / BUSY))),
            "memory_mib": int(np.ceil((known + kept) / _MIB)),
            "journal_mib_a_day": round(float(count.max()) * of * journal / _MIB, 2),
        })  # fmt: skip
    return {
        "growths": needs,
        "measured": {
            "sample_orders": measured.orders, "orders_per_second": round(lane), "cpu_us_per_order": round(1e6 * cpu, 2),
            "journal_bytes_per_order": round(journal, 1), "memory_bytes_per_open_order": round(measured.order_bytes, 1),
            "memory_bytes_per_key": round(measured.key_bytes, 1), "cells_mib": round(measured.cell_bytes / _MIB, 2),
            "places_mib": round(measured.place_bytes / _MIB, 2), "process_mib": round(measured.base_bytes / _MIB),
        },
        "assumed": {
            "peak_hour_share": peak_hour_share if days.busiest_hour is None else None, "open_days": open_days,
            "closed_kept_days": CLOSED_KEPT_DAYS, "busy_share_of_a_core": BUSY, "cores_beside": BESIDE_CORES,
        },
    }  # fmt: skip


def explained(machine: dict[str, Any]) -> list[str]:
    """What the table rests on, for people."""
    measured, assumed = machine["measured"], machine["assumed"]
    hour = (
        "the busiest hour is the history's own"
        if assumed["peak_hour_share"] is None
        else f"the busiest hour has {assumed['peak_hour_share']:.0%} of the busiest day (--peak-hour-share)"
    )
    return [
        f"measured here, on {measured['sample_orders']:,} orders of the history in batches through a durable engine: "
        f"{measured['orders_per_second']:,} orders a second, {measured['cpu_us_per_order']:g} us of processor and "
        f"{measured['journal_bytes_per_order']:g} bytes of journal an order; an order takes "
        f"{measured['memory_bytes_per_open_order']:g} bytes of memory, a key {measured['memory_bytes_per_key']:g}, "
        f"stock {measured['cells_mib']:g} MiB, postal codes {measured['places_mib']:g} MiB, the process itself "
        f"{measured['process_mib']:,} MiB",
        f"assumed: {hour}; an order is open for {assumed['open_days']} days (--open-days), its rows and its key "
        f"stay for {assumed['closed_kept_days']} more; memory is that of the server alone, which takes new orders up "
        "to four fifths of the machine's; "
        f"a core is busy for {assumed['busy_share_of_a_core']:.0%} of the time, and one "
        "core is for the process beside the service; orders come in batches: one by one they cost more of a core "
        "(`allot load` measures it on a server)",
    ]
