"""The feed against a dictionary, its wake-ups, and the service that channels watch."""

import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from allot.v1 import availability_pb2 as pb
from allot.v1 import catalogue_pb2, stock_pb2
from engine.availability import AtsChanges
from engine.journal.memory import MemoryJournal
from engine.outcomes import Namespace
from engine.state import State
from engine.writer import Engine
from server.errors import Rejection
from server.feed import Feed
from server.services import availability as service
from server.services.availability import AvailabilityService
from server.wakeups import FEW_SECONDS, INTERVAL_SECONDS, WOKEN_MAX, Wakeups
from tests import asks
from tests.clients import CHANNELS, PLACES, SKUS, Clients
from tests.driving import COMPILED, LIMITS, START, columns
from tests.edge import CALL, Edge, run, running
from tests.test_services_catalogue import Desk


class Twin:
    """A feed as dictionaries."""

    def __init__(self) -> None:
        self.figures: dict[tuple[int, int], tuple[int, int]] = {}

    def apply(self, changes: Any) -> None:
        if changes is not None:
            for channel, sku, units in zip(changes.channel, changes.sku, changes.units, strict=True):
                self.figures[int(channel), int(sku)] = (int(units), changes.sequence)

    def changed_since(self, channel: int, version: int) -> dict[int, tuple[int, int]]:
        return {s: figure for (c, s), figure in self.figures.items() if c == channel and figure[1] > version}


def new_engine() -> Engine:
    return Engine(State(np.arange(4, dtype=np.uint64), LIMITS), MemoryJournal(keep=True))


def told(feed: Feed, channel: int, version: int, count: int | None = None) -> dict[int, tuple[int, int]]:
    """All that changed since a version, piece by piece."""
    out: dict[int, tuple[int, int]] = {}
    at = 0
    while at >= 0:
        since = feed.changed_since(channel, version, at, count)
        assert count is None or since.sku.size <= count
        for sku, units, newest in zip(since.sku, since.units, since.versions, strict=True):
            assert int(sku) not in out
            out[int(sku)] = (int(units), int(newest))
        at = since.next_sku
    return out


@pytest.mark.parametrize("seed", range(6 if COMPILED else 1))
def test_the_feed_has_what_was_published(seed: int) -> None:
    clients, engine, twin = Clients(random.Random(seed)), new_engine(), Twin()
    for command in clients.catalogue():
        twin.apply(engine.submit([columns(command, PLACES)], START).ats_changes())
    feed = Feed(engine)
    versions = [engine.state.sequence]
    for _ in range(60):
        batch = clients.batch(engine.state.sequence)
        try:
            pending = engine.submit(batch.columns(), batch.stamp)
        except Exception:  # out of room: the simulation's business
            continue
        feed.apply(pending.ats_changes(), pending.sequence)
        twin.apply(pending.ats_changes())
        versions.append(pending.sequence)
        channel, version = clients.chance.randrange(CHANNELS), clients.chance.choice(versions)
        assert told(feed, channel, version, clients.chance.choice([None, 1, 3])) == twin.changed_since(channel, version)
        figures = feed.figures(channel, np.arange(SKUS))
        published = [engine.availability.figure(channel, sku) for sku in range(SKUS)]  # type: ignore[union-attr]
        assert list(zip(figures.units.tolist(), figures.versions.tolist(), strict=True)) == published
        assert figures.sequence == engine.durable_sequence
    engine.close()


def test_a_feed_that_begins_later_has_the_same_figures() -> None:
    clients, engine = Clients(random.Random(7)), new_engine()
    feed = Feed(engine)
    for command in clients.catalogue():
        pending = engine.submit([columns(command, PLACES)], START)
        feed.apply(pending.ats_changes(), pending.sequence)
    later = Feed(engine)
    for channel in range(CHANNELS):
        assert told(feed, channel, 0) == told(later, channel, 0)
        assert told(feed, channel, 0).keys() == set(range(SKUS))
        assert told(later, channel, engine.state.sequence) == {}
    unknown = feed.figures(0, np.array([-1, 0]))
    assert (int(unknown.units[0]), int(unknown.versions[0])) == (0, 0)
    assert feed.figures(7, np.array([0])).units.tolist() == [0]  # a channel that is not there yet
    engine.close()


