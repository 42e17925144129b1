"""What a benchmark hands back: rows of figures, each beside its peers of the same run; benchmarks/__main__.py prints
them.

Peers take turns (`in_turn`): on a shared machine only the ratio of neighbours means anything. Kernels are timed in
processor time of their thread, everything that waits for a disk by the clock.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

ROUNDING = 1e-9  # below it a figure is what float64 leaves of nothing


@dataclass(frozen=True)
class Row:
    """One figure, the median where there were several runs. `ratio` is the value over the first peer's."""

    id: str
    what: str  # figures that differ from run to run stand in brackets: runs are compared by the rest
    value: float
    unit: str
    peers: Mapping[str, float] = field(default_factory=dict)  # in the same unit
    low: float | None = None  # of the runs, where there were several; of something else where `what` says "(low: ..."
    high: float | None = None
    curve: str = ""  # the curve that it is a point of; `what` is then the line
    at: float | None = None  # where on it
    runs: int = 1  # that stand behind the value
    goal: str = ""  # of a row that stands for a goal: what it is,
    meets: bool | None = None  # and whether it is met

    def judged(self, goal: str, meets: bool) -> "Row":
        """The same row, standing for a goal."""
        return replace(self, goal=goal, meets=bool(meets))

    @property
    def ratio(self) -> float | None:
        """Value over the first peer; None without one."""
        first = next(iter(self.peers.values()), 0.0)
        return self.value / first if first else None


def figure_text(value: float) -> str:
    """As tables show it."""
    if abs(value) < ROUNDING:
        return "0"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def is_rate(unit: str) -> bool:
    """Whether more is better."""
    return unit.endswith("/s")


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
