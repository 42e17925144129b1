"""Effects on the state: decided orders enter the book, their units go from stage to stage, stock moves, rows are freed.

Live running and replay call the same kernels with the same columns, so both come to the same state. Nothing is decided
here. `claimed` says that kernels/nearest.py has already taken the units off `available` and the ring-fences.
"""

from typing import NamedTuple

import numpy as np

from kernels.columns import (
    LESSENED,
    NO_NODE,
    NONE,
    TOUCHED,
    Book,
    Cells,
    Fences,
    Figure,
    Head,
    OrderKind,
    Outcome,
    Stage,
)
from kernels.digest import cell_weight, line_hash, order_hash, part_hash
from kernels.documents import forget_life, touch
from kernels.fences import draw_fence, refill_fence
from kernels.money import cancel_units
from kernels.options import I16, I32, I64, U8, I32x3, U8x2, kernel, leaf
from kernels.prefetch import prefetch

_ON_HAND, _UNAVAILABLE, _ALLOCATED, _RESERVED, _SAFETY, _PICKED, _DEFICIT = (int(f) for f in list(Figure)[:7])
_SHORT, _BACK_ORDERED = int(Stage.SHORT), int(Stage.BACK_ORDERED)
_ALLOCATED_STAGE, _SHIPPED, _RESERVED_STAGE = int(Stage.ALLOCATED), int(Stage.SHIPPED), int(Stage.RESERVED)
_PICKED_STAGE, _PACKED_STAGE = int(Stage.PICKED), int(Stage.PACKED)
_TOUCHED, _LESSENED = TOUCHED, LESSENED
_DELIVERED, _RETURNED, _CANCELLED = int(Stage.DELIVERED), int(Stage.RETURNED), int(Stage.CANCELLED)
_FREE, _RESERVATION, _ORDER = (int(kind) for kind in OrderKind)
_REFUSED = int(Outcome.REFUSED)
_ORDERS, _LINES, _PARTS, _FREE_ORDER, _FREE_LINE, _FREE_PART = (int(head) for head in list(Head)[:6])
_CELL_ROWS, _LAST_NUMBER = int(Head.CELL_ROWS), int(Head.LAST_NUMBER)
_OPEN_ORDERS, _OPEN_RESERVATIONS, _WAITING = int(Head.OPEN_ORDERS), int(Head.OPEN_RESERVATIONS), int(Head.WAITING_PARTS)
_CHANGED = int(Head.CHANGED_ROWS)
_ONE = np.uint64(1)
_AHEAD = 8  # orders
_LINES_AHEAD = 16  # beyond those


class Entries(NamedTuple):
    """Orders and reservations as the journal has them: rows of orders, their lines, the lines' parts."""

    number: I64  # [order] 0 where refused: such an order gets no row
    is_reservation: U8  # [order]
    channel: I16  # [order]
    postal_code: I32  # [order]
    line_count: I32  # [order]
    outcome: U8  # [order] Outcome
    expires_at: I64  # [order] UTC us, of a reservation; else 0
    sku: I32  # [line]
    quantity: I32  # [line]
    part_count: I32  # [line]
    node: I16  # [part]
    stage: U8  # [part]
    part_quantity: I32  # [part]
    fenced: I32  # [part]


class Moves(NamedTuple):
    """Units of parts that change their stage."""

    part: I32  # [move]
    to: U8  # [move] Stage
    quantity: I32  # [move] units
    node: I16  # [move] where units get a node: those that had none, and those that stay in their stage; else ignored
    fenced: I32  # [move] units drawn from the ring-fence by such a move


