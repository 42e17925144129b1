"""The feed: what channels may sell, as of the last durable commit. Commits come in, channels read and watch.

It keeps its own columns beside the engine's, which run ahead of what is durable. A watcher has no queue here: it asks
what changed since a version and gets the latest figures, so one that is slow costs nothing.
"""

import asyncio
import threading
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from engine.availability import AtsChanges
from engine.columns import reserve
from engine.outcomes import Namespace
from engine.writer import Engine
from kernels.availability import Changes, Told, find_newer, tell, tell_few
from kernels.options import FEW
from server.wakeups import Wakeups

BLOCK_BITS = 4  # a block of SKUs has one version too, so that a look for changes passes over those without any
ANY_CHANNEL = -1
_CHANNELS_MIN = 8


class Figures(NamedTuple):
    """Figures of one channel, and the last durable commit that they take in."""

    units: Any  # int32 [figure]
    versions: Any  # int64 [figure]
    sequence: int


class Since(NamedTuple):
    """What changed since a version, SKUs by index. Where `next_sku` is not -1, more of them follow from there on."""

    sku: Any  # int32 [figure]
    units: Any  # int32 [figure]
    versions: Any  # int64 [figure]
    sequence: int  # of the last durable commit; figures may be newer than where an earlier piece began
    next_sku: int


