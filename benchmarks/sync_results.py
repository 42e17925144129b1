"""What the simulation of stock sync shows: its tables in Markdown and its plot, written into benchmarks/RESULTS.md."""

import math
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.results import write_section
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
EQUAL = 0.01  # of lost units: so much more still counts as equal, where a policy has no setting that loses less
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
    """One lag, budget and seed: units oversold at the lost units of first-in-first-out without a buffer."""

    lag: int
    rate: int
    seed: int
    lost: int
    oversold: dict[str, float]  # by policy; nan where it cannot lose so little
    unhurried: float  # by any policy at the largest budget, where nothing waits

    def fewer(self, policy: str) -> float:
        """Share of first-in-first-out's oversold units that the policy avoids."""
        first = self.oversold[Policy.FIFO.name]
        return 1.0 - self.oversold[policy] / first if first else 0.0

    def caught_up(self, policy: str) -> float:
        """The same of what waiting adds: of first-in-first-out's oversold units beyond `unhurried`."""
        added = self.oversold[Policy.FIFO.name] - self.unhurried
        return (self.oversold[Policy.FIFO.name] - self.oversold[policy]) / added if added else 0.0


def _median(values: Iterable[float]) -> float:
    return statistics.median(values)


def _spread(values: list[float], form: str = "{:,.0f}") -> str:
    """Median (lowest to highest), or only the figure where they are all the same."""
    if any(math.isnan(value) for value in values):
        return "loses more at every setting"
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
        "| fewer with risk-ranked | if nothing waited |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for lag, rate in _cases(compared):
        rows = [row for row in compared if (row.lag, row.rate) == (lag, rate)]
        oversold = [_spread([row.oversold[policy.name] for row in rows]) for policy in Policy]
        fewer = _spread([100 * row.fewer(Policy.RISK.name) for row in rows], "{:.0f}%")
        cells = [lag, rate, _spread([row.lost for row in rows]), *oversold, fewer, _spread([r.unhurried for r in rows])]
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
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
        f"The aim, {AIM:.0%} fewer oversold units than first-in-first-out at equal lost sales, is reached in "
        f"{len(met)} of {len(fewer)} cases (medians, lag and budget): {', '.join(named)}. "
        "Where the budget is short, part of what is oversold comes of waiting, and the rest of the lag alone (the last "
        "column of table 1). Of the part that waiting adds, risk-ranked avoids "
        f"{', '.join(_caught_up(compared))}."
    )


def _caught_up(compared: list[Compared]) -> list[str]:
    """For each lag and each budget but the largest."""
    shown, most = [], max(row.rate for row in compared)
    for lag, rate in _cases(compared):
        shares = [row.caught_up(Policy.RISK.name) for row in compared if (row.lag, row.rate) == (lag, rate)]
        if rate < most:
            shown.append(f"{100 * _median(shares):.0f}% at {lag} s and {rate}/s")
    return shown


def write_results(folder: Path, compared: list[Compared], runs: list[Run]) -> None:
    """RESULTS.md in a folder, its section made or replaced, and the plot beside it."""
    _plot(folder / PLOT, compared, runs)
    write_section(folder / "RESULTS.md", BEGIN, END, _section(compared, runs))


