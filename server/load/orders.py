"""The orders of a load, made before the clock runs: what they ask for is drawn by a seed and sent again and again, each
time under an id of its own.

Lines of an order, units of a line, and which SKUs and postal codes are asked for most, are as in the reports that
server/demo/figures.py names.
"""

import time
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from allot.v1 import availability_pb2, orders_pb2, promises_pb2, reservations_pb2, types_pb2
from server.demo import figures
from server.demo.hour import curve_weights
from server.load.catalogue import Catalogue
from server.load.lane import EncodedBatch

CONTENTS = 4_096  # orders of other content
CONTENTS_OF_BATCHES = 100_000  # orders in batches, all together at most
BATCHES_MAX = 16  # of other content
HOLD_SECONDS = 900
SKUS_OF_A_LOOK = 10  # of one GetAvailability
_SEED = 34
_PASS_DIGITS = 6


class Drawn(NamedTuple):
    """What orders ask for, by number of SKU and of postal code."""

    code: Any  # [order]
    first_line: Any  # [order + 1]
    sku: Any  # [line]
    units: Any  # [line]


def draw(count: int, skus: int, codes: int, seed: tuple[int, ...]) -> Drawn:
    """So many orders."""
    chance = np.random.default_rng((_SEED, *seed))

    def of(percents: dict[int, float], size: int) -> Any:
        shares = np.array(list(percents.values()))
        return chance.choice(list(percents), size, p=shares / shares.sum())

    first_line = np.concatenate([[0], np.cumsum(of(figures.LINES, count))])
    lines = int(first_line[-1])
    return Drawn(
        chance.choice(codes, count, p=curve_weights(figures.CODES_CURVE, codes)), first_line,
        chance.choice(skus, lines, p=curve_weights(figures.SKUS_CURVE, skus)), of(figures.UNITS, lines),
    )  # fmt: skip


class Sent(NamedTuple):
    """One order or cart under way."""

    order_id: str
    skus: list[int]  # of each line
    message: bytes


class Batch(NamedTuple):
    """One batch under way. Its bytes are made when it is sent, and again where it is repeated."""

    content: EncodedBatch
    number: int  # of the pass
    skus: NDArray[np.int64]  # [line]
    first_line: NDArray[np.int64]  # [order + 1]


