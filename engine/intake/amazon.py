"""An Amazon India order report as orders: its columns become those of an orders file, and the same checks follow.

A report has a row for each order line, cancelled ones too, newest day first. `write_orders` puts what was read into a
file that the file job takes.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.intake.orders import OrderFile, grouped
from engine.intake.postal_codes import Places
from engine.intake.rejects import Reason, Rejects
from engine.intake.table_writer import TableWriter
from engine.intake.tables import FileTable, read_table
from engine.intake.values import ABSENT

# What an orders file calls the report's columns (the space at the end of one is the report's).
_COLUMNS = {
    "order_id": "Order ID",
    "channel": "Sales Channel ",
    "placed_at": "Date",
    "postal_code": "ship-postal-code",
    "sku": "SKU",
    "quantity": "Qty",
    "currency": "currency",
    "service_level": "ship-service-level",
    "unit_price": "Amount",
}
# The other columns tell lines apart that are not the same line. `index` only numbers the rows.
_OTHERS = (
    "Status", "Fulfilment", "Style", "Category", "Size", "ASIN", "Courier Status", "ship-city", "ship-state",
    "ship-country", "promotion-ids", "B2B", "fulfilled-by", "promo-count", "promo-free-shipping",
)  # fmt: skip
_RUPEES = re.compile(r"(-?)([0-9]{1,16})(?:\.([0-9]*))?")
_TIMES = ("placed_at", "ship_by", "deliver_by")
_PRICES = ("unit_price", "discount", "tax")
_UNIT_SEPARATOR = "\x1f"
_LINES_PER_BATCH = 1 << 16


class _ReportRejects(Rejects):
    """Names the report's columns where a check names those of an orders file."""

    def add_rows(self, rows: Any, column: str, values: pa.StringArray, reason: Reason) -> None:
        super().add_rows(rows, _COLUMNS.get(column, column), values, reason)


def read_amazon_report(path: str | Path, places: Places) -> OrderFile:
    """The orders of a report by day, and within a day as in the file. Raises IntakeError for an unusable file.

    Days are put in order because stock is given out in the order of the orders, and the report begins with the newest.
    placed_at is midnight UTC: the report has no time of day. A row fails by the first of: NO_ADDRESS; DUPLICATE_LINE;
    the checks of an orders file (a quantity of 0, mostly cancelled lines, is ZERO). A line is a duplicate where it
    differs from an earlier one by nothing but `index`: the report states quantities, so a customer who wants two has
    one line with a quantity of 2, and the same line again is a slip of the export that must not be shipped twice.
    """
    table = read_table(Path(path), tuple(_COLUMNS.values()), _OTHERS)
    rejects = _ReportRejects()
    ragged, texts = [number for number, _ in table.ragged], [text for _, text in table.ragged]
    rejects.add_rows(np.array(ragged, np.int64), "", pa.array(texts, pa.string()), Reason.WRONG_CELL_COUNT)
    nowhere = pc.utf8_trim_whitespace(table.columns["ship-postal-code"])
    no_address = pc.equal(nowhere, "").to_numpy(zero_copy_only=False)
    again = _repeats(table) & ~no_address
    for column, reason, failing in (
        ("ship-postal-code", Reason.NO_ADDRESS, no_address),
        ("Order ID", Reason.DUPLICATE_LINE, again),
    ):
        rejects.add_rows(table.row[failing], column, table.columns[column].filter(pa.array(failing)), reason)
    return grouped(_as_orders(table, ~no_address & ~again), places, rejects)


def _repeats(table: FileTable) -> Any:
    """bool [row]: an earlier row has the same text in every column."""
    whole = pc.binary_join_element_wise(*table.columns.values(), _UNIT_SEPARATOR).dictionary_encode()
    repeated = np.ones(table.row.size, np.bool_)
    repeated[np.unique(whole.indices.to_numpy(), return_index=True)[1]] = False
    return repeated


