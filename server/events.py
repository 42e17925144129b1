"""Events: what commits of the journal did, as messages, from any event on. Read off the event loop, page by page.

An event's id is the sequence of its commit and its place in it, counted over all kinds in the order of the record's
tables: stable for ever, since records never change. Nothing but names is needed to begin in the middle.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import grpc
import numpy as np

from allot.v1 import events_pb2 as pb
from allot.v1 import types_pb2
from engine import schema
from engine.journal import JournalMissing, Record
from engine.journal.records import decode
from engine.lifecycle import STATES
from engine.names import Names
from engine.outcomes import Namespace
from engine.ragged import offsets, owners
from engine.snapshot import whole_from
from engine.writer import Engine
from kernels.columns import NO_NODE
from kernels.life import STEPS_PER_KIND, Account, DocumentKind, RefundTo, Step
from server.errors import Rejection, invalid
from server.validation.values import shown
from server.wakeups import Wakeups

EVENTS_MAX = 1000  # of one page
RECORDS_MAX = 2000  # looked at for one page, so that a filter that lets little through ends soon too
_ROWS_MAX = 1000  # of a table turned into messages at a time
_WHOLE = 1 << 62  # an ordinal beyond those of any record
_ID = re.compile(r"([0-9]{1,18})-([0-9]{1,9})")

Columns = Mapping[str, Any]
AllNames = Mapping[Namespace, Names]


class EventId(NamedTuple):
    """Which event. Ordinals count from 1; 0 stands before the first event of a commit."""

    sequence: int
    ordinal: int

    def __str__(self) -> str:
        return f"{self.sequence}-{self.ordinal}"


BEGINNING = EventId(0, 0)


def event_id(text: str) -> EventId:
    """The id that a caller saw last; empty: none. Raises Rejection."""
    if not text:
        return BEGINNING
    found = _ID.fullmatch(text)
    if found is None:
        raise invalid(
            "after_event_id", f"after_event_id: {shown(text)} is no id of an event: give one as 1234-5", "BAD_EVENT_ID"
        )
    return EventId(int(found[1]), int(found[2]))


class EventLog:
    """The events of one engine. `notify` is for any thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._wakeups = Wakeups(lambda key: engine.durable_sequence)

    @property
    def sequence(self) -> int:
        """The last durable commit."""
        return self._engine.durable_sequence

    def notify(self) -> None:
        """A commit is durable."""
        self._wakeups.notify()

    async def beyond(self, sequence: int) -> None:
        """Return when commits after this one are durable, together with others who wait."""
        await self._wakeups.until("", sequence)

    def cursor(self, after: EventId, kinds: frozenset[int]) -> "EventCursor":
        """Begin after an event. kinds: those wanted, of EventKind; none: all. Raises Rejection."""
        if after.sequence > self.sequence:
            raise Rejection(
                grpc.StatusCode.OUT_OF_RANGE, "EVENT_AHEAD",
                f"after_event_id: {after} is beyond the last commit, {self.sequence}: was the data folder restored?",
                "after_event_id",
            )  # fmt: skip
        return EventCursor(self._engine.journal, self._engine.state.names, after, kinds)

    def after_present(self, kinds: frozenset[int]) -> "EventCursor":
        """Begin with the next commit."""
        return EventCursor(self._engine.journal, self._engine.state.names, EventId(self.sequence, _WHOLE), kinds)


