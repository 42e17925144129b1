"""What happens in the simulation of stock sync: who orders what when on which channel, and how stock comes.

Real, from the report: the SKUs, the units, the days and their order. Drawn from a seed, as the constants here state:
the second within a day, the channel, opening stock and restocks. benchmarks/sync_replay.py plays it.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from engine.intake.amazon import read_amazon_report
from engine.intake.postal_codes import Places
from kernels.options import I32, I64
from server.demo.figures import CHANNELS

REPORT = Path(__file__).resolve().parents[2] / "shared/data/amazon_india_orders/orders_2022-03-31_2022-05-31.csv.gz"
DAY_US = 86_400_000_000
DAY_SECONDS = 120  # a day of the report is played in: the seller is 720 times as busy
# Percent of a day's orders by the hour: an assumption, low before dawn and highest from 20:00 to 22:00.
HOURS = np.array([
    2.6, 1.6, 0.9, 0.6, 0.5, 0.6, 1.1, 2.0, 3.2, 4.3, 5.2, 5.7, 5.8, 5.5, 5.3, 5.2, 5.3, 5.5, 5.8, 6.3, 7.2, 7.7, 7.0,
    5.1,
])  # fmt: skip
SUPPLY_OVER_DEMAND = 0.9  # units of a SKU that there will ever be, over what will be asked for
SUPPLY_ERROR = 0.3  # standard deviation of the logarithm of that, from SKU to SKU
OPENING_SHARE = 0.4  # of the supply is there at the beginning
RESTOCKS = 3  # of equal chance for each remaining unit, at times drawn evenly


class Asked(NamedTuple):
    """The report's lines with a quantity, all [line], by day."""

    day: I64  # from 0
    order: I64
    sku: I32
    units: I64
    skus: int


class World(NamedTuple):
    """Everything that happens from outside: lines [line] and restocks [restock] by second, opening stock [sku]."""

    second: I64
    channel: I64
    sku: I32
    units: I64
    restock_second: I64
    restock_sku: I32
    restock_units: I64
    opening: I64
    seconds: int
    channels: int


def read_asked(path: Path = REPORT) -> Asked:
    """The lines of the report that the importer accepts. Raises IntakeError."""
    orders = read_amazon_report(path, Places.india())
    order = np.repeat(np.arange(len(orders.order_id)), np.diff(orders.first_line))
    day = orders.placed_at.astype(np.int64)[order] // DAY_US
    codes = pa.array(orders.sku).dictionary_encode()
    sku = codes.indices.to_numpy().astype(np.int32)
    return Asked(day - day.min(), order, sku, orders.quantity.astype(np.int64), len(codes.dictionary))


def first_days(asked: Asked, days: int) -> Asked:
    """Only the first so many days."""
    kept = asked.day < days
    return Asked(*(column[kept] for column in asked[:4]), asked.skus)


def draw_world(asked: Asked, seed: int) -> World:
    """One world of the orders: the same seed, the same world."""
    draws = np.random.default_rng(seed)
    days, orders = int(asked.day.max()) + 1, int(asked.order.max()) + 1
    hour = draws.choice(24, orders, p=HOURS / HOURS.sum())
    share_of_day = (hour + draws.random(orders)) / 24
    shares = np.array(list(CHANNELS.values()))
    channel = draws.choice(len(shares), orders, p=shares / shares.sum())
    second = ((asked.day + share_of_day[asked.order]) * DAY_SECONDS).astype(np.int64)
    by_second = np.lexsort((draws.random(len(second)), second))
    seconds = days * DAY_SECONDS
    opening, *restock = _supply(asked, draws, seconds)
    return World(
        second[by_second], channel[asked.order][by_second], asked.sku[by_second], asked.units[by_second], *restock,
        opening, seconds, len(shares),
    )  # fmt: skip


def _supply(asked: Asked, draws: np.random.Generator, seconds: int) -> tuple[I64, I64, I32, I64]:
    """Opening stock [sku]; second, SKU and units of each restock [restock] by second."""
    demand = np.bincount(asked.sku, asked.units, asked.skus)
    error = np.exp(SUPPLY_ERROR * draws.standard_normal(asked.skus) - SUPPLY_ERROR**2 / 2)
    supply = draws.poisson(SUPPLY_OVER_DEMAND * demand * error)
    parts = [OPENING_SHARE] + [(1 - OPENING_SHARE) / RESTOCKS] * RESTOCKS
    units = draws.multinomial(supply, parts)
    second = draws.integers(0, seconds, (asked.skus, RESTOCKS))
    sku = np.repeat(np.arange(asked.skus, dtype=np.int32), RESTOCKS)
    later, at = units[:, 1:].ravel(), second.ravel()
    by_second = np.argsort(at, kind="stable")
    by_second = by_second[later[by_second] > 0]
    return units[:, 0].copy(), at[by_second].astype(np.int64), sku[by_second], later[by_second].astype(np.int64)
