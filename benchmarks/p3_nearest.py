"""P3: the nearest kernel at five levels of stock, beside a kernel that only touches what was decided, Python and NumPy.

1M orders of the canonical load on one core. The touch-only peer decrements the decided cells, line by line, and does
nothing else; Python and NumPy follow the whole rule order by order, on a sample, and must come to the same parts.
"""

import time
from typing import Any

import numpy as np

from benchmarks import load
from benchmarks.peers.greedy import Choose, allot, choose_numpy, choose_plain
from benchmarks.row import Row, in_turn
from kernels.capacity import no_capacity
from kernels.cheapest import no_prices
from kernels.columns import Batch, Drawn, Places
from kernels.nearest import empty_drawn, nearest, parts_max
from kernels.options import I32x2, kernel

STOCK = (0.05, 0.5, 1.0, 1.2, 5.0)  # units over the units ordered
ORDERS, ORDERS_QUICK = 1_000_000, 200_000
SAMPLE_ORDERS = 3_000
ROUNDS = 5


@kernel
def touch(batch: Batch, drawn: Drawn, available: I32x2) -> None:
    """Decrement the decided cells."""
    part = 0
    for line in range(batch.sku.size):
        for _ in range(drawn.part_count[line]):
            if drawn.node[part] >= 0:
                available[batch.sku[line], drawn.node[part]] -= drawn.quantity[part]
            part += 1


def rows(quick: bool = False) -> list[Row]:
    """The figures at each level of stock, and the worst of them."""
    batch = load.orders(ORDERS_QUICK if quick else ORDERS)
    sample = load.orders(SAMPLE_ORDERS)
    places = load.places()
    out = [_at(level, batch, sample, places) for level in STOCK]
    worst = min(out, key=lambda row: row.value)
    out = [_of_touch(row, level) for row, level in zip(out, STOCK, strict=True)]
    last = Row("P3", f"nearest, the worst of these ({worst.what})", worst.value, "orders/s", worst.peers, runs=ROUNDS)
    return [*out, last.judged("5,000,000 or more", worst.value >= 5e6)]


def _of_touch(row: Row, level: float) -> Row:
    """With the goal of its level, where it has one: a share of what touching alone reaches."""
    share = {5.0: 0.45, 1.0: 0.25}.get(level)
    if share is None or row.ratio is None:
        return row
    return row.judged(f"{share:g} of touch only", row.ratio >= share)


def _at(level: float, batch: Batch, sample: Batch, places: Places) -> Row:
    orders = batch.channel.size
    before = load.stock(level * int(batch.quantity.sum()))
    sample_before = load.stock(level * int(sample.quantity.sum()))
    fences, policies = load.no_fences(), load.policies()
    drawn = empty_drawn(orders, batch.sku.size, parts_max(batch.quantity, load.NODES), load.NODES)
    sampled = empty_drawn(SAMPLE_ORDERS, sample.sku.size, parts_max(sample.quantity, load.NODES), load.NODES)
    count = nearest(
        sample, load.NODES, load.cells(sample_before), fences, policies, places, no_prices(), no_capacity(), sampled
    )
    expected = list(zip(_lines(sampled), sampled.node[:count], sampled.quantity[:count], strict=True))

    def kernel_alone() -> float:
        cells = load.cells(before)
        started = time.thread_time()
        nearest(batch, load.NODES, cells, fences, policies, places, no_prices(), no_capacity(), drawn)
        return time.thread_time() - started

    def touch_only() -> float:
        available = before.copy()
        started = time.thread_time()
        touch(batch, drawn, available)
        return time.thread_time() - started

    def twin(available: Any, rank: Any, choose: Choose) -> float:
        started = time.thread_time()
        parts = allot(sample, available, rank, choose)
        seconds = time.thread_time() - started
        assert parts == expected, "a peer decided otherwise"
        return seconds

    runs = in_turn(ROUNDS, nearest=kernel_alone, touch=touch_only)
    slow = in_turn(
        1,
        python=lambda: twin(sample_before.tolist(), places.rank.tolist(), choose_plain),
        numpy=lambda: twin(sample_before.copy(), places.rank, choose_numpy),
    )
    peers = {
        "touch only": runs["touch"].rate(orders),
        "Python": slow["python"].rate(SAMPLE_ORDERS),
        "NumPy": slow["numpy"].rate(SAMPLE_ORDERS),
    }
    low, high = runs["nearest"].spread(orders)
    return Row(
        "P3", f"nearest, stock {level}x", runs["nearest"].rate(orders), "orders/s", peers, low, high, runs=ROUNDS
    )


def _lines(drawn: Drawn) -> Any:
    return np.repeat(np.arange(drawn.part_count.size), drawn.part_count)
