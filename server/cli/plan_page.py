"""The page of `allot plan`: what breaks first, tables and plots, as one HTML file that needs nothing else."""

from html import escape
from typing import Any

from server.cli.page import COLOURS, Plot, bullets, few_ticks, finished, html, picture, prepare_plots, table
from server.cli.plan_growth import FULL, sentence
from server.cli.plan_machine import explained
from server.cli.plan_tables import head_of, machine_rows, nodes_head, nodes_of, rejected, table_of

NODES_SHOWN_MAX = 40  # in a plot; the table has all
_SHORT = (
    ("for lack of stock", "short_for_stock_units"), ("for lack of capacity", "short_for_capacity_units"),
    ("otherwise", "short_otherwise_units"),
)  # fmt: skip
_TICKS_MAX = 8  # dates under a plot


def page(result: dict[str, Any], drawn: list[Plot]) -> str:
    """The whole page."""
    history, head = result["history"], head_of(result)
    dates = history["dates"]
    closed = f", without {', '.join(result['closed'])}" if result["closed"] else ""
    parts = [
        f"<p>{history['orders']:,} orders of {len(dates)} days, {dates[0]} to {dates[-1]}, of {escape(history['file'])}"
        f", replayed at so many times their number by {escape(result['policy'])}{escape(closed)}.</p>",
        f"<p><b>{escape(result['breaks_first']['sentence'])}</b></p>",
        table(head, table_of(result)),
        bullets([*(sentence(run) for run in result["growths"]), *result["notes"], *rejected(result)]),
        *map(picture, drawn),
        f"<h2>{escape(nodes_head(result))}</h2>", table(head, nodes_of(result)),
        "<h2>The machine that allot needs</h2>", table(head, machine_rows(result)),
        bullets(explained(result["machine"])),
    ]  # fmt: skip
    return html("Capacity plan", parts)


def plots(result: dict[str, Any]) -> list[Plot]:
    """How full nodes are, what each growth comes to, demand against capacity. Raises Plotless."""
    prepare_plots()
    return [_fullness(result), _against_growth(result), _cumulative(result)]


def _fullness(result: dict[str, Any]) -> Plot:
    """A panel for each growth: nodes by days. Where no node has a limit, the units that each sends."""
    import matplotlib
    import numpy as np
    from matplotlib import pyplot

    runs, dates, of_limit = result["growths"], result["history"]["dates"], result["limited_nodes"] > 0
    last = runs[-1]["nodes"]
    names = [name for name in last if last[name]["used"] is not None or not of_limit]
    key, shown = ("used" if of_limit else "units"), len(names)
    names = sorted(names, key=lambda name: -sum(sum(run["nodes"][name][key]) for run in runs))[:NODES_SHOWN_MAX]
    size = (8.5, 0.8 + len(runs) * (0.55 + 0.14 * len(names)))
    figure, panels = pyplot.subplots(len(runs), 1, sharex=True, squeeze=False, figsize=size, layout="constrained")
    most = FULL if of_limit else max(1, *(max(run["nodes"][name][key]) for run in runs for name in names))
    colours = matplotlib.colormaps["Blues"].with_extremes(over=COLOURS[1])
    for axes, run in zip(panels[:, 0], runs, strict=True):
        cells = np.array([run["nodes"][name][key] for name in names], float)
        if of_limit:  # the scale ends where a node is full, and what is beyond has a colour of its own
            cells[cells >= FULL] = 2.0
        image = axes.imshow(cells, aspect="auto", interpolation="none", cmap=colours, vmin=0, vmax=most)
        axes.set_yticks(range(len(names)), names, fontsize=7)
        axes.set_title(f"{run['growth']:g} x", loc="left", fontsize=9)
    _date_ticks(panels[-1, 0], dates)
    what = "share of the day's capacity that is taken" if of_limit else "units of the day"
    bar = figure.colorbar(image, ax=panels[:, 0].tolist(), location="top", aspect=60, shrink=0.6, label=what,
                          extend="max" if of_limit else "neither")  # fmt: skip
    bar.ax.xaxis.set_major_formatter("{x:.0%}" if of_limit else "{x:,.0f}")
    which = f"The {len(names)} of {shown} nodes that are fullest" if shown > len(names) else "Each node"
    if not of_limit:
        return finished(figure, f"{which}, day by day, at each growth: units that it sends. No node has a limit.")
    none = len(last) - shown
    those = "1 node without a limit is" if none == 1 else f"{none} nodes without a limit are"
    more = f" {those} not shown." if none else ""
    return finished(
        figure, f"{which} with a limit, day by day, at each growth: the share of its capacity that orders take (of "
        f"orders or of units a day, whichever is nearer to its limit). Orange: full, {FULL:.0%} or more.{more}",
    )  # fmt: skip


