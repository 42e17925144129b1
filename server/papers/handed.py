"""The parcels that a carrier was given on a day, from the history of a data folder (`allot export`)."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from server.papers.manifest import Handed
from server.papers.parcel import INDIA


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
        folder,
        "steps",
        ["stamp", "number", "order_number", "step", "how", "node_id", "quantity", "amount", "reference"],
    )
    step = pc.cast(steps["step"], pa.string())
    begins = datetime(day.year, day.month, day.day, tzinfo=UTC) - INDIA
    booked = _last_bookings(steps, step)
    chosen = pc.and_(
        pc.equal(pc.cast(booked["how"], pa.string()), carrier),
        pc.and_(pc.greater_equal(booked["stamp"], begins), pc.less(booked["stamp"], begins + timedelta(days=1))),
    )
    if node_id:
        chosen = pc.and_(chosen, pc.equal(pc.cast(booked["node_id"], pa.string()), node_id))
    booked = booked.filter(chosen)
    orders = read_history(folder, "orders", ["number", "order_id", "postal_code", "payment_method", "currency"])
    orders = orders.filter(pc.is_in(orders["number"], value_set=booked["order_number"].combine_chunks()))
    of_order = {row["number"]: row for row in orders.to_pylist()}
    units, to_collect = _units(steps, step, booked["number"]), _to_collect(steps, step, booked["number"])
    found = []
    for row in booked.to_pylist():
        order = of_order.get(row["order_number"], {})
        found.append(
            Handed(
                row["number"], order.get("order_id") or "", row["reference"], order.get("postal_code") or "",
                row["node_id"] or "", units.get(row["number"], 0),
                (order.get("payment_method") or "").lower() == "cash_on_delivery", to_collect.get(row["number"]),
                order.get("currency") or "",
            )
        )  # fmt: skip
    return sorted(found, key=lambda one: one.tracking)


def _last_bookings(steps: pa.Table, step: pa.ChunkedArray) -> pa.Table:
    """The last booking of each shipment that was not recalled before it left; without a number it is a choice only.

    Who left is booked no more, so this is who it was given to.
    """
    booked = steps.filter(pc.and_(pc.equal(step, "BOOK"), pc.is_valid(steps["reference"])))
    left = steps.filter(pc.equal(step, "SHIP"))["number"].combine_chunks()
    recalled = steps.filter(pc.equal(step, "RECALL"))["number"].combine_chunks()
    number = booked["number"]
    stays = pc.or_(pc.invert(pc.is_in(number, value_set=recalled)), pc.is_in(number, value_set=left))
    booked = booked.filter(stays)
    _, from_the_end = np.unique(np.asarray(booked["number"])[::-1], return_index=True)
    return booked.take(booked.num_rows - 1 - from_the_end)


def _to_collect(steps: pa.Table, step: pa.ChunkedArray, numbers: pa.ChunkedArray) -> dict[int, int]:
    """What is to be collected for those of some shipments that left, minor units; told when they did, and only then."""
    some = _of(steps, step, numbers, ["SHIP"])
    found: dict[int, int] = {}
    for number, collect in zip(some["number"].to_pylist(), some["amount"].to_pylist(), strict=True):
        found.setdefault(number, collect or 0)
    return found


def _units(steps: pa.Table, step: pa.ChunkedArray, numbers: pa.ChunkedArray) -> dict[int, int]:
    """Units in each of some shipments: what was put in, less what was taken out again."""
    some = _of(steps, step, numbers, ["ADD_ITEM", "SHRINK"])
    sign = np.where(np.asarray(pc.equal(pc.cast(some["step"], pa.string()), "SHRINK")), -1, 1)
    found: dict[int, int] = {}
    units = (np.asarray(some["quantity"].fill_null(0)) * sign).tolist()
    for number, count in zip(some["number"].to_pylist(), units, strict=True):
        found[number] = found.get(number, 0) + count
    return found


def _of(steps: pa.Table, step: pa.ChunkedArray, numbers: pa.ChunkedArray, kinds: list[str]) -> Any:
    """Steps of some kinds that some shipments took, oldest first."""
    is_kind = pc.is_in(step, value_set=pa.array(kinds))
    return steps.filter(pc.and_(is_kind, pc.is_in(steps["number"], value_set=numbers.combine_chunks())))
