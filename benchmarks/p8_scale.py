"""P8: how time and memory grow: with SKUs, nodes, lines of an order, scarcity, and orders in the journal.

The kernel is nearest alone, over orders of the canonical load; the lane is all of an order's path but the wire
(benchmarks/anatomy.py), in processor time of its threads. Stock has as many units a cell everywhere, but where scarcity
itself is asked for.
"""

import ctypes
import gc
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import anatomy, load, p6_replay
from benchmarks.load import World
from benchmarks.row import Row, in_turn
from kernels.capacity import no_capacity
from kernels.cheapest import no_prices
from kernels.nearest import empty_drawn, nearest, parts_max

SKUS, SKUS_QUICK = (10_000, 30_000, 100_000, 300_000, 1_000_000), (10_000, 100_000)
NODES, NODES_QUICK = (8, 16, 32, 64, 128, 256), (8, 64)
LINES, LINES_QUICK = (1, 2, 5, 10, 20), (1, 5)
SCARCITY, SCARCITY_QUICK = (0.05, 0.2, 0.5, 0.8, 1.0, 1.2, 2.0, 5.0), (0.5, 1.2)  # units over the units ordered
JOURNAL, JOURNAL_QUICK = (1_000_000, 3_000_000, 10_000_000), (100_000, 300_000)  # orders
UNITS_PER_CELL = 3.0
ORDERS, ORDERS_QUICK = 300_000, 100_000  # of the kernel, in each run
BATCHES, BATCHES_QUICK, LANE_ORDERS = 30, 8, 13_000  # of the lane
LANE_LINES_MAX = 60_000  # of a batch
ROUNDS = 3


def rows(quick: bool = False) -> list[Row]:
    """Points of every curve, then how much the largest world costs over the smallest, and bytes."""
    skus, nodes, lines = (SKUS_QUICK, NODES_QUICK, LINES_QUICK) if quick else (SKUS, NODES, LINES)
    by_skus = _both("SKUs", skus, [World(skus=count) for count in skus], quick)
    out = [*by_skus, *_both("nodes", nodes, [World(nodes=count) for count in nodes], quick)]
    out += _both("lines of an order", lines, [World(lines=count) for count in lines], quick)
    for level in SCARCITY_QUICK if quick else SCARCITY:
        out.append(_kernel("stock over the units ordered", level, World(), quick, level))
    for orders in JOURNAL_QUICK if quick else JOURNAL:
        start, opening, _ = p6_replay.started(orders)
        curve = "orders in the folder, a tenth behind the snapshot"
        out.append(Row("P8", "exec to the first order", start.value, "s", curve=curve, at=orders))
        out.append(Row("P8", "of it: snapshot, tail, ATS", opening.value, "s", curve=curve, at=orders))
    for what, most in (("kernel", 5.0), ("lane", 1.5)):
        curve = [row.value for row in by_skus if row.what == what]
        row = Row("P8", f"{what}, {skus[-1]:,} SKUs over {skus[0]:,}", curve[-1] / curve[0], "times")
        out.append(row.judged(f"{most:g} at most", row.value <= most))
    return [*out, *_bytes()]


def _both(curve: str, at: Sequence[int], worlds: list[World], quick: bool) -> list[Row]:
    found = []
    for where, world in zip(at, worlds, strict=True):
        found += [_kernel(curve, where, world, quick), _lane(curve, where, world, quick)]
    return found


def _kernel(curve: str, at: float, world: World, quick: bool, level: float = 0.0) -> Row:
    """Nearest alone. level: of stock, units over the units ordered; 0: UNITS_PER_CELL."""
    count = ORDERS_QUICK if quick else ORDERS
    batch = load.orders(count, 0, world)
    units = level * int(batch.quantity.sum()) or UNITS_PER_CELL * world.skus * world.nodes
    before = load.stock(units, world)
    places, fences, policies = load.places(world), load.no_fences(world), load.policies(world=world)
    drawn = empty_drawn(count, batch.sku.size, parts_max(batch.quantity, world.nodes), world.nodes)

    def run() -> float:
        cells = load.cells(before)
        began = time.thread_time()
        nearest(batch, world.nodes, cells, fences, policies, places, no_prices(), no_capacity(), drawn)
        return time.thread_time() - began

    runs = in_turn(ROUNDS, kernel=run)["kernel"].seconds
    low, middle, high = (1e9 * value / count for value in np.percentile(runs, [0, 50, 100]))
    return Row("P8", "kernel", middle, "ns/order", {}, low, high, curve, at, ROUNDS)


def _lane(curve: str, at: float, world: World, quick: bool) -> Row:
    """All of the path but the wire."""
    size = min(LANE_ORDERS, LANE_LINES_MAX // (world.lines or 2))
    walked = anatomy.walk(BATCHES_QUICK if quick else BATCHES, size, world, UNITS_PER_CELL)
    return Row("P8", "lane", sum(walked.nanoseconds.values()), "ns/order", curve=curve, at=at)


def _bytes() -> list[Row]:
    """Memory of a cell and of an open order, by what the process has: engines of their own, in a process each."""
    small, large = _resident(20_000, 0), _resident(200_000, 0)
    cell = (large - small) / (180_000 * load.NODES)
    few, many = _resident(20_000, 40), _resident(20_000, 240)
    order = (many - few) / (200 * load.BATCH_ORDERS)
    return [
        Row("P8", "memory of a (SKU, node) cell", cell, "bytes"),
        Row("P8", f"memory of an open order of {load.LINES_PER_ORDER} lines, its key with it", order, "bytes"),
    ]


def _resident(skus: int, batches: int) -> int:
    child = subprocess.run(
        [sys.executable, "-m", "benchmarks.p8_scale", str(skus), str(batches)], check=True, capture_output=True,
        text=True,
    )  # fmt: skip
    return int(child.stdout)


def tell_resident(skus: int, batches: int) -> None:
    """Make an engine with so many SKUs and batches of orders, and print what memory the process has then."""
    from benchmarks.engine_alone import data_folder, drive
    from engine.writer import PENDING_RECORDS_MAX, Engine

    world = World(skus=skus)
    with data_folder() as path, Engine.open(path) as engine:
        for command in load.catalogue(100 * skus * load.NODES, world):
            engine.commit(command, load.STAMP)
        for first in range(0, batches, 20):
            drive(engine, list(load.place_orders(20, first, world=world)))
        drive(engine, list(load.place_orders(PENDING_RECORDS_MAX + 1, 9_000, 1, world)))  # forget what is under way
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)  # what was made on the way
        (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon")]
        print(int(line.split()[1]) * 1024)


if __name__ == "__main__":
    arguments: Any = [int(word) for word in sys.argv[1:]]
    tell_resident(*arguments)
