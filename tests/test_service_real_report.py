"""The whole order report of one seller through the running server as Arrow batches, with `kill -9` in between: the
client goes on by itself, every order is answered once, and the decisions are those of the file job, which nobody
disturbed. Without the real files, a small stand-in of them."""

import csv
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from allot_client import Client
from tests import real_data
from tests.crash_clients import verified
from tests.running import Server
from tests.test_real_report import Job, rows_of

BATCHES = 60  # so many, about
KILLS = 4
STOCK_ROWS = 50_000  # of a request
TOTALS = ("orders", "allocated_units", "short_units")


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    return Job(tmp_path_factory.mktemp("report"))


class Shop:
    """A server on a folder, killed and started again while its client asks."""

    def __init__(self, folder: Path, job: Job) -> None:
        self.folder, self.job = folder, job
        self.chance = random.Random(7)
        self.kills_at: list[int] = []
        self.kills = 0
        self.server = Server(folder)
        self.address = self.server.address

    def furnish(self, client: Client, lines: list[dict[str, str]]) -> None:
        """The nodes, the stock of the report's seller, its channels and all SKUs that were ever ordered."""
        with open(self.job.nodes, newline="") as file:
            client.put_nodes(
                [(node["node_id"], float(node["latitude"]), float(node["longitude"])) for node in csv.DictReader(file)]
            )
        for channel in sorted({line["channel"] for line in lines}):
            client.put_channel(channel)
        client.put_skus(sorted({line["sku"] for line in lines}))
        stock = [(sku, node, units) for (sku, node), units in self.job.on_hand.items()]
        for first in range(0, len(stock), STOCK_ROWS):
            client.count_stock(stock[first : first + STOCK_ROWS], source="snapshot", counted_at=first + 1, timeout=60)

    def progress(self, done: int, _: int) -> None:
        """Told of every batch that was answered; the next ones are under way."""
        if self.kills_at and done >= self.kills_at[0]:
            self.kills_at.pop(0)
            self.kills += 1
            self.server.kill()
            self.server = Server(self.folder, f"--listen={self.address}")


@pytest.fixture
def shop(tmp_path: Path, job: Job) -> Iterator[Shop]:
    shop = Shop(tmp_path / "data", job)
    yield shop
    if shop.server.process.poll() is None:
        shop.server.kill()


def decided(rows: list[dict[str, Any]], lines: list[dict[str, str]]) -> Counter[tuple[str, str, str, int]]:
    """Units by order, SKU, node ("" where short) and distance, of the results of the service."""
    sku_of: dict[tuple[str, int], str] = {}
    seen = Counter[str]()
    for line in lines:
        seen[line["order_id"]] += 1
        sku_of[line["order_id"], seen[line["order_id"]]] = line["sku"]
    units: Counter[tuple[str, str, str, int]] = Counter()
    for row in rows:
        for part in row["parts"]:
            sku = sku_of[row["order_id"], part["line"]]
            units[row["order_id"], sku, part["node_id"] or "", part["distance_m"]] += part["quantity"]
    return units


def test_the_whole_report_goes_through_four_kills_and_is_decided_as_if_there_were_none(shop: Shop, job: Job) -> None:
    lines = rows_of(job.orders)
    ids = list(dict.fromkeys(line["order_id"] for line in lines))
    with Client(shop.address, patience=60) as client:
        shop.furnish(client, lines)
        shop.kills_at = sorted(shop.chance.sample(range(1, len(ids) * 9 // 10), KILLS))
        batch_orders = max(1, len(ids) // BATCHES)
        first = client.allocate(job.orders, batch_orders=batch_orders, progress=shop.progress)
        again = client.allocate(job.orders, batch_orders=batch_orders * 3)
    assert shop.kills == KILLS
    check_answers(first, again, ids)
    check_decisions(first, lines, job)
    found = verified(shop.folder)
    assert found.orders == len(ids)
    assert shop.server.stop() == 0, "".join(shop.server.log)


def check_answers(first: pa.Table, again: pa.Table, ids: list[str]) -> None:
    """Every order answered once, and in the second pass equally."""
    assert first["order_id"].to_pylist() == ids
    assert first["reason"].null_count == len(ids)
    assert len(set(first["number"].to_pylist())) == len(ids)
    assert all(again["again"].to_pylist())
    assert again.drop_columns(["again"]).equals(first.drop_columns(["again"]))


def check_decisions(first: pa.Table, lines: list[dict[str, str]], job: Job) -> None:
    """Those of the file job, which allocates the same file in one go without a server."""
    found = decided(first.to_pylist(), lines)
    expected: Counter[tuple[str, str, str, int]] = Counter()
    for part in rows_of(job.folder / "alone.csv"):
        key = part["order_id"], part["sku"], part["node_id"], int(part["distance_m"] or 0)
        expected[key] += int(part["quantity"])
    assert found == expected
    given = Counter[tuple[str, str]]()
    for (_, sku, node, _), units in found.items():
        if node:
            given[sku, node] += units
    assert [cell for cell, units in given.items() if units > job.on_hand[cell]] == []
    if real_data.available():
        totals = (first.num_rows, given.total(), found.total() - given.total())
        assert totals == tuple(job.alone.json[name] for name in TOTALS) == (76_582, 46_299, 36_051)
