"""The file job: orders, nodes and stock from files through an engine, decisions and rejects out to files.

The same engine decides whether it stands over a data folder or over memory that is thrown away. What a folder already
knows is left alone, so a second run of the same files changes nothing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from engine.answers import NULL_I64, OrderAnswers
from engine.apply import hash_keys
from engine.capacity import day_columns, no_day_terms
from engine.columns import Limits
from engine.commands import (
    ORDER_OPTIONS,
    MoveStock,
    Parts,
    PlaceOrders,
    PutChannels,
    PutNames,
    PutNodes,
    PutPostalCodes,
)
from engine.commit import find_locations
from engine.costs import Model, Priced, RateCosts, Shipped, asked_for, service_costs, serving
from engine.intake.decisions import POSTAL_AREA, DecisionWriter
from engine.intake.nodes import NodeFile
from engine.intake.orders import OrderFile
from engine.intake.rate_card import RateCard, kilometres
from engine.intake.rejects import Rejects
from engine.intake.stock import StockFile
from engine.intake.tables import IntakeError
from engine.journal.memory import MemoryJournal
from engine.outcomes import Method, MovementKind, Namespace, Reply
from engine.planning import Demand, Plan, extra_cost, plan
from engine.ragged import distinct, elements, grouped, offsets, owners
from engine.rates.card import ServiceCard
from engine.rates.tariff import Tariff
from engine.replanning import in_order_of_nodes, on_terms
from engine.sourcing import draw, on_day, rehearsal
from engine.state import Coordinates, State
from engine.stock_fees import count_fees, stock_fees, with_stock_fees
from engine.terms import TERMS, asked
from engine.writer import Engine, Pending
from kernels.columns import NO_NODE, NODES_MAX, Batch, Capacity, Figure, OnShort, Outcome
from kernels.keys import ABSENT

BATCH_ORDERS = 16_384
STOCK_SOURCE = "file"
_WORDS = ("currency", "payment_method", "service_level")
_REFUSALS = {
    Reply.KEY_CONFLICT: "the order id was used before with other content",
    Reply.REFUSED: "units were short, and the channel refuses such orders",
    Reply.ANSWER_ARCHIVED: "known before, its answer is in a segment that was moved away: put it back into archive/",
}


def memory_engine() -> Engine:
    """An engine that forgets: for stateless jobs. Its secret is no secret, since nothing outlives the job."""
    state = State(np.arange(4, dtype=np.uint64), Limits())
    return Engine(state, MemoryJournal(), publish=False)


@dataclass
class Summary:
    """What came of a job."""

    orders: int = 0
    lines: int = 0
    units: int = 0
    allocated_units: int = 0
    short_units: int = 0
    capacity_short_units: int = 0  # of these, such as nodes with a limit still have
    split_orders: int = 0
    shipments: int = 0
    rejected_lines: int = 0
    repeated_orders: int = 0  # known to the folder before: answered as the first time
    unplanned_orders: int = 0  # decided by nearest though they were planned: their plan did not fit
    postal_area_orders: int = 0  # placed by the first three digits of their postal code
    mean_distance_m: int | None = None  # over allocated units
    cost: int | None = None
    stock_fees: int | None = None  # what balance and age of stock count in a plan beside the cost; nobody pays it
    uncarried_units: int = 0  # allocated, but no service of the card carries them: in the cost they are short
    unserved_orders: int = 0  # that no service carries from any node, whatever is in stock
    late_to_ship: int | None = None  # orders that leave after ship_by; None where card or orders have no dates
    late_to_deliver: int | None = None  # orders that arrive on a day after that of their deliver_by
    bound: int | None = None  # no allocation costs less; None where not all orders were planned and taken
    gap: float | None = None  # cost / bound - 1
    stock_rejects: int = 0
    stock_statement: str = "none"
    changed: bool = False
    sequence: int = 0
    notes: list[str] = field(default_factory=list)


class Shipments:
    """Shipments counted batch by batch: all units of one order that leave one node together."""

    def __init__(self, nodes: Coordinates, grams: Any = None) -> None:
        """grams: int64 [line of the file] of a unit, where shipments are to be weighed."""
        self._nodes = nodes  # the engine's: answers name nodes by its indices, which are not the file's
        self._places: list[Any] = [np.empty((2, 0), np.int32)]
        self._units: list[Any] = [np.empty(0, np.int64)]
        self._node: list[Any] = [np.empty(0, np.int64)]
        self._metres: list[Any] = [np.empty(0, np.int32)]
        self._order: list[Any] = [np.empty(0, np.int64)]
        self._grams: list[Any] = [np.empty(0, np.int64)]
        self._unit_grams, self._orders, self._lines = grams, 0, 0  # orders and lines of the batches so far
        self.split_orders = 0
        self.short_units = 0

    def add(self, orders: OrderFile, answers: OrderAnswers, order: Any, line: Any) -> None:
        """order, line: of each part, its row in this batch. Batches come in the file's order."""
        given = answers.node != NO_NODE
        units = answers.part_quantity.astype(np.int64)
        self.short_units += int(units[~given].sum())
        key = order[given] * NODES_MAX + answers.node[given]
        pairs, first, owner = grouped(key)
        order_of = pairs // NODES_MAX
        self.split_orders += int((np.bincount(order_of) > 1).sum()) if pairs.size else 0
        self._places.append(np.stack([orders.latitude_e7[order_of], orders.longitude_e7[order_of]]))
        self._units.append(np.bincount(owner, units[given], pairs.size).astype(np.int64))
        self._node.append(pairs % NODES_MAX)
        self._metres.append(answers.metres[given][first])
        self._order.append(self._orders + order_of)
        if self._unit_grams is not None:
            grams = np.zeros(pairs.size, np.int64)
            np.add.at(grams, owner, units[given] * self._unit_grams[self._lines + line[given]])
            self._grams.append(grams)
        self._orders, self._lines = self._orders + len(orders.order_id), self._lines + orders.quantity.size

    @property
    def units(self) -> Any:
        """int64 [shipment] units."""
        return np.concatenate(self._units)

    @property
    def node(self) -> Any:
        """int64 [shipment] the engine's index of the node."""
        return np.concatenate(self._node)

    @property
    def metres(self) -> Any:
        """int32 [shipment] whole metres from the node."""
        return np.concatenate(self._metres)

    def shipped(self) -> Shipped:
        """As a model of costs wants them."""
        count = self.units.size
        grams = np.zeros(count, np.int64) if self._unit_grams is None else np.concatenate(self._grams)
        return Shipped(np.concatenate(self._order), self.node, self.units, grams, self.kilometres())

    def kilometres(self) -> Any:
        """float64 [shipment] not rounded, as a rate card wants them."""
        places, node = np.concatenate(self._places, axis=1) / 1e7, self.node
        return kilometres(
            places[0], places[1], self._nodes.latitude_e7[node] / 1e7, self._nodes.longitude_e7[node] / 1e7
        )