def test_versions_of_a_new_channel_begin_with_its_commit() -> None:
    clients, engine = Clients(random.Random(1)), new_engine()
    for command in clients.catalogue():
        engine.commit(columns(command, PLACES), START)
    feed = Feed(engine)
    for more in range(CHANNELS, 8):
        channel = columns(asks.Channels(f"c{more}", ((more, asks.Policy(frozenset())),)), PLACES)
        pending = engine.submit([channel], START)
        feed.apply(pending.ats_changes(), pending.sequence)
        assert told(feed, more, 0) == dict.fromkeys(range(SKUS), (0, pending.sequence))
        assert feed.newest(more) == pending.sequence
    engine.close()


def test_changes_are_found_in_every_block() -> None:
    engine = new_engine()
    feed = Feed(engine)
    feed._names[Namespace.CHANNEL].add(["a"])
    feed._skus_max = 4600
    feed._units, feed._versions, feed._blocks = feed._columns(8)
    feed._names[Namespace.SKU].add([f"sku-{i}" for i in range(4500)])
    twin, chance = Twin(), random.Random(3)
    for sequence in range(1, 40):
        skus = np.array(sorted(chance.sample(range(4500), chance.choice([1, 5, 2000]))), np.int32)
        made = AtsChanges(sequence, np.zeros(skus.size, np.int16), skus, np.full(skus.size, sequence, np.int32))
        feed.apply(made, sequence)
        twin.apply(made)
        version = max(1, sequence - chance.randrange(6))
        assert told(feed, 0, version, chance.choice([None, 7, 4096])) == twin.changed_since(0, version)
    engine.close()


# Wake-ups


def test_nobody_is_called_where_nobody_waits() -> None:
    async def test() -> None:
        newest = 0
        wakeups = Wakeups(lambda key: newest)
        wakeups.notify()
        await asyncio.sleep(0)
        assert wakeups.rings == 0

    run(test)


def test_many_notices_are_one_ring_and_rings_are_paced() -> None:
    async def test() -> None:
        at = {"now": 0}
        wakeups = Wakeups(lambda key: at["now"])
        seen: list[list[int]] = [[] for _ in range(5)]

        async def wait(mine: list[int]) -> None:
            after = 0
            while after < 2000:
                await wakeups.until("key", after)
                after = at["now"]
                mine.append(after)

        def work() -> None:
            for number in range(1, 2001):
                at["now"] = number
                wakeups.notify()
                if number % 100 == 0:
                    threading.Event().wait(0.01)

        waiters = [asyncio.create_task(wait(mine)) for mine in seen]
        await asyncio.sleep(0)
        began = asyncio.get_running_loop().time()
        await asyncio.to_thread(work)
        await asyncio.gather(*waiters)
        took = asyncio.get_running_loop().time() - began
        assert wakeups.rings <= took / FEW_SECONDS + 2
        assert all(mine == sorted(set(mine)) and mine[-1] == 2000 for mine in seen)

    run(test)


def test_a_ring_concerns_only_keys_with_something_new() -> None:
    async def test() -> None:
        newest = {"a": 0, "b": 0}
        wakeups = Wakeups(lambda key: newest[key])  # type: ignore[index]
        one, other = (asyncio.create_task(wakeups.until(key, 0)) for key in "ab")
        await asyncio.sleep(0)
        newest["a"] = 1
        wakeups.notify()
        await one
        assert not other.done()
        other.cancel()
        with pytest.raises(asyncio.CancelledError):
            await other
        newest["b"] = 1
        wakeups.notify()
        await asyncio.sleep(INTERVAL_SECONDS * 3)
        assert wakeups._waiters == {}

    run(test)


