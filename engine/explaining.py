"""Why these nodes: what an order's record says of its decision, with the nodes as they stand beside it.

`decided` gathers the facts between two commits, `explained` makes the explanation of them. What had units, the metres
to the nodes that gave, and the rule are the record's; the ranking of the others and the channel's group are today's,
and where they may have been others, `may_have_changed` says so.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import pyarrow as pa

from engine.answers import NULL_OPTION, FirstAnswers
from engine.apply import PLACE_BITS, PLACE_MASK, hash_keys
from engine.commit import find_locations
from engine.history import History, Kind
from engine.journal import JournalStore
from engine.outcomes import Method
from engine.ragged import offsets, owners
from engine.reading import Elsewhere
from engine.reasons import full_nodes, passed_nodes
from engine.sourcing import read
from engine.state import State
from engine.supply import promised_to
from kernels.columns import NO_NODE, NONE, Rule
from kernels.keys import ABSENT

PASSED_MAX = 64  # nodes that one line names as passed over


class Choice(IntEnum):
    """Which step of the rule chose an order's nodes."""

    NOT_NOTED = 0
    ONE_NODE = 1  # the nearest that can give everything, of the preferred ones where one can
    PAIR = 2  # no node can; the first pair that covers it
    GREEDY = 3  # no pair can either, or not all can be given: who gives most, one after another
    NO_NODE = 4  # none gives anything
    LEAST_COST = 5  # a plan over a whole batch
    PRICED = 6  # what the shipments cost and what stock is worth to orders to come


class Why(IntEnum):
    """Why a node gave nothing to a line though it is nearer than one that did."""

    NO_STOCK = 1  # no units of the SKU, or all of them kept for other channels
    SPLIT = 2  # it had units, but with it the order would have left from more nodes, or from nodes farther on
    PRICE = 3  # it had units, and by the plan over the batch, or by prices of stock, others get them for less
    NOT_IN_GROUP = 4
    NODE_CLOSED = 5
    CHANNEL_CLOSED = 6
    PREFERRED = 7  # it had units, maybe all; the channel prefers the node that gave
    NODE_FULL = 8  # it had units, but of its day's capacity too little for the whole order


@dataclass(frozen=True)
class DecidedLine:
    """A line as it was decided."""

    sku: int
    units: int
    parts: tuple[tuple[int, int, int], ...]  # (node, units, metres); NO_NODE: short
    passed: set[int]  # nodes with units that gave none to the line, as far as those that did
    extra_cost: int | None  # minor units


@dataclass(frozen=True)
class Decided:
    """The facts of one decision. Indices are the catalogue's."""

    number: int  # 0: refused
    outcome: int  # kernels.columns.Outcome
    rule: Rule
    sequence: int  # the commit that took the order
    decided_in: int  # the commit that chose its nodes: its reservation's, where it keeps that one's units
    reservation: int  # number of the reservation that it was; 0: none
    nodes_max: int  # it may leave from together; 0: any number
    ship_complete: bool  # all units or none
    lines: tuple[DecidedLine, ...]
    full: set[int]  # nodes that had no capacity left for the order
    metres: list[int]  # [node] today
    ranked: list[int]  # nodes, the nearest first, today
    barred: dict[int, Why]  # nodes that may not give to the channel today
    preferred: set[int]  # nodes that the channel asks first, today
    groups_since: int  # the commit since which these are known to be so
    now: dict[tuple[int, int], int] | None  # units by (line from 1, node), today; None: the order is not open
    expected: tuple[tuple[int, int, int, int, int], ...]  # (line from 1, units, due at UTC us, node, reference), today


@dataclass(frozen=True)
class PassedOver:
    node: int
    rank: int  # from 1
    metres: int
    why: Why


@dataclass(frozen=True)
class ExplainedPart:
    node: int  # NO_NODE: short
    units: int
    rank: int  # from 1; 0 where short
    metres: int
    extra_metres: int  # more than from the nearest node that had units of the SKU


