"""Ring-fences at one (SKU, node): what is backed, what a channel may take there, and drawing from its own fence.

Used by allocation (kernels/nearest.py), by units that go back (kernels/stages.py) and by ATS (kernels/availability.py).
`available` is always the figure of the cell, clamped at 0, with all fences still inside it.
"""

from kernels.columns import NONE, Fences
from kernels.options import leaf


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
def refill_fence(fences: Fences, sku: int, node: int, channel: int, units: int, drawn_at: int) -> None:
    """Put units back that a release frees, unless the fence was set anew since they were drawn (commit `drawn_at`)."""
    fence = fences.head[sku]
    while fence != NONE:
        if fences.node[fence] == node and fences.channel[fence] == channel and fences.set_at[fence] <= drawn_at:
            fences.remaining[fence] += units
            return
        fence = fences.next[fence]
