"""What a benchmark hands back: rows of figures, each beside its peers of the same run; benchmarks/__main__.py prints
them.

Peers take turns (`in_turn`): on a shared machine only the ratio of neighbours means anything. Kernels are timed in
processor time of their thread, everything that waits for a disk by the clock.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(frozen=True)
class Row:
    """One figure. `ratio` is the value over the first peer's."""

    id: str
    what: str
    value: float
    unit: str
    peers: Mapping[str, float] = field(default_factory=dict)  # in the same unit
    low: float | None = None  # of the runs, where there were several
    high: float | None = None

    @property
    def ratio(self) -> float | None:
        """Value over the first peer; None without one."""
        first = next(iter(self.peers.values()), 0.0)
        return self.value / first if first else None


class Runs(NamedTuple):
    """Seconds of several runs of one thing."""

    seconds: list[float]

    @property
    def median(self) -> float:
        """Seconds of the middle run."""
        return statistics.median(self.seconds)

    def rate(self, count: float) -> float:
        """So many a second, by the median."""
        return count / self.median

    def spread(self, count: float) -> tuple[float, float]:
        """The lowest and the highest rate."""
        return count / max(self.seconds), count / min(self.seconds)


def in_turn(rounds: int, **parts: Callable[[], float]) -> dict[str, Runs]:
    """Run each part once a round, after one round that does not count; each returns its own seconds."""
    runs: dict[str, list[float]] = {name: [] for name in parts}
    for turn in range(rounds + 1):
        for name, part in parts.items():
            seconds = part()
            if turn:
                runs[name].append(seconds)
    return {name: Runs(seconds) for name, seconds in runs.items()}


def timed(work: Callable[[], object]) -> Callable[[], float]:
    """A part for `in_turn` that needs no preparation, in processor time."""

    def run() -> float:
        started = time.thread_time()
        work()
        return time.thread_time() - started

    return run
