"""The peers of P1 beside a short run of the lane, before them and after: PostgreSQL, Redis, NumPy and plain Python over
the same orders (benchmarks/peers/). P1 itself has them beside its full run.
"""

from collections.abc import Iterator
from dataclasses import replace

from benchmarks import p1_lane
from benchmarks.peers.contest import beside
from benchmarks.row import Row

SECONDS, SECONDS_QUICK = 10.0, 3.0


def rows(quick: bool = False) -> Iterator[Row]:
    """The lane, its peers, the lane again."""
    seconds = SECONDS_QUICK if quick else SECONDS
    lane = _lane(seconds)
    yield lane
    yield from beside(lane.value, int(seconds * p1_lane.ORDERS_PER_SECOND_MAX), quick)
    if not quick:
        yield replace(again := _lane(seconds), what=f"{again.what}, after its peers")


def _lane(seconds: float) -> Row:
    return p1_lane.measure(seconds, p1_lane.BATCH_ORDERS, p1_lane.STREAMS, p1_lane.WINDOW, verify=False)[0]
