"""What orders further on in a batch will need is brought into the cache: waiting for it is most of their time.

kernels/nearest.py calls `fetch` for each order that it decides.
"""

from kernels.cheapest import Prices
from kernels.columns import NONE, Batch, Cells, Fences, Places
from kernels.options import leaf
from kernels.prefetch import prefetch

_AHEAD = 6  # orders


@leaf
def _fetch_heads(batch: Batch, order: int, cells: Cells, fences: Fences) -> None:
    """Bring what tells where the rows are into the cache, before `_fetch_ahead` has to wait for it."""
    for line in range(batch.first_line[order], batch.first_line[order + 1]):
        prefetch(cells.row_of, batch.sku[line])
        prefetch(fences.head, batch.sku[line])


@leaf
def _fetch_ahead(batch: Batch, order: int, nodes: int, cells: Cells, places: Places, prices: Prices) -> None:
    """Bring the rows that an order some places further on will need into the cache; waiting for them is most of the
    time.
    """
    place = batch.postal_code[order]
    prefetch(places.rank, place * places.rank.shape[1])
    for node in range(0, nodes, 16):
        prefetch(places.metres, place * places.metres.shape[1] + node)
    for line in range(batch.first_line[order], batch.first_line[order + 1]):
        row = cells.row_of[batch.sku[line]]
        if row != NONE:
            prefetch(cells.stocked, row * cells.stocked.shape[1])
            for node in range(0, nodes, 16):
                prefetch(cells.available, row * cells.available.shape[1] + node)
                if prices.value.size:
                    prefetch(prices.value, row * prices.value.shape[1] + node)


@leaf
def fetch(
    batch: Batch, order: int, nodes: int, cells: Cells, fences: Fences, places: Places, prices: Prices
) -> None:  # fmt: skip
    """What orders further on need, in two steps."""
    if order + 2 * _AHEAD < batch.channel.size:
        _fetch_heads(batch, order + 2 * _AHEAD, cells, fences)
    if order + _AHEAD < batch.channel.size:
        _fetch_ahead(batch, order + _AHEAD, nodes, cells, places, prices)
