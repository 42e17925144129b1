"""GetOrder and ListOrders: from the state and from the views the same, and waiting for views that lag."""

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pyarrow as pa
import pytest

from allot.v1 import orders_pb2 as pb
from allot.v1 import types_pb2
from engine.commands import PutNames
from engine.disk import FolderDisk
from engine.journal.segments import Journal
from engine.outcomes import Namespace
from engine.views import FILE, Views
from server import reading
from server.errors import Rejection
from server.lookup import Lookup
from server.reading import OrderReading
from tests import asks
from tests.clients import PLACES, Clients
from tests.driving import COMPILED, columns, place, received, reserve
from tests.edge import Edge, run, running


class Orders:
    """An edge with orders, and views that follow when they are told to."""

    def __init__(self, edge: Edge, path: Path) -> None:
        self.edge = edge
        self.path = path
        self.reading = OrderReading(edge.batcher, Lookup(edge.engine.state), path / FILE)

    async def ask(self, *asked: Any) -> None:
        for command in asked:
            try:
                await self.edge.batcher.ask(columns(command, PLACES))
            except Rejection as rejection:
                if rejection.reason != "LIMIT_REACHED":
                    raise

    async def furnish(self) -> None:
        await self.ask(*Clients(random.Random(0)).catalogue())

    def catch_up(self) -> int:
        disk = FolderDisk(self.path, read_only=True)
        journal, views = Journal.open(disk, read_only=True), Views.open(self.path / FILE)
        try:
            return views.catch_up(journal)
        finally:
            views.close()
            journal.close()
            disk.close()

    async def get(self, order_id: str, channel: int = 0, cart: bool = False, seconds: float = 5) -> Any:
        request = pb.GetOrderRequest(channel=f"channel-{channel}", order_id=order_id, is_reservation=cart)
        return await self.reading.get(request, time.monotonic() + seconds)

    async def list(self, seconds: float = 5, **asked: Any) -> pb.ListOrdersResponse:
        return await self.reading.list(pb.ListOrdersRequest(**asked), time.monotonic() + seconds)


def with_orders(path: Path, test: Callable[[Orders], Awaitable[None]]) -> None:
    async def with_edge() -> None:
        async with running(path) as edge:
            orders = Orders(edge, path)
            await orders.furnish()
            await test(orders)

    run(with_edge)


async def refused(call: Any) -> Rejection:
    with pytest.raises(Rejection) as raised:
        await call
    return raised.value


def in_order(message: types_pb2.Order) -> types_pb2.Order:
    parts = sorted(message.parts, key=lambda part: (part.line, part.stage, part.node_id))
    del message.parts[:], message.expected[:]  # what is expected is the state's to tell
    message.parts.extend(parts)
    return message


@pytest.mark.parametrize("seed", range(3 if COMPILED else 1))
def test_an_order_is_told_the_same_from_the_state_and_from_the_views(seed: int, tmp_path: Path) -> None:
    async def test(orders: Orders) -> None:
        clients, ids = Clients(random.Random(seed)), set()
        for _ in range(60):
            batch = clients.batch(orders.edge.engine.state.sequence)
            for asked in batch.asked:
                if isinstance(asked, asks.Place | asks.Reserve):
                    ids |= {(cart.id, cart.channel, isinstance(asked, asks.Reserve)) for cart in asked.orders}
            orders.edge.now = max(orders.edge.now, batch.stamp)
            await orders.ask(*batch.asked)
        sequence = orders.catch_up()
        assert sequence == orders.edge.engine.durable_sequence
        views = Views.reader(tmp_path / FILE)
        for order_id, channel, cart in sorted(ids):
            rows = views.order(f"channel-{channel}", order_id, cart).rows
            if rows:
                given = await orders.get(order_id, channel, cart)
                assert given.sequence == sequence
                assert in_order(given.order) == in_order(orders.reading._as_viewed(rows[0]))
            else:
                assert (await refused(orders.get(order_id, channel, cart))).code is grpc.StatusCode.NOT_FOUND
        views.close()
        listed, token = [], ""
        while True:
            page = await orders.list(page_size=7, page_token=token)
            listed += page.orders
            if not (token := page.next_page_token):
                break
        assert {(order.order_id, int(order.channel[-1]), order.is_reservation) for order in listed} <= ids | {
            (order.order_id, int(order.channel[-1]), False) for order in listed
        }
        assert [order.number for order in listed] == sorted(order.number for order in listed)
        for state in {order.state for order in listed}:
            some = await orders.list(state=state, page_size=1000)
            assert list(some.orders) == [order for order in listed if order.state == state]

    with_orders(tmp_path, test)


