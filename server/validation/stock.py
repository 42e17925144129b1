"""Stock messages as rows: SKUs are still texts, since one that is new is named first.

Called by server/services/stock.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from allot.v1 import stock_pb2
from engine.commands import MoveStock, PutSupply
from engine.outcomes import MovementKind
from kernels.columns import UNITS_MAX
from server.errors import invalid
from server.validation.catalogue import AllNames, node_indices
from server.validation.values import (
    MICROSECONDS_MAX,
    SOURCE_CHARACTERS_MAX,
    microseconds,
    number,
    request_id,
    rows,
    text,
)

ROWS_MAX = 50_000  # of one request
RECEIVED_UNITS_MAX = 1_000_000  # of one row
REFERENCE_MAX = (1 << 63) - 1
_ADJUSTED = {
    stock_pb2.ADJUSTMENT_KIND_ON_HAND: MovementKind.ADJUSTED,
    stock_pb2.ADJUSTMENT_KIND_UNAVAILABLE: MovementKind.UNAVAILABLE,
    stock_pb2.ADJUSTMENT_KIND_SAFETY_STOCK: MovementKind.SAFETY_STOCK,
}


@dataclass(frozen=True)
class StockRows:
    """One statement or movement, whole but for the indices of its SKUs and its source."""

    request_id: str
    field: str  # of the rows
    skus: Sequence[str]  # [row]
    node: Any  # int16 [row]
    kind: Any  # uint8 [row] MovementKind
    quantity: Any  # int32 [row] units
    source: str = ""  # empty: not a statement
    counted_at: int = 0
    reference: int = 0

    def command(self, sku: Any, source: int) -> MoveStock:
        """The command. sku: int32 [row], source: -1 where there is none."""
        return MoveStock(
            self.request_id, sku, self.node, self.kind, self.quantity, source, self.counted_at,
            reference=self.reference,
        )  # fmt: skip


def received(request: stock_pb2.ReceiveStockRequest, names: AllNames) -> StockRows:
    """Units that arrived."""
    quantity = _quantities(request.rows, 1, RECEIVED_UNITS_MAX)
    return StockRows(
        request_id(request.request_id), "rows", [row.sku for row in request.rows],
        node_indices(names, "rows", [row.node_id for row in request.rows]), _kinds(quantity, MovementKind.RECEIVED),
        quantity, reference=number("reference", request.reference, 0, REFERENCE_MAX),
    )  # fmt: skip


def counted(request: stock_pb2.CountStockRequest, names: AllNames) -> StockRows:
    """A statement of what is on hand."""
    quantity = _quantities(request.rows, 0, UNITS_MAX)
    return StockRows(
        request_id(request.request_id), "rows", [row.sku for row in request.rows],
        node_indices(names, "rows", [row.node_id for row in request.rows]), _kinds(quantity, MovementKind.COUNTED),
        quantity, text("source", request.source, SOURCE_CHARACTERS_MAX),
        microseconds("counted_at_us", request.counted_at_us),
    )  # fmt: skip


@dataclass(frozen=True)
class SupplyRows:
    """What is expected from now on, whole but for the indices of its SKUs."""

    request_id: str
    skus: Sequence[str]  # [row]
    node: Any  # int16 [row]
    reference: Any  # int64 [row]
    units: Any  # int32 [row]
    due_at: Any  # int64 [row] UTC us

    def command(self, sku: Any) -> PutSupply:
        """The command. sku: int32 [row]."""
        return PutSupply(self.request_id, sku, self.node, self.reference, self.units, self.due_at)


def supplied(request: stock_pb2.PutSupplyRequest, names: AllNames) -> SupplyRows:
    """Units that are expected."""
    given = request.rows
    units = _quantities(given, 0, UNITS_MAX)
    reference = np.array([row.reference for row in given], np.int64)
    due_at = np.array([row.due_at_us for row in given], np.int64)
    for row in np.flatnonzero(reference < 1)[:1]:
        number(f"rows[{row}].reference", int(reference[row]), 1, REFERENCE_MAX)
    for row in np.flatnonzero((due_at > MICROSECONDS_MAX) | (due_at < np.minimum(units, 1)))[:1]:
        microseconds(f"rows[{row}].due_at_us", int(due_at[row]), needed=bool(units[row]))
    return SupplyRows(
        request_id(request.request_id), [row.sku for row in given],
        node_indices(names, "rows", [row.node_id for row in given]), reference, units, due_at,
    )  # fmt: skip


def adjusted(request: stock_pb2.AdjustStockRequest, names: AllNames) -> StockRows:
    """Corrections."""
    given = request.adjustments
    rows("adjustments", len(given), ROWS_MAX)
    kind = np.array([_kind(row, adjustment) for row, adjustment in enumerate(given)], np.uint8)
    return StockRows(
        request_id(request.request_id), "adjustments", [row.sku for row in given],
        node_indices(names, "adjustments", [row.node_id for row in given]), kind,
        np.array([row.quantity for row in given], np.int32),
    )  # fmt: skip


def _kind(row: int, adjustment: stock_pb2.Adjustment) -> MovementKind:
    field = f"adjustments[{row}]"
    if adjustment.kind not in _ADJUSTED:
        raise invalid(
            f"{field}.kind", f"{field}.kind: {adjustment.kind}: say which figure is corrected", "OUT_OF_RANGE"
        )
    kind = _ADJUSTED[adjustment.kind]
    low = 0 if kind is MovementKind.SAFETY_STOCK else -UNITS_MAX
    number(f"{field}.quantity", adjustment.quantity, low, UNITS_MAX)
    if adjustment.quantity == 0 and low < 0:
        raise invalid(f"{field}.quantity", f"{field}.quantity: 0 changes nothing: leave the row out", "OUT_OF_RANGE")
    return kind


def _quantities(given: Sequence[stock_pb2.StockRow | stock_pb2.SupplyRow], low: int, high: int) -> Any:
    """int32 [row] units."""
    rows("rows", len(given), ROWS_MAX)
    quantity = np.array([row.quantity for row in given], np.int64)
    for row in np.flatnonzero((quantity < low) | (quantity > high))[:1]:
        number(f"rows[{row}].quantity", int(quantity[row]), low, high)
    return quantity.astype(np.int32)


def _kinds(quantity: Any, kind: MovementKind) -> Any:
    return np.full(quantity.size, kind, np.uint8)
