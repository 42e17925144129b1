"""`allot plan` by a service card: what days cost together is what `allot allocate` says of the same orders, no plan of
days is cheaper than its bound, and an order that leaves on two days pays for its second shipment and misses
its date."""

import csv
from pathlib import Path

import pytest

from tests.command_line import run, write_csv
from tests.test_cli_service_costs import Job


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """Its orders by the time at which they were placed, as a plan takes them."""
    job = Job(tmp_path_factory.mktemp("plan-costs"))
    head, *rows = csv.reader(job.orders.read_text().splitlines())
    rows.sort(key=lambda row: row[head.index("placed_at")])
    write_csv(job.orders, ",".join(head), rows)
    return job


def test_days_cost_together_what_the_file_job_says(job: Job) -> None:
    alone = job.allocate().json
    found = run("plan", *job.files(), "--growth", "1", "--json").json
    (once,) = found["growths"]
    for name in (
        "orders",
        "units",
        "short_units",
        "split_orders",
        "shipments",
        "mean_distance_m",
        "uncarried_units",
        "late_to_ship",
        "late_to_deliver",
    ):
        assert once[name] == alone[name], name
    assert once["cost"] == alone["cost"]
    assert len(found["history"]["dates"]) > 10


def test_no_plan_day_by_day_is_cheaper_than_the_bound_of_all_days(job: Job) -> None:
    bound = job.allocate("--policy", "least-cost").json["bound"]
    least = run("plan", *job.files(), "--growth", "1", "--policy", "least-cost", "--json").json["growths"][0]
    nearest = run("plan", *job.files(), "--growth", "1", "--json").json["growths"][0]
    assert bound <= least["cost"] < nearest["cost"]
    assert least["units"] == least["sent_units"] + least["short_units"]


def test_an_order_that_leaves_on_two_days_pays_for_its_second_shipment(tmp_path: Path) -> None:
    job = Job(tmp_path)
    (code, sku), (_, other) = [
        (row["postal_code"], row["sku"]) for row in csv.DictReader(job.orders.read_text().splitlines())
    ][:2]
    names = [row["node_id"] for row in csv.DictReader(job.nodes.read_text().splitlines())][:2]
    write_csv(job.stock, "sku,node_id,on_hand", [(sku, names[0], 5), (other, names[1], 5)])
    rows = [("X", code, other, 1, "2026-09-21"), ("O", code, sku, 1, "2026-09-21"), ("O", code, other, 1, "2026-09-21"),
            ("Y", code, sku, 1, "2026-09-23")]  # fmt: skip
    due = [(*row, f"{row[-1]}T18:00:00Z") for row in rows]  # all leave on a Monday and a Wednesday before the cut-off
    write_csv(job.orders, "order_id,postal_code,sku,quantity,placed_at,ship_by", due)
    free = run("plan", *job.files(), "--growth", "1", "--json").json["growths"][0]
    head, *lines = job.nodes.read_text().splitlines()
    limits = [f"{line},1" if line.split(",")[0] == names[1] else f"{line}," for line in lines]
    job.nodes.write_text("\n".join([f"{head},orders_per_day", *limits]) + "\n")
    late = run("plan", *job.files(), "--growth", "1", "--json").json["growths"][0]
    assert (free["late_orders"], late["late_orders"], late["split_orders"]) == (0, 1, 1)
    assert late["nodes"][names[1]]["orders"] == [1, 1, 0]
    assert (free["late_to_ship"], late["late_to_ship"], late["late_to_deliver"]) == (0, 1, None)
    assert free["bill"] == late["bill"]
    assert free["bill"]["split_penalty"] == 1500