def test_an_order_says_all_that_was_told(tmp_path: Path) -> None:
    async def test(orders: Orders) -> None:
        await orders.edge.batcher.ask(PutNames("words", Namespace.WORD, pa.array(["INR", "UPI", "FAST"])))
        command = columns(place("told", (0, 2), (1, 1)), PLACES)
        options = {
            "placed_at": np.array([5]), "currency": np.zeros(1, np.int16), "payment_method": np.ones(1, np.int16),
            "service_level": np.full(1, 2, np.int16), "ship_by": np.array([6]), "deliver_by": np.array([7]),
            "customer": pa.array(["c-1"]), "unit_price": np.array([100, 0]), "discount": np.array([-(1 << 63), 3]),
        }  # fmt: skip
        await orders.edge.batcher.ask(replace(command, options=options))
        given = (await orders.get("told")).order
        assert (given.placed_at_us, given.ship_by_us, given.deliver_by_us) == (5, 6, 7)
        assert (given.currency, given.service_level, given.customer) == ("INR", "FAST", "c-1")
        assert given.payment_method == types_pb2.PAYMENT_METHOD_UPI
        assert given.outcome == types_pb2.OUTCOME_ALLOCATED
        assert given.state == types_pb2.ORDER_STATE_ALLOCATED
        first, second = given.lines
        assert (first.sku, first.unit_price, first.HasField("discount"), first.HasField("tax")) == (
            "sku-0",
            100,
            False,
            False,
        )
        assert (second.unit_price, second.HasField("unit_price"), second.discount) == (0, True, 3)
        assert [(part.line, part.node_id, part.quantity) for part in given.parts] == [
            (1, "node-0", 2),
            (2, "node-1", 1),
        ]
        assert given.parts[1].distance_m > given.parts[0].distance_m
        orders.catch_up()
        (listed,) = (await orders.list()).orders
        del given.lines[:], given.parts[:]
        assert listed == given

    with_orders(tmp_path, test)


def test_an_order_whose_record_was_moved_away_tells_what_it_waits_for(tmp_path: Path, monkeypatch: Any) -> None:
    async def test(orders: Orders) -> None:
        await orders.ask(place("waits", (3, 20), channel=1), asks.Supply("supply", ((3, 0, 7, 5, 9),)))
        orders.catch_up()
        whole = (await orders.get("waits", 1)).order
        assert [(units.line, units.quantity, units.due_at_us, units.node_id, units.reference)
                for units in whole.expected] == [(1, 5, 9, "node-0", 7)]  # fmt: skip
        monkeypatch.setattr(orders.edge.engine.first_answers, "orders_of", lambda sequence: None)
        assert (await orders.get("waits", 1)).order.expected == whole.expected

    with_orders(tmp_path, test)


def test_what_left_the_state_waits_for_the_views(tmp_path: Path) -> None:
    async def test(orders: Orders) -> None:
        await orders.ask(reserve("cart", (0, 1), expires_at=orders.edge.now + 60_000_000))
        orders.catch_up()
        assert (await orders.get("cart", cart=True)).order.state == types_pb2.ORDER_STATE_RESERVED
        await orders.ask(asks.Release((asks.Ending("release", "cart"),)))
        behind = await refused(orders.get("cart", cart=True, seconds=0.1))
        assert (behind.code, behind.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "VIEWS_BEHIND")
        waiting = asyncio.create_task(orders.get("cart", cart=True))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await asyncio.to_thread(orders.catch_up)
        assert (await waiting).order.state == types_pb2.ORDER_STATE_RELEASED

    with_orders(tmp_path, test)


def test_a_list_waits_for_a_commit(tmp_path: Path, monkeypatch: Any) -> None:
    async def test(orders: Orders) -> None:
        none_yet = await refused(orders.list(seconds=0.1))
        assert none_yet.reason == "VIEWS_BEHIND"
        orders.catch_up()
        await orders.ask(place("new", (0, 1)))
        sequence = orders.edge.engine.durable_sequence
        assert list((await orders.list()).orders) == []
        waiting = asyncio.create_task(orders.list(at_least_sequence=sequence))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await asyncio.to_thread(orders.catch_up)
        page = await waiting
        assert (page.view_sequence, [order.order_id for order in page.orders]) == (sequence, ["new"])
        monkeypatch.setattr(reading, "WAIT_SECONDS_MAX", 0.1)
        never = await refused(orders.reading.list(pb.ListOrdersRequest(at_least_sequence=(1 << 64) - 1), math.inf))
        assert (never.code, never.reason) == (grpc.StatusCode.UNAVAILABLE, "VIEWS_BEHIND")

    with_orders(tmp_path, test)


def test_what_will_not_do_is_refused(tmp_path: Path) -> None:
    async def test(orders: Orders) -> None:
        orders.catch_up()
        await orders.ask(received("r", (0, 0, 1)), place("one", (0, 1)), place("two", (0, 1)))
        orders.catch_up()
        page = await orders.list(page_size=1)
        for asked, reason in (
            ({"channel": "no such"}, "UNKNOWN_CHANNEL"), ({"page_size": 1001}, "OUT_OF_RANGE"),
            ({"state": 99}, "OUT_OF_RANGE"),
            ({"page_token": page.next_page_token, "channel": "channel-0"}, "BAD_PAGE_TOKEN"),
        ):  # fmt: skip
            assert (await refused(orders.list(**asked))).reason == reason
        assert (await refused(orders.get("one", channel=9))).reason == "UNKNOWN_CHANNEL"
        assert (await refused(orders.get(""))).reason == "VALUE_MISSING"
        assert (await refused(orders.get("none"))).reason == "UNKNOWN_ORDER"
        without = OrderReading(orders.edge.batcher, Lookup(orders.edge.engine.state), None)
        off = await refused(without.list(pb.ListOrdersRequest(), math.inf))
        assert (off.code, off.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "VIEWS_OFF")
        unknown = pb.GetOrderRequest(channel="channel-0", order_id="none")
        assert (await refused(without.get(unknown, math.inf))).reason == "UNKNOWN_ORDER"
        known = pb.GetOrderRequest(channel="channel-0", order_id="one")
        assert (await without.get(known, math.inf)).order.order_id == "one"

    with_orders(tmp_path, test)