def test_who_comes_late_is_woken_at_the_next_ring() -> None:
    async def test() -> None:
        wakeups = Wakeups(lambda key: 5)
        for after in range(5):
            await asyncio.wait_for(wakeups.until("key", after), 5)
        assert wakeups.rings == 5

    run(test)


def test_many_are_woken_some_at_a_time_and_in_turns(monkeypatch: Any) -> None:
    monkeypatch.setattr("server.wakeups.RUSH_SECONDS", 0.001)

    async def test() -> None:
        newest = dict.fromkeys(range(7), 0)
        wakeups = Wakeups(lambda key: newest[key])  # type: ignore[index]
        passes = [0] * 300
        woken_at_once: list[int] = []

        async def wait(i: int) -> None:
            while True:
                await wakeups.until(i % 7, passes[i])
                passes[i] += 1  # it is always due again
                woken_at_once.append(wakeups.rings)

        waiters = [asyncio.create_task(wait(i)) for i in range(300)]
        await asyncio.sleep(0)
        for key in newest:
            newest[key] = 1000
        wakeups.notify()
        while min(passes) < 3:
            await asyncio.sleep(0.001)
        assert max(passes) <= min(passes) + 2
        assert max(woken_at_once.count(ring) for ring in set(woken_at_once)) <= WOKEN_MAX
        for waiter in waiters:
            waiter.cancel()

    run(test)


def test_totals_are_the_units_of_all_skus_and_the_newest_version(tmp_path: Path) -> None:
    async def test(shop: Shop) -> None:
        before = shop.feed.totals()
        await shop.receive("more", ("sku-0", "A", 7))
        (units, newest, sequence), *_ = shop.feed.totals()
        assert units == before[0][0] + 7 == sum(shop.feed.figures(0, np.arange(shop.feed.skus)).units)
        assert before[0][1] < newest == shop.feed.newest(0) <= sequence == shop.feed.sequence

    in_shop(tmp_path, test)


# The service


class Shop(Desk):
    def __init__(self, edge: Edge, feed: Feed) -> None:
        super().__init__(edge)
        self.feed = feed
        self.availability = AvailabilityService(feed, edge.engine.state.names)

    async def get(self, *skus: str, channel: str = "web") -> pb.GetAvailabilityResponse:
        request = pb.GetAvailabilityRequest(channel=channel, skus=skus)
        return pb.GetAvailabilityResponse.FromString(await self.availability.GetAvailability(request, CALL))

    def watch(self, after: int = 0, once: bool = False, channel: str = "web") -> "Watch":
        request = pb.WatchAvailabilityRequest(channel=channel, after_version=after, once=once)
        return Watch(self.availability.WatchAvailability(request, CALL))


class Watch:
    """A watcher that keeps what it was told."""

    def __init__(self, messages: AsyncIterator[bytes]) -> None:
        self.messages = (pb.WatchAvailabilityResponse.FromString(message) async for message in messages)
        self.units: dict[str, int] = {}
        self.versions: dict[str, int] = {}
        self.version = 0
        self.sizes: list[int] = []

    async def complete(self) -> None:
        """Read to the next complete answer."""
        async for message in self.messages:
            self.sizes.append(len(message.figures))
            for figure in message.figures:
                assert figure.version >= self.versions.get(figure.sku, 0)
                self.units[figure.sku], self.versions[figure.sku] = figure.units, figure.version
            if message.complete:
                assert message.version >= self.version
                self.version = message.version
                return
        raise StopAsyncIteration


def in_shop(path: Path, test: Callable[[Shop], Awaitable[None]]) -> None:
    async def with_edge() -> None:
        feeds: list[Feed] = []

        def listen(edge: Edge) -> Any:
            feeds.append(Feed(edge.engine))
            return lambda turn: feeds[0].apply(turn.changes, turn.sequence)

        async with running(path, listen) as edge:
            shop = Shop(edge, feeds[0])
            if edge.engine.state.sequence == 0:
                await shop.furnish()
            await test(shop)

    run(with_edge)


