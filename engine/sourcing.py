"""What decisions share: nearest allocation of a batch, and open orders as they stand.

Called by engine/decide.py and engine/stock.py, which journal what comes of it.
"""

from typing import Any

import numpy as np

from engine.commands import Parts
from engine.ragged import offsets, owned, owners
from engine.state import State
from kernels.columns import NO_NODE, NODES_MAX, NONE, Batch, Drawn, OnShort, Outcome
from kernels.nearest import empty_drawn, nearest, parts_max
from kernels.stages import OpenOrders, read_orders, size_orders


def draw(state: State, batch: Batch, taken_before: bool = False, only: Any = None) -> Drawn:
    """Nearest allocation of a batch: claims are taken, parts come back, cut to their number.

    taken_before: the orders are open and wait: what is short stays so, and a closed channel still serves them.
    only: uint64 [word], bits of the nodes that may give, where not all of the channel's group may.
    """
    room = parts_max(batch.quantity, state.node_count)
    drawn = empty_drawn(batch.channel.size, batch.sku.size, room)
    policies = state.policies
    if taken_before:
        policies = policies._replace(nodes=state.serving, on_short=np.full_like(policies.on_short, OnShort.KEEP))
    if only is not None:
        policies = policies._replace(nodes=policies.nodes & only)
    count = nearest(batch, state.node_count, state.cells, state.fences, policies, state.places, state.prices, drawn)
    return drawn._replace(**{name: getattr(drawn, name)[:count] for name in ("node", "quantity", "fenced", "metres")})


def piece(batch: Batch, first: int, last: int) -> Batch:
    """Some orders of a batch, one after another."""
    lines = slice(batch.first_line[first], batch.first_line[last])
    return Batch(
        batch.channel[first:last], batch.postal_code[first:last],
        batch.first_line[first : last + 1] - batch.first_line[first], batch.sku[lines], batch.quantity[lines],
    )  # fmt: skip


def node_bits(row: Any, node: Any, rows: int) -> Any:
    """uint64 [row, word] with the bits of the nodes of each row set."""
    bits = np.zeros((rows, NODES_MAX // 64), np.uint64)
    node = node.astype(np.uint64)
    np.bitwise_or.at(bits, (row, node >> np.uint64(6)), np.uint64(1) << (node & np.uint64(63)))
    return bits


def planned(state: State, batch: Batch, parts: Parts) -> Drawn | None:
    """What a batch draws by a plan; None where the plan does not fit: there is less stock, units are kept for a
    channel, or a channel has rules that no plan knows. Nothing is claimed.
    """
    fences, policies, node_count = state.fences, state.policies, state.node_count
    given = parts.node != NO_NODE
    line = owners(offsets(parts.part_count))
    order = owners(batch.first_line)[line]
    sku, channel = batch.sku[line], batch.channel[order]
    whole = np.bincount(line, parts.quantity, batch.sku.size) == batch.quantity
    if not whole.all() or (parts.quantity < 1).any() or (fences.head[batch.sku] != NONE).any():
        return None
    named = parts.node[given]
    if named.min(initial=0) < 0 or named.max(initial=0) >= node_count:
        return None
    if (given[1:] & ~given[:-1] & (line[1:] == line[:-1])).any():  # what is short is the last of its line
        return None
    words, bits = np.divmod(np.where(given, parts.node, 0).astype(np.int64), 64)
    is_served = policies.nodes[channel, words] >> bits.astype(np.uint64) & np.uint64(1)
    refuses = policies.on_short[channel] == OnShort.REFUSE
    if ((policies.split[channel] == 0) | (given & (is_served == 0)) | (~given & refuses)).any():
        return None
    key, of_key = np.unique(sku[given].astype(np.int64) * node_count + parts.node[given], return_inverse=True)
    units = np.bincount(of_key, parts.quantity[given], key.size)
    row = state.cells.row_of[key // node_count]
    available = np.where(row < 0, 0, state.cells.available[row, key % node_count])
    if (units > available).any():
        return None
    short = np.bincount(order, np.where(given, 0, parts.quantity), batch.channel.size)
    wanted = np.bincount(owners(batch.first_line), batch.quantity, batch.channel.size)
    outcome = np.where(short == 0, Outcome.ALLOCATED, np.where(short == wanted, Outcome.SHORT, Outcome.PARTLY))
    metres = np.where(given, state.places.metres[batch.postal_code[order], np.where(given, parts.node, 0)], 0)
    return Drawn(
        outcome.astype(np.uint8), owned(parts.part_count), owned(parts.node), owned(parts.quantity),
        np.zeros(parts.node.size, np.int32), metres.astype(np.int32),
    )  # fmt: skip


def read(state: State, rows: Any) -> OpenOrders:
    """Lines and parts of open orders, as they are now."""
    rows = np.ascontiguousarray(rows, np.int32)
    totals = np.empty(2, np.int64)
    size_orders(rows, state.book, totals)
    lines, parts = int(totals[0]), int(totals[1])
    line, sku, quantity, part_count = (np.empty(lines, np.int32) for _ in range(4))
    part, part_quantity, fenced = (np.empty(parts, np.int32) for _ in range(3))
    out = OpenOrders(
        np.empty(rows.size, np.int32), line, sku, quantity, part_count, part, np.empty(parts, np.int16),
        np.empty(parts, np.uint8), part_quantity, fenced,
    )  # fmt: skip
    read_orders(rows, state.book, out)
    return out
