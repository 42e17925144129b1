"""kernels/stages.py against a book of dicts: random effects, also such as the engine never asks for, compared whole.

What is allocated, reserved or picked in a cell is added up from the parts themselves; ring-fences are counted.
"""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest

from engine.apply import apply_names
from engine.lifecycle import CHANGE_TABLE, CHANGES, SOURCES, TARGET, TRANSITIONS, Action
from engine.outcomes import Namespace
from engine.state import State
from kernels import searching, stages
from kernels.columns import NO_NODE, NONE, Figure, Head, OrderKind, Outcome, Stage
from kernels.fences import forget_drawn
from tests.driving import COMPILED, LIMITS, SECRET, figures_of, i16, i32, open_orders, texts, u8, waiting

SKUS, NODES, CHANNELS = 4, 3, 2
STAMP = 1_000
AT_THE_NODE = (Stage.ALLOCATED, Stage.PICKED, Stage.PACKED)
AT_REST = (Stage.SHORT, Stage.DELIVERED, Stage.RETURNED, Stage.CANCELLED)
AT_A_CART = (Stage.RESERVED, Stage.SHORT)


@dataclass
class Line:
    sku: int
    units: int
    parts: dict[tuple[Stage, int], list[int]]  # (stage, node): [units, out of the ring-fence]


@dataclass
class Order:
    number: int
    kind: OrderKind
    channel: int
    due_at: int
    lines: list[Line] = field(default_factory=list)


