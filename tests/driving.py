"""Drives an engine from plain values (tests/model.py), and the model beside it: `Pair` asks both and compares all.

Scenarios and property tests begin here; `columns` and `plain` are the two directions between values and columns.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pyarrow as pa

from engine import commands as asked_of
from engine import schema
from engine.answers import OrderAnswers, Reallocated
from engine.columns import Limits
from engine.folder import DataFolder
from engine.journal.memory import MemoryJournal
from engine.journal.records import decode
from engine.outcomes import MovementKind, Namespace, Reply
from engine.reallocation import FIGURES
from engine.snapshot import build_snapshot, replay
from engine.state import State
from engine.writer import Engine
from kernels.columns import NODES_MAX, NONE, Figure, Head, OnShort, OrderKind, Stage
from kernels.keys import Size
from tests import asks
from tests.model import Model

COMPILED = not numba.config.DISABLE_JIT
START = 1_700_000_000_000_000  # UTC us
SECOND = 1_000_000
SECRET = bytes(range(32))
LIMITS = Limits(
    skus_max=64, channels_max=8, postal_codes_max=16, orders_max=4096, lines_max=8192, parts_max=16384, fences_max=256,
    exceptions_max=64, supply_max=64, commit_orders_max=1024, documents_max=4096, items_max=4096,
)  # fmt: skip
EVERY_NODE = frozenset(range(256))


def texts(values: Sequence[str]) -> pa.StringArray:
    return pa.array(list(values), pa.string())


def i16(values: Any) -> np.ndarray:
    return np.array(list(values), np.int16)


def i32(values: Any) -> np.ndarray:
    return np.array(list(values), np.int32)


def u8(values: Any) -> np.ndarray:
    return np.array(list(values), np.uint8)


def node_words(nodes: Iterable[int]) -> list[np.uint64]:
    """A node group as four words of bits."""
    return [np.uint64(sum(1 << node % 64 for node in set(nodes) if node // 64 == word)) for word in range(4)]


# Plain values to columns


def columns(asked: Any, places: list[tuple[int, int]]) -> Any:
    """The engine's command for a plain one. places: latitude and longitude of each node, 1e-7 degrees."""
    rows: Any
    if isinstance(asked, (asks.Place, asks.Reserve)):
        return _orders(asked)
    if isinstance(asked, asks.Confirm):
        rows = asked.requests
        return asked_of.Confirm(
            texts([r.request for r in rows]), texts([r.order_id for r in rows]), i16(r.channel for r in rows),
            texts([r.reservation for r in rows]), i32(r.code for r in rows),
        )  # fmt: skip
    if isinstance(asked, asks.Release):
        rows = asked.requests
        return asked_of.Release(
            texts([r.request for r in rows]), i16(r.channel for r in rows), texts([r.reservation for r in rows])
        )
    if isinstance(asked, asks.Acts):
        rows = asked.requests
        return asked_of.ActOnUnits(
            texts([r.request for r in rows]), i16(r.channel for r in rows), texts([r.order_id for r in rows]),
            i32(r.line for r in rows), i16(r.node for r in rows), u8(r.action for r in rows),
            i32(r.units for r in rows), u8(r.restock for r in rows),
        )  # fmt: skip
    if isinstance(asked, asks.Stock):
        sku, node, kind, units = zip(*asked.rows, strict=True)
        return asked_of.MoveStock(
            asked.request, i32(sku), i16(node), u8(kind), i32(units), asked.source, asked.counted_at,
            reference=asked.reference,
        )  # fmt: skip
    if isinstance(asked, asks.Supply):
        sku, node, reference, units, due = zip(*asked.rows, strict=True)
        by, at = np.array(reference, np.int64), np.array(due, np.int64)
        return asked_of.PutSupply(asked.request, i32(sku), i16(node), by, i32(units), at)
    if isinstance(asked, asks.Reallocate):
        nodes = np.zeros(NODES_MAX, np.uint8)
        nodes[list(asked.nodes)] = 1
        return asked_of.Reallocate(asked.request, nodes, asked.priority, asked.after, asked.upto, asked.short)
    if isinstance(asked, asks.Retire):
        return asked_of.Retire(asked.closed_before)
    if isinstance(asked, asks.Forget):
        return asked_of.Forget(asked.before_sequence)
    return _catalogue(asked, places)


