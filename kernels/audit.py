"""The invariants of the state, each looked at in every row: what the verify command, the tests and the simulation
share.

A finding is a code, a place and two figures; engine/verify.py puts it into words.
"""

from enum import IntEnum
from typing import NamedTuple

import numpy as np

from kernels.columns import NO_NODE, NONE, Book, Cells, Fences, Figure, Head, OrderKind, Stage
from kernels.options import U8, I32x3, I64x2, allocating_kernel, leaf

_ON_HAND, _UNAVAILABLE, _ALLOCATED, _RESERVED, _SAFETY, _PICKED, _DEFICIT = (int(f) for f in list(Figure)[:7])
_FREE, _RESERVATION = int(OrderKind.FREE), int(OrderKind.RESERVATION)
_PICKED_STAGE, _PACKED, _ALLOCATED_STAGE = int(Stage.PICKED), int(Stage.PACKED), int(Stage.ALLOCATED)
_RESERVED_STAGE, _BACK_ORDERED = int(Stage.RESERVED), int(Stage.BACK_ORDERED)
_STAGES = len(Stage)
_ORDERS, _LINES, _PARTS, _CELL_ROWS, _WAITING = (
    int(head) for head in (Head.ORDERS, Head.LINES, Head.PARTS, Head.CELL_ROWS, Head.WAITING_PARTS)
)
_OPEN_ORDERS, _OPEN_RESERVATIONS = int(Head.OPEN_ORDERS), int(Head.OPEN_RESERVATIONS)


class Fault(IntEnum):
    """What may be found wrong. Place: a cell is row << 12 | node, else the row of an order, line or part."""

    OVERSOLD = 1  # promised and not yet picked beyond what is on hand and not picked, or a figure below 0
    ALLOCATED_DIFFERS = 2  # the counter, and the sum over parts
    RESERVED_DIFFERS = 3
    PICKED_DIFFERS = 4
    AVAILABLE_DIFFERS = 5  # the derived figure, and what follows from the others
    STOCKED_DIFFERS = 6  # the bit, and the figure
    UNITS_DIFFER = 7  # ordered, and the sum over stages of a line
    EMPTY_PART = 8  # units of a part; the part
    STAGE_UNKNOWN = 9
    NODE_MISSING = 10  # units in a stage that needs a node have none
    OPEN_ORDERS_DIFFER = 11
    WAITING_DIFFERS = 12  # counted, and found in the lists
    FENCE_NEGATIVE = 13
    DEFICIT_DIFFERS = 14


class Findings(NamedTuple):
    """Room for findings; those beyond it are counted only."""

    fault: U8  # [finding]
    figures: I64x2  # [finding, 3] place, first figure, second figure


@leaf
def _report(findings: Findings, count: int, fault: int, place: int, first: int, second: int) -> int:
    if count < findings.fault.size:
        findings.fault[count] = fault
        findings.figures[count, 0] = place
        findings.figures[count, 1] = first
        findings.figures[count, 2] = second
    return count + 1


@leaf
def _audit_cell(row: int, node: int, cells: Cells, held: I32x3, findings: Findings, count: int) -> int:
    figures = cells.figures[row, node]
    on_hand, reserved, allocated = (
        np.int64(figures[_ON_HAND]),
        np.int64(figures[_RESERVED]),
        np.int64(figures[_ALLOCATED]),
    )
    place = (np.int64(row) << 12) | node
    committed = reserved + allocated
    promised = committed - figures[_PICKED]
    behind = max(0, on_hand - figures[_PICKED])
    if reserved < 0 or allocated < 0 or promised > behind:
        count = _report(findings, count, 1, place, promised, behind)
    if figures[_DEFICIT] != max(0, committed - on_hand):
        count = _report(findings, count, 14, place, figures[_DEFICIT], max(0, committed - on_hand))
    if held[row, node, 0] != allocated:
        count = _report(findings, count, 2, place, allocated, held[row, node, 0])
    if held[row, node, 1] != reserved:
        count = _report(findings, count, 3, place, reserved, held[row, node, 1])
    if held[row, node, 2] != figures[_PICKED]:
        count = _report(findings, count, 4, place, figures[_PICKED], held[row, node, 2])
    free = max(0, on_hand - committed - figures[_UNAVAILABLE] - figures[_SAFETY])
    if cells.available[row, node] != free:
        count = _report(findings, count, 5, place, cells.available[row, node], free)
    stocked = (cells.stocked[row, node >> 6] >> np.uint64(node & 63)) & np.uint64(1)
    if (stocked != 0) != (free > 0):
        count = _report(findings, count, 6, place, np.int64(stocked), free)
    return count


