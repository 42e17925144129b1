"""Watchers of what each channel may sell, and the lag: from an order's decision until the watcher is told."""

import threading
import time
from bisect import bisect_left
from collections.abc import Iterable

from allot_client import AllotError, Client

FIRST_ANSWER_SECONDS_MAX = 30.0
LAST_ANSWER_SECONDS_MAX = 1.0


class Watcher:
    """One channel's, in a thread of its own, until the client is closed."""

    def __init__(self, client: Client, channel: str) -> None:
        self.channel = channel
        self.figures = 0
        self.failure: Exception | None = None
        self._client = client
        self._versions: list[int] = []  # up to which all was told,
        self._told_us: list[int] = []  # and when
        self._changed = threading.Condition()
        threading.Thread(target=self._watch, name=f"watch-{channel}", daemon=True).start()

    def _watch(self) -> None:
        try:
            for update in self._client.watch_availability(self.channel):
                self.figures += len(update.figures)
                if update.complete:
                    with self._changed:
                        self._versions.append(update.version)
                        self._told_us.append(time.time_ns() // 1000)
                        self._changed.notify_all()
        except (AllotError, ValueError) as failure:  # ValueError: the client is closed
            self.failure = failure

    def wait_for(self, version: int, seconds: float) -> bool:
        """Until it was told all up to this version; whether it was."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._versions) > 0 and self._versions[-1] >= version, seconds)

    def lag_seconds(self, sequence: int, stamp_us: int) -> float | None:
        """From the decision of a commit until this watcher was told all up to it. None: it never was."""
        with self._changed:
            at = bisect_left(self._versions, sequence)
            return (self._told_us[at] - stamp_us) / 1e6 if at < len(self._versions) else None


def watch_all(client: Client, channels: Iterable[str]) -> list[Watcher]:
    """A watcher a channel, each told where things stand."""
    watchers = [Watcher(client, channel) for channel in channels]
    for watcher in watchers:
        if not watcher.wait_for(0, FIRST_ANSWER_SECONDS_MAX):
            raise TimeoutError(f"the watcher of {watcher.channel} was told nothing: {watcher.failure or 'no answer'}")
    return watchers


def lags(client: Client, watchers: list[Watcher], samples: Iterable[tuple[str, str]]) -> list[float]:
    """Seconds, one a sampled order and watcher."""
    orders = [client.get_order(channel, order_id) for channel, order_id in samples]
    until = time.monotonic() + LAST_ANSWER_SECONDS_MAX
    last = max((order.sequence for order in orders), default=0)
    for watcher in watchers:
        watcher.wait_for(last, max(0.0, until - time.monotonic()))
    found = (watcher.lag_seconds(order.sequence, order.stamp_us) for order in orders for watcher in watchers)
    return [lag for lag in found if lag is not None]