def put_nodes(engine: Engine, nodes: NodeFile, stamp: int) -> tuple[Any, pa.StringArray]:
    """Make the folder's nodes those of the file: what differs is changed, what the file does not name is closed.

    Returns the file's nodes as indices, and the nodes that were closed: they keep what is bound to them, and allocate
    nothing more until a file names them again.
    """
    state, names = engine.state, engine.state.names[Namespace.NODE]
    known = names.find(nodes.node_id)
    other_terms = np.flatnonzero((known >= 0) & (state.days.terms[known] != nodes.terms).any(axis=1))
    differs = _differing(state, Namespace.NODE, nodes.node_id, nodes.latitude_e7, nodes.longitude_e7)
    differs = np.union1d(differs, other_terms)
    absent = np.setdiff1d(np.flatnonzero(state.nodes.flag[: state.node_count]), known).astype(np.int32)
    closed = names.texts(absent)
    if differs.size or absent.size:
        engine.commit(
            PutNodes(
                f"file nodes {state.sequence}",
                pa.concat_arrays([nodes.node_id.take(pa.array(differs)), closed.cast(nodes.node_id.type)]),
                np.append(nodes.latitude_e7[differs], state.nodes.latitude_e7[absent]),
                np.append(nodes.longitude_e7[differs], state.nodes.longitude_e7[absent]),
                np.repeat(np.array([1, 0], np.uint8), (differs.size, absent.size)),
                **day_columns(np.concatenate([nodes.terms[differs], no_day_terms(absent.size)])),
            ),
            stamp,
        )
    return names.find(nodes.node_id).astype(np.int16), closed