@leaf
def _audit_line(line: int, kind: int, book: Book, cells: Cells, held: I32x3, findings: Findings, count: int) -> int:
    parts = book.parts
    total = np.int64(0)
    part = book.lines.first[line]
    while part != NONE:
        units, stage, node = parts.quantity[part], parts.stage[part], parts.node[part]
        total += units
        if units < 1:
            count = _report(findings, count, 8, part, units, 1)
        if stage >= _STAGES or (stage == _RESERVED_STAGE and kind != _RESERVATION):
            count = _report(findings, count, 9, part, stage, kind)
        figure = -1
        if stage == _ALLOCATED_STAGE or stage == _PICKED_STAGE or stage == _PACKED:
            figure = 0
        elif stage == _RESERVED_STAGE:
            figure = 1
        if figure >= 0:
            row = cells.row_of[book.lines.sku[line]]
            if node == NO_NODE or row == NONE:
                count = _report(findings, count, 10, part, stage, node)
            else:
                held[row, node, figure] += units
                if stage == _PICKED_STAGE or stage == _PACKED:
                    held[row, node, 2] += units
        part = parts.next[part]
    if total != book.lines.quantity[line]:
        count = _report(findings, count, 7, line, book.lines.quantity[line], total)
    return count


@leaf
def _audit(
    book: Book, cells: Cells, fences: Fences, fence_count: int, sku_count: int, findings: Findings, held: I32x3
) -> int:  # fmt: skip
    count = 0
    rows, nodes = held.shape[0], held.shape[1]
    open_orders = 0
    reservations = 0
    for order in range(book.heads[_ORDERS]):
        kind = book.orders.kind[order]
        if kind == _FREE:
            continue
        if kind == _RESERVATION:
            reservations += 1
        else:
            open_orders += 1
        line = book.orders.first[order]
        while line != NONE:
            count = _audit_line(line, kind, book, cells, held, findings, count)
            line = book.lines.next[line]
    if open_orders != book.heads[_OPEN_ORDERS]:
        count = _report(findings, count, 11, 0, book.heads[_OPEN_ORDERS], open_orders)
    if reservations != book.heads[_OPEN_RESERVATIONS]:
        count = _report(findings, count, 11, 1, book.heads[_OPEN_RESERVATIONS], reservations)
    for row in range(rows):
        for node in range(nodes):
            count = _audit_cell(row, node, cells, held, findings, count)
    waiting = 0
    for sku in range(sku_count):
        part = book.waiting[sku]
        while part != NONE and waiting <= book.heads[_PARTS]:
            waiting += 1
            if book.parts.stage[part] != _BACK_ORDERED or book.lines.sku[book.parts.line[part]] != sku:
                count = _report(findings, count, 12, part, book.parts.stage[part], sku)
            part = book.parts.next_waiting[part]
    if waiting != book.heads[_WAITING]:
        count = _report(findings, count, 12, 0, book.heads[_WAITING], waiting)
    for fence in range(fence_count):
        if fences.remaining[fence] < 0:
            count = _report(findings, count, 13, fence, fences.remaining[fence], 0)
    return count


@allocating_kernel
def audit(book: Book, cells: Cells, fences: Fences, fence_count: int, sku_count: int, findings: Findings) -> int:
    """Check every invariant that the columns alone can tell; returns the number of faults, the first ones written.

    Units: only picked ones may be committed beyond what is on hand, at every cell; the counters equal the sums over
    open orders and reservations; ordered equals the sum over the stages of every line; derived figures are what they
    follow from.
    """
    rows, nodes = book.heads[_CELL_ROWS], cells.figures.shape[1]
    held = np.zeros((rows, nodes, 3), np.int32)
    return _audit(book, cells, fences, fence_count, sku_count, findings, held)


def new_findings(room: int = 100) -> Findings:
    """Room for so many findings."""
    return Findings(np.zeros(room, np.uint8), np.zeros((room, 3), np.int64))
