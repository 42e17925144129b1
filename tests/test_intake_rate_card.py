"""The rate card: the figure it comes to, and every card that is refused."""

import numpy as np
import pytest

from engine.intake.rate_card import RateCard, kilometres
from engine.intake.tables import IntakeError

GOOD = {
    "shipment_fee": "4000",
    "fee_per_km": "4.0",
    "handling_fee": "500",
    "fee_per_unit_km": "1.0",
    "shortage_penalty": "60000",
}


def card_file(folder, **changes):
    """A good card with some keys changed, or left out where the value is None."""
    keys = {name: value for name, value in (GOOD | changes).items() if value is not None}
    path = folder / "rate_card.toml"
    path.write_text("# paise\n" + "".join(f"{name} = {value}\n" for name, value in keys.items()))
    return path


def test_a_card_is_read(tmp_path):
    assert RateCard.read(card_file(tmp_path)) == RateCard(4000.0, 4.0, 500.0, 1.0, 60000.0)


def test_a_byte_order_mark_is_no_fault(tmp_path):
    path = card_file(tmp_path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert RateCard.read(path).shipment_fee == 4000


def test_a_shipment_pays_its_fee_its_kilometres_and_its_units():
    card = RateCard(4000, 4.0, 500, 1.0, 60000)
    assert card.cost(np.array([10.0]), np.array([3]), 0) == 4000 + 40 + 3 * (500 + 10)
    assert card.cost(np.array([10.0, 0.0]), np.array([3, 1]), 2) == 5570 + 4500 + 120_000
    assert card.cost(np.empty(0), np.empty(0, np.int64), 0) == 0


def test_the_sum_is_rounded_once():
    card = RateCard(0, 1.0, 0, 0.0, 0)
    assert card.cost(np.array([0.4, 0.4, 0.4]), np.array([1, 1, 1]), 0) == 1


def test_the_cost_of_many_shipments_is_that_of_a_plain_sum():
    rng = np.random.default_rng(5)
    card, km, units = RateCard(4000, 4.25, 500, 1.5, 60000), rng.uniform(0, 3000, 5000), rng.integers(1, 9, 5000)
    plain = 7 * 60000.0
    for d, n in zip(km, units, strict=True):
        plain += 4000 + 4.25 * d + n * (500 + 1.5 * d)
    assert card.cost(km, units, 7) == round(plain)


def test_kilometres_are_great_circles():
    quarter = np.pi / 2 * 6371.0088
    assert kilometres(0.0, 0.0, 0.0, 90.0) == pytest.approx(quarter, rel=1e-12)
    assert kilometres(90.0, 10.0, 0.0, 77.0) == pytest.approx(quarter, rel=1e-12)
    assert kilometres(28.61986, 77.21292, 28.61986, 77.21292) == 0
    assert kilometres(28.61986, 77.21292, 18.93891, 72.83584) == pytest.approx(1164, abs=3)
    assert kilometres(0.0, 0.0, 0.0, 180.0) == pytest.approx(2 * quarter, rel=1e-12)


def test_kilometres_broadcast_to_a_matrix():
    assert kilometres(np.zeros((3, 1)), np.zeros((3, 1)), np.zeros(2), np.ones(2)).shape == (3, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fee_per_mile": "3"}, "unknown key 'fee_per_mile'"),
        ({"handling_fee": None}, "'handling_fee' is missing"),
        ({"fee_per_km": "-1"}, "fee_per_km is -1"),
        ({"fee_per_km": '"4"'}, "fee_per_km is '4'"),
        ({"fee_per_km": "true"}, "fee_per_km is True"),
        ({"fee_per_km": "nan"}, "fee_per_km is nan"),
        ({"fee_per_km": "inf"}, "fee_per_km is inf"),
        ({"shortage_penalty": "1e15"}, "shortage_penalty is 1"),
        ({"fee_per_km": "4,5"}, "not a TOML file"),
        ({"fee_per_km": "[1]"}, "fee_per_km is [1]"),
    ],
)
def test_a_bad_card_is_refused_by_the_name_of_the_key(tmp_path, changes, message):
    path = card_file(tmp_path, **changes)
    with pytest.raises(IntakeError) as refused:
        RateCard.read(path)
    assert str(refused.value).startswith(str(path))
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_card_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(IntakeError, match="no such file"):
        RateCard.read(tmp_path / "none.toml")
    with pytest.raises(IntakeError, match="cannot be read"):
        RateCard.read(tmp_path)
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(IntakeError, match="UTF-8"):
        RateCard.read(tmp_path / "binary.toml")


def test_the_bill_adds_up_to_the_cost():
    card = RateCard(4000, 4.25, 500, 1.5, 60000)
    bill = card.bill(np.array([10.0, 0.0]), np.array([3, 1]), 2)
    assert list(bill.values()) == [8000, 42.5, 2000, 45, 120_000]
    assert list(bill) == list(GOOD)
    assert card.cost(np.array([10.0, 0.0]), np.array([3, 1]), 2) == round(sum(bill.values()))