@leaf
def refresh(cells: Cells, row: int, node: int) -> None:
    """Bring the derived figures of a cell up to date: deficit, available and its bit."""
    figures = cells.figures
    on_hand = np.int64(figures[row, node, _ON_HAND])
    committed = np.int64(figures[row, node, _ALLOCATED]) + figures[row, node, _RESERVED]
    figures[row, node, _DEFICIT] = max(0, committed - on_hand)
    held_back = np.int64(figures[row, node, _UNAVAILABLE]) + figures[row, node, _SAFETY]
    available = max(0, on_hand - committed - held_back)
    cells.available[row, node] = available
    bit = _ONE << np.uint64(node & 63)
    if available > 0:
        cells.stocked[row, node >> 6] |= bit
    else:
        cells.stocked[row, node >> 6] &= ~bit


@leaf
def add_figure(book: Book, cells: Cells, row: int, node: int, figure: int, units: int) -> None:
    """Change one figure of a cell and the digest with it; the caller refreshes the cell."""
    cells.figures[row, node, figure] += units
    if book.changed[row] == 0:
        book.changed[row] = 1
        book.changed_rows[book.heads[_CHANGED]] = row
        book.heads[_CHANGED] += 1
    book.digest[0] += cell_weight(row, node, figure) * np.uint64(np.int64(units))


@leaf
def _new_row(heads: I64, high_water: int, free: int, link: I32) -> int:
    row = heads[free]
    if row != NONE:
        heads[free] = link[row]
        return int(row)
    row = heads[high_water]
    heads[high_water] += 1
    return int(row)


@leaf
def _new_part(book: Book, line: int, node: int, stage: int, quantity: int, fenced: int) -> int:
    parts = book.parts
    part = _new_row(book.heads, _PARTS, _FREE_PART, parts.next)
    parts.line[part] = line
    parts.node[part] = node
    parts.stage[part] = stage
    parts.quantity[part] = quantity
    parts.fenced[part] = fenced
    parts.next[part] = NONE
    parts.next_waiting[part] = NONE
    book.digest[0] += part_hash(book, part)
    return part


@leaf
def _wait(book: Book, part: int) -> None:
    sku = book.lines.sku[book.parts.line[part]]
    book.parts.next_waiting[part] = book.waiting[sku]
    book.waiting[sku] = part
    book.heads[_WAITING] += 1


@leaf
def _stop_waiting(book: Book, part: int) -> None:
    sku = book.lines.sku[book.parts.line[part]]
    other = book.waiting[sku]
    if other == part:
        book.waiting[sku] = book.parts.next_waiting[part]
    else:
        while book.parts.next_waiting[other] != part:
            other = book.parts.next_waiting[other]
        book.parts.next_waiting[other] = book.parts.next_waiting[part]
    book.parts.next_waiting[part] = NONE
    book.heads[_WAITING] -= 1


@leaf
def _claim(book: Book, cells: Cells, fences: Fences, part: int, channel: int, fenced: int, claimed: bool) -> None:
    """Count a part that has just got its node as allocated or reserved there."""
    parts = book.parts
    sku = book.lines.sku[parts.line[part]]
    node = parts.node[part]
    row = cells.row_of[sku]
    figure = _RESERVED if parts.stage[part] == _RESERVED_STAGE else _ALLOCATED
    add_figure(book, cells, row, node, figure, parts.quantity[part])
    if not claimed:
        if fenced > 0:
            draw_fence(fences, sku, node, channel, fenced)
        refresh(cells, row, node)


@leaf
def _is_closed(book: Book, order: int) -> bool:
    """Whether every unit is at rest: short, delivered, returned or cancelled."""
    line = book.orders.first[order]
    while line != NONE:
        part = book.lines.first[line]
        while part != NONE:
            stage = book.parts.stage[part]
            if stage not in (_SHORT, _DELIVERED, _RETURNED, _CANCELLED):
                return False
            part = book.parts.next[part]
        line = book.lines.next[line]
    return True


@leaf
def _mark_closed(book: Book, order: int, stamp: int) -> None:
    due_at = 0
    if _is_closed(book, order):
        due_at = stamp
    if book.orders.kind[order] == _ORDER and (due_at == 0) != (book.orders.due_at[order] == 0):
        book.digest[0] -= order_hash(book, order)
        book.orders.due_at[order] = due_at
        book.digest[0] += order_hash(book, order)


