"""Reads an orders file: rows checked one by one, those that pass grouped to orders. The file job allocates them.

A bad row is rejected alone; the other rows of its order proceed. Every row of the file ends in the lines or in the
rejects. Other formats (engine/intake/amazon.py) bring their rows into the columns of this one and go through `grouped`.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.intake.postal_codes import POSTAL_CODE_CHARACTERS_MAX, Places
from engine.intake.rejects import Reason, Rejects
from engine.intake.sieve import Sieve
from engine.intake.tables import FileTable, IntakeError, MissingColumn, read_table
from engine.intake.values import ABSENT, currency_faults
from engine.terms import TERMS

ORDER_ID_CHARACTERS_MAX = 64
CHANNEL_CHARACTERS_MAX = 32
SKU_CHARACTERS_MAX = 64
PAYMENT_METHOD_CHARACTERS_MAX = 32
SERVICE_LEVEL_CHARACTERS_MAX = 32
CUSTOMER_CHARACTERS_MAX = 64
LINE_UNITS_MAX = 1_000_000
PRICE_MINOR_UNITS_MAX = 1_000_000_000_000  # times the units of a line it is still within int64
ORDER_LINES_MAX = 500
ORDER_NODES_MAX = 255  # of `nodes_max`

DEFAULT_CHANNEL = "default"
NEEDED = ("order_id", "postal_code", "sku", "quantity")
_TEXTS = {
    "payment_method": PAYMENT_METHOD_CHARACTERS_MAX,
    "service_level": SERVICE_LEVEL_CHARACTERS_MAX,
    "customer": CUSTOMER_CHARACTERS_MAX,
}
_TIMES = ("ship_by", "deliver_by")
_PRICES = ("unit_price", "discount", "tax")
ORDER_COLUMNS = ("currency", *_TEXTS, *_TIMES, *TERMS)
OPTIONAL = ("channel", "placed_at", *ORDER_COLUMNS, *_PRICES)


@dataclass(frozen=True)
class OrderFile:
    """The accepted rows as orders, in order of first appearance in the file, and the rejected ones."""

    order_id: pa.StringArray  # [order]
    channel: pa.StringArray  # [order]
    postal_code: pa.StringArray  # [order] as given
    area: Any  # bool [order]: only the first three characters of the code are known
    latitude_e7: Any  # int32 [order] 1e-7 degrees
    longitude_e7: Any  # int32 [order]
    placed_at: Any  # int64 [order] UTC us, or ABSENT
    first_line: Any  # int64 [order + 1]
    line: Any  # int32 [line] position of the row in its order, from 1, rejected rows counted
    sku: pa.StringArray  # [line]
    quantity: Any  # int32 [line] units, 1 or more
    row: Any  # int64 [line] number of the row in the file, from 1
    options: dict[str, Any]  # those of OPTIONAL that the file has: texts (null where absent), int64 (ABSENT), TERMS
    rejects: Rejects
    rows: int  # of the file
    dated_twice: int = 0  # orders whose rows have several placed_at: the first one's counts

    def slice(self, start: int, stop: int) -> "OrderFile":
        """Some of the orders as views, for batches; rejects and rows stay those of the whole file."""
        first, end = int(self.first_line[start]), int(self.first_line[stop])
        parts: dict[str, Any] = {
            name: getattr(self, name)[start:stop]
            for name in ("order_id", "channel", "postal_code", "area", "latitude_e7", "longitude_e7", "placed_at")
        }
        parts |= {name: getattr(self, name)[first:end] for name in ("line", "sku", "quantity", "row")}
        options = {
            name: column[first:end] if name in _PRICES else column[start:stop] for name, column in self.options.items()
        }
        return replace(self, first_line=self.first_line[start : stop + 1] - first, options=options, **parts)


def read_orders(path: Path, places: Places) -> OrderFile:
    """Columns order_id, postal_code, sku, quantity, and any of OPTIONAL. Raises IntakeError for an unusable file."""
    try:
        table = read_table(path, NEEDED, OPTIONAL)
    except MissingColumn as error:
        if "Order ID" not in error.header:
            raise
        raise IntakeError(f"{error}; `allot import amazon-report` makes an orders file of Amazon's report") from None
    rejects = Rejects()
    rejects.add_ragged(table.ragged)
    return grouped(table, places, rejects)


def grouped(table: FileTable, places: Places, rejects: Rejects) -> OrderFile:
    """The rows of a table with the columns of an orders file (texts), checked and grouped; adds to the rejects."""
    sieve = Sieve(table, rejects)
    ids = sieve.texts("order_id", ORDER_ID_CHARACTERS_MAX)
    channel = _channel(sieve)
    postal_code, place = _placed(sieve, places)
    sieve.texts("sku", SKU_CHARACTERS_MAX)
    quantity = sieve.numbers("quantity", 1, LINE_UNITS_MAX, needed=True)
    placed_at = sieve.times("placed_at") if "placed_at" in table.columns else np.full(table.row.size, ABSENT)
    options = _options(sieve)

    order = _order_codes(ids, channel)
    line, by_order = _positions(order)
    _refuse_beside_others(sieve, order, by_order, postal_code)
    lines = by_order[sieve.accepted[by_order]]
    head = np.flatnonzero(np.diff(order[lines], prepend=-1))  # of each order its first accepted row, in `lines`
    rows = lines[head]
    latitude_e7, longitude_e7, area = (column[postal_code.indices.to_numpy()[rows]] for column in place)
    taken = {name: _taken(column, lines if name in _PRICES else rows) for name, column in options.items()}
    of = np.repeat(np.arange(head.size), np.diff(np.append(head, lines.size)))
    dated_twice = int(np.unique(of[placed_at[lines] != placed_at[rows][of]]).size)
    return OrderFile(
        _taken(ids, rows), channel.dictionary.take(channel.indices.take(pa.array(rows))),
        postal_code.dictionary.take(postal_code.indices.take(pa.array(rows))), area, latitude_e7, longitude_e7,
        placed_at[rows], np.append(head, lines.size), line[lines], _taken(table.columns["sku"], lines),
        quantity[lines].astype(np.int32), table.row[lines], taken, rejects, table.rows, dated_twice,
    )  # fmt: skip


def _channel(sieve: Sieve) -> pa.DictionaryArray:
    if "channel" not in sieve.columns:
        codes = np.zeros(sieve.accepted.size, np.int32)
        return pa.DictionaryArray.from_arrays(codes, pa.array([DEFAULT_CHANNEL]))
    texts = sieve.texts("channel", CHANNEL_CHARACTERS_MAX, needed=False)
    return pc.if_else(pc.equal(texts, ""), DEFAULT_CHANNEL, texts).dictionary_encode()


def _placed(sieve: Sieve, places: Places) -> tuple[pa.DictionaryArray, tuple[Any, Any, Any]]:
    """The codes of the rows, and of each distinct code latitude and longitude (1e-7 degrees) and area."""
    codes = pc.utf8_trim_whitespace(sieve.texts("postal_code", POSTAL_CODE_CHARACTERS_MAX)).dictionary_encode()
    latitude_e7, longitude_e7, area, known = places.find(codes.dictionary)
    sieve.refuse("postal_code", Reason.UNKNOWN_POSTAL_CODE, ~known[codes.indices.to_numpy()])
    return codes, (latitude_e7, longitude_e7, area)


def _options(sieve: Sieve) -> dict[str, Any]:
    options: dict[str, Any] = {}
    there = [name for name in OPTIONAL if name in sieve.columns]
    for name in there:
        if name == "currency":
            sieve.refuse_all(name, currency_faults(sieve.columns[name]))
        if name in _TEXTS:
            sieve.texts(name, _TEXTS[name], needed=False)
        if name in ("currency", *_TEXTS):
            texts = sieve.columns[name]
            options[name] = pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)
        if name in _TIMES:
            options[name] = sieve.times(name)
        if name == "nodes_max":
            options[name] = _or_zero(sieve.numbers(name, 0, ORDER_NODES_MAX))
        if name == "ship_complete":
            options[name] = sieve.flags(name)
        if name in _PRICES:
            options[name] = sieve.numbers(name, 0, PRICE_MINOR_UNITS_MAX)
    return options


def _or_zero(numbers: Any) -> Any:
    """uint8 [row]: 0 where a row gives none, or one that is refused."""
    return np.where((numbers > 0) & (numbers <= ORDER_NODES_MAX), numbers, 0).astype(np.uint8)


def _order_codes(ids: pa.StringArray, channel: pa.DictionaryArray) -> Any:
    """int64 [row] the order of each row, numbered by first appearance; rejected rows too, as they count in `line`."""
    coded = ids.dictionary_encode()
    order = coded.indices.to_numpy().astype(np.int64)
    if len(channel.dictionary) > 1:
        order += channel.indices.to_numpy().astype(np.int64) * len(coded.dictionary)
        order = pa.array(order).dictionary_encode().indices.to_numpy().astype(np.int64)
    return order


def _positions(order: Any) -> tuple[Any, Any]:
    """int32 [row] position in the row's order, from 1; and the rows order by order, each in file order."""
    together = bool((np.diff(order) >= 0).all())
    by_order = np.arange(order.size) if together else np.argsort(order, kind="stable")
    line = np.empty(order.size, np.int32)
    line[by_order] = _ranks(order[by_order]) + 1
    return line, by_order


