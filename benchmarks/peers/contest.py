"""The peers of P1 one after another over the canonical orders and the lane's stock: how fast each decides, whether it
has sold a unit twice or lost an order, and whether it decides as the kernel does.

Each is started here and stopped here, and who is not installed is named. Units are counted again from what a peer has
stored, never from what it answered. `python -m benchmarks --only peers` writes the table of benchmarks/RESULTS.md too.
"""

import gc
import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import load
from benchmarks.peers import greedy, postgres, redis_script
from benchmarks.peers.peer import Given, Lot, Missing, Open, Peer, given, lot, order_of_lines
from benchmarks.results import write_section
from benchmarks.row import Row
from benchmarks.service import STOCK, empty_folder
from kernels.capacity import no_capacity
from kernels.cheapest import no_prices
from kernels.columns import NO_NODE
from kernels.nearest import empty_drawn, nearest, parts_max

ROUNDS = 3
SECONDS, SECONDS_QUICK = 5.0, 1.0
TRIED = 0.2  # each way to drive a peer is tried for this share of the seconds
SCARCE_ORDERS, SCARCE_LOT, SCARCE_SKUS = 4_000, 2_000, 1_000
SCARCE_STOCK = 1.0  # units over the units ordered
ROUND_ORDERS_MAX = 1_000_000
LANE_EVERY = 4  # peers between two runs of the lane
NOTES = f"""\
*Driven: clients of the row locks; connections x calls in flight (x orders of a call) of the scripts; the best of those
that were tried. Orders, units sold twice and orders lost are counted from what each peer has stored. Scarce:
{SCARCE_ORDERS:,} orders for {SCARCE_SKUS:,} SKUs over as many units as they ask for; the share of the units that got a
node, and the share of the orders that got the same units from the same nodes as by the kernel (clients that race for a
row come in another order).*

Orders and stock are drawn like the lane's, and all decide by the whole nearest rule. In the peers' favour: no channels,
ring-fences, terms, reasons, ATS or events; SKUs and postal codes are numbers, not texts; lines of one SKU are merged
and commands encoded before the clock runs, which stands still between two batches; Redis is handed the ranks of the
nodes, and keeps only the parts of an order, by its id; PostgreSQL has a row a SKU for all nodes, and one for an order
with its lines and parts; NumPy and plain Python know no ids. The lane has all of it on, over gRPC, and its clock never
stands still; the server has taken the memory of its rows before the clock ran (`--memory-ahead-bytes`)."""
GOALS = {"PostgreSQL, row locks": 100, "Valkey, pipelined, synced": 10, "Redis, pipelined, synced": 10}
BEGIN, END = "<!-- peers: begin -->", "<!-- peers: end -->"

# The newer server in every way, and the older one, under the better known name, in the one that the goal names.
SCRIPTED: list[tuple[redis_script.Kind, str, bool]] = [
    *(("Valkey", way, synced) for synced in (True, False) for way in redis_script.WAYS), ("Redis", "pipelined", True)
]  # fmt: skip
PEERS: dict[str, Open] = {
    "PostgreSQL, row locks": postgres.opened(postgres.RowLocks),
    "PostgreSQL, a batch a commit, order by order": postgres.opened(postgres.EachOfABatch),
    "PostgreSQL, a batch a commit, set-based": postgres.opened(postgres.SetBased),
    **{
        f"{kind}, {way}, {'synced' if synced else 'no file'}": redis_script.opened(kind, way, synced)
        for kind, way, synced in SCRIPTED
    },
    "plain Python": greedy.plain_python,
    "NumPy": greedy.whole_batches,
}


class Count(NamedTuple):
    """What a peer has stored, counted."""

    orders: int
    units: int
    oversold: int  # units given beyond those that were there, over all cells
    lost: int  # orders that were answered and are not stored


class Found(NamedTuple):
    """What became of a peer."""

    name: str
    durable: str
    way: str
    rates: list[float]  # orders/s of each round
    plenty: Count  # with the lane's stock
    share: float  # of the units that were asked for
    scarce: Count
    scarce_share: float
    alike: float  # share of the scarce orders that got the same units from the same nodes as by the kernel


