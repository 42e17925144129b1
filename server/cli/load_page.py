"""The page of `allot load`: what came of the run, over time and by latency, and how to repeat it."""

from html import escape
from typing import Any

from server.cli.page import COLOURS, Plot, figure, finished, html, picture, prepare_plots, table

CALLS_HEAD = ("answered", "failed", "a second", "p50", "p90", "p99", "p99.9", "max")


def calls_of(found: dict[str, Any]) -> list[tuple[Any, ...]]:
    """A row of figures for each kind of call."""
    names = ("answered", "per_second", "p50_ms", "p90_ms", "p99_ms", "p99.9_ms", "max_ms")
    rows = []
    for call, one in found["calls"].items():
        answered, rate, *times = (one[name] for name in names)
        failed = sum(one["failed"].values())
        rows.append((call, answered, failed, f"{rate:,.0f}", *(f"{time:,.1f}" for time in times)))
    return rows


def page(found: dict[str, Any], rows: list[tuple[Any, ...]], drawn: list[Plot]) -> str:
    """The whole page. found: the report. rows: of the table that the command prints."""
    faults = [f"<li>{escape(fault)}</li>" for fault in found["faults"]]
    remarks = [f"<li>{escape(text)}</li>" for text in found["warnings"]]
    said = {kind: found["messages"].get(kind, "") for kind in found["failures"]}
    parts = [
        f"<p>{escape(found['run']['mix'])} to {escape(found['server']['address'])}. {escape(found['run']['left'])}</p>",
        f"<h2>Wrong</h2><ul>{''.join(faults)}</ul>" if faults else "<p>Nothing was oversold, lost or failed.</p>",
        f"<h2>Mind</h2><ul>{''.join(remarks)}</ul>" if remarks else "",
        table(("",), rows),
        "<h2>Calls, latencies in milliseconds</h2>",
        table(CALLS_HEAD, calls_of(found)),
        *(picture(plot) for plot in drawn),
        "<h2>Failures</h2>" if said else "",
        table(("calls", "the first one said"), [(kind, found["failures"][kind], text) for kind, text in said.items()])
        if said
        else "",
        "<h2>To repeat it</h2>",
        f"<p><code>{escape(found['run']['command'])}</code></p>",
        table(("",), [(f"client: {name}", str(value)) for name, value in found["client"].items()]),
    ]  # fmt: skip
    return html("Load", parts)


def plots(found: dict[str, Any]) -> list[Plot]:
    """Throughput and latency over time, and how latencies are distributed. Raises Plotless."""
    prepare_plots()
    drawn = []
    if found["timeline"]:
        drawn += [_throughput(found["timeline"]), _over_time(found["timeline"])]
    if found["latencies"]:
        drawn.append(_distribution(found["latencies"]))
    return drawn


def _throughput(timeline: list[dict[str, Any]]) -> Plot:
    drawn, axes = figure(2.8)
    at = [second["at"] for second in timeline]
    for colour, name, label in zip(
        COLOURS, ("answered", "orders", "failed"), ("answered", "orders taken", "failed"), strict=False
    ):
        values = [second[name] for second in timeline]
        if name == "answered" or any(values):
            axes.plot(at, values, color=colour, label=label, linewidth=1.5, drawstyle="steps-pre")
    axes.set_ylabel("a second")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    _seconds(axes)
    axes.legend(frameon=False)
    return finished(drawn, "Calls that were answered, orders that were taken, and calls that failed, a second.")


def _over_time(timeline: list[dict[str, Any]]) -> Plot:
    drawn, axes = figure(2.8)
    at = [second["at"] for second in timeline]
    for colour, name, label in zip(COLOURS, ("p50_ms", "p99_ms"), ("p50", "p99"), strict=False):
        axes.plot(at, [second[name] or None for second in timeline], color=colour, label=label, linewidth=1.5)
    axes.set_yscale("log")
    axes.set_ylabel("latency, ms")
    _name_ticks(axes.yaxis, (1, 2, 5))
    _seconds(axes)
    axes.legend(frameon=False)
    return finished(drawn, "Latency of the calls of each second, from when each was due. The axis is logarithmic.")


def _name_ticks(axis: Any, figures: tuple[int, ...]) -> None:
    """Plain figures on a logarithmic axis, these of each decade: left alone, matplotlib names more of them in its own
    notation where the axis has no whole decade."""
    from matplotlib.ticker import LogLocator

    axis.set_major_locator(LogLocator(subs=figures))
    axis.set_major_formatter("{x:,g}")
    axis.set_minor_formatter(lambda *_: "")


def _seconds(axes: Any) -> None:
    axes.set_xlabel("seconds since the warm-up")
    axes.set_xlim(0)
    if axes.get_yscale() == "linear":
        axes.set_ylim(0)
    axes.grid(color="#dddddd", linewidth=0.5)


def _distribution(buckets: list[list[float]]) -> Plot:
    """The share of calls that took longer, so that the tail is seen."""
    drawn, axes = figure(3.0)
    total, longer = sum(count for _, count in buckets), []
    left = total
    for _, count in buckets:
        left -= count
        longer.append(100 * left / total)
    axes.plot([end for end, _ in buckets], longer, color=COLOURS[0], linewidth=1.5)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(max(1e-4, 50 / total), 110)
    axes.set_xlabel("latency, ms")
    axes.set_ylabel("calls that took longer, %")
    _name_ticks(axes.xaxis, (1, 2, 5))
    _name_ticks(axes.yaxis, (1,))
    axes.grid(color="#dddddd", linewidth=0.5)
    return finished(drawn, "How many calls took longer than so many milliseconds. Both axes are logarithmic.")