def _differing(state: State, namespace: Namespace, texts: pa.Array, latitude_e7: Any, longitude_e7: Any) -> Any:
    """Rows whose name is new, whose place is not the one that the state has, or whose node is closed; the first of
    equal names."""
    index = state.names[namespace].find(texts)
    place: Coordinates = state.nodes if namespace is Namespace.NODE else state.postal_codes
    differs = (index < 0) | (place.latitude_e7[index] != latitude_e7) | (place.longitude_e7[index] != longitude_e7)
    if namespace is Namespace.NODE:
        differs |= place.flag[index] == 0  # closed
    rows = np.flatnonzero(differs)
    if rows.size == 0:
        return rows
    _, first = np.unique(texts.take(pa.array(rows)).dictionary_encode().indices.to_numpy(), return_index=True)
    return rows[np.sort(first)]


def check_channels(engine: Engine, path: Path, orders: OrderFile) -> None:
    """Raise IntakeError where the engine cannot hold the channels of the file: before anything is changed."""
    names, most = engine.state.names[Namespace.CHANNEL], engine.state.limits.channels_max
    channels = orders.channel.unique()
    new = int((names.find(channels) < 0).sum())
    if new and len(names) + new > most:
        raise IntakeError(
            f"{path}: channel: {len(channels):,} channels, {new:,} of them new; with the {len(names):,} that are known"
            f" there may be {most:,}: is it the right column?"
        )


def put_catalogue(engine: Engine, orders: OrderFile, stamp: int) -> None:
    """Name what the orders name: channels, postal codes, SKUs, and the words of their optional columns."""
    state, at = engine.state, engine.state.sequence
    channels = orders.channel.unique()
    new = channels.filter(pa.array(state.names[Namespace.CHANNEL].find(channels) < 0))
    if len(new):
        zeros, ones = np.zeros(len(new), np.int32), np.ones(len(new), np.uint8)
        engine.commit(
            PutChannels(
                f"file channels {at}", new, np.full((len(new), 4), np.iinfo(np.uint64).max, np.uint64), zeros,
                np.full(len(new), OnShort.KEEP, np.uint8), ones, zeros + 1_000_000, zeros,
                zeros + np.iinfo(np.int32).max, zeros, zeros, np.zeros(len(new), np.uint8),
            ),
            stamp,
        )  # fmt: skip
    differs = _differing(state, Namespace.POSTAL_CODE, orders.postal_code, orders.latitude_e7, orders.longitude_e7)
    if differs.size:
        engine.commit(
            PutPostalCodes(
                f"file postal codes {at}", orders.postal_code.take(pa.array(differs)), orders.latitude_e7[differs],
                orders.longitude_e7[differs], orders.area[differs].astype(np.uint8),
            ),
            stamp,
        )  # fmt: skip
    put_names(engine, Namespace.SKU, orders.sku, stamp)
    for name in _WORDS:
        if name in orders.options:
            put_names(engine, Namespace.WORD, orders.options[name].drop_null(), stamp)


def put_names(engine: Engine, namespace: Namespace, texts: pa.Array, stamp: int) -> None:
    """Name texts that are not known yet."""
    distinct = texts.unique()
    new = distinct.filter(pa.array(engine.state.names[namespace].find(distinct) < 0))
    if len(new):
        engine.commit(PutNames(f"file names {namespace} {engine.state.sequence}", namespace, new), stamp)


