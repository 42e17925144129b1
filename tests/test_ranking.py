"""server/workers/ranking.py against sums over the Poisson distribution, term by term, and against what it promises."""

import math

import numpy as np
import pytest

from server.workers.ranking import Budget, Velocity, buffer, choose, risk

MEANS = (0.001, 0.3, 1.0, 4.5, 20.0, 150.0)


def i64(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def i32(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


def chances(mean: float) -> list[float]:
    """Of 0, 1, 2, ... units, as far as they matter."""
    most = int(mean + 20 * math.sqrt(mean) + 60)
    return [math.exp(count * math.log(mean) - mean - math.lgamma(count + 1)) for count in range(most)]


def naive_risk(told: int, units: int, mean: float, lost_weight: float) -> float:
    def cost(demand: int) -> float:
        if told > units:
            return max(0, min(demand, told) - units)
        return lost_weight * max(0, min(demand, units) - told)

    return math.fsum(chance * cost(demand) for demand, chance in enumerate(chances(mean)))


def naive_buffer(mean: float, lost_weight: float) -> int:
    units, beyond = 0, 1.0 - chances(mean)[0]
    while beyond > lost_weight / (1 + lost_weight):
        units += 1
        beyond -= chances(mean)[units]
    return units


@pytest.mark.parametrize("mean", MEANS)
def test_risk_is_the_sum_over_all_demands(mean: float):
    pairs = [(told, units) for told in (0, 1, 2, 5, 19, 40, 160) for units in (0, 1, 3, 20, 25, 150)]
    told, units = (i64(*column) for column in zip(*pairs, strict=True))
    cost = risk(told, units, np.full(len(pairs), mean / 10), 10.0, lost_weight=0.25)
    assert cost == pytest.approx([naive_risk(t, u, mean, 0.25) for t, u in pairs], rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("mean", [250.0, 1_000.0])
def test_risk_of_large_demand_is_within_a_hundredth_of_a_unit(mean: float):
    told = i64(*(int(mean + step * math.sqrt(mean)) for step in (-2, -1, 0, 1, 2, 3)))
    units = told - 30
    expected = [naive_risk(t, u, mean, 1.0) for t, u in zip(told.tolist(), units.tolist(), strict=True)]
    assert risk(told, units, np.full(told.size, mean), 1.0) == pytest.approx(expected, abs=0.01)


def test_a_small_risk_keeps_its_digits():
    assert risk(i64(12), i64(10), np.array([1e-3]), 1.0)[0] == pytest.approx(naive_risk(12, 10, 1e-3, 1.0), rel=1e-6)
    assert 0 < risk(i64(9), i64(4), np.array([1e-3]), 1.0)[0] < 1e-15


def test_risk_grows_with_velocity_with_time_and_with_what_is_told_beyond_stock():
    velocity = np.array([0.0, 0.01, 0.1, 1.0, 10.0])
    same = np.zeros(5, np.int64)
    assert (np.diff(risk(same + 8, same + 3, velocity, 10.0)) > 0).all()
    assert (np.diff(risk(same + 8, same + 3, np.full(5, 0.1), np.array([0.0, 1, 10, 60, 900]))) > 0).all()
    assert (np.diff(risk(i64(3, 4, 5, 6, 7), same + 3, np.full(5, 0.1), 60.0)) > 0).all()
    assert (np.diff(risk(same + 8, i64(0, 1, 2, 3, 7), np.full(5, 0.1), 60.0)) < 0).all()


def test_nothing_is_at_risk_where_the_figure_is_right_or_nothing_sells():
    assert risk(i64(5, 9), i64(5, 0), np.array([3.0, 0.0]), 60.0).tolist() == [0.0, 0.0]


def test_a_lost_unit_counts_by_its_weight():
    one, tenth = (risk(i64(0), i64(4), np.array([0.1]), 60.0, lost_weight=weight)[0] for weight in (1.0, 0.1))
    assert tenth == pytest.approx(one / 10)


@pytest.mark.parametrize("lost_weight", [4.0, 1.0, 0.25, 0.05])
def test_a_buffer_is_the_critical_fractile_of_what_the_others_sell(lost_weight: float):
    found = buffer(np.array(MEANS) / 60, 60.0, lost_weight)
    assert found.tolist() == [naive_buffer(mean, lost_weight) for mean in MEANS]


def test_a_buffer_of_large_demand_is_within_a_unit_or_two():
    found = buffer(np.array([400.0, 2_500.0]), 1.0, 0.1)
    assert found.tolist() == pytest.approx([naive_buffer(mean, 0.1) for mean in (400.0, 2_500.0)], abs=2)


def test_a_buffer_follows_velocity_and_lag_and_is_none_where_overselling_costs_nothing():
    by_velocity = buffer(np.array([0.0, 0.001, 0.01, 0.1, 10.0]), 60.0)
    by_lag = buffer(np.full(4, 0.05), np.array([1.0, 60.0, 900.0, 36_000.0]))
    assert by_velocity[0] == by_lag[0] == 0
    assert (np.diff(by_velocity) >= 0).all()
    assert (np.diff(by_lag) > 0).all()
    assert buffer(np.array([10.0]), 900.0, math.inf).tolist() == [0]


def test_a_steady_seller_is_known_by_its_velocity():
    velocity = Velocity(2, memory_s=600.0, prior_s=1.0)
    for now in range(10, 3_601, 10):
        velocity.update(i32(1), np.array([2.0]), float(now))
    assert velocity.per_second(i32(0, 1), 3_600.0) == pytest.approx([0.0, 0.2], rel=0.05)


def test_velocity_decays_when_nothing_sells_any_more():
    velocity = Velocity(1, memory_s=600.0, prior_s=1.0)
    velocity.update(i32(0), np.array([60.0]), 600.0)
    later = [velocity.per_second(i32(0), now)[0] for now in (600.0, 1_200.0, 2_400.0, 60_000.0)]
    assert (np.diff(later) < 0).all()
    assert later[-1] < 1e-9


def test_time_without_stock_says_nothing_of_velocity():
    velocity = Velocity(1, memory_s=600.0, prior_s=1.0)
    velocity.update(i32(0), np.array([30.0]), 300.0, np.array([0]))
    before = velocity.per_second(i32(0), 300.0)
    velocity.update(i32(0), np.array([0.0]), 90_000.0, np.array([1]))
    assert velocity.per_second(i32(0), 90_000.0) == pytest.approx(before)


def test_a_new_sku_sells_like_the_average_and_a_rise_of_ats_is_no_sale():
    velocity = Velocity(1, prior=0.5)
    assert velocity.per_second(i32(0), 0.0) == pytest.approx([0.5])
    velocity.update(i32(0), np.array([-40.0]), 0.0)
    assert velocity.per_second(i32(0), 0.0) == pytest.approx([0.5])


@pytest.mark.parametrize("seed", range(5))
def test_no_stretch_of_time_is_granted_more_than_its_budget(seed: int):
    draws = np.random.default_rng(seed)
    per_second, burst = float(draws.choice([0.3, 1.0, 10.0])), float(draws.choice([1, 5, 20]))
    budget, now, grants = Budget(per_second, burst), 0.0, []
    for _ in range(300):
        now += float(draws.exponential(0.5))
        granted = budget.take(now, int(draws.integers(0, 30)))
        grants.append((now, granted))
    times, granted = np.array([g[0] for g in grants]), np.array([g[1] for g in grants])
    for first in range(0, 300, 7):
        taken = np.cumsum(granted[first:])
        assert (taken <= burst + per_second * (times[first:] - times[first]) + 1e-6).all()
    assert granted.sum() > 0


def test_a_budget_grants_no_more_than_wanted_and_rests_up_to_its_burst():
    budget = Budget(10.0, 25.0)
    assert [budget.take(0.0, 4), budget.take(0.0, 40), budget.take(0.0, 1)] == [4, 21, 0]
    assert budget.take(0.55, 40) == 5
    assert budget.take(1_000.0, 40) == 25
    assert budget.take(900.0, 40) == 0  # a clock that goes back grants nothing


def test_a_budget_of_nothing_is_refused():
    with pytest.raises(ValueError, match="rate above 0"):
        Budget(0.0, 1.0)
    with pytest.raises(ValueError, match="at least 1 SKU"):
        Budget(1.0, 0.5)


def test_the_most_risky_go_first_and_the_older_of_equals():
    cost, since = np.array([0.5, 2.0, 0.5, 0.5, 0.0]), np.array([9.0, 9.0, 3.0, 3.0, 0.0])
    assert choose(cost, since, 4).tolist() == [1, 2, 3, 0]
    assert choose(cost, since, 0).tolist() == []
    assert choose(cost, since, 99).tolist() == [1, 2, 3, 0, 4]


@pytest.mark.parametrize("seed", range(20))
def test_choosing_is_sorting_and_cutting(seed: int):
    draws = np.random.default_rng(seed)
    rows = int(draws.integers(1, 200))
    cost, since = draws.integers(0, 8, rows).astype(float), draws.integers(0, 5, rows).astype(float)
    count = int(draws.integers(0, rows + 5))
    assert choose(cost, since, count).tolist() == np.lexsort((np.arange(rows), since, -cost))[:count].tolist()