def test_figures_come_in_the_order_of_the_request(tmp_path: Path) -> None:
    async def test(shop: Shop) -> None:
        answer = await shop.get("sku-1", "no such SKU", "sku-0", "sku-1")
        assert [(f.sku, f.units) for f in answer.figures] == [
            ("sku-1", 4), ("no such SKU", 0), ("sku-0", 10), ("sku-1", 4)
        ]  # fmt: skip
        assert answer.version == shop.edge.engine.durable_sequence
        await shop.receive("more", ("sku-0", "A", 5))
        assert (await shop.get("sku-0")).figures[0].units == 15  # at once: who was answered sees it
        for channel, skus, reason in (
            ("none", ["sku-0"], "UNKNOWN_CHANNEL"), ("web", [], "VALUE_MISSING"), ("web", ["a\n"], "BAD_CHARACTER"),
            ("web", ["x"] * 10_001, "TOO_MANY"),
        ):  # fmt: skip
            with pytest.raises(Rejection) as refused:
                await shop.get(*skus, channel=channel)
            assert refused.value.reason == reason

    in_shop(tmp_path, test)


def test_a_watch_tells_everything_then_what_changes(tmp_path: Path) -> None:
    async def test(shop: Shop) -> None:
        watch = shop.watch()
        await watch.complete()
        assert watch.units == {"sku-0": 10, "sku-1": 4}
        assert watch.version == shop.edge.engine.durable_sequence
        for i in range(5):
            await shop.receive(f"more-{i}", ("sku-0", "A", 1))
            await watch.complete()
        assert watch.units["sku-0"] == 15
        assert watch.sizes == [2, 1, 1, 1, 1, 1]
        again = shop.watch(watch.version)
        await again.complete()
        assert again.units == {}
        await shop.receive("new", ("sku-9", "B", 1))
        await again.complete()
        assert again.units == {"sku-9": 1}

    in_shop(tmp_path, test)


def test_a_watch_of_once_ends(tmp_path: Path) -> None:
    async def test(shop: Shop) -> None:
        watch = shop.watch(once=True)
        await watch.complete()
        with pytest.raises(StopAsyncIteration):
            await watch.complete()
        ahead = shop.watch(after=watch.version + 1)
        with pytest.raises(Rejection) as refused:
            await ahead.complete()
        assert (refused.value.code, refused.value.reason) == (grpc.StatusCode.OUT_OF_RANGE, "VERSION_AHEAD")

    in_shop(tmp_path, test)