def _ranks(keys: Any) -> Any:
    """int64 [n] how many equal keys stand before each; equal keys are adjacent."""
    at = np.arange(keys.size)
    starts = np.diff(keys, prepend=keys[:1] - 1) != 0
    return at - np.maximum.accumulate(np.where(starts, at, 0))


def _refuse_beside_others(sieve: Sieve, order: Any, by_order: Any, postal_code: pa.DictionaryArray) -> None:
    """Rows whose postal code is not that of their order's first accepted row, then rows beyond ORDER_LINES_MAX."""
    codes = postal_code.indices.to_numpy()
    lines = by_order[sieve.accepted[by_order]]
    rank = _ranks(order[lines])
    first = lines[np.arange(lines.size) - rank]
    _refuse_rows(sieve, "postal_code", Reason.OTHER_POSTAL_CODE, lines[codes[lines] != codes[first]])
    lines = by_order[sieve.accepted[by_order]]
    _refuse_rows(sieve, "order_id", Reason.ORDER_TOO_LONG, lines[_ranks(order[lines]) >= ORDER_LINES_MAX])


def _refuse_rows(sieve: Sieve, column: str, reason: Reason, rows: Any) -> None:
    if rows.size:
        failing = np.zeros(sieve.accepted.size, np.bool_)
        failing[rows] = True
        sieve.refuse(column, reason, failing)


def _taken(column: Any, rows: Any) -> Any:
    return column[rows] if isinstance(column, np.ndarray) else column.take(pa.array(rows))
