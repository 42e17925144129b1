"""Rows of single requests gathered into commands of the engine, and the answers told apart again. The batcher calls it.

A row is what validation made of one request: texts of the catalogue are indices already. The columns of a command are
built once a turn, so that a single order costs the engine little more than one of a batch.
"""

from itertools import accumulate, chain
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from engine.answers import NULL_OPTION, OrderAnswers, Replies
from engine.commands import (
    FROZEN,
    LINE_OPTIONS,
    ORDER_OPTIONS,
    ActOnUnits,
    Confirm,
    PlaceOrders,
    Release,
    Reserve,
    TakeSteps,
)
from engine.schema import DTYPES, LINES, ORDERS, Kind

_DTYPE_OF: dict[str, Any] = {
    column.name: None if column.kind is Kind.TEXT else DTYPES[column.kind]
    for table in (ORDERS, LINES)
    for column in table.columns
    if column.optional
}


class OrderRow(NamedTuple):
    """One order or cart."""

    order_id: str
    channel: int
    postal_code: int
    sku: list[int]  # of each line
    quantity: list[int]
    options: dict[str, Any]  # those of ORDER_OPTIONS that were told, and of LINE_OPTIONS as lists
    expires_at: int = 0  # of a cart, UTC us


class ConfirmRow(NamedTuple):
    """One reservation to confirm."""

    request_id: str
    channel: int
    reservation_id: str
    order_id: str
    postal_code: int  # -1: as reserved


class ReleaseRow(NamedTuple):
    """One reservation to let go."""

    request_id: str
    channel: int
    reservation_id: str


class ActRow(NamedTuple):
    """One action on units of an order."""

    request_id: str
    channel: int
    order_id: str
    line: int  # 0: every line
    node: int  # -1: any
    action: int
    quantity: int  # 0: all there are
    restock: int
    actor: int = -1  # word: who asks; -1: not told


class StepRow(NamedTuple):
    """One step of a payment, refund, shipment or return."""

    request_id: str
    actor: int
    step: int
    channel: int  # -1: named by its reference
    document_id: str
    order_id: str
    reference: str
    note: str
    number: int
    line: int
    units: int
    node: int
    amount: int
    currency: int
    how: int
    at: int
    flags: int


class OrderResult(NamedTuple):
    """What became of one order: a row of the engine's OrderAnswers."""

    reply: int
    number: int
    again: bool
    parts: list[tuple[int, int, int, int, int]]  # line from 1, node or -1, stage, units, metres


class Reply(NamedTuple):
    """What became of one other request."""

    reply: int
    quantity: int
    again: bool


class _Orders:
    """Single orders."""

    def command(self, rows: list[OrderRow]) -> PlaceOrders:
        return PlaceOrders(**_order_columns(rows))

    def results(self, rows: list[OrderRow], answers: OrderAnswers) -> list[OrderResult]:
        return order_results(answers)


class _Carts:
    """Reservations."""

    def command(self, rows: list[OrderRow]) -> Reserve:
        expires_at = np.array([row.expires_at for row in rows], np.int64)
        return Reserve(**_order_columns(rows), expires_at=expires_at)

    def results(self, rows: list[OrderRow], answers: OrderAnswers) -> list[OrderResult]:
        return order_results(answers)


class _Confirmations:
    """Reservations that become orders."""

    def command(self, rows: list[ConfirmRow]) -> Confirm:
        request_id, channel, reservation_id, order_id, postal_code = zip(*rows, strict=True)
        return Confirm(
            _texts(request_id), _texts(order_id), np.array(channel, np.int16), _texts(reservation_id),
            np.array(postal_code, np.int32),
        )  # fmt: skip

    def results(self, rows: list[ConfirmRow], answers: OrderAnswers) -> list[OrderResult]:
        return order_results(answers)


class _Releases:
    """Reservations that are let go."""

    def command(self, rows: list[ReleaseRow]) -> Release:
        request_id, channel, reservation_id = zip(*rows, strict=True)
        return Release(_texts(request_id), np.array(channel, np.int16), _texts(reservation_id))

    def results(self, rows: list[ReleaseRow], answers: Replies) -> list[Reply]:
        return _replies(answers)


