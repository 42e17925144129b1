"""The journal as flat rows for people: orders, lines, decisions, movements. Export and views read records through here.

It keeps names and what open reservations hold, nothing else: no state, no kernels. Texts of the catalogue stay indices;
`History.texts` turns them into words. Columns that a record leaves out are filled with `NULL_TIME`, `NULL_INDEX` or "".
"""

from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine import schema
from engine.journal import Record
from engine.journal.records import decode
from engine.outcomes import Cause, MovementKind, Namespace
from engine.ragged import offsets, owners
from kernels.columns import NO_NODE, Stage
from kernels.life import Step

Columns = Mapping[str, Any]
Rows = tuple[str, Columns]  # a table's name and its columns, equally long

EVERY_TABLE = frozenset({"names", "orders", "lines", "decisions", "moves", "closures", "movements", "timeline"})
_AS_THEY_ARE = {  # for export alone
    schema.SUPPLY.number: "supply", schema.PROMISES.number: "promises", schema.STEPS.number: "steps",
    schema.POSTINGS.number: "postings",
}  # fmt: skip
_TOLD_AS = {"units": "quantity", "before": "from_due_at", "after": "due_at", "waits": "waiting"}
NULL_TIME = int(np.iinfo(np.int64).min)  # also of an amount of money
NULL_INDEX = -1
PLACE_BITS = 20  # of an order's location: sequence << 20 | place in its record


class Kind(IntEnum):
    """What a movement was. Up to SAFETY_STOCK as MovementKind, where the quantity is a change; then units, positive."""

    RECEIVED = 1
    COUNTED = 2
    ADJUSTED = 3
    RESTOCKED = 4  # returned units on hand again
    UNAVAILABLE = 5
    SAFETY_STOCK = 6
    RESERVED = 7
    ALLOCATED = 8
    RELEASED = 9  # reserved or allocated no more, and still at the node
    PICKED = 10
    UNPICKED = 11
    PACKED = 12
    SHIPPED = 13
    DELIVERED = 14
    RETURNED = 15  # by the customer; RESTOCKED says whether they went back to stock


assert [kind.value for kind in MovementKind] == [kind.value for kind in Kind][: len(MovementKind)]

_WAITING = (Stage.SHORT, Stage.BACK_ORDERED)
_AT_NODE = (Stage.ALLOCATED, Stage.PICKED, Stage.PACKED, Stage.RESERVED)


def _kinds() -> Any:
    """[from, to]: the Kind of a movement of units from stage to stage; 0 where no stock is concerned."""
    kinds = np.zeros((len(Stage), len(Stage)), np.uint8)
    for to in (Stage.PICKED, Stage.PACKED, Stage.SHIPPED, Stage.DELIVERED, Stage.RETURNED):
        kinds[:, to] = Kind[to.name]
    for source in (*_WAITING, Stage.PICKED, Stage.PACKED):
        kinds[source, Stage.ALLOCATED] = Kind.ALLOCATED if source in _WAITING else Kind.UNPICKED
    for source in _AT_NODE:
        kinds[source, [*_WAITING, Stage.CANCELLED]] = Kind.RELEASED
    return kinds


_KIND_OF_MOVE = _kinds()
_KIND_OF_STAGE = np.zeros(len(Stage), np.uint8)
_KIND_OF_STAGE[Stage.ALLOCATED] = Kind.ALLOCATED
_KIND_OF_STAGE[Stage.RESERVED] = Kind.RESERVED