class Orders:
    """Messages of one run. run: begins every id after the prefix; no other run has it."""

    def __init__(self, catalogue: Catalogue, run: str, seed: int, batch_orders: int) -> None:
        """batch_orders: of a batch; 0 where none are sent."""
        self._catalogue, self._ids, self._seed = catalogue, f"{catalogue.prefix}-{run}", seed
        self._number = 0
        self._chance = np.random.default_rng((_SEED, seed))
        drawn = draw(CONTENTS, len(catalogue.skus), len(catalogue.codes), (seed, 0))
        self._skus = [part.tolist() for part in np.split(drawn.sku, drawn.first_line[1:-1])]
        self._places = [orders_pb2.PlaceOrderRequest(order=draft) for draft in self._drafts(drawn)]
        self._looks = [self._look(drawn, at) for at in range(0, CONTENTS, SKUS_OF_A_LOOK)]
        self._promises = [_promise(request.order) for request in self._places]
        self._passes = 0
        self._batches = self._encoded(batch_orders) if batch_orders else []

    def place(self) -> Sent:
        """The next single order."""
        number, order_id = self._next()
        request = self._places[number % CONTENTS]
        request.order.order_id = order_id
        return Sent(order_id, self._skus[number % CONTENTS], request.SerializeToString())

    def reserve(self) -> Sent:
        """The next cart."""
        number, order_id = self._next()
        content = self._places[number % CONTENTS].order
        content.order_id = order_id
        expires_at_us = time.time_ns() // 1000 + HOLD_SECONDS * 1_000_000
        request = reservations_pb2.ReserveRequest(order=content, expires_at_us=expires_at_us)
        return Sent(order_id, self._skus[number % CONTENTS], request.SerializeToString())

    def confirm(self, cart: Sent) -> Sent:
        """The order that a cart becomes."""
        order_id = f"{cart.order_id}-O"
        request = reservations_pb2.ConfirmRequest(
            request_id=f"{cart.order_id}-E", channel=self._catalogue.channel, reservation_id=cart.order_id,
            order_id=order_id,
        )  # fmt: skip
        return Sent(order_id, cart.skus, request.SerializeToString())

    def release(self, cart: Sent) -> Sent:
        """The end of a cart that becomes none."""
        request = reservations_pb2.ReleaseRequest(
            request_id=f"{cart.order_id}-E", channel=self._catalogue.channel, reservation_id=cart.order_id
        )
        return Sent(cart.order_id, cart.skus, request.SerializeToString())

    def get(self, order_id: str) -> bytes:
        """A look at an order."""
        return orders_pb2.GetOrderRequest(channel=self._catalogue.channel, order_id=order_id).SerializeToString()

    def look(self) -> bytes:
        """A look at what may be sold."""
        self._number += 1
        return self._looks[self._number % len(self._looks)]

    def promise(self) -> bytes:
        """A cart to promise."""
        self._number += 1
        return self._promises[self._number % CONTENTS]

    def batch(self) -> Batch:
        """The next batch of the lane."""
        number, self._passes = self._passes, self._passes + 1
        content, drawn = self._batches[number % len(self._batches)]
        return Batch(content, number // len(self._batches), drawn.sku, drawn.first_line)

    def chosen(self, count: int) -> int:
        """A number from 0 up to so many, by chance."""
        return int(self._chance.random() * count)

    def _next(self) -> tuple[int, str]:
        self._number += 1
        return self._number, f"{self._ids}-{self._number:09d}"

    def _drafts(self, drawn: Drawn) -> list[types_pb2.OrderDraft]:
        skus, codes = self._catalogue.skus, self._catalogue.codes
        first, sku, units = (column.tolist() for column in (drawn.first_line, drawn.sku, drawn.units))
        return [
            types_pb2.OrderDraft(
                channel=self._catalogue.channel, postal_code=codes[code],
                lines=[types_pb2.LineDraft(sku=skus[sku[at]], quantity=units[at]) for at in range(*first[n : n + 2])],
            )
            for n, code in enumerate(drawn.code.tolist())
        ]  # fmt: skip

    def _look(self, drawn: Drawn, at: int) -> bytes:
        skus = [self._catalogue.skus[sku] for sku in drawn.sku[at : at + SKUS_OF_A_LOOK].tolist()]
        request = availability_pb2.GetAvailabilityRequest(channel=self._catalogue.channel, skus=skus)
        return request.SerializeToString()

    def _encoded(self, size: int) -> list[tuple[EncodedBatch, Drawn]]:
        """A few batches of the lane, and what they ask for."""
        made = []
        for number in range(max(1, min(BATCHES_MAX, CONTENTS_OF_BATCHES // size))):
            drawn = draw(size, len(self._catalogue.skus), len(self._catalogue.codes), (self._seed, 1, number))
            begin = f"{self._ids}-B{number:02d}-"
            ids = pa.array([f"{begin}{0:0{_PASS_DIGITS}d}-{row:05d}" for row in range(size)])
            digits = range(len(begin) + _PASS_DIGITS - 1, len(begin) - 1, -1)
            made.append((EncodedBatch(self._record_batch(ids, drawn), digits), drawn))
        return made

    def _record_batch(self, ids: pa.StringArray, drawn: Drawn) -> pa.RecordBatch:
        skus, codes = (pa.array(names) for names in (self._catalogue.skus, self._catalogue.codes))
        lines = pa.StructArray.from_arrays(
            [skus.take(pa.array(drawn.sku)), pa.array(drawn.units, pa.int32())], ["sku", "quantity"]
        )
        return pa.record_batch(
            {
                "order_id": ids,
                "channel": pa.array([self._catalogue.channel] * len(ids)).dictionary_encode(),
                "postal_code": codes.take(pa.array(drawn.code)),
                "lines": pa.ListArray.from_arrays(pa.array(drawn.first_line, pa.int32()), lines),
            }
        )


def _promise(order: types_pb2.OrderDraft) -> bytes:
    lines = [promises_pb2.CartLine(sku=line.sku, quantity=line.quantity) for line in order.lines]
    request = promises_pb2.PromiseRequest(channel=order.channel, postal_code=order.postal_code, lines=lines)
    return request.SerializeToString()
