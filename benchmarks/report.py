"""What a run of the benchmarks leaves: figures as JSON with all that one needs to judge them, a page of plots that is
complete in itself, the plots as PNG, and the table of goals in Markdown.
"""

import io
import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from html import escape
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.row import Row, figure_text
from server.cli.page import COLOURS, Plot, figure, finished, html, picture, prepare_plots, table

PACKAGES = ("numpy", "numba", "pyarrow", "grpcio", "protobuf", "uvloop", "redis", "scipy", "highspy", "polars")
GOALS_BEGIN, GOALS_END = "<!-- goals: begin -->", "<!-- goals: end -->"
SEEDS = "every draw is seeded in the code: benchmarks/load.py, wire.py, least_cost_world.py"
PEERS_SHOWN_MAX = 8
DECADE = 10
_HEAD = ("value", "goal", "met", "runs", "low", "high", "beside")


def document(rows: Sequence[Row], names: Sequence[str], quick: bool, seconds: float) -> dict[str, Any]:
    """All of a run, as JSON has it."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"), "benchmarks": list(names), "quick": quick,
        "seconds": round(seconds, 1), "seeds": SEEDS, "machine": machine(), "versions": versions(),
        "rows": [{**asdict(row), "ratio": row.ratio} for row in rows],
    }  # fmt: skip


def machine() -> dict[str, Any]:
    """What it ran on."""
    model = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    return {
        "processor": model[0] if model else platform.processor(), "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / (1 << 30), 1),
        "system": f"{platform.system()} {platform.release()}", "load": [round(load, 2) for load in os.getloadavg()],
    }  # fmt: skip


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def versions() -> dict[str, str]:
    """Of this project, Python, and what it stands on."""
    found = {"python": platform.python_version()}
    for name in ("allot", *PACKAGES):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], check=False, capture_output=True, text=True)
    return found | ({"commit": done.stdout.strip()} if done.returncode == 0 else {})


def write(folder: Path, found: dict[str, Any]) -> None:
    """results.json, report.html and a PNG for each plot."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(found, indent=1) + "\n")
    drawn = plots([Row(**{name: row[name] for name in Row.__dataclass_fields__}) for row in found["rows"]])
    for name, _, png in drawn:
        (folder / f"{name}.png").write_bytes(png)
    (folder / "report.html").write_text(page(found, [plot for _, plot, _ in drawn]), encoding="utf-8")


def page(found: dict[str, Any], drawn: Sequence[Plot]) -> str:
    """The whole page."""
    facts = found["machine"] | found["versions"] | {"seeds": found["seeds"], "seconds": found["seconds"]}
    rows = found["rows"]
    judged = [_cells(row) for row in rows if row["goal"]]
    parts = [
        f"<p>{escape(found['date'])}: {escape(', '.join(found['benchmarks']))}"
        + (", in short" if found["quick"] else "") + "</p>",
        *(["<h2>Goals</h2>", table(_HEAD, judged)] if judged else []),
        *map(picture, drawn),
        "<h2>All figures</h2>", table(_HEAD, [_cells(row) for row in rows]),
        "<h2>Where and with what</h2>", table([""], [(name, str(fact)) for name, fact in facts.items()]),
    ]  # fmt: skip
    return html("allot: benchmarks", parts)


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    at = f", {row['curve']} {figure_text(row['at'])}" if row["curve"] else ""
    low, high = ("" if row[name] is None else figure_text(row[name]) for name in ("low", "high"))
    peers = ", ".join(f"{name} {figure_text(value)}" for name, value in row["peers"].items())
    met = {None: "", True: "yes", False: "no"}[row["meets"]]
    value = f"{figure_text(row['value'])} {row['unit']}"
    return f"{row['id']} {row['what']}{at}", value, row["goal"], met, str(row["runs"]), low, high, peers


def goals(found: dict[str, Any]) -> list[str]:
    """The goals as a table of Markdown."""
    where = found["machine"]
    lines = ["| | | value | runs | goal | beside in the same run |", "|---|---|---:|---:|---|---|"]
    for row in found["rows"]:
        if row["goal"]:
            peers = ", ".join(f"{name} {figure_text(value)}" for name, value in row["peers"].items())
            value, goal = f"{figure_text(row['value'])} {row['unit']}", _goal(row)
            lines.append(f"| {row['id']} | {row['what']} | {value} | {row['runs']} | {goal} | {peers} |")
    on = f"{where['system']}, Python {found['versions']['python']}"
    return [*lines, "", f"*{_when_and_where(found)}, {on}; made by `make bench`.*"]


def _goal(row: dict[str, Any]) -> str:
    met = {None: "", True: ", met", False: ", **not met**"}[row["meets"]]
    return f"{row['goal']}{met}"


def _when_and_where(found: dict[str, Any]) -> str:
    where = found["machine"]
    return f"{found['date'][:10]}, {where['cores']} cores of {where['processor']}, {where['memory_gib']} GiB"


