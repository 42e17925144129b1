"""`make demo`: what is drawn follows the figures, and a small run for real: its table against its folder, its commands,
and that its server ends with it.
"""

import re
import shlex
import signal
import socket
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from allot.v1 import types_pb2
from server.demo import figures
from server.demo.__main__ import Outcome
from server.demo.hour import LANE, SMALL_WAY, Geography, Hour, curve_weights, festive_hour
from server.demo.tally import Tally
from tests import real_data
from tests.command_line import run
from tests.running import Server

ORDERS, SKUS = 3_000, 500
RUN = [sys.executable, "-m", "server.demo"]


# The figures


def percents(values) -> dict:
    counts = Counter(values)
    return {value: 100 * count / counts.total() for value, count in counts.items()}


def top(counts: Counter, part: float) -> float:
    ordered = sorted(counts.values(), reverse=True)
    return sum(ordered[: int(len(ordered) * part)]) / counts.total()


@pytest.mark.skipif(not real_data.available(), reason="the report is not there")
def test_the_figures_of_india_are_those_of_the_report(tmp_path: Path):
    report = pyarrow.csv.read_csv(real_data.report(tmp_path))
    columns = (report[name].to_pylist() for name in ("Order ID", "SKU", "Qty", "ship-postal-code"))
    rows = [row for row in zip(*columns, strict=True) if row[2] and row[3]]
    lines, codes, sold = Counter(row[0] for row in rows), {}, Counter()
    for order_id, sku, units, code in rows:
        codes.setdefault(order_id, str(code)[:6])
        sold[sku] += units
    assert (len(rows), len(codes), len(sold), len(set(codes.values()))) == (81_994, 76_582, 6_634, 8_136)
    assert percents(code[:2] for code in codes.values()) == pytest.approx(figures.REGIONS, abs=0.006)
    assert percents(min(count, 5) for count in lines.values()) == pytest.approx(figures.LINES, abs=0.006)
    for curve, counts in ((figures.SKUS_CURVE, sold), (figures.CODES_CURVE, Counter(codes.values()))):
        assert {part: top(counts, part) for part in curve} == pytest.approx(curve, abs=0.0006)


@pytest.mark.skipif(not real_data.available(), reason="the orders are not there")
def test_the_units_of_a_line_are_those_of_olist():
    rows = pyarrow.csv.read_csv(real_data.DATA / "olist_orders_20k" / "order_items.csv.gz")
    lines = Counter(zip(rows["order_id"].to_pylist(), rows["product_id"].to_pylist(), strict=True))
    assert percents(min(units, 6) for units in lines.values()) == pytest.approx(figures.UNITS, abs=0.006)


@pytest.mark.skipif(not real_data.available(), reason="the list is not there")
def test_the_places_are_the_towns_of_the_press():
    listed = pyarrow.csv.read_csv(real_data.DATA / real_data.CENTRES)
    assert sorted(figures.PLACES.values()) == sorted(map(str, listed["pincode"].to_pylist()))


# What is drawn


@pytest.fixture(scope="module")
def geography() -> Geography:
    return Geography.india()


@pytest.fixture(scope="module")
def hour(geography: Geography) -> Hour:
    return festive_hour(100_000, 5_000, 7, geography)


def shares(values, names) -> dict:
    found, counts = np.unique(values, return_counts=True)
    return dict.fromkeys(names, 0.0) | dict(zip(found.tolist(), (100 * counts / counts.sum()).tolist(), strict=True))


def test_regions_lines_units_and_channels_have_the_shares_of_the_figures(hour: Hour):
    channels = np.array(list(figures.CHANNELS))[hour.channel]
    for values, percents in (
        (hour.code.astype("U2"), figures.REGIONS),
        (np.diff(hour.first_line), figures.LINES),
        (hour.units, figures.UNITS),
        (channels, figures.CHANNELS),
    ):
        found = shares(values, percents)
        assert found.keys() == percents.keys()
        assert max(abs(found[name] - percents[name]) for name in percents) < 0.6, found