@leaf
def _fetch_cells(
    entries: Entries, first_line: int, lines: int, part: int, claimed: bool, book: Book, cells: Cells
) -> int:
    """Bring the cells of an order some places further on into the cache. Returns the part after it."""
    nodes = cells.figures.shape[1]
    for line in range(first_line, first_line + lines):
        prefetch(cells.row_of, entries.sku[min(line + _LINES_AHEAD, entries.sku.size - 1)])  # waited for below, later
        row = cells.row_of[entries.sku[line]]
        if row != NONE:
            prefetch(book.changed, row)
        for _ in range(entries.part_count[line]):
            if row != NONE and entries.node[part] != NO_NODE:
                prefetch(cells.figures, (row * nodes + entries.node[part]) * 8)
                if not claimed:
                    prefetch(cells.available, row * nodes + entries.node[part])
                    prefetch(cells.stocked, row * cells.stocked.shape[1])
            part += 1
    return part


@kernel
def enter_orders(
    entries: Entries, location: int, stamp: int, claimed: bool, book: Book, cells: Cells, fences: Fences, order_row: I32
) -> None:
    """Orders and reservations enter the book. Writes the book, the cells and order_row[order] (NONE where refused).

    location: of the first order of the table; each further one is the next place. stamp: of the commit, UTC us: an
    order that is wholly short is closed at it. Room in the columns was checked.
    """
    orders, lines, heads = book.orders, book.lines, book.heads
    line_at = 0
    part_at = 0
    ahead, line_ahead, part_ahead = 0, 0, 0
    for i in range(entries.number.size):
        while ahead < min(i + _AHEAD, entries.number.size):
            part_ahead = _fetch_cells(entries, line_ahead, entries.line_count[ahead], part_ahead, claimed, book, cells)
            line_ahead += entries.line_count[ahead]
            ahead += 1
        if entries.outcome[i] == _REFUSED:
            for line_of in range(line_at, line_at + entries.line_count[i]):
                part_at += entries.part_count[line_of]
            line_at += entries.line_count[i]
            order_row[i] = NONE
            continue
        order = _new_row(heads, _ORDERS, _FREE_ORDER, orders.first)
        order_row[i] = order
        orders.number[order] = entries.number[i]
        orders.location[order] = location + i
        orders.due_at[order] = entries.expires_at[i]
        orders.channel[order] = entries.channel[i]
        orders.postal_code[order] = entries.postal_code[i]
        orders.kind[order] = _RESERVATION if entries.is_reservation[i] != 0 else _ORDER
        orders.first[order] = NONE
        heads[_LAST_NUMBER] = max(heads[_LAST_NUMBER], entries.number[i])
        heads[_OPEN_RESERVATIONS if entries.is_reservation[i] != 0 else _OPEN_ORDERS] += 1
        book.digest[0] += order_hash(book, order)
        last_line = NONE
        for line_of in range(line_at, line_at + entries.line_count[i]):
            line = _new_row(heads, _LINES, _FREE_LINE, lines.next)
            lines.order[line] = order
            lines.sku[line] = entries.sku[line_of]
            lines.quantity[line] = entries.quantity[line_of]
            lines.first[line] = NONE
            lines.next[line] = NONE
            if last_line == NONE:
                orders.first[order] = line
            else:
                lines.next[last_line] = line
            last_line = line
            book.digest[0] += line_hash(book, line)
            last_part = NONE
            for part_of in range(part_at, part_at + entries.part_count[line_of]):
                stage = entries.stage[part_of]
                part = _new_part(
                    book, line, entries.node[part_of], stage, entries.part_quantity[part_of], entries.fenced[part_of]
                )
                if last_part == NONE:
                    lines.first[line] = part
                else:
                    book.parts.next[last_part] = part
                last_part = part
                if stage == _BACK_ORDERED:
                    _wait(book, part)
                elif stage != _SHORT:
                    _claim(book, cells, fences, part, entries.channel[i], entries.fenced[part_of], claimed)
            part_at += entries.part_count[line_of]
        line_at += entries.line_count[i]
        _mark_closed(book, order, stamp)