class Books:
    """The columns of a state and the same as dicts; each change goes to both."""

    def __init__(self, seed: object) -> None:
        self.rng = random.Random(str(seed))
        self.state = State(np.frombuffer(SECRET, np.uint64).copy(), LIMITS)
        for namespace, count in ((Namespace.SKU, SKUS), (Namespace.NODE, NODES), (Namespace.CHANNEL, CHANNELS)):
            columns = {"namespace": u8([namespace] * count), "index": i32(range(count))}
            apply_names(self.state, columns | {"text": texts([f"{namespace} {i}" for i in range(count)])})
        self.orders: dict[int, Order] = {}  # by row
        self.stock: Counter[tuple[int, int, Figure]] = Counter()
        self.fences: dict[tuple[int, int, int], int] = {}
        self.number = 0
        self._set_fences()

    def _set_fences(self) -> None:
        fences = self.state.fences
        for row, (sku, node, channel) in enumerate(np.ndindex(SKUS, NODES, CHANNELS)):
            fences.node[row], fences.channel[row], fences.remaining[row] = node, channel, 100_000
            fences.next[row], fences.head[sku] = fences.head[sku], row
            self.fences[sku, node, channel] = 100_000
        self.state.fences_used = len(self.fences)

    # Effects

    def move_stock(self) -> None:
        rows = [
            (self.rng.randrange(SKUS), self.rng.randrange(NODES), figure, self.rng.randint(0, 30))
            for figure in self.rng.choices((Figure.ON_HAND, Figure.UNAVAILABLE, Figure.SAFETY_STOCK), (5, 1, 1), k=4)
        ]
        sku, node, figure, units = zip(*rows, strict=True)
        stages.move_stock(i32(sku), i16(node), u8(figure), i32(units), self.state.book, self.state.cells)
        for row in rows:
            self.stock[row[:3]] += row[3]

    def enter(self) -> None:
        asked = [self._any_order() for _ in range(self.rng.randint(1, 4))]
        lines = [line for order in asked for line in order.lines]
        parts = [(node, stage, *part) for line in lines for (stage, node), part in line.parts.items()]
        node, stage, units, fenced = zip(*parts, strict=True)
        entries = stages.Entries(
            np.array([order.number for order in asked], np.int64),
            u8(order.kind is OrderKind.RESERVATION for order in asked), i16(order.channel for order in asked),
            i32(0 for _ in asked), i32(len(order.lines) for order in asked),
            u8(Outcome.ALLOCATED if order.number else Outcome.REFUSED for order in asked),
            np.array([order.due_at for order in asked], np.int64), i32(line.sku for line in lines),
            i32(line.units for line in lines), i32(len(line.parts) for line in lines), i16(node), u8(stage), i32(units),
            i32(fenced),
        )  # fmt: skip
        rows = np.empty(len(asked), np.int32)
        state = self.state
        stages.enter_orders(entries, 7 << 20, STAMP, False, state.book, state.cells, state.fences, rows)
        for row, order in zip(rows.tolist(), asked, strict=True):
            assert (row == NONE) == (order.number == 0)
            if order.number:
                assert row not in self.orders
                self.orders[row] = order
                for line in order.lines:
                    for (_, at), part in line.parts.items():
                        self._fence(order, line, at, -part[1])
                self._close_at_rest(order)

    def _close_at_rest(self, order: Order) -> None:
        if order.kind is OrderKind.ORDER:
            at_rest = all(stage in AT_REST for line in order.lines for stage, _ in line.parts)
            order.due_at = (order.due_at or STAMP) if at_rest else 0

    def _any_order(self) -> Order:
        """An order or a reservation with any parts, now and then a refused one (number 0)."""
        rng = self.rng
        refused = rng.random() < 0.1
        self.number += not refused
        kind = rng.choice((OrderKind.ORDER, OrderKind.RESERVATION))
        is_order = kind is OrderKind.ORDER
        order = Order(
            0 if refused else self.number, kind, rng.randrange(CHANNELS), 0 if is_order else rng.randint(1, 99)
        )
        held = Stage.ALLOCATED if is_order else Stage.RESERVED
        short = (Stage.SHORT, Stage.BACK_ORDERED) if is_order else (Stage.SHORT,)
        for _ in range(rng.randint(1, 3)):
            sku = rng.choice([sku for sku in range(SKUS) if self.state.cells.row_of[sku] != NONE])
            places = [(held, node) for node in range(NODES)] + [(rng.choice(short), NO_NODE)]
            parts = {}
            for at in rng.sample(places, rng.randint(1, len(places))):
                units = rng.randint(1, 9)
                parts[at] = [units, rng.randint(0, units) if at[1] != NO_NODE else 0]
            order.lines.append(Line(sku, sum(units for units, _ in parts.values()), parts))
        return order

    def _fence(self, order: Order, line: Line, node: int, units: int) -> None:
        if units:
            self.fences[line.sku, node, order.channel] += units

    def move(self) -> None:
        """Up to three moves of different parts, each one that engine/lifecycle.py allows."""
        taken = []
        parts = self._parts(OrderKind.ORDER) + self._parts(OrderKind.RESERVATION)
        for row, line, at in self.rng.sample(parts, min(3, len(parts))):
            is_order = self.orders[row].kind is OrderKind.ORDER
            allowed = [to for source, to in CHANGES if source is at[0] and (is_order or to in AT_A_CART)]
            to = self.rng.choice(allowed or [None])
            if to is not None:
                taken.append((row, line, at, to))
        moves = []
        for row, line, at, to in taken:
            units = self.rng.randint(1, self.orders[row].lines[line].parts[at][0])
            gets_node = to is at[0] or (to is Stage.ALLOCATED and at[1] == NO_NODE)
            node = self.rng.randrange(NODES) if gets_node else NO_NODE
            fenced = self.rng.randint(0, units) if gets_node else 0
            moves.append((self._part_row(row, line, at), to, units, node, fenced))
        if not moves:
            return
        part, to_, units_, node_, fenced_ = zip(*moves, strict=True)
        columns = stages.Moves(i32(part), u8(to_), i32(units_), i16(node_), i32(fenced_))
        state = self.state
        stages.move_units(columns, STAMP, False, CHANGE_TABLE, state.book, state.cells, state.fences)
        for (row, line, at, to), (_, _, units, node, fenced) in zip(taken, moves, strict=True):
            self._move(self.orders[row], self.orders[row].lines[line], at, to, units, node, fenced)

    def _parts(self, kind: OrderKind) -> list[tuple[int, int, tuple[Stage, int]]]:
        orders = [(row, order) for row, order in self.orders.items() if order.kind is kind]
        return [(row, i, at) for row, order in orders for i, line in enumerate(order.lines) for at in line.parts]

    def _part_row(self, row: int, line: int, at: tuple[Stage, int]) -> int:
        book = self.state.book
        line_row = book.orders.first[row]
        for _ in range(line):
            line_row = book.lines.next[line_row]
        part = book.lines.first[line_row]
        while (book.parts.stage[part], book.parts.node[part]) != at:
            part = book.parts.next[part]
        return int(part)

    def _move(
        self, order: Order, line: Line, at: tuple[Stage, int], to: Stage, units: int, new_node: int, drawn: int
    ) -> None:
        part = line.parts[at]
        node, fenced = at[1], min(units, part[1])
        part[0] -= units
        part[1] -= fenced
        if part[0] == 0:
            del line.parts[at]
        if to is at[0]:  # from node to node
            self._fence(order, line, node, fenced)
        if to is at[0] or (at[1] == NO_NODE and to is Stage.ALLOCATED):
            node, fenced = new_node, drawn
            self._fence(order, line, node, -drawn)
        elif to in (Stage.SHORT, Stage.BACK_ORDERED, Stage.CANCELLED):
            self._fence(order, line, node, fenced)
            node, fenced = (node if to is Stage.CANCELLED else NO_NODE), 0
        elif to is Stage.SHIPPED:
            self.stock[line.sku, node, Figure.ON_HAND] -= units
            fenced = 0
        landed = line.parts.setdefault((to, node), [0, 0])
        landed[0] += units
        landed[1] += fenced
        self._close_at_rest(order)

    def act(self) -> None:
        rng = self.rng
        rows = [row for row, order in self.orders.items() if order.kind is OrderKind.ORDER]
        if not rows:
            return
        asked = [
            (
                rng.choice(rows),
                rng.randint(0, 4),
                rng.randint(-1, NODES - 1),
                rng.choice([action for action in Action if action is not Action.SHORT_PICK]),  # it is no kernel's
                rng.randint(0, 12),
            )
            for _ in range(rng.randint(1, 6))
        ]
        order, line, node, action, units = zip(*asked, strict=True)
        acts = stages.Acts(i32(order), i32(line), i16(node), u8(action), i32(units))
        room = sum(2 * len(line.parts) for row in order for line in self.orders[row].lines) + len(asked)
        moves = stages.Moves(*(np.empty(room, dtype) for dtype in (np.int32, np.uint8, np.int32, np.int16, np.int32)))
        kinds = (np.int64, np.int32, np.uint8, np.int32, np.int16, np.int32)
        acted = stages.Acted(moves, *(np.empty(room, dtype) for dtype in kinds))
        moved = np.empty(len(asked), np.int32)
        state = self.state
        made = stages.act_on_units(
            acts, SOURCES, TARGET, STAMP, CHANGE_TABLE, state.book, state.cells, state.fences, acted, moved
        )
        said = [self._act(*act) for act in asked]
        assert moved.tolist() == [sum(move[2] for move in moves) if moves else -1 for moves in said]
        found = zip(
            acted.act[:made].tolist(), acted.number[:made].tolist(), acted.line[:made].tolist(),
            moves.quantity[:made].tolist(), acted.source[:made].tolist(), moves.to[:made].tolist(),
            acted.at[:made].tolist(), acted.sku[:made].tolist(), strict=True,
        )  # fmt: skip
        assert list(found) == [(i, *move) for i, moves in enumerate(said) for move in moves]

    def _act(self, row: int, position: int, node: int, action: Action, units: int) -> list[tuple[int, ...]]:
        """One act in plain Python: moves (number, line, units, from, to, node, SKU); none where there are too few."""
        order = self.orders[row]
        sources, to = TRANSITIONS[action]
        plan = [
            (i, line, at, line.parts[at][0])
            for i, line in enumerate(order.lines, 1)
            if position in (0, i)
            for source in sources
            for at in line.parts
            if at[0] is source and node in (NO_NODE, at[1])
        ]
        there = sum(part[3] for part in plan)
        left = units or there
        if left > there or there == 0:
            return []
        moves = []
        for i, line, at, held in plan:
            part = min(held, left)
            left -= part
            if part:
                moves.append((order.number, i, part, int(at[0]), int(to), at[1], line.sku))
                self._move(order, line, at, to, part, NO_NODE, 0)
        return moves

    def close(self) -> None:
        rows = [row for row, order in self.orders.items() if order.kind is OrderKind.RESERVATION]
        rows = self.rng.sample(rows, min(len(rows), 2))
        state = self.state
        stages.close_reservations(i32(rows), CHANGE_TABLE, state.book, state.cells, state.fences)
        for row in rows:
            order = self.orders.pop(row)
            for line in order.lines:
                for (stage, node), (_, fenced) in line.parts.items():
                    if stage is Stage.RESERVED:
                        self._fence(order, line, node, fenced)

    def set_fences(self) -> None:
        """Some ring-fences anew: what was drawn from them before is drawn from none."""
        anew = u8(self.rng.random() < 0.2 for _ in self.fences)
        for row, at in enumerate(self.fences):
            if anew[row]:
                self.state.fences.remaining[row] = self.fences[at] = 50_000
        forget_drawn(anew, self.state.book, self.state.fences)
        chosen = {at for row, at in enumerate(self.fences) if anew[row]}
        for order in self.orders.values():
            for line in order.lines:
                for (_, node), part in line.parts.items():
                    if (line.sku, node, order.channel) in chosen:
                        part[1] = 0

    def retire(self) -> None:
        """Closed orders; also such as wait, which keep nothing at a node."""
        without_node = (*AT_REST, Stage.BACK_ORDERED, Stage.SHIPPED)
        rows = [
            row
            for row, order in self.orders.items()
            if order.kind is OrderKind.ORDER
            and all(stage in without_node for line in order.lines for stage, _ in line.parts)
        ]
        stages.retire_orders(i32(rows), self.state.book)
        for row in rows:
            del self.orders[row]

    # Comparison

    def units_at(self, sku: int, node: int, *of: Stage) -> int:
        lines = [line for order in self.orders.values() for line in order.lines if line.sku == sku]
        return sum(part[0] for line in lines for at, part in line.parts.items() if at[1] == node and at[0] in of)

    def check(self) -> None:
        state = self.state
        assert open_orders(state) == {
            order.number: (
                order.kind, order.channel, 0, order.due_at,
                tuple((x.sku, x.units, tuple((*at, *part) for at, part in x.parts.items())) for x in order.lines),
            )
            for order in self.orders.values()
        }  # fmt: skip
        for sku, node in np.ndindex(SKUS, NODES):
            on_hand, unavailable, safety = (
                self.stock[sku, node, figure] for figure in (Figure.ON_HAND, Figure.UNAVAILABLE, Figure.SAFETY_STOCK)
            )
            allocated, reserved = self.units_at(sku, node, *AT_THE_NODE), self.units_at(sku, node, Stage.RESERVED)
            picked = self.units_at(sku, node, Stage.PICKED, Stage.PACKED)
            deficit = max(0, allocated + reserved - on_hand)
            available = max(0, on_hand - unavailable - allocated - reserved - safety)
            expected = (on_hand, unavailable, allocated, reserved, safety, picked, deficit), available
            assert figures_of(state, sku, node) == expected
        kept = {
            (sku, int(state.fences.node[row]), int(state.fences.channel[row])): int(state.fences.remaining[row])
            for row, (sku, _, _) in enumerate(np.ndindex(SKUS, NODES, CHANNELS))
        }
        assert kept == self.fences
        self._check_lists()
        assert state.digest_from_scratch()

    def _check_lists(self) -> None:
        """Counters, waiting lists, and that every row is either in use or free to be used again."""
        state, book = self.state, self.state.book
        kinds = [order.kind for order in self.orders.values()]
        assert state.head(Head.OPEN_ORDERS) == kinds.count(OrderKind.ORDER)
        assert state.head(Head.OPEN_RESERVATIONS) == kinds.count(OrderKind.RESERVATION)
        lines = [line for order in self.orders.values() for line in order.lines]
        waits = [(x.sku, part[0]) for x in lines for at, part in x.parts.items() if at[0] is Stage.BACK_ORDERED]
        expected = {sku: sorted(units for s, units in waits if s == sku) for sku, _ in waits}
        assert waiting(state) == expected
        assert state.head(Head.WAITING_PARTS) == len(waits)
        for used, high_water, free, link in (
            (len(self.orders), Head.ORDERS, Head.FREE_ORDER, book.orders.first),
            (len(lines), Head.LINES, Head.FREE_LINE, book.lines.next),
            (sum(len(line.parts) for line in lines), Head.PARTS, Head.FREE_PART, book.parts.next),
        ):
            row, count = state.head(free), 0
            while row != NONE:
                row, count = int(link[row]), count + 1
            assert used + count == state.head(high_water)


