"""`allot plan`: once the orders are what `allot allocate` decides, the same seed gives the same figures, what is odd
about a history is said or refused, and the page says what its captions say."""

import base64
import json
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from server import upkeep
from server.cli.plan_growth import breaks, breaks_first, growths_of
from server.cli.plan_machine import CLOSED_KEPT_DAYS, Measured, machine_of
from tests import real_data
from tests.command_line import Outcome, run, write_csv
from tests.test_cli import Shop

DAYS = 6
SAME = (
    "orders", "units", "short_units", "split_orders", "shipments", "mean_distance_m", "cost",
)  # fmt: skip
CODES = ("110001", "400001", "600001")
HEAD = "order_id,placed_at,postal_code,sku,quantity"
NODES = [("DEL", 28.6, 77.2), ("BOM", 18.9, 72.8), ("MAA", 13.1, 80.3)]


def history(shop: Shop, days: int = DAYS, placed_at: Any = None) -> None:
    """Ten orders a day, of one or two lines. placed_at: of a day and an order; noon in India by itself."""
    at = placed_at or (lambda day, order: f"2025-10-{18 + day}T12:{order:02}:00+05:30")
    rows = [(f"O{day}-{order}", at(day, order), CODES[(day + order) % 3], f"S{(order + line) % 4}", 1 + line)
            for day in range(days) for order in range(10) for line in range(1 + order % 2)]  # fmt: skip
    write_csv(shop.orders, HEAD, rows)


def limit(shop: Shop, *limits: tuple[object, ...]) -> None:
    head = "node_id,latitude,longitude,orders_per_day,units_per_day,day_starts_at,utc_offset_minutes"
    write_csv(shop.nodes, head, [(*node, *of, *("",) * (4 - len(of))) for node, of in zip(NODES, limits, strict=True)])


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop(tmp_path)
    history(shop)
    cells = [(f"S{sku}", node, 12 + sku) for sku in range(4) for node in ("DEL", "BOM", "MAA")]
    write_csv(shop.stock, "sku,node_id,on_hand", cells)
    (tmp_path / "card.toml").write_text(
        "shipment_fee = 4000\nfee_per_km = 4.3\nhandling_fee = 500\nfee_per_unit_km = 1.1\nshortage_penalty = 60000\n"
    )
    return shop


def plan(shop: Shop, *more: object, **instead: object) -> Outcome:
    files = {"orders": shop.orders, "nodes": shop.nodes, "stock": shop.stock, "postal-codes": shop.places} | instead
    named = [word for name, path in files.items() for word in (f"--{name}", path)]
    return run("plan", *named, *more)


def card(shop: Shop) -> tuple[object, ...]:
    return "--rate-card", shop.folder / "card.toml"


@pytest.mark.parametrize("placed_at", [None, lambda day, order: f"2025-10-{18 + day}"])
def test_once_the_orders_without_limits_are_what_allocate_decides(shop: Shop, placed_at: Any) -> None:
    history(shop, placed_at=placed_at)
    found = plan(shop, *card(shop), "--growth", "1", "--json")
    assert (found.code, found.err) == (0, "")
    alone = run(*shop.allocate(*card(shop), "--json")).json
    (once,) = found.json["growths"]
    assert {name: once[name] for name in SAME} == {name: alone[name] for name in SAME}
    assert once["short_for_stock_units"] == once["short_units"] > 0
    assert found.json["planned_orders"] == alone["orders"]


def test_one_day_with_limits_is_what_allocate_decides(shop: Shop) -> None:
    history(shop, days=1)
    limit(shop, (1,), (1, 5), (2, ""))
    found = plan(shop, *card(shop), "--growth", "1", "--json").json["growths"][0]
    alone = run(*shop.allocate(*card(shop), "--json")).json
    assert {name: found[name] for name in SAME} == {name: alone[name] for name in SAME}
    assert found["short_for_capacity_units"] == alone["capacity_short_units"] > 0