class Feed:
    """Durable figures of every channel and SKU. `apply` is for one thread at a time, all else for the event loop."""

    def __init__(self, engine: Engine) -> None:
        """What the engine published at its start is durable."""
        assert engine.availability is not None, "an engine that publishes nothing has no feed"
        self._names = engine.state.names
        self.engine_id = engine.state.engine_id
        self._skus_max = engine.state.limits.skus_max
        self._lock = threading.Lock()  # held for copies only
        self.sequence = engine.state.sequence
        self.durable_at_us = engine.state.stamp  # of that commit, about
        self._channels = 0  # rows in use
        self._units, self._versions, self._blocks = self._columns(_CHANNELS_MIN)
        self._latest = np.zeros(_CHANNELS_MIN, np.int64)  # [channel] its newest version
        self._newest = 0  # of all of them
        self.wakeups = Wakeups(self.newest)
        published = engine.availability.published
        channels, skus = published.ats.shape[1], self.skus
        self._add_channels(channels)
        for channel in range(channels):
            self._units[channel, :skus] = published.ats[:skus, channel]
            self._versions[channel, :skus] = published.version[:skus, channel]

    def _columns(self, channels: int) -> tuple[Any, Any, Any]:
        blocks = (self._skus_max >> BLOCK_BITS) + 1
        shape = (channels, self._skus_max)
        return reserve(shape, np.int32), reserve(shape, np.int64), reserve((channels, blocks), np.int64)

    def _add_channels(self, channels: int) -> None:
        """Rows for more channels: nothing to sell, as of this commit."""
        first, skus = self._channels, self.skus
        if channels > self._units.shape[0]:
            before = (self._units, self._versions, self._blocks, self._latest)
            rows = max(channels, 2 * first)
            after = (*self._columns(rows), np.zeros(rows, np.int64))
            for old, new in zip(before[:2], after[:2], strict=True):
                new[:first, :skus] = old[:first, :skus]
            after[2][:first], after[3][:first] = self._blocks[:first], self._latest[:first]
            self._units, self._versions, self._blocks, self._latest = after
        self._versions[first:channels, :skus] = self.sequence
        self._blocks[first:channels] = self.sequence
        self._latest[first:channels] = self._newest = self.sequence
        self._channels = channels

    @property
    def skus(self) -> int:
        """SKUs that are named."""
        return len(self._names[Namespace.SKU])

    def apply(self, changes: AtsChanges | None, sequence: int, durable_at_us: int = 0) -> None:
        """Take in a commit that is durable, in sequence; None where it changed no figure."""
        with self._lock:
            self.sequence = max(self.sequence, sequence)
            self.durable_at_us = durable_at_us
            channels = len(self._names[Namespace.CHANNEL])
            if channels > self._channels:
                self._add_channels(channels)
            if changes is not None and changes.sku.size:
                new = Changes(changes.sku, changes.channel, changes.units)
                told = Told(self._units, self._versions, self._blocks, self._latest)
                (tell_few if new.sku.size <= FEW else tell)(new, changes.sequence, BLOCK_BITS, told)
                self._newest = max(self._newest, changes.sequence)
        self.wakeups.notify()

    def figures(self, channel: int, skus: Any) -> Figures:
        """What a channel may sell of some SKUs, int32 [n]; 0, of version 0, where one is -1: not known."""
        with self._lock:
            if channel >= self._channels:
                return Figures(np.zeros(skus.size, np.int32), np.zeros(skus.size, np.int64), self.sequence)
            units, versions, sequence = self._units[channel, skus], self._versions[channel, skus], self.sequence
        is_unknown = skus < 0
        units[is_unknown], versions[is_unknown] = 0, 0
        return Figures(units, versions, sequence)

    def totals(self) -> list[tuple[int, int, int]]:
        """Of each channel all units, its newest version, and the last durable commit that they take in. Any thread."""
        found = []
        for channel in range(self._channels):
            with self._lock:
                units = int(self._units[channel, : self.skus].sum(dtype=np.int64))
                found.append((units, self.newest(channel), self.sequence))
        return found

    def changed_since(self, channel: int, version: int, first_sku: int = 0, count: int | None = None) -> Since:
        """Figures of a channel that are newer than a version, every SKU where that is 0: `count` of them at most, from
        an SKU on.

        Pieces that join are complete as of the least `sequence` of them: what changes behind them is newer.
        """
        with self._lock:
            known = self.skus if channel < self._channels else 0
            sequence = self.sequence
            sku = self._newer(channel, version, first_sku, known, count)
            following = -1
            if count is not None and sku.size > count:
                following = int(sku[count])
                sku = sku[:count]
            channel = min(channel, self._units.shape[0] - 1)
            return Since(sku, self._units[channel, sku], self._versions[channel, sku], sequence, following)

    def _newer(self, channel: int, version: int, first: int, known: int, count: int | None) -> Any:
        """int32 [n]: SKUs from `first` on whose version is newer, one more than `count` of them at most."""
        last = known if count is None else min(known, first + count + 1)
        if version == 0 or first >= known:
            return np.arange(first, last, dtype=np.int32)
        found = np.empty(last - first, np.int32)
        versions, blocks = self._versions[channel, :known], self._blocks[channel]
        return found[: find_newer(versions, blocks, version, first, BLOCK_BITS, found)]

    async def changed(self, channel: int, version: int, seconds_max: float | None = None) -> bool:
        """Return when a channel has figures newer than a version, together with others who wait: the latest wins.

        False where there were none for so long.
        """
        try:
            await asyncio.wait_for(self.wakeups.until(channel, version), seconds_max)
        except TimeoutError:
            return False
        return True

    async def any_changed(self, channels: Sequence[int], versions: Sequence[int], seconds_max: float) -> bool:
        """The same for any of several channels."""
        end = time.monotonic() + seconds_max
        while True:
            seen = self.newest(ANY_CHANNEL)  # before looking: what comes later is newer
            if any(self.newest(channel) > version for channel, version in zip(channels, versions, strict=True)):
                return True
            if not await self.changed(ANY_CHANNEL, seen, end - time.monotonic()):
                return False

    def quiet_until(self, channel: int, version: int) -> int | None:
        """The last durable commit, where a channel has no figure newer than a version; else None."""
        with self._lock:
            return None if self.newest(channel) > version else self.sequence

    def newest(self, channel: Any) -> int:
        """The newest version of a channel's figures; 0 where the channel has none."""
        if channel == ANY_CHANNEL:
            return self._newest
        return int(self._latest[channel]) if channel < self._channels else 0