EFFECTS = [
    Books.move_stock, Books.enter, Books.move, Books.move, Books.act, Books.act, Books.close, Books.set_fences,
    Books.retire,
]  # fmt: skip


def lived(seed: object, steps: int) -> Iterator[Books]:
    books = Books(seed)
    books.move_stock()
    for _ in range(steps):
        books.rng.choice(EFFECTS)(books)
        yield books


@pytest.mark.parametrize("seed", range(20 if COMPILED else 3))
def test_any_effects_leave_the_columns_and_the_dicts_the_same(seed: int) -> None:
    for books in lived(seed, 60):
        books.check()


@pytest.mark.parametrize("seed", range(6 if COMPILED else 2))
def test_orders_are_read_as_they_are(seed: int) -> None:
    *_, books = lived(f"read {seed}", 30)
    state = books.state
    rows = books.rng.sample(list(books.orders), len(books.orders))
    totals = np.empty(2, np.int64)
    stages.size_orders(i32(rows), state.book, totals)
    lines = [line for row in rows for line in books.orders[row].lines]
    parts = [(line, at, part) for line in lines for at, part in line.parts.items()]
    assert totals.tolist() == [len(lines), len(parts)]
    n, p = len(lines), len(parts)
    out = stages.OpenOrders(
        np.empty(len(rows), np.int32), *(np.empty(n, np.int32) for _ in range(4)), np.empty(p, np.int32),
        np.empty(p, np.int16), np.empty(p, np.uint8), np.empty(p, np.int32), np.empty(p, np.int32),
    )  # fmt: skip
    stages.read_orders(i32(rows), state.book, out)
    assert out.line_count.tolist() == [len(books.orders[row].lines) for row in rows]
    assert out.sku.tolist() == [line.sku for line in lines]
    assert out.quantity.tolist() == [line.units for line in lines]
    assert out.part_count.tolist() == [len(line.parts) for line in lines]
    read = zip(out.stage.tolist(), out.node.tolist(), out.part_quantity.tolist(), out.fenced.tolist(), strict=True)
    assert list(read) == [(*at, *part) for _, at, part in parts]
    assert (state.book.lines.order[out.line] == np.repeat(i32(rows), out.line_count)).all()
    assert (state.book.parts.line[out.part] == np.repeat(out.line, out.part_count)).all()


