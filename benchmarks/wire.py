"""The canonical load as it goes over the wire: single orders as messages, Arrow batches for the lane. Clients make it
before the clock runs (benchmarks/clients.py).

The lane needs gigabytes of it in a minute, and no order id may come twice. So a few batches are encoded once, and six
digits in the middle of each order id are written anew, in place, before a batch is sent again.
"""

from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa

from allot.v1 import catalogue_pb2, orders_pb2, reservations_pb2, stock_pb2, types_pb2
from benchmarks import load
from server.load.lane import EncodedBatch

POPULAR_SKUS, POPULAR_CODES = 20_000, 5_000  # of single orders
POPULARITY = 0.75  # exponent: the first tenth of the SKUs has half of the lines
CHANNELS = ("web", "amazon.in", "flipkart", "social")
HOLD_SECONDS = 1800
PROBE_QUANTITY = 10
_PASS_DIGITS = range(10, 4, -1)  # where an id has those of its pass
_SINGLES_SEED = 21


def lane_batch(size: int, seed: int, world: load.World = load.CANONICAL) -> EncodedBatch:
    """Orders whose ids change from one pass, 0 to 999,999, to the next. seed: another one, other orders, other ids."""
    return EncodedBatch(_record_batch(load.order_ids(size, seed), seed, world), _PASS_DIGITS)


@cache
def _texts(count: int) -> tuple[pa.StringArray, pa.StringArray]:
    """So many SKUs, and every postal code."""
    skus = pa.array([f"SKU-{sku:06d}-XL" for sku in range(count)])
    return skus, pa.array([str(110_000 + code) for code in range(load.POSTAL_CODES)])


def _record_batch(ids: pa.StringArray, seed: int, world: load.World) -> pa.RecordBatch:
    """The channel is a dictionary, as the client library sends it; SKUs and postal codes are texts in every row."""
    orders = load.orders(len(ids), seed, world)
    skus, codes = _texts(world.skus)
    skus, codes = skus.take(pa.array(orders.sku)), codes.take(pa.array(orders.postal_code))
    lines = pa.StructArray.from_arrays([skus, pa.array(orders.quantity)], ["sku", "quantity"])
    return pa.record_batch(
        {
            "order_id": ids,
            "channel": pa.DictionaryArray.from_arrays(pa.array(orders.channel.astype(np.int8)), pa.array(CHANNELS)),
            "postal_code": codes,
            "lines": pa.ListArray.from_arrays(pa.array(orders.first_line.astype(np.int32)), lines),
        }
    )


def single_orders(count: int, prefix: str, seed: int = 0) -> list[types_pb2.OrderDraft]:
    """Orders one by one: SKUs and postal codes by popularity, as in life. prefix: of their ids, another each time."""
    rng = np.random.default_rng((_SINGLES_SEED, seed))
    orders = load.orders(count, seed)
    sku, code = _popular(rng, POPULAR_SKUS, orders.sku.size), _popular(rng, POPULAR_CODES, count)
    first, quantity, channel = orders.first_line.tolist(), orders.quantity.tolist(), orders.channel.tolist()
    drafts = []
    for order in range(count):
        lines = [
            types_pb2.LineDraft(sku=f"SKU-{sku[line]:06d}-XL", quantity=quantity[line])
            for line in range(first[order], first[order + 1])
        ]
        drafts.append(
            types_pb2.OrderDraft(
                channel=CHANNELS[channel[order]], order_id=f"{prefix}-{order:07d}",
                postal_code=str(110_000 + code[order]), lines=lines,
            )
        )  # fmt: skip
    return drafts


def place_requests(count: int, prefix: str, seed: int = 0) -> list[bytes]:
    """Messages of PlaceOrder."""
    return [orders_pb2.PlaceOrderRequest(order=o).SerializeToString() for o in single_orders(count, prefix, seed)]


def probe_request(order_id: str, sku: str) -> bytes:
    """An order that no figure can overlook."""
    draft = types_pb2.OrderDraft(
        channel=CHANNELS[0], order_id=order_id, postal_code="110000",
        lines=[types_pb2.LineDraft(sku=sku, quantity=PROBE_QUANTITY)],
    )  # fmt: skip
    return orders_pb2.PlaceOrderRequest(order=draft).SerializeToString()


def carts(count: int, prefix: str, now_us: int, seed: int = 1) -> list[tuple[bytes, str, bytes]]:
    """Of each cart the message of Reserve, then the method and the message that end it: every other one is an order."""
    made = []
    for number, draft in enumerate(single_orders(count, prefix, seed)):
        reserve = reservations_pb2.ReserveRequest(order=draft, expires_at_us=now_us + HOLD_SECONDS * 1_000_000)
        end: Any
        if number % 2:
            end = reservations_pb2.ReleaseRequest(
                request_id=f"E-{draft.order_id}", channel=draft.channel, reservation_id=draft.order_id
            )
        else:
            end = reservations_pb2.ConfirmRequest(
                request_id=f"E-{draft.order_id}", channel=draft.channel, reservation_id=draft.order_id,
                order_id=f"O-{draft.order_id}",
            )  # fmt: skip
        made.append((reserve.SerializeToString(), "Release" if number % 2 else "Confirm", end.SerializeToString()))
    return made


def first_steps() -> list[tuple[str, str, bytes]]:
    """What an empty service needs before its first order, and the order: a name, the method, the message."""
    node = catalogue_pb2.Node(node_id="BLR", latitude=12.97, longitude=77.59)
    row = stock_pb2.StockRow(sku="SKU-1", node_id="BLR", quantity=10)
    order = types_pb2.OrderDraft(
        channel="web", order_id="first", postal_code="560001", lines=[types_pb2.LineDraft(sku="SKU-1", quantity=1)]
    )
    messages = (
        ("node", "CatalogueService/PutNodes", catalogue_pb2.PutNodesRequest(request_id="n", nodes=[node])),
        (
            "channel", "CatalogueService/PutChannel",
            catalogue_pb2.PutChannelRequest(request_id="c", channel=catalogue_pb2.Channel(channel="web")),
        ),
        ("stock", "StockService/ReceiveStock", stock_pb2.ReceiveStockRequest(request_id="s", rows=[row])),
        ("order", "OrderService/PlaceOrder", orders_pb2.PlaceOrderRequest(order=order)),
    )  # fmt: skip
    return [(step, f"/allot.v1.{method}", message.SerializeToString()) for step, method, message in messages]


def _popular(rng: Any, kinds: int, count: int) -> list[int]:
    """So many draws of the most popular kinds, the first ones most often."""
    weights = 1 / np.arange(1, kinds + 1) ** POPULARITY
    return np.searchsorted(np.cumsum(weights / weights.sum()), rng.random(count)).clip(0, kinds - 1).tolist()