def test_least_cost_is_not_dearer_than_nearest_and_keeps_capacity(shop: Shop) -> None:
    limit(shop, (1,), (1, 5), (2, ""))
    costs = {}
    for policy in ("nearest", "least-cost"):
        result = plan(shop, *card(shop), "--policy", policy, "--growth", "1,2", "--json").json
        costs[policy] = [run["cost"] for run in result["growths"]]
        for of in result["growths"]:
            assert max(of["nodes"]["DEL"]["orders"]) <= 3
            assert max(of["nodes"]["BOM"]["units"]) <= 5
            assert of["units"] == of["sent_units"] + of["short_units"]
    one_day = [plan(shop, *card(shop), "--policy", policy, "--growth", "1", "--json").json for policy in costs]
    assert one_day[1]["growths"][0]["cost"] <= one_day[0]["growths"][0]["cost"]


def test_the_same_seed_gives_the_same_bytes_but_for_the_machine(shop: Shop) -> None:
    limit(shop, (1,), (1, 5), (2, ""))
    outs = [plan(shop, *card(shop), "--growth", "0.5,1.3,2", "--json", "--seed", seed).json for seed in (7, 7, 8)]
    for out in outs:
        assert out.pop("machine")["growths"][0]["growth"] == 0.5
        assert set(out.pop("seconds")) == {"read", "replay", "measure"}
    assert json.dumps(outs[0]) == json.dumps(outs[1])
    assert outs[0]["growths"][0]["nodes"] != outs[2]["growths"][0]["nodes"]


def test_stock_grows_as_it_is_told(shop: Shop) -> None:
    def short(*more: object) -> list[int]:
        return [run["short_units"] for run in plan(shop, "--growth", "1,3", "--json", *more).json["growths"]]

    with_orders, given, plenty = short(), short("--stock-growth", "as-given"), short("--stock-growth", "100")
    assert given[0] == with_orders[0] > 0
    assert given[1] > with_orders[1]
    assert plenty == [0, 0]


def test_a_closed_node_is_as_one_that_the_files_do_not_name(shop: Shop) -> None:
    found = plan(shop, "--growth", "1", "--close", "BOM", "--json").json
    nodes, stock = shop.folder / "fewer.csv", shop.folder / "less.csv"
    for path, full in ((nodes, shop.nodes), (stock, shop.stock)):
        path.write_text("".join(line for line in full.read_text().splitlines(True) if "BOM" not in line))
    alone = plan(shop, "--growth", "1", "--json", nodes=nodes, stock=stock).json
    assert found["closed"] == ["BOM"]
    assert found["growths"] == alone["growths"]


def test_what_finds_no_room_goes_on_the_next_days_and_is_late(shop: Shop) -> None:
    write_csv(shop.orders, HEAD, [(f"O{at}", "2025-10-18", "110001", "S0", 1) for at in range(5)]
              + [("P", "2025-10-20", "110001", "S0", 1)])  # fmt: skip
    write_csv(shop.stock, "sku,node_id,on_hand", [("S0", "DEL", 50)])
    limit(shop, (2,), ("",), ("",))
    found = plan(shop, "--growth", "1", "--json").json
    (once,) = found["growths"]
    assert once["nodes"]["DEL"]["orders"] == [2, 2, 2]
    assert once["days"]["waiting_units"] == [3, 1, 0]
    assert (once["late_orders"], once["late_units"], once["mean_days_late"], once["most_days_late"]) == (3, 3, 1.33, 2)
    assert once["short_units"] == 0
    assert once["nodes"]["DEL"]["orders_per_day_needed"] == 5
    assert (once["nodes"]["DEL"]["full_days"], once["nodes"]["DEL"]["first_full_day"]) == (3, "2025-10-18")
    assert once["nodes"]["MAA"]["used"] is None
    assert (
        "DEL is full first: on 2025-10-18 it takes 100% of 2 orders, and 5 would" in found["breaks_first"]["sentence"]
    )
    assert any("1 day has no orders (2025-10-19)" in note for note in found["notes"])