@leaf
def _leave_cell(book: Book, cells: Cells, fences: Fences, part: int, units: int, fenced: int, change: I32) -> None:
    """Units leave their stage at a node: `change` is what one unit does to on hand, allocated, reserved and picked."""
    parts, line = book.parts, book.parts.line[part]
    sku = book.lines.sku[line]
    order = book.lines.order[line]
    row = cells.row_of[sku]
    node = parts.node[part]
    if change[1] != 0:
        add_figure(book, cells, row, node, _ON_HAND, change[1] * units)
    if change[2] != 0:
        add_figure(book, cells, row, node, _ALLOCATED, change[2] * units)
    if change[3] != 0:
        add_figure(book, cells, row, node, _RESERVED, change[3] * units)
    if change[4] != 0:
        add_figure(book, cells, row, node, _PICKED, change[4] * units)
    if fenced > 0:
        refill_fence(fences, sku, node, book.orders.channel[order], fenced)
    refresh(cells, row, node)


@leaf
def _unlink(book: Book, part: int) -> None:
    """Take a part out of its line and free its row. Its hash is already off the digest."""
    parts = book.parts
    line = parts.line[part]
    other = book.lines.first[line]
    if other == part:
        book.lines.first[line] = parts.next[part]
    else:
        while parts.next[other] != part:
            other = parts.next[other]
        parts.next[other] = parts.next[part]
    parts.next[part] = book.heads[_FREE_PART]
    parts.stage[part] = _SHORT
    parts.quantity[part] = 0
    book.heads[_FREE_PART] = part


@leaf
def _land(book: Book, line: int, node: int, stage: int, units: int, fenced: int) -> int:
    """Units arrive in a stage: they join the line's part of that stage and node, or become one. Returns the part."""
    parts = book.parts
    last = NONE
    part = book.lines.first[line]
    while part != NONE:
        if parts.stage[part] == stage and parts.node[part] == node:
            book.digest[0] -= part_hash(book, part)
            parts.quantity[part] += units
            parts.fenced[part] += fenced
            book.digest[0] += part_hash(book, part)
            return int(part)
        last = part
        part = parts.next[part]
    part = _new_part(book, line, node, stage, units, fenced)
    if last == NONE:
        book.lines.first[line] = part
    else:
        parts.next[last] = part
    if stage == _BACK_ORDERED:
        _wait(book, part)
    return part


@leaf
def move_part(
    part: int, to: int, units: int, new_node: int, drawn: int, stamp: int, claimed: bool, changes: I32x3, book: Book,
    cells: Cells, fences: Fences,
) -> None:  # fmt: skip
    parts = book.parts
    line = parts.line[part]
    order = book.lines.order[line]
    stage = parts.stage[part]
    node = np.int64(parts.node[part])
    if stage == _BACK_ORDERED and units == parts.quantity[part]:
        _stop_waiting(book, part)
    if to == _CANCELLED and stage != _SHIPPED and book.money.currency[order] != 0:
        cancel_units(book, line, units)
    is_to_leave = stage == _ALLOCATED_STAGE or stage == _PICKED_STAGE or stage == _PACKED_STAGE
    goes_on = to == _PICKED_STAGE or to == _PACKED_STAGE or to == _SHIPPED
    touch(book, order, _LESSENED if is_to_leave and not goes_on else _TOUCHED)
    fenced = np.int64(0)
    gets_node = to in (_ALLOCATED_STAGE, _RESERVED_STAGE) and (stage == to or stage in (_SHORT, _BACK_ORDERED))
    if node != NO_NODE:
        fenced = np.int64(min(parts.fenced[part], units))
        goes_back = gets_node or to in (_SHORT, _BACK_ORDERED, _CANCELLED)
        _leave_cell(book, cells, fences, part, units, fenced if goes_back else 0, changes[stage, to])
    book.digest[0] -= part_hash(book, part)
    parts.quantity[part] -= units
    parts.fenced[part] -= fenced
    if parts.quantity[part] == 0:
        _unlink(book, part)
    else:
        book.digest[0] += part_hash(book, part)
    if to in (_SHORT, _BACK_ORDERED):
        node = np.int64(NO_NODE)
        fenced = np.int64(0)
    elif to in (_CANCELLED, _SHIPPED):
        fenced = np.int64(0)
    elif gets_node:
        node = np.int64(new_node)
        fenced = np.int64(drawn)
    _land(book, line, node, to, units, fenced)
    if gets_node:
        sku = book.lines.sku[line]
        row = cells.row_of[sku]
        add_figure(book, cells, row, node, _RESERVED if to == _RESERVED_STAGE else _ALLOCATED, units)
        if not claimed:
            if fenced > 0:
                draw_fence(fences, sku, node, book.orders.channel[order], fenced)
            refresh(cells, row, node)
    _mark_closed(book, order, stamp)


