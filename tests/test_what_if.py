"""`allot what-if`: each run has the figures of `allot allocate` on the same files, what a node sends and how far is
what its decisions say, and nothing is touched but the page."""

import base64
import csv
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from server.cli.what_if import distance_of
from tests.command_line import Outcome, run, write_csv
from tests.test_cli import Shop

SAME = (
    "orders", "units", "allocated_units", "short_units", "split_orders", "shipments", "mean_distance_m", "cost",
    "bound", "gap",
)  # fmt: skip
BOTH = ("--policy", "nearest", "--policy", "least-cost")


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop(tmp_path)
    cells = [("S0", "DEL", 9), ("S0", "BOM", 30), ("S1", "MAA", 20), ("S2", "DEL", 40), ("S3", "BOM", 12)]
    write_csv(shop.stock, "sku,node_id,on_hand", cells)
    (tmp_path / "card.toml").write_text(
        "shipment_fee = 4000\nfee_per_km = 4.3\nhandling_fee = 500\nfee_per_unit_km = 1.1\nshortage_penalty = 60000\n"
    )
    return shop


def what_if(shop: Shop, *more: object, **instead: Path) -> Outcome:
    files = {"orders": shop.orders, "nodes": shop.nodes, "stock": shop.stock, "postal-codes": shop.places} | instead
    named = [word for name, path in files.items() for word in (f"--{name}", path)]
    return run("what-if", *named, "--rate-card", shop.folder / "card.toml", *more)


def allocated(shop: Shop, policy: str, **instead: Path) -> Any:
    card = shop.folder / "card.toml"
    return run(*shop.allocate("--rate-card", card, "--policy", policy, "--json", **instead)).json


def decisions(shop: Shop) -> list[dict[str, str]]:
    return [row for row in csv.DictReader(shop.decisions.read_text().splitlines()) if row["node_id"]]


