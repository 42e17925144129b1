"""The canonical load: 100,000 SKUs, 32 nodes, 19,600 postal codes, orders of 1.7 lines. Generated; every draw has a
seed.

SKUs and postal codes are drawn evenly, which is the hardest case for the caches: real demand is skewed, and hot rows
stay near. Every benchmark takes its orders, stock and catalogue from here; those that ask how figures grow take a
`World` of another size.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from engine.columns import reserve
from engine.commands import Command, MoveStock, PlaceOrders, PutChannels, PutNames, PutNodes, PutPostalCodes
from engine.outcomes import MovementKind, Namespace
from kernels.columns import NODES_MAX, NONE, POLICY_FIGURES, Batch, Cells, Fences, OnShort, Places, Policies, no_terms

SKUS, NODES, POSTAL_CODES, CHANNELS = 100_000, 32, 19_600, 4
BATCH_ORDERS = 13_000
STAMP = 1_700_000_000_000_000  # UTC us, of the first commit
LINES_PER_ORDER = 1.7
UNITS_PER_LINE = 1.2
_LINES = ([1, 2, 3, 4, 5], [0.6, 0.2, 0.12, 0.06, 0.02])  # lines of an order, and how often: 1.7 in the mean
_UNITS = ([1, 2, 3], [0.85, 0.1, 0.05])
_COUNTED_SKUS = 100_000  # of one command
_CATALOGUE_SEED, _STOCK_SEED, _ORDERS_SEED = 11, 12, 13


@dataclass(frozen=True)
class World:
    """How large it is. lines: of every order; 0: as often as _LINES says."""

    skus: int = SKUS
    nodes: int = NODES
    lines: int = 0


CANONICAL = World()


def orders(count: int, seed: int = 0, world: World = CANONICAL) -> Batch:
    """Orders as the kernels take them. seed: another one, other orders."""
    rng = np.random.default_rng((_ORDERS_SEED, seed))
    first = np.zeros(count + 1, np.int64)
    np.cumsum(
        rng.choice(_LINES[0], p=_LINES[1], size=count) if not world.lines else [world.lines] * count, out=first[1:]
    )
    lines = int(first[-1])
    return Batch(
        rng.integers(0, CHANNELS, count).astype(np.int16),
        rng.integers(0, POSTAL_CODES, count).astype(np.int32),
        first,
        rng.integers(0, world.skus, lines).astype(np.int32),
        rng.choice(_UNITS[0], p=_UNITS[1], size=lines).astype(np.int32),
        *no_terms(count),
    )


def order_ids(count: int, seed: int) -> pa.StringArray:
    """Text keys like 171-0505492-1223515, 19 bytes each, no two alike for the same 10,000 seeds."""
    rng = np.random.default_rng((_ORDERS_SEED, seed, 1))
    number = np.arange(count, dtype=np.int64) + seed * 1_000_000
    drawn = rng.integers(0, 10_000_000, count)
    text = np.full((count, 19), ord("-"), np.uint8)
    for columns, value in ((range(2, -1, -1), 100 + number // 10_000_000 % 900), (range(10, 3, -1), drawn)):
        for column in columns:
            text[:, column] = ord("0") + value % 10
            value = value // 10
    value = number % 10_000_000
    for column in range(18, 11, -1):
        text[:, column] = ord("0") + value % 10
        value = value // 10
    text[:, 4] = ord("0") + number // 9_000_000_000 % 10
    offsets = np.arange(0, 19 * (count + 1), 19, dtype=np.int32)
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(text.reshape(-1)))


def place_orders(
    batches: int, first_seed: int = 0, size: int = BATCH_ORDERS, world: World = CANONICAL
) -> Iterator[PlaceOrders]:
    """Batches of orders as commands."""
    for seed in range(first_seed, first_seed + batches):
        yield PlaceOrders(order_ids(size, seed), *orders(size, seed, world)[:5])


def stock(units: float, world: World = CANONICAL) -> Any:
    """Units of each cell, int32 [sku, node]: so many in all in the mean, spread at random (Poisson)."""
    rng = np.random.default_rng(_STOCK_SEED)
    return rng.poisson(units / (world.skus * world.nodes), (world.skus, world.nodes)).astype(np.int32)


def cells(available: Any) -> Cells:
    """The cells of such stock, in memory like the engine's."""
    skus, nodes = available.shape
    figures = np.zeros((0, nodes, 8), np.int32)
    bits = stocked(available)
    columns = reserve(available.shape, np.int32, huge_pages=True), reserve(bits.shape, np.uint64, huge_pages=True)
    columns[0][:], columns[1][:] = available, bits
    return Cells(np.arange(skus, dtype=np.int32), figures, *columns)


