"""Why not a nearer node: the nodes that a decision passed over though they had units, noted as bits while it is made.

Every rule that allocates calls `note_passed` for each order once its parts are drawn (kernels/nearest.py does), or
`note_all_passed` before anything of a batch is drawn. The journal keeps the bits; engine/explaining.py reads them.
"""

import numpy as np

from kernels.columns import NO_NODE, NONE, Batch, Cells, Drawn, Fences, Places, Policies
from kernels.fences import sellable
from kernels.options import U64x2, kernel, leaf

_ONE = np.uint64(1)


def empty_passed(lines: int, nodes: int) -> U64x2:
    """Room for the bits of a batch."""
    return np.empty((lines, max(1, -(-nodes // 64))), np.uint64)


@leaf
def note_passed(
    batch: Batch, order: int, part: int, nodes: int, cells: Cells, fences: Fences, policies: Policies, places: Places,
    drawn: Drawn,
) -> None:  # fmt: skip
    """Write `passed` of an order's lines: the nodes that may give to its channel and have units of the line's SKU, give
    none to the line, and are nearer than the farthest node that does; all such nodes where units are short or refused.

    part: the order's first one in `drawn`, whose parts and `part_count` are written, in any order, with or without
    their claims taken: a node that gives nothing to a line is as the order found it, but where lines share a SKU.
    """
    nearest = places.rank[batch.postal_code[order], 0]
    for line in range(batch.first_line[order], batch.first_line[order + 1]):
        count = drawn.part_count[line]
        if count == 1 and drawn.node[part] == nearest:
            drawn.passed[line, :] = 0
        else:
            _look_back(batch, order, line, part, nodes, cells, fences, policies, places, drawn)
        part += count


@leaf
def _look_back(
    batch: Batch, order: int, line: int, part: int, nodes: int, cells: Cells, fences: Fences, policies: Policies,
    places: Places, drawn: Drawn,
) -> None:  # fmt: skip
    channel, place, row = batch.channel[order], batch.postal_code[order], cells.row_of[batch.sku[line]]
    farthest = _farthest(drawn, part, drawn.part_count[line])
    for word in range(drawn.passed.shape[1]):
        bits = np.uint64(0)
        if row != NONE:
            bits = cells.stocked[row, word] & policies.nodes[channel, word]
            for p in range(part, part + drawn.part_count[line]):
                node = drawn.node[p]
                if node >> 6 == word:
                    bits &= ~(_ONE << np.uint64(node & 63))
        if bits != 0:
            nearer = np.uint64(0)
            for k in range(nodes):
                node = places.rank[place, k]
                if node == farthest:
                    break
                nearer |= np.uint64(node >> 6 == word) << np.uint64(node & 63)
            bits &= nearer
        if bits != 0 and fences.head[batch.sku[line]] != NONE:
            bits = _not_kept(bits, word, batch.sku[line], row, channel, cells, fences)
        drawn.passed[line, word] = bits


@leaf
def _farthest(drawn: Drawn, part: int, count: int) -> int:
    """The farthest node of a line's parts; NO_NODE, which is farther than any, where it is short of units."""
    farthest = NO_NODE
    metres = -1
    for p in range(part, part + count):
        node = int(drawn.node[p])
        if node == NO_NODE:
            return NO_NODE
        if drawn.metres[p] > metres or (drawn.metres[p] == metres and node > farthest):
            farthest, metres = node, drawn.metres[p]
    return farthest


@leaf
def _not_kept(bits: np.uint64, word: int, sku: int, row: int, channel: int, cells: Cells, fences: Fences) -> np.uint64:
    """Those of the nodes where not all units are kept for other channels."""
    for bit in range(64):
        if (bits >> np.uint64(bit)) & _ONE:
            node = word * 64 + bit
            if sellable(fences, sku, node, channel, cells.available[row, node]) == 0:
                bits &= ~(_ONE << np.uint64(bit))
    return bits


@kernel
def note_all_passed(
    batch: Batch, nodes: int, cells: Cells, fences: Fences, policies: Policies, places: Places, drawn: Drawn
) -> None:
    """`note_passed` for a batch whose parts are known (shapes as in kernels/columns.py): as before any was taken."""
    part = 0
    for order in range(batch.channel.size):
        note_passed(batch, order, part, nodes, cells, fences, policies, places, drawn)
        for line in range(batch.first_line[order], batch.first_line[order + 1]):
            part += drawn.part_count[line]
