"""`allot plan` over ten million orders: May of the real report at eight growths that come to them, by distance.

From exec of the command to its end: the interpreter, the files, all growths with limits and without, the machine
measured. Caches of kernels are warm. Twice: nodes that are full in the largest growths only, and nodes that are full
from the third on, where millions of orders wait from day to day. Stock is simulated as in P5, capacities are made up.
`python -m benchmarks --only plan`.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.least_cost_world import fulfilment_centres, report_lines, report_places
from benchmarks.row import Row

GROWTHS, GROWTHS_QUICK = "1,2,5,10,20,40,80,140", "1,2,5,10,11"
MONTH = "05"
STOCK = 1.2  # units over the units ordered
CAPACITIES = (5000, 200)  # orders a day of each node


def rows(quick: bool = False) -> list[Row]:
    """Seconds of the whole command, its peer the processor time of it; then its memory."""
    out, growths, most = [], GROWTHS_QUICK if quick else GROWTHS, 0.0
    with tempfile.TemporaryDirectory(prefix="bench-plan-") as name:
        folder = Path(name)
        _write(folder)
        for capacity in CAPACITIES:
            nodes = [(f"N{at}", *place, capacity) for at, place in enumerate(fulfilment_centres())]
            _csv(folder / "nodes.csv", "node_id,latitude,longitude,orders_per_day", nodes)
            files = [word for name in ("orders", "nodes", "stock") for word in (f"--{name}", folder / f"{name}.csv")]
            command = [sys.executable, "-m", "server.cli.main", "plan", *files, "--growth", growths, "--json"]
            began = time.perf_counter()
            told, used = _run(command)
            seconds = time.perf_counter() - began
            processor, most = used.ru_utime + used.ru_stime, max(most, used.ru_maxrss / 1024)
            found = json.loads(told)
            late = sum(run["late_orders"] for run in found["growths"]) / found["planned_orders"]
            what = f"{found['planned_orders']:,} orders of May, {late:.0%} of them late"
            out.append(Row("plan", what, seconds, "s", {"processor": processor}))
        out.append(Row("plan", "most memory of these", most, "MiB"))
    return out


def _run(command: list[Any]) -> tuple[bytes, resource.struct_rusage]:
    """What a command says, and what it alone used."""
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        told = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return told, used


def _write(folder: Path) -> None:
    """Orders and stock."""
    lines = [line for line in report_lines(report_places(), 10**9) if line[0].startswith(MONTH)]
    orders = [(order, f"20{day[6:]}-{day[:5]}", code, sku, units) for day, order, code, sku, units in lines]
    _csv(folder / "orders.csv", "order_id,placed_at,postal_code,sku,quantity", orders)
    wanted: dict[str, int] = {}
    for *_, sku, units in lines:
        wanted[sku] = wanted.get(sku, 0) + units
    chance, nodes = np.random.default_rng(0), len(fulfilment_centres())
    cells = []
    for sku, units in sorted(wanted.items()):
        there = chance.multinomial(int(units * STOCK + chance.random()), chance.dirichlet(np.full(nodes, 2.0)))
        cells += [(sku, f"N{at}", count) for at, count in enumerate(there.tolist()) if count]
    _csv(folder / "stock.csv", "sku,node_id,on_hand", cells)


def _csv(path: Path, head: str, rows: list[tuple[object, ...]]) -> None:
    path.write_text("\n".join([head, *(",".join(map(str, row)) for row in rows)]) + "\n")
