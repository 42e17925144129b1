"""The relay: what every channel may sell, from the engine's feed into Redis, channel by channel.

    PullAvailability (from the channels' versions in Redis)  ->  Pulls: page by page  ->  RedisStore.publish (atomic)

The cursor of a channel stands in Redis, beside its figures and written with them: a relay that starts again, a Redis
that was emptied or has lost its last writes, a second relay by mistake: each goes on from where the figures are. The
latest figure wins on the whole way, so a relay that was away for an hour sends each SKU once.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

from allot.v1 import catalogue_pb2, catalogue_pb2_grpc
from server.workers.failure import WorkerError
from server.workers.frame import Frame, end
from server.workers.pulls import Following, Pulled, Pulls, VersionAhead
from server.workers.rations import Rations
from server.workers.redis_link import At, News
from server.workers.redis_store import RedisStore

CHANNELS_SECONDS = 1.0  # between two looks for new channels
TICK_SECONDS = 0.25  # between two looks at what a channel's budget pays for
LAG_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 30.0)  # upper bounds
_PAGE = 1000


class Relay:
    """Keeps every channel's figures in Redis as the engine's."""

    def __init__(
        self, connect: Callable[[], RedisStore], take_over: bool = False, budgets: Mapping[str, float] | None = None
    ) -> None:
        """connect: called in the event loop. take_over: channels that another engine publishes are begun anew.
        budgets: SKUs that a channel takes a second; all of them where it has none."""
        self._connect, self._take_over, self._budgets = connect, take_over, budgets or {}

    async def work(self, frame: Frame) -> None:
        """Until it is cancelled."""
        self._count(frame)
        self._frame, self._store, self._pulls = frame, self._connect(), Pulls(frame)
        self._catalogue = catalogue_pb2_grpc.CatalogueServiceStub(frame.channel)
        self._channels: dict[str, asyncio.Task[None]] = {}
        try:
            await frame.keep("channels", self._look_for_channels)
        finally:
            await end(self._channels.values())
            await self._pulls.close()
            await self._store.close()

    def _count(self, frame: Frame) -> None:
        kinds: dict[str, Any] = {"labelnames": ["channel"], "registry": frame.registry}
        self._figures = Counter("allot_relay_figures", "Figures written", **kinds)
        self._coalesced = Counter("allot_relay_coalesced_commits", "Commits told with a later one", **kinds)
        self._refused = Counter("allot_relay_refused", "Writes that did not go on from where Redis is", **kinds)
        self._waiting = Gauge("allot_relay_waiting", "SKUs that wait for the channel's budget", **kinds)
        self._version = Gauge("allot_relay_version", "The commit that a channel is complete up to", **kinds)
        self._as_of = Gauge("allot_relay_as_of_seconds", "When that was so, seconds since 1970", **kinds)
        self._lag = Histogram(
            "allot_relay_lag_seconds",
            "From a durable commit until its figures are in Redis",
            buckets=LAG_SECONDS,
            **kinds,
        )

    async def _look_for_channels(self) -> None:
        """Begin with channels that are new."""
        page = ""
        while True:
            asked = catalogue_pb2.ListChannelsRequest(page_size=_PAGE, page_token=page)
            answer = await self._catalogue.ListChannels(asked, metadata=self._frame.metadata, timeout=10)
            for name in (channel.channel for channel in answer.channels):
                if name not in self._channels:
                    self._channels[name] = asyncio.ensure_future(self._frame.keep(name, partial(self._follow, name)))
            page = answer.next_page_token
            if not page:
                break
        self._frame.well("channels")
        await self._frame.pause(CHANNELS_SECONDS)

    async def _follow(self, channel: str) -> None:
        """From where Redis is, until that no longer fits."""
        state = await self._store.state(channel)
        at, writes = int(state.get("version", 0)), int(state.get("writes", 0))
        is_rationed = channel in self._budgets  # what it was told is less than there is: it hears all of it again
        following = Following(self._pulls, channel, 0 if is_rationed else at)
        try:
            await (self._ration if is_rationed else self._publish)(channel, following, at, writes)
        except VersionAhead:
            self._frame.log.warning("Redis is ahead of the engine, which begins anew", channel=channel, version=at)
            engine = await self._pulls.engine(channel)
            other = (await self._store.state(channel)).get("engine", engine)
            if other != engine:
                await self._begin(channel, engine, other)
            else:
                await self._store.begin(channel, engine)

    async def _publish(self, channel: str, following: Following, at: int, writes: int) -> None:
        """Every figure as it comes: while a page is written, the next one is on its way."""
        coming = asyncio.ensure_future(following.page())
        try:
            while True:
                pulled = await coming
                coming = asyncio.ensure_future(following.page())
                upto = pulled.version if pulled.is_complete else at
                as_of_us = pulled.as_of_us if pulled.is_complete else 0
                news = News(pulled.engine, upto, as_of_us, pulled.durable_at_us, pulled.lines)
                ended = await self._store.publish(channel, news, writes)
                if not await self._has_taken(channel, ended, pulled.engine, writes):
                    return
                self._written(channel, pulled, at)
                at, writes = upto, int(ended.value)
        finally:
            await end([coming])

    async def _ration(self, channel: str, following: Following, at: int, writes: int) -> None:
        """As many SKUs a second as the channel takes: it is complete when nothing waits."""
        told = await self._store.all_figures(channel) if at else {}
        rations = Rations(self._budgets[channel], told, time.monotonic())
        coming = asyncio.ensure_future(following.page())
        last: Pulled | None = None
        try:
            while True:
                await asyncio.wait({coming}, timeout=TICK_SECONDS)
                has_news = coming.done()
                if has_news:
                    last = coming.result()
                    rations.take_in(last.lines, time.monotonic())
                    coming = asyncio.ensure_future(following.page())
                lines, waiting = rations.due(time.monotonic())
                self._waiting.labels(channel).set(waiting)
                is_whole = last is not None and last.is_complete and waiting == 0
                if last is None or not (lines or (is_whole and has_news)):
                    continue
                upto, as_of_us = (last.version, last.as_of_us) if is_whole else (at, 0)
                news = News(last.engine, upto, as_of_us, last.durable_at_us, lines)
                ended = await self._store.publish(channel, news, writes)
                if not await self._has_taken(channel, ended, last.engine, writes):
                    return
                self._frame.well(channel)
                self._figures.labels(channel).inc(lines.count(b"\n"))
                at, writes = upto, int(ended.value)
                self._version.labels(channel).set(at)
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)

    async def _has_taken(self, channel: str, ended: At, engine: str, writes: int) -> bool:
        """Whether Redis took a write; where it did not, all begins with what is there."""
        if ended.kind == "ENGINE":
            await self._begin(channel, engine, ended.value)
        elif ended.kind == "AT":
            self._refused.labels(channel).inc()
            self._frame.log.info("goes on from where Redis is", channel=channel, writes=ended.value, was=writes)
        return ended.kind == "OK"

    async def _begin(self, channel: str, engine: str, other: str) -> None:
        if not self._take_over:
            raise WorkerError(
                "OTHER_ENGINE", f"channel {channel!r} is published there by engine {other}, this is {engine}: name "
                "another prefix, or take the channels over by --take-over",
            )  # fmt: skip
        self._frame.log.warning("a channel is taken over", channel=channel, engine=engine, other=other)
        await self._store.begin(channel, engine)

    def _written(self, channel: str, pulled: Pulled, at: int) -> None:
        self._frame.well(channel)
        self._figures.labels(channel).inc(pulled.lines.count(b"\n"))
        if not pulled.is_complete:
            return
        self._version.labels(channel).set(pulled.version)
        self._as_of.labels(channel).set(pulled.as_of_us / 1e6)
        if pulled.lines:
            self._coalesced.labels(channel).inc(max(0, pulled.version - at - 1) if at else 0)
            self._lag.labels(channel).observe(max(0.0, time.time() - pulled.durable_at_us / 1e6))
