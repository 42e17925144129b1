"""Nearest allocation of a batch: the rule of RULES.md ("Nearest"), order by order, drawing from `available` as it goes.

First the one nearest node that can give the whole order, of the channel's preferred nodes, else of all; else the first
pair by (nearer rank, farther rank); else greedily the node that gives most, up to `nodes_max`. Then every line draws
from the chosen nodes in rank order, and kernels/reasons.py notes what it passed over. Nothing but the claims
(`available`, `stocked`, ring-fences, capacity) is written here; kernels/stages.py turns the parts into orders.
"""

from typing import NamedTuple

import numpy as np

from kernels.ahead import fetch
from kernels.capacity import find_allowed, is_limited, take_capacity
from kernels.cheapest import Choice, Prices, choose_by_price, note_extra_cost, room_for_choice
from kernels.columns import (
    NO_NODE,
    NODES_MAX,
    NONE,
    Batch,
    Capacity,
    Cells,
    Drawn,
    Fences,
    OnShort,
    Outcome,
    Places,
    Policies,
    Rule,
)
from kernels.covering import first_pair, has_bit, nearest_that_gives_all, one_of_many
from kernels.fences import draw_fence, own_backed, refill_fence, sellable
from kernels.options import I32, I64, U8, U64, I32x2, allocating_kernel, allocating_leaf, leaf
from kernels.reasons import empty_passed, note_passed

_REFUSE = int(OnShort.REFUSE)
_ALLOCATED, _PARTLY, _SHORT, _REFUSED = (int(outcome) for outcome in Outcome)
_NEAREST, _PRICED = int(Rule.NEAREST), int(Rule.PRICED)
_ONE = np.uint64(1)


@leaf
def _take(cells: Cells, row: int, node: int, units: int) -> None:
    left = cells.available[row, node] - units
    cells.available[row, node] = left
    if left == 0:
        cells.stocked[row, node >> 6] &= ~(_ONE << np.uint64(node & 63))


@leaf
def _emit(drawn: Drawn, part: int, node: int, units: int, fenced: int, metres: int) -> int:
    drawn.node[part] = node
    drawn.quantity[part] = units
    drawn.fenced[part] = fenced
    drawn.metres[part] = metres
    return part + 1


@leaf
def _candidates(
    lines: int, skus: I32, channel: int, allowed: U64, place: int, nodes: int, cells: Cells, fences: Fences,
    places: Places, candidate: I32, give: I32x2,
) -> int:  # fmt: skip
    """Allowed nodes that can give any of the SKUs, in rank order, and what each gives: give[i, line]."""
    count = 0
    for k in range(nodes):
        node = int(places.rank[place, k])
        if (allowed[node >> 6] >> np.uint64(node & 63)) & _ONE == 0:
            continue
        any_units = 0
        for line in range(lines):
            sku = skus[line]
            row = cells.row_of[sku]
            units = 0
            if row != NONE and has_bit(cells.stocked, row, node):
                units = sellable(fences, sku, node, channel, cells.available[row, node])
            give[count, line] = units
            any_units |= units
        if any_units > 0:
            candidate[count] = node
            count += 1
    return count


@leaf
def _stocked_candidates(mask: np.uint64, place: int, nodes: int, places: Places, candidate: I32) -> int:
    """Nodes of a mask in rank order, for at most 64 nodes. Without a branch: which have stock is a coin toss."""
    count = 0
    for k in range(nodes):
        node = places.rank[place, k]
        candidate[count] = node
        count += np.int64((mask >> np.uint64(node)) & _ONE)
    return count


@leaf
def _look_at(lines: int, rows: I32, count: int, candidate: I32, cells: Cells, give: I32x2) -> None:
    """give [i, line]: what each candidate has of each line."""
    for line in range(lines):
        row = rows[line]
        for i in range(count):
            give[i, line] = cells.available[row, candidate[i]] if row != NONE else 0


@leaf
def _choose_one(lines: int, need: I64, count: int, candidate: I32, give: I32x2, of: U64) -> int:
    """The first candidate of these nodes that gives every line, else NONE. of [word]: bits."""
    for i in range(count):
        if (of[candidate[i] >> 6] >> np.uint64(candidate[i] & 63)) & _ONE == 0:
            continue
        line = 0
        while line < lines and give[i, line] >= need[line]:
            line += 1
        if line == lines:
            return i
    return NONE