def count_stock(engine: Engine, stock: StockFile, nodes: Any, counted_at: int, stamp: int) -> str:
    """Take the stock file as a statement of the figures on hand; returns taken, repeated, too old or unchanged."""
    put_names(engine, Namespace.SKU, stock.sku, stamp)
    put_names(engine, Namespace.SOURCE, pa.array([STOCK_SOURCE]), stamp)
    state = engine.state
    sku, node = state.names[Namespace.SKU].find(stock.sku), nodes[stock.node]
    content = xxhash.xxh3_128(sku.tobytes() + node.tobytes() + stock.on_hand.tobytes())
    rows = state.cells.row_of[sku]
    held = np.where(rows < 0, 0, state.cells.figures[rows, node, Figure.ON_HAND])
    differs = np.flatnonzero(held != stock.on_hand)
    source = int(state.names[Namespace.SOURCE].find(pa.array([STOCK_SOURCE]))[0])
    if differs.size == 0:
        return "unchanged"
    if counted_at < state.counted_at.get(source, counted_at):
        return "too old"
    command = MoveStock(
        f"file {content.hexdigest()} {counted_at}", sku[differs], node[differs],
        np.full(differs.size, MovementKind.COUNTED, np.uint8), stock.on_hand[differs], source, counted_at,
    )  # fmt: skip
    replies = engine.commit(command, stamp)
    known = replies.again[0] or replies.reply[0] in (Reply.KEY_CONFLICT, Reply.ANSWER_ARCHIVED)
    return "repeated" if known else "taken"


def check_card(card: ServiceCard, path: Path, orders: OrderFile, node_ids: list[str]) -> None:
    """Refuse a service card that leaves out something that these orders, from these nodes, need: before anything is
    changed. Raises IntakeError, which names it.
    """
    if card.shortage_penalty is None:
        raise IntakeError(f"{card.name}: shortage_penalty: is missing; give what a unit that is not sent costs")
    Tariff(card, node_ids).check_codes(orders.postal_code.unique())
    asked_for(card, len(orders.order_id), orders.options)
    skus = orders.sku.unique()
    named, grams = card.weights
    weight = np.append(grams, card.weight_g)[pa.compute.index_in(skus, named).fill_null(len(named)).to_numpy()]
    most = max(service.heaviest_g for service in card.services)
    if (weight > most).any():
        sku = skus[int(np.argmax(weight > most))].as_py()
        raise IntakeError(
            f"{card.name}: heaviest_g: a unit of SKU {sku!r} of {path} weighs {weight.max():,} g, and no service "
            f"carries more than {most:,} g; add one that does"
        )


def model_of(
    engine: Engine, orders: OrderFile, card: RateCard | ServiceCard, now: int, stock: StockFile, nodes: Any
) -> Model:
    """What the orders of a file cost, in an engine that knows their names and the stock.

    now: UTC us; nodes: int16 [node of the file] the engine's indices.
    """
    return replace(_model_of(engine, orders, card, now), stock_fees=_stock_fees(engine.state, card, stock, nodes))


def _stock_fees(state: State, card: RateCard | ServiceCard, stock: StockFile, nodes: Any) -> Any:
    skus, count = len(state.names[Namespace.SKU]), state.node_count
    age_days = np.zeros((skus, count), np.int32)
    if stock.age_days is not None:
        age_days[state.names[Namespace.SKU].find(stock.sku), nodes[stock.node]] = stock.age_days
    row = state.cells.row_of[:skus]
    return stock_fees(card, np.where(row[:, None] >= 0, state.cells.available[row, :count], 0), age_days)


