"""Watches and events over a real connection: who reads slowly gets the latest, who goes away leaves nothing behind."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from allot.v1 import availability_pb2, availability_pb2_grpc, events_pb2, events_pb2_grpc
from server.events import EventLog
from server.feed import Feed
from server.router import Router
from server.services.events import EventService
from server.wakeups import INTERVAL_SECONDS
from tests.edge import Edge, run, running
from tests.test_feed import Shop

CHANGES = 300


def over_the_wire(path: Path, test: Callable[[Shop, Any, Any, EventLog], Awaitable[None]]) -> None:
    async def served() -> None:
        parts: list[Any] = []

        def listen(edge: Edge) -> Any:
            feed, log = Feed(edge.engine), EventLog(edge.engine)
            parts.extend((feed, log))

            def hear(turn: Any) -> None:
                feed.apply(turn.changes, turn.sequence)
                log.notify()

            return hear

        async with running(path, listen) as edge:
            feed, log = parts
            shop, events = Shop(edge, feed), EventService(log)
            await shop.furnish()
            server, router = grpc.aio.server(), Router(())
            availability_pb2_grpc.add_AvailabilityServiceServicer_to_server(shop.availability, router)
            events_pb2_grpc.add_EventServiceServicer_to_server(events, router)
            server.add_generic_rpc_handlers((router,))
            address = f"unix:{path}/socket"
            server.add_insecure_port(address)
            await server.start()
            async with grpc.aio.insecure_channel(address) as channel:
                watches = availability_pb2_grpc.AvailabilityServiceStub(channel)
                await test(shop, watches, events_pb2_grpc.EventServiceStub(channel), log)
            await server.stop(0)
            events.close()

    run(served)


def test_a_slow_watcher_gets_the_latest_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.wakeups.FEW_SECONDS", INTERVAL_SECONDS)

    async def test(shop: Shop, watches: Any, events: Any, log: EventLog) -> None:
        call = watches.WatchAvailability(availability_pb2.WatchAvailabilityRequest(channel="web"))
        messages = 0
        first = await call.read()
        assert first.complete
        for i in range(CHANGES):
            await shop.receive(f"more-{i}", ("sku-0", "A", 1))
        while True:
            message = await call.read()
            messages += 1
            if message.figures[0].units == 10 + CHANGES:
                break
            await asyncio.sleep(INTERVAL_SECONDS * 3)
        assert messages < CHANGES / 2
        call.cancel()

    over_the_wire(tmp_path, test)


def test_who_goes_away_leaves_nothing_behind(tmp_path: Path) -> None:
    async def test(shop: Shop, watches: Any, events: Any, log: EventLog) -> None:
        calls = [watches.WatchAvailability(availability_pb2.WatchAvailabilityRequest(channel="web")) for _ in range(20)]
        calls += [events.StreamEvents(events_pb2.StreamEventsRequest(only_new=True)) for _ in range(20)]
        for call in calls[:20]:
            await call.read()
        for call in calls:
            call.cancel()
        await asyncio.sleep(0.1)
        await shop.receive("more", ("sku-0", "A", 1))
        await asyncio.sleep(INTERVAL_SECONDS * 4)
        assert shop.feed.wakeups._waiters == {}
        assert log._wakeups._waiters == {}

    over_the_wire(tmp_path, test)


def test_a_deadline_ends_a_watch(tmp_path: Path) -> None:
    async def test(shop: Shop, watches: Any, events: Any, log: EventLog) -> None:
        call = watches.WatchAvailability(availability_pb2.WatchAvailabilityRequest(channel="web"), timeout=0.2)
        await call.read()
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await call.read()
        assert ended.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await shop.receive("more", ("sku-0", "A", 1))

    over_the_wire(tmp_path, test)


def test_events_cross_the_wire(tmp_path: Path) -> None:
    async def test(shop: Shop, watches: Any, events: Any, log: EventLog) -> None:
        stream = events.StreamEvents(events_pb2.StreamEventsRequest(once=True))
        seen = [event async for page in stream for event in page.events]
        assert [event.stock_moved.quantity for event in seen] == [10, 4]
        live = events.StreamEvents(events_pb2.StreamEventsRequest(after_event_id=seen[-1].event_id))
        await asyncio.sleep(0.05)
        await shop.receive("more", ("sku-0", "A", 3))
        page = await live.read()
        assert [event.stock_moved.quantity for event in page.events] == [3]
        live.cancel()

    over_the_wire(tmp_path, test)