class Near(NamedTuple):
    """A peer, and the lane before it and after it."""

    found: Found
    lanes: tuple[float, float]  # orders/s

    @property
    def lane(self) -> float:
        """The middle of both, orders/s."""
        return statistics.mean(self.lanes)

    @property
    def peer(self) -> float:
        """The median of the rounds, orders/s."""
        return statistics.median(self.found.rates)


def beside(lane: Callable[[], float], orders: int, quick: bool) -> Iterator[Row]:
    """Rows for each peer: the lane's orders/s over its own, and what it sold twice.

    lane: a run of it, which is made before every few peers and after them, since only neighbours compare on a shared
    machine. orders: there is stock for half as many again.
    """
    rank = load.places().rank
    plenty = load.stock(STOCK * orders * load.LINES_PER_ORDER * load.UNITS_PER_LINE)
    names, seconds = list(PEERS), SECONDS_QUICK if quick else SECONDS
    near: list[Near | str] = []
    before = lane()
    for at in range(0, len(names), LANE_EVERY):
        group = {name: _found(PEERS[name], plenty, rank, seconds) for name in names[at : at + LANE_EVERY]}
        after = lane()
        for name, found in group.items():
            near.append(f"{name}: {found}" if isinstance(found, str) else Near(found, (before, after)))
            yield from _rows(name, near[-1])
        before = after
    if not quick:
        write_section(Path(__file__).parents[1] / "RESULTS.md", BEGIN, END, _section(near))


def _found(open_: Open, plenty: Any, rank: Any, seconds: float) -> Found | str:
    """The peer measured, or why it is missing."""
    try:
        with empty_folder() as folder, open_(folder, rank) as peer:
            found = measured(peer, plenty, seconds)
    except Missing as missing:
        return str(missing)
    assert found.plenty.oversold == found.plenty.lost == found.scarce.oversold == found.scarce.lost == 0, found
    return found


def _rows(name: str, near: Near | str) -> Iterator[Row]:
    if isinstance(near, str):
        yield Row("P1", f"without a peer that is missing: {near}", 0.0, "orders/s")
        return
    one, times = near.found, GOALS.get(name)
    peers = {one.name: near.peer, "low": min(one.rates), "high": max(one.rates)}
    what = f"lane / {one.name}" + f" ({one.way})" * (one.way != "")
    row = Row("P1", what, near.lane, "orders/s", peers, min(near.lanes), max(near.lanes), runs=len(near.lanes))
    yield row if times is None else row.judged(f"{times} times as many", near.lane >= times * near.peer)
    given = f"{one.plenty.units:,} given, {one.share:.1%} of those asked for"
    told = f"  sold twice by {one.name} ({given}; durable: {one.durable})"
    yield Row("P1", told, one.plenty.oversold, "units", {"of scarce stock": one.scarce.oversold})


class Driven(NamedTuple):
    """Orders that a peer has decided."""

    orders: int
    units: int  # that they asked for
    seconds: float

    @property
    def rate(self) -> float:
        """Orders a second."""
        return self.orders / self.seconds


