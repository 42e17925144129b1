"""Published instances of facility location as problems of least cost, their optimum known: which of them map, and how.

A site is a node, a customer a postal code, its demand so many orders of one unit of one SKU, the cost of serving it a
fee a unit. What a site costs to open is no fee of allot's, which are paid for shipments and units; so a mixed integer
program (HiGHS, through SciPy) opens the sites, its optimum is compared with the published one, and what they cost is
added.

- OR-Library's cap files (capacity is as large as all demand) map whole: bound and cost are the published optimum.
- Of the single-source files the bound maps, the plan does not. In them each customer has one site. A plan may divide
  what a channel lets it divide, and where it may not, nearest decides. So the plan is that of the transportation
  problem: its cost is the linear program's, and so is its bound, which the published optimum cannot be below. A fee for
  each shipment makes dividing dear, but does not forbid it: in these files 1 to 12 customers stay divided.
"""

import csv
import io
import itertools
import zipfile
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp

from engine.planning import Demand, plan
from kernels.pricing import Costs
from tests import real_data

FAMILIES = ("orlib_cap", "sscflp_holmberg", "sscflp_delmaire", "sscflp_yang_30x200")
MIP_SECONDS = 10.0  # for opening the sites of one
OPTIMUM_DIGITS = 2e-3  # the published optima have three digits after the point


class Instance(NamedTuple):
    """Sites that may be opened, customers to be served, and what the best costs."""

    name: str
    single_source: bool  # each customer has one site
    capacity: NDArray[np.int64]  # [site] units
    opening: NDArray[np.float64]  # [site]
    demand: NDArray[np.int64]  # [customer] units
    cost: NDArray[np.float64]  # [customer, site] of the whole demand
    optimum: float


def instances(family: str) -> Iterator[Instance]:
    """All of one of FAMILIES, in the order of its list of optima."""
    folder = real_data.DATA / "facility_location"
    with (folder / f"{family}_optimal.csv").open() as file:
        optima = [(row["instance"], float(row["optimal_cost"])) for row in csv.DictReader(file)]
    with zipfile.ZipFile(folder / f"{family}_instances.zip") as files:
        for name, optimum in optima:
            figures = iter(io.TextIOWrapper(files.open(f"{name}.txt")).read().split())
            read = _orlib if family.startswith("orlib") else _single_source
            yield Instance(f"{family} {name}", read is _single_source, *read(figures), optimum)


def _orlib(figures: Iterator[str]) -> tuple[NDArray[np.int64], ...]:
    sites, customers = int(next(figures)), int(next(figures))
    pairs = np.array([(float(next(figures)), float(next(figures))) for _ in range(sites)])
    rows = np.array([[float(next(figures)) for _ in range(1 + sites)] for _ in range(customers)])
    return pairs[:, 0].astype(np.int64), pairs[:, 1], rows[:, 0].astype(np.int64), rows[:, 1:]


def _single_source(figures: Iterator[str]) -> tuple[NDArray[np.int64], ...]:
    sites, customers = int(next(figures)), int(next(figures))
    values = np.array([float(figure) for figure in figures])
    capacity, opening, demand, cost = np.split(values, np.cumsum([sites, sites, customers]))
    return capacity.astype(np.int64), opening, demand.astype(np.int64), cost.reshape(customers, sites)


class Family(NamedTuple):
    """What came of the instances of a family whose sites could be opened for certain."""

    name: str
    instances: int
    left_out: int  # whose sites were not found in the time
    cost: float  # percent over the published optima, the mean
    bound: float


def compared(quick: bool = False) -> Iterator[Family]:
    """Each family's plans against its published optima; the first three instances of each where it must be quick."""
    for family in FAMILIES:
        over, left_out = [], 0
        for case in itertools.islice(instances(family), 3 if quick else None):
            sites, value = opened(case)
            if abs(value - case.optimum) > OPTIMUM_DIGITS:
                left_out += 1
                continue
            made = plan(*as_least_cost(case, sites))
            opening = case.opening[sites].sum()
            over.append([100 * ((opening + figure) / case.optimum - 1) for figure in (made.cost, made.bound)])
        if over:
            yield Family(family, len(over), left_out, *np.mean(over, axis=0).tolist())


def as_least_cost(case: Instance, sites: NDArray[np.int64]) -> tuple[Demand, Costs, NDArray[np.int32]]:
    """Demand, costs and stock of what is left to decide when some sites are open: arguments of `plan`."""
    customers, units = case.demand.size, int(case.demand.sum())
    unit = np.ascontiguousarray(case.cost[:, sites] / case.demand[:, None])
    zone = np.repeat(np.arange(customers, dtype=np.int32), case.demand)
    demand = Demand(np.arange(units + 1), zone, np.zeros(units, np.int32), np.ones(units, np.int32))
    stock = np.minimum(case.capacity[sites], units).astype(np.int32)
    return demand, Costs(np.zeros_like(unit), unit, 2 * unit.max() + 1), stock[None]


def opened(case: Instance, seconds_max: float = MIP_SECONDS) -> tuple[NDArray[np.int64], float]:
    """The sites that a mixed integer program opens, and the cost that it comes to."""
    customers, sites = case.cost.shape
    served, size = customers * sites, customers * sites + sites
    each, at = np.divmod(np.arange(served), sites)
    ones = np.ones(served)
    every = np.arange(served)
    by_customer = sparse.csr_array((ones, (each, every)), (customers, size))
    held = sparse.csr_array((case.demand[each].astype(float), (at, every)), (sites, size)) - sparse.csr_array(
        (case.capacity.astype(float), (np.arange(sites), served + np.arange(sites))), (sites, size)
    )
    only_open = sparse.csr_array((ones, (every, every)), (served, size)) - sparse.csr_array(
        (ones, (every, served + at)), (served, size)
    )
    whole = np.ones(size) if case.single_source else np.append(np.zeros(served), np.ones(sites))
    solved = milp(
        np.append(case.cost.ravel(), case.opening), integrality=whole, bounds=Bounds(0, 1),
        constraints=[LinearConstraint(by_customer, 1, 1), LinearConstraint(held, -np.inf, 0),
                     LinearConstraint(only_open, -np.inf, 0)],
        options={"time_limit": seconds_max, "mip_rel_gap": 1e-7},
    )  # fmt: skip
    return np.flatnonzero(solved.x[served:] > 0.5), float(solved.fun)
