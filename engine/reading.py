"""Reads of the state as it stands: one order, stock, nodes, SKUs, channels. For the writer's thread, between commits.

Nothing is changed. What is read may not be durable yet: whoever gives it out waits for `sequence` (server/batcher.py).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from engine.outcomes import Namespace
from engine.writer import Engine
from kernels.columns import NONE, Figure

LOOK_SKUS_MAX = 16_384  # SKUs looked at for one page of stock, at most
FIGURES = (
    Figure.ON_HAND, Figure.UNAVAILABLE, Figure.ALLOCATED, Figure.RESERVED, Figure.SAFETY_STOCK, Figure.PICKED,
    Figure.DEFICIT,
)  # fmt: skip


@dataclass(frozen=True)
class StockPage:
    """Cells with any figure, by SKU, then node."""

    sequence: int  # of the last commit that it takes in
    sku: Any  # int32 [cell]
    node: Any  # int32 [cell]
    figures: Any  # int32 [cell, figure] in the order of FIGURES
    available: Any  # int32 [cell]
    next_sku: int  # where the next page begins; NONE: this is the last


@dataclass(frozen=True)
class NodePage:
    """Nodes in the order in which they were put."""

    node_id: pa.StringArray
    latitude_e7: Any  # int32 [node]
    longitude_e7: Any  # int32 [node]
    active: Any  # uint8 [node]
    next_node: int  # NONE: this is the last page


@dataclass(frozen=True)
class ChannelPage:
    """Channels and their policies as they were put."""

    channel: pa.StringArray
    nodes: Any  # uint64 [channel, word] bit of each node of its group, those that are closed too
    priority: Any  # int32 [channel], as the following
    on_short: Any
    split: Any
    share_ppm: Any
    buffer: Any
    cap: Any
    threshold: Any
    next_channel: int  # NONE: this is the last page


@dataclass(frozen=True)
class SkuPage:
    """SKUs in the order in which they were named."""

    sku: pa.StringArray
    next_sku: int  # NONE: this is the last page


def _page(engine: Engine, namespace: Namespace, first: int, count: int) -> tuple[slice, pa.StringArray, int]:
    """Rows of a page, their texts, and where the next one begins."""
    names = engine.state.names[namespace]
    known = len(names)
    first, last = min(first, known), min(first + count, known)
    texts = names.texts(np.arange(first, last, dtype=np.int32))
    return slice(first, last), texts, last if last < known else NONE


def nodes(engine: Engine, first: int, count: int) -> NodePage:
    """A page of nodes, from the node `first` on."""
    rows, texts, following = _page(engine, Namespace.NODE, first, count)
    place = engine.state.nodes
    latitude, longitude, active = (
        column[rows].copy() for column in (place.latitude_e7, place.longitude_e7, place.flag)
    )
    return NodePage(texts, latitude, longitude, active, following)


def skus(engine: Engine, first: int, count: int) -> SkuPage:
    """A page of SKUs, from the SKU `first` on."""
    _, texts, following = _page(engine, Namespace.SKU, first, count)
    return SkuPage(texts, following)


def channels(engine: Engine, first: int, count: int) -> ChannelPage:
    """A page of channels, from the channel `first` on."""
    rows, texts, following = _page(engine, Namespace.CHANNEL, first, count)
    policies = engine.state.policies
    columns = {
        name: getattr(policies, name)[rows].copy()
        for name in ("priority", "on_short", "split", "share_ppm", "buffer", "cap", "threshold")
    }
    return ChannelPage(texts, engine.state.groups[rows].copy(), **columns, next_channel=following)


def postal_code_places(engine: Engine, codes: pa.StringArray) -> tuple[Any, Any, Any]:
    """bool, int32, int32 [code]: whether a postal code was placed, and where, in ten-millionths of a degree."""
    state = engine.state
    index = state.names[Namespace.POSTAL_CODE].find(codes)
    place = state.postal_codes
    return index >= 0, place.latitude_e7[index], place.longitude_e7[index]


def stock_of(engine: Engine, sku: int) -> StockPage:
    """One SKU at every node that has any figure of it."""
    rows = engine.state.cells.row_of[sku : sku + 1]
    return _cells(engine, np.array([sku], np.int32), rows, None, NONE)


def stock_page(engine: Engine, first_sku: int, count: int, node: int | None = None) -> StockPage:
    """The cells of the next `count` SKUs that have any figure, from `first_sku` on; of one node where it is given.

    A page may be shorter, even empty, where it took long to find them: `next_sku` says whether others may follow.
    """
    state = engine.state
    known = len(state.names[Namespace.SKU])
    found: list[Any] = []
    missing, at, stop = count, first_sku, min(known, first_sku + LOOK_SKUS_MAX)
    while missing and at < stop:
        last = min(at + max(missing, 64), stop)
        rows = state.cells.row_of[at:last]
        held = np.flatnonzero(rows != NONE)
        held = held[_has_figure(engine, rows[held], node)][:missing]
        found.append((held + at).astype(np.int32))
        missing -= held.size
        at = last if missing else int(found[-1][-1]) + 1
    sku = np.concatenate(found) if found else np.empty(0, np.int32)
    return _cells(engine, sku, state.cells.row_of[sku], node, at if at < known else NONE)


def _has_figure(engine: Engine, rows: Any, node: int | None) -> Any:
    """bool [row]: whether a row of cells has any figure, at a node or at any."""
    nodes_of = slice(0, engine.state.node_count) if node is None else slice(node, node + 1)
    return engine.state.cells.figures[rows, nodes_of].any(axis=(1, 2))


def _cells(engine: Engine, sku: Any, rows: Any, node: int | None, next_sku: int) -> StockPage:
    """The cells of rows that have any figure."""
    state = engine.state
    first = 0 if node is None else node
    last = state.node_count if node is None else node + 1
    with_row = rows != NONE
    sku, rows = sku[with_row], rows[with_row]
    figures = state.cells.figures[rows, first:last]
    at, offset = np.nonzero(figures.any(axis=2))
    return StockPage(
        state.sequence, sku[at], (offset + first).astype(np.int32), figures[at, offset][:, list(FIGURES)],
        state.cells.available[rows[at], offset + first], next_sku,
    )  # fmt: skip
