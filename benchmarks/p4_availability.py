"""P4: what channels may sell: all SKUs, 10,000 changed ones, and 200 channels, beside a streaming sum and Polars.

The streaming sum reads the same bytes - available units, and the figures published last - and does nothing else.
"""

import time
from typing import Any

import numpy as np

from benchmarks import load
from benchmarks.row import Row, in_turn, timed
from engine.columns import reserve
from kernels.availability import SHARE_WHOLE, Changes, Groups, Published, groups_of, publish
from kernels.columns import Cells, Policies
from kernels.options import I64, kernel

ROUNDS = 15
CHANGED_SKUS = 10_000
MANY_CHANNELS, MANY_GROUPS = 200, 8
PIECE_SKUS = 16_384  # as engine/availability.py takes them

try:
    import polars
except ImportError:  # an optional peer
    polars = None  # type: ignore[assignment]


@kernel
def stream(words: I64) -> int:
    """A sum over an array, as fast as memory gives it."""
    total = 0
    for i in range(words.size):
        total += words[i]
    return total


class Shop:
    """Stock of the canonical load, and channels that publish a share of it."""

    def __init__(self, channels: int, groups: int) -> None:
        self.available = load.stock(5 * load.SKUS * load.NODES)
        self.cells: Cells = load.cells(self.available)
        self.policies: Policies = load.policies(channels, groups)
        self.groups: Groups = groups_of(self.policies.nodes)
        self.fences = load.no_fences()
        shape = (load.SKUS, channels)
        self.published = Published(reserve(shape, np.int32), reserve(shape, np.int64))
        room = PIECE_SKUS * channels if channels > load.CHANNELS else load.SKUS * channels
        self.changes = Changes(np.zeros(room, np.int32), np.zeros(room, np.int16), np.zeros(room, np.int32))
        self.every = np.arange(load.SKUS, dtype=np.int32)

    def publish(self, skus: Any) -> int:
        """Bring the figures of these SKUs up to date; returns how many changed."""
        return publish(
            skus, load.NODES, 1, self.cells, self.fences, self.policies, self.groups, self.published, self.changes
        )

    def publish_in_pieces(self) -> None:
        """All SKUs, as the engine does it."""
        for first in range(0, load.SKUS, PIECE_SKUS):
            self.publish(self.every[first : first + PIECE_SKUS])

    def forget(self) -> None:
        """As if nothing had been published."""
        self.published.ats[:] = -1


def rows(quick: bool = False) -> list[Row]:
    """The figures of P4."""
    rounds = 5 if quick else ROUNDS
    return [*_full(rounds), _changed(rounds), _many(rounds)]


def _full(rounds: int) -> list[Row]:
    shop = Shop(load.CHANNELS, 1)
    size = shop.available.nbytes + shop.published.ats.nbytes
    words = np.ones(size // 8, np.int64)
    shop.publish(shop.every)

    def all_new() -> float:
        shop.forget()
        return timed(lambda: shop.publish(shop.every))()

    parts = {
        "full": timed(lambda: shop.publish(shop.every)),
        "stream": timed(lambda: stream(words)),
        "new": all_new,
    }
    if polars is not None:
        frame = polars.DataFrame(shop.available, schema=[f"node_{i}" for i in range(load.NODES)], orient="row")
        assert (_polars(frame, shop.policies).to_numpy() == shop.published.ats).all(), "Polars came to other figures"
        parts["polars"] = _by_the_clock(lambda: _polars(frame, shop.policies))
    runs = in_turn(rounds, **parts)
    gigabytes = size / 1e9
    peers = {"streaming sum": runs["stream"].rate(gigabytes)}
    if polars is not None:
        peers[f"Polars, {polars.thread_pool_size()} threads"] = runs["polars"].rate(gigabytes)
    names = f"ATS, {load.SKUS:,} SKUs x {load.NODES} nodes, {load.CHANNELS} channels"
    without = "" if polars is not None else " (Polars is not installed)"
    low, high = runs["full"].spread(gigabytes)
    what, value = f"{names}, few changed{without}", runs["full"].rate(gigabytes)
    full = Row("P4", what, value, "GB/s", peers, low, high, runs=rounds)
    return [
        full.judged("0.7 of the streaming sum", runs["full"].median <= runs["stream"].median / 0.7),
        Row("P4", f"{names}, every figure changed", runs["new"].rate(gigabytes), "GB/s", peers, runs=rounds),
    ]


def _by_the_clock(work: Any) -> Any:
    def run() -> float:
        started = time.perf_counter()
        work()
        return time.perf_counter() - started

    return run


def _polars(frame: Any, policies: Policies) -> Any:
    """ATS of channels that share one group: a share of what is free, less the buffer, at most the cap."""
    free = frame.select(polars.sum_horizontal(polars.all()).cast(polars.Int64).alias("free"))
    share = [polars.col("free") * int(ppm) // SHARE_WHOLE for ppm in policies.share_ppm]
    figures = [
        (share[channel] - int(policies.buffer[channel])).clip(0, int(policies.cap[channel]))
        for channel in range(policies.cap.size)
    ]
    return free.select(
        [
            polars.when(figure >= int(policies.threshold[channel]))
            .then(figure)
            .otherwise(0)
            .cast(polars.Int32)
            .alias(str(channel))
            for channel, figure in enumerate(figures)
        ]
    )


def _changed(rounds: int) -> Row:
    shop = Shop(load.CHANNELS, 1)
    shop.publish(shop.every)
    rng = np.random.default_rng(1)
    words = np.ones(CHANGED_SKUS * (load.NODES + load.CHANNELS) // 2, np.int64)

    def changed() -> float:
        skus = rng.choice(load.SKUS, CHANGED_SKUS, replace=False).astype(np.int32)
        shop.cells.available[skus, rng.integers(0, load.NODES, CHANGED_SKUS)] += 2
        return timed(lambda: shop.publish(skus))()

    runs = in_turn(4 * rounds, changed=changed, stream=timed(lambda: stream(words)))
    milliseconds = [seconds * 1e3 for seconds in runs["changed"].seconds]
    row = Row(
        "P4", f"ATS of {CHANGED_SKUS:,} random changed SKUs", runs["changed"].median * 1e3, "ms",
        {"streaming sum": runs["stream"].median * 1e3}, min(milliseconds), max(milliseconds),
        runs=len(milliseconds),
    )  # fmt: skip
    return row.judged("0.5 ms at most", row.value <= 0.5)


def _many(rounds: int) -> Row:
    shop = Shop(MANY_CHANNELS, MANY_GROUPS)
    words = np.ones((shop.available.nbytes + shop.published.ats.nbytes) // 8, np.int64)
    shop.publish_in_pieces()
    runs = in_turn(rounds, many=timed(shop.publish_in_pieces), stream=timed(lambda: stream(words)))
    milliseconds = [seconds * 1e3 for seconds in runs["many"].seconds]
    row = Row(
        "P4", f"ATS, {MANY_CHANNELS} channels in {MANY_GROUPS} groups x {load.SKUS:,} SKUs", runs["many"].median * 1e3,
        "ms", {"streaming sum": runs["stream"].median * 1e3}, min(milliseconds), max(milliseconds), runs=rounds,
    )  # fmt: skip
    return row.judged("100 ms at most", row.value <= 100)