def _orders(asked: asks.Place | asks.Reserve) -> asked_of.PlaceOrders:
    rows = asked.orders
    lines = [line for row in rows for line in row.lines]
    first = np.concatenate([[0], np.cumsum([len(row.lines) for row in rows])]).astype(np.int64)
    common = (
        texts([row.id for row in rows]), i16(row.channel for row in rows), i32(row.code for row in rows), first,
        i32(sku for sku, _ in lines), i32(units for _, units in lines),
    )  # fmt: skip
    terms = {"nodes_max": u8(row.nodes_max for row in rows), "ship_complete": u8(row.ship_complete for row in rows)}
    options = {name: column for name, column in terms.items() if column.any()}
    if isinstance(asked, asks.Reserve):
        expires_at = np.array([row.expires_at for row in rows], np.int64)
        return asked_of.Reserve(*common, options, expires_at=expires_at)
    return asked_of.PlaceOrders(*common, options)


def _catalogue(asked: Any, places: list[tuple[int, int]]) -> Any:
    if isinstance(asked, asks.Fence):
        channel, sku, node, units = zip(*asked.rows, strict=True)
        return asked_of.PutFences(asked.request, i16(channel), i32(sku), i16(node), i32(units))
    if isinstance(asked, asks.Opening):
        at = [places[node] for node, _ in asked.rows]
        return asked_of.PutNodes(
            asked.request, texts([f"node-{node}" for node, _ in asked.rows]), i32(a for a, _ in at),
            i32(b for _, b in at), u8(active for _, active in asked.rows),
            *(kind(column) for kind, column in zip((i32, i32, i16, i16), zip(*asked.terms, strict=True), strict=False)),
        )  # fmt: skip
    if isinstance(asked, asks.Exceptions):
        channel, sku, *figures = zip(*asked.rows, strict=True)
        return asked_of.PutExceptions(asked.request, i16(channel), i32(sku), *map(i32, figures))
    if isinstance(asked, asks.Names):
        return asked_of.PutNames(asked.request, Namespace.SKU, texts(asked.names))
    if isinstance(asked, asks.Codes):
        at = [places[code] for code in asked.codes]
        return asked_of.PutPostalCodes(
            asked.request, texts([str(400_001 + code) for code in asked.codes]), i32(a for a, _ in at),
            i32(b + 1_000 for _, b in at), u8([0] * len(at)),
        )  # fmt: skip
    assert isinstance(asked, asks.Channels)
    policies = [policy for _, policy in asked.rows]
    return asked_of.PutChannels(
        asked.request, texts([f"channel-{channel}" for channel, _ in asked.rows]),
        np.array([node_words(policy.nodes) for policy in policies], np.uint64), i32(p.priority for p in policies),
        u8(p.on_short for p in policies), u8(p.split for p in policies), i32(p.share_ppm for p in policies),
        i32(p.buffer for p in policies), i32(p.cap for p in policies), i32(p.threshold for p in policies),
        i32(p.buffer_ppm for p in policies), u8(p.closed for p in policies),
        np.array([node_words(policy.preferred) for policy in policies], np.uint64),
        np.array([node_words(policy.excluded) for policy in policies], np.uint64),
    )  # fmt: skip


# Columns to plain values


def plain(answers: Any) -> list[Any]:
    """What the engine answered, as the model says it."""
    if isinstance(answers, Reallocated):
        nodes = zip(*(getattr(answers, name).tolist() for name in FIGURES), strict=True)
        return [asks.Reallocation(Reply(answers.reply), answers.again, answers.following, tuple(nodes))]
    if not isinstance(answers, OrderAnswers):
        rows = zip(answers.reply, answers.quantity, answers.again, strict=True)
        return [asks.Answer(Reply(reply), int(quantity), bool(again)) for reply, quantity, again in rows]
    parts = list(
        zip(
            answers.node.tolist(), map(Stage, answers.stage), answers.part_quantity.tolist(), answers.metres.tolist(),
            strict=True,
        )
    )  # fmt: skip
    lines = [
        (int(sku), int(units), tuple(parts[answers.first_part[i] : answers.first_part[i + 1]]))
        for i, (sku, units) in enumerate(zip(answers.sku, answers.quantity, strict=True))
    ]
    return [
        asks.OrderAnswer(
            Reply(reply), int(answers.number[i]), bool(answers.again[i]),
            tuple(lines[answers.first_line[i] : answers.first_line[i + 1]]),
        )
        for i, reply in enumerate(answers.reply)
    ]  # fmt: skip


