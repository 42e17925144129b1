"""`python -m benchmarks`: the goals, each measured beside its peers. A table on stdout; on demand the figures as JSON,
with machine and versions, and a page of plots. A full run also writes the tables of goals of benchmarks/RESULTS.md and
the README.
"""

import argparse
import json
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from benchmarks import report
from benchmarks.results import write_section
from benchmarks.row import Row, figure_text

BENCHMARKS = {
    "P1": "benchmarks.p1_lane",
    "peers": "benchmarks.p1_peers",
    "path": "benchmarks.anatomy",
    "P2": "benchmarks.p2_single",
    "P3": "benchmarks.p3_nearest",
    "P4": "benchmarks.p4_availability",
    "P5": "benchmarks.p5_least_cost",
    "online": "benchmarks.online",
    "P6": "benchmarks.p6_replay",
    "P7": "benchmarks.p7_start",
    "latency": "benchmarks.latency",
    "P8": "benchmarks.p8_scale",
    "promise": "benchmarks.promises",
    "mixed": "benchmarks.mixed",
    "plan": "benchmarks.plan",
    "relay": "benchmarks.relay",
    "engine": "benchmarks.engine_alone",
    "life": "benchmarks.life",
    "settle": "benchmarks.settlement",
}
EVERY = [name for name in BENCHMARKS if name != "peers"]  # which P1 has within it


def main() -> None:
    """Run what was asked for and print each row as it is there."""
    arguments = _arguments()
    rows: list[Row] = []
    began = time.perf_counter()
    print(f"{'':7}{'':70}{'value':>12} {'unit':10}{'low':>10}{'high':>10}{'ratio':>8}  peers")
    for name in arguments.only:
        figures: Callable[[bool], list[Row]] = import_module(BENCHMARKS[name]).rows
        for row in figures(arguments.quick):
            rows.append(row)
            print_row(row)
        found = report.document(rows, arguments.only, arguments.quick, time.perf_counter() - began)
        if arguments.json:  # now, since a later one may fail
            arguments.json.write_text(json.dumps(found, indent=1) + "\n")
    if arguments.report:
        report.write(arguments.report, found)
        print(f"report: {arguments.report / 'report.html'}")
    if not arguments.quick and set(EVERY) <= set(arguments.only):
        results = Path(__file__).parent / "RESULTS.md"
        write_section(results, report.GOALS_BEGIN, report.GOALS_END, ["## Goals", "", *report.goals(found)])
        readme = results.parents[1] / "README.md"
        write_section(readme, report.GOALS_BEGIN, report.GOALS_END, report.brief(found))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only",
        type=_names,
        default=EVERY,
        help="some of " + ",".join(BENCHMARKS),
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures here too")
    parser.add_argument("--report", type=Path, metavar="FOLDER", help="write them there with a page of plots, and PNGs")
    parser.add_argument("--quick", action="store_true", help="a tenth of the load, fewer rounds")
    chosen = parser.parse_args()
    try:  # before the work of an hour, not after it
        if chosen.report:
            chosen.report.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"--report {chosen.report}: {error.strerror}: name another folder")
    if chosen.json and not chosen.json.parent.is_dir():
        parser.error(f"--json {chosen.json}: there is no folder {chosen.json.parent}: make it")
    return chosen


def _names(text: str) -> list[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    return names


def print_row(row: Row) -> None:
    """One line of the table."""
    print(_line(row), flush=True)


def _line(row: Row) -> str:
    low, high = (figure_text(value) if value is not None else "" for value in (row.low, row.high))
    ratio = f"{row.ratio:.3g}" if row.ratio is not None else ""
    peers = ", ".join(f"{name} {figure_text(value)}" for name, value in row.peers.items())
    return f"{row.id:7}{row.what:70}{figure_text(row.value):>12} {row.unit:10}{low:>10}{high:>10}{ratio:>8}  {peers}"


if __name__ == "__main__":
    main()
