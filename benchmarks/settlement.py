"""`allot reconcile`: a settlement of a million rows against a history of as many payments."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from benchmarks.row import Row
from benchmarks.service import empty_folder
from server.reconcile import read_settlement, reconcile

ROWS, QUICK_ROWS, GOAL_SECONDS = 1_000_000, 100_000, 5.0
REFUNDED_EVERY = 12
BEGAN_US = 1_794_268_800_000_000  # 2026-11-10 in UTC


def rows(quick: bool) -> list[Row]:
    """Seconds from the files to the result."""
    count = QUICK_ROWS if quick else ROWS
    with empty_folder() as folder:
        _write(folder, count)
        began = time.perf_counter()
        found = reconcile(folder, read_settlement([folder / "settled.csv"]), "razorpay")
        seconds = time.perf_counter() - began
    matched = sum(one.count for one in found.counts if one.result == "matched")
    assert matched == count, f"{matched:,} matched of {count:,}"
    goal = GOAL_SECONDS * count / ROWS
    row = Row("settle", f"a settlement of {count:,} rows matched with the ledger", seconds, "s")
    return [row.judged(f"{goal:g} or less", seconds <= goal)]


def _write(folder: Path, count: int) -> None:
    """A history as `allot export` writes it, and a settlement that says the same."""
    refunds = count // REFUNDED_EVERY
    payments = count - refunds
    number = np.arange(1, payments + 1)
    reference = pa.array([f"pay_{at:014d}" for at in number.tolist()])
    back = number[:refunds]
    steps = (
        _rows(number, "PAY", None),
        _rows(number, "CAPTURE", reference),
        _rows(back + payments, "REFUND", None, back),
    )
    pq.write_table(pa.concat_tables(steps), folder / "steps.parquet", compression="zstd")
    amount = np.concatenate([np.full(payments, 10_000), np.full(refunds, -1_000)])
    pq.write_table(
        pa.table({
            "number": np.concatenate([number, back + payments]), "account": _same("GATEWAY", count),
            "amount": amount, "currency": _same("INR", count),
            "stamp": pa.array(BEGAN_US + np.arange(count)).cast(pa.timestamp("us", "UTC")),
        }),
        folder / "postings.parquet", compression="zstd",
    )  # fmt: skip
    settled = pa.table({
        "entity_id": pa.concat_arrays([reference, pa.array([f"rfnd_{at:014d}" for at in back.tolist()])]),
        "type": pa.array(["payment"] * payments + ["refund"] * refunds), "amount": np.abs(amount),
        "currency": ["INR"] * count,
        "payment_id": pa.concat_arrays([pa.nulls(payments, pa.string()), reference.slice(0, refunds)]),
    })  # fmt: skip
    pyarrow.csv.write_csv(settled, folder / "settled.csv")


def _rows(number: Any, step: str, reference: Any, of: Any = None) -> pa.Table:
    count = number.size
    return pa.table({
        "number": number, "step": _same(step, count), "how": _same("razorpay", count),
        "reference": pa.nulls(count, pa.string()) if reference is None else reference,
        "of_number": pa.nulls(count, pa.int64()) if of is None else pa.array(of),
    })  # fmt: skip


def _same(text: str, count: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array([text]))
