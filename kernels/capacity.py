"""Capacity of nodes while a batch is decided: which nodes have room left for an order, and what orders take of it.

A node that has a limit gives to an order only where there is room for all of it: one more order, and all its units. So
no node is ever above its limit, whatever the order takes from it in the end.
"""

import numpy as np

from kernels.columns import NO_NODE, NODES_MAX, Batch, Capacity, Drawn, Policies
from kernels.options import I64, U64, leaf

_ORDERS, _UNITS = 0, 1
_ONE = np.uint64(1)


def no_capacity() -> Capacity:
    """No node has a limit."""
    return Capacity(np.zeros(NODES_MAX // 64, np.uint64), np.zeros((NODES_MAX, 2), np.int64))


@leaf
def is_limited(capacity: Capacity) -> bool:
    """Whether any node has a limit."""
    return bool(capacity.limited.any())


@leaf
def find_allowed(
    order: int, lines: int, need: I64, channel: int, capacity: Capacity, policies: Policies, allowed: U64, drawn: Drawn
) -> None:
    """allowed [word]: bits of the nodes that may give to the order; those of the group that are full go into `drawn`.

    need [line]: units of it.
    """
    units = 0
    for line in range(lines):
        units += need[line]
    for word in range(allowed.size):
        group, full = policies.nodes[channel, word], np.uint64(0)
        limited = group & capacity.limited[word]
        if limited != 0:
            for bit in range(64):
                if (limited >> np.uint64(bit)) & _ONE:
                    left = capacity.left[64 * word + bit]
                    if left[_ORDERS] < 1 or left[_UNITS] < units:
                        full |= _ONE << np.uint64(bit)
        drawn.full[order, word] = full
        allowed[word] = group & ~full


@leaf
def take_capacity(batch: Batch, order: int, part: int, capacity: Capacity, drawn: Drawn) -> None:
    """Take what an order has drawn, whose parts begin at `part`, from the nodes that have a limit."""
    first = part
    for line in range(batch.first_line[order], batch.first_line[order + 1]):
        for _ in range(drawn.part_count[line]):
            node = drawn.node[part]
            if node != NO_NODE and (capacity.limited[node >> 6] >> np.uint64(node & 63)) & _ONE:
                capacity.left[node, _UNITS] -= drawn.quantity[part]
                before = first
                while drawn.node[before] != node:
                    before += 1
                if before == part:  # each node counts the order once
                    capacity.left[node, _ORDERS] -= 1
            part += 1
