"""Verify a data folder: replay its journal into an empty state, and check every invariant of RELIABILITY on the way.

What is checked: every byte against its checksum, sequence and stamp without gap or step back, the digest after each
record, conservation of stock by a second count that knows only movements, what orders ask of the nodes by one that
knows only parts and moves, the days of nodes by another (engine/day_count.py), the books by one that knows only
postings (engine/life_audit.py), the audit of every row, and that each snapshot equals the replay at its sequence.
Read-only; it may run beside a live writer.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from engine import schema
from engine.apply import StateDiverged, apply_record
from engine.columns import RoomAhead
from engine.day_count import DayCount
from engine.disk import Disk
from engine.journal import JournalDamaged, JournalMissing
from engine.journal.records import RecordUnreadable, decode
from engine.journal.segments import Journal
from engine.life_audit import LedgerCount, audit_life
from engine.outcomes import Namespace
from engine.ragged import offsets, owners
from engine.snapshot import load_snapshot, snapshots
from engine.sourcing import read
from engine.state import State
from engine.terms import TERMS
from kernels.audit import Fault, audit, new_findings
from kernels.columns import NO_NODE, Figure, Head, OrderKind, Stage

_WAITING = (Stage.SHORT, Stage.BACK_ORDERED)

SENTENCES = {
    Fault.OVERSOLD: "{0} units are promised and not yet picked, {1} on hand stand behind them",
    Fault.ALLOCATED_DIFFERS: "allocated is {0}, the orders' units there are {1}",
    Fault.RESERVED_DIFFERS: "reserved is {0}, the reservations' units there are {1}",
    Fault.PICKED_DIFFERS: "picked is {0}, the orders' picked units there are {1}",
    Fault.AVAILABLE_DIFFERS: "available is {0}, it follows as {1}",
    Fault.STOCKED_DIFFERS: "the stocked bit is {0} with {1} available",
    Fault.UNITS_DIFFER: "ordered {0} units, the stages hold {1}",
    Fault.EMPTY_PART: "a part has {0} units",
    Fault.STAGE_UNKNOWN: "stage {0} in a row of kind {1}",
    Fault.NODE_MISSING: "stage {0} at node {1}",
    Fault.OPEN_ORDERS_DIFFER: "{0} counted as open, {1} found",
    Fault.WAITING_DIFFERS: "back-orders: {0} against {1}",
    Fault.FENCE_NEGATIVE: "a ring-fence keeps {0} units",
    Fault.DEFICIT_DIFFERS: "deficit is {0}, it follows as {1}",
}


@dataclass
class Verification:
    """What was looked at, and what was found wrong."""

    records: int = 0
    orders: int = 0
    last_sequence: int = 0
    digest: str = ""
    started_from: str = "the first record"
    snapshots_checked: int = 0
    cut_off: str = ""  # a torn write at the end, never acknowledged
    oversold_units: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether everything holds."""
        return not self.faults

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        return asdict(self) | {"clean": self.is_clean}


class StockCount:
    """On hand per (SKU, node), counted from movements and shipped units alone: the second opinion on the state's."""

    def __init__(self, state: State) -> None:
        self._units: dict[int, int] = {}
        rows = state.head(Head.CELL_ROWS)
        for row, node in zip(*np.nonzero(state.cells.figures[:rows, :, Figure.ON_HAND]), strict=True):
            key = int(state.book.sku_of_row[row]) << 12 | int(node)
            self._units[key] = int(state.cells.figures[row, node, Figure.ON_HAND])

    def take(self, tables: list[tuple[schema.Table, Any]]) -> None:
        """Add what a record moves."""
        for table, columns in tables:
            if table is schema.MOVEMENTS:
                self._add(columns, columns["figure"] == Figure.ON_HAND, 1)
            elif table is schema.MOVES:
                self._add(columns, columns["to"] == Stage.SHIPPED, -1)

    def _add(self, columns: Any, rows: Any, sign: int) -> None:
        for sku, node, units in zip(
            columns["sku"][rows], columns["node"][rows], columns["quantity"][rows], strict=True
        ):
            key = int(sku) << 12 | int(node)
            self._units[key] = self._units.get(key, 0) + sign * int(units)

    def differences(self, state: State) -> list[str]:
        """Cells where the state says something else."""
        out = []
        for key, units in self._units.items():
            sku, node = key >> 12, key & 4095
            row = state.cells.row_of[sku]
            held = int(state.cells.figures[row, node, Figure.ON_HAND]) if row >= 0 else 0
            if held != units:
                out.append(f"conservation: {_cell(state, sku, node)}: on hand is {held}, its movements come to {units}")
        return out