def brief(found: dict[str, Any]) -> list[str]:
    """The goals as a short table for the README."""
    lines = ["| | measured | goal |", "|---|---:|---|"]
    for row in found["rows"]:
        if row["goal"]:
            what = row["what"].partition(" (")[0].strip()
            lines.append(f"| {row['id']} {what} | {figure_text(row['value'])} {row['unit']} | {_goal(row)} |")
    return [*lines, "", f"*{_when_and_where(found)}; a full run of `make bench`, which writes this table.*"]


# Plots


def plots(rows: Sequence[Row]) -> list[tuple[str, Plot, bytes]]:
    """Name, picture and PNG of each plot: rates beside their peers, the path of an order, every curve."""
    prepare_plots()
    drawn = []
    for of in dict.fromkeys(row.id for row in rows):
        beside = [row for row in rows if row.id == of and row.peers and row.unit.endswith("/s") and not row.curve]
        if beside:
            drawn.append(_beside(of, beside))
    if path := [row for row in rows if row.id == "path" and row.peers]:
        drawn.append(_path(path))
    for curve in dict.fromkeys(row.curve for row in rows if row.curve):
        drawn.append(_curve(curve, [row for row in rows if row.curve == curve]))
    return drawn


def _kept(name: str, drawn: Any, caption: str) -> tuple[str, Plot, bytes]:
    out = io.BytesIO()
    drawn.savefig(out, format="png", dpi=144, metadata={"Software": None})
    return name, finished(drawn, caption), out.getvalue()


def _beside(of: str, rows: Sequence[Row]) -> tuple[str, Plot, bytes]:
    bars: list[tuple[str, float, str]] = []
    for row in rows:
        if row.value > 0 and row.value not in [value for _, value, _ in bars]:  # the lane has a row for each peer
            bars.append((row.what.partition(" (")[0], row.value, COLOURS[0]))
        peers = [(name, rate) for name, rate in row.peers.items() if rate > 0 and name not in ("low", "high")]
        bars += [(f"beside it: {name}", rate, "#999999") for name, rate in peers[:PEERS_SHOWN_MAX]]
    drawn, axes = figure(0.8 + 0.24 * len(bars))
    for at, (_, value, colour) in enumerate(bars):
        axes.barh(at, value, 0.7, color=colour)
        axes.annotate(f" {figure_text(value)}", (value, at), va="center")
    axes.set_yticks(range(len(bars)), [name for name, _, _ in bars])
    rates = [rate for _, rate, _ in bars]
    is_wide = max(rates) > DECADE * min(rates)  # else a logarithmic axis may have no figure on it
    axes.set_xscale("log" if is_wide else "linear")
    axes.margins(x=0.15)
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(lambda value, _: figure_text(value))
    axes.xaxis.set_minor_formatter(lambda *_: "")
    axes.set_xlabel(", ".join(dict.fromkeys(row.unit for row in rows)))
    caption = f"{of}: rates (blue) beside those of their peers in the same run (grey)."
    return _kept(of, drawn, caption + " Logarithmic." * is_wide)


def _path(rows: Sequence[Row]) -> tuple[str, Plot, bytes]:
    steps = [row for row in rows if not row.what.startswith("all of it")]
    drawn, axes = figure(0.8 + 0.26 * len(steps))
    for at, row in enumerate(steps):
        axes.barh(at, row.value, 0.7, color=COLOURS[4])
        axes.barh(at, next(iter(row.peers.values())), 0.35, color=COLOURS[1])
        axes.annotate(f" {row.value:.0f}", (max(row.value, *row.peers.values()), at), va="center")
    axes.set_yticks(range(len(steps)), [row.what for row in steps])
    axes.invert_yaxis()
    axes.set_xlabel("ns of processor time an order")
    return _kept("path", drawn, "Where the time of an order goes; within each bar (red) what memory alone would take.")


def _curve(curve: str, rows: Sequence[Row]) -> tuple[str, Plot, bytes]:
    drawn, axes = figure(3.0)
    for colour, line in zip(COLOURS, dict.fromkeys(row.what for row in rows), strict=False):
        points = [(row.at, row.value) for row in rows if row.what == line]
        axes.plot(*zip(*points, strict=True), marker="o", color=colour, label=line)
    axes.set_xscale("log")
    axes.set_ylim(0)
    axes.set_xlabel(curve)
    axes.set_ylabel(", ".join(dict.fromkeys(row.unit for row in rows)))
    places = sorted({row.at for row in rows if row.at is not None})
    axes.set_xticks(places, [figure_text(place) for place in places])
    axes.xaxis.set_minor_formatter(lambda *_: "")
    axes.grid(color="#dddddd", linewidth=0.5)
    axes.legend(frameon=False)
    name = "".join(letter if letter.isalnum() else "_" for letter in curve).strip("_")
    return _kept(name, drawn, f"How it grows with {curve}. The lower axis is logarithmic.")
