"""Dated supply commands, and what waits for it: back-ordered units are bound to units that are expected.

The binding of a SKU follows from the state by one rule (`bound_now`). The end of a commit works it out anew for the
SKUs that it concerns (`rebind`), and journals what changed: that is what promises are told by. Replay needs none of it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from engine import schema
from engine.answers import Replies
from engine.commands import PutSupply
from engine.commit import Commit, remember
from engine.expected import DTYPES, NOTHING_BOUND, Bound
from engine.outcomes import Cause, Method, MovementKind, OutOfRoom, Reply
from engine.ragged import offsets, owners
from engine.state import State
from kernels.columns import NONE, Head, OrderKind, Stage
from kernels.searching import waiting_orders
from kernels.supply import Asking, Supply, bind, empty_bindings, waiting_lines, waiting_units

NO_CHANNEL = np.array([-1], np.int16)
BINDING_BYTES_MAX = 96  # of a record, for what is told of one binding that goes and another that comes

_Change = tuple[int, int, int, bool]  # units, due before, due from now on (0: no date), whether they wait


def check_supply_room(state: State, asked: Sequence[PutSupply]) -> None:
    """Raise OutOfRoom where what is expected beside what there is might not fit: before anything is changed."""
    most, expected = state.limits.supply_max, state.expected
    more = sum(command.sku.size for command in asked)
    if expected.rows + more > most:  # by key then: many may be there, or be taken back
        keys = {
            row[:3]
            for command in asked
            for row in zip(*(getattr(command, name).tolist() for name in DTYPES), strict=True)
            if row[3] and expected.get(*row[:3]) == (0, 0)
        }
        more = len(keys)
    if expected.rows + more > most:
        raise OutOfRoom(f"supply_max is {most}, {state.expected.rows} are in use: raise the limit, or take back what "
                        "will not come")  # fmt: skip


def put_supply(commit: Commit, command: PutSupply) -> Replies:
    """Set what is expected, all rows of a request, or give the first answer again. The last row of a key counts."""
    expected = commit.state.expected
    request_id = pa.array([command.request_id], pa.string())
    keys, new = commit.claim(NO_CHANNEL, Method.PUT_SUPPLY, request_id)
    reply, quantity = np.array([Reply.DONE], np.uint8), np.zeros(1, np.int64)
    given = tuple(np.ascontiguousarray(getattr(command, name)) for name in DTYPES)
    if new[0]:
        last = {row[:3]: row[3:] for row in zip(*(column.tolist() for column in given), strict=True)}
        changed = [
            (*key, units, due_at if units else 0)
            for key, (units, due_at) in last.items()
            if expected.get(*key) != ((units, due_at) if units else (0, 0))
        ]
        _expect(commit, changed, Cause.SUPPLY)
        quantity[0] = len(changed)
    hashed = xxhash.xxh3_128()
    for column in given:
        hashed.update(column.tobytes())
    value = hashed.intdigest()
    content = np.array([[value >> 64, value & 0xFFFFFFFFFFFFFFFF]], np.uint64)
    return remember(commit, Method.PUT_SUPPLY, NO_CHANNEL, request_id, keys, content, new, reply, quantity)


def _expect(commit: Commit, rows: Sequence[tuple[int, ...]], cause: Cause) -> None:
    if rows:
        columns = zip(*rows, strict=True)
        table = {name: np.array(column, dtype) for (name, dtype), column in zip(DTYPES.items(), columns, strict=True)}
        commit.add(schema.SUPPLY, table | {"cause": np.full(len(rows), cause, np.uint8)})


def take_received(commit: Commit, movements: Any) -> None:
    """Units that arrive by the reference of supply are not expected any more."""
    expected = commit.state.expected
    arrived: Counter[tuple[int, int, int]] = Counter()
    names = ("sku", "node", "reference", "kind", "quantity")
    for sku, node, reference, kind, units in zip(*(movements[name].tolist() for name in names), strict=True):
        if kind == MovementKind.RECEIVED and units > 0:
            arrived[sku, node, reference] += units
    rows = []
    for key, units in sorted(arrived.items()):
        missing, due_at = expected.get(*key)
        if missing:
            left = max(0, missing - units)
            rows.append((*key, left, due_at if left else 0))
    _expect(commit, rows, Cause.RECEIPT)


# Who waits for what


def bound_now(state: State, sku: int) -> Bound:
    """Back-ordered units of a SKU bound to its supply: in the sequence in which receipts serve them (channel priority,
    then age), each to the earliest that is left at a node that may serve it.
    """
    book = state.book
    if book.waiting[sku] == NONE:
        return NOTHING_BOUND
    supply = state.expected.of(sku)
    if supply.units.size == 0:
        return NOTHING_BOUND
    rows = np.empty(state.head(Head.WAITING_PARTS), np.int32)
    rows = rows[: waiting_orders(np.array([sku], np.int32), book, rows)]
    room = rows.size + supply.units.size
    rows = rows[np.lexsort((book.orders.number[rows], state.policies.priority[book.orders.channel[rows]]))]
    rows = rows[np.diff(rows, prepend=NONE) != 0]  # an order with several such lines came several times
    found = empty_bindings(room)
    left = Supply(supply.node, supply.units.copy())
    asking = Asking(state.policies.split, state.serving, state.terms.nodes_max, state.terms.ship_complete)
    count = bind(sku, rows, book, asking, left, found)
    order, position, waiting, of, units = (column[:count].copy() for column in found)
    return Bound(
        order, book.orders.number[order], position, waiting, units, supply.due_at[of], supply.node[of],
        supply.reference[of],
    )  # fmt: skip


def bind_all(state: State) -> None:
    """Bind what waits to all supply, as after a replay. Nothing is told."""
    state.expected.bound = {sku: bound for sku in state.expected.skus() if (bound := bound_now(state, sku)).units.size}


def promised_to(state: State, number: int, skus: Iterable[int]) -> tuple[tuple[int, int, int, int, int], ...]:
    """What an order of these SKUs waits for: (line from 1, units, due at UTC us, node, reference), by line and date."""
    out: list[tuple[int, int, int, int, int]] = []
    for sku in set(skus) & state.expected.bound.keys():
        bound = state.expected.bound[sku]
        mine = bound.number == number
        names = ("position", "units", "due_at", "node", "reference")
        out += list(zip(*(getattr(bound, name)[mine].tolist() for name in names), strict=True))
    return tuple(sorted(out, key=lambda row: (row[0], row[2:])))


def rebind(commit: Commit) -> None:
    """Bind anew what waits for the SKUs that the commit concerns, and journal whose date is another one now."""
    expected = commit.state.expected
    told: dict[str, list[Any]] = {name: [] for name in _TOLD}
    for sku, cause in sorted(_concerned(commit).items()):
        before, after = expected.bound.get(sku, NOTHING_BOUND), bound_now(commit.state, sku)
        if after.units.size:
            expected.bound[sku] = after
        else:
            expected.bound.pop(sku, None)
        for number, position, changes in _changed_lines(commit.state, before, after):
            for units, was, due_at, waits in changes:
                row = (number, position, sku, units, was, due_at, waits, cause)
                for name, value in zip(_TOLD, row, strict=True):
                    told[name].append(value)
    if told["number"]:
        commit.add(schema.PROMISES, {name: np.array(told[name], dtype) for name, dtype in _TOLD.items()})


_TOLD = {
    "number": np.int64, "line": np.int32, "sku": np.int32, "units": np.int32, "before": np.int64, "after": np.int64,
    "waits": np.uint8, "cause": np.uint8,
}  # fmt: skip


def _concerned(commit: Commit) -> dict[int, int]:
    """The SKUs of which a commit may change who waits, or what for; each with the last cause."""
    expected = commit.state.expected
    out: dict[int, int] = {}
    for i, (table, columns) in enumerate(commit.tables):
        if table is schema.ORDERS:
            lines, parts = commit.tables[i + 1][1], commit.tables[i + 2][1]
            waits = parts["stage"] == Stage.BACK_ORDERED
            if waits.any():
                line = owners(offsets(lines["part_count"]))[waits]
                confirmed = (columns["reservation"] != 0)[owners(offsets(columns["line_count"]))[line]]
                cause = np.where(confirmed, Cause.CONFIRMED, Cause.PLACED)
                out |= zip(lines["sku"][line].tolist(), cause.tolist(), strict=True)
        elif table is schema.MOVES:
            out |= _of_moved_orders(commit.state, columns)
            waits = (columns["from"] == Stage.BACK_ORDERED) | (columns["to"] == Stage.BACK_ORDERED)
            out |= zip(columns["sku"][waits].tolist(), columns["cause"][waits].tolist(), strict=True)
        elif table is schema.SUPPLY:
            out |= zip(columns["sku"].tolist(), columns["cause"].tolist(), strict=True)
        elif table is schema.CHANNELS or table is schema.NODES:
            out |= dict.fromkeys((*expected.skus(), *expected.bound), int(Cause.CATALOGUE))
    return out


def _of_moved_orders(state: State, moves: Mapping[str, Any]) -> dict[int, int]:
    """The SKUs that orders of a limited number of nodes, or that are to be complete, wait for, where any of their units
    moved: what a line waits for goes by the others. Each with a cause."""
    book = state.book
    order, first = np.unique(book.lines.order[book.parts.line[moves["part"]]], return_index=True)
    is_limited = (state.terms.nodes_max[order] > 0) | (state.terms.ship_complete[order] != 0)
    is_limited |= state.policies.split[book.orders.channel[order]] == 0
    order, first = order[is_limited].astype(np.int32), first[is_limited]
    if order.size == 0:
        return {}
    room = state.head(Head.WAITING_PARTS)
    sku, of = np.empty(room, np.int32), np.empty(room, np.int32)
    count = waiting_lines(order, book, sku, of)
    return dict(zip(sku[:count].tolist(), moves["cause"][first[of[:count]]].tolist(), strict=True))


def _changed_lines(state: State, before: Bound, after: Bound) -> Iterator[tuple[int, int, list[_Change]]]:
    """(order's number, line from 1, what changed) of each line that has units with another date than before."""
    before, after = _where_they_differ(before, after)
    number, position, due_at = (
        np.concatenate([getattr(before, name), getattr(after, name)]) for name in ("number", "position", "due_at")
    )
    units = np.concatenate([-before.units.astype(np.int64), after.units])
    if units.size == 0:
        return
    turn = np.lexsort((due_at, position, number))
    number, position, due_at, units = number[turn], position[turn], due_at[turn], units[turn]
    starts = (np.diff(number, prepend=0) != 0) | (np.diff(position, prepend=0) != 0) | (np.diff(due_at, prepend=0) != 0)
    at = np.flatnonzero(starts)
    more = np.add.reduceat(units, at)
    at, more = at[more != 0], more[more != 0]
    changed, names = np.isin(before.number, number[at]), ("number", "position", "waiting", "order")
    columns = (getattr(before, name)[changed].tolist() for name in names)
    waited = {line[:2]: line[2:] for line in zip(*columns, strict=True)}
    lines: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for of, line, due, change in zip(*(column[at].tolist() for column in (number, position, due_at)), more.tolist(),
                                     strict=True):  # fmt: skip
        lines.setdefault((of, line), []).append((due, change))
    for key, changes in lines.items():
        gone = 0
        if key in waited:
            units_before, row = waited[key]
            gone = max(0, units_before - _waiting(state, row, *key))
        yield *key, list(_matched(changes, gone))


def _where_they_differ(before: Bound, after: Bound) -> tuple[Bound, Bound]:
    """Bindings without those at their beginnings and ends that are the same, which is most of them most of the time."""
    size = min(before.units.size, after.units.size)
    names = ("number", "position", "due_at", "units")
    pairs = [(getattr(before, name), getattr(after, name)) for name in names]
    first = _equal_rows([(old[:size], new[:size]) for old, new in pairs])
    rest = size - first
    last = _equal_rows([(old[::-1][:rest], new[::-1][:rest]) for old, new in pairs])
    return tuple(Bound(*(column[first : column.size - last] for column in bound)) for bound in (before, after))  # type: ignore[return-value]


def _equal_rows(pairs: list[tuple[Any, Any]]) -> int:
    """How many rows are equal until the first that is not."""
    differs = np.zeros(pairs[0][0].size, bool)
    for old, new in pairs:
        differs |= old != new
    return int(differs.argmax()) if differs.any() else differs.size


def _waiting(state: State, row: int, number: int, position: int) -> int:
    """Units of a line that wait now."""
    orders = state.book.orders
    if orders.number[row] != number or orders.kind[row] == OrderKind.FREE:
        return 0
    return int(waiting_units(row, position, state.book))


def _matched(changes: list[tuple[int, int]], gone: int) -> Iterator[_Change]:
    """What changed, date by date, as units that go from one date to another. changes: (due, units more or less), by
    date; gone: units of the line that wait no more, of which those with the earliest dates had a promise.
    """
    lost = [[due, -units] for due, units in changes if units < 0]
    won = [[due, units] for due, units in changes if units > 0]
    for date in lost:
        units = min(date[1], gone)
        if units:
            date[1] -= units
            gone -= units
            yield units, date[0], 0, False
    lost = [date for date in lost if date[1]]
    while lost or won:
        units = min(side[0][1] for side in (lost, won) if side)
        yield units, lost[0][0] if lost else 0, won[0][0] if won else 0, True
        for side in (lost, won):
            if side:
                side[0][1] -= units
                if side[0][1] == 0:
                    del side[0]
