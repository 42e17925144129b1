"""What P5 writes down: gaps over the best bound of all, a section of its own; and HiGHS beside the plan, where it is
installed."""

import itertools
import math
from pathlib import Path

import pytest

from benchmarks.facility_location import Family
from benchmarks.least_cost_results import BEGIN, END, PLOT, Case, write_results
from benchmarks.least_cost_world import Found, check, instance
from benchmarks.p5_least_cost import _rows
from engine.planning import plan
from tests import real_data

NAN = math.nan


def case(level: float) -> Case:
    found = {
        "nearest": Found(121.0, NAN, 0.1, [(0.1, "cost", 121.0)]),
        "least-cost": Found(111.1, 109.0, 0.4, [(0.2, "bound", 100.0), (0.3, "bound", 109.0), (0.4, "cost", 111.1)]),
        "HiGHS LP": Found(NAN, 110.0, 2.0, [(2.0, "bound", 110.0)]),
    }
    return Case("single lines", 2_000, 2_000, level, found)


def test_a_gap_is_over_the_best_bound_of_all_methods() -> None:
    assert case(1.0).bound == 110.0
    assert case(1.0).above("least-cost") == pytest.approx(1.0)
    assert case(1.0).above("nearest") == pytest.approx(10.0)


@pytest.mark.parametrize(("bound", "seconds", "meets"), [(110.8, 0.4, True), (110.0, 0.4, False), (110.8, 1.1, False)])
def test_a_goal_is_over_the_plans_own_bound_and_within_its_seconds(bound: float, seconds: float, meets: bool) -> None:
    found = {
        "nearest": Found(121.0, NAN, 0.1, []), "least-cost": Found(111.1, bound, seconds, []),
        "HiGHS LP": Found(NAN, 111.0, 2.0, []),
    }  # fmt: skip
    (row,) = [row for row in _rows(Case("single lines", 2_000, 2_000, 1.0, found)) if row.goal]
    assert (row.meets, row.goal) == (meets, "0.4% over its own bound, in 1 s")


def test_the_section_is_made_and_replaced_and_the_others_stay(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    results = tmp_path / "RESULTS.md"
    results.write_text("# Results\n\nothers stay\n")
    for level in (1.0, 2.0):
        write_results(tmp_path, [case(level)], [Family("cap", 6, 0, 0.0, -0.25)])
        text = results.read_text()
        assert [text.count(mark) for mark in (BEGIN, END, "others stay")] == [1, 1, 1]
        assert f"| single lines | 2,000 | {level:g} | least-cost | 111 | 109 | 1.000% | 0.4 |" in text
        assert f"| single lines | 2,000 | {level:g} | HiGHS LP |  | 110 |  | 2 |" in text
        assert "| cap | 6 | 0 | +0.0000% | -0.2500% |" in text
        assert (tmp_path / PLOT).read_text().count("<svg") == 1


@pytest.mark.skipif(not real_data.available(), reason="the real report is not beside this clone")
def test_highs_comes_between_bound_and_cost_of_the_plan_and_tells_ever_better_figures() -> None:
    pytest.importorskip("highspy")
    from benchmarks.highs import linear, mixed

    given = instance(1.2, 1_000, 5, 100)
    made, relaxed, best = plan(given.demand, given.costs, given.stock), linear(given), mixed(given, 30.0)
    check(given, made)
    assert relaxed.bound <= best.cost * (1 + 1e-9)
    assert made.bound <= best.cost * (1 + 1e-9)
    assert best.bound <= best.cost * (1 + 1e-9) <= made.cost * (1 + 1e-8)
    costs, bounds = ([figure for _, what, figure in best.told if what == name] for name in ("cost", "bound"))
    assert all(later <= earlier for earlier, later in itertools.pairwise(costs))
    assert all(later >= earlier for earlier, later in itertools.pairwise(bounds))
