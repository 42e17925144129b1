"""What the simulation of stock sync shows: its tables in Markdown and its plot, written into benchmarks/RESULTS.md.

Only the section between the two marks is replaced; the rest of the file is other benchmarks'.
"""

import math
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.sync_replay import Outcome, Policy
from benchmarks.sync_world import (
    DAY_SECONDS,
    HOURS,
    OPENING_SHARE,
    RESTOCKS,
    SUPPLY_ERROR,
    SUPPLY_OVER_DEMAND,
)
from server.demo.figures import CHANNELS

AIM = 0.9  # share of oversold units to avoid
BEGIN, END = "<!-- sync_simulation: begin -->", "<!-- sync_simulation: end -->"
PLOT = "sync_simulation.svg"
NAMES = {"FIFO": "first in, first out", "CHANGED_MOST": "changed most", "RISK": "risk-ranked"}
_STYLE = {"FIFO": ("#000000", "o", "-"), "CHANGED_MOST": ("#D55E00", "s", "--"), "RISK": ("#0072B2", "^", "-")}


class Run(NamedTuple):
    """One run and what came of it."""

    seed: int
    lag: int
    rate: int
    policy: str
    weight: float
    outcome: Outcome


class Compared(NamedTuple):
    """One lag, budget and seed: units oversold by each policy at the lost units of first-in-first-out without buffer."""

    lag: int
    rate: int
    seed: int
    lost: int
    oversold: dict[str, float]  # by policy; nan where it cannot lose so little

    def fewer(self, policy: str) -> float:
        """Share of first-in-first-out's oversold units that the policy avoids."""
        first = self.oversold[Policy.FIFO.name]
        return 1.0 - self.oversold[policy] / first if first else 0.0


def _median(values: Iterable[float]) -> float:
    return statistics.median(values)


def _spread(values: list[float], form: str = "{:,.0f}") -> str:
    """Median (lowest to highest), or only the figure where they are all the same."""
    low, middle, high = (form.format(value) for value in (min(values), _median(values), max(values)))
    return middle if low == high else f"{middle} ({low} to {high})"


def _cases(compared: list[Compared]) -> list[tuple[int, int]]:
    return sorted({(row.lag, row.rate) for row in compared})


def summary(compared: list[Compared], runs: list[Run]) -> str:
    """Both tables and what was reached, in Markdown."""
    return "\n".join([*_equal_lost(compared), "", reached(compared), "", *_without_buffer(runs)])


def _equal_lost(compared: list[Compared]) -> list[str]:
    lines = [
        "| lag, s | budget, SKUs/s | lost units | oversold: first in, first out | changed most | risk-ranked "
        "| fewer with risk-ranked |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for lag, rate in _cases(compared):
        rows = [row for row in compared if (row.lag, row.rate) == (lag, rate)]
        oversold = [_spread([row.oversold[policy.name] for row in rows]) for policy in Policy]
        fewer = _spread([100 * row.fewer(Policy.RISK.name) for row in rows], "{:.0f}%")
        lines.append(f"| {lag} | {rate} | {_spread([row.lost for row in rows])} | {' | '.join(oversold)} | {fewer} |")
    return lines


def _without_buffer(runs: list[Run]) -> list[str]:
    lines = [
        "| lag, s | budget, SKUs/s | policy | oversold | lost | sold | sent |",
        "|---:|---:|---|---:|---:|---:|---:|",
    ]
    for lag, rate in sorted({(run.lag, run.rate) for run in runs}):
        for policy in Policy:
            plain = [r.outcome for r in runs if r[1:5] == (lag, rate, policy.name, math.inf)]
            medians = [_median([getattr(o, name) for o in plain]) for name in ("oversold", "lost", "sold", "sent")]
            lines.append(
                f"| {lag} | {rate} | {NAMES[policy.name]} | " + " | ".join(f"{m:,.0f}" for m in medians) + " |"
            )
    return lines


def reached(compared: list[Compared]) -> str:
    """What was reached of the aim, in a sentence of figures."""
    fewer = {
        case: _median([row.fewer(Policy.RISK.name) for row in compared if (row.lag, row.rate) == case])
        for case in _cases(compared)
    }
    met = [case for case, share in fewer.items() if share >= AIM]
    named = [f"{lag} s and {rate}/s ({100 * fewer[lag, rate]:.0f}%)" for lag, rate in fewer]
    return (
        f"The aim, {AIM:.0%} fewer oversold units than first-in-first-out at equal lost sales, is reached in {len(met)} "
        f"of {len(fewer)} cases (medians, lag and budget): {', '.join(named)}."
    )


def write_results(folder: Path, compared: list[Compared], runs: list[Run]) -> None:
    """RESULTS.md in a folder, its section made or replaced, and the plot beside it."""
    _plot(folder / PLOT, compared, runs)
    path = folder / "RESULTS.md"
    text = path.read_text() if path.exists() else "# Results\n"
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2] or "\n"
    section = "\n".join([BEGIN, *_section(compared, runs), END])
    path.write_text(f"{before.rstrip()}\n\n{section}{after}")