class History:
    """Reads records in their sequence, from the first, or from where `names` and `held` were kept."""

    def __init__(
        self,
        names: Mapping[Namespace, pa.StringArray] | None = None,
        held: Iterable[tuple[int, int, int, int]] = (),
    ) -> None:
        """names: in the order of their indices. held: (number, SKU, node, units) of open reservations."""
        self._names = {space: [names[space]] if names and space in names else [] for space in Namespace}
        self._held: dict[int, dict[tuple[int, int], int]] = {}
        for number, sku, node, units in held:
            self._hold(number, sku, node, units)

    def texts(self, namespace: Namespace) -> pa.StringArray:
        """All texts of a namespace so far, by index."""
        pieces = self._names[namespace]
        if len(pieces) != 1:
            pieces[:] = [pa.concat_arrays(pieces) if pieces else pa.array([], pa.string())]
        return pieces[0]

    def read(self, record: Record, wanted: frozenset[str] = EVERY_TABLE) -> Iterator[Rows]:
        """The rows of one record, table by table, in the order in which they took effect. RecordUnreadable.

        wanted: of EVERY_TABLE, supply, promises, steps or postings. Take all that is given: names and reservations are
        kept up to date on the way.
        """
        tables = decode(record.body)
        place = 0
        for i, (table, columns) in enumerate(tables):
            if table is schema.NAMES:
                yield from self._named(columns, wanted)
            elif table is schema.ORDERS:
                entered = _Entered(record, place, columns, tables[i + 1][1], tables[i + 2][1])
                place += columns["number"].size
                yield from self._entered(entered, wanted)
            elif table is schema.MOVES:
                yield from self._moved(record, columns, wanted)
            elif table is schema.CLOSURES:
                yield from self._closed(record, columns, wanted)
            if table is schema.STEPS and "timeline" in wanted:
                yield _happened_to_documents(record, columns)
            if (name := _AS_THEY_ARE.get(table.number)) in wanted:
                count = columns[table.columns[0].name].size
                named = {_TOLD_AS.get(column, column): values for column, values in columns.items()}
                head = {"sequence": np.full(count, record.sequence), "stamp": np.full(count, record.stamp)}
                if table is schema.STEPS:
                    head |= {"reference": _blanks(count), "of_number": np.zeros(count, np.int64)}
                yield name, head | named
            if table is schema.MOVEMENTS and "movements" in wanted:
                figures = (columns[name] for name in ("sku", "node", "kind", "quantity", "cause", "reference"))
                yield _movements(record, *figures)

    def _named(self, columns: Columns, wanted: frozenset[str]) -> Iterator[Rows]:
        for namespace in np.unique(columns["namespace"]):
            # a copy: a slice would keep its whole segment mapped
            of_it = columns["text"].filter(pa.array(columns["namespace"] == namespace))
            self._names[Namespace(namespace)].append(of_it)
        if "names" in wanted:
            yield "names", columns

    def _entered(self, entered: "_Entered", wanted: frozenset[str]) -> Iterator[Rows]:
        if "orders" in wanted:
            yield "orders", entered.order_rows()
        if "lines" in wanted:
            yield "lines", entered.line_rows()
        if "decisions" in wanted:
            yield "decisions", entered.decision_rows()
        if "movements" not in wanted:
            return
        kind = _KIND_OF_STAGE[entered.parts["stage"]]
        rows = np.flatnonzero(kind)
        order = entered.order_of_part[rows]
        sku, node = entered.sku_of_part[rows], entered.parts["node"][rows]
        quantity, number = entered.parts["quantity"][rows], entered.orders["number"][order]
        cause = np.where(entered.orders["reservation"][order] != 0, Cause.CONFIRMED, Cause.PLACED).astype(np.uint8)
        held = kind[rows] == Kind.RESERVED
        if held.any():
            for hold in zip(*(c[held].tolist() for c in (number, sku, node, quantity)), strict=True):
                self._hold(*hold)
        yield _movements(entered.record, sku, node, kind[rows], quantity, cause, number)

    def _moved(self, record: Record, columns: Columns, wanted: frozenset[str]) -> Iterator[Rows]:
        source, to, node = columns["from"], columns["to"], columns["node"]
        from_node = columns.get("from_node", node)
        if "moves" in wanted:
            yield (
                "moves",
                {
                    "number": columns["number"], "line": columns["line"], "from": source, "to": to,
                    "from_node": np.where(np.isin(source, _WAITING), NO_NODE, from_node),
                    "to_node": np.where(np.isin(to, _WAITING), NO_NODE, node), "quantity": columns["quantity"],
                },
            )  # fmt: skip
        if "timeline" in wanted:
            yield _happened_to_units(record, columns)
        if "movements" not in wanted:
            return
        for row in np.flatnonzero(source == Stage.RESERVED):
            number, sku, units = (int(columns[name][row]) for name in ("number", "sku", "quantity"))
            self._hold(number, sku, int(from_node[row]), -units)
            if to[row] == Stage.RESERVED:
                self._hold(number, sku, int(node[row]), units)
        stays = source == to  # at another node: released by the one, then taken by the other
        kind = np.where(stays, _KIND_OF_STAGE[to], _KIND_OF_MOVE[source, to])
        rows = np.flatnonzero((kind != 0) & (node != NO_NODE))
        rows = np.repeat(rows, 1 + stays[rows])
        leaves = stays[rows] & (np.diff(rows, prepend=-1) != 0)
        at, kind = np.where(leaves, from_node[rows], node[rows]), np.where(leaves, Kind.RELEASED, kind[rows])
        figures = (columns[name][rows] for name in ("quantity", "cause", "number"))
        yield _movements(record, columns["sku"][rows], at, kind.astype(np.uint8), *figures)

    def _closed(self, record: Record, columns: Columns, wanted: frozenset[str]) -> Iterator[Rows]:
        if "closures" in wanted:
            yield "closures", {"number": columns["number"], "cause": columns["cause"]}
        if "movements" not in wanted:
            return
        released = [
            (sku, node, units, cause, number)
            for number, cause in zip(columns["number"].tolist(), columns["cause"].tolist(), strict=True)
            for (sku, node), units in sorted(self._held.pop(number, {}).items())  # however they came to be known
            if units
        ]
        if released:
            sku, node, units, cause, number = (np.array(column) for column in zip(*released, strict=True))
            kind = np.full(units.size, Kind.RELEASED, np.uint8)
            yield _movements(record, sku, node, kind, units, cause, number)

    def _hold(self, number: int, sku: int, node: int, units: int) -> None:
        holds = self._held.setdefault(number, {})
        holds[sku, node] = holds.get((sku, node), 0) + units


