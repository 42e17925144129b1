"""Views: orders, lines, units and movements as SQL tables, for lists and search. Made from the journal alone.

`catch_up` follows the journal (engine/history.py); whoever asks gets the `view_sequence` that the answer stands for.
The file may be thrown away at any time: it is made again.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import numpy as np
import pyarrow as pa

from engine.history import NULL_INDEX, NULL_TIME, History, Kind
from engine.journal import JournalStore
from engine.outcomes import Cause, EngineError, Namespace
from engine.terms import TERMS
from kernels.columns import Outcome, Stage

FILE = "views.sqlite"
VERSION = 4  # of the tables below and of what fills them; views of another version are made again
COMMIT_ROWS = 50_000  # rows of one transaction, about
ROWS_MAX = 1000  # of one answer
BUSY_MS_MAX = 5000
CACHE_KIB, CHECKPOINT_PAGES = 65_536, 16_384  # of who keeps them up to date: a transaction must not spill, nor each be
# written twice at once (measured: a quarter of the time)

TABLES = """
CREATE TABLE meta(view_sequence INTEGER NOT NULL, version INTEGER NOT NULL);
CREATE TABLE names(namespace INTEGER, idx INTEGER, text TEXT, PRIMARY KEY(namespace, idx)) WITHOUT ROWID;
CREATE TABLE orders(
  number INTEGER PRIMARY KEY, -- below 0: refused
  order_id TEXT, channel INTEGER, postal_code INTEGER, is_reservation INTEGER, outcome INTEGER, state TEXT,
  stamp INTEGER, sequence INTEGER, expires_at INTEGER, reservation INTEGER, placed_at INTEGER, currency INTEGER,
  payment_method INTEGER, service_level INTEGER, ship_by INTEGER, deliver_by INTEGER, customer TEXT, nodes_max INTEGER,
  ship_complete INTEGER);
CREATE TABLE lines(
  number INTEGER, line INTEGER, sku INTEGER, quantity INTEGER, unit_price INTEGER, discount INTEGER, tax INTEGER,
  PRIMARY KEY(number, line)) WITHOUT ROWID;
CREATE TABLE parts(
  number INTEGER, line INTEGER, stage INTEGER, node INTEGER, units INTEGER,
  PRIMARY KEY(number, line, stage, node)) WITHOUT ROWID;
CREATE TABLE movements(
  id INTEGER PRIMARY KEY, sequence INTEGER, stamp INTEGER, sku INTEGER, node INTEGER, kind INTEGER, quantity INTEGER,
  cause INTEGER, reference INTEGER);
CREATE TABLE timeline(
  id INTEGER PRIMARY KEY, order_number INTEGER, sequence INTEGER, stamp INTEGER, what TEXT, document INTEGER,
  line INTEGER, units INTEGER, amount INTEGER, node INTEGER, cause INTEGER, actor INTEGER, reference TEXT, at INTEGER,
  scan TEXT UNIQUE); -- of a scan what makes it one: told twice, it is there once
