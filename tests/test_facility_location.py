"""Published optima of facility location against plans of least cost: those that map (benchmarks/facility_location.py).

Which sites to open is found by a mixed integer program (HiGHS, by SciPy); that its optimum is the published one says
that the files are read as they are meant.
"""

import itertools

import numpy as np
import pytest
from scipy.optimize import linprog

from benchmarks.facility_location import FAMILIES, OPTIMUM_DIGITS, Instance, as_least_cost, instances, opened
from engine.planning import plan
from tests import real_data

pytestmark = pytest.mark.skipif(not real_data.available(), reason="the published instances are not beside this clone")
COUNTS = {"orlib_cap": 6, "sscflp_holmberg": 36, "sscflp_delmaire": 29, "sscflp_yang_30x200": 3}


def cases(family: str, count: int | None = None) -> list[Instance]:
    return list(itertools.islice(instances(family), count)) if real_data.available() else []


def transported(case: Instance, sites: np.ndarray) -> float:
    """The linear program of serving all demand from open sites."""
    customers = case.demand.size
    by_customer = np.kron(np.eye(customers), np.ones(sites.size))
    held = np.kron(case.demand.astype(float), np.eye(sites.size))
    solved = linprog(
        case.cost[:, sites].ravel(), held, case.capacity[sites], by_customer, np.ones(customers), method="highs"
    )
    assert solved.success
    return float(solved.fun)


@pytest.mark.parametrize("family", FAMILIES)
def test_all_that_is_published_is_read(family: str) -> None:
    read = cases(family)
    assert len(read) == COUNTS[family]
    for case in read:
        assert case.cost.shape == (case.demand.size, case.capacity.size)
        assert (case.demand > 0).all()
        assert case.capacity.sum() >= case.demand.sum()


@pytest.mark.parametrize("case", cases("orlib_cap"), ids=lambda case: case.name)
def test_where_demand_may_be_divided_cost_and_bound_are_the_published_optimum(case: Instance) -> None:
    sites, value = opened(case)
    assert value == pytest.approx(case.optimum, abs=OPTIMUM_DIGITS)
    made = plan(*as_least_cost(case, sites))
    opening = case.opening[sites].sum()
    assert opening + made.cost == pytest.approx(case.optimum, abs=OPTIMUM_DIGITS)
    assert opening + made.bound == pytest.approx(case.optimum, abs=OPTIMUM_DIGITS)


@pytest.mark.parametrize("case", cases("orlib_cap"), ids=lambda case: case.name)
def test_no_other_sites_come_below_the_published_optimum(case: Instance) -> None:
    chance = np.random.default_rng(3)
    for share in (0.2, 0.5, 1.0):
        sites = np.flatnonzero(chance.random(case.capacity.size) < share)
        made = plan(*as_least_cost(case, sites))
        assert case.opening[sites].sum() + made.bound >= case.optimum - OPTIMUM_DIGITS


@pytest.mark.parametrize("case", cases("sscflp_holmberg", 6) + cases("sscflp_delmaire", 1), ids=lambda case: case.name)
def test_with_one_site_for_each_customer_the_bound_is_below_and_the_plan_is_the_linear_program(case: Instance) -> None:
    sites, value = opened(case)
    assert value == pytest.approx(case.optimum, abs=OPTIMUM_DIGITS)
    made = plan(*as_least_cost(case, sites))
    opening, least = case.opening[sites].sum(), transported(case, sites)
    assert made.cost == pytest.approx(least, rel=1e-9)
    assert made.bound == pytest.approx(least, rel=1e-9)
    assert 0.9 * case.optimum < opening + made.bound < case.optimum