def test_what_waits_for_nodes_that_may_take_nothing_breaks_them(shop: Shop) -> None:
    limit(shop, (0,), (0,), ("",))
    write_csv(shop.stock, "sku,node_id,on_hand", [("S0", "DEL", 50), ("S1", "BOM", 50)])
    found = plan(shop, "--growth", "1").out
    assert "DEL and 1 more node are full first: on 2025-10-18 DEL takes 100% of 0 orders" in found
    assert "Nothing breaks" not in found
    limit(shop, (0,), (100,), ("",))  # what waits is not laid to a node that has room
    breaks = plan(shop, "--growth", "1", "--json").json["breaks_first"]
    assert (breaks["node"], breaks["full_nodes"]) == ("DEL", 1)


def test_where_nothing_breaks_short_units_are_told_all_the_same(shop: Shop) -> None:
    rows = [("A", "2025-10-18", "110001", "S0", 5, "yes")]
    write_csv(shop.orders, HEAD + ",ship_complete", rows)
    write_csv(shop.stock, "sku,node_id,on_hand", [("S0", "DEL", 3)])
    found = plan(shop, "--growth", "1").out
    assert "Nothing breaks" in found
    assert "In the end 0 orders are late and 5 units short." in found
    assert re.search(r"for other reasons +│ +5 ", found)


def test_days_begin_at_midnight_of_the_time_zone(shop: Shop) -> None:
    write_csv(shop.orders, HEAD, [("A", "2025-10-18T18:29:00Z", "110001", "S0", 1),
                                  ("B", "2025-10-18T18:30:00Z", "110001", "S0", 1)])  # fmt: skip
    assert plan(shop, "--json").json["history"]["orders_by_day"] == [1, 1]
    utc = plan(shop, "--json", "--time-zone", "UTC").json
    assert (utc["history"]["dates"], utc["days_begin_at"]) == (["2025-10-18"], "midnight, UTC")
    india = plan(shop, "--json", "--time-zone", "Asia/Kolkata").json
    assert india["history"]["dates"] == ["2025-10-18", "2025-10-19"]
    assert any("1 of 2 orders are on another date by UTC" in note for note in india["notes"])


def test_a_cut_off_that_the_nodes_share_begins_the_day(shop: Shop) -> None:
    write_csv(shop.orders, HEAD, [("A", "2025-10-18T14:59:00+05:30", "110001", "S0", 1),
                                  ("B", "2025-10-18T15:00:00+05:30", "110001", "S0", 1)])  # fmt: skip
    limit(shop, (5, "", 900, 330), (5, "", 900, 330), ("",))
    found = plan(shop, "--json").json
    assert found["days_begin_at"] == "15:00, UTC+05:30, the cut-off of the nodes"
    assert found["history"]["dates"] == ["2025-10-17", "2025-10-18"]
    limit(shop, (5, "", 900, 330), (5, "", 960, 330), ("",))
    found = plan(shop, "--json").json
    assert found["history"]["dates"] == ["2025-10-18"]
    assert any("cut-offs (day_starts_at) do not count: they are not the same" in note for note in found["notes"])


def test_the_busiest_hour_is_the_historys_own_where_it_has_times(shop: Shop) -> None:
    machine = plan(shop, "--growth", "1,4", "--json").json["machine"]
    assert [need["peak_orders_per_second"] for need in machine["growths"]] == [round(10 / 3600, 2), round(40 / 3600, 2)]
    assert machine["assumed"]["peak_hour_share"] is None
    history(shop, placed_at=lambda day, order: f"2025-10-{18 + day}")
    machine = plan(shop, "--growth", "1000", "--peak-hour-share", "0.36", "--json").json["machine"]
    assert machine["growths"][0]["peak_orders_per_second"] == 1.0
    assert machine["measured"]["sample_orders"] == 60
    assert machine["measured"]["journal_bytes_per_order"] > 10


