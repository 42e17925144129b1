"""Nodes that cover a whole order: the nearest one, of the channel's preferred nodes or of all, or the first pair.

kernels/nearest.py asks for them order by order. Nothing is drawn here.
"""

import numpy as np

from kernels.columns import NO_NODE, NONE, Cells, Fences, Places, Policies
from kernels.options import I32, I64, U64, leaf

_ONE = np.uint64(1)


@leaf
def has_bit(words: np.ndarray, row: int, node: int) -> bool:
    """Whether the bit of a node is set in a row of words."""
    return (words[row, node >> 6] >> np.uint64(node & 63)) & _ONE != 0


@leaf
def _first_that_gives_all(
    lines: int, rows: I32, need: I64, mask: np.uint64, place: int, nodes: int, cells: Cells, places: Places
) -> tuple[int, np.uint64]:
    """The nearest node of the mask that can give every line, or NO_NODE; and the nodes nearer than it, as bits. For at
    most 64 nodes and SKUs without fences.
    """
    nearer = np.uint64(0)
    for k in range(nodes):
        node = places.rank[place, k]
        if (mask >> np.uint64(node)) & _ONE:
            line = 0
            while line < lines and cells.available[rows[line], node] >= need[line]:
                line += 1
            if line == lines:
                return int(node), nearer
        nearer |= _ONE << np.uint64(node)
    return NO_NODE, nearer


@leaf
def nearest_that_gives_all(
    lines: int, rows: I32, need: I64, every: np.uint64, preferred: np.uint64, place: int, nodes: int, cells: Cells,
    places: Places,
) -> tuple[int, np.uint64]:  # fmt: skip
    """As `_first_that_gives_all`: of the preferred nodes, else of all."""
    if every & preferred != 0:
        node, nearer = _first_that_gives_all(lines, rows, need, every & preferred, place, nodes, cells, places)
        if node != NO_NODE:
            return node, nearer
        every &= ~preferred
    return _first_that_gives_all(lines, rows, need, every, place, nodes, cells, places)


@leaf
def one_of_many(
    lines: int, skus: I32, need: I64, channel: int, allowed: U64, place: int, nodes: int, cells: Cells, fences: Fences,
    policies: Policies, places: Places, rows: I32, every: U64,
) -> int:  # fmt: skip
    """The nearest node that gives every line, of the preferred ones, else of all; NO_NODE where none does, or a fence
    asks for a closer look. For any number of nodes. rows [line] and every [word], nodes that have all lines, are
    written."""
    for line in range(lines):
        rows[line] = cells.row_of[skus[line]]
        if rows[line] == NONE or fences.head[skus[line]] != NONE:
            return NO_NODE
    preferred = np.uint64(0)
    for word in range(every.size):
        every[word] = allowed[word]
        for line in range(lines):
            every[word] &= cells.stocked[rows[line], word]
        preferred |= every[word] & policies.preferred[channel, word]
    for of_preferred in range(1 if preferred != 0 else 0, -1, -1):
        for k in range(nodes):
            node = places.rank[place, k]
            has_all = (every[node >> 6] >> np.uint64(node & 63)) & _ONE
            if has_all and (of_preferred == 0 or has_bit(policies.preferred, channel, node)):
                line = 0
                while line < lines and cells.available[rows[line], node] >= need[line]:
                    line += 1
                if line == lines:
                    return int(node)
    return NO_NODE


@leaf
def first_pair(lines: int, rows: I32, need: I64, masks: U64, count: int, candidate: I32, cells: Cells) -> bool:
    """Whether two candidates cover every line: the first pair by (nearer rank, farther rank), which becomes the first
    two candidates. For at most 64 nodes, no fences, no node that covers them alone. masks [line]: nodes that have it;
    candidate [count]: those that have any, by rank.

    What the nearer node lacks must be in stock at the farther one: that leaves few, and where the nearer one has
    nothing of a line of one unit, which is most of them, there is nothing to add up.
    """
    for line in range(lines):
        if masks[line] == 0:
            return False
    farther = ~np.uint64(0)
    for i in range(count):
        near = candidate[i]
        farther &= ~(_ONE << np.uint64(near))
        possible = farther
        adds_up = False
        for line in range(lines):
            if cells.available[rows[line], near] < need[line]:
                possible &= masks[line]
                adds_up |= need[line] > 1
        if possible == 0:
            continue
        for j in range(i + 1, count):
            far = candidate[j]
            if (possible >> np.uint64(far)) & _ONE == 0:
                continue
            line = 0
            while adds_up and line < lines:
                units = np.int64(cells.available[rows[line], near])
                if units < need[line] and units + cells.available[rows[line], far] < need[line]:
                    break
                line += 1
            if not adds_up or line == lines:
                candidate[0] = near
                candidate[1] = far
                return True
    return False