@leaf
def _two_may_cover(lines: int, need: I64, count: int, give: I32x2) -> bool:
    """The two nodes with most of a line must cover it, or no pair can."""
    for line in range(lines):
        best = 0
        second = 0
        for i in range(count):
            units = give[i, line]
            second = max(second, min(best, units))
            best = max(best, units)
        if best + second < need[line]:
            return False
    return True


@leaf
def _choose_pair(lines: int, need: I64, count: int, give: I32x2, chosen: U8) -> bool:
    """Mark the first pair by (nearer rank, farther rank) that covers every line."""
    if not _two_may_cover(lines, need, count, give):
        return False
    for i in range(count):
        for j in range(i + 1, count):
            line = 0
            while line < lines and give[i, line] + give[j, line] >= need[line]:
                line += 1
            if line == lines:
                chosen[i] = 1
                chosen[j] = 1
                return True
    return False


@leaf
def _choose_greedily(
    lines: int, need: I64, missing: I64, nodes_max: int, count: int, give: I32x2, chosen: U8
) -> int:  # fmt: skip
    """Mark, one after another, the node that gives most of the missing units. Returns the units still missing."""
    total = 0
    for line in range(lines):
        missing[line] = need[line]
        total += need[line]
    while total > 0 and nodes_max > 0:
        nodes_max -= 1
        best = NONE
        most = 0
        for i in range(count):
            if chosen[i] == 0:
                units = 0
                for line in range(lines):
                    units += min(missing[line], give[i, line])
                if units > most:
                    most = units
                    best = i
        if best == NONE:
            break
        chosen[best] = 1
        total -= most
        for line in range(lines):
            missing[line] -= min(missing[line], give[best, line])
    return total


@leaf
def _draw_all(
    first: int, last: int, merged: I32, rows: I32, batch: Batch, order: int, node: int, nearer: np.uint64, masks: U64,
    cells: Cells, places: Places, part: int, drawn: Drawn,
) -> int:  # fmt: skip
    """Every line takes everything from one node, and passes over those nearer ones that have it, full or not."""
    place, full = batch.postal_code[order], drawn.full[order, 0]
    for line in range(first, last):
        has = masks[merged[line - first]] | cells.stocked[rows[merged[line - first]], 0] & full
        drawn.passed[line, 0] = has & nearer
        _take(cells, rows[merged[line - first]], node, batch.quantity[line])
        part = _emit(drawn, part, node, batch.quantity[line], 0, places.metres[place, node])
        drawn.part_count[line] = 1
    return part


@leaf
def _draw_chosen(
    first: int, last: int, merged: I32, rows: I32, batch: Batch, place: int, to: I32, cells: Cells, places: Places,
    part: int, drawn: Drawn,
) -> int:  # fmt: skip
    """Every line takes everything from the node that was chosen for its SKU."""
    for line in range(first, last):
        node = to[merged[line - first]]
        _take(cells, rows[merged[line - first]], node, batch.quantity[line])
        part = _emit(drawn, part, node, batch.quantity[line], 0, places.metres[place, node])
        drawn.part_count[line] = 1
    return part


@leaf
def _draw(
    first: int, last: int, merged: I32, batch: Batch, order: int, count: int, candidate: I32, chosen: U8, give: I32x2,
    cells: Cells, fences: Fences, places: Places, part: int, drawn: Drawn,
) -> int:  # fmt: skip
    """Every line takes from the chosen nodes in rank order; what is left is short."""
    channel = batch.channel[order]
    place = batch.postal_code[order]
    for line in range(first, last):
        sku = batch.sku[line]
        row = cells.row_of[sku]
        left = batch.quantity[line]
        before = part
        for i in range(count):
            if chosen[i] == 0:
                continue
            units = min(left, give[i, merged[line - first]])
            if units == 0:
                continue
            node = candidate[i]
            fenced = 0
            if fences.head[sku] != NONE:
                fenced = min(units, own_backed(fences, sku, node, channel, cells.available[row, node]))
                draw_fence(fences, sku, node, channel, fenced)
            _take(cells, row, node, units)
            give[i, merged[line - first]] -= units
            left -= units
            part = _emit(drawn, part, node, units, fenced, places.metres[place, node])
            if left == 0:
                break
        if left > 0:
            part = _emit(drawn, part, NO_NODE, left, 0, 0)
        drawn.part_count[line] = part - before
    return part