def test_memory_is_for_open_orders_and_for_those_that_closed_in_the_last_thirty_days() -> None:
    mebibyte = 1 << 20
    days: Any = SimpleNamespace(first=np.array([0, 10, 30, 40]), busiest_hour=None)  # 10, 20 and 10 orders
    measured = Measured(1, 1.0, 1.0, 1, mebibyte, 2 * mebibyte, 3.0 * mebibyte, 4.0 * mebibyte, 5 * mebibyte)
    prepared: Any = SimpleNamespace(days=days)
    machine = machine_of(prepared, measured, [1000, 2000], 0.2, 2)
    orders = 10 + 20 + CLOSED_KEPT_DAYS * 40 / 3  # the two busiest days, and thirty usual ones
    for growth, need in zip((1, 2), machine["growths"], strict=True):
        drawn = growth * orders
        assert need["memory_mib"] == pytest.approx(1 + 2 + 5 + drawn * (3 + 4), abs=1)
    assert timedelta(days=CLOSED_KEPT_DAYS) == upkeep.KEPT


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("A", "", "110001", "S0", 1)], "placed_at: has no date in any order"),
        ([], "there is no order that can be used: it has no rows"),
        (
            [("A", "2025-10-18", "999999", "S0", 1), ("B", "2025-10-18", "110001", "S0", 0)],
            "there is no order that can be used: all rows were left out (1 ",
        ),
        ([("A", "1970-01-02", "110001", "S0", 1), ("B", "2025-10-18", "110001", "S0", 1)], "a plan takes 400"),
        ([("A", "0001-01-01", "110001", "S0", 1)], "is not between the years 1970 and 2200"),
    ],
)
def test_a_history_without_days_is_refused_with_the_mend(shop: Shop, rows: list[Any], said: str) -> None:
    write_csv(shop.orders, HEAD, rows)
    found = plan(shop)
    assert (found.code, found.out, found.err.count("\n")) == (2, "", 1)
    assert said in found.err
    shop.orders.write_text("order_id,postal_code,sku,quantity\nA,110001,S0,1\n")
    assert "placed_at: has no date" in plan(shop).err


def test_what_is_odd_about_the_days_is_said(shop: Shop) -> None:
    rows = [(f"O{day}-{order}", f"2025-10-{18 + day}", "110001", "S0", 1)
            for day, count in enumerate((2, 9, 0, 8, 9, 3)) for order in range(count)]  # fmt: skip
    write_csv(shop.orders, HEAD, [*rows, ("X", "", "110001", "S0", 1), ("Y", "2025-10-19", "999999", "S0", 1)])
    found = plan(shop, "--growth", "1", "--json")
    assert found.code == 1
    assert (found.json["rejected_lines"], found.json["rejects_by_reason"]) == (1, {"UNKNOWN_POSTAL_CODE": 1})
    assert found.json["history"]["undated_orders"] == 1
    for said in (
        "dates and no times", "1 day has no orders (2025-10-20)", "the first day, 2025-10-18, has 2 orders",
        "the last day, 2025-10-23, has 3", "1 orders have no placed_at and are left out", "stock grows with the orders",
        "no node has a limit",
    ):  # fmt: skip
        assert any(said in note for note in found.json["notes"]), said
    assert "1 rows of the orders file were left out (1 UNKNOWN_POSTAL_CODE)" in plan(shop).out


def test_an_order_of_several_dates_is_named(shop: Shop) -> None:
    rows = [("A", f"2025-10-{18 + line}", "110001", f"S{line}", 1) for line in range(3)]
    write_csv(
        shop.orders, HEAD, [*rows, ("B", "2025-10-19", "110001", "S0", 1), ("B", "2025-10-19", "110001", "S1", 1)]
    )
    found = plan(shop, "--growth", "1", "--json").json
    assert found["history"]["orders_by_day"] == [1, 1]
    assert any("1 orders have rows of several placed_at" in note for note in found["notes"])