@dataclass(frozen=True)
class ExplainedLine:
    sku: int
    units: int
    parts: tuple[ExplainedPart, ...]
    passed: tuple[PassedOver, ...]  # by rank, PASSED_MAX at most
    passed_more: int  # nodes beyond these
    extra_cost: int | None


@dataclass(frozen=True)
class Explanation:
    choice: Choice
    may_have_changed: bool
    lines: tuple[ExplainedLine, ...]


def decided(
    state: State, first_answers: FirstAnswers, channel: int, order_id: str, is_reservation: bool
) -> Decided | Elsewhere:
    """The decision about an order or a reservation whose key is known, open or not. For the writer's thread."""
    method = Method.RESERVE if is_reservation else Method.PLACE_ORDER
    key = hash_keys(state, np.array([channel], np.int16), method, pa.array([order_id], pa.string()))
    location, row = (int(found[0]) for found in find_locations(state, key))
    if location == ABSENT:
        return Elsewhere.UNKNOWN
    sequence, place = location >> PLACE_BITS, location & PLACE_MASK
    record = first_answers.orders_of(sequence)
    if record is None:
        return Elsewhere.IN_VIEWS
    orders, lines, parts = record.orders, record.lines, record.parts
    decided_in = _option(orders, "decided_in", place)
    number, code = int(orders["number"][place]), int(orders["postal_code"][place])
    taken = []
    for at in range(record.first_line[place], record.first_line[place + 1]):
        of_line = slice(record.first_part[at], record.first_part[at + 1])
        columns = (parts[name][of_line].tolist() for name in ("node", "quantity", "metres"))
        taken.append(
            DecidedLine(
                int(lines["sku"][at]), int(lines["quantity"][at]), tuple(zip(*columns, strict=True)),
                passed_nodes(lines, at), _option(lines, "extra_cost", at),
            )
        )  # fmt: skip
    nodes = state.node_count
    return Decided(
        number, int(orders["outcome"][place]), Rule(_option(orders, "rule", place) or 0), sequence,
        sequence if decided_in is None else decided_in, int(orders["reservation"][place]),
        _option(orders, "nodes_max", place) or 0, bool(_option(orders, "ship_complete", place)), tuple(taken),
        full_nodes(orders, place),
        state.places.metres[code, :nodes].tolist(), state.places.rank[code, :nodes].tolist(), _barred(state, channel),
        {node for node in range(nodes) if _has_bit(state.policies.preferred, channel, node)},
        int(state.groups_since[channel]), units_now(state, row, number),
        promised_to(state, number, (line.sku for line in taken)) if number else (),
    )  # fmt: skip


def _option(columns: Any, name: str, row: int) -> int | None:
    value = int(columns[name][row]) if name in columns else NULL_OPTION[name]
    return None if value == NULL_OPTION[name] else value


def _has_bit(words: Any, channel: int, node: int) -> bool:
    return bool(int(words[channel, node >> 6]) >> (node & 63) & 1)


def _barred(state: State, channel: int) -> dict[int, Why]:
    barred = {}
    for node in range(state.node_count):
        if not _has_bit(state.groups, channel, node) or _has_bit(state.excluded, channel, node):
            barred[node] = Why.NOT_IN_GROUP
        elif not state.nodes.flag[node]:
            barred[node] = Why.NODE_CLOSED
        elif state.closed[channel]:
            barred[node] = Why.CHANNEL_CLOSED
    return barred


def units_now(state: State, row: int, number: int) -> dict[tuple[int, int], int] | None:
    """Units of an order by (line from 1, node), in whatever stage; None where the row is not the order's any more."""
    if not number or row == NONE or state.book.orders.number[row] != number:
        return None
    held = read(state, np.array([row], np.int32))
    units: dict[tuple[int, int], int] = {}
    for line, node, quantity in zip(
        (owners(offsets(held.part_count)) + 1).tolist(), held.node.tolist(), held.part_quantity.tolist(), strict=True
    ):
        units[line, node] = units.get((line, node), 0) + quantity
    return units


# What follows from the facts


