"""Which updates of ATS matter most: how fast a SKU sells, what an update that is not sent will cost, what to hold back.

server/workers/ranking.py calls these over a channel's pending updates; benchmarks/sync_replay.py calls the same leaves
inside its loop. Demand over a time is taken as Poisson. Times are seconds of any clock that only goes forward.
"""

import math
from typing import NamedTuple

from kernels.options import F64, I32, I64, U8, kernel, leaf

_EXACT_MEAN_MAX = 200.0  # units: beyond it the normal distribution does
_FACTORIAL_MAX = 20  # largest count whose probability is multiplied out: quicker than by logarithms
_NEGLIGIBLE = 1e-15  # of a sum: terms that no longer change it


class Sales(NamedTuple):
    """What was seen of each SKU, all [sku]; what is longer ago counts less."""

    units: F64  # sold
    seconds: F64  # on sale
    seen: F64  # when the two were last brought up to date
    on_sale: U8  # since then; a SKU that cannot be bought shows nothing of its demand


@leaf
def observe(sales: Sales, sku: int, drop: float, on_sale: int, now: float, memory_s: float) -> None:
    """Take in `drop` units sold until now; `on_sale` is what holds from now on. Time without stock is left out."""
    if sales.on_sale[sku]:
        keep = math.exp((sales.seen[sku] - now) / memory_s)
        sales.units[sku] *= keep
        sales.seconds[sku] = sales.seconds[sku] * keep + memory_s * (1.0 - keep)
    sales.units[sku] += drop
    sales.seen[sku] = now
    sales.on_sale[sku] = on_sale


@leaf
def velocity_at(sales: Sales, sku: int, now: float, memory_s: float, prior: float, prior_s: float) -> float:
    """Units a second: what was seen, and `prior` as if it had been seen for `prior_s` seconds.

    The mean of a gamma distribution after Poisson counts (Gelman and others, Bayesian Data Analysis, section 2.6).
    """
    units, seconds = sales.units[sku], sales.seconds[sku]
    if sales.on_sale[sku]:
        keep = math.exp((sales.seen[sku] - now) / memory_s)
        units *= keep
        seconds = seconds * keep + memory_s * (1.0 - keep)
    return (units + prior * prior_s) / (seconds + prior_s)


@leaf
def chance_of(units: int, mean: float) -> float:
    """P(D = units) for Poisson D with mean > 0."""
    if units > _FACTORIAL_MAX:
        return math.exp(units * math.log(mean) - mean - math.lgamma(units + 1.0))
    chance = math.exp(-mean)
    for count in range(1, units + 1):
        chance *= mean / count
    return chance


@leaf
def demand_over(units: int, mean: float) -> float:
    """E[max(0, D - units)] for Poisson D: the first-order loss function of stock control (Zipkin, Foundations of
    Inventory Management, 2000, section C.2). Only sums of positive terms, so that small results keep their digits;
    above _EXACT_MEAN_MAX by the normal distribution with a term for skewness, to within 0.01 units.
    """
    if mean <= 0.0:
        return 0.0
    if units <= 0:
        return mean - units
    if mean > _EXACT_MEAN_MAX:
        deviation = math.sqrt(mean)
        z = (units - mean) / deviation
        density = math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
        skewed = z * density / 6.0  # Poisson is not quite symmetrical: the first term of Edgeworth's series
        return max(0.0, deviation * (density - z * 0.5 * math.erfc(z / math.sqrt(2.0))) + skewed)
    if units < mean:
        over, chance = mean - units, math.exp(-mean)
        for count in range(units):
            over += (units - count) * chance
            chance *= mean / (count + 1)
        return over
    over, count, chance = 0.0, units + 1, chance_of(units + 1, mean)
    while chance > 0.0:
        term = (count - units) * chance
        over += term
        if term < _NEGLIGIBLE * over:
            break
        count += 1
        chance *= mean / count
    return over


@leaf
def cost_of_waiting(told: int, units: int, mean: float, lost_weight: float) -> float:
    """Units oversold where the channel shows `told` > `units`; lost where it shows less, times `lost_weight`.

    With demand D they are E[max(0, min(D, told) - units)] and E[max(0, min(D, units) - told)]: a difference of two
    values of the loss function.
    """
    if told == units or mean <= 0.0:
        return 0.0
    if told > units:
        return max(0.0, demand_over(units, mean) - demand_over(told, mean))
    return lost_weight * max(0.0, demand_over(told, mean) - demand_over(units, mean))