def _as_orders(table: FileTable, kept: Any) -> FileTable:
    """The kept rows with the columns of an orders file, by day."""
    texts = {name: table.columns[column].filter(pa.array(kept)) for name, column in _COLUMNS.items()}
    texts["channel"] = pc.utf8_lower(pc.utf8_trim_whitespace(texts["channel"]))
    texts["postal_code"] = pc.replace_substring_regex(pc.utf8_trim_whitespace(texts["postal_code"]), r"\.0*$", "")
    texts["placed_at"] = pc.replace_substring_regex(texts["placed_at"], r"^(\d\d)-(\d\d)-(\d\d)$", r"20\3-\1-\2")
    texts["unit_price"] = _unit_prices(texts["unit_price"], texts["quantity"])
    by_day = pc.sort_indices(texts["placed_at"])  # stable
    row = table.row[kept][by_day.to_numpy()]
    return FileTable(table.name, {name: text.take(by_day) for name, text in texts.items()}, row, [], table.rows)


def _unit_prices(amounts: pa.StringArray, quantities: pa.StringArray) -> pa.StringArray:
    """Paise a unit as texts, computed once for each distinct pair of rupees a line and units."""
    pairs = pc.binary_join_element_wise(amounts, quantities, _UNIT_SEPARATOR).dictionary_encode()
    prices = [_unit_price(*pair.split(_UNIT_SEPARATOR)[:2]) for pair in pairs.dictionary.to_pylist()]
    return pa.array(prices, pa.string()).take(pairs.indices)


def _unit_price(amount: str, quantity: str) -> str:
    """Rupees of a line to paise of a unit, in integers; what is no sum of money stays, for the check to refuse.

    Paise that do not divide by the quantity are rounded down: the units never come to more than the line did.
    """
    amount = amount.strip()
    rupees = _RUPEES.fullmatch(amount)
    units = re.fullmatch(r"([0-9]{1,9})(?:\.0*)?", quantity.strip())
    if rupees is None or units is None or int(units[1]) == 0:
        return amount  # a line without units is refused for its quantity
    sign, whole, fraction = rupees.groups(default="")
    paise = whole + fraction[:2].ljust(2, "0")
    if fraction[2:].strip("0"):
        return f"{sign}{paise}.{fraction[2:]}"
    return f"{sign}{int(paise) if sign else int(paise) // int(units[1])}"


def write_orders(path: str | Path, orders: OrderFile) -> None:
    """An orders file (CSV, CSV.gz or Parquet by name) that reads back as these orders. Raises IntakeError.

    One row a line, the lines of an order together; times as ISO 8601 in UTC, an absent value empty (null in Parquet).
    """
    columns = {
        "order_id": orders.order_id, "channel": orders.channel, "placed_at": orders.placed_at,
        "postal_code": orders.postal_code, "sku": orders.sku, "quantity": orders.quantity, **orders.options,
    }  # fmt: skip
    owner = np.repeat(np.arange(len(orders.order_id)), np.diff(orders.first_line))
    written = {
        name: _cells(name, column, None if name in ("sku", "quantity", *_PRICES) else owner)
        for name, column in columns.items()
    }
    table = pa.table(written)
    with TableWriter(Path(path), table.schema) as writer:
        for batch in table.to_batches(_LINES_PER_BATCH):
            writer.append(batch)


def _cells(name: str, column: Any, rows: Any) -> pa.Array:
    """A column [line] as it is written; `rows` [line] are those of a column [order]."""
    cells = column
    if isinstance(column, np.ndarray):
        cells = pa.array(column, mask=column == ABSENT) if column.dtype == np.int64 else pa.array(column)
    if name in _TIMES:
        cells = pc.strftime(cells.cast(pa.timestamp("us")), "%Y-%m-%dT%H:%M:%SZ")
    return cells if rows is None else cells.take(pa.array(rows))