def _happened_to_units(record: Record, moves: Columns) -> Rows:
    """Units of orders that went from stage to stage, as a time line has it."""
    count = moves["number"].size
    none, blank = np.zeros(count, np.int64), _blanks(count)
    what = np.array([stage.name for stage in Stage], object)[moves["to"]]
    node = np.where(np.isin(moves["to"], _WAITING), NO_NODE, moves["node"])
    return "timeline", {
        "order_number": moves["number"], "sequence": np.full(count, record.sequence),
        "stamp": np.full(count, record.stamp), "what": what, "document": none, "line": moves["line"],
        "units": moves["quantity"], "amount": none, "node": node, "cause": moves["cause"],
        "actor": moves.get("actor", np.full(count, NULL_INDEX)), "reference": blank,
        "at": none, "is_scan": np.zeros(count, bool),
    }  # fmt: skip


def _happened_to_documents(record: Record, steps: Columns) -> Rows:
    """Steps of documents, likewise."""
    count, step = steps["number"].size, steps["step"]
    names = np.full(256, "", object)
    names[[int(one) for one in Step]] = [one.name for one in Step]
    reference, note = (steps.get(name) for name in ("reference", "note"))
    told = reference if reference is not None else note if note is not None else _blanks(count)
    if reference is not None and note is not None:
        told = pc.if_else(pc.equal(note, ""), reference, note)
    if (step == Step.PAY).any():  # the token of a saved method is nobody's business
        told = pc.if_else(pa.array(step == Step.PAY), "", told)
    return "timeline", {
        "order_number": steps["order_number"], "sequence": np.full(count, record.sequence),
        "stamp": np.full(count, record.stamp), "what": names[step], "document": steps["number"], "line": steps["line"],
        "units": steps["units"], "amount": steps["amount"], "node": steps["node"],
        "cause": steps.get("cause", np.zeros(count, np.uint8)),
        "actor": steps.get("actor", np.full(count, NULL_INDEX)), "reference": told, "at": steps["at"],
        "is_scan": (step > Step.BOOK) & (step <= Step.LOSE),
    }  # fmt: skip