@leaf
def held_back(mean: float, lost_weight: float, units_max: int) -> int:
    """Least units b with P(D > b) <= w / (1 + w) for Poisson D, the others' sales: the newsvendor's critical fractile.

    A unit more on show loses 1 where the others sell it first, and gains `lost_weight` = w where they do not.
    """
    tail = lost_weight / (1.0 + lost_weight)
    if mean <= 0.0 or math.isinf(lost_weight):
        return 0
    if mean > _EXACT_MEAN_MAX:
        mean_share = mean + _normal_quantile(1.0 - tail) * math.sqrt(mean)
        return int(min(max(0.0, math.ceil(mean_share - 0.5)), units_max))
    units, chance = 0, math.exp(-mean)
    below = chance
    while 1.0 - below > tail and units < units_max:
        units += 1
        chance *= mean / units
        below += chance
    return units


@leaf
def _normal_quantile(share: float) -> float:
    """The standard normal's quantile by halving an interval: within 1e-9, for shares from 1e-15 to 1 - 1e-15."""
    low, high = -8.0, 8.0
    for _ in range(34):
        middle = 0.5 * (low + high)
        if 0.5 * math.erfc(-middle / math.sqrt(2.0)) < share:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


@leaf
def _before(cost: float, since: float, row: int, other_cost: float, other_since: float, other_row: int) -> bool:
    """The greater cost first, then the older, then the lower row."""
    if cost != other_cost:
        return cost > other_cost
    if since != other_since:
        return since < other_since
    return row < other_row


@leaf
def pick(cost: F64, since: F64, count: int, rows: int, chosen: I64) -> int:
    """chosen[:n]: of the first `rows` rows, the n = min(count, rows) that come first, the last of them in front.

    A heap of `count` rows: one look at each row, and few of them enter.
    """
    n = 0
    for row in range(rows):
        if n < count:
            place = n  # rises in the heap past those it comes after
            n += 1
            while place > 0:
                parent = (place - 1) >> 1
                other = chosen[parent]
                if not _before(cost[other], since[other], other, cost[row], since[row], row):
                    break
                chosen[place] = other
                place = parent
            chosen[place] = row
        elif n and _before(cost[row], since[row], row, cost[chosen[0]], since[chosen[0]], chosen[0]):
            place = 0  # takes the place of the last, sinks
            while True:
                child = 2 * place + 1
                if child >= n:
                    break
                if child + 1 < n:
                    left, right = chosen[child], chosen[child + 1]
                    if _before(cost[left], since[left], left, cost[right], since[right], right):
                        child += 1
                other = chosen[child]
                if not _before(cost[row], since[row], row, cost[other], since[other], other):
                    break
                chosen[place] = other
                place = child
            chosen[place] = row
    return n


@kernel
def observe_drops(sales: Sales, sku: I32, drop: F64, on_sale: U8, now: float, memory_s: float) -> None:
    """Take in what SKUs sold until now: sku, drop, on_sale are [row]. Writes sales."""
    for row in range(sku.size):
        observe(sales, sku[row], drop[row], on_sale[row], now, memory_s)


@kernel
def velocities(
    sales: Sales, sku: I32, now: float, memory_s: float, prior: float, prior_s: float, velocity: F64
) -> None:
    """velocity [row]: units a second of each sku [row] now. Writes velocity."""
    for row in range(sku.size):
        velocity[row] = velocity_at(sales, sku[row], now, memory_s, prior, prior_s)


@kernel
def costs_of_waiting(told: I64, units: I64, mean: F64, lost_weight: float, cost: F64) -> None:
    """cost [row]: cost_of_waiting of each row, in units. Writes cost."""
    for row in range(told.size):
        cost[row] = cost_of_waiting(told[row], units[row], mean[row], lost_weight)


@kernel
def buffers(mean: F64, lost_weight: float, units_max: int, units: I64) -> None:
    """units [row]: held_back for each row. Writes units."""
    for row in range(mean.size):
        units[row] = held_back(mean[row], lost_weight, units_max)


@kernel
def pick_rows(cost: F64, since: F64, count: int, chosen: I64) -> int:
    """chosen [count]: rows of the greatest cost, the older first where equal, in no order. Returns how many."""
    return pick(cost, since, count, cost.size, chosen)