def open_orders(state: State) -> dict[int, Any]:
    """Open orders and reservations by number, walked through the linked rows."""
    book = state.book
    out = {}
    for row in range(state.head(Head.ORDERS)):
        if book.orders.kind[row] == OrderKind.FREE:
            continue
        lines = []
        line = book.orders.first[row]
        while line != NONE:
            assert book.lines.order[line] == row
            parts = []
            part = book.lines.first[line]
            while part != NONE:
                assert book.parts.line[part] == line
                units = int(book.parts.quantity[part]), int(book.parts.fenced[part])
                parts.append((Stage(book.parts.stage[part]), int(book.parts.node[part]), *units))
                part = book.parts.next[part]
            lines.append((int(book.lines.sku[line]), int(book.lines.quantity[line]), tuple(parts)))
            line = book.lines.next[line]
        number = int(book.orders.number[row])
        assert number not in out
        out[number] = (
            OrderKind(book.orders.kind[row]), int(book.orders.channel[row]), int(book.orders.postal_code[row]),
            int(book.orders.due_at[row]), tuple(lines),
        )  # fmt: skip
    return out


def open_orders_of(model: Model) -> dict[int, Any]:
    """The same of the model."""
    return {
        order.number: (
            OrderKind.RESERVATION if order.is_reservation else OrderKind.ORDER, order.channel, order.code,
            order.expires_at if order.is_reservation else order.closed_at,
            tuple(
                (line.sku, line.units, tuple((stage, node, *part) for (stage, node), part in line.parts.items()))
                for line in order.lines
            ),
        )
        for order in model.orders
    }  # fmt: skip