def _model_of(engine: Engine, orders: OrderFile, card: RateCard | ServiceCard, now: int) -> Model:
    state = engine.state
    code = state.names[Namespace.POSTAL_CODE].find(orders.postal_code)
    channel = state.names[Namespace.CHANNEL].find(orders.channel)
    if isinstance(card, RateCard):
        return RateCosts(card, state, code, *serving(state, channel))
    wanted = asked_for(card, len(orders.order_id), orders.options)
    found = service_costs(state, card, code, channel, *wanted, state.names[Namespace.SKU].find(orders.sku), now)
    complete = orders.options.get("ship_complete")
    return found if complete is None else replace(found, complete=complete != 0)


def plan_orders(engine: Engine, orders: OrderFile, model: Model, stamp: int) -> Plan:
    """A plan of least cost for the orders that the engine does not know yet, over what each node may give at a moment,
    stamp, UTC us: who waits is served first where the day of a node has begun by then.

    Parts are those of the file's lines; a line of an order that is known has none. Cost and bound are those of the
    model. Raises TooManyUnits, TooManyRows.
    """
    engine.submit([], stamp).wait()
    state = on_day(engine.state, max(stamp, engine.state.stamp))
    names = state.names
    channel = names[Namespace.CHANNEL].find(orders.channel).astype(np.int16)
    keys = hash_keys(state, channel, Method.PLACE_ORDER, orders.order_id)
    new = np.flatnonzero(find_locations(state, keys)[0] == ABSENT)
    lines = elements(orders.first_line, new)
    sku = names[Namespace.SKU].find(orders.sku)[lines]
    terms = {name: orders.options[name][new] for name in TERMS if name in orders.options}
    batch = Batch(
        channel[new], names[Namespace.POSTAL_CODE].find(orders.postal_code)[new],
        offsets(np.diff(orders.first_line)[new]), sku, orders.quantity[lines], *asked(terms, new.size),
    )  # fmt: skip
    found = plan_batch(state, batch, model, new, lines)
    part_count, extra = np.zeros(len(orders.sku), np.int32), np.zeros(len(orders.sku), np.int64)
    part_count[lines], extra[lines] = found.parts.part_count, found.parts.extra_cost
    return replace(found, parts=replace(found.parts, part_count=part_count, extra_cost=extra))


def plan_batch(state: State, batch: Batch, model: Model, order: Any, line: Any) -> Plan:
    """A plan of least cost for a batch, over what the state's nodes have left; never dearer than nearest.

    order: int64 [order], line: int64 [line], their places in the model's list. Raises TooManyUnits, TooManyRows.
    """
    nodes = state.node_count
    named, sku_of = distinct(batch.sku)
    row = state.cells.row_of[batch.sku[named]]
    stock = np.where((row >= 0)[:, None] & (state.nodes.flag[:nodes] == 1), state.cells.available[row, :nodes], 0)
    demand = Demand(batch.first_line, np.empty(0, np.int32), sku_of, batch.quantity)
    priced = model.priced(order, line, demand)
    fees = None if model.stock_fees is None else model.stock_fees[batch.sku[named]]

    def cost(parts: Parts) -> float:
        """With the fees of stock."""
        return model.cost(priced, order, line, parts) + (
            0.0 if fees is None else count_fees(priced.demand, fees, parts)
        )

    found = model.settled(priced, order, line, stock, _planned(priced, stock, fees, state.capacity))
    if fees is not None:
        found = replace(found, cost=cost(found.parts))
    about = model.about(priced, state.places.metres[batch.postal_code, :nodes])
    parts = on_terms(state, batch, found.parts, about, row, found.prices, partial(model.carries, priced))
    parts = model.sent(priced, order, line, parts)
    if parts is not found.parts:
        found = replace(found, parts=parts, cost=cost(parts))
    rehearsed = _rehearsed(state, batch)
    if rehearsed is not None:  # where nearest costs less, what it does is the plan: least cost is never the dearer one
        nearest = model.sent(priced, order, line, rehearsed)
        if (its := cost(nearest)) < found.cost:
            found = replace(found, parts=nearest, cost=its, spared=0)
    if found.parts.extra_cost is None:
        paid = extra_cost(priced.demand, priced.costs, stock, found.parts)
        found = replace(found, parts=replace(found.parts, extra_cost=paid))
    return found