CREATE INDEX timeline_by_order ON timeline(order_number);
CREATE INDEX names_by_text ON names(namespace, text);
CREATE INDEX orders_by_id ON orders(order_id);
CREATE INDEX orders_by_state ON orders(state);
CREATE INDEX orders_by_channel ON orders(channel);
CREATE INDEX orders_by_customer ON orders(customer) WHERE customer IS NOT NULL;
CREATE INDEX movements_by_cell ON movements(sku, node);
"""

_DONE = (Stage.CANCELLED,)
_BACK = (*_DONE, Stage.RETURNED)
_THERE = (*_BACK, Stage.DELIVERED)
_GONE = (*_THERE, Stage.SHIPPED)
# The state of an order, by the stages of its units: the first that holds. All units are in `only`, some in `one_of`.
STATES: tuple[tuple[str, tuple[Stage, ...], tuple[Stage, ...]], ...] = (
    ("RESERVED", tuple(Stage), (Stage.RESERVED,)),
    ("CANCELLED", _DONE, _DONE),
    ("RETURNED", _BACK, _BACK),
    ("DELIVERED", _THERE, _THERE),
    ("SHIPPED", _GONE, _GONE),
    ("PARTLY_SHIPPED", tuple(Stage), (Stage.SHIPPED, Stage.DELIVERED, Stage.RETURNED)),
    ("PACKED", (Stage.PACKED, Stage.CANCELLED), (Stage.PACKED,)),
    ("PICKING", tuple(Stage), (Stage.PICKED, Stage.PACKED)),
    ("BACK_ORDERED", tuple(Stage), (Stage.BACK_ORDERED,)),
    ("ALLOCATED", (Stage.ALLOCATED, Stage.CANCELLED), (Stage.ALLOCATED,)),
    ("PARTLY_ALLOCATED", tuple(Stage), (Stage.ALLOCATED,)),
    ("SHORT", tuple(Stage), (Stage.SHORT,)),
    ("REFUSED", (), ()),
)
ENDED = {Cause.CONFIRMED: "CONFIRMED", Cause.RELEASED: "RELEASED", Cause.EXPIRED: "EXPIRED"}  # of reservations


def _bits(stages: Iterable[Stage]) -> int:
    return sum(1 << stage for stage in stages)


def _state(present: int) -> str:
    """present: bit of each stage that holds units of the order."""
    for state, only, one_of in STATES:
        if not present & ~_bits(only) and (present & _bits(one_of) or not one_of):
            return state
    raise AssertionError(f"no state for the stages {present:b}")


STATE_OF = [_state(present) for present in range(1 << len(Stage))]  # by the bits of the stages that hold units


def _state_of(*present: Any) -> str:
    return STATE_OF[present[0]]


class ViewsAhead(EngineError):
    """The views know more than the journal: one of the two was replaced."""


class ViewsMissing(EngineError):
    """There are no views that can be read now."""


class Answer(NamedTuple):
    """Rows by column name, and the last commit that they take in."""

    view_sequence: int
    rows: list[dict[str, Any]]


class Views:
    """The views of one data folder. For one thread at a time; readers beside the one that catches up are welcome."""

    def __init__(self, path: Path, flags: int = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE) -> None:
        """Use `open` or `reader`."""
        self.path = path
        self._history: History | None = None
        self._flags = flags
        self._db = self._connect()

    @classmethod
    def open(cls, path: Path) -> "Views":
        """The views in this file; made empty where there are none, where they are damaged or of another version."""
        views = cls(path)
        try:
            views._sync_seldom()
            sound = views._db.pragma("user_version") == VERSION and views._one("SELECT count(*) FROM meta") == 1
        except (apsw.CorruptError, apsw.NotADBError, apsw.SQLError):
            sound = False
        if not sound:
            views.make_anew()
        return views

    @classmethod
    def reader(cls, path: Path) -> "Views":
        """Only to ask, beside who keeps the views up to date. ViewsMissing where they are not there, or not yet."""
        try:
            views = cls(path, apsw.SQLITE_OPEN_READWRITE)  # a reader too writes the file that it shares with the writer
        except apsw.CantOpenError:
            raise ViewsMissing(f"{path}: there are no views yet") from None
        try:
            is_sound = views._db.pragma("user_version") == VERSION
        except (apsw.CorruptError, apsw.NotADBError):
            is_sound = False
        if not is_sound:
            views.close()
            raise ViewsMissing(f"{path}: the views are being made")
        return views

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    @property
    def view_sequence(self) -> int:
        """The last commit taken in."""
        return int(self._one("SELECT view_sequence FROM meta"))

    def catch_up(self, journal: JournalStore) -> int:
        """Take in what the journal has; returns the new view_sequence. A kill at any moment changes nothing.

        Damaged views are made again. Raises ViewsAhead, and what reading a journal raises.
        """
        while (sequence := self.step(journal)) < journal.next_sequence - 1:
            pass
        return sequence

    def step(self, journal: JournalStore, is_over: Callable[[], bool] = lambda: False) -> int:
        """One transaction of that. is_over: asked after each record; where it says yes, the transaction ends there."""
        try:
            return self._step(journal, is_over)
        except (apsw.CorruptError, apsw.NotADBError):
            self.make_anew()
            return self._step(journal, is_over)

    # What may be asked

    def list_orders(
        self, channel: str | None = None, state: str | None = None, after: int | None = None, limit: int = 100
    ) -> Answer:
        """Orders and reservations by number, the next page after the last number of this one.

        state: of STATES or ENDED. Refused orders come first: their numbers are below 0. At most ROWS_MAX rows.
        """
        where: list[str] = ["true"]
        values: list[Any] = []
        if channel is not None:
            where.append(f"orders.channel = {_index(Namespace.CHANNEL)}")
            values.append(channel)
        if state is not None:
            where.append("state = ?")
            values.append(state)
        if after is not None:
            where.append("number > ?")
            values.append(after)
        sql = f"SELECT {_ORDER} FROM orders WHERE {' AND '.join(where)} ORDER BY number LIMIT ?"
        return self._ask(sql, (*values, min(limit, ROWS_MAX)))

    def order(self, channel: str, order_id: str, is_reservation: bool = False) -> Answer:
        """One order with its `lines` and the `parts` of each, or no row. Where an old id was used again: the newest."""
        sql = f"""SELECT {_ORDER} FROM orders WHERE order_id = ? AND channel = {_index(Namespace.CHANNEL)}
            AND is_reservation = ? ORDER BY sequence DESC LIMIT 1"""
        with self._db:
            found = self._ask(sql, (order_id, channel, int(is_reservation)))
            for order in found.rows:
                order["lines"] = self._rows(f"SELECT {_LINE} FROM lines WHERE number = ?", (order["number"],))
                for line in order["lines"]:
                    line["parts"] = self._rows(
                        f"SELECT {_PART} FROM parts WHERE number = ? AND line = ?", (order["number"], line["line"])
                    )
        return found

    def sales(self) -> Answer:
        """Orders and their units, a row each channel that has any. Looks at all there are."""
        gone = ", ".join(f"{stage:d}" for stage in (Stage.SHIPPED, Stage.DELIVERED, Stage.RETURNED))
        sql = f"""SELECT {_text(Namespace.CHANNEL, "channel")}, orders, refused_orders,
              coalesce(ordered, 0) AS units_ordered, coalesce(cancelled, 0) AS units_cancelled,
              coalesce(shipped, 0) AS units_shipped
            FROM (SELECT channel, sum(number > 0) AS orders, sum(number < 0) AS refused_orders
              FROM orders WHERE NOT is_reservation GROUP BY channel)
            LEFT JOIN (SELECT channel, sum(units) AS ordered,
                sum(CASE WHEN stage = {Stage.CANCELLED:d} THEN units ELSE 0 END) AS cancelled,
                sum(CASE WHEN stage IN ({gone}) THEN units ELSE 0 END) AS shipped
              FROM parts CROSS JOIN orders USING(number) WHERE NOT is_reservation GROUP BY channel) USING(channel)"""
        return self._ask(sql, ())

    def search(self, text: str, limit: int = 100) -> Answer:
        """Orders whose id begins with the text, whose customer it is, or whose number."""
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
        sql = f"""SELECT {_ORDER} FROM orders WHERE number IN (
              SELECT number FROM orders WHERE order_id >= ? AND order_id < ?
              UNION SELECT number FROM orders WHERE customer = ? UNION SELECT ?)
            ORDER BY number LIMIT ?"""
        return self._ask(sql, (text, text + chr(0x10FFFF), text, number, min(limit, ROWS_MAX)))

    def movements(self, sku: str, node: str | None = None, after: int = 0, limit: int = 100) -> Answer:
        """What happened to a SKU, at one node or at all, oldest first; the next page after the last `id` of this."""
        where, values = f"sku = {_index(Namespace.SKU)}", [sku]
        if node is not None:
            where += f" AND node = {_index(Namespace.NODE)}"
            values.append(node)
        sql = f"SELECT {_MOVEMENT} FROM movements WHERE {where} AND id > ? ORDER BY id LIMIT ?"
        return self._ask(sql, (*values, after, min(limit, ROWS_MAX)))

    def units_of(self, number: int, skus: Sequence[str], after: int) -> Answer:
        """Units that nodes allocated to an order, or released, by commits after one; oldest first, ROWS_MAX at most.

        skus: of the order; movements are found by theirs.
        """
        indices = ", ".join([_index(Namespace.SKU)] * len(skus))
        sql = f"""SELECT {_MOVEMENT} FROM movements WHERE sku IN ({indices}) AND reference = ? AND sequence > ?
            AND kind IN ({Kind.ALLOCATED:d}, {Kind.RELEASED:d}) ORDER BY id LIMIT {ROWS_MAX}"""
        return self._ask(sql, (*skus, number, after))

    def timeline(self, number: int) -> Answer:
        """What happened to an order by its number, oldest first, ROWS_MAX at most."""
        return self._ask(
            f"SELECT {_HAPPENING} FROM timeline WHERE order_number = ? ORDER BY id LIMIT {ROWS_MAX}", (number,)
        )

    def scans(self, number: int) -> Answer:
        """Where a shipment was seen, by its number, as carriers told it."""
        sql = f"""SELECT {_HAPPENING} FROM timeline
            WHERE scan IS NOT NULL AND document = ? AND scan >= ? AND scan < ? ORDER BY at, id LIMIT {ROWS_MAX}"""
        return self._ask(sql, (number, f"{number} ", f"{number}!"))

    def _ask(self, sql: str, values: tuple[Any, ...]) -> Answer:
        with self._db:  # one snapshot: the sequence belongs to the rows
            sequence, rows = self.view_sequence, self._rows(sql, values)
        return Answer(sequence, rows)

    def _rows(self, sql: str, values: tuple[Any, ...]) -> list[dict[str, Any]]:
        cursor = self._db.cursor()
        cursor.row_trace = _by_name
        return list(cursor.execute(sql, values))

    def _one(self, sql: str) -> Any:
        return next(self._db.cursor().execute(sql))[0]

    # The file

    def _connect(self) -> apsw.Connection:
        db = apsw.Connection(str(self.path), self._flags)
        db.set_busy_timeout(BUSY_MS_MAX)
        db.create_scalar_function("state_of", _state_of, 1, deterministic=True)
        return db

    def _sync_seldom(self) -> None:
        """A power cut may take the last commits, which are then taken in again."""
        self._db.pragma("synchronous", "normal")
        self._db.pragma("cache_size", -CACHE_KIB)
        self._db.pragma("wal_autocheckpoint", CHECKPOINT_PAGES)

    def make_anew(self) -> None:
        """Throw away what there is, and begin with nothing."""
        self._history = None
        self._db.close(True)
        for suffix in ("", "-wal", "-shm", "-journal"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        self._db = self._connect()
        self._db.pragma("journal_mode", "wal")
        self._sync_seldom()
        with self._db:
            self._db.execute(TABLES)
            self._db.execute("INSERT INTO meta VALUES(0, ?)", (VERSION,))
            self._db.pragma("user_version", VERSION)

    # Following the journal

    def _step(self, journal: JournalStore, is_over: Callable[[], bool]) -> int:
        last, sequence = journal.next_sequence - 1, self.view_sequence
        if sequence > last:
            raise ViewsAhead(
                f"{self.path}: the views are at sequence {sequence}, the journal ends at {last}: if the journal was "
                "restored, delete the views, they are made again"
            )
        if sequence == last:
            return sequence
        history, self._history = self._history or self._known(), None  # kept again when all of it is committed
        rows = 0
        with self._db:
            self._db.execute("UPDATE meta SET view_sequence = view_sequence")  # from here on the only writer
            if self.view_sequence != sequence:
                raise EngineError(f"{self.path}: somebody else keeps these views up to date")
            for record in journal.read(sequence + 1):
                for table, columns in history.read(record):
                    rows += _WRITE[table](self._db, columns)
                sequence = record.sequence
                if rows >= COMMIT_ROWS or sequence == last or is_over():
                    break
            self._db.execute("UPDATE meta SET view_sequence = ?", (sequence,))
        self._history = history
        return sequence

    def _known(self) -> History:
        """What the history must know to go on from here."""
        ask = self._db.cursor().execute
        names = {
            space: pa.array(
                [text for (text,) in ask("SELECT text FROM names WHERE namespace = ? ORDER BY idx", (space,))]
            )
            for space in Namespace
        }
        held = ask(
            "SELECT number, sku, node, sum(units) FROM parts JOIN lines USING(number, line) WHERE stage = ? "
            "AND number IN (SELECT number FROM orders WHERE state = 'RESERVED') GROUP BY number, sku, node",
            (Stage.RESERVED,),
        )
        return History({space: texts.cast(pa.string()) for space, texts in names.items()}, held)


# Rows of the history into tables


def _list(column: Any, null: int | None = None) -> list[Any]:
    if isinstance(column, pa.Array):
        return column.to_pylist()
    if null is not None and (column == null).any():
        return [None if value == null else value for value in column.tolist()]
    return column.tolist()


def _fill(db: apsw.Connection, sql: str, *columns: list[Any]) -> int:
    db.cursor().executemany(sql, zip(*columns, strict=True))
    return len(columns[0])


def _marks(table: str, count: int) -> str:
    return f"INSERT INTO {table} VALUES({', '.join('?' * count)})"


def _write_names(db: apsw.Connection, rows: Mapping[str, Any]) -> int:
    return _fill(db, _marks("names", 3), *(_list(rows[name]) for name in ("namespace", "index", "text")))


def _write_orders(db: apsw.Connection, rows: Mapping[str, Any]) -> int:
    plain = (_list(rows[name]) for name in ("key", "order_id", "channel", "postal_code", "is_reservation", "outcome"))
    times = (_list(rows[name], null) for name, null in (("stamp", None), ("sequence", None), ("expires_at", 0)))
    options = (
        _list(rows[name], null)
        for name, null in (
            ("reservation", 0), ("placed_at", NULL_TIME), ("currency", NULL_INDEX), ("payment_method", NULL_INDEX),
            ("service_level", NULL_INDEX), ("ship_by", NULL_TIME), ("deliver_by", NULL_TIME),
        )
    )  # fmt: skip
    terms = (_list(rows[name], 0) for name in TERMS)
    customer = [text or None for text in _list(rows["customer"])]
    state = ["REFUSED"] * len(customer)  # until its parts come, which follow in the same record
    return _fill(db, _marks("orders", 20), *plain, state, *times, *options, customer, *terms)


def _write_lines(db: apsw.Connection, rows: Mapping[str, Any]) -> int:
    money = (_list(rows[name], NULL_TIME) for name in ("unit_price", "discount", "tax"))
    return _fill(db, _marks("lines", 7), *(_list(rows[name]) for name in ("key", "line", "sku", "quantity")), *money)


_ADD_UNITS = _marks("parts", 5) + " ON CONFLICT DO UPDATE SET units = units + excluded.units"
_SET_STATE = """UPDATE orders SET state = state_of((SELECT sum(DISTINCT 1 << stage) FROM parts WHERE number = ?1))
    WHERE number = ?1"""


def _write_parts(db: apsw.Connection, rows: Mapping[str, Any]) -> int:
    """Parts as they were decided, and the states of their orders."""
    count = _fill(db, _ADD_UNITS, *(_list(rows[name]) for name in ("key", "line", "stage", "node", "quantity")))
    keys, first = np.unique(rows["key"], return_index=True)
    if keys.size:
        present = np.bitwise_or.reduceat(1 << rows["stage"].astype(np.int64), np.sort(first))
        states = [STATE_OF[bits] for bits in present.tolist()]
        _fill(db, "UPDATE orders SET state = ? WHERE number = ?", states, _list(rows["key"][np.sort(first)]))
    return count


def _write_moves(db: apsw.Connection, rows: Mapping[str, Any]) -> int:
    """Units go to their new stages first: some of them may move on from there in the same table."""
    where = [_list(rows[name]) for name in ("number", "line", "from", "from_node")]
    to = [_list(rows[name]) for name in ("number", "line", "to", "to_node", "quantity")]
    place = "WHERE number = ? AND line = ? AND stage = ? AND node = ?"
    count = _fill(db, _ADD_UNITS, *to)
    _fill(db, f"UPDATE parts SET units = units - ? {place}", to[-1], *where)
    _fill(db, f"DELETE FROM parts {place} AND units = 0", *where)
    _fill(db, _SET_STATE, np.unique(rows["number"]).tolist())
    return count


def _write_closures(db: apsw.Connection, rows: Mapping[str, Any]) -> int:
    """Reservations that ended hold nothing more; what they held is cancelled."""
    numbers = [_list(rows["number"])]
    place = f"FROM parts WHERE number = ? AND stage <> {Stage.CANCELLED:d}"
    again = "ON CONFLICT DO UPDATE SET units = units + excluded.units"
    _fill(db, f"INSERT INTO parts SELECT number, line, {Stage.CANCELLED:d}, node, units {place} {again}", *numbers)
    _fill(db, f"DELETE {place}", *numbers)
    states = [ENDED[Cause(cause)] for cause in _list(rows["cause"])]
    return _fill(db, "UPDATE orders SET state = ? WHERE number = ?", states, *numbers)


def _write_movements(db: apsw.Connection, rows: Mapping[str, Any]) -> int:
    names = ("sequence", "stamp", "sku", "node", "kind", "quantity", "cause")
    sql = "INSERT INTO movements VALUES(NULL, ?, ?, ?, ?, ?, ?, ?, ?)"
    return _fill(db, sql, *(_list(rows[name]) for name in names), _list(rows["reference"], 0))


def _write_timeline(db: apsw.Connection, rows: Mapping[str, Any]) -> int:
    """What happened. A scan that was told before is left out."""
    scans = rows["is_scan"]
    scan: list[str | None] = [None] * scans.size
    if scans.any():
        told = zip(
            rows["document"].tolist(), rows["what"].tolist(), rows["at"].tolist(), _list(rows["reference"]),
            scans.tolist(), strict=True,
        )  # fmt: skip
        scan = [f"{number} {what} {at} {place}" if is_scan else None for number, what, at, place, is_scan in told]
    names = (
        "order_number", "sequence", "stamp", "what", "document", "line", "units", "amount", "node", "cause", "actor",
        "reference", "at",
    )  # fmt: skip
    sql = "INSERT OR IGNORE INTO timeline VALUES(NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    return _fill(db, sql, *(_list(rows[name]) for name in names), scan)


_WRITE: dict[str, Callable[[apsw.Connection, Mapping[str, Any]], int]] = {
    "names": _write_names, "orders": _write_orders, "lines": _write_lines, "decisions": _write_parts,
    "moves": _write_moves, "closures": _write_closures, "movements": _write_movements, "timeline": _write_timeline,
}  # fmt: skip


# Tables into rows of answers


def _text(namespace: Namespace, column: str) -> str:
    """SQL: the text of an index."""
    return f"(SELECT text FROM names WHERE namespace = {namespace:d} AND idx = {column}) AS {column}"


def _index(namespace: Namespace) -> str:
    """SQL: the index of a text."""
    return f"(SELECT idx FROM names WHERE namespace = {namespace:d} AND text = ?)"


def _member(members: Any, column: str) -> str:
    """SQL: the name of a number of an enum."""
    return f"CASE {column} {' '.join(f'WHEN {m:d} THEN {m.name!r}' for m in members)} END AS {column}"


_ORDER = ", ".join(
    [
        "number", "order_id", _text(Namespace.CHANNEL, "channel"), _text(Namespace.POSTAL_CODE, "postal_code"),
        "is_reservation", _member(Outcome, "outcome"), "state", "stamp", "sequence", "expires_at", "reservation",
        "placed_at", *(_text(Namespace.WORD, name) for name in ("currency", "payment_method", "service_level")),
        "ship_by", "deliver_by", "customer", *TERMS,
    ]
)  # fmt: skip
_LINE = ", ".join(["line", _text(Namespace.SKU, "sku"), "quantity", "unit_price", "discount", "tax"])
_PART = ", ".join([_member(Stage, "stage"), _text(Namespace.NODE, "node"), "units"])
_MOVEMENT = ", ".join(
    [
        "id", "sequence", "stamp", _text(Namespace.SKU, "sku"), _text(Namespace.NODE, "node"), _member(Kind, "kind"),
        "quantity", _member(Cause, "cause"), "reference",
    ]
)  # fmt: skip


_HAPPENING = ", ".join(
    [
        "sequence", "stamp", "what", "document", "line", "units", "amount", _text(Namespace.NODE, "node"),
        _member(Cause, "cause"), _text(Namespace.WORD, "actor"), "reference", "at",
    ]
)  # fmt: skip


def _by_name(cursor: apsw.Cursor, row: tuple[Any, ...]) -> dict[str, Any]:
    return {column[0]: value for column, value in zip(cursor.get_description(), row, strict=True)}
