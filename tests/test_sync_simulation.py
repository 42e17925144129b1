"""The simulation of stock sync: no unit is lost count of, and the policies differ only where the budget is short."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks import sync_simulation
from benchmarks.sync_replay import Outcome, Policy, play
from benchmarks.sync_results import BEGIN, END, PLOT, summary, write_results
from benchmarks.sync_simulation import at_lost, compare, runs_of, way_of
from benchmarks.sync_world import DAY_SECONDS, Asked, World, draw_world, first_days, read_asked
from tests import real_data

SKUS, DAYS, ORDERS = 60, 6, 2_400


def asked(seed: int = 0) -> Asked:
    """Made-up orders: few SKUs of unlike popularity, so that a small budget is short."""
    draws = np.random.default_rng(seed)
    popularity = 1 / (1 + np.arange(SKUS))
    sku = draws.choice(SKUS, ORDERS, p=popularity / popularity.sum()).astype(np.int32)
    day = np.sort(draws.integers(0, DAYS, ORDERS))
    return Asked(day, np.arange(ORDERS), sku, draws.choice([1, 1, 1, 2], ORDERS), SKUS)


def one_a_second(world: World) -> World:
    """The same lines, no two in a second."""
    second = np.arange(world.second.size)
    return world._replace(second=second, seconds=second.size + 1)


@pytest.mark.parametrize("policy", Policy)
@pytest.mark.parametrize(("lag", "rate", "weight"), [(1, 0.1, math.inf), (60, 1, 0.3), (900, 100, 0.1)])
def test_what_is_asked_for_is_sold_oversold_lost_or_unmet(policy: Policy, lag: int, rate: float, weight: float):
    world = draw_world(asked(), 1)
    found = play(world, way_of(policy, lag, rate, weight))
    assert found.demand == world.units.sum() == found.sold + found.oversold + found.lost + found.unmet
    assert found.sold <= world.opening.sum() + world.restock_units.sum()
    assert found.sent <= world.channels * (rate * world.seconds + max(rate, 1))


@pytest.mark.parametrize("policy", Policy)
def test_without_lag_and_limit_nothing_is_oversold_or_lost(policy: Policy):
    found = play(one_a_second(draw_world(asked(), 2)), way_of(policy, 0, math.inf, math.inf))
    assert (found.oversold, found.lost, found.pending) == (0, 0, 0)
    assert found.unmet > 0


def test_the_same_seed_is_the_same_world_and_result():
    worlds = [draw_world(asked(), seed) for seed in (3, 3, 4)]
    way = way_of(Policy.RISK, 60, 1, 0.5)
    assert all(np.array_equal(a, b) for a, b in zip(worlds[0], worlds[1], strict=True))
    assert play(worlds[0], way) == play(worlds[1], way) != play(worlds[2], way)


def test_a_world_keeps_the_orders_and_their_days():
    orders, world = asked(), draw_world(asked(), 5)
    assert world.units.sum() == orders.units.sum()
    assert (np.diff(world.second) >= 0).all()
    assert (np.diff(world.restock_second) >= 0).all()
    for day in range(DAYS):
        there = world.sku[world.second // DAY_SECONDS == day]
        assert sorted(there.tolist()) == sorted(orders.sku[orders.day == day].tolist())


def test_a_budget_beyond_what_changes_makes_all_policies_alike():
    world = draw_world(asked(), 6)
    assert len({play(world, way_of(policy, 60, 10_000, 0.5)) for policy in Policy}) == 1


def test_with_a_short_budget_risk_ranked_oversells_and_loses_less_than_first_in_first_out():
    totals = {}
    for policy in (Policy.FIFO, Policy.RISK):
        found = [play(draw_world(asked(seed), seed), way_of(policy, 1, 0.2, math.inf)) for seed in range(5)]
        totals[policy] = sum(one.oversold for one in found), sum(one.lost for one in found)
    assert totals[Policy.RISK][0] < 0.7 * totals[Policy.FIFO][0]
    assert totals[Policy.RISK][1] < totals[Policy.FIFO][1]


def test_buffers_trade_lost_units_for_oversold_ones():
    world = draw_world(asked(), 7)
    found = [play(world, way_of(Policy.RISK, 60, 10, weight)) for weight in (math.inf, 0.5, 0.05)]
    assert found[0].oversold > found[1].oversold > found[2].oversold
    assert found[0].lost < found[1].lost < found[2].lost


def outcome(lost: int, oversold: int) -> Outcome:
    return Outcome(0, 0, oversold, lost, 0, 0, 0)


def test_a_curve_is_read_off_between_its_points_and_never_before_them():
    sweep = [outcome(10, 100), outcome(30, 50), outcome(20, 120), outcome(50, 60)]
    assert [at_lost(sweep, lost) for lost in (10, 20, 25, 30, 40, 99)] == [100, 100, 75, 50, 50, 50]
    assert at_lost(sweep, 9.95) == 100  # as good as equal
    assert math.isnan(at_lost(sweep, 9))


def test_the_section_of_the_results_is_replaced_and_nothing_else(tmp_path: Path):
    runs = list(runs_of(asked(), 1, (math.inf, 0.5)))
    compared = compare(runs)
    (tmp_path / "RESULTS.md").write_text(f"# Results\n\nbefore\n\n{BEGIN}\nold\n{END}\n\nafter\n")
    write_results(tmp_path, compared, runs)
    write_results(tmp_path, compared, runs)
    text = (tmp_path / "RESULTS.md").read_text()
    assert text.startswith("# Results\n\nbefore\n\n" + BEGIN)
    assert text.endswith(END + "\n\nafter\n")
    assert "old\n" not in text
    assert summary(compared, runs).splitlines()[0] in text
    assert (tmp_path / PLOT).stat().st_size < 300_000


@pytest.mark.skipif(not real_data.available(), reason="needs the real order report")
def test_the_report_is_read_as_the_importer_reads_it():
    orders = read_asked()
    assert (len(orders.sku), orders.skus, int(orders.day.max())) == (81_992, 6_634, 61)
    assert int(first_days(orders, 20).day.max()) == 19


@pytest.mark.skipif(not real_data.available(), reason="needs the real order report")
def test_a_quick_run_prints_its_tables_and_every_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(sync_simulation, "QUICK_DAYS", 4)
    monkeypatch.setattr("sys.argv", ["sync_simulation", "--quick", "--json", str(tmp_path / "runs.json")])
    sync_simulation.main()
    out, err = capsys.readouterr()
    written = json.loads((tmp_path / "runs.json").read_text())
    assert out.startswith("| lag, s |")
    assert err == ""
    assert len(written["runs"]) == 9 * len(Policy) * len(sync_simulation.QUICK_WEIGHTS)
    assert len(written["compared"]) == 9