class _Acts:
    """Actions on units of orders."""

    def command(self, rows: list[ActRow]) -> ActOnUnits:
        request_id, channel, order_id, line, node, action, quantity, restock, actor = zip(*rows, strict=True)
        return ActOnUnits(
            _texts(request_id), np.array(channel, np.int16), _texts(order_id), np.array(line, np.int32),
            np.array(node, np.int16), np.array(action, np.uint8), np.array(quantity, np.int32),
            np.array(restock, np.uint8), np.array(actor, np.int16),
        )  # fmt: skip

    def results(self, rows: list[ActRow], answers: Replies) -> list[Reply]:
        return _replies(answers)


class _Steps:
    """Steps of documents, each a request of its own."""

    def command(self, rows: list[StepRow]) -> TakeSteps:
        columns = dict(zip(StepRow._fields, zip(*rows, strict=True), strict=True))
        texts = {name: _texts(columns[name]) for name in ("document_id", "order_id", "reference", "note")}
        figures = {name: np.array(columns[name], dtype) for name, dtype in STEP_DTYPES.items()}
        return TakeSteps(
            request_id=_texts(columns["request_id"]), request_channel=figures["channel"],
            actor=np.array(columns["actor"], np.int16), first_row=np.arange(len(rows) + 1), **texts, **figures,
        )  # fmt: skip

    def results(self, rows: list[StepRow], answers: Replies) -> list[Reply]:
        return _replies(answers)


STEP_DTYPES: dict[str, Any] = {
    "step": np.uint8, "channel": np.int16, "number": np.int64, "line": np.int32, "units": np.int32, "node": np.int16,
    "amount": np.int64, "currency": np.int16, "how": np.int16, "at": np.int64, "flags": np.int32,
}  # fmt: skip
ORDER, CART, CONFIRMATION, RELEASE, ACT = _Orders(), _Carts(), _Confirmations(), _Releases(), _Acts()
STEP = _Steps()


def order_results(answers: OrderAnswers) -> list[OrderResult]:
    """The rows of order answers, for those who are asked one by one."""
    first_line, first_part = answers.first_line.tolist(), answers.first_part.tolist()
    columns = (answers.node, answers.stage, answers.part_quantity, answers.metres)
    parts = list(zip(*(column.tolist() for column in columns), strict=True))
    heads = zip(answers.reply.tolist(), answers.number.tolist(), answers.again.tolist(), strict=True)
    return [
        OrderResult(*head, [
            (line - first_line[order] + 1, *part)
            for line in range(first_line[order], first_line[order + 1])
            for part in parts[first_part[line] : first_part[line + 1]]
        ])
        for order, head in enumerate(heads)
    ]  # fmt: skip


def _replies(answers: Replies) -> list[Reply]:
    columns = (answers.reply.tolist(), answers.quantity.tolist(), answers.again.tolist())
    return [Reply(*row) for row in zip(*columns, strict=True)]


def _texts(texts: Any) -> pa.StringArray:
    """As pa.array, which looks at types first and takes five times as long for one text."""
    encoded = [text.encode() for text in texts]
    offsets = np.fromiter(accumulate(map(len, encoded), initial=0), np.int32, len(encoded) + 1)
    return pa.StringArray.from_buffers(len(encoded), pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded)))


def _order_columns(rows: list[OrderRow]) -> dict[str, Any]:
    sizes = accumulate((len(row.sku) for row in rows), initial=0)
    return {
        "order_id": _texts([row.order_id for row in rows]),
        "channel": np.array([row.channel for row in rows], np.int16),
        "postal_code": np.array([row.postal_code for row in rows], np.int32),
        "first_line": np.fromiter(sizes, np.int64, len(rows) + 1),
        "sku": np.array(list(chain.from_iterable(row.sku for row in rows)), np.int32),
        "quantity": np.array(list(chain.from_iterable(row.quantity for row in rows)), np.int32),
        "options": _options(rows),
    }


def _options(rows: list[OrderRow]) -> dict[str, Any]:
    """Columns of what any of the rows told; null where one did not."""
    told = {name for row in rows for name in row.options}
    columns: dict[str, Any] = {}
    for name in (*ORDER_OPTIONS, *LINE_OPTIONS, *FROZEN):
        if name not in told:
            continue
        null = NULL_OPTION[name]
        if name in LINE_OPTIONS or name in FROZEN:
            values = [value for row in rows for value in row.options.get(name) or [null] * len(row.sku)]
        else:
            values = [row.options.get(name, null) for row in rows]
        columns[name] = _texts(values) if _DTYPE_OF[name] is None else np.array(values, _DTYPE_OF[name])
    return columns
