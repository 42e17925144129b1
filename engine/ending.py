"""What ends by its time: reservations, authorisations of payments, and the patience with orders that nobody pays."""

from typing import Any

import numpy as np

from engine.commit import Commit
from engine.documents import cancel_unpaid, follow_up
from engine.outcomes import Cause
from kernels.columns import OrderKind


def expire_due(commit: Commit, rows: Any) -> None:
    """End the reservations that `take_due` found; tell of authorisations that they have ended, and then cancel what is
    open of orders that nobody has paid in time."""
    is_order = commit.state.book.orders.kind[rows] == OrderKind.ORDER
    if not is_order.all():
        commit.close(rows[~is_order], Cause.EXPIRED)
    if is_order.any():
        follow_up(commit)
        cancel_unpaid(commit, np.unique(rows[is_order]))