_TEXT = """## Risk-aware publishing

Made by `python -m benchmarks.sync_simulation`, with {seeds} seeds. Figures are medians over the seeds, with their range
in brackets.

{equal_lost}

*Table 1. Units oversold (sold beyond true stock) by each policy at the same budget and the same lost units (refused
though true stock would have allowed it), namely those that first-in-first-out loses without a buffer. The other two are
read off their curves in the plot, seed by seed, on a straight line between two settings; where every setting loses
less, the one that oversells least is taken, and where every setting loses more, but by less than 1%, the one that loses
least. "If nothing waited" is read off in the same way at the largest budget: what the lag leaves oversold when every
update is sent at once. {demand} units are asked for in each run.*

{reached}

![Oversold against lost units, a panel for each lag and budget]({plot})

*Plot. Each point is a setting of the one knob that all three policies have: what an oversold unit is worth in lost
ones. It sets the buffers of all three, and the ranking of risk-ranked (medians over the seeds). Lower left is better.
Both axes are logarithmic and the same in all panels; a setting that oversells nothing has no place on them. The dotted
line is what first-in-first-out loses without a buffer, where table 1 is read off. At 100 SKUs/s nothing waits and the
three curves are one: only the lag is left.*

{without_buffer}

*Table 2. The policies without buffers (risk-ranked weighs an oversold and a lost unit alike); medians. Sold is from
true stock; sent are updates, to all channels together.*

What is real, and what is assumed:

- Real: SKUs, units, and the days of the orders, from the Amazon India order report (31 March to 31 May 2022, the lines
  that the importer accepts). Each line is a customer of its own.
- A day is played in {day_s} s, so the seller is {busy} times as busy as it was. The hours of a day have, in percent of
  its orders, {hours}: an assumption, as the report has no time of day.
- The channel of an order is drawn: {shares} (the report is nearly all Amazon's). Each channel has the budget for
  itself and is sent updates in rounds of 1 s.
- Stock is scarce: a SKU's supply is Poisson around {supply} of what will be asked for, with an error (standard
  deviation of the logarithm {error}); {opening} of it is there at the beginning, the rest comes in up to {restocks}
  restocks at times drawn evenly.
- A customer buys when the channel shows enough. The channel takes what it sells off its own figure at once; an update
  that was on its way then overwrites that. Orders reach the publisher at once. Updates have a lag, always the same,
  which the buffers know; the wait for the budget is not in the buffers.
- First-in-first-out keeps one update for each SKU and channel, with the newest figure and the oldest turn. Changed-most
  takes the largest difference between what the channel was told and what it should show.
"""


def _section(compared: list[Compared], runs: list[Run]) -> list[str]:
    seeds, demand = len({run.seed for run in runs}), next(run.outcome.demand for run in runs)
    shares = ", ".join(f"{name} {share:.0f}%" for name, share in CHANNELS.items())
    filled = {
        "seeds": seeds, "demand": f"{demand:,}", "plot": PLOT, "day_s": DAY_SECONDS, "busy": 86_400 // DAY_SECONDS,
        "hours": ", ".join(f"{share:.1f}" for share in HOURS), "shares": shares, "supply": f"{SUPPLY_OVER_DEMAND:.0%}",
        "error": SUPPLY_ERROR, "opening": f"{OPENING_SHARE:.0%}", "restocks": RESTOCKS,
        "equal_lost": "\n".join(_equal_lost(compared)), "without_buffer": "\n".join(_without_buffer(runs)),
        "reached": reached(compared),
    }  # fmt: skip
    return _TEXT.format(**filled).splitlines()


def _plot(path: Path, compared: list[Compared], runs: list[Run]) -> None:
    """A panel for each lag and budget: oversold against lost units."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams.update({"svg.hashsalt": "allot", "font.size": 9})
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
            if len(rates) > 1 and rate == max(rates):
                panel.text(0.1, 0.88, "all three alike", transform=panel.transAxes, fontsize=8)
    figure.supxlabel("lost units (refused though there was stock)", fontsize=9)
    figure.supylabel("oversold units", fontsize=9)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _panel(panel: Any, runs: list[Run], direct: bool) -> None:
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.grid(color="#dddddd", linewidth=0.5)
    panel.minorticks_off()
    panel.xaxis.set_major_formatter("{x:,.0f}")
    panel.yaxis.set_major_formatter("{x:,.0f}")
    for policy in Policy:
        colour, marker, line = _STYLE[policy.name]
        found: dict[float, list[Outcome]] = {}
        for run in runs:
            if run.policy == policy.name:
                found.setdefault(run.weight, []).append(run.outcome)
        points = [(_median([o.lost for o in at]), _median([o.oversold for o in at])) for at in found.values()]
        points = sorted(point for point in points if min(point) > 0)  # a logarithm has no place for none
        if not points:
            continue
        panel.plot(
            *zip(*points, strict=True), color=colour, linestyle=line, marker=marker, markersize=4, linewidth=1.2,
            fillstyle="none" if policy != Policy.RISK else "full",
        )  # fmt: skip
        if direct:
            place = {"FIFO": (-4, -13), "CHANGED_MOST": (-9, 0), "RISK": (-9, 0)}[policy.name]
            panel.annotate(
                NAMES[policy.name], points[len(points) // 2], xytext=place, textcoords="offset points", color=colour,
                va="center", ha="right", fontsize=8,
            )  # fmt: skip