class EventCursor:
    """Where one reader is. For one thread at a time, which may be another one for each page."""

    def __init__(self, journal: Any, names: AllNames, after: EventId, kinds: frozenset[int]) -> None:
        self._journal, self._names, self._kinds = journal, names, kinds
        self.done = after.sequence if after.ordinal == _WHOLE else max(after.sequence - 1, 0)  # commits read to the end
        self._after = 0 if after.ordinal == _WHOLE or after.sequence == 0 else after.ordinal
        self._records: Iterator[Record] = iter(())
        self._events: Iterator[pb.Event] | None = None

    def page(self, upto: int) -> list[pb.Event]:
        """The next events of commits up to a sequence, EVENTS_MAX at most; none of them may mean that there are more
        commits to look through: see `done`. Raises Rejection where commits were moved away.
        """
        events: list[pb.Event] = []
        records = 0
        while len(events) < EVENTS_MAX and (self._events is not None or (self.done < upto and records < RECORDS_MAX)):
            if self._events is None:
                self._events, records = self._begin(self._next_record()), records + 1
            room = EVENTS_MAX - len(events)
            some = list(islice(self._events, room))
            events += some
            if len(some) < room:
                self._events = None
                self.done += 1
        return events

    def _begin(self, record: Record) -> Iterator[pb.Event]:
        after, self._after = self._after, 0
        return events_of(record, self._names, after, self._kinds)

    def _next_record(self) -> Record:
        wanted = self.done + 1
        try:
            record = next(self._records, None)
            if record is None:
                self._records = self._journal.read(wanted)
                record = next(self._records)
        except JournalMissing as missing:
            raise self._archived(missing.sequence) from missing
        assert record.sequence == wanted, "records come in sequence"
        return record

    def _archived(self, sequence: int) -> Rejection:
        starts = [segment.first_sequence for segment in self._journal.segments()]
        later = [start for start in starts if start > sequence]
        first = max(whole_from(self._journal), later[0] if later else 0)
        return Rejection(
            grpc.StatusCode.OUT_OF_RANGE, "EVENTS_ARCHIVED",
            f"after_event_id: events of commit {sequence} were moved away: put the segment back into archive/, or go "
            f"on after {EventId(first, 0)}, which loses what was before",
            "after_event_id",
        )  # fmt: skip


def events_of(record: Record, names: AllNames, after: int, kinds: frozenset[int]) -> Iterator[pb.Event]:
    """The events of a commit after an ordinal, those of some kinds or, where none is named, of all."""
    tables = decode(record.body)
    ordinal = 1
    for i, (table, columns) in enumerate(tables):
        if table.number not in _KINDS:
            continue
        kind, name, messages = _KINDS[table.number]
        count = len(columns[table.columns[0].name])
        first = max(after - ordinal + 1, 0)
        if first < count and (not kinds or kind in kinds):
            further = [columns for _, columns in tables[i + 1 : i + 3]]
            for row, message in enumerate(_in_pieces(messages, columns, further, names, first, count), first):
                event = EventId(record.sequence, ordinal + row)
                fields: Any = {name: message}
                yield pb.Event(event_id=str(event), sequence=record.sequence, stamp_us=record.stamp, **fields)
        ordinal += count


Messages = Callable[[Columns, Sequence[Columns], AllNames, int, int], Iterator[Any]]


def _in_pieces(
    messages: Messages, columns: Columns, further: Sequence[Columns], names: AllNames, first: int, count: int
) -> Iterator[Any]:
    """The messages of the rows of a table from `first` on, some rows at a time."""
    for row in range(first, count, _ROWS_MAX):
        yield from messages(columns, further, names, row, min(row + _ROWS_MAX, count))


def _decided(orders: Columns, further: Sequence[Columns], names: AllNames, first: int, last: int) -> Iterator[Any]:
    lines, parts = further
    first_line, first_part = offsets(orders["line_count"]), offsets(lines["part_count"])
    some = slice(first_part[first_line[first]], first_part[first_line[last]])
    line = owners(first_part)[some]  # of each part
    position = line - first_line[owners(first_line)[line]] + 1
    told = list(
        map(
            _part, position.tolist(), _texts(names, Namespace.NODE, parts["node"][some]), parts["stage"][some].tolist(),
            parts["quantity"][some].tolist(), parts["metres"][some].tolist(),
        )
    )  # fmt: skip
    rows = slice(first, last)
    columns = zip(
        _texts(names, Namespace.CHANNEL, orders["channel"][rows]), orders["order_id"][rows].to_pylist(),
        orders["number"][rows].tolist(), orders["is_reservation"][rows].tolist(), orders["outcome"][rows].tolist(),
        _texts(names, Namespace.POSTAL_CODE, orders["postal_code"][rows]), strict=True,
    )  # fmt: skip
    begins = (first_part[first_line[first : last + 1]] - some.start).tolist()
    for i, (channel, order_id, number, is_reservation, outcome, postal_code) in enumerate(columns):
        yield pb.OrderDecided(
            channel=channel, order_id=order_id, number=number, is_reservation=bool(is_reservation), outcome=outcome,
            postal_code=postal_code, parts=told[begins[i] : begins[i + 1]],
        )  # fmt: skip