def test_dates_among_times_are_noticed(shop: Shop) -> None:
    history(shop, placed_at=lambda day, order: f"2025-10-{18 + day}{'' if order == 1 else f'T{order:02}:30:00Z'}")
    found = plan(shop, "--json", "--time-zone", "America/New_York").json
    assert any("6 orders are at midnight UTC to the second" in note for note in found["notes"])
    history(shop)
    assert not any("midnight UTC" in note for note in plan(shop, "--json").json["notes"])


def test_dates_written_in_another_time_zone_are_noticed(shop: Shop) -> None:
    history(shop, placed_at=lambda day, order: f"2025-10-{18 + day}T00:00:00-07:00")
    assert any("dates, written in another time zone?" in note for note in plan(shop, "--json").json["notes"])


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--growth", "0"), "--growth '0': give numbers above 0"),
        (("--growth", "1,,2"), "--growth '': give numbers"),
        (("--growth", "1,x"), "--growth 'x': give numbers"),
        (("--growth", "-1"), "--growth '-1': give numbers"),
        (("--growth", "1001"), "to 1000, of three decimals"),
        (("--growth", "1.0001"), "three decimals at most"),
        (("--growth", ",".join(map(str, range(1, 20)))), "19 growths: give 12 at most"),
        (("--stock-growth", "some"), "--stock-growth 'some'"),
        (("--policy", "cheapest"), "there are nearest and least-cost"),
        (("--policy", "least-cost"), "it needs --rate-card or --service-card"),
        (("--time-zone", "Mars/Base"), "--time-zone Mars/Base: this machine knows no such zone"),
        (("--time-zone", "../etc"), "this machine knows no such zone"),
        (("--close", "BLR"), "--close BLR: the nodes file has no such node"),
        (("--out", "orders.csv"), "--out would overwrite --orders"),
        (("--out", "nowhere/page.html"), "there is no folder nowhere"),
    ],
)
def test_what_cannot_be_planned_is_bad_usage(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(shop.folder)
    found = plan(shop, *more)
    assert (found.code, found.out, found.err.count("\n")) == (2, "", 1)
    assert said in found.err


def test_more_stock_than_a_cell_can_hold_is_refused(shop: Shop) -> None:
    write_csv(shop.stock, "sku,node_id,on_hand", [("S0", "DEL", 900_000_000)])
    found = plan(shop, "--growth", "2")
    assert (found.code, found.out) == (2, "")
    assert "1,800,000,000 units of one SKU at one node" in found.err


def test_a_made_up_history_follows_the_seed_and_the_stock(shop: Shop) -> None:
    def made(*more: object, **instead: object) -> Any:
        files = {"nodes": shop.nodes, "stock": shop.stock, "postal-codes": shop.places} | instead
        named = [word for name, path in files.items() for word in (f"--{name}", path)]
        return run("plan", *named, "--generate", "5:40", "--growth", "1", "--json", *more)

    limit(shop, (9,), ("",), ("",))
    first, again, other = made().json, made().json, made("--seed", 1).json
    assert first["history"]["orders_by_day"] == [40] * 5
    assert first["history"]["dates"][0] == "2025-10-01"
    assert first["growths"] == again["growths"] != other["growths"]
    assert any("made up" in note for note in first["notes"])
    assert first["growths"][0]["sent_units"] > 0
    write_csv(shop.stock, "sku,node_id,on_hand", [("S0", "DEL", -3)])
    assert "no SKU of the stock file has any units" in made().err
    both = plan(shop, "--generate", "5:40")
    assert (both.code, both.err.count("--orders and --generate: give one of them")) == (2, 1)
    for wrong in ("5", "0:4", "5:0", "401:1", "5:x", "400:999999", "-1:4"):
        found = run("plan", "--nodes", shop.nodes, "--stock", shop.stock, f"--generate={wrong}")
        assert (found.code, "give DAYS:ORDERS" in found.err) == (2, True)


def test_made_up_orders_of_india_come_from_where_its_orders_come_from(shop: Shop) -> None:
    files = ("--nodes", shop.nodes, "--stock", shop.stock)
    found = run("plan", *files, "--generate", "2:3000", "--growth", "1", "--stock-growth", "1000", "--json").json
    once = found["growths"][0]
    assert once["orders"] == 6000
    assert 1.05 < once["units"] / once["orders"] < 1.4
    assert 300_000 < once["mean_distance_m"] < 700_000


def test_growths_are_sorted_and_named_once() -> None:
    assert growths_of("10,1, 2.5,1.000,0.25") == [250, 1000, 2500, 10_000]


def test_a_person_reads_tables_and_what_breaks_first(shop: Shop) -> None:
    limit(shop, (1,), (1, 5), (2, ""))
    found = plan(shop, *card(shop))
    assert (found.code, found.err) == (0, "")
    for text in (
        "60 orders of 6 days, 2025-10-18 to 2025-10-23", "breaks first", "10 x", "nodes that are full, of 3",
        "late orders",
        "for lack of capacity", "cost (minor units)", "the machine that allot needs", "journal of the busiest day, MiB",
        "With the orders as they are", "note: stock grows with the orders", "note: measured here", "orders planned in",
    ):  # fmt: skip
        assert text in found.out, text


def test_what_breaks_first_is_the_earlier_day_then_the_node_that_lacks_most() -> None:
    def result(growth: float, used: dict[str, list[float]], needed: dict[str, int], gone: list[int]) -> dict[str, Any]:
        nodes: dict[str, Any] = {
            name: {"used": of, "orders_per_day": 10, "units_per_day": None, "orders_per_day_needed": needed[name],
                   "units_per_day_needed": 99}
            for name, of in used.items()
        }  # fmt: skip
        nodes["FREE"] = {"used": None, "orders_per_day": None, "units_per_day": None}
        days = {"ordered_units": [100, 100], "out_of_stock_units": gone, "waiting_units": [0, 0]}
        out = {"growth": growth, "nodes": nodes, "days": days, "late_orders": 4, "short_units": 5}
        return out | {"breaks": breaks(out, ["d1", "d2"])}

    calm = result(1, {"A": [0.5, 0.94], "B": [0.1, 0.2]}, {"A": 9, "B": 2}, [0, 0])
    nodes = result(2, {"A": [0.5, 0.95], "B": [0.1, 1.0], "C": [0.1, 1.0]}, {"A": 20, "B": 11, "C": 12}, [0, 9])
    stock = result(3, {"A": [0.5, 0.95], "B": [0.1, 1.0]}, {"A": 20, "B": 11}, [1, 9])
    assert calm["breaks"] is None
    assert (nodes["breaks"]["what"], nodes["breaks"]["node"], nodes["breaks"]["day"]) == ("capacity", "A", "d2")
    assert (stock["breaks"]["what"], stock["breaks"]["day"], stock["breaks"]["units"]) == ("stock", "d1", 1)
    assert breaks_first([calm])["growth"] is None
    first = breaks_first([calm, nodes, stock])
    assert first["growth"] == 2
    assert first["sentence"] == (
        "At 2 times the orders A and 2 more nodes are full first: on d2 A takes 95% of 10 orders, and 20 would come to "
        "it on its busiest day. In the end 4 orders are late and 5 units short."
    )


def pictures(page: Path) -> list[bytes]:
    return [base64.b64decode(svg) for svg in re.findall(r'src="data:image/svg\+xml;base64,([^"]*)"', page.read_text())]


def test_the_page_is_complete_in_itself_and_says_what_the_figures_are(shop: Shop) -> None:
    pytest.importorskip("matplotlib")
    limit(shop, (3,), (2, 5), ("",))
    for path in (shop.nodes, shop.stock):
        path.write_text(path.read_text().replace("MAA", "<b>&$x$"))
    page = shop.folder / "page.html"
    found = plan(shop, *card(shop), "--growth", "1,2.5", "--out", page, "--json")
    assert (found.code, found.err) == (0, "")
    text = page.read_text()
    drawn = pictures(page)
    assert [picture.startswith(b"<?xml") for picture in drawn] == [True] * 3
    assert len(re.findall(r"(?:src|href)=", text)) == 3
    assert "<b>&" not in text
    once, more = found.json["growths"]
    for figure in (
        more["cost"],
        more["short_units"],
        more["late_orders"],
        more["nodes"]["DEL"]["orders_per_day_needed"],
    ):
        assert f"{figure:,}" in text
    assert (
        found.json["breaks_first"]["sentence"].replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") in text
    )
    for caption in (
        "Each node with a limit, day by day, at each growth", "1 node without a limit is not shown",
        "Orange: full, 95% or more", "the penalty of short units apart", "not all nodes have a limit of one kind",
    ):  # fmt: skip
        assert caption in text, caption
    assert "2.5 x" in text
    assert once["nodes"]["DEL"]["used"]


def test_a_page_without_limits_or_cards_is_drawn_too(shop: Shop) -> None:
    pytest.importorskip("matplotlib")
    page = shop.folder / "page.html"
    assert plan(shop, "--growth", "1", "--out", page).code == 0
    text = page.read_text()
    assert "No node has a limit." in text
    assert "how far a unit travels" in text
    write_csv(shop.stock, "sku,node_id,on_hand", [])
    assert plan(shop, "--growth", "1,2", "--out", page).code == 0
    limit(shop, (0,), (0, 0), (9, 9))
    assert plan(shop, "--growth", "1,2", "--out", page).code == 0
    limit(shop, (3, 9), (2, 5), (4, 9))
    assert plan(shop, "--growth", "1,2,3", "--out", page).code == 0
    assert "what all nodes together may take" in page.read_text()


def test_without_matplotlib_the_page_has_tables_and_the_extra_is_named(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    page = shop.folder / "page.html"
    found = plan(shop, "--growth", "1", "--out", page)
    assert found.code == 0
    assert "pip install '.[report]'" in found.err
    assert ("<table>" in page.read_text(), "<img" in page.read_text()) == (True, False)


def test_a_real_month_is_planned_by_its_dates(tmp_path: Path) -> None:
    orders = tmp_path / "orders.csv"
    assert run("import", "amazon-report", real_data.report(tmp_path), "--orders", orders).code in (0, 1)
    nodes, stock = real_data.write_nodes(tmp_path / "nodes.csv"), tmp_path / "stock.csv"
    names = [node for node, *_ in real_data.fulfilment_centres()]
    cells = [(sku, names[at % len(names)], units) for at, (sku, units) in enumerate(real_data.stock_snapshot().items())]
    write_csv(stock, "sku,node_id,on_hand", [cell for cell in cells if "," not in cell[0] and '"' not in cell[0]])
    found = run("plan", "--orders", orders, "--nodes", nodes, "--stock", stock, "--growth", "1,2", "--json")
    assert found.code == 0
    dates = found.json["history"]["dates"]
    begin = datetime.fromisoformat(dates[0]).replace(tzinfo=UTC)
    assert dates == [(begin + timedelta(days=day)).date().isoformat() for day in range(len(dates))]
    assert sum(found.json["history"]["orders_by_day"]) == found.json["growths"][0]["orders"]
    assert found.json["growths"][1]["orders"] == 2 * found.json["growths"][0]["orders"]
    if real_data.available():
        assert (dates[0], dates[-1], len(dates)) == ("2022-03-31", "2022-05-31", 62)
