"""A day of orders all the way through a real server: placed, paid, shipped, tracked by five scans each, 8% returned and
refunded; then `allot verify` over its folder.

Every batch is durable before it is answered. Figures are commands a second, of one client with two batches under way.
The server keeps no views meanwhile (`--no-views`): they follow the journal in a process of their own. Beside scans is
PostgreSQL, where it is installed, in the same run (benchmarks/peers/postgres_scans.py).
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from allot_client import Client
from benchmarks.peers.peer import Missing
from benchmarks.peers.postgres_scans import scans_per_second
from benchmarks.row import Row
from benchmarks.service import empty_folder
from tests.running import server

ORDERS, QUICK_ORDERS = 1_000_000, 100_000
BATCH_ROWS, BATCH_ORDERS = 100_000, 13_000
SKUS, NODES = 10_000, 32
RETURNED_EVERY = 12  # a twelfth: 8.3%
SCANS = ("SHIP", "TRANSIT", "TRANSIT", "OUT_FOR_DELIVERY", "DELIVER")
GOAL_PER_SECOND, GOAL_MINUTES = 100_000, 10
BESIDE_PEERS = "scan transit"
PRICE, TAX = 49_900, 2_495


def rows(quick: bool) -> list[Row]:
    """What each kind of command comes to, and the whole day."""
    count = QUICK_ORDERS if quick else ORDERS
    with empty_folder() as folder:
        began = time.perf_counter()
        with server(folder / "data", "--no-views", "--no-snapshots") as running, Client(running.address) as client:
            day = Day(client, count)
            day.place()
            day.live()
            books = sum(one.amount for one in client.get_ledger().balances)
        seconds = time.perf_counter() - began
        verified, verify_seconds = _verified(folder / "data")
    peers = _peers(count)
    found = [
        Row(
            "life", f"{name}, batches of {BATCH_ROWS:,}", rate, "steps/s", peers if name == BESIDE_PEERS else {}
        ).judged(f"{GOAL_PER_SECOND:,} or more", rate >= GOAL_PER_SECOND)
        for name, rate in day.rates.items()
    ]
    clean = bool(verified["clean"]) and verified["oversold_units"] == 0 and books == 0
    return [
        Row("life", f"orders with prices, batches of {BATCH_ORDERS:,}", day.placed_rate, "orders/s"),
        *found,
        Row("life", f"a day of {count:,} orders, {day.steps:,} steps", seconds / 60, "min").judged(
            f"{GOAL_MINUTES} or less, clean", seconds <= 60 * GOAL_MINUTES and clean
        ),
        Row("life", f"  allot verify over it ({'clean' if clean else 'FAULTS'})", verify_seconds, "s"),
    ]


def _peers(shipments: int) -> dict[str, float]:
    """Scans a second of others; nothing where they are missing."""
    with empty_folder() as folder:
        try:
            return {"PostgreSQL": scans_per_second(folder, shipments, BATCH_ROWS)}
        except Missing as missing:
            print(f"life: no PostgreSQL beside it: {missing}", file=sys.stderr)
            return {}


def _verified(data: Path) -> tuple[dict[str, Any], float]:
    began = time.perf_counter()
    ended = subprocess.run(
        [sys.executable, "-m", "server.cli.main", "verify", f"--data={data}", "--json"], capture_output=True, text=True
    )
    return json.loads(ended.stdout), time.perf_counter() - began


class Day:
    """The orders of one day, and what was measured."""

    def __init__(self, client: Client, orders: int) -> None:
        self._client = client
        self._orders = pa.array([f"order-{at:07d}" for at in range(orders)])
        self._nodes = np.zeros(orders, np.int64)
        self._names = pa.array([f"node-{at}" for at in range(NODES)])
        self.rates: dict[str, float] = {}
        self.placed_rate, self.steps = 0.0, 0

    def place(self) -> None:
        """The catalogue, stock for all, and the orders."""
        chance = np.random.default_rng(1)
        count = len(self._orders)
        places = zip(chance.uniform(9, 33, NODES).tolist(), chance.uniform(69, 95, NODES).tolist(), strict=True)
        self._client.put_nodes([(f"node-{at}", *place) for at, place in enumerate(places)])
        self._client.put_channel("own")
        units = 2 * max(1, count // SKUS)
        for node in range(NODES):
            self._client.receive_stock([(f"sku-{sku}", f"node-{node}", units) for sku in range(SKUS)], timeout=120)
        skus = pa.array([f"sku-{sku}" for sku in range(SKUS)]).take(pa.array(np.arange(count) % SKUS))
        towns = pa.array(["110001", "400001", "560001", "600001", "700001"])
        codes = towns.take(pa.array(chance.integers(0, len(towns), count)))
        lines = pa.StructArray.from_arrays(
            [skus, *(pa.array(np.full(count, value, kind)) for value, kind in
                     ((1, np.int32), (PRICE, np.int64), (TAX, np.int64)))],
            ["sku", "quantity", "unit_price", "tax"],
        )  # fmt: skip
        table = pa.table({
            "order_id": self._orders, "channel": _same("own", count), "postal_code": codes,
            "currency": _same("INR", count), "payment_method": _same("CARD", count),
            "lines": pa.ListArray.from_arrays(pa.array(np.arange(count + 1, dtype=np.int32)), lines),
        })  # fmt: skip
        began, done = time.perf_counter(), 0
        for answer in self._client.allocate_batches(table, batch_orders=BATCH_ORDERS, window=2):
            parts = answer.column("parts").combine_chunks()
            node = parts.flatten().field("node_id").dictionary_encode()
            number = np.array([int(name.removeprefix("node-")) for name in node.dictionary.to_pylist()])
            assert len(node) == answer.num_rows, f"each order has one part: {answer.slice(0, 1).to_pylist()}"
            self._nodes[done : done + answer.num_rows] = number[np.asarray(node.indices)]
            done += answer.num_rows
        self.placed_rate = count / (time.perf_counter() - began)

    def live(self) -> None:
        """All that follows."""
        count = len(self._orders)
        every, returned = np.arange(count), np.arange(0, count, RETURNED_EVERY)
        self._take("payments", "pay", every, lambda at: {
            "step": _same("PAY", at.size), **self._named("P", at), "order_id": self._orders.take(pa.array(at)),
            "how": _same("local", at.size), "method": _same("CARD", at.size),
        })  # fmt: skip
        self._take("payments", "authorise", every,
                   lambda at: {"step": _same("AUTHORISE", at.size), **self._named("P", at)})  # fmt: skip
        self._take("shipments", "make shipments", every, lambda at: {
            "step": _same("SEND", at.size), **self._named("S", at), "order_id": self._orders.take(pa.array(at)),
            "node_id": self._names.take(pa.array(self._nodes[at])),
        })  # fmt: skip
        self._take("shipments", "book", every, lambda at: {
            "step": _same("BOOK", at.size), **self._named("S", at), "how": _same("swift", at.size),
            "reference": _ids("AWB", at), "amount": pa.array(np.full(at.size, 4_000)),
        })  # fmt: skip
        self._scan(every, SCANS[:1])
        self._take("payments", "capture", every, lambda at: {"step": _same("CAPTURE", at.size), **self._named("P", at)})
        self._scan(every, SCANS[1:])
        self._take("returns", "ask for returns", returned, lambda at: {
            "step": _same("ASK_RETURN", at.size), **self._named("R", at), "order_id": self._orders.take(pa.array(at)),
            "line": pa.array(np.ones(at.size, np.int32)), "quantity": pa.array(np.ones(at.size, np.int32)),
            "condition": _same("UNUSED", at.size),
        })  # fmt: skip
        for step in ("APPROVE", "RECEIVE", "INSPECT"):
            self._take("returns", step.lower(), returned,
                       lambda at, step=step: {"step": _same(step, at.size), **self._named("R", at)})  # fmt: skip
        self._refund(returned)

    def _scan(self, every: Any, scans: tuple[str, ...]) -> None:
        for step in scans:
            self._take("shipments", f"scan {step.lower().replace('_', ' ')}", every, lambda at, step=step: {
                "step": _same(step, at.size), "how": _same("swift", at.size), "reference": _ids("AWB", at),
                "note": _same("hub", at.size),
            })  # fmt: skip

    def _refund(self, returned: Any) -> None:
        """The gateway has given back what was asked for: refunds are numbered one after the other."""
        first = self._client.get_life("own", self._orders[int(returned[0])].as_py()).life.refunds[0].number
        self._take("payments", "refund", returned, lambda at: {
            "step": _same("REFUND", at.size), "channel": _same("own", at.size),
            "order_id": self._orders.take(pa.array(at)), "number": pa.array(first + at // RETURNED_EVERY),
        })  # fmt: skip

    def _named(self, kind: str, at: Any) -> dict[str, Any]:
        return {"channel": _same("own", at.size), "document_id": _ids(kind, at)}

    def _take(self, service: str, name: str, of: Any, columns: Any) -> None:
        """Steps of all of some orders, made ready before the clock starts."""
        pieces = [of[at : at + BATCH_ROWS] for at in range(0, of.size, BATCH_ROWS)]
        tables = [pa.table(columns(piece)) for piece in pieces]

        def asked() -> Iterator[pa.Table]:
            yield from tables

        began, refused = time.perf_counter(), 0
        for answer in self._client.take_steps(service, asked(), window=2):
            refused += answer.num_rows - answer.column("reason").null_count
        assert refused == 0, f"{name}: {refused:,} were refused"
        self.rates[name] = of.size / (time.perf_counter() - began)
        self.steps += of.size


def _same(text: str, count: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array([text]))


def _ids(kind: str, at: Any) -> pa.Array:
    return pa.array([f"{kind}-{one:07d}" for one in at.tolist()])