def explained(order: Decided) -> Explanation:
    """The explanation of a decision."""
    given = [(node, metres) for line in order.lines for node, _, metres in line.parts if node != NO_NODE]
    moved = any(metres != order.metres[node] for node, metres in given)
    rank = {node: k for k, node in enumerate(order.ranked, 1)}
    return Explanation(
        choice_of(order), moved or order.decided_in < order.groups_since,
        tuple(_explained_line(order, line, rank) for line in order.lines),
    )  # fmt: skip


def choice_of(order: Decided) -> Choice:
    """Which step it was: a pair comes before greed, so two nodes that cover an order are one."""
    if order.rule is not Rule.NEAREST:
        return Choice[order.rule.name]
    nodes = {node for line in order.lines for node, *_ in line.parts}
    is_short = NO_NODE in nodes or any(not line.parts for line in order.lines)
    given = len(nodes - {NO_NODE})
    if given == 0:
        return Choice.NO_NODE
    if is_short or given > 2:
        return Choice.GREEDY
    return Choice.ONE_NODE if given == 1 else Choice.PAIR


def _explained_line(order: Decided, line: DecidedLine, rank: dict[int, int]) -> ExplainedLine:
    given = {node: metres for node, _, metres in line.parts if node != NO_NODE}
    is_short = len(given) < len(line.parts) or not line.parts
    noted = order.rule is not Rule.NOT_NOTED
    reach = max((rank[node] for node in given), default=0) - 1
    reach = (len(order.ranked) if is_short else reach) if noted else 0
    nearest = min([*given.values(), *(order.metres[node] for node in line.passed)], default=0)
    passed = tuple(
        PassedOver(node, rank[node], order.metres[node], _why(order, line, node))
        for node in order.ranked[:reach]
        if node not in given
    )
    parts = tuple(
        ExplainedPart(node, units, rank[node], metres, metres - nearest if noted else 0)
        if node != NO_NODE
        else ExplainedPart(NO_NODE, units, 0, 0, 0)
        for node, units, metres in line.parts
    )
    more = max(0, len(passed) - PASSED_MAX)
    return ExplainedLine(line.sku, line.units, parts, passed[:PASSED_MAX], more, line.extra_cost)


def _why(order: Decided, line: DecidedLine, node: int) -> Why:
    if node in line.passed and node in order.full:
        return Why.NODE_FULL
    if node in line.passed:
        given = {giver for giver, *_ in line.parts}
        if choice_of(order) is Choice.ONE_NODE and given <= order.preferred and node not in order.preferred:
            return Why.PREFERRED
        return Why.SPLIT if order.rule is Rule.NEAREST else Why.PRICE
    return order.barred.get(node, Why.NO_STOCK)


# What became of it since


@dataclass(frozen=True)
class MovedSince:
    """Units that a node allocated to the order after it was decided, or released."""

    sequence: int
    stamp: int  # UTC us
    sku: int
    node: int
    units: int
    cause: int  # engine.outcomes.Cause
    released: bool


def are_elsewhere(order: Decided) -> bool:
    """Whether units are at other nodes than decided, or may be."""
    if order.now is None:
        return order.number != 0
    units: dict[tuple[int, int], int] = {}
    for position, line in enumerate(order.lines, 1):
        for node, quantity, _ in line.parts:
            units[position, node] = units.get((position, node), 0) + quantity
    return units != order.now


def moved_since(journal: JournalStore, order: Decided) -> Iterator[MovedSince]:
    """That, from a journal read record by record: for folders that nobody serves. JournalMissing."""
    history = History()
    for record in journal.read(order.sequence + 1):
        for _, columns in history.read(record, frozenset({"movements"})):
            mine = (columns["reference"] == order.number) & np.isin(columns["kind"], (Kind.ALLOCATED, Kind.RELEASED))
            for at in np.flatnonzero(mine):
                sku, node, units, cause, kind = (
                    int(columns[name][at]) for name in ("sku", "node", "quantity", "cause", "kind")
                )
                yield MovedSince(record.sequence, record.stamp, sku, node, units, cause, kind == Kind.RELEASED)