def stocked(available: Any) -> Any:
    """The bits of nodes that have stock, uint64 [sku, word]."""
    words = []
    for first in range(0, available.shape[1], 64):
        some = available[:, first : first + 64] > 0
        bits = some.astype(np.uint64) << np.arange(some.shape[1], dtype=np.uint64)
        words.append(bits.sum(axis=1, dtype=np.uint64))
    return np.column_stack(words)


def places(world: World = CANONICAL) -> Places:
    """Metres and ranks of the postal codes."""
    rng = np.random.default_rng(_CATALOGUE_SEED)
    metres = rng.integers(1_000, 2_000_000, (POSTAL_CODES, world.nodes)).astype(np.int32)
    return Places(metres, np.argsort(metres, axis=1, kind="stable").astype(np.uint8))


def no_fences(world: World = CANONICAL) -> Fences:
    """Not a single ring-fence."""
    empty = np.zeros(0, np.int32)
    return Fences(np.full(world.skus, NONE, np.int32), np.zeros(0, np.int16), np.zeros(0, np.int16), empty, empty)


def policies(channels: int = CHANNELS, groups: int = 1, world: World = CANONICAL) -> Policies:
    """Open channels; with several groups each has another set of nodes, and a channel publishes only a share."""
    rng = np.random.default_rng(_CATALOGUE_SEED)
    nodes = np.full((groups, NODES_MAX // 64), np.uint64(2**64 - 1))
    if groups > 1:
        nodes[:, 0] = rng.integers(1, 1 << NODES, groups)
    zeros = np.zeros(channels, np.int32)
    return Policies(
        nodes[np.arange(channels) % groups], np.ones(channels, np.uint8),
        np.full(channels, OnShort.KEEP, np.uint8), zeros, zeros + 900_000, zeros + 1, zeros + 1_000_000_000, zeros + 2,
        zeros, np.full(world.skus, NONE, np.int32), np.zeros(0, np.int16), np.zeros((0, len(POLICY_FIGURES)), np.int32),
        np.zeros(0, np.int32), np.zeros((channels, NODES_MAX // 64), np.uint64),
    )  # fmt: skip


def catalogue(units: float, world: World = CANONICAL) -> list[Command]:
    """The commands that bring nodes, postal codes, SKUs, channels and stock into an empty engine."""
    rng = np.random.default_rng(_CATALOGUE_SEED)

    def coordinates(count: int) -> tuple[Any, Any]:
        north = rng.integers(80_000_000, 340_000_000, count, np.int32)
        return north, rng.integers(690_000_000, 950_000_000, count, np.int32)

    available = stock(units, world)
    zeros = np.zeros(CHANNELS, np.int32)
    return [
        PutNodes(
            "nodes", pa.array([f"FC{i:02d}" for i in range(world.nodes)]), *coordinates(world.nodes),
            np.ones(world.nodes, np.uint8),
        ),
        PutPostalCodes(
            "codes", pa.array([str(110_000 + i) for i in range(POSTAL_CODES)]), *coordinates(POSTAL_CODES),
            np.zeros(POSTAL_CODES, np.uint8),
        ),
        PutNames("skus", Namespace.SKU, pa.array([f"SKU-{i:06d}-XL" for i in range(world.skus)])),
        PutChannels(
            "channels", pa.array(["web", "amazon.in", "flipkart", "social"]),
            np.full((CHANNELS, NODES_MAX // 64), np.uint64(2**64 - 1)), zeros,
            np.full(CHANNELS, OnShort.KEEP, np.uint8), np.ones(CHANNELS, np.uint8), zeros + 900_000,
            zeros + 1, zeros + 1_000_000_000, zeros + 2, zeros, np.zeros(CHANNELS, np.uint8),
        ),
        *_counts(available),
    ]  # fmt: skip


def _counts(available: Any) -> Iterator[MoveStock]:
    """The stock, counted some SKUs at a time."""
    for first in range(0, available.shape[0], _COUNTED_SKUS):
        some = available[first : first + _COUNTED_SKUS]
        sku, node = np.nonzero(some)
        kind = np.full(sku.size, MovementKind.COUNTED, np.uint8)
        yield MoveStock(f"stock {first}", (sku + first).astype(np.int32), node.astype(np.int16), kind, some[sku, node])