def _date_ticks(axes: Any, dates: list[str]) -> None:
    step = -(-len(dates) // _TICKS_MAX)
    axes.set_xticks(range(0, len(dates), step), dates[::step])


def _against_growth(result: dict[str, Any]) -> Plot:
    """Four panels over growths."""
    from matplotlib import pyplot

    runs = result["growths"]
    figure, panels = pyplot.subplots(2, 2, figsize=(8.5, 5.2), layout="constrained")
    places, left = range(len(runs)), [0.0] * len(runs)
    for colour, (name, key) in zip(COLOURS, _SHORT, strict=False):
        shares = [run[key] / (run["units"] or 1) for run in runs]
        if any(shares):
            panels[0, 0].bar(places, shares, 0.6, left, color=colour, label=name)
        left = [before + share for before, share in zip(left, shares, strict=True)]
    if any(left):
        panels[0, 0].legend(frameon=False)
    panels[0, 0].set_title("short units, of all", loc="left", fontsize=9)
    for axes, key, title in (
        (panels[0, 1], "late_orders", "late orders"),
        (panels[1, 0], "split_orders", "split orders"),
    ):
        axes.bar(places, [run[key] / (run["orders"] or 1) for run in runs], 0.6, color=COLOURS[0])
        axes.set_title(f"{title}, of all", loc="left", fontsize=9)
    is_priced = runs[0]["cost"] is not None
    last = panels[1, 1]
    if is_priced:
        fees = [run["bill"]["shortage_penalty"] / (run["units"] or 1) for run in runs]
        sent = [run["cost"] / (run["units"] or 1) - fee for run, fee in zip(runs, fees, strict=True)]
        last.bar(places, sent, 0.6, color=COLOURS[0], label="to send")
        last.bar(places, fees, 0.6, sent, color=COLOURS[1], label="short units")
        last.legend(frameon=False)
    else:
        last.bar(places, [(run["mean_distance_m"] or 0) / 1000 for run in runs], 0.6, color=COLOURS[0])
    last.set_title(
        "cost of a unit ordered, minor units" if is_priced else "mean distance of a unit, km", loc="left", fontsize=9
    )
    for axes in panels.flat:
        axes.set_xticks(places, [f"{run['growth']:g} x" for run in runs])
        axes.set_ylim(0, 1 if not any(bar.get_height() for bar in axes.patches) else None)
        axes.yaxis.set_major_formatter("{x:,.0f}" if axes is last else "{x:.1%}")
        axes.yaxis.set_major_locator(few_ticks())
        axes.grid(axis="y", color="#dddddd", linewidth=0.5)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    of = "what a unit costs by the card, the penalty of short units apart" if is_priced else "how far a unit travels"
    return finished(
        figure, "Against growth: units that are short, by what they lack; orders that are late, of which units went on "
        f"a later day or still wait; orders that leave in several shipments; and {of}.",
    )  # fmt: skip


def _cumulative(result: dict[str, Any]) -> Plot:
    """A panel for each growth: what was ordered, what was sent, what nodes could have sent, up to each day."""
    import numpy as np
    from matplotlib import pyplot

    runs, dates = result["growths"], result["history"]["dates"]
    nodes = list(runs[0]["nodes"].values())
    kind = next(
        (name for name in ("units", "orders") if all(node[f"{name}_per_day"] is not None for node in nodes)), None
    )
    columns = min(2, len(runs))
    rows = -(-len(runs) // columns)
    figure, panels = pyplot.subplots(
        rows, columns, sharex=True, squeeze=False, figsize=(8.5, 0.6 + 2.1 * rows), layout="constrained"
    )  # fmt: skip
    for axes, run in zip(panels.flat, runs, strict=False):
        of = kind or "units"
        lines = [
            (f"ordered, {of}", run["days"]["orders" if of == "orders" else "ordered_units"], COLOURS[1], "-"),
            ("taken by nodes", np.sum([node[of] for node in run["nodes"].values()], axis=0), COLOURS[0], "-"),
        ]  # fmt: skip
        if kind:
            a_day = sum(node[f"{kind}_per_day"] for node in run["nodes"].values())
            lines.append(("capacity of all nodes", [a_day] * len(dates), COLOURS[5], "--"))
        for name, values, colour, style in lines:
            axes.plot(range(len(dates)), np.cumsum(values), style, color=colour, label=name, linewidth=1.5)
        axes.set_title(f"{run['growth']:g} x", loc="left", fontsize=9)
        axes.set_ylim(0)
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.yaxis.set_major_locator(few_ticks())
        axes.grid(color="#dddddd", linewidth=0.5)
        axes.spines[["top", "right"]].set_visible(False)
        _few_dates(axes, dates)
    for axes in list(panels.flat)[len(runs) :]:
        axes.set_visible(False)
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper left", ncols=3, frameon=False)
    caption = f"Up to each day: {kind or 'units'} ordered, and taken by nodes"
    if kind:
        split = "; an order that is split counts at each of its nodes" if kind == "orders" else ""
        caption += f", beside what all nodes together may take{split}"
    elif result["limited_nodes"]:
        caption += "; not all nodes have a limit of one kind, so there is no sum of them"
    return finished(figure, caption + ". Where ordered and taken part, units wait or are short.")


def _few_dates(axes: Any, dates: list[str]) -> None:
    at = sorted({0, len(dates) // 2, len(dates) - 1})
    axes.set_xticks(at, [dates[day] for day in at])