def _part(line: int, node_id: str | None, stage: Any, units: int, metres: int) -> types_pb2.Part:
    return types_pb2.Part(line=line, node_id=node_id, stage=stage + 1, quantity=units, distance_m=metres)


def _moved(moves: Columns, further: Sequence[Columns], names: AllNames, first: int, last: int) -> Iterator[Any]:
    rows = slice(first, last)
    left = moves["from_node"][rows] if "from_node" in moves else np.full(last - first, NO_NODE)
    actors = moves["actor"][rows] if "actor" in moves else np.full(last - first, NO_NODE)
    columns = zip(
        *(moves[name][rows].tolist() for name in ("number", "line", "from", "to", "quantity", "cause")),
        _texts(names, Namespace.SKU, moves["sku"][rows]), _texts(names, Namespace.NODE, moves["node"][rows]),
        _texts(names, Namespace.NODE, left), _texts(names, Namespace.WORD, actors), strict=True,
    )  # fmt: skip
    for number, line, source, to, quantity, cause, sku, node_id, from_node_id, actor in columns:
        yield pb.UnitsMoved(
            number=number, line=line, sku=sku, node_id=node_id, from_stage=source + 1, to_stage=to + 1,
            quantity=quantity, cause=cause, from_node_id=from_node_id, actor=actor,
        )  # fmt: skip


def _ended(closures: Columns, further: Sequence[Columns], names: AllNames, first: int, last: int) -> Iterator[Any]:
    rows = slice(first, last)
    for number, cause in zip(closures["number"][rows].tolist(), closures["cause"][rows].tolist(), strict=True):
        yield pb.ReservationEnded(number=number, cause=cause)


def _stock_moved(moves: Columns, further: Sequence[Columns], names: AllNames, first: int, last: int) -> Iterator[Any]:
    rows = slice(first, last)
    columns = zip(
        *(moves[name][rows].tolist() for name in ("kind", "quantity", "cause", "reference")),
        _texts(names, Namespace.SKU, moves["sku"][rows]), _texts(names, Namespace.NODE, moves["node"][rows]),
        strict=True,
    )  # fmt: skip
    for kind, quantity, cause, reference, sku, node_id in columns:
        yield pb.StockMoved(
            sku=sku, node_id=node_id, kind=kind, quantity=quantity, cause=cause, reference=reference
        )  # fmt: skip


def _promised(told: Columns, further: Sequence[Columns], names: AllNames, first: int, last: int) -> Iterator[Any]:
    rows = slice(first, last)
    columns = zip(
        *(told[name][rows].tolist() for name in ("number", "line", "units", "before", "after", "waits", "cause")),
        _texts(names, Namespace.SKU, told["sku"][rows]), strict=True,
    )  # fmt: skip
    for number, line, units, before, after, waits, cause, sku in columns:
        yield pb.UnitsPromised(
            number=number, line=line, sku=sku, quantity=units, from_due_at_us=before, due_at_us=after,
            waiting=bool(waits), cause=cause,
        )  # fmt: skip


def _supplied(supply: Columns, further: Sequence[Columns], names: AllNames, first: int, last: int) -> Iterator[Any]:
    rows = slice(first, last)
    columns = zip(
        *(supply[name][rows].tolist() for name in ("units", "due_at", "reference", "cause")),
        _texts(names, Namespace.SKU, supply["sku"][rows]), _texts(names, Namespace.NODE, supply["node"][rows]),
        strict=True,
    )  # fmt: skip
    for units, due_at, reference, cause, sku, node_id in columns:
        yield pb.SupplyChanged(
            sku=sku, node_id=node_id, quantity=units, due_at_us=due_at, reference=reference, cause=cause
        )  # fmt: skip


