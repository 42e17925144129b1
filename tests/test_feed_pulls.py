"""What channels may sell, pulled: every page comes, to every channel, and no more is waited for than was asked."""

import asyncio
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from allot.v1 import availability_pb2 as pb
from allot.v1 import catalogue_pb2
from engine.outcomes import Namespace
from server.errors import Rejection
from server.feed import ANY_CHANNEL
from server.services import availability as service
from tests.edge import CALL
from tests.test_feed import Shop, in_shop


async def add_channel(shop: Shop) -> None:
    channel = catalogue_pb2.Channel(channel="shop")
    await shop.catalogue.PutChannel(catalogue_pb2.PutChannelRequest(request_id="shop", channel=channel), CALL)


class Pulling:
    """Somebody who keeps several channels up to date by pulls."""

    def __init__(self, shop: Shop, *channels: str) -> None:
        self.shop = shop
        self.known: dict[str, dict[str, tuple[int, int]]] = {channel: {} for channel in channels}
        self.cursors = {channel: pb.AvailabilityCursor(channel=channel) for channel in channels}
        self.first: dict[str, int] = {}

    @classmethod
    async def of(cls, shop: Shop) -> "Pulling":
        await add_channel(shop)
        return cls(shop, "web", "shop")

    async def pull(self, *channels: str, wait_ms: int = 0) -> list[str]:
        """Once; the channels that are complete now."""
        asked = [self.cursors[channel] for channel in channels or self.cursors]
        request = pb.PullAvailabilityRequest(cursors=asked, wait_ms=wait_ms)
        answer = await self.shop.availability.PullAvailability(request, CALL)
        assert answer.engine_id == self.shop.edge.engine.state.engine_id
        assert answer.durable_at_us <= answer.as_of_us <= time.time() * 1e6
        assert [page.channel for page in answer.channels] == [one.channel for one in asked][: len(answer.channels)]
        complete = []
        for page in answer.channels:
            for line in page.lines.decode().splitlines():
                sku, *numbers = line.split("\t")
                self.known[page.channel][sku] = tuple(map(int, numbers))
            first = self.first.setdefault(page.channel, page.version)
            cursor = self.cursors[page.channel]
            if not page.next_page_token:
                cursor.after_version = self.first.pop(page.channel)
                assert cursor.after_version == first
                complete.append(page.channel)
            cursor.page_token = page.next_page_token
        return complete

    def check(self, channel: str) -> None:
        feed, names = self.shop.feed, self.shop.edge.engine.state.names
        found = feed.figures(names[Namespace.CHANNEL].find_one(channel), np.arange(feed.skus, dtype=np.int32))
        skus = names[Namespace.SKU].texts(np.arange(feed.skus, dtype=np.int32)).to_pylist()
        figures = zip(found.units.tolist(), found.versions.tolist(), strict=True)
        assert self.known[channel] == dict(zip(skus, figures, strict=True))


@pytest.mark.parametrize("room", [1, 3, 16_384])
def test_pulls_tell_all_there_is_to_every_channel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    """Page by page, while figures change; channels that an answer has no room for are first of the next one."""
    monkeypatch.setattr(service, "PULLED_MAX", room)

    async def test(shop: Shop) -> None:
        chance, pulling = random.Random(room), await Pulling.of(shop)
        for step in range(60):
            sku, node = f"sku-{chance.randrange(6)}", "AB"[step % 2]
            await shop.receive(f"more-{step}", (sku, node, chance.randrange(1, 5)))
            await pulling.pull(*chance.sample(["web", "shop"], chance.choice([1, 2])))
        for channel in ("web", "shop"):
            for _ in range(2):  # the pass that has begun, then one more
                while not await pulling.pull(channel):
                    pass
            pulling.check(channel)

    in_shop(tmp_path, test)


def test_a_pull_waits_for_any_of_its_channels_and_not_for_ever(tmp_path: Path) -> None:
    async def test(shop: Shop) -> None:
        pulling = await Pulling.of(shop)
        assert await pulling.pull() == ["web", "shop"]
        began = time.monotonic()
        assert await pulling.pull(wait_ms=50) == ["web", "shop"]
        assert 0.05 <= time.monotonic() - began < 5
        waiting = asyncio.create_task(pulling.pull(wait_ms=60_000))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await shop.receive("more", ("sku-0", "A", 3))
        await asyncio.wait_for(waiting, 5)
        pulling.check("web")

    in_shop(tmp_path, test)


def test_a_pull_is_not_woken_for_channels_that_it_did_not_ask_for(tmp_path: Path) -> None:
    async def test(shop: Shop) -> None:
        feed = shop.feed
        waiting = asyncio.create_task(feed.any_changed([0], [feed.newest(0)], 60))
        await asyncio.sleep(0.01)
        rings = feed.wakeups.rings
        feed._latest[1] = feed._newest = feed.sequence = feed.sequence + 1
        feed.wakeups.notify()
        await asyncio.sleep(0.1)
        assert feed.wakeups.rings > rings
        assert feed.newest(ANY_CHANNEL) == feed.sequence
        assert not waiting.done()
        feed._latest[0] = feed._newest = feed.sequence = feed.sequence + 1
        feed.wakeups.notify()
        assert await asyncio.wait_for(waiting, 5)

    in_shop(tmp_path, test)


@pytest.mark.parametrize(
    ("cursors", "wait_ms", "field", "reason"),
    [
        ([], 0, "cursors", "VALUE_MISSING"),
        ([{"channel": "web"}] * 1025, 0, "cursors", "TOO_MANY"),
        ([{"channel": "web"}, {"channel": "nowhere"}], 0, "cursors[1].channel", "UNKNOWN_CHANNEL"),
        ([{"channel": "web", "after_version": 10_000}], 0, "cursors[0].after_version", "VERSION_AHEAD"),
        ([{"channel": "web"}, {"channel": "web", "page_token": "x"}], 0, "cursors[1].page_token", "BAD_PAGE_TOKEN"),
        ([{"channel": "web"}], 60_001, "wait_ms", "OUT_OF_RANGE"),
    ],
)
def test_pulls_that_will_not_do(tmp_path: Path, cursors: list[Any], wait_ms: int, field: str, reason: str) -> None:
    async def test(shop: Shop) -> None:
        with pytest.raises(Rejection) as refused:
            await shop.availability.PullAvailability(pb.PullAvailabilityRequest(cursors=cursors, wait_ms=wait_ms), CALL)
        assert (refused.value.field, refused.value.reason) == (field, reason)

    in_shop(tmp_path, test)


def test_a_page_token_is_of_its_channel_and_version_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "PULLED_MAX", 1)

    async def test(shop: Shop) -> None:
        await add_channel(shop)
        cursors = [pb.AvailabilityCursor(channel="web")]
        answer = await shop.availability.PullAvailability(pb.PullAvailabilityRequest(cursors=cursors), CALL)
        token = answer.channels[0].next_page_token
        for channel, after in (("shop", 0), ("web", 1)):
            wrong = pb.AvailabilityCursor(channel=channel, after_version=after, page_token=token)
            with pytest.raises(Rejection, match="page_token"):
                await shop.availability.PullAvailability(pb.PullAvailabilityRequest(cursors=[wrong]), CALL)

    in_shop(tmp_path, test)