@pytest.mark.parametrize("seed", range(6 if COMPILED else 2))
def test_waiting_orders_and_parts_to_take_away_or_to_move_are_found(seed: int) -> None:
    *_, books = lived(f"find {seed}", 30)
    state = books.state
    for skus in ([], [0], [1, 3], list(range(SKUS))):
        rows = np.empty(state.head(Head.WAITING_PARTS), np.int32)
        count = searching.waiting_orders(i32(skus), state.book, rows)
        assert set(rows[:count].tolist()) == {
            row
            for row, order in books.orders.items()
            if any(x.sku in skus and (Stage.BACK_ORDERED, NO_NODE) in x.parts for x in order.lines)
        }
    over = np.zeros(state.cells.available[: state.head(Head.CELL_ROWS)].shape, np.uint8)
    marked = {(sku, node) for sku, node in np.ndindex(SKUS, NODES) if books.rng.random() < 0.5}
    marked = {(sku, node) for sku, node in marked if state.cells.row_of[sku] != NONE}
    for sku, node in marked:
        over[state.cells.row_of[sku], node] = 1
    parts = np.empty(state.head(Head.PARTS), np.int32)
    found = parts[: searching.committed_parts(over, state.book, state.cells, parts)]
    assert sorted(found.tolist()) == sorted(
        books._part_row(row, i, at)
        for row, order in books.orders.items()
        for i, line in enumerate(order.lines)
        for at in line.parts
        if at[0] in (Stage.ALLOCATED, Stage.RESERVED) and (line.sku, at[1]) in marked
    )
    for left in range(NODES):
        found = parts[: searching.leaving_parts(u8(node == left for node in range(NODES)), state.book, parts)]
        assert found.tolist() == sorted(
            books._part_row(row, i, at)
            for row, order in books.orders.items()
            for i, line in enumerate(order.lines)
            for at in line.parts
            if at in ((Stage.ALLOCATED, left), (Stage.RESERVED, left))
        )