def test_each_run_has_the_figures_of_the_file_job(shop: Shop) -> None:
    found = what_if(shop, *BOTH, "--json")
    assert (found.code, found.err) == (0, "")
    for result in found.json["runs"]:
        alone = allocated(shop, result["policy"])
        assert {name: result[name] for name in SAME} == {name: alone[name] for name in SAME}
        sent, leaves = Counter[str](), set()
        for row in decisions(shop):
            sent[row["node_id"]] += int(row["quantity"])
            leaves.add((row["order_id"], row["node_id"]))
        shipments = Counter(node for _, node in leaves)
        assert result["nodes"] == {
            node: {"units": sent[node], "shipments": shipments[node]} for node in ("DEL", "BOM", "MAA")
        }
        travelled = sorted(int(row["distance_m"]) for row in decisions(shop) for _ in range(int(row["quantity"])))
        assert result["p95_distance_m"] == travelled[-(-95 * len(travelled) // 100) - 1]
        assert abs(sum(result["bill"].values()) - result["cost"]) <= 1
        assert result["bill"]["shortage_penalty"] == 60_000 * result["short_units"] > 0
    nearest, least = found.json["runs"]
    assert least["cost"] < nearest["cost"]
    assert (nearest["bound"], least["bound"] <= least["cost"]) == (None, True)


@pytest.mark.parametrize("policy", ["nearest", "least-cost"])
def test_a_closed_node_is_as_one_that_the_files_do_not_name(shop: Shop, policy: str) -> None:
    found = what_if(shop, "--policy", policy, "--close", "BOM", "--json")
    assert found.code == 0
    whole, less = found.json["runs"]
    assert (whole["closed"], less["closed"]) == ([], ["BOM"])
    assert {name: whole[name] for name in SAME} == {
        name: value for name, value in allocated(shop, policy).items() if name in SAME
    }
    nodes, stock = shop.folder / "fewer.csv", shop.folder / "less.csv"
    for path, full in ((nodes, shop.nodes), (stock, shop.stock)):
        path.write_text("".join(line for line in full.read_text().splitlines(True) if "BOM" not in line))
    alone = allocated(shop, policy, nodes=nodes, stock=stock)
    assert {name: less[name] for name in SAME} == {name: alone[name] for name in SAME}
    assert set(less["nodes"]) == {"DEL", "MAA"}
    assert less["short_units"] > whole["short_units"]


def test_two_policies_without_a_node_both_do_without_it(shop: Shop) -> None:
    found = what_if(shop, *BOTH, "--close", "MAA", "--json")
    assert [run["closed"] for run in found.json["runs"]] == [["MAA"], ["MAA"]]


def test_nothing_is_touched_but_the_page(shop: Shop) -> None:
    def there() -> dict[str, tuple[int, bytes]]:
        return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in shop.folder.iterdir()}

    before = there()
    assert what_if(shop, *BOTH, "--out", shop.folder / "page.html").code == 0
    after = there()
    assert len(after.pop("page.html")[1]) > 1000
    assert after == before


def test_a_person_reads_a_table_of_runs_and_one_of_nodes(shop: Shop) -> None:
    found = what_if(shop, "--policy", "nearest", "--close", "BOM")
    assert (found.code, found.err) == (0, "")
    for text in ("nearest", "nearest without BOM", "cost (minor units)", "95% of units travel at most", "closed"):
        assert text in found.out
    files = ("--orders", shop.orders, "--nodes", shop.nodes, "--stock", shop.stock, "--postal-codes", shop.places)
    without_card = run("what-if", *files, "--policy", "nearest", "--close", "BOM")
    assert (without_card.code, "cost" in without_card.out, "short units" in without_card.out) == (0, False, True)


def test_the_page_is_complete_in_itself(shop: Shop) -> None:
    pytest.importorskip("matplotlib")
    shop.nodes.write_text(shop.nodes.read_text().replace("MAA", "<b>&$x$"))
    shop.stock.write_text(shop.stock.read_text().replace("MAA", "<b>&$x$"))
    page = shop.folder / "page.html"
    found = what_if(shop, "--policy", "least-cost", "--close", "<b>&$x$", "--out", page, "--json")
    assert (found.code, found.err) == (0, "")
    text = page.read_text()
    pictures = [base64.b64decode(svg) for svg in re.findall(r'src="data:image/svg\+xml;base64,([^"]*)"', text)]
    assert [picture.startswith(b"<?xml") for picture in pictures] == [True] * 3
    assert len(re.findall(r"(?:src|href)=", text)) == 3
    assert "least-cost without &lt;b&gt;&amp;$x$" in text
    assert "<b>" not in text
    assert f"{found.json['runs'][1]['cost']:,}" in text


def test_a_page_of_nothing_is_drawn_too(shop: Shop) -> None:
    pytest.importorskip("matplotlib")
    write_csv(shop.stock, "sku,node_id,on_hand", [])
    page = shop.folder / "page.html"
    nothing_sent = what_if(shop, *BOTH, "--out", page, "--json")
    assert (nothing_sent.code, nothing_sent.err) == (0, "")
    assert [run["p95_distance_m"] for run in nothing_sent.json["runs"]] == [None, None]
    write_csv(shop.orders, "order_id,postal_code,sku,quantity", [])
    nothing_asked = what_if(shop, *BOTH, "--out", page)
    assert (nothing_asked.code, nothing_asked.err) == (0, "")
    assert page.read_text().count("<img") == 3


def test_without_matplotlib_the_page_has_tables_and_the_extra_is_named(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    page = shop.folder / "page.html"
    found = what_if(shop, *BOTH, "--out", page)
    assert found.code == 0
    assert "pip install '.[report]'" in found.err
    assert ("<table>" in page.read_text(), "<img" in page.read_text()) == (True, False)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--policy", "nearest"), "nothing beside it"),
        (("--policy", "nearest", "--policy", "nearest"), "nothing beside it"),
        (("--policy", "cheapest", "--policy", "nearest"), "there are nearest and least-cost"),
        ((*BOTH, "--close", "BLR"), "--close BLR: the nodes file has no such node"),
        ((*BOTH, "--close", "DEL", "--close", "BOM", "--close", "MAA"), "all nodes are closed"),
        ((*BOTH, "--out", "orders.csv"), "--out would overwrite --orders"),
        ((*BOTH, "--out", "nowhere/page.html"), "there is no folder nowhere"),
        ((*BOTH, "--out", "."), "is a folder: name a file"),
    ],
)
def test_what_cannot_be_compared_is_bad_usage(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(shop.folder)
    found = what_if(shop, *more)
    assert (found.code, found.out, found.err.count("\n")) == (2, "", 1)
    assert said in found.err


def test_rows_that_are_left_out_are_counted(shop: Shop) -> None:
    shop.orders.write_text(shop.orders.read_text() + "X,shop,110001,S0,none\n")
    found = what_if(shop, *BOTH)
    assert found.code == 1
    assert "1 rows of the orders file were left out" in found.out


def test_the_distance_of_a_share_of_units() -> None:
    metres, units = np.array([300, 100, 200], np.int32), np.array([1, 18, 1], np.int64)
    assert [distance_of(share, metres, units) for share in (0.5, 0.9, 0.95, 1.0)] == [100, 100, 200, 300]
    assert distance_of(0.5, metres[:0], units[:0]) is None
    assert distance_of(0.95, np.arange(100, 0, -1, np.int32), np.ones(100, np.int64)) == 95
