"""P5: least cost over a batch of real orders, beside nearest and, by HiGHS, the linear and the mixed integer program.

Each method of an instance has its cost, how far that is over the best bound that any of them proves, and its seconds;
and the published optima of facility location. `python -m benchmarks --only P5`; without `--quick` its tables and its
plot go into benchmarks/RESULTS.md (benchmarks/least_cost_results.py).
"""

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks import facility_location
from benchmarks.highs import linear, mixed
from benchmarks.least_cost_results import Case, write_results
from benchmarks.least_cost_world import Found, Instance, check, instance, nearest_cost
from benchmarks.row import Row
from engine.planning import plan

STOCK = (0.8, 1.0, 1.2, 2.0)  # units over the units ordered
BASKET_LINES = 5
MIP_SECONDS, MIP_SECONDS_QUICK = 600.0, 10.0


class Size(NamedTuple):
    """Instances of one size, and what can be solved exactly in it."""

    what: str
    lines_max: int  # of the report
    basket: int  # lines of an order, at most
    orders_max: int | None
    linear: bool
    mixed: bool


SIZES = (
    Size("single lines", 30_000, 1, None, linear=True, mixed=False),
    Size("300 baskets", 3_000, BASKET_LINES, 300, linear=True, mixed=True),
    Size("2,000 baskets", 6_000, BASKET_LINES, 2_000, linear=True, mixed=True),
    Size("baskets", 30_000, BASKET_LINES, None, linear=False, mixed=False),
)
GOALS = {  # percent over the bound that the plan itself proves, and seconds, by what and level of stock
    ("single lines", 1.0): (0.4, 1.0), ("single lines", 1.2): (0.3, 1.0), ("single lines", 2.0): (0.2, 1.0),
    ("baskets", 1.0): (3.5, 2.0), ("baskets", 1.2): (3.0, 2.0), ("baskets", 2.0): (2.0, 2.0),
}  # fmt: skip
TO_THE_UNIT = 0.0005  # percent over what the MIP finds, of the 300 baskets
SIZES_QUICK = (
    Size("single lines", 3_000, 1, None, linear=True, mixed=False),
    Size("100 baskets", 3_000, BASKET_LINES, 100, linear=True, mixed=True),
    Size("baskets", 3_000, BASKET_LINES, None, linear=False, mixed=False),
)


def rows(quick: bool = False) -> Iterator[Row]:
    """Each size at each level of stock, then the published optima."""
    cases = []
    for size in SIZES_QUICK if quick else SIZES:
        for level in STOCK:
            case = solved(size, level, MIP_SECONDS_QUICK if quick else MIP_SECONDS)
            cases.append(case)
            yield from _rows(case)
    published = list(facility_location.compared(quick))
    yield from (_published(family) for family in published)
    if not quick:
        write_results(Path(__file__).parent, cases, published)


def solved(size: Size, level: float, seconds_max: float) -> Case:
    """One instance by every method that its size allows."""
    given = instance(level, size.lines_max, size.basket, size.orders_max)
    found = {"nearest": _nearest(given), "least-cost": _planned(given)}
    if size.linear:
        found["HiGHS LP"] = linear(given)
    if size.mixed:
        found["HiGHS MIP"] = mixed(given, seconds_max)
    return Case(size.what, given.demand.zone.size, given.demand.sku.size, level, found)


def _nearest(given: Instance) -> Found:
    began = time.perf_counter()
    cost = nearest_cost(given)
    seconds = time.perf_counter() - began
    return Found(cost, math.nan, seconds, [(seconds, "cost", cost)])


def _planned(given: Instance) -> Found:
    told: list[tuple[float, str, float]] = []
    began = time.perf_counter()
    made = plan(
        given.demand, given.costs, given.stock,
        watch=lambda what, figure: told.append((time.perf_counter() - began, what, figure)),
    )  # fmt: skip
    seconds = time.perf_counter() - began
    check(given, made)
    return Found(made.cost, made.bound, seconds, told)


def _rows(case: Case) -> Iterator[Row]:
    nearest = case.above("nearest")
    for method, found in case.found.items():
        if math.isnan(found.cost):
            what, unit, peers = f"(bound {found.bound:,.0f}", "% under", {}
            value = 100 * (1 - found.bound / case.bound)
        else:
            what, unit = f"(cost {found.cost:,.0f}", "% over"
            value, peers = case.above(method), {} if method == "nearest" else {"nearest": nearest}
        name = f"{case.what}, stock {case.level:g}: {method} {what}, {found.seconds:.3g} s)"
        row = Row("P5", name, value, unit, peers)
        yield _judged(row, case, found) if method == "least-cost" else row


def _judged(row: Row, case: Case, found: Found) -> Row:
    """The plan's row, with its goal where it has one."""
    exact = case.found.get("HiGHS MIP")
    if case.what == "300 baskets" and exact is not None:
        return row.judged("what the MIP finds, at most", found.cost <= exact.cost * (1 + TO_THE_UNIT / 100))
    if (case.what, case.level) not in GOALS:
        return row
    most, seconds = GOALS[case.what, case.level]
    over = 100 * (found.cost / found.bound - 1)
    return row.judged(f"{most:g}% over its own bound, in {seconds:g} s", over <= most and found.seconds <= seconds)


def _published(family: facility_location.Family) -> Row:
    what = f"{family.name}, {family.instances} published optima: the plan's cost over them"
    return Row("P5", what, family.cost, "%", {"its bound": family.bound})
