"""P3: the nearest kernel at five levels of stock, beside a kernel that only touches what was decided, Python and NumPy.

1M orders of the canonical load on one core. The touch-only peer decrements the decided cells, line by line, and does
nothing else; Python and NumPy follow the whole rule order by order, on a sample, and must come to the same parts.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import load
from benchmarks.row import Row, in_turn
from kernels.capacity import no_capacity
from kernels.cheapest import no_prices
from kernels.columns import NO_NODE, Batch, Drawn, Places
from kernels.nearest import empty_drawn, nearest, parts_max
from kernels.options import I32x2, kernel

STOCK = (0.05, 0.5, 1.0, 1.2, 5.0)  # units over the units ordered
ORDERS, ORDERS_QUICK = 1_000_000, 200_000
SAMPLE_ORDERS = 3_000
ROUNDS = 5

Part = tuple[int, int, int]  # line, node, units
Choose = Callable[[list[int], list[int], Any, Any], list[int]]


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
    return [*out, Row("P3", f"nearest, the worst of these ({worst.what})", worst.value, "orders/s", worst.peers)]


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

    def allot() -> float:
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
        parts = _allot(sample, available, rank, choose)
        seconds = time.thread_time() - started
        assert parts == expected, "a peer decided otherwise"
        return seconds

    runs = in_turn(ROUNDS, nearest=allot, touch=touch_only)
    slow = in_turn(
        1,
        python=lambda: twin(sample_before.tolist(), places.rank.tolist(), _choose_plain),
        numpy=lambda: twin(sample_before.copy(), places.rank, _choose_numpy),
    )
    peers = {
        "touch only": runs["touch"].rate(orders),
        "Python": slow["python"].rate(SAMPLE_ORDERS),
        "NumPy": slow["numpy"].rate(SAMPLE_ORDERS),
    }
    low, high = runs["nearest"].spread(orders)
    return Row("P3", f"nearest, stock {level}x", runs["nearest"].rate(orders), "orders/s", peers, low, high)


def _lines(drawn: Drawn) -> Any:
    return np.repeat(np.arange(drawn.part_count.size), drawn.part_count)


def _allot(batch: Batch, available: Any, rank: Any, choose: Choose) -> list[Part]:
    """The rule, order by order; `choose` says from which nodes, in rank order."""
    first, skus, quantities = batch.first_line.tolist(), batch.sku.tolist(), batch.quantity.tolist()
    parts: list[Part] = []
    for order, place in enumerate(batch.postal_code.tolist()):
        lines = range(first[order], first[order + 1])
        need: dict[int, int] = {}
        for line in lines:
            need[skus[line]] = need.get(skus[line], 0) + quantities[line]
        chosen = choose(list(need), list(need.values()), rank[place], available)
        for line in lines:
            units = available[skus[line]]
            left = quantities[line]
            for node in chosen:
                taken = int(min(left, units[node]))
                if taken:
                    units[node] -= taken
                    left -= taken
                    parts.append((line, int(node), taken))
            if left:
                parts.append((line, NO_NODE, left))
    return parts


def _choose_plain(skus: list[int], need: list[int], rank: list[int], available: list[list[int]]) -> list[int]:
    stock = [available[sku] for sku in skus]
    wanted = list(zip(stock, need, strict=True))
    ranked = [node for node in rank if any(units[node] for units in stock)]
    for node in ranked:
        if all(units[node] >= count for units, count in wanted):
            return [node]
    for i, one in enumerate(ranked):
        for other in ranked[i + 1 :]:
            if all(units[one] + units[other] >= count for units, count in wanted):
                return [one, other]
    missing, chosen = list(need), set[int]()
    while any(missing):
        gives = [(0 if node in chosen else sum(map(min, missing, (units[node] for units in stock)))) for node in ranked]
        most = max(gives, default=0)
        if most == 0:
            break
        best = ranked[gives.index(most)]
        chosen.add(best)
        missing = [left - min(left, units[best]) for left, units in zip(missing, stock, strict=True)]
    return [node for node in ranked if node in chosen]


def _choose_numpy(skus: list[int], need: list[int], rank: Any, available: Any) -> list[int]:
    wanted = np.array(need)[:, None]
    stock = available[skus][:, rank]
    whole = (stock >= wanted).all(axis=0)
    if whole.any():
        return [rank[whole.argmax()]]
    pairs = np.triu((stock[:, :, None] + stock[:, None, :] >= wanted[:, :, None]).all(axis=0), 1)
    if pairs.any():
        return [rank[k] for k in divmod(int(pairs.argmax()), rank.size)]
    missing, chosen = wanted.copy(), np.zeros(rank.size, bool)
    while missing.any():
        gives = np.where(chosen, 0, np.minimum(missing, stock).sum(axis=0))
        best = int(gives.argmax())
        if gives[best] == 0:
            break
        chosen[best] = True
        missing -= np.minimum(missing, stock[:, best : best + 1])
    return list(rank[chosen])