@leaf
def _merge(batch: Batch, first: int, last: int, skus: I32, need: I64, merged: I32) -> int:
    """Lines of equal SKU become one need; merged[i] is the need that line first + i belongs to. Returns the needs."""
    lines = 0
    for line in range(first, last):
        known = 0
        while known < lines and skus[known] != batch.sku[line]:
            known += 1
        if known == lines:
            skus[lines] = batch.sku[line]
            need[lines] = 0
            lines += 1
        need[known] += batch.quantity[line]
        merged[line - first] = known
    return lines


@leaf
def _masks(
    lines: int, skus: I32, allowed: np.uint64, cells: Cells, fences: Fences, rows: I32, masks: U64
) -> bool:  # fmt: skip
    """The row of each SKU, and the allowed nodes that have it, as bits; False where a fence asks for a closer look."""
    for line in range(lines):
        sku = skus[line]
        if fences.head[sku] != NONE:
            return False
        row = cells.row_of[sku]
        rows[line] = row
        masks[line] = 0
        if row != NONE:
            masks[line] = cells.stocked[row, 0] & allowed
    return True


@leaf
def _every_and_some(lines: int, masks: U64) -> tuple[np.uint64, np.uint64]:
    """The nodes that have every line, and those that have any."""
    every, some = masks[0], masks[0]
    for line in range(1, lines):
        every &= masks[line]
        some |= masks[line]
    return every, some


@leaf
def _choose_one_or_pair(
    lines: int, need: I64, nodes_max: int, count: int, candidate: I32, give: I32x2, allowed: U64, preferred: U64,
    chosen: U8,
) -> bool:  # fmt: skip
    """Mark the first candidate that gives every line, a preferred one if there is, else the first pair that does;
    whether there is any.
    """
    chosen[:count] = 0
    one = _choose_one(lines, need, count, candidate, give, preferred)
    if one == NONE:
        one = _choose_one(lines, need, count, candidate, give, allowed)
    if one != NONE:
        chosen[one] = 1
        return True
    return nodes_max > 1 and _choose_pair(lines, need, count, give, chosen)


@leaf
def _nodes_max(batch: Batch, order: int, policies: Policies) -> int:
    """How many nodes may give to an order together."""
    if policies.split[batch.channel[order]] == 0:
        return 1
    return int(batch.nodes_max[order]) if batch.nodes_max[order] else NODES_MAX


@leaf
def _give_back(batch: Batch, order: int, part: int, cells: Cells, fences: Fences, drawn: Drawn) -> None:
    """Undo the claims of one order, whose parts begin at `part`."""
    for line in range(batch.first_line[order], batch.first_line[order + 1]):
        sku = batch.sku[line]
        row = cells.row_of[sku]
        for _ in range(drawn.part_count[line]):
            node = drawn.node[part]
            if node != NO_NODE:
                cells.available[row, node] += drawn.quantity[part]
                cells.stocked[row, node >> 6] |= _ONE << np.uint64(node & 63)
                if drawn.fenced[part] > 0:
                    refill_fence(fences, sku, node, batch.channel[order], drawn.fenced[part])
            part += 1


@leaf
def _settle(
    batch: Batch, order: int, part: int, cells: Cells, fences: Fences, capacity: Capacity, claims: bool,
    has_limits: bool, drawn: Drawn,
) -> None:  # fmt: skip
    """What is left to do for an order that has drawn, before the next one is decided."""
    if not claims:
        _give_back(batch, order, part, cells, fences, drawn)
    elif has_limits:
        take_capacity(batch, order, part, capacity, drawn)


