"""Whether a run oversold or lost anything: what its answers promised, beside what the server has when it is over."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from allot.v1 import types_pb2
from allot_client import AllotError, Client, Unknown
from server.load.catalogue import Catalogue, bound, with_room
from server.load.ledger import Ledger, Taken

_THREADS = 16
NAMED_MAX = 3  # orders and SKUs that a fault names


class Proof(NamedTuple):
    """What was found."""

    units: int  # that answers say orders and carts have
    bound_units: int  # that the server's figures say so, of this run
    oversold_units: int  # committed beyond what is on hand
    orders: int  # acknowledged
    looked_up: int  # of them, by GetOrder
    faults: list[str]  # empty: nothing was oversold, nothing lost


def prove(
    client: Client, catalogue: Catalogue, ledger: Ledger, before: NDArray[np.int64], stock: int, unknown: int
) -> Proof:
    """before: units bound by earlier runs [SKU, node]. stock: units that an order could take of each SKU at each node.
    unknown: calls of which it is not known what became; with them, the server may have bound more than was answered."""
    promised, figures = ledger.units(), catalogue.figures(client)
    has = bound(figures) - before
    oversold = int(np.maximum(bound(figures) - figures[0], figures[3]).clip(0).sum())
    unlike = has < promised if unknown else has != promised
    faults = [
        *([f"{oversold:,} units are oversold: committed beyond what is on hand"] if oversold else []),
        *_cells(catalogue, promised > stock, "answers give more units than there were"),
        *_cells(catalogue, unlike, "the server has other units than it answered"),
        *([f"{ledger.again:,} orders were answered as repeats that were none"] if ledger.again else []),
    ]
    looked_up = list({taken.order_id: taken for taken in (*ledger.sampled, *ledger.last)}.values())
    with ThreadPoolExecutor(_THREADS, "load-prove") as pool:
        lost = [text for text in pool.map(lambda taken: _lost(client, catalogue.channel, taken), looked_up) if text]
    if lost:
        named = "; ".join(lost[:NAMED_MAX])
        faults.append(f"{len(lost):,} of {len(looked_up):,} orders are not as acknowledged: {named}")
    return Proof(int(promised.sum()), int(has.sum()), oversold, ledger.orders, len(looked_up), faults)


def _cells(catalogue: Catalogue, wrong: Any, what: str) -> list[str]:
    """A fault where any SKU at a node is so."""
    skus, nodes = np.nonzero(wrong)
    if not skus.size:
        return []
    some = zip(skus[:NAMED_MAX].tolist(), nodes[:NAMED_MAX].tolist(), strict=True)
    named = ", ".join(f"{catalogue.skus[sku]} at {catalogue.nodes[node]}" for sku, node in some)
    return [f"{what}, at {skus.size:,} places: {named}"]


def _lost(client: Client, channel: str, taken: Taken) -> str:
    """What is wrong with an acknowledged order; empty: nothing."""
    try:
        order = with_room(client.get_order, channel, taken.order_id)
    except Unknown:
        return f"{taken.order_id} is not there"
    except AllotError as error:
        return f"{taken.order_id}: {error}"
    units = sum(part.quantity for part in order.parts if part.stage == types_pb2.STAGE_ALLOCATED)
    if (order.number, units) != (taken.number, taken.units):
        return f"{taken.order_id} has number {order.number} and {units:,} units, not {taken.number} and {taken.units:,}"
    return ""
