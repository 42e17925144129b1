"""What decisions share: nearest allocation of a batch, and open orders as they stand.

Called by engine/decide.py and engine/stock.py, which journal what comes of it.
"""

from typing import Any

import numpy as np

from engine.state import State
from kernels.columns import Batch, Drawn, OnShort
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
    count = nearest(batch, state.node_count, state.cells, state.fences, policies, state.places, drawn)
    return drawn._replace(**{name: getattr(drawn, name)[:count] for name in ("node", "quantity", "fenced", "metres")})


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
