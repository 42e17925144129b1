"""The Amazon report: each quirk of it on one line, and the whole real file with every row accounted for."""

import numpy as np
import pyarrow as pa
import pytest

from engine.intake.amazon import read_amazon_report, write_orders
from engine.intake.orders import read_orders
from engine.intake.postal_codes import Places
from engine.intake.tables import IntakeError
from engine.intake.values import ABSENT
from tests import real_data
from tests.real_data import HEADER, report_line

DAY_US = 86_400_000_000
PLACES = Places(
    pa.array(["400081", "560085", "110001"]), np.array([19, 13, 28], np.int32) * 10_000_000,
    np.array([73, 77, 77], np.int32) * 10_000_000, np.zeros(3, bool),
)  # fmt: skip


def read(folder, *lines, places=PLACES):
    path = folder / "report.csv"
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    return read_amazon_report(path, places)


def only_reject(found):
    (row,) = found.rejects.table().to_pylist()
    return row["row"], row["column"], row["value"], row["reason"]


def test_a_line_becomes_an_order(tmp_path):
    found = read(tmp_path, report_line(order="405-9", sku="JNE-XL", quantity="2", amount="812.5"))
    assert found.order_id.to_pylist() == ["405-9"]
    assert found.channel.to_pylist() == ["amazon.in"]
    assert found.postal_code.to_pylist() == ["400081"]
    assert found.placed_at.tolist() == [np.datetime64("2022-04-30", "us").astype(int)]
    assert (found.sku.to_pylist(), found.quantity.tolist(), found.row.tolist()) == (["JNE-XL"], [2], [1])
    assert found.options["unit_price"].tolist() == [40_625]
    assert found.options["currency"].to_pylist() == ["INR"]
    assert found.options["service_level"].to_pylist() == ["Expedited"]
    assert len(found.rejects) == 0


def test_other_channels_keep_their_name(tmp_path):
    assert read(tmp_path, report_line(channel="Non-Amazon")).channel.to_pylist() == ["non-amazon"]


@pytest.mark.parametrize(
    ("quirk", "rejected"),
    [
        ({"quantity": "0"}, ("Qty", "0", "ZERO")),
        ({"quantity": ""}, ("Qty", "", "EMPTY")),
        ({"quantity": "-1"}, ("Qty", "-1", "NEGATIVE")),
        ({"quantity": "two"}, ("Qty", "two", "NOT_A_NUMBER")),
        ({"code": ""}, ("ship-postal-code", "", "NO_ADDRESS")),
        ({"code": "", "quantity": "0"}, ("ship-postal-code", "", "NO_ADDRESS")),
        ({"code": "999999.0"}, ("ship-postal-code", "999999", "UNKNOWN_POSTAL_CODE")),
        ({"date": "31-12-22"}, ("Date", "2022-31-12", "NOT_A_TIME")),
        ({"date": "30/04/22"}, ("Date", "30/04/22", "NOT_A_TIME")),
        ({"order": ""}, ("Order ID", "", "EMPTY")),
        ({"sku": ""}, ("SKU", "", "EMPTY")),
        ({"sku": "x" * 65}, ("SKU", "x" * 65, "TOO_LONG")),
        ({"amount": "free"}, ("Amount", "free", "NOT_A_NUMBER")),
        ({"amount": "1e3"}, ("Amount", "1e3", "NOT_A_NUMBER")),
        ({"amount": "-4.5"}, ("Amount", "-450", "NEGATIVE")),
        ({"amount": "4.505"}, ("Amount", "450.5", "FRACTION")),
        ({"amount": "9999999999999999"}, ("Amount", "999999999999999900", "ABOVE_LIMIT")),
        ({"currency": "rupees"}, ("currency", "rupees", "NOT_A_CURRENCY")),
    ],
)
def test_a_line_that_will_not_do_is_rejected_by_the_column_of_the_report(tmp_path, quirk, rejected):
    found = read(tmp_path, report_line(1, "405-1"), report_line(2, **({"order": "405-2"} | quirk)))
    assert only_reject(found) == (2, *rejected)
    assert found.order_id.to_pylist() == ["405-1"]


@pytest.mark.parametrize(
    ("amount", "quantity", "paise"),
    [
        ("647.62", "1", 64762),
        ("0.1", "1", 10),
        ("0", "1", 0),
        ("0.29", "1", 29),
        ("1.1500", "1", 115),
        ("100.", "3", 3333),
        ("90071992547.41", "1", 9_007_199_254_741),
        ("", "1", ABSENT),
    ],
)
def test_rupees_of_a_line_become_paise_of_a_unit_exactly(tmp_path, amount, quantity, paise):
    if paise > 10**12:
        assert only_reject(read(tmp_path, report_line(amount=amount)))[3] == "ABOVE_LIMIT"
    else:
        assert read(tmp_path, report_line(amount=amount, quantity=quantity)).options["unit_price"].tolist() == [paise]


