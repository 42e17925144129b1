"""The whole order report of one seller through the command line, with kills in the middle: nothing lost, nothing sold
twice, and the decisions are those of a run that nobody disturbed. Without the real files, a small stand-in of them."""

import csv
import gzip
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from engine.intake.stock import spread_evenly
from tests import real_data
from tests.command_line import killed, run, write_csv

REPORT_ROWS = 91_278


class Job:
    """The report imported, the stock spread over the centres, and an undisturbed stateless run to compare with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.report = real_data.report(folder)
        self.orders = folder / "orders.csv"
        rejects = folder / "rejects.csv"
        self.imported = run(
            "import", "amazon-report", self.report, "--orders", self.orders, "--rejects", rejects, "--json"
        )
        self.nodes = real_data.write_nodes(folder / "nodes.csv")
        centres = pa.array([centre[0] for centre in real_data.fulfilment_centres()])
        units = real_data.stock_snapshot()
        stock = spread_evenly(pa.array(list(units)), np.array(list(units.values())), centres)
        self.on_hand = Counter(dict(zip(zip(stock.sku.to_pylist(), centres.take(pa.array(stock.node)).to_pylist(),
                                            strict=True), stock.on_hand.tolist(), strict=True)))  # fmt: skip
        rows = ((sku, node, figure) for (sku, node), figure in self.on_hand.items())
        self.stock = write_csv(folder / "stock.csv", "sku,node_id,on_hand", rows)
        self.alone = run(*self.allocate("alone.csv"))

    def allocate(self, decisions: str, *more: object) -> list[object]:
        return ["allocate", "--orders", self.orders, "--nodes", self.nodes, "--stock", self.stock,
                "--decisions", self.folder / decisions, "--json", *more]  # fmt: skip


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    return Job(tmp_path_factory.mktemp("report"))


def rows_of(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", newline="") if path.suffix == ".gz" else open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_every_row_of_the_report_is_an_order_line_or_a_reject_with_its_reason(job: Job):
    counts = job.imported.json
    rejects = rows_of(job.folder / "rejects.csv")
    assert job.imported.code == 1  # some rows were rejected
    assert counts["lines"] + counts["rejected_rows"] == counts["rows"] == len(rows_of(job.report))
    assert counts["lines"] == len(rows_of(job.orders))
    assert counts["rejected_rows"] == len(rejects)
    assert len({reject["row"] for reject in rejects}) == len(rejects)
    assert all(reject["reason"] and reject["why"] for reject in rejects)
    if real_data.available():
        assert counts["rows"] == REPORT_ROWS


def test_every_line_is_decided_in_full_and_no_cell_gives_more_than_it_has(job: Job):
    assert job.alone.code == 0, job.alone
    ordered = Counter[tuple[str, str]]()
    decided = Counter[tuple[str, str]]()
    given = Counter[tuple[str, str]]()
    for line in rows_of(job.orders):
        ordered[line["order_id"], line["sku"]] += int(line["quantity"])
    for part in rows_of(job.folder / "alone.csv"):
        assert (part["outcome"] == "SHORT") == (part["node_id"] == "")
        decided[part["order_id"], part["sku"]] += int(part["quantity"])
        if part["node_id"]:
            given[part["sku"], part["node_id"]] += int(part["quantity"])
    assert decided == ordered
    assert [cell for cell, units in given.items() if units > job.on_hand[cell]] == []
    assert given.total() == job.alone.json["allocated_units"]
    if real_data.available():
        demand = Counter[str]()
        for (_, sku), units in ordered.items():
            demand[sku] += units
        has = Counter[str]()
        for (sku, _), units in job.on_hand.items():
            has[sku] += max(0, units)
        assert sum(units > has[sku] for sku, units in demand.items()) > 2000  # most of what is ordered is too little


def test_a_run_killed_four_times_ends_with_the_decisions_of_one_that_nobody_disturbed(job: Job):
    data = job.folder / "data"
    durable = job.allocate("killed.csv", "--data", data)
    last = job.alone.json["sequence"]
    for moment, sequence in (("after", 2), ("torn", last - 2), ("before", last), ("writing", 0)):
        killed(moment, sequence, *durable)
        assert not (job.folder / "killed.csv").exists()
    ended = run(*durable)
    assert ended.code == 0, ended
    alone = job.alone.json
    same = ("orders", "lines", "units", "allocated_units", "short_units", "split_orders", "shipments", "sequence")
    assert {name: ended.json[name] for name in same} == {name: alone[name] for name in same}
    assert (job.folder / "killed.csv").read_bytes() == (job.folder / "alone.csv").read_bytes()

    checked = run("verify", "--data", data, "--json")
    assert checked.code == 0, checked
    found = checked.json
    assert (found["clean"], found["oversold_units"], found["faults"]) == (True, 0, [])
    assert (found["orders"], found["last_sequence"]) == (alone["orders"], last)