def figures_of(state: State, sku: int, node: int) -> tuple[tuple[int, ...], int]:
    """The figures of a cell, ON_HAND to DEFICIT, and its available units."""
    row = state.cells.row_of[sku]
    if row == NONE:
        return (0,) * Figure.SPARE, 0
    available = int(state.cells.available[row, node])
    assert int(state.cells.stocked[row, node // 64]) >> node % 64 & 1 == (available > 0)
    return tuple(state.cells.figures[row, node, : Figure.SPARE].tolist()), available


def fences(state: State) -> dict[tuple[int, int, int], int]:
    """Units still kept, by (SKU, node, channel)."""
    out = {}
    for sku in range(len(state.names[Namespace.SKU])):
        row = state.fences.head[sku]
        while row != NONE:
            at = (sku, int(state.fences.node[row]), int(state.fences.channel[row]))
            assert at not in out
            out[at] = int(state.fences.remaining[row])
            row = state.fences.next[row]
    return out


def waiting(state: State) -> dict[int, list[int]]:
    """Units that wait, by SKU: the list of back-ordered parts, sorted."""
    out = {}
    for sku in range(len(state.names[Namespace.SKU])):
        units = []
        part = state.book.waiting[sku]
        while part != NONE:
            assert state.book.parts.stage[part] == Stage.BACK_ORDERED
            units.append(int(state.book.parts.quantity[part]))
            part = state.book.parts.next_waiting[part]
        if units:
            out[sku] = sorted(units)
    return out


# The engine alone, and beside the model


class Pair:
    """An engine and the model of it: each command goes to both, and everything must be equal after each commit.

    Nodes lie on a line, postal code i beside node i, so that from code 0 the nodes are ranked 0, 1, 2, ...
    """

    model_of = Model

    def __init__(
        self,
        nodes: int = 2,
        skus: int = 2,
        codes: int = 1,
        policies: Sequence[asks.Policy] = (),
        path: Path | None = None,
    ) -> None:
        self.path = path
        self.skus = skus
        self.stamp = START
        self.places = [(200_000_000, 700_000_000 + 9_000_000 * node) for node in range(nodes)]
        if path is None:
            secret = np.frombuffer(SECRET, np.uint64).copy()
            self.engine = Engine(State(secret, LIMITS), MemoryJournal(keep=True), publish=False)
        else:
            DataFolder.create(path, SECRET, LIMITS).close()
            self.engine = Engine.open(path, publish=False)
        policies = list(policies) or [asks.Policy(EVERY_NODE)]
        self._catalogue(codes, policies)
        state = self.engine.state
        metres = state.places.metres[:codes, :nodes].tolist()
        self.model = self.model_of(metres, policies, ["nodes", "codes", "names", "channels"])
        self.model.sequence = state.sequence
        self.model.stamp = state.stamp
        self.check()

    @property
    def state(self) -> State:
        return self.engine.state

    def _catalogue(self, codes: int, policies: list[asks.Policy]) -> None:
        at = [(200_000_000, 700_000_000 + 9_000_000 * code + 1_000) for code in range(codes)]
        for command in (
            columns(asks.Opening("nodes", tuple((node, True) for node in range(len(self.places)))), self.places),
            asked_of.PutPostalCodes(
                "codes", texts([str(400_001 + code) for code in range(codes)]), i32(a for a, _ in at),
                i32(b for _, b in at), u8([0] * codes),
            ),
            asked_of.PutNames("names", Namespace.SKU, texts([f"sku-{sku}" for sku in range(self.skus)])),
            columns(asks.Channels("channels", tuple(enumerate(policies))), self.places),
        ):  # fmt: skip
            self.engine.commit(command, self.stamp)

    def commit(self, *asked: Any, after: int = 0) -> list[Any]:
        """One commit of these commands, `after` microseconds later; the answers, one list for all commands."""
        self.stamp += after
        expected = self.model.commit(asked, self.stamp)
        given = self.engine.submit([columns(command, self.places) for command in asked], self.stamp).wait()
        given = [plain(answers) for answers in given]
        assert given == expected, f"{asked}\nengine: {given}\nmodel:  {expected}"
        self.check()
        return [answer for answers in given for answer in answers]

    def check(self) -> None:
        """The engine's state is the model's, and the invariants hold."""
        state = self.state
        assert (state.sequence, state.stamp) == (self.model.sequence, self.model.stamp)
        for sku in range(self.skus):
            for node in range(len(self.places)):
                given, expected = self.figures(sku, node), self.model.figures(sku, node)
                assert given == expected, f"SKU {sku}, node {node}: engine {given}, model {expected}"
                assert self.available(sku, node) == self.model.available(sku, node), (sku, node)
        in_engine, in_model = open_orders(state), open_orders_of(self.model)
        assert in_engine == in_model
        assert fences(state) == self.model.fences
        kinds = [order[0] for order in in_engine.values()]
        assert state.head(Head.OPEN_ORDERS) == kinds.count(OrderKind.ORDER)
        assert state.head(Head.OPEN_RESERVATIONS) == kinds.count(OrderKind.RESERVATION)
        self._check_waiting(in_model)
        assert int(state.keys.sizes[Size.ENTRIES]) == len(self.model.keys)
        check_invariants(state)

    def _check_waiting(self, orders: dict[int, Any]) -> None:
        expected: dict[int, list[int]] = {}
        for *_, lines in orders.values():
            for sku, _, parts in lines:
                for stage, _, units, _ in parts:
                    if stage is Stage.BACK_ORDERED:
                        expected.setdefault(sku, []).append(units)
        assert waiting(self.state) == {sku: sorted(units) for sku, units in expected.items()}
        assert self.state.head(Head.WAITING_PARTS) == sum(map(len, expected.values()))

    def figures(self, sku: int, node: int) -> tuple[int, ...]:
        return figures_of(self.state, sku, node)[0]

    def available(self, sku: int, node: int) -> int:
        return figures_of(self.state, sku, node)[1]

    def reopen(self, snapshot: bool = False) -> None:
        """Close the folder and start again, from the journal or from a snapshot and its tail: the state is the same."""
        folder = self.engine.folder
        assert self.path is not None
        assert folder is not None
        if snapshot:
            self.engine.journal.seal()
            build_snapshot(folder.disk, self.engine.journal, State(folder.secret, folder.limits))
        digest = self.state.digest()
        self.engine.close()
        self.engine = Engine.open(self.path, publish=False)
        assert bool(self.engine.started_from) >= snapshot
        assert self.state.digest() == digest
        self.check()

    def close(self) -> None:
        """The journal's own sums must close, and a replay must come to the same digest."""
        check_conservation(self.engine)
        replayed = replay_of(self.engine)
        assert replayed.digest() == self.state.digest()
        self.engine.close()


def replay_of(engine: Engine) -> State:
    """A fresh state, filled by the whole journal."""
    state = State(engine.state.secret, engine.state.limits)
    replay(engine.journal, state)
    return state


def check_invariants(state: State) -> None:
    """2 and 9 of RELIABILITY.md, on the columns alone, and the digest from scratch."""
    rows, nodes = state.head(Head.CELL_ROWS), state.node_count
    figures = state.cells.figures[:rows, :nodes].astype(np.int64)
    committed = figures[:, :, Figure.ALLOCATED] + figures[:, :, Figure.RESERVED]
    assert (committed >= 0).all()
    assert (committed <= figures[:, :, Figure.ON_HAND] + figures[:, :, Figure.DEFICIT]).all()
    picked = figures[:, :, Figure.PICKED]
    assert (committed - picked <= np.maximum(figures[:, :, Figure.ON_HAND] - picked, 0)).all()
    for *_, lines in open_orders(state).values():
        for _, units, parts in lines:
            assert units == sum(part[2] for part in parts)
            assert all(part[2] > 0 and 0 <= part[3] <= part[2] for part in parts)
            assert len({part[:2] for part in parts}) == len(parts)
    assert state.digest_from_scratch()


def check_conservation(engine: Engine) -> None:
    """1 of RELIABILITY.md: on hand is what movements brought less what was shipped, cell by cell, from the journal."""
    state = engine.state
    units = np.zeros((len(state.names[Namespace.SKU]), state.node_count), np.int64)
    for record in engine.journal.read(1):
        for table, at in decode(record.body):
            if table is schema.MOVEMENTS:
                on_hand = at["figure"] == Figure.ON_HAND
                np.add.at(units, (at["sku"][on_hand], at["node"][on_hand]), at["quantity"][on_hand])
            elif table is schema.MOVES:
                shipped = at["to"] == Stage.SHIPPED
                np.subtract.at(units, (at["sku"][shipped], at["node"][shipped]), at["quantity"][shipped])
    for sku in range(units.shape[0]):
        row = state.cells.row_of[sku]
        held = 0 if row == NONE else state.cells.figures[row, : state.node_count, Figure.ON_HAND]
        assert (units[sku] == held).all()


# Short words for scenarios


def received(request: str, *rows: tuple[int, int, int]) -> asks.Stock:
    """(SKU, node, units) received."""
    return asks.Stock(request, tuple((sku, node, MovementKind.RECEIVED, units) for sku, node, units in rows))


def counted(request: str, *rows: tuple[int, int, int], source: int = -1, counted_at: int = 0) -> asks.Stock:
    """(SKU, node, units) counted."""
    stock = tuple((sku, node, MovementKind.COUNTED, units) for sku, node, units in rows)
    return asks.Stock(request, stock, source, counted_at)


def place(id: str, *lines: tuple[int, int], channel: int = 0, code: int = 0, **terms: Any) -> asks.Place:
    """One order. terms: nodes_max, ship_complete."""
    return asks.Place((asks.Cart(id, lines, channel, code, **terms),))


def reserve(
    id: str, *lines: tuple[int, int], expires_at: int, channel: int = 0, code: int = 0, **terms: Any
) -> asks.Reserve:
    """One reservation. terms: nodes_max, ship_complete."""
    return asks.Reserve((asks.Cart(id, lines, channel, code, expires_at, **terms),))


def policy(*nodes: int, split: bool = True, on_short: OnShort = OnShort.KEEP, priority: int = 0) -> asks.Policy:
    """A channel of these nodes, or of all."""
    return asks.Policy(frozenset(nodes) or EVERY_NODE, split, on_short, priority)
