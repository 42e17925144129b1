"""The festive hour as columns: orders, and the stock that waits for them. Pure; the same seed gives the same hour.

Each order has a way by which it is sent: most by the lane, some by a stream, one by one, or as a cart that is held.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from server.demo import figures

LANE, STREAM, SINGLE, CART = range(4)
WAYS = ("lane", "stream", "one by one", "cart")
CART_KEPT, CART_LEFT, CART_FORGOTTEN = range(3)  # confirmed, released, left to expire
SMALL_WAY = 0.007  # of the orders, by each way but the lane: 2,100 of 300,000
FATES = (0.80, 0.12, 0.08)  # of the carts
HOUR_US = 3_600_000_000
ROWS_MAX = 50_000  # of stock in one message


@dataclass(frozen=True)
class Geography:
    """Postal codes to send to, and where codes are."""

    codes: Any  # texts [code]
    latitude: Any  # degrees [code]
    longitude: Any

    @classmethod
    def india(cls) -> "Geography":
        """Those that the server knows too."""
        from engine.intake.postal_codes import Places

        places = Places.india()
        return cls(np.array(places.codes.to_pylist()), places.latitude_e7 / 1e7, places.longitude_e7 / 1e7)

    @cached_property
    def region(self) -> Any:
        """The first two digits of each code."""
        return self.codes.astype("U2")

    def rows(self) -> list[tuple[str, float, float]]:
        """Code, latitude and longitude of each."""
        return list(zip(self.codes.tolist(), self.latitude.tolist(), self.longitude.tolist(), strict=True))

    def nearest(self, places: list[str]) -> Any:
        """Index of the nearest of some places, for each code."""
        at = np.array([np.flatnonzero(self.codes == code)[0] for code in places])
        latitude, longitude = np.radians(self.latitude), np.radians(self.longitude)
        cosine = np.sin(latitude)[:, None] * np.sin(latitude[at]) + np.cos(latitude)[:, None] * np.cos(
            latitude[at]
        ) * np.cos(longitude[:, None] - longitude[at])
        return np.argmax(cosine, axis=1)


@dataclass(frozen=True)
class Hour:
    """Orders by the moment in which they were placed, their lines one after another, and stock."""

    channel: Any  # index into figures.CHANNELS [order]
    code: Any  # text [order]
    placed_at_us: Any  # [order]
    way: Any  # [order]
    fate: Any  # of a cart [order]
    first_line: Any  # [order + 1]
    sku: Any  # number from 0 [line]
    units: Any  # [line]
    stock: Any  # units [SKU, place]

    def __len__(self) -> int:
        return len(self.channel)

    def order_id(self, number: int) -> str:
        """The id of one order."""
        return f"DEMO-{number + 1:07d}"

    def lines(self, number: int) -> list[tuple[str, int]]:
        """SKUs and units of one order."""
        span = slice(self.first_line[number], self.first_line[number + 1])
        return [(sku_name(sku), int(units)) for sku, units in zip(self.sku[span], self.units[span], strict=True)]

    def draft(self, number: int) -> dict[str, Any]:
        """One order, as the client takes it."""
        return {
            "channel": list(figures.CHANNELS)[self.channel[number]], "order_id": self.order_id(number),
            "postal_code": str(self.code[number]), "lines": self.lines(number),
            "placed_at": int(self.placed_at_us[number]),
        }  # fmt: skip

    def by(self, way: int) -> Any:
        """Numbers of the orders that go by a way."""
        return np.flatnonzero(self.way == way)

    def lane_table(self) -> pa.Table:
        """The orders of the lane, a row an order with its lines."""
        chosen = self.by(LANE)
        counts = np.diff(self.first_line)
        of_lane = np.repeat(self.way == LANE, counts)
        names = pa.array([sku_name(sku) for sku in range(len(self.stock))])
        lines = pa.StructArray.from_arrays(
            [names.take(pa.array(self.sku[of_lane])), pa.array(self.units[of_lane], pa.int32())], ["sku", "quantity"]
        )
        offsets = np.concatenate([[0], np.cumsum(counts[chosen])])
        return pa.table(
            {
                "order_id": pa.array([self.order_id(number) for number in chosen.tolist()]),
                "channel": pa.array(list(figures.CHANNELS)).take(pa.array(self.channel[chosen])),
                "postal_code": pa.array(self.code[chosen]),
                "placed_at": pa.array(self.placed_at_us[chosen]),
                "lines": pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), lines),
            }
        )

    @property
    def best_stocked(self) -> int:
        """The SKU of which most is left, whatever becomes of the orders."""
        return int(np.argmax(self.stock.sum(axis=1) - np.bincount(self.sku, self.units, len(self.stock))))

    def stock_rows(self) -> list[list[tuple[str, str, int]]]:
        """SKU, place and units where there are any, in messages."""
        sku, place = np.nonzero(self.stock)
        names, places = [sku_name(number) for number in range(len(self.stock))], list(figures.PLACES)
        units = self.stock[sku, place].tolist()
        rows = [(names[a], places[b], c) for a, b, c in zip(sku.tolist(), place.tolist(), units, strict=True)]
        return [rows[start : start + ROWS_MAX] for start in range(0, len(rows), ROWS_MAX)]


def sku_name(number: int) -> str:
    """The lower the number, the better it sells."""
    return f"SKU-{number + 1:05d}"


def curve_weights(curve: dict[float, float], count: int) -> Any:
    """Weights of `count` things by rank, so that the first so many of them have so much, as the curve says."""
    ends = np.interp(np.arange(count + 1) / count, [0, *curve, 1], [0, *curve.values(), 1])
    return np.diff(ends) / ends[-1]


def festive_hour(orders: int, skus: int, seed: int, geography: Geography) -> Hour:
    """Draws the hour."""
    chance = np.random.default_rng(seed)
    code = _codes(chance, orders, geography)
    lines = np.array(list(figures.LINES))[_drawn(chance, figures.LINES, orders)]
    first_line = np.concatenate([[0], np.cumsum(lines)])
    sku = chance.choice(skus, first_line[-1], p=curve_weights(figures.SKUS_CURVE, skus))
    units = np.array(list(figures.UNITS))[_drawn(chance, figures.UNITS, first_line[-1])]
    demand = np.bincount(sku, units, skus)
    others = 3 * SMALL_WAY
    return Hour(
        channel=_drawn(chance, figures.CHANNELS, orders),
        code=geography.codes[code],
        placed_at_us=figures.HOUR_BEGINS_US + np.sort(chance.integers(0, HOUR_US, orders)),
        way=chance.choice(4, orders, p=[1 - others, *[SMALL_WAY] * 3]),
        fate=chance.choice(3, orders, p=FATES),
        first_line=first_line,
        sku=sku,
        units=units,
        stock=_stock(chance, demand, np.bincount(geography.nearest(list(figures.PLACES.values()))[code], minlength=22)),
    )


def _drawn(chance: np.random.Generator, percents: Any, count: int) -> Any:
    shares = np.array(list(percents.values()))
    return chance.choice(len(shares), count, p=shares / shares.sum())


def _codes(chance: np.random.Generator, orders: int, geography: Geography) -> Any:
    """Index of the postal code of each order."""
    region = np.array(list(figures.REGIONS))[_drawn(chance, figures.REGIONS, orders)]
    code = np.empty(orders, np.int64)
    for name in figures.REGIONS:
        of_it = np.flatnonzero(region == name)
        known = chance.permutation(np.flatnonzero(geography.region == name))
        code[of_it] = chance.choice(known, of_it.size, p=curve_weights(figures.CODES_CURVE, known.size))
    return code


def _stock(chance: np.random.Generator, demand: Any, orders_near: Any) -> Any:
    """Units [SKU, place]: a forecast that errs, spread by where orders come from, for each SKU a little else."""
    over = chance.normal(figures.STOCK_OVER_DEMAND, figures.STOCK_ERROR, demand.size)
    units = np.floor(demand * np.maximum(over, 0) + chance.random(demand.size)).astype(np.int64)
    weights = (orders_near + 1) / (orders_near + 1).sum()
    shares = chance.dirichlet(figures.STOCK_SPREAD * weights, demand.size)
    return chance.multinomial(units, shares)
