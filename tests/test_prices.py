"""An engine that decides by cost: counts demand, keeps prices, goes on without them; replay needs none of it. And the
server that is told to."""

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine.intake.rate_card import RateCard
from engine.prices import Forecast, Pricing
from kernels.columns import Head
from kernels.forecast import VALUE_MAX, price_by_forecast
from kernels.pricing import Costs
from server.config import SettingsError, load
from server.prices import PriceKeeper
from tests.command_line import run
from tests.driving import START, Pair, columns, place, received

CARD = RateCard(4000.0, 4.0, 500.0, 1.0, 60_000.0)
DAY = 86_400.0


def pair(codes: int = 3) -> Pair:
    """Nodes 0, 1, 2 on a line, code i beside node i."""
    return Pair(nodes=3, skus=2, codes=codes)


def committed(made: Pair, *asked: object) -> None:
    """Past the model, which knows no prices."""
    for one in asked:
        made.engine.commit(columns(one, made.places), START)


def node_of(made: Pair, order: str, code: int) -> int:
    answers = made.engine.commit(columns(place(order, (0, 1), code=code), made.places), START)
    return int(answers.node[0])


def test_a_unit_is_kept_for_those_who_are_near_it() -> None:
    for is_warm, chosen in ((False, 2), (True, 0)):
        made = pair()
        pricing = Pricing(made.state, CARD, 10.0)
        committed(made, received("some", (0, 0, 1), (0, 2, 1)))
        pricing.refresh(DAY)
        if is_warm:  # nobody but code 2 has ever ordered, beside node 2
            made.state.prices.ordered[0] += 1
            made.state.prices.reached[2] += 1
            assert pricing.refresh(11 * DAY) == 1
            value = made.state.prices.value[made.state.cells.row_of[0]]
            assert value[2] > value[0] >= 0
        assert node_of(made, "from the middle", 1) == chosen


def test_a_short_unit_that_costs_more_than_a_column_holds_makes_no_price_below_nothing() -> None:
    km = np.array([[10.0, 500.0], [500.0, 10.0]])
    costs, value = Costs(4000 + 2 * km, 500 + 0.05 * km, 3e9), np.empty((1, 2), np.int32)
    stock = np.array([[3, 5]], np.int32)
    price_by_forecast(costs, np.array([0.5, 1.0]), np.array([100.0]), np.array([1.0]), stock, 1, value)
    assert (value == VALUE_MAX).all()


def test_prices_change_what_is_chosen_and_neither_oversell_nor_leave_short() -> None:
    made = pair()
    pricing = Pricing(made.state, CARD, 10.0)
    committed(made, received("some", (0, 0, 2), (0, 1, 2)))
    assert node_of(made, "a", 0) == 0  # no prices yet: the cheapest, which is the nearest
    made.state.prices.value[made.state.cells.row_of[0], 0] = 2_000_000
    assert [node_of(made, name, 0) for name in "bcd"] == [1, 1, 0]  # dear as it is, it is given rather than none
    assert node_of(made, "e", 0) == -1
    assert pricing.refresh(DAY) >= 0
    assert made.state.digest_from_scratch()


def test_what_is_ordered_and_where_to_is_counted_and_the_older_counts_less() -> None:
    made = pair()
    pricing = Pricing(made.state, CARD, 10.0)
    committed(made, received("some", (0, 0, 50)), place("a", (0, 3), (1, 2), code=1), place("b", (0, 1), code=2))
    assert made.state.prices.ordered[:2].tolist() == [4, 2]
    assert made.state.prices.reached[:3].tolist() == [0, 1, 1]
    forecast = Forecast()
    forecast.learn(made.state, 5 * DAY)
    assert made.state.prices.ordered[:2].tolist() == [0, 0]
    forecast.learn(made.state, 35 * DAY)
    assert forecast.units.tolist() == pytest.approx([4 / np.e, 2 / np.e])
    assert forecast.expected(np.array([0]), 60 * DAY)[0] == pytest.approx(2 * 4 / np.e)
    assert pricing.refresh(0.0) == 0  # what was counted has been taken


def test_only_what_has_changed_is_priced_anew() -> None:
    made = pair()
    pricing = Pricing(made.state, CARD, 10.0)
    committed(made, received("some", (0, 0, 5), (1, 0, 5)), place("a", (0, 1)))
    assert pricing.refresh(DAY) == 2
    assert pricing.refresh(2 * DAY) == 0
    committed(made, place("b", (1, 1)))
    assert pricing.refresh(3 * DAY) == 1


def test_a_look_that_is_over_is_left_at_that() -> None:
    made = pair()
    pricing = Pricing(made.state, CARD, 10.0)
    committed(made, received("some", (0, 0, 5), (1, 0, 5)), place("a", (0, 1)))
    assert pricing.refresh(DAY, lambda: True) == 0
    assert pricing.refresh(2 * DAY) == 2


def test_more_nodes_keep_their_prices() -> None:
    made = pair()
    Pricing(made.state, CARD, 10.0)
    committed(made, received("some", (0, 0, 5)))
    row = made.state.cells.row_of[0]
    made.state.prices.value[row, :3] = [7, 8, 9]
    width = made.state.cells.available.shape[1]
    made.state._widen(width + 1)
    assert made.state.prices.value.shape[1] == made.state.cells.available.shape[1] > width
    assert made.state.prices.value[row, :4].tolist() == [7, 8, 9, 0]
    assert made.state.head(Head.CELL_ROWS) == 1


# The server


def test_the_keeper_looks_again_survives_a_failure_and_ends() -> None:
    seen, twice = [], threading.Event()

    class Failing:
        def refresh(self, now: float, is_over: object) -> int:
            seen.append(now)
            if len(seen) == 2:
                twice.set()
            raise RuntimeError("no")

    keeper = PriceKeeper(Failing(), clock=lambda: 7.0)
    keeper._ends.wait = lambda pause: twice.is_set()  # type: ignore[method-assign]
    keeper.start()
    assert twice.wait(10)
    keeper.stop()
    assert seen[:2] == [7.0, 7.0]
    PriceKeeper(Failing()).stop()  # never begun


def test_the_keeper_ends_in_the_middle_of_a_long_look() -> None:
    begun = threading.Event()

    class Long:
        def refresh(self, now: float, is_over: Callable[[], bool]) -> int:
            begun.set()
            pieces = 0
            while not is_over():
                pieces += 1
            return pieces

    keeper = PriceKeeper(Long())
    keeper.start()
    assert begun.wait(10)
    ending = threading.Thread(target=keeper.stop, daemon=True)
    ending.start()
    ending.join(10)
    assert not ending.is_alive()


def test_policy_and_rate_card_belong_together(tmp_path: Path) -> None:
    for flags in ({"policy": "least-cost"}, {"rate_card": str(tmp_path / "card.toml")}):
        with pytest.raises(SettingsError, match="belong together"):
            load(flags, None, {})
    card = tmp_path / "card.toml"
    card.write_text("shipment_fee = 1\n")
    flags = ["--policy=least-cost", f"--rate-card={card}", f"--data={tmp_path / 'data'}", "--listen=127.0.0.1:0"]
    found = run("serve", *flags)
    assert found.code == 2
    assert "card.toml: key 'fee_per_km' is missing" in found.err