def _planned(priced: Priced, stock: Any, fees: Any, capacity: Capacity) -> Plan:
    """fees: float64 [row of the stock, node] of a unit, or None."""
    demand, costs, under = priced.demand, priced.costs, priced.under
    if fees is not None:
        demand, costs, under = with_stock_fees(demand, costs, under, fees)
    return plan(demand, costs, stock, under=under, capacity=capacity)


def _rehearsed(state: State, batch: Batch) -> Parts | None:
    """What nearest would do; None where it refuses orders: the costs of the others do not compare."""
    drawn = draw(rehearsal(state), batch)
    return None if (drawn.outcome == Outcome.REFUSED).any() else in_order_of_nodes(drawn)


def commands(
    engine: Engine, orders: OrderFile, with_options: bool, planned: Plan | None = None
) -> Iterator[tuple[OrderFile, PlaceOrders]]:
    """The orders in batches, their texts as indices."""
    names = engine.state.names
    for start in range(0, len(orders.order_id), BATCH_ORDERS):
        stop = min(start + BATCH_ORDERS, len(orders.order_id))
        batch = orders.slice(start, stop)
        options: dict[str, Any] = {}
        for name in TERMS:
            if name in batch.options:
                options[name] = batch.options[name]
        if with_options:
            if (batch.placed_at != NULL_I64).any():
                options["placed_at"] = batch.placed_at
            for name, column in batch.options.items():
                if name in _WORDS:
                    column = names[Namespace.WORD].find(column).astype(np.int16)
                elif name in ORDER_OPTIONS and not isinstance(column, np.ndarray):
                    column = column.fill_null("")
                options[name] = column
        yield batch, PlaceOrders(
            batch.order_id, names[Namespace.CHANNEL].find(batch.channel).astype(np.int16),
            names[Namespace.POSTAL_CODE].find(batch.postal_code), batch.first_line - batch.first_line[0],
            names[Namespace.SKU].find(batch.sku), batch.quantity, options,
            planned.parts.take(np.arange(orders.first_line[start], orders.first_line[stop])) if planned else None,
        )  # fmt: skip


def allocate(
    engine: Engine, orders: OrderFile, stamp: int, with_options: bool, progress: Callable[[int], None],
    planned: Plan | None = None,
) -> list[tuple[OrderFile, Pending]]:  # fmt: skip
    """Send the orders through the engine, batch behind batch. progress: called with the orders of each."""
    out = []
    for batch, command in commands(engine, orders, with_options, planned):
        out.append((batch, engine.submit([command], stamp)))
        progress(len(batch.order_id))
    if out:
        out[-1][1].wait()
    return out


def stock_fees_of(model: Model, answered: list[tuple[OrderFile, Pending]]) -> int | None:
    """What balance and age of stock come to, minor units; None where the card has no such terms."""
    if model.stock_fees is None:
        return None
    total = 0.0
    for _, pending in answered:
        answers: OrderAnswers = pending.wait()[0]
        given = answers.node != NO_NODE
        sku = answers.sku[owners(answers.first_part)[given]]
        total += float((answers.part_quantity[given] * model.stock_fees[sku, answers.node[given]]).sum())
    return round(total)


def short_for_capacity(engine: Engine, answered: list[tuple[OrderFile, Pending]]) -> int:
    """Units that are short though nodes with a limit have them: on their day there was no room for the orders."""
    state = engine.state
    limited = np.flatnonzero(state.days.limited[: state.node_count])
    if limited.size == 0:
        return 0
    short = np.zeros(len(state.names[Namespace.SKU]), np.int64)
    for _, pending in answered:
        answers: OrderAnswers = pending.wait()[0]
        is_short = answers.node == NO_NODE
        np.add.at(short, answers.sku[owners(answers.first_part)[is_short]], answers.part_quantity[is_short])
    sku = np.flatnonzero(short)
    row = state.cells.row_of[sku]
    left = np.where(row < 0, 0, state.cells.available[row][:, limited].sum(axis=1, dtype=np.int64))
    return int(np.minimum(short[sku], left).sum())