@leaf
def _rest(
    batch: Batch, order: int, lines: int, need: I64, missing: I64, nodes_max: int, covered: bool, count: int,
    give: I32x2, policies: Policies, chosen: U8, drawn: Drawn,
) -> int:  # fmt: skip
    """Choose the nodes for an order that nobody covers, and say what becomes of it; the candidates that it draws from.

    covered: those that are chosen give everything.
    """
    units = need[:lines].sum()
    short = 0
    if not covered:
        short = units if nodes_max == 1 else _choose_greedily(lines, need, missing, nodes_max, count, give, chosen)
    if short > 0 and batch.complete[order] != 0:
        short, count = units, 0
    if short > 0 and policies.on_short[batch.channel[order]] == _REFUSE:
        drawn.part_count[batch.first_line[order] : batch.first_line[order + 1]] = 0
        drawn.outcome[order] = _REFUSED
    else:
        drawn.outcome[order] = _ALLOCATED if short == 0 else _SHORT if short == units else _PARTLY
    return count


class _Room(NamedTuple):
    """Room for one order: what is worked out of its lines and of the nodes that may give to it."""

    skus: I32  # [line] each once
    rows: I32  # [line] of cells
    merged: I32  # [line] which SKU
    need: I64  # [line] of equal SKUs together, so more than a line may ask for
    missing: I64  # [line]
    masks: U64  # [line]
    candidate: I32  # [node]
    chosen: U8  # [node]
    give: I32x2  # [candidate, line]
    allowed: U64  # [word]
    every: U64  # [word]
    choice: Choice


@allocating_leaf
def _room(batch: Batch, nodes: int, words: int) -> _Room:
    lines = 1  # of the longest order
    for order in range(batch.channel.size):
        lines = max(lines, batch.first_line[order + 1] - batch.first_line[order])
    return _Room(
        np.empty(lines, np.int32), np.empty(lines, np.int32), np.empty(lines, np.int32), np.empty(lines, np.int64),
        np.empty(lines, np.int64), np.empty(lines, np.uint64), np.empty(nodes, np.int32), np.empty(nodes, np.uint8),
        np.empty((nodes, lines), np.int32), np.empty(words, np.uint64), np.empty(words, np.uint64),
        room_for_choice(nodes),
    )  # fmt: skip


@leaf
def _decide(
    batch: Batch, nodes: int, cells: Cells, fences: Fences, policies: Policies, places: Places, prices: Prices,
    capacity: Capacity, claims: bool, drawn: Drawn, room: _Room,
) -> int:  # fmt: skip
    """The rule, order by order. Without `claims` each order gives back what it drew before the next one is decided."""
    skus, rows, merged, need, missing, masks, candidate, chosen, give, allowed, every_word, choice = room
    orders, has_limits = batch.channel.size, is_limited(capacity)
    part, before = 0, 0
    for order in range(orders):
        if order > 0:
            _settle(batch, order - 1, before, cells, fences, capacity, claims, has_limits, drawn)
        before = part
        fetch(batch, order, nodes, cells, fences, places, prices)
        first, last = batch.first_line[order], batch.first_line[order + 1]
        channel, place = batch.channel[order], batch.postal_code[order]
        lines, nodes_max = _merge(batch, first, last, skus, need, merged), _nodes_max(batch, order, policies)
        find_allowed(order, lines, need, channel, capacity, policies, allowed, drawn)
        drawn.rule[order] = _NEAREST
        if nodes <= 64 and _masks(lines, skus, allowed[0], cells, fences, rows, masks):
            every, some = _every_and_some(lines, masks)
            if prices.value.size and choose_by_price(
                lines, rows, need, allowed[0], nodes_max, place, nodes, cells, places, prices, choice
            ):
                if drawn.extra_cost.size:
                    note_extra_cost(first, last, merged, masks, batch, place, places, prices, choice, drawn)
                part = _draw_chosen(first, last, merged, rows, batch, place, choice.to, cells, places, part, drawn)
                drawn.outcome[order], drawn.rule[order] = _ALLOCATED, _PRICED
                note_passed(batch, order, before, nodes, cells, fences, policies, places, drawn)
                continue
            if every != 0:
                preferred = policies.preferred[channel, 0]
                node, nearer = nearest_that_gives_all(
                    lines, rows, need, every, preferred, place, nodes, cells, places
                )  # fmt: skip
                if node != NO_NODE:
                    part = _draw_all(
                        first, last, merged, rows, batch, order, node, nearer, masks, cells, places, part, drawn
                    )
                    drawn.outcome[order] = _ALLOCATED
                    continue
            count = 0
            if some != 0:
                count = _stocked_candidates(some, place, nodes, places, candidate)
            covered = nodes_max > 1 and first_pair(lines, rows, need, masks, count, candidate, cells)
            if covered:
                count = 2
            chosen[:count] = covered
            _look_at(lines, rows, count, candidate, cells, give)
        else:
            node = one_of_many(
                lines, skus, need, channel, allowed, place, nodes, cells, fences, policies, places, rows, every_word
            )  # fmt: skip
            covered = node != NO_NODE
            if covered:
                count, candidate[0], chosen[0] = 1, node, 1
                _look_at(lines, rows, count, candidate, cells, give)
            else:
                count = _candidates(lines, skus, channel, allowed, place, nodes, cells, fences, places, candidate, give)
                preferred_words = policies.preferred[channel]
                covered = _choose_one_or_pair(
                    lines, need, nodes_max, count, candidate, give, allowed, preferred_words, chosen
                )  # fmt: skip
        count = _rest(batch, order, lines, need, missing, nodes_max, covered, count, give, policies, chosen, drawn)
        if drawn.outcome[order] != _REFUSED:
            part = _draw(
                first, last, merged, batch, order, count, candidate, chosen, give, cells, fences, places, part, drawn
            )
        note_passed(batch, order, before, nodes, cells, fences, policies, places, drawn)
    if orders > 0:
        _settle(batch, orders - 1, before, cells, fences, capacity, claims, has_limits, drawn)
    return part


