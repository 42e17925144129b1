"""Drives the life of orders on an engine from plain values: payments, refunds, shipments, returns.

Two nodes, two SKUs, one postal code; node A is in its tax region, node B is not. `Life.check` holds the invariants of
stock, money and the ledger after each commit, by routes that share nothing with the kernels.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from engine import commands as asked_of
from engine import money, schema
from engine.answers import OrderAnswers, Replies
from engine.columns import Limits
from engine.folder import DataFolder
from engine.journal.memory import MemoryJournal
from engine.journal.records import decode
from engine.life_audit import LedgerCount, audit_life
from engine.lifecycle import Action
from engine.outcomes import MovementKind, Namespace, Reply
from engine.snapshot import build_snapshot
from engine.state import State
from engine.verify import audit_state
from engine.writer import Engine
from kernels.columns import NO_NODE, NONE, Figure, Head, OnShort, Stage
from kernels.life import (
    Account,
    Condition,
    DocumentKind,
    PaymentFigure,
    PaymentFlag,
    PayMethod,
    ReturnKind,
    ShipmentState,
    Step,
)
from tests import asks
from tests.driving import (
    EVERY_NODE,
    LIMITS,
    SECOND,
    SECRET,
    START,
    check_conservation,
    check_invariants,
    columns,
    i16,
    i32,
    replay_of,
    texts,
    u8,
)

X, Y = 0, 1  # SKUs
A, B = 0, 1  # nodes
KEEP, WAITS = 0, 1  # channels: what is short stays short; waits
WORDS = (
    "INR", "USD", "CARD", "UPI", "CASH_ON_DELIVERY", "CHANNEL", "gateway", "carrier", "29", "07", "fragile", "other",
)  # fmt: skip
WORD = {word: at for at, word in enumerate(WORDS)}
GATEWAY = PaymentFlag.PARTS | PaymentFlag.TO_SOURCE
DAY = 86_400 * SECOND


class Life:
    """An engine with stock, and short words for what happens to orders."""

    def __init__(self, path: Path | None = None, units: int = 20, start: int = START, limits: Limits = LIMITS) -> None:
        self.path, self.stamp, self.requests = path, start, 0
        if path is None:
            secret = np.frombuffer(SECRET, np.uint64).copy()
            self.engine = Engine(State(secret, limits), MemoryJournal(keep=True), publish=False)
        else:
            DataFolder.create(path, SECRET, limits).close()
            self.engine = Engine.open(path, publish=False)
        self._books = LedgerCount(self.state)
        self._read = 0
        self._came_back: Counter[int] = Counter()
        at = [(200_000_000, 700_000_000), (210_000_000, 710_000_000)]
        stock = tuple((sku, node, MovementKind.RECEIVED, units) for sku in (X, Y) for node in (A, B) if units)
        for command in (
            columns(asks.Opening("nodes", ((A, True), (B, True))), at),
            asked_of.PutPostalCodes("codes", texts(["560001"]), i32([at[0][0]]), i32([at[0][1] + 1000]), u8([0])),
            asked_of.PutNames("skus", Namespace.SKU, texts(["sku-x", "sku-y"])),
            asked_of.PutNames("words", Namespace.WORD, texts(WORDS)),
            columns(
                asks.Channels(
                    "channels",
                    ((KEEP, asks.Policy(EVERY_NODE)), (WAITS, asks.Policy(EVERY_NODE, on_short=OnShort.BACK_ORDER))),
                ),
                at,
            ),
            asked_of.PutRegions("regions", i16([A, B, NO_NODE]), i32([NONE, NONE, 0]),
                                i16([WORD["29"], WORD["07"], WORD["29"]])),
            *([columns(asks.Stock("stock", stock), at)] if stock else []),
        ):  # fmt: skip
            self.engine.commit(command, self.stamp)

    @property
    def state(self) -> State:
        return self.engine.state

    def new(self) -> str:
        """A request id never used before."""
        self.requests += 1
        return f"request-{self.requests}"

    def commit(self, *commands: Any, after: int = SECOND) -> list[Any]:
        self.stamp += after
        answers = self.engine.submit(list(commands), self.stamp).wait()
        self.check()
        return answers

    # What is asked

    def place(
        self, order: str, *lines: tuple[int, int, int], channel: int = KEEP, method: str = "", tax: int = 0,
        fee: int = 0, fee_tax: int = 0, discount: int = 0, pay_by: int = 0, currency: str = "INR",
    ) -> OrderAnswers:  # fmt: skip
        """An order of (SKU, units, price) with prices. tax: of each unit; discount, fee: of the order."""
        answers: OrderAnswers = self.commit(
            priced_order(order, *lines, channel=channel, method=method, tax=tax, fee=fee, fee_tax=fee_tax,
                         discount=discount, pay_by=pay_by, currency=currency)
        )[0]  # fmt: skip
        return answers

    def acting(self, order: str, action: Action, units: int = 0, line: int = 0, channel: int = KEEP) -> Any:
        """The command of an act."""
        return columns(asks.Acts((asks.Act(self.new(), order, action, units, line, NO_NODE, channel),)), [])

    def act(
        self, order: str, action: Action, units: int = 0, line: int = 0, node: int = NO_NODE, channel: int = KEEP
    ) -> Reply:
        answers = self.commit(
            columns(asks.Acts((asks.Act(self.new(), order, action, units, line, node, channel),)), [])
        )
        return Reply(int(answers[0].reply[0]))

    def step(self, step: Step, document: str = "", **asked: Any) -> Reply:
        """One step by itself; what became of it."""
        return Reply(int(self.steps(row(step, document, **asked)).reply[0]))

    def steps(self, *rows: dict[str, Any], request: str = "") -> Replies:
        """Steps under one request."""
        answers: Replies = self.commit(command(request or self.new(), rows))[0]
        return answers

    # What came of it

    def balances(self, currency: str = "INR") -> dict[Account, int]:
        """What accounts hold, those that hold anything."""
        held = self.state.ledger.balances.get(WORD[currency])
        return {} if held is None else {account: int(held[account]) for account in Account if held[account]}

    def documents(self, kind: DocumentKind) -> Iterator[tuple[int, list[int]]]:
        """State and figures of documents of a kind, oldest first."""
        documents = self.state.book.documents
        for at in range(self.state.head(Head.DOCUMENTS)):
            if documents.kind[at] == kind:
                yield int(documents.state[at]), documents.figures[at].tolist()

    def refunds(self) -> list[tuple[int, int, int]]:
        """(number, amount, where it goes) of each refund."""
        documents = self.state.book.documents
        return [
            (int(documents.number[at]), int(documents.figures[at, 0]), int(documents.flags[at]))
            for at in range(self.state.head(Head.DOCUMENTS))
            if documents.kind[at] == DocumentKind.REFUND
        ]

    def order_of(self, number: int) -> int:
        """The number of the order that a document is of."""
        documents = self.state.book.documents
        count = self.state.head(Head.DOCUMENTS)
        at = int(np.flatnonzero(documents.number[:count] == number)[0])
        return int(self.state.book.orders.number[documents.order[at]])

    def delivered(self) -> list[int]:
        """Numbers of the orders of which a shipment was delivered."""
        documents = self.state.book.documents
        count = self.state.head(Head.DOCUMENTS)
        at = (documents.kind[:count] == DocumentKind.SHIPMENT) & (documents.state[:count] == ShipmentState.DELIVERED)
        numbers: list[int] = np.unique(self.state.book.orders.number[documents.order[:count][at]]).tolist()
        return numbers

    def captured(self) -> int:
        return sum(figures[PaymentFigure.CAPTURED] for _, figures in self.documents(DocumentKind.PAYMENT))

    def check(self) -> None:
        """Everything holds."""
        check_invariants(self.state)
        assert audit_state(self.state) == []
        assert audit_life(self.state) == []
        for record in self.engine.journal.read(self._read + 1):
            tables = decode(record.body)
            self._books.take(record.sequence, tables)
            self._count_what_came_back(tables)
            self._read = record.sequence
        assert min(self._came_back.values(), default=0) >= 0, "more units were put back on shelves than came back"
        assert self._books.faults == []
        assert self._books.differences(self.state) == []
        documents = self.state.book.documents
        rows = np.flatnonzero(documents.kind[: self.state.head(Head.DOCUMENTS)])
        assert [self.state.numbers.row_of(int(documents.number[at]), documents) for at in rows] == rows.tolist()

    def _count_what_came_back(self, tables: Any) -> None:
        """Units that came back, less those that are on hand again, by SKU."""
        for table, rows in tables:
            if table is schema.MOVES:
                back, sign = rows["to"] == Stage.RETURNED, 1
            elif table is schema.MOVEMENTS:
                back, sign = (rows["kind"] == MovementKind.RETURNED) & (rows["figure"] == Figure.ON_HAND), -1
            else:
                continue
            for sku, units in zip(rows["sku"][back].tolist(), rows["quantity"][back].tolist(), strict=True):
                self._came_back[sku] += sign * units

    def reopen(self, snapshot: bool = False) -> None:
        """Close the folder and start again."""
        folder = self.engine.folder
        assert folder is not None
        assert self.path is not None
        if snapshot:
            self.engine.journal.seal()
            build_snapshot(folder.disk, self.engine.journal, State(folder.secret, folder.limits))
        digest = self.state.digest()
        self.engine.close()
        self.engine = Engine.open(self.path, publish=False)
        assert self.state.digest() == digest
        self.check()

    def close(self) -> None:
        check_conservation(self.engine)
        assert replay_of(self.engine).digest() == self.state.digest()
        self.engine.close()


def priced_order(
    order: str, *lines: tuple[int, int, int], channel: int = KEEP, method: str = "", tax: int = 0, fee: int = 0,
    fee_tax: int = 0, discount: int = 0, pay_by: int = 0, currency: str = "INR",
) -> asked_of.PlaceOrders:  # fmt: skip
    """The command of one order."""
    count = len(lines)
    sku, units, price = zip(*lines, strict=True)
    first = np.array([0, count], np.int64)
    options: dict[str, Any] = {"currency": i16([WORD[currency]]), "unit_price": np.array(price, np.int64)}
    if method:
        options["payment_method"] = i16([WORD[method]])
    if tax:
        options["tax"] = np.full(count, tax, np.int64)
    for name, amount in (
        ("order_discount", discount),
        ("shipping_fee", fee),
        ("shipping_fee_tax", fee_tax),
        ("pay_by", pay_by),
    ):
        if amount:
            options[name] = np.array([amount], np.int64)
    frozen, fits = money.frozen(first, i32(units), options)
    assert fits.all()
    return asked_of.PlaceOrders(
        texts([order]), i16([channel]), i32([0]), first, i32(sku), i32(units), {**options, **frozen}
    )


def row(
    step: Step, document: str = "", *, order: str = "", channel: int = KEEP, reference: str = "", note: str = "",
    number: int = 0, line: int = 0, units: int = 0, node: int = NO_NODE, amount: int = 0, currency: str = "",
    how: str = "", at: int = 0, flags: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """One step as plain values."""
    return {
        "step": int(step), "document_id": document, "order_id": order, "channel": channel, "reference": reference,
        "note": note, "number": number, "line": line, "units": units, "node": node, "amount": amount,
        "currency": WORD.get(currency, NONE), "how": WORD.get(how, NONE), "at": at, "flags": int(flags),
    }  # fmt: skip


_DTYPES: dict[str, Any] = {
    "step": np.uint8, "channel": np.int16, "number": np.int64, "line": np.int32, "units": np.int32, "node": np.int16,
    "amount": np.int64, "currency": np.int16, "how": np.int16, "at": np.int64, "flags": np.int32,
}  # fmt: skip


def command(request: str, rows: Any, actor: int = NONE) -> asked_of.TakeSteps:
    """Steps of one request."""
    figures = {name: np.array([row[name] for row in rows], dtype) for name, dtype in _DTYPES.items()}
    words = {
        name: pa.array([row[name] for row in rows], pa.string())
        for name in ("document_id", "order_id", "reference", "note")
    }
    return asked_of.TakeSteps(
        request_id=texts([request]), request_channel=i16([NONE]), actor=i16([actor]),
        first_row=np.array([0, len(rows)], np.int64), **figures, **words,
    )  # fmt: skip


def pay(
    payment: str, order: str, amount: int = 0, method: PayMethod = PayMethod.CARD, flags: int = GATEWAY, **more: Any
) -> dict[str, Any]:
    """A new payment."""
    how = "gateway" if method < PayMethod.CASH_ON_DELIVERY else ""
    return row(Step.PAY, payment, order=order, amount=amount, how=how, flags=method | flags, **more)


def ask_return(
    return_id: str, order: str, units: int = 1, line: int = 1, kind: ReturnKind = ReturnKind.RETURN,
    condition: Condition = Condition.UNUSED, flags: int = 0, **more: Any,
) -> dict[str, Any]:  # fmt: skip
    """A new return."""
    asked = kind | condition << 4 | flags
    return row(Step.ASK_RETURN, return_id, order=order, units=units, line=line, how="fragile", flags=asked, **more)


def paid(life: Life, order: str = "o", units: int = 3, price: int = 10_000, **more: Any) -> Life:
    """An order that is authorised by card, and captured when it leaves."""
    life.place(order, (X, units, price), method="CARD", **more)
    life.steps(pay(f"p {order}", order))
    assert life.step(Step.AUTHORISE, f"p {order}") is Reply.DONE
    return life


def shipped(life: Life, order: str = "o", node: int = A, **more: Any) -> Life:
    assert life.step(Step.SEND, f"s {order}", order=order, node=node, **more) is Reply.DONE
    assert life.step(Step.SHIP, f"s {order}") is Reply.DONE
    return life


def captured(life: Life, order: str = "o") -> Life:
    assert life.step(Step.CAPTURE, f"p {order}") is Reply.DONE
    return life


def delivered(life: Life, order: str = "o") -> Life:
    captured(shipped(life, order), order)
    assert life.step(Step.DELIVER, f"s {order}") is Reply.DONE
    return life


def states(life: Life, kind: DocumentKind) -> list[int]:
    return [state for state, _ in life.documents(kind)]
