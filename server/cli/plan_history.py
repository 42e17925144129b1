"""A history for whom has none: days of orders drawn by a seed, for `allot plan --generate`.

SKUs are asked for as often as there is stock of them. Lines, units, and how orders crowd at some postal codes and in
some regions of India follow the reports behind the demo (server/demo/figures.py). Dates are made up, and have no times.
"""

from typing import TYPE_CHECKING, Any

from server.cli.output import BAD_USAGE, fail

if TYPE_CHECKING:
    from engine.intake.orders import OrderFile
    from engine.intake.postal_codes import Places
    from engine.intake.stock import StockFile

ORDERS_MAX = 20_000_000  # of all days
_BEGINS_DAY = 20_362  # since 1970: 2025-10-01
_DAY_US = 86_400_000_000


def days_and_orders(text: str) -> tuple[int, int]:
    """DAYS:ORDERS. Ends the command where it is not."""
    from engine.intake.days import DAYS_MAX

    days, _, orders = text.partition(":")
    is_number = all(part.isascii() and part.isdigit() and len(part) <= 9 for part in (days, orders))
    if not is_number or not 0 < int(days) <= DAYS_MAX or not 0 < int(days) * int(orders) <= ORDERS_MAX:
        fail(
            f"--generate {text!r}: give DAYS:ORDERS, as 30:5000: up to {DAYS_MAX} days, and {ORDERS_MAX:,} orders",
            BAD_USAGE,
        )
    return int(days), int(orders)


def generated(days: int, orders: int, seed: int, places: "Places", stock: "StockFile") -> "OrderFile":
    """So many orders on each of so many days. Raises IntakeError where no SKU has stock."""
    import numpy as np
    import pyarrow as pa

    from engine.intake.orders import DEFAULT_CHANNEL, OrderFile
    from engine.intake.rejects import Rejects
    from engine.intake.tables import IntakeError
    from engine.ragged import offsets, owners
    from server.demo import figures

    chance, count = np.random.default_rng(seed), days * orders
    skus = stock.sku.dictionary_encode()
    units = np.bincount(skus.indices.to_numpy(), np.maximum(stock.on_hand, 0), len(skus.dictionary))
    if not units.any():
        raise IntakeError("--generate: no SKU of the stock file has any units: nobody could order any")
    code = chance.choice(len(places.codes), count, p=_code_weights(chance, np.array(places.codes.to_pylist())))
    first_line = offsets(_drawn(chance, figures.LINES, count))
    lines = int(first_line[-1])
    sku = chance.choice(units.size, lines, p=units / units.sum())
    return OrderFile(
        pa.array([f"G{number + 1:08}" for number in range(count)]), pa.array([DEFAULT_CHANNEL] * count),
        places.codes.take(pa.array(code)), places.area[code], places.latitude_e7[code], places.longitude_e7[code],
        np.repeat((_BEGINS_DAY + np.arange(days)) * _DAY_US, orders), first_line,
        (np.arange(lines) - first_line[owners(first_line)] + 1).astype(np.int32), skus.dictionary.take(pa.array(sku)),
        _drawn(chance, figures.UNITS, lines).astype(np.int32), np.arange(lines) + 1, {}, Rejects(), lines,
    )  # fmt: skip


def _drawn(chance: Any, percents: dict[int, float], count: int) -> Any:
    """int64 [count] of the figures that have so many percent each."""
    import numpy as np

    shares = np.array(list(percents.values()))
    return np.array(list(percents))[chance.choice(shares.size, count, p=shares / shares.sum())]


def _code_weights(chance: Any, codes: Any) -> Any:
    """How often each postal code is asked for: some much, most little, each region of India as it orders. Where no code
    is of such a region, all are of one."""
    import numpy as np

    from server.demo import figures
    from server.demo.hour import curve_weights

    region, weights = codes.astype("U2"), np.zeros(codes.size)
    shares = {name: share for name, share in figures.REGIONS.items() if (region == name).any()}
    if not shares:
        region, shares = np.full(codes.size, "", "U2"), {"": 1.0}
    for name, share in shares.items():
        at = chance.permutation(np.flatnonzero(region == name))
        weights[at] = share * curve_weights(figures.CODES_CURVE, at.size)
    return weights / weights.sum()