@kernel
def move_units(
    moves: Moves, stamp: int, claimed: bool, changes: I32x3, book: Book, cells: Cells, fences: Fences
) -> None:
    """Units of parts change their stage, as engine/lifecycle.py allows; every move was checked.

    changes[from, to] = (allowed, on hand, allocated, reserved, picked) by one unit. stamp: of the commit, UTC us: an
    order whose last unit comes to rest is closed at it. Writes the book, the cells and the fences.
    """
    for i in range(moves.part.size):
        move_part(
            moves.part[i], moves.to[i], moves.quantity[i], moves.node[i], moves.fenced[i], stamp, claimed, changes,
            book, cells, fences,
        )  # fmt: skip


class Acts(NamedTuple):
    """What is asked of units of open orders: so many of a line, at a node, out of the stages an action takes from."""

    order: I32  # [act] order row
    line: I32  # [act] position in the order, from 1; 0 for every line
    node: I16  # [act] NO_NODE for any
    action: U8  # [act] row of the table of sources
    quantity: I32  # [act] units; 0 for all there are


class Acted(NamedTuple):
    """The moves that acts became: as Moves, with what a reader of the journal wants to know beside it."""

    moves: Moves
    number: I64  # [move] order number
    line: I32  # [move] position in the order, from 1
    source: U8  # [move] the stage before
    sku: I32  # [move]
    at: I16  # [move] the node of the units, NO_NODE where they have none
    act: I32  # [move] the act it belongs to


@leaf
def _matches(book: Book, part: int, stage: int, node: int) -> bool:
    return book.parts.stage[part] == stage and (node == NO_NODE or book.parts.node[part] == node)


@leaf
def _units_that_match(book: Book, order: int, position: int, node: int, sources: U8) -> int:
    total = 0
    at = 1
    line = book.orders.first[order]
    while line != NONE:
        if position in (0, at):
            part = book.lines.first[line]
            while part != NONE:
                for stage in sources:
                    if _matches(book, part, stage, node):
                        total += book.parts.quantity[part]
                part = book.parts.next[part]
        at += 1
        line = book.lines.next[line]
    return total