def measured(peer: Peer, plenty: Any, seconds: float) -> Found:
    """Scarce stock first, for what it decides; then plenty, for how fast."""
    size = min(peer.lot_orders, SCARCE_LOT)
    contested = [lot(size, seed, SCARCE_SKUS) for seed in range(SCARCE_ORDERS // size)]
    units = SCARCE_STOCK * sum(int(one.batch.quantity.sum()) for one in contested)
    scarce = load.stock(units * load.SKUS / SCARCE_SKUS)
    scarce[SCARCE_SKUS:] = 0
    peer.fill(scarce)
    fought = driven(peer, contested)
    left = peer.stored()
    alike = share_alike(left, by_kernel(contested, scarce))
    first = counted(left, scarce, fought.orders)

    peer.fill(plenty)
    lots = (lot(peer.lot_orders, seed) for seed in itertools.count())
    tries = []
    for choice in peer.choices:
        peer.choice = choice
        tries.append(driven(peer, lots, TRIED * seconds))
    peer.choice = peer.choices[max(range(len(tries)), key=lambda k: tries[k].rate)]
    rounds = [driven(peer, lots, seconds) for _ in range(ROUNDS)]
    count = counted(peer.stored(), plenty, sum(one.orders for one in (*tries, *rounds)))
    share = count.units / sum(one.units for one in (*tries, *rounds))
    return Found(
        peer.name, peer.durable, str(peer.choice), [one.rate for one in rounds], count, share, first,
        first.units / fought.units, alike,
    )  # fmt: skip


def driven(peer: Peer, lots: Iterable[Lot], seconds: float = math.inf) -> Driven:
    """Lot after lot, until so many seconds have gone by in which it decided; making a lot is no part of them."""
    orders = units = 0
    spent = 0.0
    gc.collect()
    gc.disable()  # it would walk over what is kept here, on the peer's time
    try:
        for one in lots:
            prepared = peer.prepare(one)
            started = time.perf_counter()
            peer.decide(prepared)
            spent += time.perf_counter() - started
            orders, units = orders + len(one.ids), units + int(one.batch.quantity.sum())
            if spent >= seconds or (seconds < math.inf and orders >= ROUND_ORDERS_MAX):
                break
    finally:
        gc.enable()
    return Driven(orders, units, spent)


def counted(left: Given, available: Any, answered: int) -> Count:
    """What a peer has stored of so many answered orders, against the stock that it had, int32 [sku, node]."""
    gone = np.bincount(left.sku * available.shape[1] + left.node, left.units, available.size).astype(np.int64)
    over = int((gone - available.reshape(-1)).clip(0).sum())
    return Count(answered, int(left.units.sum()), over, answered - len(set(left.ids)))


def by_kernel(lots: list[Lot], available: Any) -> Given:
    """What allot's kernel decides of these orders, one lot after another."""
    cells, places, pieces, ids = load.cells(available), load.places(), [], list[str]()
    for one in lots:
        batch = one.batch
        room = parts_max(batch.quantity, load.NODES)
        drawn = empty_drawn(batch.channel.size, batch.sku.size, room, load.NODES)
        count = nearest(
            batch, load.NODES, cells, load.no_fences(), load.policies(), places, no_prices(), no_capacity(), drawn
        )
        line = np.repeat(np.arange(batch.sku.size), drawn.part_count)
        order = len(ids) + order_of_lines(batch)[line]
        rows = np.stack([order, batch.sku[line], drawn.node[:count], drawn.quantity[:count]], axis=1)
        pieces.append(rows[drawn.node[:count] != NO_NODE])
        ids += one.ids
    return given(ids, pieces)


def share_alike(one: Given, other: Given) -> float:
    """The share of the other's orders that got the same units from the same nodes."""
    left, right = _parts_of_each(one), _parts_of_each(other)
    return sum(left.get(order) == parts for order, parts in right.items()) / len(right)


def _parts_of_each(left: Given) -> dict[str, list[tuple[int, ...]]]:
    parts: dict[str, list[tuple[int, ...]]] = {order: [] for order in left.ids}
    for order, *part in sorted(zip(*(column.tolist() for column in left[1:]), strict=True)):
        parts[left.ids[order]].append(tuple(part))
    return parts


def _section(near: list[Near | str]) -> list[str]:
    """The table, and what it leaves out."""
    lines = [
        "## Peers of the lane",
        "",
        f"Made by `python -m benchmarks --only peers`. Medians of {ROUNDS} rounds, with the lowest and the highest.",
        "The lane is run before every few peers and after them, and the middle of both is set over the peer's median.",
        "",
        "| peer | driven | durable | orders/s | lane near it | lane / peer | orders | units sold twice "
        "| orders lost | units given | scarce: given | as the kernel |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for each in near:
        if isinstance(each, str):
            continue
        one = each.found
        lines.append(
            f"| {one.name} | {one.way} | {one.durable} "
            f"| {each.peer:,.0f} ({min(one.rates):,.0f} to {max(one.rates):,.0f}) "
            f"| {each.lanes[0]:,.0f}, {each.lanes[1]:,.0f} | {each.lane / each.peer:.3g} | {one.plenty.orders:,} "
            f"| {one.plenty.oversold + one.scarce.oversold} | {one.plenty.lost + one.scarce.lost} "
            f"| {one.share:.1%} | {one.scarce_share:.1%} | {one.alike:.1%} |"
        )
    return [*lines, "", *(f"Missing: {each}\n" for each in near if isinstance(each, str)), NOTES]