@allocating_kernel
def nearest(
    batch: Batch, nodes: int, cells: Cells, fences: Fences, policies: Policies, places: Places, prices: Prices,
    capacity: Capacity, drawn: Drawn,
) -> int:  # fmt: skip
    """Draw the parts of every order of the batch, in order; returns the number of parts written.

    Shapes as in kernels/columns.py. `drawn` has room for sum(min(quantity, nodes) + 1) parts. Writes `available`,
    `stocked`, the ring-fences' `remaining`, what nodes have left of their capacity, and `drawn`. Method: RULES.md; the
    pair step keeps an order in two shipments where plain line-by-line nearest would need more.
    """
    room = _room(batch, nodes, drawn.full.shape[1])
    return _decide(batch, nodes, cells, fences, policies, places, prices, capacity, True, drawn, room)


@allocating_kernel
def foresee(
    batch: Batch, nodes: int, cells: Cells, fences: Fences, policies: Policies, places: Places, prices: Prices,
    capacity: Capacity, drawn: Drawn,
) -> int:  # fmt: skip
    """What `nearest` would draw for each order of the batch if it came now and alone; returns the number of parts.

    Shapes as there. Each order's claims are taken and given back before the next one, so only `drawn` is changed when
    it is done; nobody else may look at the stock meanwhile.
    """
    room = _room(batch, nodes, drawn.full.shape[1])
    return _decide(batch, nodes, cells, fences, policies, places, prices, capacity, False, drawn, room)


def parts_max(quantity: I32, nodes: int) -> int:
    """Room that `nearest` may need for the parts of these lines."""
    return int(np.minimum(quantity, nodes).sum()) + quantity.size


def empty_drawn(orders: int, lines: int, parts: int, nodes: int, extra_cost: bool = False) -> Drawn:
    """Output columns for a batch. extra_cost: with that of lines that prices decide; the others have NONE."""
    return Drawn(
        np.empty(orders, np.uint8), np.empty(lines, np.int32), np.empty(parts, np.int16), np.empty(parts, np.int32),
        np.empty(parts, np.int32), np.empty(parts, np.int32), np.empty(orders, np.uint8),
        empty_passed(lines, nodes), empty_passed(orders, nodes), np.full(lines if extra_cost else 0, NONE, np.int64),
    )  # fmt: skip
