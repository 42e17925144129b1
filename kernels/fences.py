"""Ring-fences at one (SKU, node): what is backed, what a channel may take there, and drawing from its own fence.

Used by allocation (kernels/nearest.py), by units that go back (kernels/stages.py) and by ATS (kernels/availability.py);
`forget_drawn` where ring-fences are set (engine/apply.py). `available` is always the figure of the cell, clamped at 0,
with all fences still inside it.
"""

from kernels.columns import NONE, Book, Fences, Head
from kernels.digest import part_hash
from kernels.options import U8, kernel, leaf

_PARTS = int(Head.PARTS)


@leaf
def fenced_at(fences: Fences, sku: int, node: int) -> int:
    """Units that all channels together keep at the node, backed or not."""
    total = 0
    fence = fences.head[sku]
    while fence != NONE:
        if fences.node[fence] == node:
            total += fences.remaining[fence]
        fence = fences.next[fence]
    return total


@leaf
def own_backed(fences: Fences, sku: int, node: int, channel: int, available: int) -> int:
    """Units of the channel's own fence that available units back, after the fences of channels before it."""
    before = 0
    own = 0
    fence = fences.head[sku]
    while fence != NONE:
        if fences.node[fence] == node:
            if fences.channel[fence] < channel:
                before += fences.remaining[fence]
            elif fences.channel[fence] == channel:
                own += fences.remaining[fence]
        fence = fences.next[fence]
    return max(0, min(own, available - before))


@leaf
def sellable(fences: Fences, sku: int, node: int, channel: int, available: int) -> int:
    """Units that the channel may take at the node: its backed fence and what no fence keeps."""
    if fences.head[sku] == NONE:
        return available
    return own_backed(fences, sku, node, channel, available) + max(0, available - fenced_at(fences, sku, node))


@leaf
def draw_fence(fences: Fences, sku: int, node: int, channel: int, units: int) -> None:
    """Use up `units` of the channel's fences at the node."""
    fence = fences.head[sku]
    while fence != NONE and units > 0:
        if fences.node[fence] == node and fences.channel[fence] == channel:
            used = min(units, fences.remaining[fence])
            fences.remaining[fence] -= used
            units -= used
        fence = fences.next[fence]


@leaf
def find_fence(fences: Fences, sku: int, node: int, channel: int) -> int:
    """The channel's fence at the node, or NONE. There is one at most."""
    fence = fences.head[sku]
    while fence != NONE and (fences.node[fence] != node or fences.channel[fence] != channel):
        fence = fences.next[fence]
    return fence


@leaf
def refill_fence(fences: Fences, sku: int, node: int, channel: int, units: int) -> None:
    """Put back what was drawn from the fence as it stands now and is free again."""
    fence = find_fence(fences, sku, node, channel)
    if fence != NONE:
        fences.remaining[fence] += units


@kernel
def forget_drawn(anew: U8, book: Book, fences: Fences) -> None:
    """Units out of a ring-fence that was set anew (anew[fence] is not 0) belong to none from now on.

    They neither use up the new one nor go back into it. A look at every part: rare, for ring-fences that are set.
    """
    parts = book.parts
    for part in range(book.heads[_PARTS]):
        if parts.quantity[part] > 0 and parts.fenced[part] > 0:
            line = parts.line[part]
            channel = book.orders.channel[book.lines.order[line]]
            fence = find_fence(fences, book.lines.sku[line], parts.node[part], channel)
            if fence != NONE and anew[fence] != 0:
                book.digest[0] -= part_hash(book, part)
                parts.fenced[part] = 0
                book.digest[0] += part_hash(book, part)
