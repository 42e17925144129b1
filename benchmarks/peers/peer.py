"""What the peers of P1 have in common: the orders they get, and what they must give back to be counted.

All decide by the whole nearest rule. In every peer's favour, and not in the lane's: channels, ring-fences, limits and
terms are left out, SKUs and postal codes come as numbers, lines of one SKU are merged and sorted before the clock runs,
and so is everything put into the form in which it goes out. Nothing is published and nothing is explained.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import load
from kernels.columns import Batch, no_terms


class Missing(Exception):
    """A peer cannot take part; the text says why, and the command that mends it."""


class Lot(NamedTuple):
    """Orders that go out together. Of each, a SKU has one line, and lines are in the order of SKUs."""

    ids: list[str]
    batch: Batch


class Given(NamedTuple):
    """What a peer has stored of its orders, and to whom it gave units of which cell."""

    ids: list[str]
    order: Any  # int64 [part] place in `ids`
    sku: Any  # int64 [part]
    node: Any  # int64 [part]
    units: Any  # int64 [part]


class Peer(ABC):
    """One that decides orders. It begins without stock."""

    name: str
    durable: str  # when what it has answered outlasts a crash
    lot_orders: int  # so many go out together
    choices: tuple[Any, ...] = ("",)  # ways to drive it, of which the quickest counts
    choice: Any = ""
    process_id = 0  # of its server, if it has one

    @abstractmethod
    def fill(self, available: Any) -> None:
        """Forget everything; there are so many units, int32 [sku, node]."""

    @abstractmethod
    def prepare(self, lot: Lot) -> Any:
        """The lot as it goes out; before the clock runs."""

    @abstractmethod
    def decide(self, prepared: Any) -> None:
        """Decide it; every order is answered, and stored as promised, when this returns."""

    @abstractmethod
    def stored(self) -> Given:
        """Everything that was decided since the stock came."""


Open = Callable[[Path, Any], AbstractContextManager[Peer]]  # in an empty folder, with ranks uint8 [postal code, k]


def lot(size: int, seed: int, skus: int = load.SKUS) -> Lot:
    """Orders of the canonical load. seed: another one, other orders. skus: only the first ones are ordered."""
    orders = load.orders(size, seed)
    return merged(load.order_ids(size, seed).to_pylist(), orders._replace(sku=orders.sku % skus))


def merged(ids: list[str], orders: Batch) -> Lot:
    """Orders with a line for each SKU."""
    count = len(ids)
    order = np.repeat(np.arange(count, dtype=np.int64), np.diff(orders.first_line))
    key, of = np.unique(order << 32 | orders.sku, return_inverse=True)
    quantity = np.bincount(of, orders.quantity, key.size).astype(np.int32)
    first = np.searchsorted(key >> 32, np.arange(count + 1)).astype(np.int64)
    sku = (key & 0xFFFFFFFF).astype(np.int32)
    return Lot(ids, Batch(orders.channel, orders.postal_code, first, sku, quantity, *no_terms(count)))


def order_of_lines(batch: Batch) -> Any:
    """The order of each line, int64."""
    return np.repeat(np.arange(batch.channel.size), np.diff(batch.first_line))


def lines(batch: Batch) -> Iterator[tuple[int, list[int], list[int]]]:
    """Of each order its postal code, its SKUs, its quantities."""
    first, sku, quantity = batch.first_line.tolist(), batch.sku.tolist(), batch.quantity.tolist()
    for order, code in enumerate(batch.postal_code.tolist()):
        begin, end = first[order], first[order + 1]
        yield code, sku[begin:end], quantity[begin:end]


def given(ids: list[str], parts: list[Any]) -> Given:
    """From rows of order, SKU, node and units, in pieces."""
    rows = np.concatenate([np.zeros((0, 4), np.int64), *parts])
    return Given(ids, *rows.T)