def _stepped(steps: Columns, further: Sequence[Columns], names: AllNames, first: int, last: int) -> Iterator[Any]:
    rows = slice(first, last)
    count = last - first

    def texts(name: str) -> list[str]:
        return steps[name][rows].to_pylist() if name in steps else [""] * count

    def words(namespace: Namespace, name: str) -> list[Any]:
        return _texts(names, namespace, steps[name][rows]) if name in steps else [""] * count

    of_number, cause = (steps[name][rows].tolist() if name in steps else [0] * count for name in ("of_number", "cause"))
    figures = ("number", "order_number", "step", "state", "line", "units", "amount", "at", "flags")
    columns = zip(
        *(steps[name][rows].tolist() for name in figures), words(Namespace.WORD, "how"), words(Namespace.NODE, "node"),
        of_number, texts("document_id"), texts("reference"), texts("note"), words(Namespace.CHANNEL, "channel"),
        words(Namespace.WORD, "actor"), cause, strict=True,
    )  # fmt: skip
    for (number, order_number, step, state, line, units, amount, at, flag, how, node_id, of, document_id, reference,
         note, channel, actor, why) in columns:  # fmt: skip
        kind = DocumentKind(step // STEPS_PER_KIND + 1)
        yield pb.StepTaken(
            number=number, order_number=order_number, kind=kind.name, step=Step(step).name,
            state=STATES[kind](state).name, how=how, node_id=node_id, line=line, quantity=units, amount=amount,
            refund_to=RefundTo(flag & 7).name if kind is DocumentKind.REFUND else "", at_us=at, of_number=of,
            document_id=document_id, reference=reference, note=note, channel=channel,
            actor=actor, cause=why,
        )  # fmt: skip


def _posted(postings: Columns, further: Sequence[Columns], names: AllNames, first: int, last: int) -> Iterator[Any]:
    rows = slice(first, last)
    columns = zip(
        *(postings[name][rows].tolist() for name in ("number", "order_number", "account", "amount")),
        _texts(names, Namespace.WORD, postings["currency"][rows]), strict=True,
    )  # fmt: skip
    for number, order_number, account, amount, currency in columns:
        yield pb.Posted(
            number=number, order_number=order_number, account=Account(account).name, amount=amount, currency=currency
        )


def _texts(names: AllNames, namespace: Namespace, indices: Any) -> list[Any]:
    """Texts of indices; None, which a message takes for empty, where one is less than 0."""
    texts: list[Any] = names[namespace].texts(indices.astype("int32")).to_pylist()
    return texts


_KINDS: dict[int, tuple[int, str, Messages]] = {  # by number of the table
    schema.ORDERS.number: (pb.EVENT_KIND_ORDER_DECIDED, "order_decided", _decided),
    schema.MOVES.number: (pb.EVENT_KIND_UNITS_MOVED, "units_moved", _moved),
    schema.CLOSURES.number: (pb.EVENT_KIND_RESERVATION_ENDED, "reservation_ended", _ended),
    schema.MOVEMENTS.number: (pb.EVENT_KIND_STOCK_MOVED, "stock_moved", _stock_moved),
    schema.PROMISES.number: (pb.EVENT_KIND_UNITS_PROMISED, "units_promised", _promised),
    schema.SUPPLY.number: (pb.EVENT_KIND_SUPPLY_CHANGED, "supply_changed", _supplied),
    schema.STEPS.number: (pb.EVENT_KIND_STEP_TAKEN, "step_taken", _stepped),
    schema.POSTINGS.number: (pb.EVENT_KIND_POSTED, "posted", _posted),
}
EVERY_KIND = frozenset(kind for kind, _, _ in _KINDS.values())
