"""Watchers of what each channel may sell, by gRPC and by Redis, and the lag: from an order's decision until the watcher
is told."""

import threading
import time
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Iterable
from typing import Any

import redis

from allot_client import AllotError, Client
from server.workers.redis_address import Keys

FIRST_ANSWER_SECONDS_MAX = 30.0
LAST_ANSWER_SECONDS_MAX = 1.0
SKUS_MAX = 10_000  # of one look
NEVER = "0:0"  # the figure of a SKU of which there was never anything to sell: Redis need not have it


class Watcher(ABC):
    """One channel's, in a thread of its own, until what it watches is closed."""

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self.figures = 0
        self.failure: Exception | None = None
        self._versions: list[int] = []  # up to which all was told,
        self._told_us: list[int] = []  # and when
        self._changed = threading.Condition()
        threading.Thread(target=self._watch, name=f"watch-{channel}", daemon=True).start()

    @abstractmethod
    def _watch(self) -> None:
        """Call `_told` for whatever comes, until there is no more."""

    def _told(self, version: int) -> None:
        """All up to this version."""
        with self._changed:
            self._versions.append(version)
            self._told_us.append(time.time_ns() // 1000)
            self._changed.notify_all()

    def wait_for(self, version: int, seconds: float) -> bool:
        """Until it was told all up to this version; whether it was."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._versions) > 0 and self._versions[-1] >= version, seconds)

    def lag_seconds(self, sequence: int, stamp_us: int) -> float | None:
        """From the decision of a commit until this watcher was told all up to it. None: it never was."""
        with self._changed:
            at = bisect_left(self._versions, sequence)
            return (self._told_us[at] - stamp_us) / 1e6 if at < len(self._versions) else None


class ServerWatcher(Watcher):
    """By gRPC."""

    def __init__(self, client: Client, channel: str) -> None:
        self._client = client
        super().__init__(channel)

    def _watch(self) -> None:
        try:
            for update in self._client.watch_availability(self.channel):
                self.figures += len(update.figures)
                if update.complete:
                    self._told(update.version)
        except (AllotError, ValueError) as failure:  # ValueError: the client is closed
            self.failure = failure


class RedisWatcher(Watcher):
    """By the stream of changes in Redis."""

    def __init__(self, url: str, channel: str) -> None:
        self._client: Any = redis.Redis.from_url(url, decode_responses=True)
        super().__init__(channel)

    def _watch(self) -> None:
        stream, last = Keys.of(self.channel).changes, "0"
        try:
            while True:
                found = self._client.xread({stream: last}, block=1000)
                for entry, fields in (pair for _, pairs in found for pair in pairs):
                    last = entry
                    self.figures += fields["figures"].count("\n")
                    self._told(int(fields["version"]))
        except (redis.RedisError, OSError) as failure:
            self.failure = failure


def unlike(client: Client, url: str, channels: Iterable[str], skus: list[str]) -> int:
    """Figures in Redis that are not the engine's, after a wait for those that are under way."""
    with redis.Redis.from_url(url, decode_responses=True) as store:
        until = time.monotonic() + LAST_ANSWER_SECONDS_MAX
        while True:
            wrong = sum(_unlike(client, store, channel, skus) for channel in channels)
            if wrong == 0 or time.monotonic() > until:
                return wrong
            time.sleep(0.1)


def _unlike(client: Client, store: Any, channel: str, skus: list[str]) -> int:
    said = store.hgetall(Keys.of(channel).figures)
    pages = (skus[first : first + SKUS_MAX] for first in range(0, len(skus), SKUS_MAX))
    figures = (figure for page in pages for figure in client.get_availability(channel, page).figures)
    return sum(said.get(figure.sku, NEVER) != f"{figure.units}:{figure.version}" for figure in figures)


def watch_all(client: Client, url: str, channels: Iterable[str]) -> tuple[list[Watcher], list[Watcher]]:
    """A watcher a channel by gRPC, and one by Redis, each told where things stand."""
    by_server: list[Watcher] = [ServerWatcher(client, channel) for channel in channels]
    by_redis: list[Watcher] = [RedisWatcher(url, channel) for channel in channels]
    for watcher in (*by_server, *by_redis):
        _wait(watcher)
    return by_server, by_redis


def _wait(watcher: Watcher) -> None:
    if not watcher.wait_for(0, FIRST_ANSWER_SECONDS_MAX):
        raise TimeoutError(f"the watcher of {watcher.channel} was told nothing: {watcher.failure or 'no answer'}")


def lags(client: Client, watchers: list[Watcher], samples: Iterable[tuple[str, str]]) -> list[float]:
    """Seconds, one a sampled order and watcher."""
    orders = [client.get_order(channel, order_id) for channel, order_id in samples]
    until = time.monotonic() + LAST_ANSWER_SECONDS_MAX
    last = max((order.sequence for order in orders), default=0)
    for watcher in watchers:
        watcher.wait_for(last, max(0.0, until - time.monotonic()))
    found = (watcher.lag_seconds(order.sequence, order.stamp_us) for order in orders for watcher in watchers)
    return [lag for lag in found if lag is not None]
