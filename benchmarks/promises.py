"""Promises on one core: carts of one or two lines, three services by two tables of zones, over the canonical stock.

`foresee` and `price_and_date` a batch of carts at a time, as the server calls them. The peers: `nearest` alone, which
claims what it draws, and each of the two kernels alone.
"""

import time
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks import load
from benchmarks.row import Row, in_turn
from engine.promise import Foreseen, promise
from engine.ragged import elements, offsets
from engine.rates.card import Calendar, NodeTerms, Service, ServiceCard, Slabs
from engine.rates.tariff import Tariff
from engine.rates.zones import FAR, ZoneTable
from kernels.capacity import no_capacity
from kernels.cheapest import no_prices
from kernels.columns import Batch, Drawn, no_terms
from kernels.nearest import empty_drawn, foresee, nearest, parts_max

CARTS, CARTS_QUICK = 1_000_000, 200_000
LINES_MAX = 2
BATCH_CARTS = 1024  # as the server looks at them (server/promising.py)
STOCK = 1.2  # units over the units ordered
ROUNDS = 5
_WEEK = (True,) * 6 + (False,)


def rows(quick: bool = False) -> list[Row]:
    """Promises a second."""
    carts = _short(load.orders(CARTS_QUICK if quick else CARTS))
    count = carts.channel.size
    batches = [_slice(carts, first, min(first + BATCH_CARTS, count)) for first in range(0, count, BATCH_CARTS)]
    cells = load.cells(load.stock(STOCK * int(carts.quantity.sum())))
    fences, policies, places = load.no_fences(), load.policies(), load.places()
    tariff = _tariff()
    drawn = [_empty(batch) for batch in batches]
    codes, skus = (pa.array([f"{i:06}" for i in range(n)]) for n in (load.POSTAL_CODES, load.SKUS))
    seen = [Foreseen(1, out, load.NODES, (0, 0), codes, skus, np.empty(0)) for out in drawn]
    cash = np.zeros(BATCH_CARTS, np.uint8)

    def look() -> float:
        started = time.thread_time()
        for batch, out in zip(batches, drawn, strict=True):
            foresee(batch, load.NODES, cells, fences, policies, places, no_prices(), no_capacity(), out)
        return time.thread_time() - started

    def date() -> float:
        started = time.thread_time()
        for batch, of in zip(batches, seen, strict=True):
            promise(tariff, batch, of, cash, load.STAMP)
        return time.thread_time() - started

    def claim() -> float:
        claimed = load.cells(cells.available)
        started = time.thread_time()
        for batch, out in zip(batches, drawn, strict=True):
            nearest(batch, load.NODES, claimed, fences, policies, places, no_prices(), no_capacity(), out)
        return time.thread_time() - started

    look()
    promise(tariff, batches[0], seen[0], cash, load.STAMP)  # takes in the codes and SKUs
    runs = in_turn(ROUNDS, nearest=claim, promise=lambda: look() + date(), foresee=look, date=date)
    peers = {"nearest": runs["nearest"].rate(count), "foresee": runs["foresee"].rate(count)}
    peers["price and date"] = runs["date"].rate(count)
    low, high = runs["promise"].spread(count)
    what = f"promises of carts of 1-2 lines, {len(tariff.card.services)} services"
    return [Row("promise", what, runs["promise"].rate(count), "carts/s", peers, low, high, runs=ROUNDS)]


def _short(batch: Batch) -> Batch:
    """The orders with their first lines only."""
    kept = np.minimum(np.diff(batch.first_line), LINES_MAX)
    lines = np.arange(batch.sku.size) - np.repeat(batch.first_line[:-1], np.diff(batch.first_line)) < LINES_MAX
    return batch._replace(first_line=offsets(kept), sku=batch.sku[lines], quantity=batch.quantity[lines])


def _slice(batch: Batch, first: int, last: int) -> Batch:
    rows = np.arange(first, last)
    lines = elements(batch.first_line, rows)
    first_line = batch.first_line[first : last + 1] - batch.first_line[first]
    return Batch(
        batch.channel[rows],
        batch.postal_code[rows],
        first_line,
        batch.sku[lines],
        batch.quantity[lines],
        *no_terms(rows.size),
    )


def _empty(batch: Batch) -> Drawn:
    return empty_drawn(batch.channel.size, batch.sku.size, parts_max(batch.quantity, load.NODES), load.NODES)


def _tariff() -> Tariff:
    node_ids = [f"N{node}" for node in range(load.NODES)]
    prefixes: dict[str, int] = {f"{area:03}": area % 5 for area in range(100)}
    zones = {
        "codes": ZoneTable("codes", tuple("abcde"), {"": {"": 0, **prefixes}}, ()),
        "bands": ZoneTable("bands", tuple("xyz"), {}, ((300_000, 0), (900_000, 1), (FAR, 2))),
    }

    def service(name: str, table: str, days: int) -> Service:
        slabs: dict[str, Any] = {
            zone: Slabs(500, 3000 + 900 * at, 500, 2500 + 900 * at, days + at)
            for at, zone in enumerate(zones[table].zones)
        }
        return Service(name, "carrier", table, 50_000, 3500, slabs)

    services = service("standard", "codes", 2), service("express", "codes", 1), service("bulk", "bands", 4)
    terms = NodeTerms(Calendar(_WEEK, ()), 330, 16 * 60, 1, 700)
    weights = pa.array([], pa.string()), np.empty(0, np.int64)
    card = ServiceCard(
        "card", "INR", 1500, None, 400, weights, zones, {"carrier": Calendar(_WEEK, ())}, services, terms, {}
    )
    return Tariff(card, node_ids)