@kernel
def act_on_units(
    acts: Acts, sources: U8x2, target: U8, stamp: int, changes: I32x3, book: Book, cells: Cells, fences: Fences,
    acted: Acted, moved: I32,
) -> int:  # fmt: skip
    """Carry out acts one after another; moved[act] is the units moved, or -1 where there are fewer than asked for.

    sources[action]: the stages it takes units from, in preference, filled up with 255; target[action]: where they go.
    An act moves all it asks for or nothing. Returns the number of moves; `acted` has room for every part of every
    order that an act names, once per act.
    """
    count = 0
    for i in range(acts.order.size):
        order = acts.order[i]
        action = acts.action[i]
        node = acts.node[i]
        there = _units_that_match(book, order, acts.line[i], node, sources[action])
        wanted = np.int64(acts.quantity[i])
        if wanted == 0:
            wanted = there
        if there < wanted or there == 0:
            moved[i] = -1
            continue
        moved[i] = wanted
        at = 1
        line = book.orders.first[order]
        while line != NONE:
            if acts.line[i] in (0, at):
                for stage in sources[action]:
                    part = book.lines.first[line]
                    while part != NONE and wanted > 0:
                        following = book.parts.next[part]
                        if _matches(book, part, stage, node):
                            units = min(wanted, np.int64(book.parts.quantity[part]))
                            wanted -= units
                            acted.moves.part[count] = part
                            acted.moves.to[count] = target[action]
                            acted.moves.quantity[count] = units
                            acted.moves.node[count] = NO_NODE
                            acted.moves.fenced[count] = 0
                            acted.number[count] = book.orders.number[order]
                            acted.line[count] = at
                            acted.source[count] = stage
                            acted.sku[count] = book.lines.sku[line]
                            acted.at[count] = book.parts.node[part]
                            acted.act[count] = i
                            count += 1
                            move_part(
                                part, target[action], units, NO_NODE, 0, stamp, True, changes, book, cells, fences
                            )
                        part = following
            at += 1
            line = book.lines.next[line]
    return count


@leaf
def _free_order(book: Book, order: int) -> None:
    orders, lines, parts, heads = book.orders, book.lines, book.parts, book.heads
    forget_life(book, order)
    book.digest[0] -= order_hash(book, order)
    heads[_OPEN_RESERVATIONS if orders.kind[order] == _RESERVATION else _OPEN_ORDERS] -= 1
    line = orders.first[order]
    while line != NONE:
        book.digest[0] -= line_hash(book, line)
        part = lines.first[line]
        while part != NONE:
            book.digest[0] -= part_hash(book, part)
            following = parts.next[part]
            parts.next[part] = heads[_FREE_PART]
            parts.stage[part] = _SHORT
            parts.quantity[part] = 0
            heads[_FREE_PART] = part
            part = following
        following = lines.next[line]
        lines.next[line] = heads[_FREE_LINE]
        lines.order[line] = NONE
        heads[_FREE_LINE] = line
        line = following
    orders.kind[order] = _FREE
    orders.number[order] = 0
    orders.location[order] = NONE  # so that its key can be told from that of an open order
    orders.first[order] = heads[_FREE_ORDER]
    heads[_FREE_ORDER] = order


@kernel
def close_reservations(rows: I32, changes: I32x3, book: Book, cells: Cells, fences: Fences) -> None:
    """Reservations end: what they hold becomes available, ring-fences get theirs back, rows are freed."""
    parts = book.parts
    for i in range(rows.size):
        line = book.orders.first[rows[i]]
        while line != NONE:
            part = book.lines.first[line]
            while part != NONE:
                if parts.stage[part] == _RESERVED_STAGE:
                    change = changes[_RESERVED_STAGE, _CANCELLED]
                    _leave_cell(book, cells, fences, part, parts.quantity[part], parts.fenced[part], change)
                part = parts.next[part]
            line = book.lines.next[line]
        _free_order(book, rows[i])


@kernel
def retire_orders(rows: I32, book: Book) -> None:
    """Free the rows of closed orders; their keys and answers stay with the journal."""
    for i in range(rows.size):
        line = book.orders.first[rows[i]]
        while line != NONE:
            part = book.lines.first[line]
            while part != NONE:
                if book.parts.stage[part] == _BACK_ORDERED:
                    _stop_waiting(book, part)
                part = book.parts.next[part]
            line = book.lines.next[line]
        _free_order(book, rows[i])


