"""The relay: what every channel may sell, from the engine's feed into Redis, channel by channel.

    WatchAvailability (from the channel's version in Redis)  ->  Publication  ->  RedisStore.publish (atomic)

The cursor of a channel stands in Redis, beside its figures and written with them: a relay that starts again, a Redis
that was emptied or has lost its last writes, a second relay by mistake: each goes on from where the figures are. The
latest figure wins on the whole way, so a relay that was away for an hour sends each SKU once.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from functools import partial
from typing import Any

import grpc
import numpy as np
from prometheus_client import Counter, Gauge, Histogram

from allot.v1 import availability_pb2, catalogue_pb2, catalogue_pb2_grpc
from kernels.publications import (
    ROOM,
    TOLD,
    write_publication,
)
from server.workers.failure import WorkerError
from server.workers.frame import Frame, end
from server.workers.rations import Rations
from server.workers.redis_store import At, RedisStore

CHANNELS_SECONDS = 1.0  # between two looks for new channels
BEAT_MS = 1000  # a channel without changes is confirmed so often
TICK_SECONDS = 0.25  # between two looks at what a channel's budget pays for
LAG_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 30.0)  # upper bounds
_PAGE = 1000
_WATCH = "/allot.v1.AvailabilityService/WatchAvailability"


class Publication:
    """A message of the feed, as Redis takes it."""

    def __init__(self, message: bytes) -> None:
        told = np.zeros(TOLD, np.int64)
        pairs, lines = np.empty(ROOM * len(message), np.uint8), np.empty(ROOM * len(message), np.uint8)
        self.count = write_publication(np.frombuffer(message, np.uint8), pairs, lines, told)
        if self.count < 0:
            raise WorkerError("BROKEN_MESSAGE", "the server sent a message that cannot be read: is it a newer one?")
        pairs_end, lines_end, *fields, first, end = told.tolist()
        self.version, self.is_complete, self.as_of_us, self.durable_at_us = fields
        self.engine = message[first:end].decode()
        self.lines = lines[:lines_end].tobytes()
        self.pairs = pairs[:pairs_end].tobytes().split(b"\0")[:-1]


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
        self._frame, self._store = frame, self._connect()
        self._watch: Any = frame.channel.unary_stream(
            _WATCH, request_serializer=availability_pb2.WatchAvailabilityRequest.SerializeToString
        )
        self._catalogue = catalogue_pb2_grpc.CatalogueServiceStub(frame.channel)
        self._channels: dict[str, asyncio.Task[None]] = {}
        try:
            await frame.keep("channels", self._look_for_channels)
        finally:
            await end(self._channels.values())
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
                    self._channels[name] = asyncio.ensure_future(
                        self._frame.keep(
                            name, partial(self._rationed if name in self._budgets else self._publish, name)
                        )
                    )
            page = answer.next_page_token
            if not page:
                break
        self._frame.well("channels")
        await self._frame.pause(CHANNELS_SECONDS)

    async def _publish(self, channel: str) -> None:
        """Follow the feed from where Redis is, until that no longer fits."""
        state = await self._store.state(channel)
        at, writes = int(state.get("version", 0)), int(state.get("writes", 0))
        async for message in self._followed(channel, at):
            publication = Publication(message)
            upto = publication.version if publication.is_complete else at
            ended = await self._store.publish(
                channel, publication.engine, writes, upto, publication.as_of_us, publication.durable_at_us,
                publication.lines, publication.pairs,
            )  # fmt: skip
            if not await self._has_taken(channel, ended, publication.engine, writes):
                return
            self._written(channel, publication, at, upto)
            at, writes = upto, int(ended.value)

    async def _rationed(self, channel: str) -> None:
        """The same for a channel that takes so many SKUs a second: it is complete when nothing waits."""
        state = await self._store.state(channel)
        at, writes = int(state.get("version", 0)), int(state.get("writes", 0))
        told = await self._store.all_figures(channel) if at else {}
        rations = Rations(self._budgets[channel], told, time.monotonic())
        feed = self._followed(channel, at)
        coming: asyncio.Future[bytes] = asyncio.ensure_future(anext(feed, b""))
        last: Publication | None = None
        try:
            while True:
                await asyncio.wait({coming}, timeout=TICK_SECONDS)
                has_news = coming.done()
                if has_news:
                    if not (message := coming.result()):
                        return
                    last = Publication(message)
                    rations.take_in(last.pairs, time.monotonic())
                    coming = asyncio.ensure_future(anext(feed, b""))
                pairs, lines, waiting = rations.due(time.monotonic())
                self._waiting.labels(channel).set(waiting)
                is_whole = last is not None and last.is_complete and waiting == 0
                if last is None or not (pairs or (is_whole and has_news)):
                    continue
                upto, as_of = (last.version, last.as_of_us) if is_whole else (at, 0)
                ended = await self._store.publish(
                    channel, last.engine, writes, upto, as_of, last.durable_at_us, lines, pairs
                )
                if not await self._has_taken(channel, ended, last.engine, writes):
                    return
                self._frame.well(channel)
                self._figures.labels(channel).inc(len(pairs) // 2)
                at, writes = upto, int(ended.value)
                self._version.labels(channel).set(at)
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
            await feed.aclose()

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

    def _written(self, channel: str, publication: Publication, at: int, upto: int) -> None:
        self._frame.well(channel)
        self._figures.labels(channel).inc(publication.count)
        if not publication.is_complete:
            return
        self._version.labels(channel).set(upto)
        self._as_of.labels(channel).set(publication.as_of_us / 1e6)
        if publication.count:
            self._coalesced.labels(channel).inc(max(0, upto - at - 1) if at else 0)
            self._lag.labels(channel).observe(max(0.0, time.time() - publication.durable_at_us / 1e6))

    async def _followed(self, channel: str, at: int) -> AsyncGenerator[bytes, None]:
        asked = availability_pb2.WatchAvailabilityRequest(channel=channel, after_version=at, beat_ms=BEAT_MS)
        call = self._watch(asked, metadata=self._frame.metadata)
        try:
            async for message in call:
                yield message
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.OUT_OF_RANGE:
                raise
            self._frame.log.warning("Redis is ahead of the engine, which begins anew", channel=channel, version=at)
            engine = await self._engine(channel)
            other = (await self._store.state(channel)).get("engine", engine)
            if other != engine:
                await self._begin(channel, engine, other)
            else:
                await self._store.begin(channel, engine)
        finally:
            call.cancel()

    async def _engine(self, channel: str) -> str:
        """Which engine this is."""
        asked = availability_pb2.WatchAvailabilityRequest(channel=channel, once=True)
        call = self._watch(asked, metadata=self._frame.metadata)
        try:
            return Publication(await call.read()).engine
        finally:
            call.cancel()
