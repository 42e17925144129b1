"""What nodes took on their days, counted a second time from the journal's tables alone, row by row, for `allot verify`.

It shares no code with engine/capacity.py, whose rules it follows: their figures must agree, and no node may ever be
above its limit.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from engine import schema
from engine.apply import held_at_nodes
from engine.outcomes import Namespace
from engine.state import State
from kernels.columns import Head, OrderKind, Stage

_DAY_US = 86_400_000_000
_MINUTE_US = 60_000_000
_NO_TERMS = (-1, -1, 0, 0)


@dataclass
class _Day:
    """One node with a limit, and its present day."""

    orders_max: int  # -1: none
    units_max: int
    offset_us: int
    number: int = 0
    since: int = 0  # from this commit on, all that was taken is counted
    orders: int = 0
    units: int = 0


@dataclass
class _Cart:
    """An open reservation."""

    entered: int
    units: dict[int, int] = field(default_factory=dict)  # [node]


class DayCount:
    """Orders and units that each node with a limit took on its present day. `faults`: nodes above their limit."""

    def __init__(self, state: State) -> None:
        self.faults: list[str] = []
        self._days: dict[int, _Day] = {}
        self._carts: dict[int, _Cart] = {}
        self._above: dict[int, _Day] = {}
        for node, terms in enumerate(state.days.terms[: state.node_count].tolist()):
            self._put(node, terms, state.stamp, state.sequence)
            if node in self._days:
                day = self._days[node]
                day.orders, day.units = (int(figure) for figure in state.days.taken[node])
                day.number, day.since = int(state.days.number[node]), int(state.days.since[node])
        if self._days:
            self._read_carts(state)

    def _read_carts(self, state: State) -> None:
        orders = state.book.orders
        rows = (orders.kind[: state.head(Head.ORDERS)] == OrderKind.RESERVATION).nonzero()[0]
        for at, entered, node, units in zip(*(c.tolist() for c in held_at_nodes(state, rows)), strict=True):
            cart = self._carts.setdefault(int(orders.number[rows[at]]), _Cart(entered))
            cart.units[node] = cart.units.get(node, 0) + units

    def _put(self, node: int, terms: Any, stamp: int, sequence: int) -> None:
        before = self._days.pop(node, None)
        orders_max, units_max, starts_at, utc_offset = terms
        if orders_max < 0 and units_max < 0:
            return
        day = _Day(orders_max, units_max, (utc_offset - starts_at) * _MINUTE_US)
        day.number, day.since = (stamp + day.offset_us) // _DAY_US, sequence + 1
        if before is not None and before.number == day.number:
            day.since, day.orders, day.units = before.since, before.orders, before.units
        self._days[node] = day

    def take(self, sequence: int, stamp: int, tables: list[tuple[schema.Table, Any]], state: State) -> None:
        """Count what a record takes and gives back. state: for names, after the record."""
        for day in self._days.values():
            number = (stamp + day.offset_us) // _DAY_US
            if number > day.number:
                day.number, day.since, day.orders, day.units = number, sequence, 0, 0
        self._above.clear()
        for at, (table, columns) in enumerate(tables):
            if table is schema.NODES:
                names = [column.name for column in schema.NODES.columns[4:]]
                given = [columns[name].tolist() if name in columns else None for name in names]
                for row, node in enumerate(columns["node"].tolist()):
                    terms = [_NO_TERMS[i] if values is None else values[row] for i, values in enumerate(given)]
                    self._put(node, terms, stamp, sequence)
            elif not self._days:
                continue
            elif table is schema.ORDERS:
                self._enter(sequence, columns, tables[at + 1][1], tables[at + 2][1])
            elif table is schema.MOVES:
                self._move(columns)
            elif table is schema.CLOSURES:
                for number in columns["number"].tolist():
                    self._end(self._carts.pop(number, None))
        for node, day in self._above.items():  # as they stood then: a limit may be lowered in the same record
            name = state.names[Namespace.NODE].text(node)
            self.faults.append(
                f"capacity: sequence {sequence}: node {name} took {day.orders} orders and {day.units} units in a "
                f"day (at most: {_limit(day.orders_max)} orders, {_limit(day.units_max)} units)"
            )

    def _enter(self, sequence: int, orders: Any, lines: Any, parts: Any) -> None:
        line = part = 0
        node_of, units_of = parts["node"].tolist(), parts["quantity"].tolist()
        part_count, decided = lines["part_count"].tolist(), orders.get("decided_in")
        for row, line_count in enumerate(orders["line_count"].tolist()):
            taken: dict[int, int] = {}
            for _ in range(line_count):
                for _ in range(part_count[line]):
                    if node_of[part] >= 0:
                        taken[node_of[part]] = taken.get(node_of[part], 0) + units_of[part]
                    part += 1
                line += 1
            decided_in = -1 if decided is None else int(decided[row])
            for node, units in taken.items():
                if node in self._days and (decided_in < 0 or decided_in >= self._days[node].since):
                    self._count(node, 1, units)
            if orders["is_reservation"][row] and orders["number"][row]:
                self._carts[int(orders["number"][row])] = _Cart(sequence, taken)

    def _move(self, moves: Any) -> None:
        seen: set[tuple[int, int]] = set()
        names = ("number", "from", "to", "node", "quantity")
        from_node = moves["from_node"].tolist() if "from_node" in moves else None
        for row, (number, stage, to, node, units) in enumerate(zip(*(moves[n].tolist() for n in names), strict=True)):
            if number in self._carts and stage == Stage.RESERVED:
                held = self._carts[number].units
                leaves = from_node[row] if from_node is not None and to == stage else node
                held[leaves] -= units
                if to == stage:
                    held[node] = held.get(node, 0) + units
            gets = to == stage or (to == Stage.ALLOCATED and stage in (Stage.SHORT, Stage.BACK_ORDERED))
            if gets and node in self._days:
                self._count(node, int((number, node) not in seen), units)
                seen.add((number, node))

    def _end(self, cart: _Cart | None) -> None:
        for node, units in cart.units.items() if cart else ():
            if units and node in self._days and cart is not None and cart.entered >= self._days[node].since:
                self._count(node, -1, -units)

    def _count(self, node: int, orders: int, units: int) -> None:
        day = self._days[node]
        day.orders += orders
        day.units += units
        if units > 0 and (0 <= day.orders_max < day.orders or 0 <= day.units_max < day.units):
            self._above[node] = replace(day)

    def differences(self, state: State) -> list[str]:
        """Nodes of which the state says something else."""
        out = []
        for node in range(state.node_count):
            day = self._days.get(node)
            counted = (day.number, day.orders, day.units) if day else (0, 0, 0)
            held = (int(state.days.number[node]), *state.days.taken[node].tolist())
            if held != counted:
                name = state.names[Namespace.NODE].text(node)
                out.append(f"capacity: node {name}: day, orders, units are {held}, the journal comes to {counted}")
        return out


def _limit(most: int) -> str:
    return "any" if most < 0 else str(most)
