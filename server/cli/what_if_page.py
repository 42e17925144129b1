"""The page of `allot what-if`: its tables and plots."""

from html import escape
from typing import TYPE_CHECKING

from server.cli.page import COLOURS, Plot, bullets, few_ticks, figure, finished, html, picture, prepare_plots, table

if TYPE_CHECKING:
    from server.cli.what_if import Compared

NODES_SHOWN_MAX = 40  # in the plot; the table has all
_FEES = {
    "shipment_fee": "fee of each shipment", "fee_per_km": "its kilometres", "handling_fee": "handling of units",
    "fee_per_unit_km": "kilometres of units", "carriage": "slabs of services", "handling": "handling of units",
    "split_penalty": "further shipments", "shortage_penalty": "short units",
}  # fmt: skip


def page(runs: "list[Compared]", orders: str, drawn: list[Plot]) -> str:
    """The whole page. orders: name of the orders file."""
    from server.cli.what_if import nodes_of, table_of

    head = [run.name for run in runs]
    parts = [
        f"<p>{escape(' beside '.join(head))}; orders of {escape(orders)}. Costs are in minor units of the rate card's",
        "currency.</p>",
        table(head, table_of(runs)),
        bullets([f"{run.name}: {text}" for run in runs for text in run.result["notes"]]),
        *(picture(plot) for plot in drawn),
        "<h2>Units of each node, in so many shipments</h2>",
        table(head, nodes_of(runs)),
    ]
    return html("What if", parts)


def plots(runs: "list[Compared]") -> list[Plot]:
    """Cost by fee, distances, load of nodes. Raises Plotless."""
    prepare_plots()
    drawn = [_distances(runs), _loads(runs)]
    return [_costs(runs), *drawn] if runs[0].result["bill"] else drawn


def _costs(runs: "list[Compared]") -> Plot:
    drawn, axes = figure(1.1 + 0.5 * len(runs))
    left = [0.0] * len(runs)
    fees = [(fee, name) for fee, name in _FEES.items() if fee in runs[0].result["bill"]]
    for colour, (fee, name) in zip(COLOURS, fees, strict=False):
        widths = [run.result["bill"][fee] for run in runs]
        if any(widths):
            axes.barh([run.name for run in runs], widths, 0.6, left, color=colour, label=name)
        left = [before + width for before, width in zip(left, widths, strict=True)]
    for at, total in enumerate(left):
        axes.annotate(f" {total:,.0f}", (total, at), va="center")
    axes.margins(x=0.15)
    axes.set_xlim(0)
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.xaxis.set_major_locator(few_ticks())
    if any(left):
        drawn.legend(loc="outside upper left", ncols=len(_FEES), frameon=False)
    return finished(drawn, "Cost in minor units, by the fees of the rate card that add up to it.")


def _distances(runs: "list[Compared]") -> Plot:
    import numpy as np

    drawn, axes = figure(3.4)
    for colour, run in zip(COLOURS, runs, strict=False):
        turn = np.argsort(run.metres, kind="stable")
        metres, last = np.unique(run.metres[turn][::-1], return_index=True)
        within = np.cumsum(run.units[turn])[run.units.size - 1 - last]
        share = 100 * within / max(1, run.result["allocated_units"])
        steps = np.concatenate([[0], metres / 1000]), np.concatenate([[0], share])
        axes.plot(*steps, color=colour, label=run.name, drawstyle="steps-post", linewidth=1.5)
    axes.set_xlabel("distance from node to postal code, km")
    axes.set_ylabel("units within it, %")
    axes.set_xlim(0)
    axes.set_ylim(0, 101)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.grid(color="#dddddd", linewidth=0.5)
    axes.legend(loc="lower right", frameon=False)
    return finished(drawn, "How far units travel: the share of allocated units that come from within a distance.")


def _loads(runs: "list[Compared]") -> Plot:
    from matplotlib import pyplot

    from server.cli.what_if import all_nodes

    def load(run: "Compared", name: str, what: str) -> int:
        return int(run.result["nodes"].get(name, {what: 0})[what])

    names = sorted(all_nodes(runs), key=lambda name: -load(runs[0], name, "units"))
    count, names = len(names), names[:NODES_SHOWN_MAX]
    size = (8.5, 1.2 + 0.15 * (len(runs) + 0.6) * len(names))
    drawn, panels = pyplot.subplots(1, 2, sharey=True, figsize=size, layout="constrained")
    height = 0.8 / len(runs)
    for panel, what in zip(panels, ("units", "shipments"), strict=True):
        for at, (colour, run) in enumerate(zip(COLOURS, runs, strict=False)):
            places = [place + (at - (len(runs) - 1) / 2) * height for place in range(len(names))]
            panel.barh(places, [load(run, name, what) for name in names], height, color=colour, label=run.name)
        panel.set_xlabel(what)
        panel.xaxis.set_major_formatter("{x:,.0f}")
        panel.xaxis.set_major_locator(few_ticks())
        panel.grid(axis="x", color="#dddddd", linewidth=0.5)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_yticks(range(len(names)), names)
    panels[0].set_ylim(len(names) - 0.4, -0.6)
    drawn.legend(*panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=len(runs), frameon=False)
    which = f"the {NODES_SHOWN_MAX} nodes of {count} that send most" if count > NODES_SHOWN_MAX else "each node"
    return finished(
        drawn, f"Units and shipments of {which}, in the order of the first run. A closed node sends nothing."
    )
