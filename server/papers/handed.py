"""The parcels that a carrier was given on a day, from the history of a data folder (`allot export`)."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from server.papers.invoice import INDIA
from server.papers.manifest import Handed


class HistoryMissing(Exception):
    """The folder does not have what is needed; the message says how it is made."""


def read_history(folder: Path, name: str, columns: list[str]) -> pa.Table:
    """Some columns of one file of a history. Raises HistoryMissing."""
    try:
        return pq.read_table(folder / f"{name}.parquet", columns=columns)
    except (OSError, pa.ArrowInvalid, KeyError) as error:
        raise HistoryMissing(
            f"{folder}: {name}.parquet cannot be used ({error}): write it by allot export --what orders,steps,postings"
        ) from None


def handed(folder: Path, carrier: str, day: date, node_id: str = "") -> list[Handed]:
    """By tracking number. day: in India. Raises HistoryMissing."""
    steps = read_history(
        folder, "steps", ["stamp", "number", "order_number", "step", "how", "node_id", "quantity", "reference"]
    )
    begins = datetime(day.year, day.month, day.day, tzinfo=UTC) - INDIA
    step, stamp = pc.cast(steps["step"], pa.string()), steps["stamp"]
    is_booked = pc.and_(pc.equal(step, "BOOK"), pc.equal(pc.cast(steps["how"], pa.string()), carrier))
    of_day = pc.and_(pc.greater_equal(stamp, begins), pc.less(stamp, begins + timedelta(days=1)))
    booked = steps.filter(pc.and_(is_booked, of_day))
    if node_id:
        booked = booked.filter(pc.equal(pc.cast(booked["node_id"], pa.string()), node_id))
    recalled = steps.filter(pc.equal(step, "RECALL"))["number"]
    booked = booked.filter(pc.invert(pc.is_in(booked["number"], value_set=recalled.combine_chunks())))
    orders = read_history(folder, "orders", ["number", "order_id", "postal_code", "payment_method"])
    orders = orders.filter(pc.is_in(orders["number"], value_set=booked["order_number"].combine_chunks()))
    of_order = {row["number"]: row for row in orders.to_pylist()}
    units = _units(steps, step, booked["number"])
    found = []
    for row in booked.to_pylist():
        order = of_order.get(row["order_number"], {})
        found.append(
            Handed(
                row["number"], order.get("order_id", ""), row["reference"] or "", order.get("postal_code", ""),
                row["node_id"] or "", units.get(row["number"], 0),
                (order.get("payment_method") or "").lower() == "cash_on_delivery",
            )
        )  # fmt: skip
    return sorted(found, key=lambda one: one.tracking)


def _units(steps: pa.Table, step: pa.ChunkedArray, numbers: pa.ChunkedArray) -> dict[int, int]:
    """Units in each of some shipments: what was put in, less what was taken out again."""
    chosen = pc.and_(pc.is_in(step, value_set=pa.array(["ADD_ITEM", "SHRINK"])),
                     pc.is_in(steps["number"], value_set=numbers.combine_chunks()))  # fmt: skip
    some, what = steps.filter(chosen), step.filter(chosen)
    sign = np.where(np.asarray(pc.equal(what, "SHRINK")), -1, 1)
    found: dict[int, int] = {}
    units = (np.asarray(some["quantity"].fill_null(0)) * sign).tolist()
    for number, count in zip(some["number"].to_pylist(), units, strict=True):
        found[number] = found.get(number, 0) + count
    return found