def test_many_figures_come_in_pieces(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(service, "FIGURES_MAX", 100)

    async def test(shop: Shop) -> None:
        rows = [(f"many-{i}", "A", i + 1) for i in range(950)]
        await shop.receive("many", *rows)
        watch = shop.watch()
        first = await anext(watch.messages)
        assert (len(first.figures), first.complete) == (100, False)
        await shop.receive("in between", ("sku-0", "A", 1))  # behind the piece that was told
        for figure in first.figures:
            watch.units[figure.sku] = figure.units
        await watch.complete()
        await watch.complete()
        assert watch.units == {"sku-0": 11, "sku-1": 4} | {sku: units for sku, _, units in rows}

    in_shop(tmp_path, test)


def test_messages_come_in_measure_and_less_often_in_a_surge(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(service, "FIGURES_MAX", 100)
    monkeypatch.setattr(service, "SURGE_BYTES_PER_SECOND_MAX", 50_000)

    async def test(shop: Shop) -> None:
        await shop.receive("many", *[(f"many-{i}", "A", i + 1) for i in range(950)])
        seconds = []
        for in_surge in (False, True):
            shop.availability = AvailabilityService(shop.feed, shop.edge.engine.state.names, lambda now=in_surge: now)
            began = time.monotonic()
            await shop.watch().complete()
            seconds.append(time.monotonic() - began)
        assert seconds[0] < 0.1 < seconds[1]  # 15 kB

    in_shop(tmp_path, test)


def test_a_beat_says_that_nothing_is_newer(tmp_path: Path) -> None:
    async def test(shop: Shop) -> None:
        request = pb.WatchAvailabilityRequest(channel="web", beat_ms=100)
        answers = shop.availability.WatchAvailability(request, CALL)

        async def following() -> pb.WatchAvailabilityResponse:
            return pb.WatchAvailabilityResponse.FromString(await anext(answers))

        first = await following()
        began = time.time()
        await shop.catalogue.PutSkus(catalogue_pb2.PutSkusRequest(request_id="s", skus=["new"]), CALL)
        beats = [await following() for _ in range(3)]
        assert time.time() - began >= 0.2
        assert first.engine_id == shop.edge.engine.state.engine_id == beats[-1].engine_id
        assert (len(beats[-1].figures), beats[-1].complete) == (0, True)
        assert beats[-1].version == shop.feed.sequence > first.version
        assert first.as_of_us < beats[-1].as_of_us <= time.time() * 1e6
        await shop.receive("more", ("sku-0", "A", 1))
        while not (heard := await following()).figures:
            pass
        assert heard.durable_at_us <= heard.as_of_us
        await answers.aclose()

    in_shop(tmp_path, test)


def test_a_beat_has_a_range(tmp_path: Path) -> None:
    async def test(shop: Shop) -> None:
        for wrong in (1, 99, 60_001):
            with pytest.raises(Rejection) as refused:
                await anext(
                    shop.availability.WatchAvailability(pb.WatchAvailabilityRequest(channel="web", beat_ms=wrong), CALL)
                )
            assert refused.value.field == "beat_ms"

    in_shop(tmp_path, test)


def test_who_comes_and_goes_leaves_no_long_wait_to_others(tmp_path: Path) -> None:
    async def test(shop: Shop) -> None:
        for _ in range(3):
            shop.availability._charge(1 << 40)  # told to many who went away
        now = asyncio.get_running_loop().time()
        assert 0 < shop.availability._not_before - now <= service.PAUSE_SECONDS_MAX

    in_shop(tmp_path, test)


def test_watchers_see_what_the_engine_published(tmp_path: Path) -> None:
    """Fifty of them, at their own speed, while stock changes: in the end all have the engine's figures."""

    async def test(shop: Shop) -> None:
        web = catalogue_pb2.Channel(channel="shop", policy=catalogue_pb2.Policy(share_ppm=500_000))
        await shop.catalogue.PutChannel(catalogue_pb2.PutChannelRequest(request_id="shop", channel=web), CALL)
        chance, last = random.Random(5), 200

        async def follow(watch: Watch, pause: float) -> Watch:
            while watch.units.get("end", 0) == 0:
                await watch.complete()
                await asyncio.sleep(pause)
            return watch

        watches = [
            asyncio.create_task(follow(shop.watch(channel=("web", "shop")[i % 2]), chance.random() / 20))
            for i in range(50)
        ]
        for i in range(last):
            row = stock_pb2.StockRow(sku=f"sku-{chance.randrange(20)}", node_id="A", quantity=chance.randrange(100))
            request = stock_pb2.CountStockRequest(request_id=f"c{i}", rows=[row], source="s", counted_at_us=i + 1)
            await shop.stock.CountStock(request, CALL)
        await shop.receive("end", ("end", "A", 100))
        for i, watch in enumerate(await asyncio.gather(*watches)):
            answer = await shop.get(*watch.units, channel=("web", "shop")[i % 2])
            assert {f.sku: f.units for f in answer.figures} == watch.units
            assert len(watch.sizes) < last

    in_shop(tmp_path, test)


def test_versions_go_on_after_a_restart(tmp_path: Path) -> None:
    at: dict[str, int] = {}

    async def before(shop: Shop) -> None:
        watch = shop.watch()
        await watch.complete()
        at["version"] = watch.version

    async def after(shop: Shop) -> None:
        watch = shop.watch(at["version"])
        await watch.complete()
        assert watch.units == {}
        await shop.receive("later", ("sku-0", "A", 1))
        await watch.complete()
        assert watch.units == {"sku-0": 11}

    in_shop(tmp_path, before)
    in_shop(tmp_path, after)
