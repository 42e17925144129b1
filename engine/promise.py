"""Promises: what carts would get if they were ordered now. `foresee` looks at the state, in the writer's thread between
two commits; `promise` makes dates and prices of it, anywhere.

Nothing is claimed: the look leaves the state as it was.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import pyarrow as pa

from engine.expected import NOTHING_BOUND
from engine.outcomes import Namespace
from engine.ragged import offsets, owners
from engine.rates.tariff import Tariff
from engine.state import State
from kernels import nearest as kernels
from kernels.columns import NO_NODE, NODES_MAX, NONE, Batch, Drawn, OnShort
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
    expected_at: Any  # int64 [cart] UTC us, when all that is short would be there; NONE: nobody knows, or nothing is


def foresee(state: State, batch: Batch, known: tuple[int, int], now: int = 0) -> Foreseen:
    """Each cart as if it were ordered now, and alone. known: postal codes and SKUs that the tariff has taken in.

    now: UTC us: a node whose next day has begun has all its capacity, though no commit says so yet.
    """
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
        state.days.capacity_at(now),
        drawn,
    )
    drawn = drawn._replace(**{name: getattr(drawn, name)[:count] for name in ("node", "quantity", "fenced", "metres")})
    texts = []
    for namespace, first in zip((Namespace.POSTAL_CODE, Namespace.SKU), known, strict=True):
        names = state.names[namespace]
        texts.append(names.texts(np.arange(first, len(names), dtype=np.int32)))
    return Foreseen(
        state.sequence, drawn, state.node_count, known, texts[0], texts[1], expected_at(state, batch, drawn, now)
    )


def expected_at(state: State, batch: Batch, drawn: Drawn, now: int) -> Any:
    """When dated supply would bring all that carts are short of, int64 [cart] UTC us; NONE where it does not, where the
    date has passed, where nothing is short, or where the channel has no back-orders. As the order would be bound if it
    were placed now.
    """
    out = np.full(batch.channel.size, NONE, np.int64)
    if not state.expected.rows:
        return out
    line = owners(offsets(drawn.part_count))
    cart = owners(batch.first_line)[line]
    waits = (drawn.node == NO_NODE) & (state.policies.on_short[batch.channel] == OnShort.BACK_ORDER)[cart]
    first_part = np.searchsorted(cart, np.arange(batch.channel.size + 1))

    @cache
    def left_for(priority: int, sku: int) -> list[tuple[int, int, int]]:
        return _left_for(state, sku, priority)

    for one in np.unique(cart[waits]).tolist():
        channel, of_it = int(batch.channel[one]), slice(first_part[one], first_part[one + 1])
        group = [int(word) for word in state.policies.nodes[channel]]
        most = int(batch.nodes_max[one]) or NODES_MAX
        short = waits[of_it]
        most = most if state.policies.split[channel] else 1
        if np.unique(batch.sku[line[of_it][short]]).size > 1 and (most == 1 or batch.complete[one]):
            continue
        missing = zip(batch.sku[line[of_it][short]].tolist(), drawn.quantity[of_it][short].tolist(), strict=True)
        out[one] = _last_date(
            list(missing), partial(left_for, int(state.policies.priority[channel])), group,
            frozenset(drawn.node[of_it][~short].tolist()), most,
        )  # fmt: skip
    return np.where(out < now, NONE, out)


def _left_for(state: State, sku: int, priority: int) -> list[tuple[int, int, int]]:
    """The supply of a SKU that orders of this priority and before leave: (due at, node, units), the earliest first."""
    supply, bound = state.expected.of(sku), state.expected.bound.get(sku, NOTHING_BOUND)
    before = state.policies.priority[state.book.orders.channel[bound.order]] <= priority
    taken: Counter[tuple[int, int]] = Counter()
    columns = (column[before].tolist() for column in (bound.node, bound.reference, bound.units))
    for node, reference, units in zip(*columns, strict=True):
        taken[node, reference] += units
    rows = zip(*(column.tolist() for column in supply), strict=True)
    return [(due_at, node, units - taken[node, reference]) for node, reference, units, due_at in rows]


def _first_whole(
    units: int, supply: list[tuple[int, int, int]], sku: int, taken: Counter[tuple[int, int]], group: list[int],
    nodes: set[int],
) -> int:  # fmt: skip
    """The node that can give all of a line first, of an order that leaves from one; NO_NODE where there is none."""
    gathered: Counter[int] = Counter()
    for at, (_, node, left) in enumerate(supply):
        if group[node >> 6] >> (node & 63) & 1 and (not nodes or node in nodes):
            gathered[node] += left - taken[sku, at]
            if gathered[node] >= units:
                return node
    return NO_NODE


def _last_date(
    missing: list[tuple[int, int]], left_for: Callable[[int], list[tuple[int, int, int]]], group: list[int],
    nodes: frozenset[int], most: int,
) -> int:  # fmt: skip
    """The date of the last of the units that an order is short of, line by line; NONE where not all are expected.
    missing: (SKU, units); group: bits of the nodes that may give; nodes: those that do, of `most`."""
    taken: Counter[tuple[int, int]] = Counter()
    nodes_of = {sku: set(nodes) for sku, _ in missing}
    last = NONE
    for sku, units in missing:
        nodes_now = nodes_of[sku]
        one = _first_whole(units, left_for(sku), sku, taken, group, nodes_now) if most == 1 else None
        for at, (due_at, node, left) in enumerate(left_for(sku)):
            if units == 0:
                break
            left -= taken[sku, at]
            is_allowed = group[node >> 6] >> (node & 63) & 1 and (node in nodes_now or len(nodes_now) < most)
            if left > 0 and is_allowed and (most > 1 or node == one):
                nodes_now.add(node)
                taken[sku, at] += min(units, left)
                units -= min(units, left)
                last = max(last, due_at)
        if units:
            return NONE
    return last


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