@pytest.mark.parametrize("top", figures.SKUS_CURVE)
def test_the_best_selling_skus_have_the_share_of_the_figures(hour: Hour, top: float):
    sold = np.bincount(hour.sku, minlength=5_000)
    assert sold[: int(5_000 * top)].sum() / sold.sum() == pytest.approx(figures.SKUS_CURVE[top], abs=0.01)


def test_the_busiest_postal_codes_of_a_region_have_the_share_of_the_figures(hour: Hour, geography: Geography):
    known = int((geography.region == "56").sum())
    _, orders = np.unique(hour.code[hour.code.astype("U2") == "56"], return_counts=True)
    busiest = np.sort(orders)[::-1]
    assert busiest[: known // 10].sum() / busiest.sum() == pytest.approx(figures.CODES_CURVE[0.10], abs=0.03)


def test_a_curve_spreads_what_it_does_not_say():
    assert curve_weights({0.5: 0.8}, 4).tolist() == pytest.approx([0.4, 0.4, 0.1, 0.1])


def test_there_is_a_tenth_more_stock_than_demand_and_some_skus_run_out(hour: Hour):
    demand = np.bincount(hour.sku, hour.units, 5_000)
    stock = hour.stock.sum(axis=1)
    assert stock.sum() / demand.sum() == pytest.approx(figures.STOCK_OVER_DEMAND, abs=0.01)
    assert 0.02 < (stock < demand).mean() < 0.4


def test_the_places_are_22_with_known_codes(geography: Geography):
    assert len(figures.PLACES) == len(set(figures.PLACES.values())) == 22
    assert np.isin(list(figures.PLACES.values()), geography.codes).all()


def test_most_orders_go_by_the_lane_and_some_by_each_way(hour: Hour):
    ways = shares(hour.way, range(4))
    assert ways[LANE] > 95
    assert all(abs(ways[way] - 100 * SMALL_WAY) < 0.2 for way in range(1, 4))


def test_the_lane_has_its_orders_as_they_are_sent_one_by_one(hour: Hour):
    table = hour.lane_table()
    chosen = hour.by(LANE)
    assert table.num_rows == chosen.size
    for row in (0, 1, table.num_rows - 1):
        sent, draft = table.slice(row, 1).to_pylist()[0], hour.draft(int(chosen[row]))
        assert [(line["sku"], line["quantity"]) for line in sent.pop("lines")] == draft.pop("lines")
        assert sent == draft


def test_the_same_seed_draws_the_same_hour(geography: Geography):
    first, second, other = (festive_hour(2_000, 200, seed, geography) for seed in (1, 1, 2))
    assert first.lane_table().equals(second.lane_table())
    assert (first.stock == second.stock).all()
    assert not first.lane_table().equals(other.lane_table())


# What is counted


def test_a_batch_counts_as_its_orders_would_one_by_one():
    parts = [
        [("A", 1, 7)],
        [("A", 1, 7), ("A", 2, 7), ("B", 1, 9)],
        [("B", 1, 5), (None, 2, 0)],
        [(None, 3, 0)],
        [(None, 4, 0)],
    ]
    outcomes = ["ALLOCATED", "ALLOCATED", "PARTLY", "SHORT", "REFUSED"]
    single, batch = Tally(), Tally()
    for outcome, given in zip(outcomes, parts, strict=True):
        decision = types_pb2.Decision(outcome=types_pb2.Outcome.Value(f"OUTCOME_{outcome}"))
        for node, units, metres in given:
            decision.parts.add(line=1, node_id=node or "", quantity=units, distance_m=metres)
        single.decided(decision)
    names = ("node_id", "quantity", "distance_m")
    batch.decided_batch(
        pa.table(
            {
                "order_id": list("abcde"),
                "channel": ["own"] * 5,
                "outcome": outcomes,
                "parts": [[dict(zip(names, part, strict=True)) for part in given] for given in parts],
            }
        )
    )
    assert batch.samples == [("own", "a")]
    batch.samples = []
    assert batch == single
    assert (batch.orders, batch.refused, batch.served, batch.split, batch.shipments, batch.metres) == (
        5,
        1,
        3,
        1,
        4,
        28,
    )
    assert (batch.units, batch.short_units) == (11, 5)


CLEAN = {"oversold_units": 0, "clean": True, "faults": [], "orders": 10}


@pytest.mark.parametrize(
    ("tally", "verified", "said"),
    [
        (Tally(orders=10), CLEAN, ""),
        (Tally(orders=10), CLEAN | {"oversold_units": 2}, "2 units are oversold"),
        (Tally(orders=10), CLEAN | {"clean": False, "faults": ["row 3"]}, "not clean"),
        (Tally(orders=9), CLEAN, "9 answered"),
        (Tally(orders=10), CLEAN | {"orders": 9}, "9 are in it"),
        (Tally(orders=10, not_taken=1, problem="sku: no"), CLEAN | {"orders": 9}, "1 orders were not taken: sku: no"),
        (Tally(orders=10, forgotten=[("own", "C")]), CLEAN, "1 carts did not expire"),
    ],
)
def test_what_must_not_be_is_a_fault(tally: Tally, verified: dict, said: str):
    faults = Outcome({LANE: tally}, 1.0, [], 0, [], 0, 0, 0, verified).faults(10)
    assert (said in faults[0]) if said else (faults == [])


# A small run for real


@dataclass
class Demonstration:
    """What a run left."""

    folder: Path
    out: str
    err: str

    @property
    def rows(self) -> dict[str, str]:
        """The table."""
        return {name.strip(): value.strip() for name, value in re.findall(r"│ (.*?) │ (.*?) │", self.out)}

    def figure(self, name: str) -> float:
        """The first number of a row of the table."""
        return float(re.split(r"[ %]", self.rows[name])[0].replace(",", ""))

    @property
    def following(self) -> list[list[str]]:
        """The commands to try next, without the path of `allot`."""
        after = self.out.split("Try next")[1].splitlines()[1:]
        return [shlex.split(line)[1:] for line in after if line.strip()]


@pytest.fixture(scope="module")
def demonstration(tmp_path_factory: pytest.TempPathFactory) -> Demonstration:
    folder = tmp_path_factory.mktemp("demo") / "data"
    ended = subprocess.run(
        [*RUN, f"--orders={ORDERS}", f"--skus={SKUS}", f"--folder={folder}"], capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return Demonstration(folder, ended.stdout, ended.stderr)


def test_the_orders_are_what_was_sent_by_four_ways(demonstration: Demonstration):
    ways = [name for name in demonstration.rows if name.startswith(("by ", "one by one", "as carts"))]
    assert len(ways) == 4
    assert sum(demonstration.figure(way) for way in ways) == demonstration.figure("orders") == ORDERS
    assert all(demonstration.figure(way) > 0 for way in ways)


def test_the_table_says_what_the_folder_says(demonstration: Demonstration, tmp_path: Path):
    verified = run("verify", "--data", demonstration.folder / "folder", "--json")
    assert verified.code == 0
    replayed = demonstration.figure("orders and reservations replayed")
    assert (verified.json["oversold_units"], verified.json["orders"]) == (0, replayed)
    assert demonstration.rows["oversold units, by allot verify"] == "0"
    assert demonstration.rows["allot verify"] == "clean"

    run("export", "--data", demonstration.folder / "folder", "--out", tmp_path)
    orders = pq.read_table(tmp_path / "orders.parquet")
    kept = orders.filter(pc.and_(pc.not_equal(orders["outcome"], "REFUSED"), pc.invert(orders["is_reservation"])))
    refused = orders.filter(pc.equal(orders["outcome"], "REFUSED"))
    decisions = pq.read_table(tmp_path / "decisions.parquet")
    of_kept = decisions.filter(pc.is_in(decisions["number"], kept["number"]))
    short, served = of_kept.filter(pc.is_null(of_kept["node_id"])), of_kept.filter(pc.is_valid(of_kept["node_id"]))
    shipments = served.group_by(["number", "node_id"]).aggregate([("metres", "max")])
    nodes_of = shipments.group_by("number").aggregate([("node_id", "count")])["node_id_count"]
    assert demonstration.figure("shipments") == shipments.num_rows
    assert demonstration.figure("short units") == (pc.sum(short["quantity"]).as_py() or 0)
    assert demonstration.figure("refused orders, short on the own site") == refused.num_rows
    split = 100 * pc.sum(pc.greater(nodes_of, 1)).as_py() / len(nodes_of)
    assert demonstration.figure("split orders") == pytest.approx(split, abs=0.005)
    distance = pc.mean(shipments["metres_max"]).as_py() / 1000
    assert demonstration.figure("mean distance of a shipment") == pytest.approx(distance, abs=0.5)


def test_a_share_of_the_orders_is_taken_all_the_way(demonstration: Demonstration):
    by_method = demonstration.rows["paid by card / on delivery / by the marketplace"].split(" / ")
    assert sum(map(int, by_method)) == demonstration.figure("orders taken all the way") > 0
    delivered, _ = demonstration.rows["parcels delivered / lost"].split(" / ")
    assert int(delivered) >= demonstration.figure("orders taken all the way") / 2
    assert demonstration.figure("returns, inspected and given back") >= 1
    assert demonstration.rows["all accounts of the ledger together, paise"] == "0"
    story = demonstration.out.split("time line")[1]
    wanted = [
        "pay",
        "authorise",
        "picked",
        "book",
        "ship",
        "transit",
        "deliver",
        "capture",
        "ask return",
        "inspect",
        "refund",
    ]
    assert [what for what in wanted if f"  {what} " not in story] == []


def test_the_speed_and_the_lag_are_measured(demonstration: Demonstration):
    for row in ("one order beside the lane", "reserve, confirm, release", "ATS lag, decision to watcher"):
        middle, late = re.fullmatch(r"([\d,.]+) / ([\d,.]+) ms", demonstration.rows[f"{row}, p50 / p99"]).groups()
        assert 0 < float(middle.replace(",", "")) <= float(late.replace(",", ""))
    assert next(demonstration.figure(name) for name in demonstration.rows if name.startswith("orders a second")) > 0


def test_where_there_is_no_terminal_each_stage_leaves_a_line(demonstration: Demonstration):
    lines = re.findall(r"^ *[\d.]+ s  (\w+)", demonstration.err, re.MULTILINE)
    assert lines[:3] == ["started", "loaded", "sent"]
    assert "taken through their whole life" in demonstration.err
    assert "\x1b" not in demonstration.err


def test_the_commands_to_try_next_work(demonstration: Demonstration, monkeypatch: pytest.MonkeyPatch):
    (serve, *flags), *others = demonstration.following
    assert serve == "serve"
    running = Server(Path(flags[flags.index("--data") + 1]))
    try:
        monkeypatch.setenv("ALLOT_SERVER", running.address)
        assert [words[0] for words in others] == [
            "order", "order", "order", "stock", "watch", "events", "verify", "export",
        ]  # fmt: skip
        for words in others:
            found = run(*words)
            assert (found.code, found.err) == (0, ""), words
            assert 1 <= len(found.out.splitlines()) < 60, words  # something, and not a flood
        again = subprocess.run([*RUN, f"--folder={demonstration.folder}"], capture_output=True, text=True)
        assert (again.returncode, again.stdout) == (2, "")
        assert "a server runs on it: stop it first" in again.stderr
        assert running.stop() == 0
    finally:
        if running.process.poll() is None:
            running.kill()


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path):
    (tmp_path / "mine").write_text("precious")
    ended = subprocess.run([*RUN, f"--folder={tmp_path}"], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "holds something else" in ended.stderr
    assert (tmp_path / "mine").read_text() == "precious"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_its_server_ends_with_it(tmp_path: Path, number: signal.Signals):
    running = subprocess.Popen([*RUN, f"--folder={tmp_path / 'data'}"], stderr=subprocess.PIPE, text=True)
    assert running.stderr is not None
    host, port = "", 0
    for line in running.stderr:
        if found := re.search(r"started allot serve on ([\d.]+):(\d+),", line):
            host, port = found[1], int(found[2])
        if "sending orders" in line:
            break
    running.send_signal(number)
    said = running.stderr.read()
    running.stderr.close()
    assert running.wait(60) == 128 + number, said
    assert "Traceback" not in said
    with pytest.raises(ConnectionRefusedError), socket.create_connection((host, port), 5):
        pass