class TermsCount:
    """Units of orders with terms (engine/terms.py) by line, stage and node, from parts and moves alone: whether orders
    leave from no more nodes than they may, and get all their units or none."""

    def __init__(self, state: State) -> None:
        self._terms: dict[int, tuple[int, bool]] = {}
        self._units: dict[int, Counter[tuple[int, int, int]]] = {}
        if state.terms.any_asked:
            book, count = state.book.orders, state.head(Head.ORDERS)
            nodes_max, complete = (column[:count] for column in (state.terms.nodes_max, state.terms.ship_complete))
            rows = np.flatnonzero((book.kind[:count] != OrderKind.FREE) & ((nodes_max | complete) != 0))
            held = read(state, rows)
            line = owners(offsets(held.part_count))
            order, position = _positions(held.line_count)
            self._add(
                book.number[rows], nodes_max[rows], complete[rows], order[line], position[line], held.stage, held.node,
                held.part_quantity,
            )  # fmt: skip

    def take(self, tables: list[tuple[schema.Table, Any]], sequence: int) -> list[str]:
        """What a record does to them; what breaks their terms."""
        broken: list[int] = []
        for i, (table, columns) in enumerate(tables):
            if table is schema.ORDERS and any(name in columns for name in TERMS):
                broken += self._entered(columns, tables[i + 1][1], tables[i + 2][1])
            elif table is schema.MOVES and self._units:
                broken += self._moved(columns)
            elif table in (schema.CLOSURES, schema.RETIRED) and self._units:
                for number in columns["number"].tolist():
                    self._units.pop(number, None)
                    self._terms.pop(number, None)
        return [f"terms: sequence {sequence}: order {number} does not keep to its terms" for number in broken]

    def _add(self, number: Any, nodes_max: Any, complete: Any, *parts: Any) -> None:
        """parts: columns of order, line from 1, stage, node, units."""
        terms = zip(nodes_max.tolist(), (complete != 0).tolist(), strict=True)
        kept = {n: of for n, of in zip(number.tolist(), terms, strict=True) if n and of != (0, False)}
        self._terms |= kept
        self._units |= {n: Counter() for n in kept}
        for order, line, stage, node, units in zip(*(column.tolist() for column in parts), strict=True):
            if int(number[order]) in kept:
                self._units[int(number[order])][line, stage, node] += units

    def _entered(self, orders: Any, lines: Any, parts: Any) -> list[int]:
        number = orders["number"]
        nodes_max, complete = (orders.get(name, np.zeros(number.size, np.uint8)) for name in TERMS)
        order, position = _positions(orders["line_count"])
        line = owners(offsets(lines["part_count"]))
        self._add(
            number, nodes_max, complete, order[line], position[line], parts["stage"], parts["node"], parts["quantity"]
        )
        asked = number[(number != 0) & ((nodes_max | complete) != 0)].tolist()
        return [n for n in asked if self._spreads(n) or (self._terms[n][1] and self._is_divided(n))]

    def _moved(self, moves: Any) -> list[int]:
        rows = np.flatnonzero(np.isin(moves["number"], list(self._units)))
        names = ("number", "line", "from", "to", "node", "quantity")
        from_node = moves.get("from_node", moves["node"])[rows].tolist()
        touched: dict[int, bool] = {}  # whether units that waited were served
        for (number, line, source, to, node, units), left in zip(
            zip(*(moves[name][rows].tolist() for name in names), strict=True), from_node, strict=True
        ):
            held = self._units[number]
            held[line, source, NO_NODE if source in _WAITING else left] -= units
            held[line, to, NO_NODE if to in _WAITING else node] += units
            served = source == Stage.BACK_ORDERED and to == Stage.ALLOCATED
            touched[number] = touched.get(number, False) or served
        return [
            number
            for number, served in touched.items()
            if self._spreads(number) or (served and self._terms[number][1] and self._waits(number))
        ]

    def _spreads(self, number: int) -> bool:
        """Whether it leaves from more nodes than it may."""
        held, most = self._units[number], self._terms[number][0]
        nodes = {node for (_, stage, node), units in held.items() if units and stage != Stage.CANCELLED}
        return 0 < most < len(nodes - {NO_NODE})

    def _is_divided(self, number: int) -> bool:
        """Whether some of its units have a node and others none."""
        return len({node == NO_NODE for (_, _, node), units in self._units[number].items() if units}) > 1

    def _waits(self, number: int) -> bool:
        """Whether any of its units wait."""
        return any(units and stage == Stage.BACK_ORDERED for (_, stage, _), units in self._units[number].items())


def _positions(line_count: Any) -> tuple[Any, Any]:
    """The order of each line, and its place in it, from 1."""
    first = offsets(line_count)
    order = owners(first)
    return order, np.arange(order.size) - first[order] + 1


def _cell(state: State, sku: int, node: int) -> str:
    return f"SKU {state.names[Namespace.SKU].text(sku)} at node {state.names[Namespace.NODE].text(node)}"


