"""Promises of a running server: carts of a request or of an Arrow batch, looked at between two commits, then dated and
priced by the service card (engine/promise.py).

A batch is looked at a slice at a time, so that the writer waits a millisecond or two for it, and no longer.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
import numpy as np
import pyarrow as pa

from engine.outcomes import Namespace
from engine.promise import Foreseen, foresee, promise
from engine.ragged import elements, offsets, owned, owners
from engine.rates.card import ServiceCard
from engine.rates.tariff import CardHole, Tariff
from engine.writer import Engine
from kernels.columns import NO_NODE, NONE, Batch, no_terms
from kernels.promise import Promised
from server.batcher import Batcher
from server.batches import (
    FIELD_WORDS,
    REASON_WORDS,
    OrderBatches,
    Sieve,
    Taken,
    check_texts,
    columns_of,
    from_list,
    part_structs,
)
from server.errors import Rejection
from server.ipc import read_batch
from server.streams import when_there_is_room

LOOK_CARTS_MAX, LOOK_LINES_MAX = 1024, 4096  # of one look: the lines of one cart more, at most
BATCH_LOOKS_MAX = 4  # that wait at once: they are made in one turn
HERE_CARTS_MAX = 8  # dated in the event loop
NEEDED = ("channel", "postal_code", "lines")
TEXTS = ("channel", "postal_code")
CASH = "cash_on_delivery"


@dataclass
class TakenCarts(Taken):
    """A batch of carts that was read; `command` stays empty."""

    batch: Batch | None = None  # of those accepted; None: nothing was
    cash: Any = None  # uint8 [accepted cart]


class CartBatches(OrderBatches):
    """Reads batches of carts, as batches of orders are read."""

    def read(self, data: bytes, bound_channel: str = "") -> TakenCarts:
        """The carts of a message. Raises Rejection where nothing of it can be taken. Where `unplaced` has anything,
        name it and read the batch again.
        """
        batch = read_batch(data, self._orders_max, self._lines_max)
        columns = columns_of(batch, NEEDED, TEXTS, flags=(CASH,))
        lines, first_line = self._lines(columns["lines"])
        count = batch.num_rows
        sieve = Sieve(np.zeros(count, np.uint8), np.zeros(count, np.uint8))
        taken = TakenCarts(count, np.empty(0, np.int64), None, sieve)
        check_texts(sieve, columns)
        channel = self._channels(sieve, columns["channel"], bound_channel)
        postal_code = self._postal_codes(taken, columns["postal_code"])
        sku, quantity = self._check_lines(sieve, columns["lines"], lines, first_line)
        cash = np.zeros(count, np.uint8)
        if CASH in columns:
            cash = columns[CASH].fill_null(False).cast(pa.uint8()).to_numpy()
        rows = taken.accepted = np.flatnonzero(sieve.reason == 0)
        if rows.size:
            kept = elements(first_line, rows)
            taken.batch = Batch(
                channel[rows], owned(postal_code[rows]), offsets(np.diff(first_line)[rows]), owned(sku[kept]),
                owned(quantity[kept]), *no_terms(rows.size),
            )  # fmt: skip
            taken.cash = cash[rows]
        return taken


@dataclass(frozen=True)
class Answer:
    """What is promised for some carts."""

    card: ServiceCard
    batch: Batch
    foreseen: Foreseen
    promised: Promised


class Promising:
    """Promises by one card. `card`: None where the server has none."""

    def __init__(
        self, batcher: Batcher, card: ServiceCard | None, dating: Executor, clock: Callable[[], float] = time.time
    ) -> None:
        """dating: where many carts are dated and priced, away from the event loop."""
        self._batcher = batcher
        self._card = card
        self._tariff: Tariff | None = None
        self._looks = asyncio.Semaphore(BATCH_LOOKS_MAX)
        self._dating = dating
        self._clock = clock

    @property
    def card(self) -> ServiceCard:
        """The card. Raises Rejection where there is none."""
        if self._card is None:
            raise Rejection(
                grpc.StatusCode.FAILED_PRECONDITION, "NO_SERVICE_CARD",
                "this server has no service card, which dates and prices come from: start it with --service-card FILE",
            )  # fmt: skip
        return self._card

    async def ask(self, batch: Batch, cash: Any, deadline: float, is_batch: bool = False) -> list[Answer]:
        """The answers of carts, slice by slice. is_batch: it waits until there is room. Raises Rejection."""
        card, answers = self.card, []
        for rows in _slices(batch.first_line):
            part = _slice(batch, rows)
            if is_batch:
                async with self._looks:
                    look = partial(self._look, card, part, deadline)
                    tariff, foreseen = await self._seen(await when_there_is_room(look))
            else:
                tariff, foreseen = await self._seen(self._look(card, part, deadline))
            date = partial(promise, tariff, part, foreseen, cash[rows], int(self._clock() * 1e6))
            if part.channel.size <= HERE_CARTS_MAX:
                promised = date()
            else:
                promised = await asyncio.get_running_loop().run_in_executor(self._dating, date)
            answers.append(Answer(card, part, foreseen, promised))
        return answers

    def _look(self, card: ServiceCard, batch: Batch, deadline: float) -> "asyncio.Future[Any]":
        """A look at what carts would draw, with the tariff of the nodes that there are."""
        known = self._tariff

        def look(engine: Engine) -> tuple[Tariff, Foreseen]:
            state, tariff = engine.state, known
            if tariff is None or len(tariff.node_ids) != state.node_count:
                nodes = np.arange(state.node_count, dtype=np.int32)
                tariff = Tariff(card, state.names[Namespace.NODE].texts(nodes).to_pylist())
            return tariff, foresee(state, batch, tariff.known, int(self._clock() * 1e6))

        return self._batcher.read(look, deadline)

    async def _seen(self, looked: "asyncio.Future[Any]") -> tuple[Tariff, Foreseen]:
        try:
            self._tariff, foreseen = await looked
        except CardHole as hole:
            raise Rejection(grpc.StatusCode.FAILED_PRECONDITION, "CARD_HOLE", str(hole)) from hole
        return self._tariff, foreseen


def _slices(first_line: Any) -> Iterator[slice]:
    """The carts of each look."""
    carts, first = first_line.size - 1, 0
    while first < carts:
        last = int(np.searchsorted(first_line, first_line[first] + LOOK_LINES_MAX, side="right")) - 1
        last = min(carts, first + LOOK_CARTS_MAX, max(last, first + 1))
        yield slice(first, last)
        first = last


def _slice(batch: Batch, rows: slice) -> Batch:
    first_line = batch.first_line[rows.start : rows.stop + 1]
    lines = slice(first_line[0], first_line[-1])
    return Batch(
        batch.channel[rows], batch.postal_code[rows], first_line - first_line[0], batch.sku[lines],
        batch.quantity[lines], batch.nodes_max[rows], batch.complete[rows],
    )  # fmt: skip


# Answers in columns


def answer_carts(taken: TakenCarts, answers: list[Answer], card: ServiceCard, node_ids: list[str]) -> bytes:
    """What is promised for each cart of a batch, as an Arrow IPC stream."""
    short = np.zeros(taken.orders, np.int64)
    order_by, expected_at = (np.full(taken.orders, NONE, np.int64) for _ in range(2))
    services, parts = np.zeros(taken.orders, np.int64), np.zeros(taken.orders, np.int64)
    served, drawn = [_no_services(card)], [part_structs(*_no_parts(), node_ids)]
    first = 0
    for answer in answers:
        rows = taken.accepted[first : first + answer.batch.channel.size]
        first += rows.size
        short[rows], order_by[rows] = answer.promised.units_short, answer.promised.order_by
        expected_at[rows] = answer.foreseen.expected_at
        counts, columns = _served(answer)
        services[rows] = counts
        served.append(columns)
        of_cart = owners(answer.batch.first_line)
        parts[rows] = np.bincount(of_cart, answer.foreseen.drawn.part_count, rows.size)
        drawn.append(part_structs(*part_columns(answer), node_ids))
    columns = {
        "units_short": pa.array(short), "order_by": _moments(order_by),
        "services": pa.ListArray.from_arrays(pa.array(offsets(services).astype(np.int32)), pa.concat_arrays(served)),
        "parts": pa.ListArray.from_arrays(pa.array(offsets(parts).astype(np.int32)), pa.concat_arrays(drawn)),
        "short_expected_at": _moments(expected_at),
        "reason": from_list(REASON_WORDS, taken.sieve.reason), "field": from_list(FIELD_WORDS, taken.sieve.field),
    }  # fmt: skip
    batch = pa.record_batch(columns).replace_schema_metadata({"currency": card.currency})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    return sink.getvalue().to_pybytes()


def part_columns(answer: Answer) -> tuple[Any, pa.Array, Any, Any]:
    """Of each part: its line from 1, its node (null: short), units and metres."""
    first_line, drawn = answer.batch.first_line, answer.foreseen.drawn
    position = np.arange(first_line[-1]) - np.repeat(first_line[:-1], np.diff(first_line)) + 1
    line = np.repeat(position, drawn.part_count).astype(np.int32)
    return line, pa.array(drawn.node, mask=drawn.node == NO_NODE), drawn.quantity, drawn.metres


def _no_parts() -> tuple[Any, pa.Array, Any, Any]:
    none = np.empty(0, np.int32)
    return none, pa.array(none.astype(np.int16)), none, none


def _served(answer: Answer) -> tuple[Any, pa.StructArray]:
    """How many services carry each cart, and their promises, cart by cart."""
    promised = answer.promised
    carried = promised.deliver_day != NONE
    service = np.nonzero(carried)[1]
    columns = (promised.ship_day, promised.ship_at, promised.deliver_day, promised.price)
    return carried.sum(axis=1), _services(answer.card, service, *(column[carried] for column in columns))


def _no_services(card: ServiceCard) -> pa.StructArray:
    day, moment = np.empty(0, np.int32), np.empty(0, np.int64)
    return _services(card, np.empty(0, np.int64), day, moment, day, moment)


def _services(
    card: ServiceCard, service: Any, ship_day: Any, ship_at: Any, deliver_day: Any, price: Any
) -> pa.StructArray:
    names = pa.array([each.name for each in card.services], pa.string())
    return pa.StructArray.from_arrays(
        [
            pa.DictionaryArray.from_arrays(pa.array(service.astype(np.int8)), names),
            pa.array(ship_day).cast(pa.date32()), _moments(ship_at), pa.array(deliver_day).cast(pa.date32()),
            pa.array(price),
        ],
        ["service", "ship_date", "ship_at", "deliver_date", "price"],
    )  # fmt: skip


def _moments(values: Any) -> pa.Array:
    """Moments; null where there is none."""
    return pa.array(values, pa.int64(), mask=values == NONE).cast(pa.timestamp("us", "UTC"))
