"""What P5 shows: its tables in Markdown and the plot of gap against time, written into benchmarks/RESULTS.md."""

import math
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.facility_location import MIP_SECONDS, Family
from benchmarks.least_cost_world import Found
from benchmarks.results import write_section

BEGIN, END = "<!-- least_cost: begin -->", "<!-- least_cost: end -->"
PLOT = "least_cost.svg"
SHOWN_MIN = 0.01  # percent: what is nearer to the best bound is drawn there
_STYLE = {"nearest": ("#999999", "D"), "least-cost": ("#0072B2", "o"), "HiGHS LP": ("#000000", "s"),
          "HiGHS MIP": ("#D55E00", "^")}  # fmt: skip


class Case(NamedTuple):
    """An instance and what each method came to."""

    what: str
    orders: int
    lines: int
    level: float  # units in stock over the units ordered
    found: dict[str, Found]

    @property
    def bound(self) -> float:
        """The best that any method proves."""
        return max(found.bound for found in self.found.values() if not math.isnan(found.bound))

    def above(self, method: str) -> float:
        """Percent that the method's cost is above the best bound."""
        return max(0.0, 100 * (self.found[method].cost / self.bound - 1))  # less than nothing is rounding


def write_results(folder: Path, cases: list[Case], published: list[Family]) -> None:
    """The section in the RESULTS.md of a folder, and the plot beside it."""
    _plot(folder / PLOT, [case for case in cases if len(case.found) > 2 and case.orders > 1000])
    text = _TEXT.format(
        methods=_methods(cases), published=_published(published), plot=PLOT, shown=SHOWN_MIN, seconds=MIP_SECONDS
    )
    write_section(folder / "RESULTS.md", BEGIN, END, text.splitlines())


_TEXT = """## Least cost, beside nearest and HiGHS

Made by `python -m benchmarks --only P5`. Orders and places are real, stock is simulated: so many times the units
ordered, spread over 22 places (`benchmarks/least_cost_world.py`). Costs are in minor units.

{methods}

*Table 1. Cost, the bound that the method proves, how far the cost is above the best bound of all methods, and seconds,
of one run on a machine shared with others. Nearest is here in plain Python: the whole order from the nearest place that
has it, else line by line. HiGHS runs on one thread; its linear program has a cost only where its solution is in whole
units.*

![Cost and bound against time, a panel for each instance]({plot})

*Plot. How far each method's cost (full marks) is above the best bound of all, and how far its own bound (hollow marks)
is below it, by the seconds since it began. Both axes are logarithmic; what is nearer than {shown}% is drawn there. A
linear program says nothing that holds before it ends.*

{published}

*Table 2. Plans against published optima of facility location, with the sites open that a mixed integer program opens;
the mean over the instances. In the cap files demand may be divided, and all of the problem maps. In the others each
customer has one site: of them the bound maps; the plan, which may divide a customer, is the linear program's, and lies
below the optimum. Instances whose optimal sites HiGHS did not find in {seconds:g} s are left out.*
"""


def _methods(cases: list[Case]) -> str:
    lines = [
        "| orders | lines | stock | method | cost | bound | above the best bound | seconds |",
        "|---|---:|---:|---|---:|---:|---:|---:|",
    ]
    for case in cases:
        for method, found in case.found.items():
            cells = [
                case.what, f"{case.lines:,}", f"{case.level:g}", method, f"{found.cost:,.0f}", f"{found.bound:,.0f}",
                "nan" if math.isnan(found.cost) else f"{case.above(method):.3f}%", f"{found.seconds:.3g}",
            ]  # fmt: skip
            lines.append("| " + " | ".join("" if cell == "nan" else cell for cell in cells) + " |")
    return "\n".join(lines)


def _published(families: list[Family]) -> str:
    lines = ["| files | instances | left out | cost over the optimum | bound over it |", "|---|---:|---:|---:|---:|"]
    for family in families:
        cells = (family.name, family.instances, family.left_out, f"{family.cost:+.4f}%", f"{family.bound:+.4f}%")
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def _plot(path: Path, cases: list[Case]) -> None:
    """A panel for each instance: sizes down, levels of stock across."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams.update({"svg.hashsalt": "allot", "font.size": 9})
    from matplotlib import pyplot

    sizes, levels = list(dict.fromkeys(case.what for case in cases)), sorted({case.level for case in cases})
    size = {"figsize": (2.9 * len(levels) + 0.6, 2.7 * len(sizes) + 0.9), "layout": "constrained"}
    figure, panels = pyplot.subplots(len(sizes), len(levels), sharex=True, sharey=True, squeeze=False, **size)
    for case in cases:
        panel = panels[sizes.index(case.what)][levels.index(case.level)]
        _panel(panel, case)
        panel.set_title(f"{case.what}, stock {case.level:g}", fontsize=9)
    handles = [_mark(pyplot, method) for method in _STYLE]
    figure.legend(handles, list(_STYLE), loc="outside upper center", ncols=len(_STYLE), frameon=False)
    figure.supxlabel("seconds since the method began", fontsize=9)
    figure.supylabel("from the best bound, %", fontsize=9)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _mark(pyplot: Any, method: str) -> Any:
    colour, marker = _STYLE[method]
    return pyplot.Line2D([], [], color=colour, marker=marker, markersize=4, linewidth=1.2)


def _panel(panel: Any, case: Case) -> None:
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.grid(color="#dddddd", linewidth=0.5)
    panel.minorticks_off()
    panel.yaxis.set_major_formatter("{x:g}")
    panel.xaxis.set_major_formatter("{x:g}")
    for method, found in case.found.items():
        colour, marker = _STYLE[method]
        for what, line, fill in (("cost", "-", "full"), ("bound", ":", "none")):
            events = [(seconds, figure) for seconds, told, figure in found.told if told == what]
            if events:
                seconds, figures = zip(*events, strict=True)
                apart = [max(SHOWN_MIN, 100 * abs(figure / case.bound - 1)) for figure in figures]
                panel.plot(
                    seconds, apart, color=colour, marker=marker, markersize=4, linewidth=1.2, linestyle=line,
                    drawstyle="steps-post", fillstyle=fill,
                )  # fmt: skip
