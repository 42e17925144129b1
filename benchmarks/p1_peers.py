"""The peers of P1 alone: PostgreSQL, Redis, NumPy and plain Python over orders like the lane's, beside short runs of
the lane (benchmarks/peers/). P1 has them after its full run.
"""

from collections.abc import Iterator

from benchmarks import p1_lane
from benchmarks.row import Row


def rows(quick: bool = False) -> Iterator[Row]:
    """A row for each peer, and what it sold twice."""
    return p1_lane.peers(quick)
