"""What latency against load shows: its tables in Markdown and its plot, written into benchmarks/RESULTS.md."""

from pathlib import Path
from typing import Any

from benchmarks.latency import ECHO, PERCENTS, ROUNDS, UNDER_WAY_MAX, Measurement, Point
from benchmarks.results import write_section

BEGIN, END = "<!-- latency: begin -->", "<!-- latency: end -->"
PLOT = "latency.svg"
FEW_CALLS = 10_000  # of fewer, the p99.9 is that of ten calls at most
_STYLE = {"order": ("#0072B2", "-", "PlaceOrder"), "echo": ("#999999", "--", "echo")}
_MARKS = {50: "o", 99: "s", 99.9: "^"}


def write_results(folder: Path, found: Measurement) -> None:
    """The section in the RESULTS.md of a folder, and the plot beside it."""
    _plot(folder / PLOT, found)
    write_section(folder / "RESULTS.md", BEGIN, END, section(found))


_TEXT = """## Latency against load

Made by `python -m benchmarks --only latency`: single orders by `PlaceOrder`, each acknowledged after its fdatasync,
beside the bare echo of the same bytes (gRPC on the same kind of event loop, {echo}, and nothing behind it). Server,
echo and client share {cores} cores; the disk alone takes {sync:.2f} ms for a write and its fdatasync. Milliseconds: p50
and p99 are medians of {rounds} rounds, p99.9 is of all of them together, with the range of the rounds in brackets.
Others share the cores: in the minute before it began, {others:.1f} of their processes wanted one.

{closed}

*Table 1. So many callers, each with its next order as soon as it has its answer. The client took {cores_closed:.2f}
of a core at most. {few}*

{open}

*Table 2. Orders that come as they come (Poisson), at shares of {peak:,.0f} a second, the most of table 1, with
{under_way} under way at most, each timed from when it should have been sent; the echo gets as many. The client took
{cores_open:.2f} of a core at most.*

![Latency by callers, and by share of the peak]({plot})

*Plot. Left table 1, right table 2. Latency is logarithmic.*
"""


def section(found: Measurement) -> list[str]:
    """Lines of Markdown."""
    each = [point for points in (found.closed["order"], found.open["order"]) for point in points]
    few = sum(point.calls < FEW_CALLS for point in each)
    remark = f"{few} of the {len(each)} rows of both tables have fewer than {FEW_CALLS:,} orders: their p99.9 is rough."
    filled = {
        "echo": ECHO, "cores": found.cores, "others": found.others, "sync": found.sync_ms, "rounds": ROUNDS,
        "peak": found.peak, "plot": PLOT,
        "under_way": UNDER_WAY_MAX, "few": remark if few else "",
        "closed": _table("at a time", [f"{point.at:.0f}" for point in found.closed["order"]], found.closed),
        "open": _table("of the peak", [f"{share:.0%}" for share in found.shares], found.open),
        "cores_closed": _cores(found.closed), "cores_open": _cores(found.open),
    }  # fmt: skip
    return [line.rstrip() for line in _TEXT.format(**filled).splitlines()]


def _cores(points: dict[str, list[Point]]) -> float:
    return max(point.client_cores for name in points for point in points[name])


def _table(what: str, loads: list[str], points: dict[str, list[Point]]) -> str:
    names = [f"p{percent:g}" for percent in PERCENTS]
    head = [what, "orders/s", "failed", *names, "echo/s", *(f"echo {name}" for name in names)]
    lines = [f"| {' | '.join(head)} |", "|" + "---:|" * len(head)]
    for load, order, bare in zip(loads, points["order"], points["echo"], strict=True):
        own = [_spread(*order.percentiles[percent]) for percent in PERCENTS]
        echo = [f"{bare.percentiles[percent][0]:.2f}" for percent in PERCENTS]
        cells = [load, f"{order.per_second:,.0f}", str(order.failed), *own, f"{bare.per_second:,.0f}", *echo]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _spread(value: float, low: float, high: float) -> str:
    return f"{value:.2f} ({low:.2f} to {high:.2f})"


def _plot(path: Path, found: Measurement) -> None:
    """Two panels: the closed loops and the open ones."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams.update({"svg.hashsalt": "allot", "font.size": 9})
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, sharey=True, figsize=(8.5, 3.8), layout="constrained")
    callers = [point.at for point in found.closed["order"]]
    left.set_xscale("log", base=2)
    _panel(left, callers, found.closed)
    left.set_xticks(callers, [f"{count:.0f}" for count in callers])
    left.set_xlabel("orders at a time")
    left.set_ylabel("latency, ms")
    shares = [100 * share for share in found.shares]
    _panel(right, shares, found.open)
    right.set_xlabel(f"orders as they come, % of {found.peak:,.0f} a second")
    right.set_xlim(0, 100)
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=len(PERCENTS) * 2, frameon=False)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _panel(panel: Any, loads: list[float], points: dict[str, list[Point]]) -> None:
    panel.set_yscale("log")
    panel.grid(color="#dddddd", linewidth=0.5)
    panel.spines[["top", "right"]].set_visible(False)
    for name, (colour, line, label) in _STYLE.items():
        for percent in PERCENTS:
            values = [point.percentiles[percent][0] for point in points[name]]
            panel.plot(
                loads, values, color=colour, linestyle=line, marker=_MARKS[percent], markersize=4, linewidth=1.2,
                label=f"{label} p{percent:g}",
            )  # fmt: skip
    panel.yaxis.set_major_formatter("{x:g}")
    panel.minorticks_off()