def count_unplanned(answered: list[tuple[OrderFile, Pending]], planned: Plan) -> int:
    """Orders that have other nodes than they were planned to have. Those that were known before had no plan."""
    count, line = 0, 0
    for batch, pending in answered:
        answers: OrderAnswers = pending.wait()[0]
        parts = planned.parts.take(np.arange(line, line + batch.quantity.size))
        line += batch.quantity.size
        line_of = _file_lines(batch, answers)[owners(answers.first_part)]
        asked = owners(offsets(parts.part_count)) * (NODES_MAX + 1) + parts.node + 1
        given = line_of * (NODES_MAX + 1) + answers.node + 1
        place, units = np.unique(np.concatenate([asked, given]), return_inverse=True)
        units = np.bincount(units, np.concatenate([parts.quantity, -answers.part_quantity]), place.size)
        differs = np.unique(owners(batch.first_line)[place[units != 0] // (NODES_MAX + 1)])
        count += int((~answers.again[differs]).sum())
    return count


def _file_lines(batch: OrderFile, answers: OrderAnswers) -> Any:
    """Of each line of the answers, its place in the batch. Orders that are not there may have no lines."""
    return elements(batch.first_line - batch.first_line[0], np.flatnonzero(np.diff(answers.first_line)))


def write_answers(
    engine: Engine, answered: list[tuple[OrderFile, Pending]], writer: DecisionWriter | None, rejects: Rejects,
    shipments: Shipments, summary: Summary,
) -> None:  # fmt: skip
    """Answers as decisions, one row a part of a line, where there is a writer; refused orders as rejects."""
    for batch, pending in answered:
        answers: OrderAnswers = pending.wait()[0]
        refused = np.flatnonzero(np.isin(answers.reply, list(_REFUSALS)))
        for order in refused:
            reply = Reply(int(answers.reply[order]))
            for line in range(
                batch.first_line[order] - batch.first_line[0], batch.first_line[order + 1] - batch.first_line[0]
            ):
                rejects.add(
                    int(batch.row[line]), "order_id", batch.order_id[order].as_py(), reply.name, _REFUSALS[reply]
                )
        accepted = np.flatnonzero(~np.isin(answers.reply, list(_REFUSALS)))
        summary.orders += accepted.size
        summary.repeated_orders += int(answers.again[accepted].sum())
        summary.postal_area_orders += int(batch.area[accepted].sum())
        lines = elements(answers.first_line, accepted)
        summary.lines += lines.size
        summary.units += int(answers.quantity[lines].sum(dtype=np.int64))
        if writer is not None:
            writer.append(_decision_rows(engine.state, batch, answers))
        line_of = owners(answers.first_part)
        shipments.add(batch, answers, owners(answers.first_line)[line_of], _file_lines(batch, answers)[line_of])


def _decision_rows(state: State, batch: OrderFile, answers: OrderAnswers) -> pa.RecordBatch:
    line_of = owners(answers.first_part)
    order_of = owners(answers.first_line)[line_of]
    file_line = _file_lines(batch, answers)[line_of]
    short = answers.node == NO_NODE
    area = pa.array(batch.area[order_of])
    return pa.record_batch(
        {
            "order_id": batch.order_id.take(pa.array(order_of)),
            "line": pa.array(batch.line[file_line]),
            "sku": batch.sku.take(pa.array(file_line)),
            "quantity": pa.array(answers.part_quantity),
            "node_id": state.names[Namespace.NODE].texts(answers.node.astype(np.int32)),
            "outcome": pa.DictionaryArray.from_arrays(pa.array(short.astype(np.int8)), ["ALLOCATED", "SHORT"]).cast(
                pa.string()
            ),
            "note": pa.compute.if_else(area, POSTAL_AREA, pa.scalar(None, pa.string())),
            "distance_m": pa.array(answers.metres, mask=short),
        }
    )
