"""Reads the stock file: units on hand per SKU and node, several rows of a cell added up. The file job counts them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.intake.orders import SKU_CHARACTERS_MAX
from engine.intake.rejects import Reason, Rejects
from engine.intake.sieve import Sieve
from engine.intake.tables import IntakeError, read_table
from engine.intake.values import ABSENT
from kernels.columns import UNITS_MAX

AGE_DAYS_MAX = 100_000


@dataclass(frozen=True)
class StockFile:
    """The cells that the file names, in order of first appearance of their SKU, then of node."""

    sku: pa.StringArray  # [cell]
    node: Any  # int16 [cell] position in the nodes file
    on_hand: Any  # int32 [cell] units, may be negative
    rejects: Rejects  # rows of the stock file
    rows: int  # of the file
    negative_rows: int  # accepted rows below zero: nothing can be sold of their cells, which someone should look at
    age_days: Any = None  # int32 [cell] of its units, the mean over its rows; None: the file does not say


def read_stock(path: Path, node_ids: pa.StringArray) -> StockFile:
    """Columns sku, node_id, on_hand (whole units, -UNITS_MAX to UNITS_MAX), and age_days, if there is any: for how long
    the units have been there, 0 where it is empty. A file without rows is no stock at all.

    Bad rows are rejected one by one. Raises IntakeError where the file is unusable or a cell's sum beyond UNITS_MAX.
    """
    table = read_table(path, ("sku", "node_id", "on_hand"), ("age_days",))
    rejects = Rejects()
    rejects.add_ragged(table.ragged)
    sieve = Sieve(table, rejects)
    coded = sieve.texts("sku", SKU_CHARACTERS_MAX).dictionary_encode()
    found = pc.index_in(table.columns["node_id"], node_ids).fill_null(-1).to_numpy(zero_copy_only=False)
    sieve.refuse("node_id", Reason.EMPTY, pc.equal(table.columns["node_id"], "").to_numpy(zero_copy_only=False))
    sieve.refuse("node_id", Reason.UNKNOWN_NODE, found < 0)
    units = sieve.numbers("on_hand", -UNITS_MAX, UNITS_MAX, needed=True)
    age = sieve.numbers("age_days", 0, AGE_DAYS_MAX) if "age_days" in table.columns else None

    rows = np.flatnonzero(sieve.accepted)
    sku = coded.indices.to_numpy()[rows].astype(np.int64)
    cells, cell_of = np.unique(sku * max(1, len(node_ids)) + found[rows], return_inverse=True)
    on_hand = np.zeros(cells.size, np.int64)
    np.add.at(on_hand, cell_of, units[rows])
    node = (cells % max(1, len(node_ids))).astype(np.int16)
    skus = coded.dictionary.take(pa.array(cells // max(1, len(node_ids))))
    for at in np.flatnonzero(np.abs(on_hand) > UNITS_MAX)[:1]:
        raise IntakeError(
            f"{path}: {on_hand[at]} units of SKU {skus[at].as_py()!r} at {node_ids[int(node[at])].as_py()!r} "
            f"over all its rows; at most {UNITS_MAX} can be held"
        )
    negative = int((units[rows] < 0).sum())
    age_days = None if age is None else _mean_age(cell_of, units[rows], age[rows], cells.size)
    return StockFile(skus, node, on_hand.astype(np.int32), rejects, table.rows, negative, age_days)


def _mean_age(cell_of: Any, units: Any, age: Any, cells: int) -> Any:
    """int32 [cell] days: the mean over the units of its rows, rounded down."""
    weight = np.maximum(units, 0)
    total = np.bincount(cell_of, weight, cells)
    days = np.bincount(cell_of, weight * np.where(age == ABSENT, 0, age), cells)
    return (days // np.maximum(total, 1)).astype(np.int32)


def spread_evenly(skus: pa.StringArray, units: Any, node_ids: pa.StringArray) -> StockFile:
    """Company-wide figures as figures of nodes: each node gets units // nodes, and the units left over go one each to
    consecutive nodes, for the SKU at position i from node i % nodes on. A negative figure stands whole at that node.

    skus: distinct. units: int64 [sku]. Cells of zero units are left out. Source: largest remainder, all being equal.
    """
    count, nodes = len(skus), len(node_ids)
    share, left = np.divmod(np.asarray(units, np.int64)[:, None], nodes)
    turn = (np.arange(nodes) - np.arange(count)[:, None]) % nodes  # 0 at the SKU's first node
    on_hand = np.where(
        np.asarray(units)[:, None] < 0, np.where(turn == 0, np.asarray(units)[:, None], 0), share + (turn < left)
    )
    sku, node = np.nonzero(on_hand)
    cells = on_hand[sku, node].astype(np.int32)
    return StockFile(
        skus.take(pa.array(sku)), node.astype(np.int16), cells, Rejects(), count, int((np.asarray(units) < 0).sum())
    )