class _Entered:
    """Orders of one record, with their lines and parts beside them.

    A refused order has no number: its rows say 0. `key` is the number, or less than 0 and unique where there is none.
    """

    def __init__(self, record: Record, place: int, orders: Columns, lines: Columns, parts: Columns) -> None:
        """place: of the first order in its record."""
        self.record = record
        self.orders, self.lines, self.parts = orders, lines, parts
        self.first_line = offsets(orders["line_count"])
        self.order_of_line = owners(self.first_line)
        self.line_of_part = owners(offsets(lines["part_count"]))
        self.order_of_part = self.order_of_line[self.line_of_part]
        self.sku_of_part = lines["sku"][self.line_of_part]
        location = (record.sequence << PLACE_BITS) + place + np.arange(orders["number"].size)
        self.key = np.where(orders["number"] != 0, orders["number"], -location)
        self.position = np.arange(self.order_of_line.size) - self.first_line[self.order_of_line] + 1

    def order_rows(self) -> Columns:
        """Orders and reservations."""
        orders, count = self.orders, self.orders["number"].size
        rows = {name: orders[name] for name in _ORDER_COLUMNS}
        for name, null in _ORDER_OPTIONS.items():
            rows[name] = orders[name] if name in orders else np.full(count, null)
        return rows | {
            "customer": orders.get("customer", _blanks(count)), "key": self.key,
            "sequence": np.full(count, self.record.sequence), "stamp": np.full(count, self.record.stamp),
        }  # fmt: skip

    def line_rows(self) -> Columns:
        """Lines as ordered, counted from 1 in their order."""
        lines, count = self.lines, self.order_of_line.size
        money = {
            name: lines[name] if name in lines else np.full(count, NULL_TIME)
            for name in ("unit_price", "discount", "tax", "extra_cost")
        }
        order = self._order_columns(self.order_of_line)
        return order | {"line": self.position, "sku": lines["sku"], "quantity": lines["quantity"]} | money

    def decision_rows(self) -> Columns:
        """Parts as they were decided: which node gives how many units of a line."""
        parts = self.parts
        order = self._order_columns(self.order_of_part)
        return order | {
            "line": self.position[self.line_of_part], "sku": self.sku_of_part, "quantity": parts["quantity"],
            "node": parts["node"], "stage": parts["stage"],
            "metres": np.where(parts["node"] == NO_NODE, NULL_INDEX, parts["metres"]),
            "sequence": np.full(self.line_of_part.size, self.record.sequence),
        }  # fmt: skip

    def _order_columns(self, order: Any) -> dict[str, Any]:
        return {
            "number": self.orders["number"][order], "key": self.key[order], "channel": self.orders["channel"][order],
            "order_id": self.orders["order_id"].take(pa.array(order)),
        }  # fmt: skip


_ORDER_COLUMNS = (
    "number", "order_id", "channel", "postal_code", "outcome", "is_reservation", "expires_at", "reservation",
)  # fmt: skip
_ORDER_OPTIONS = {
    "placed_at": NULL_TIME, "currency": NULL_INDEX, "payment_method": NULL_INDEX, "service_level": NULL_INDEX,
    "ship_by": NULL_TIME, "deliver_by": NULL_TIME, "rule": 0, "decided_in": NULL_TIME,
    "nodes_max": 0, "ship_complete": 0,
}  # fmt: skip


def _blanks(count: int) -> pa.StringArray:
    return pa.array([""] * count, pa.string())


def _movements(record: Record, sku: Any, node: Any, kind: Any, quantity: Any, cause: Any, reference: Any) -> Rows:
    count = sku.size
    return "movements", {
        "sequence": np.full(count, record.sequence), "stamp": np.full(count, record.stamp), "sku": sku, "node": node,
        "kind": kind, "quantity": quantity, "cause": cause, "reference": reference,
    }  # fmt: skip
