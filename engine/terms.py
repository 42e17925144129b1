"""What an order asks of the nodes: how many of them may give to it together, and whether it is all or nothing.

Both come with the order as optional columns (`nodes_max`, `ship_complete`) and are the order's for good, so an open
order or reservation keeps them beside its row: what is sourced later keeps to them too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.ragged import owned
from kernels.columns import no_terms

TERMS = ("nodes_max", "ship_complete")  # columns of orders, uint8: nodes, 0 any number; 1 all units or none


def asked(options: Mapping[str, Any], orders: int) -> tuple[Any, Any]:
    """The terms of new orders, as the last two columns of a Batch."""
    nodes_max, complete = (options.get(name) for name in TERMS)
    if nodes_max is None and complete is None:
        return no_terms(orders)
    zeros = np.zeros(orders, np.uint8)
    return zeros if nodes_max is None else owned(nodes_max), zeros if complete is None else owned(complete)


@dataclass
class OpenTerms:
    """The terms of open orders and reservations, by row. Nothing is written before the first order that has any."""

    nodes_max: Any  # uint8 [order]
    ship_complete: Any  # uint8 [order]
    any_asked: bool = False  # whether any order ever had terms

    def enter(self, rows: Any, orders: Mapping[str, Any]) -> None:
        """Orders have entered. rows: int32 [order], NONE where refused; orders: their columns in the journal."""
        given = [orders.get(name) for name in TERMS]
        self.any_asked |= any(values is not None for values in given)
        if not self.any_asked:
            return
        taken = rows >= 0
        for column, values in zip((self.nodes_max, self.ship_complete), given, strict=True):
            column[rows[taken]] = 0 if values is None else values[taken]

    def of(self, rows: Any) -> tuple[Any, Any]:
        """The terms of open orders, as the last two columns of a Batch."""
        return (self.nodes_max[rows], self.ship_complete[rows]) if self.any_asked else no_terms(rows.size)