@pytest.mark.parametrize("seed", range(6 if COMPILED else 2))
def test_a_lent_reservation_counts_as_available_until_its_cells_are_refreshed(seed: int) -> None:
    *_, books = lived(f"lend {seed}", 25)
    books.enter()
    state = books.state
    for row, order in books.orders.items():
        if order.kind is not OrderKind.RESERVATION:
            continue
        remaining = state.fences.remaining.copy()
        before = {at: figures_of(state, *at)[1] for at in np.ndindex(SKUS, NODES)}
        stages.lend_reservation(row, state.book, state.cells, state.fences)
        for line in order.lines:
            for (stage, node), (units, _) in line.parts.items():
                if stage is Stage.RESERVED:
                    before[line.sku, node] += units
        assert {at: figures_of(state, *at)[1] for at in np.ndindex(SKUS, NODES)} == before
        given = state.fences.remaining.sum(dtype=np.int64) - remaining.sum(dtype=np.int64)
        assert given == sum(part[1] for line in order.lines for part in line.parts.values())
        state.fences.remaining[:] = remaining
        stages.refresh_cells(i32(line.sku for line in order.lines), state.cells)
        books.check()


def test_derived_figures_come_back_from_the_others() -> None:
    *_, books = lived("refresh", 40)
    books.state.cells.available[:] = -5
    books.state.cells.stocked[:] = 0
    books.state.cells.figures[:, :, Figure.DEFICIT] = 99
    stages.refresh_all(books.state.book, books.state.cells)
    books.check()


def test_the_digest_sees_a_change_of_any_column_it_covers() -> None:
    *_, books = lived("digest", 30)
    books.enter()
    state, book = books.state, books.state.book
    row = max(books.orders)
    line = int(book.orders.first[row])
    part = int(book.lines.first[line])
    columns = [(column, row) for name, column in book.orders._asdict().items() if name != "first"]
    columns += [(column, line) for column in (book.lines.order, book.lines.sku, book.lines.quantity)]
    columns += [(column, part) for column in book.parts[:5]]
    for column, at in columns:
        column[at] += 1
        assert not state.digest_from_scratch()
        column[at] -= 1
    for figure in range(Figure.DEFICIT):
        state.cells.figures[0, 1, figure] += 1
        assert not state.digest_from_scratch()
        state.cells.figures[0, 1, figure] -= 1
    assert state.digest_from_scratch()