def audit_state(state: State) -> list[str]:
    """The faults of a state, in words; the first hundred, then their number."""
    findings = new_findings()
    skus = len(state.names[Namespace.SKU])
    count = audit(state.book, state.cells, state.fences, state.fences_used, skus, findings)
    out = []
    for i in range(min(count, findings.fault.size)):
        fault = Fault(int(findings.fault[i]))
        place, first, second = (int(figure) for figure in findings.figures[i])
        cell = place >> 12, place & 4095
        where = f"row {place}"
        if fault <= Fault.STOCKED_DIFFERS or fault is Fault.DEFICIT_DIFFERS:
            where = _cell(state, int(state.book.sku_of_row[cell[0]]), cell[1])
        elif fault is Fault.UNITS_DIFFER:
            where = f"order {int(state.book.orders.number[state.book.lines.order[place]])}, line row {place}"
        out.append(f"{fault.name.lower()}: {where}: {SENTENCES[fault].format(first, second)}")
    if count > len(out):
        out.append(f"and {count - len(out)} more")
    out += _kept_by_closed(state) + audit_life(state)
    if not state.digest_from_scratch():
        out.append("digest: the one kept up to date differs from the one made from the rows")
    return out


def _kept_by_closed(state: State) -> list[str]:
    """Closed channels that hide units from others: closing sets their ring-fences to 0."""
    fences = state.fences
    channel, units = fences.channel[: state.fences_used], fences.remaining[: state.fences_used]
    keeping = np.unique(channel[(state.closed[channel] != 0) & (units > 0)])
    names = state.names[Namespace.CHANNEL]
    return [f"closed: channel {names.text(int(one))} is closed and has ring-fences" for one in keeping]


def oversold_units(state: State) -> int:
    """Units promised and not yet picked that no unit on hand stands behind."""
    rows = state.head(Head.CELL_ROWS)
    figures = state.cells.figures[:rows].astype(np.int64)
    picked = figures[..., Figure.PICKED]
    promised = figures[..., Figure.ALLOCATED] + figures[..., Figure.RESERVED] - picked
    behind = np.maximum(figures[..., Figure.ON_HAND] - picked, 0)
    return int(np.maximum(promised - behind, 0).sum())


def verify(
    disk: Disk,
    empty: Callable[[], State],
    from_snapshot: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Replay and check everything, from the first record or, with from_snapshot, from the last snapshot.

    empty: makes an empty state of the folder. Damage of the journal is a finding too, with its place.
    """
    result = Verification()
    state = empty()
    try:
        journal = Journal.open(disk, read_only=True)
        if journal.cut_off is not None:
            cut = journal.cut_off
            result.cut_off = f"{cut.segment}: {cut.size_bytes} bytes at {cut.offset}, sequence {cut.sequence}"
        found = snapshots(disk)
        if from_snapshot and found:
            result.started_from = found[-1][1]
            load_snapshot(disk, found[-1][1], state)
        count, terms, days, ledger = StockCount(state), TermsCount(state), DayCount(state), LedgerCount(state)
        kept = {sequence: name for sequence, name in found if sequence > state.sequence}
        _replay(journal, state, (count, terms, days, ledger), kept, empty, disk, result, progress)
        for name in kept.values():
            result.faults.append(f"{name}: the journal ends at {state.sequence}: records are missing at its end")
        result.faults += count.differences(state) + days.faults + days.differences(state)
        result.faults += ledger.faults + ledger.differences(state)
    except (JournalDamaged, JournalMissing, RecordUnreadable, StateDiverged) as error:
        result.faults.append(str(error))
    except AssertionError as error:
        result.faults.append(f"sequence {state.sequence + 1}: the record does not fit the state: {error}")
    result.faults += audit_state(state)
    result.last_sequence, result.digest = state.sequence, state.digest()
    result.oversold_units = oversold_units(state)
    return result


def _replay(
    journal: Journal, state: State, counts: tuple[StockCount, TermsCount, DayCount, LedgerCount], kept: dict[int, str],
    empty: Callable[[], State], disk: Disk, result: Verification, progress: Callable[[int, int], None] | None,
) -> None:  # fmt: skip
    last = journal.next_sequence - 1
    if state.sequence >= last:
        return
    with RoomAhead(state.growing()) as room_ahead:
        for record in journal.read(state.sequence + 1):
            tables = decode(record.body)
            apply_record(state, record.sequence, record.stamp, tables)
            room_ahead.want()
            counts[0].take(tables)
            result.faults += counts[1].take(tables, record.sequence)
            counts[2].take(record.sequence, record.stamp, tables, state)
            counts[3].take(record.sequence, tables)
            result.records += 1
            result.orders += sum(columns["number"].size for table, columns in tables if table is schema.ORDERS)
            if record.sequence in kept:
                name = kept.pop(record.sequence)
                loaded = empty()
                load_snapshot(disk, name, loaded)
                result.snapshots_checked += 1
                if loaded.digest() != state.digest():
                    result.faults.append(f"{name}: its digest differs from that of the replay")
            if progress:
                progress(record.sequence, last)
