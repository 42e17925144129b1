"""Promises: what carts would get if they were ordered now. `foresee` looks at the state, in the writer's thread between
two commits; `promise` makes dates and prices of it, anywhere.

Nothing is claimed: the look leaves the state as it was.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from engine.outcomes import Namespace
from engine.rates.tariff import Tariff
from engine.state import State
from kernels import nearest as kernels
from kernels.columns import Batch, Drawn
from kernels.promise import Promised, price_and_date


@dataclass(frozen=True)
class Foreseen:
    """What carts would draw now, and what the tariff has to take in first."""

    sequence: int  # of the last commit that it takes in
    drawn: Drawn
    node_count: int
    known: tuple[int, int]  # postal codes and SKUs that the tariff knew
    codes: pa.StringArray  # postal codes beyond those
    skus: pa.StringArray  # likewise


def foresee(state: State, batch: Batch, known: tuple[int, int]) -> Foreseen:
    """Each cart as if it were ordered now, and alone. known: postal codes and SKUs that the tariff has taken in."""
    room = kernels.parts_max(batch.quantity, state.node_count)
    drawn = kernels.empty_drawn(batch.channel.size, batch.sku.size, room, state.node_count)
    count = kernels.foresee(
        batch,
        state.node_count,
        state.cells,
        state.fences,
        state.policies,
        state.places,
        state.prices,
        state.capacity,
        drawn,
    )
    drawn = drawn._replace(**{name: getattr(drawn, name)[:count] for name in ("node", "quantity", "fenced", "metres")})
    texts = []
    for namespace, first in zip((Namespace.POSTAL_CODE, Namespace.SKU), known, strict=True):
        names = state.names[namespace]
        texts.append(names.texts(np.arange(first, len(names), dtype=np.int32)))
    return Foreseen(state.sequence, drawn, state.node_count, known, *texts)


def promise(tariff: Tariff, batch: Batch, foreseen: Foreseen, cash: np.ndarray, now: int) -> Promised:
    """Dates and prices of carts. cash [cart]: uint8, 1 for cash on delivery; now: UTC us."""
    carts, services = batch.channel.size, len(tariff.card.services)
    terms = tariff.terms(now, foreseen.known, foreseen.codes, foreseen.skus)
    out = Promised(
        np.empty(carts, np.int64), np.empty(carts, np.int64), np.empty((carts, services), np.int32),
        np.empty((carts, services), np.int64), np.empty((carts, services), np.int32),
        np.empty((carts, services), np.int64),
    )  # fmt: skip
    price_and_date(batch, foreseen.drawn, cash, terms.services, terms.zones, terms.charges, terms.dates, out)
    return out