def test_a_line_repeated_but_for_its_index_is_one_line(tmp_path):
    found = read(tmp_path, report_line(1), report_line(2), report_line(3, sku="B"), report_line(4))
    assert found.sku.to_pylist() == ["A", "B"]
    rows = [(r["row"], r["column"], r["reason"]) for r in found.rejects.table().to_pylist()]
    assert rows == [(2, "Order ID", "DUPLICATE_LINE"), (4, "Order ID", "DUPLICATE_LINE")]


def test_a_line_with_another_quantity_is_another_line(tmp_path):
    assert read(tmp_path, report_line(1), report_line(2, quantity="2")).quantity.tolist() == [1, 2]


def test_an_unknown_code_is_placed_by_its_area(tmp_path):
    found = read(tmp_path, report_line(code="400999.0"))
    assert found.area.tolist() == [True]
    assert found.latitude_e7.tolist() == [190_000_000]


def test_orders_come_day_by_day_and_within_a_day_as_they_stand(tmp_path):
    days = ["05-02-22", "04-30-22", "05-01-22", "04-30-22"]
    found = read(tmp_path, *(report_line(i, f"405-{i}", day) for i, day in enumerate(days)))
    assert found.order_id.to_pylist() == ["405-1", "405-3", "405-2", "405-0"]
    assert found.row.tolist() == [2, 4, 3, 1]


def test_lines_of_one_order_need_not_stand_together(tmp_path):
    found = read(tmp_path, report_line(1, "405-1"), report_line(2, "405-2"), report_line(3, "405-1", sku="B"))
    assert found.first_line.tolist() == [0, 2, 3]
    assert found.sku.to_pylist() == ["A", "B", "A"]


def test_a_row_with_too_few_cells_is_rejected_alone(tmp_path):
    found = read(tmp_path, report_line(1, "405-1"), "2,405-2", report_line(3, "405-3"))
    assert only_reject(found)[0] == 2
    assert only_reject(found)[3] == "WRONG_CELL_COUNT"
    assert found.row.tolist() == [1, 3]


def test_a_report_without_lines_has_no_orders(tmp_path):
    found = read(tmp_path)
    assert (found.rows, len(found.order_id), len(found.rejects)) == (0, 0, 0)
    write_orders(tmp_path / "orders.csv", found)
    assert len(read_orders(tmp_path / "orders.csv", PLACES).order_id) == 0


def test_another_file_is_refused(tmp_path):
    path = tmp_path / "orders.csv"
    path.write_text("order_id,sku\n1,A\n")
    with pytest.raises(IntakeError, match="Order ID"):
        read_amazon_report(path, PLACES)


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet"])
def test_written_orders_read_back_the_same(tmp_path, kind):
    found = read(
        tmp_path, report_line(1, 'a "quoted", id'), report_line(2, "405-2", amount="", currency=""),
        report_line(3, 'a "quoted", id', sku="B", quantity="3"), report_line(4, "405-3", date=""),
    )  # fmt: skip
    assert found.placed_at.tolist()[0] == ABSENT
    write_orders(tmp_path / f"orders.{kind}", found)
    again = read_orders(tmp_path / f"orders.{kind}", PLACES)
    assert len(again.rejects) == 0
    assert_same_orders(found, again)


def assert_same_orders(found, again):
    for name in ("order_id", "channel", "postal_code", "sku"):
        assert getattr(found, name).equals(getattr(again, name)), name
    for name in ("placed_at", "first_line", "quantity", "area", "latitude_e7", "longitude_e7"):
        np.testing.assert_array_equal(getattr(found, name), getattr(again, name), name)
    assert list(found.options) == list(again.options)
    for name, column in found.options.items():
        assert pa.array(column).equals(pa.array(again.options[name])), name


@pytest.fixture(scope="module")
def whole_report(tmp_path_factory):
    return read_amazon_report(real_data.report(tmp_path_factory.mktemp("report")), Places.india())


def test_every_row_of_the_whole_report_is_a_line_or_a_reject(whole_report):
    rows = np.concatenate([whole_report.row, whole_report.rejects.rows()])
    np.testing.assert_array_equal(np.sort(rows), np.arange(1, whole_report.rows + 1))
    assert (np.diff(whole_report.placed_at) >= 0).all()


def test_the_figures_of_the_whole_report(whole_report):
    """The real figures are those of a plain count of the raw report, line by line."""
    counts = whole_report.rejects.counts()
    if real_data.available():
        assert (whole_report.rows, len(whole_report.order_id), len(whole_report.sku)) == (91_278, 76_582, 81_992)
        assert counts == {"ZERO": 9_253, "NO_ADDRESS": 25, "DUPLICATE_LINE": 5, "UNKNOWN_POSTAL_CODE": 3}
        assert int(whole_report.quantity.sum()) == 82_350
    else:
        assert set(counts) == {"ZERO", "NO_ADDRESS", "DUPLICATE_LINE", "UNKNOWN_POSTAL_CODE"}


def test_the_whole_report_written_reads_back_the_same(whole_report, tmp_path):
    write_orders(tmp_path / "orders.csv", whole_report)
    assert_same_orders(whole_report, read_orders(tmp_path / "orders.csv", Places.india()))
