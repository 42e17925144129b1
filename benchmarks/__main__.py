"""`python -m benchmarks`: the goals, each measured beside its peers. A table on stdout, the rows as JSON on demand."""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from benchmarks.row import Row

BENCHMARKS = {
    "P1": "benchmarks.p1_lane",
    "peers": "benchmarks.p1_peers",
    "P2": "benchmarks.p2_single",
    "P3": "benchmarks.p3_nearest",
    "P4": "benchmarks.p4_availability",
    "P5": "benchmarks.p5_least_cost",
    "online": "benchmarks.online",
    "P6": "benchmarks.p6_replay",
    "P7": "benchmarks.p7_start",
    "latency": "benchmarks.latency",
    "promise": "benchmarks.promises",
    "mixed": "benchmarks.mixed",
    "plan": "benchmarks.plan",
    "relay": "benchmarks.relay",
    "engine": "benchmarks.engine_alone",
}
WITHIN = {"peers": "P1"}  # measured there too


def main() -> None:
    """Run what was asked for and print each row as it is there."""
    arguments = _arguments()
    rows: list[Row] = []
    print(f"{'':7}{'':70}{'value':>12} {'unit':10}{'low':>10}{'high':>10}{'ratio':>8}  peers")
    for name in arguments.only:
        figures: Callable[[bool], list[Row]] = import_module(BENCHMARKS[name]).rows
        for row in figures(arguments.quick):
            rows.append(row)
            print_row(row)
    if arguments.json:
        arguments.json.write_text(json.dumps([{**asdict(row), "ratio": row.ratio} for row in rows], indent=1) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only",
        type=_names,
        default=[name for name in BENCHMARKS if name not in WITHIN],
        help="some of " + ",".join(BENCHMARKS),
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the rows here too")
    parser.add_argument("--quick", action="store_true", help="a tenth of the load, fewer rounds")
    return parser.parse_args()


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
    low, high = (_figure(value) if value is not None else "" for value in (row.low, row.high))
    ratio = f"{row.ratio:.3g}" if row.ratio is not None else ""
    peers = ", ".join(f"{name} {_figure(value)}" for name, value in row.peers.items())
    return f"{row.id:7}{row.what:70}{_figure(row.value):>12} {row.unit:10}{low:>10}{high:>10}{ratio:>8}  {peers}"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


if __name__ == "__main__":
    main()