def _section(compared: list[Compared], runs: list[Run]) -> list[str]:
    seeds = len({run.seed for run in runs})
    demand = next(run.outcome.demand for run in runs)
    shares = ", ".join(f"{name} {share:.0f}%" for name, share in CHANNELS.items())
    hours = ", ".join(f"{share:.1f}" for share in HOURS)
    return [
        "## Risk-aware publishing",
        "",
        "Made by `python -m benchmarks.sync_simulation` "
        f"({seeds} seeds; figures are medians over them, with the range in brackets).",
        "",
        *_equal_lost(compared),
        "",
        "*Table 1. Units oversold (sold beyond true stock) by each policy at the same budget and at the same lost units "
        "(refused though true stock would have allowed it): those that first-in-first-out loses without any buffer. The "
        "other two are read off their curves in the plot, seed by seed, on a straight line between two settings. "
        f"{demand:,} units are asked for in each run.*",
        "",
        reached(compared),
        *_READING,
        "",
        f"![Oversold against lost units, by lag and budget]({PLOT})",
        "",
        "*Plot. Each point is a setting of the one knob that all three policies have: what an oversold unit is worth in "
        "lost ones, which sets the buffers and, for risk-ranked, the ranking (medians of the seeds). Lower left is "
        "better. Both axes are logarithmic and the same in all panels. The dotted line is what first-in-first-out loses "
        "without a buffer: table 1 is read off there, seed by seed. Where curves coincide, the budget is no constraint "
        "and only the lag remains.*",
        "",
        *_without_buffer(runs),
        "",
        "*Table 2. The policies without buffers (risk-ranked weighs an oversold and a lost unit alike), medians. Sold is "
        "from true stock; sent is updates, to all channels together.*",
        "",
        "What is real and what is assumed:",
        "",
        "- Real: SKUs, units, and the days of the orders, from the Amazon India order report (31 March to 31 May 2022, "
        "the lines with a quantity and an address that the importer accepts). Each line is a customer of its own.",
        f"- A day is played in {DAY_SECONDS} s, so that the seller is {86_400 // DAY_SECONDS} times as busy as it was. "
        f"Within a day the hours have, in percent, {hours}: an assumption, as the report has no time of day.",
        f"- Channels are drawn for each order: {shares} (simulated; the report is nearly all Amazon's). Each is sent "
        "updates under a budget of its own, in rounds of 1 s.",
        f"- Stock is scarce: a SKU's supply is Poisson around {SUPPLY_OVER_DEMAND:.0%} of what will be asked for, with "
        f"an error of {SUPPLY_ERROR} (standard deviation of the logarithm); {OPENING_SHARE:.0%} of it is there at the "
        f"beginning, the rest comes in up to {RESTOCKS} restocks at even times.",
        "- A customer buys when the channel shows enough. The channel takes what it sells off its own figure at once; an "
        "update that was on its way then overwrites that. Orders reach us at once; only updates have a lag, the same for "
        "each, and known.",
        "- First-in-first-out keeps one update for each SKU and channel, with the newest figure and the oldest turn; a "
        "queue that sends each change would do worse. Changed-most goes by the largest difference between told and due.",
    ]


_READING: tuple[str, ...] = ()


def _plot(path: Path, compared: list[Compared], runs: list[Run]) -> None:
    """A panel for each lag and budget: oversold against lost units."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams.update({"svg.hashsalt": "allot", "font.size": 9, "svg.fonttype": "none"})
    from matplotlib import pyplot

    lags, rates = (sorted({row[at] for row in compared}) for at in (0, 1))
    size = {"figsize": (3.1 * len(lags) + 0.6, 2.5 * len(rates) + 0.8), "layout": "constrained"}
    figure, panels = pyplot.subplots(len(rates), len(lags), sharex=True, sharey=True, squeeze=False, **size)
    for down, rate in enumerate(rates):
        for across, lag in enumerate(lags):
            panel = panels[down][across]
            _panel(panel, [run for run in runs if (run.lag, run.rate) == (lag, rate)], direct=down == across == 0)
            lost = _median([row.lost for row in compared if (row.lag, row.rate) == (lag, rate)])
            panel.axvline(lost, color="#777777", linestyle=":", linewidth=1, zorder=0)
            panel.set_title(f"lag {lag} s, budget {rate} SKU{'s' * (rate > 1)}/s", fontsize=9)
    figure.supxlabel("lost units (refused though there was stock)", fontsize=9)
    figure.supylabel("oversold units", fontsize=9)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _panel(panel: Any, runs: list[Run], direct: bool) -> None:
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.grid(color="#dddddd", linewidth=0.5)
    for policy in Policy:
        colour, marker, line = _STYLE[policy.name]
        found: dict[float, list[Outcome]] = {}
        for run in runs:
            if run.policy == policy.name:
                found.setdefault(run.weight, []).append(run.outcome)
        points = [(_median([o.lost for o in at]), _median([o.oversold for o in at])) for at in found.values()]
        points.sort()
        panel.plot(
            *zip(*points, strict=True), color=colour, linestyle=line, marker=marker, markersize=4, linewidth=1.2,
            fillstyle="none" if policy != Policy.RISK else "full",
        )  # fmt: skip
        if direct:
            place = {"FIFO": (12, -1), "CHANGED_MOST": (-12, -1), "RISK": (-12, -1)}[policy.name]
            panel.annotate(
                NAMES[policy.name], points[len(points) // 2], xytext=place, textcoords="offset points", color=colour,
                va="center", ha="left" if place[0] > 0 else "right", fontsize=8,
            )  # fmt: skip