@kernel
def move_stock(sku: I32, node: I16, figure: U8, quantity: I32, book: Book, cells: Cells) -> None:
    """Stock movements: quantity[i] units onto a figure of (sku[i], node[i]). A SKU's first movement gives it a row."""
    for i in range(sku.size):
        row = cells.row_of[sku[i]]
        if row == NONE:
            row = book.heads[_CELL_ROWS]
            book.heads[_CELL_ROWS] += 1
            cells.row_of[sku[i]] = row
            book.sku_of_row[row] = sku[i]
        add_figure(book, cells, row, node[i], figure[i], quantity[i])
        refresh(cells, row, node[i])


@kernel
def refresh_all(book: Book, cells: Cells) -> None:
    """Bring every derived figure up to date, as after loading a snapshot."""
    for row in range(book.heads[_CELL_ROWS]):
        for node in range(cells.figures.shape[1]):
            refresh(cells, row, node)


class OpenOrders(NamedTuple):
    """Orders as the book has them now, out of their linked rows."""

    line_count: I32  # [order]
    line: I32  # [line] row
    sku: I32  # [line]
    quantity: I32  # [line]
    part_count: I32  # [line]
    part: I32  # [part] row
    node: I16  # [part]
    stage: U8  # [part]
    part_quantity: I32  # [part]
    fenced: I32  # [part]


@kernel
def size_orders(rows: I32, book: Book, totals: I64) -> None:
    """totals[0], totals[1]: the lines and parts of these orders, for the room that `read_orders` needs."""
    totals[:] = 0
    for row in rows:
        line = book.orders.first[row]
        while line != NONE:
            totals[0] += 1
            part = book.lines.first[line]
            while part != NONE:
                totals[1] += 1
                part = book.parts.next[part]
            line = book.lines.next[line]


@kernel
def read_orders(rows: I32, book: Book, out: OpenOrders) -> None:
    """Copy lines and parts of these orders, in their sequence."""
    parts = book.parts
    line_at = 0
    part_at = 0
    for i in range(rows.size):
        out.line_count[i] = 0
        line = book.orders.first[rows[i]]
        while line != NONE:
            out.line_count[i] += 1
            out.line[line_at] = line
            out.sku[line_at] = book.lines.sku[line]
            out.quantity[line_at] = book.lines.quantity[line]
            out.part_count[line_at] = 0
            part = book.lines.first[line]
            while part != NONE:
                out.part_count[line_at] += 1
                out.part[part_at] = part
                out.node[part_at] = parts.node[part]
                out.stage[part_at] = parts.stage[part]
                out.part_quantity[part_at] = parts.quantity[part]
                out.fenced[part_at] = parts.fenced[part]
                part_at += 1
                part = parts.next[part]
            line_at += 1
            line = book.lines.next[line]


@kernel
def lend_reservation(row: int, book: Book, cells: Cells, fences: Fences) -> None:
    """Count a reservation's own units as available, to see how an order in its place would be sourced.

    Only claims are written (available, stocked, ring-fences); refreshing its cells takes it back.
    """
    line = book.orders.first[row]
    while line != NONE:
        sku = book.lines.sku[line]
        part = book.lines.first[line]
        while part != NONE:
            node = book.parts.node[part]
            if node != NO_NODE:
                cell_row = cells.row_of[sku]
                cells.available[cell_row, node] += book.parts.quantity[part]
                cells.stocked[cell_row, node >> 6] |= _ONE << np.uint64(node & 63)
                if book.parts.fenced[part] > 0:
                    refill_fence(fences, sku, node, book.orders.channel[row], book.parts.fenced[part])
            part = book.parts.next[part]
        line = book.lines.next[line]


@kernel
def refresh_cells(sku: I32, cells: Cells) -> None:
    """Bring the derived figures of these SKUs up to date at every node."""
    for i in range(sku.size):
        row = cells.row_of[sku[i]]
        if row != NONE:
            for node in range(cells.figures.shape[1]):
                refresh(cells, row, node)
