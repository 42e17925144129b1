"""Ruin and recreate: orders that compete for SKUs are taken out together, and put back one after the other in a turn of
their own, each with a blurred view of what nodes cost; what comes to less is kept.

Source: G. Schrimpf, J. Schneider, H. Stamm-Wilbrandt, G. Dueck, "Record breaking optimization results using the ruin
and recreate principle", 2000; the blur: S. Ropke, D. Pisinger, "An adaptive large neighborhood search heuristic for the
pickup and delivery problem with time windows", 2006. Groups, turns and blur are drawn by a generator that always begins
alike, so the same demand gets the same plan.
"""

import numpy as np

from kernels.moves import GROUP_MAX, MOVED_UNITS_MAX, WINDOW, AnyUnits, Work, room_for_work, size_of
from kernels.options import I32, U64, allocating_kernel, leaf
from kernels.pricing import Costs
from kernels.repair import put_back, settle, take_out

_SEED = np.uint64(0x9E3779B97F4A7C15)
_BLUR_STEPS = 1024
_DRAWS = 4  # for each place in a group


@leaf
def _draw(chance: U64, below: int) -> int:
    """A whole number from 0 on, below another (G. Marsaglia, "Xorshift RNGs", 2003)."""
    x = chance[0]
    x ^= x << np.uint64(13)
    x ^= x >> np.uint64(7)
    x ^= x << np.uint64(17)
    chance[0] = x
    return int((x >> np.uint64(33)) % np.uint64(below))


@leaf
def _gather(units: AnyUnits, order: int, most: int, chance: U64, group: I32) -> int:
    """Orders around one, each of which shares a SKU with another of them; how many."""
    group[0], count = order, 1
    for _ in range(_DRAWS * most):
        if count == most:
            break
        one = group[_draw(chance, count)]
        sku = units.sku[units.first[one] + _draw(chance, size_of(units, one))]
        begin, end = units.sku_first[sku], units.sku_first[sku + 1]
        other, known = units.order[units.by_sku[begin + _draw(chance, int(end - begin))]], 0
        while known < count and group[known] != other:
            known += 1
        if known == count and size_of(units, other) <= MOVED_UNITS_MAX:
            group[count] = other
            count += 1
    for at in range(count - 1, 0, -1):
        to = _draw(chance, at + 1)
        group[at], group[to] = group[to], group[at]
    return count


@leaf
def _looks(units: AnyUnits, first: int, count: int) -> int:
    """At how many units one looks to put these back, and as many as the search for room takes the time of."""
    nodes = units.room.shape[1]
    looks = count * (nodes * nodes * nodes >> 10)  # for the search for room
    for unit in range(first, first + count):
        looks += units.sku_first[units.sku[unit] + 1] - units.sku_first[units.sku[unit]]
    return int(looks)


@leaf
def _blur(most: float, chance: U64, work: Work) -> None:
    for k in range(work.blur.shape[0]):
        for node in range(work.blur.shape[1]):
            work.blur[k, node] = most * _draw(chance, _BLUR_STEPS) / _BLUR_STEPS


@allocating_kernel
def ruin(units: AnyUnits, costs: Costs, orders: I32, tries: int, looks_max: int, blur: float) -> float:
    """Try groups around these orders, of MOVED_UNITS_MAX units at most each; the change of cost. Of an order with more
    units than WINDOW, so many that stand side by side are taken out.

    looks_max: at units, over all tries; blur: of the cost of a unit at most, in every other try.
    """
    net, work = room_for_work(units, costs)
    group, chance, total, looks = np.empty(GROUP_MAX, np.int32), np.full(1, _SEED, np.uint64), 0.0, 0
    first, taken = np.empty(GROUP_MAX, np.int32), np.empty(GROUP_MAX, np.int32)
    for done in range(tries):
        if looks > looks_max:
            break
        count = _gather(units, orders[_draw(chance, orders.size)], 1 + _draw(chance, GROUP_MAX), chance, group)
        work.logged[0], change = 0, 0.0
        for at in range(count):
            size = size_of(units, group[at])
            taken[at] = min(size, WINDOW)
            first[at] = units.first[group[at]] + _draw(chance, size - taken[at] + 1)
            looks += _looks(units, first[at], taken[at])
            change += take_out(units, costs, first[at], taken[at], work)
        for at in range(count):
            if done % 2 == 1:
                _blur(blur, chance, work)
            change += put_back(units, costs, group[at], first[at], taken[at], net, work)
        work.blur[:] = 0.0
        total += settle(units, costs, change, work)
    return total
