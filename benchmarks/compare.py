"""Two runs of the benchmarks side by side: what is better, what is worse, and what may be noise.

`python -m benchmarks.compare BEFORE.json AFTER.json`; ends with 1 where anything is worse. Where a figure has a peer,
its ratio to the peer is compared: the machine may have had more to do in one of the runs, and the peer would have felt
it too.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.row import figure_text, is_rate

NOISE = 0.10  # below it a change is none
BETTER, WORSE, SAME, GONE, NEW = "better", "worse", "noise", "gone", "new"


class Change(NamedTuple):
    """A figure in both runs."""

    name: str
    before: float | None
    after: float | None
    times: float | None  # above 1: better
    verdict: str


def compare(before: dict[str, Any], after: dict[str, Any]) -> list[Change]:
    """Every figure of either run, in the order of the second."""
    one, two = ({_name(row): row for row in run["rows"]} for run in (before, after))
    found = []
    for name, row in two.items():
        if name not in one:
            found.append(Change(name, None, row["value"], None, NEW))
            continue
        times = _times(one[name], row)
        found.append(Change(name, one[name]["value"], row["value"], times, _verdict(one[name], row, times)))
    return found + [Change(name, row["value"], None, None, GONE) for name, row in one.items() if name not in two]


def _verdict(one: dict[str, Any], two: dict[str, Any], times: float | None) -> str:
    """times: as good; None where there is nothing to divide by: then it counts which of the two is nothing."""
    if times is None:
        if bool(one["value"]) == bool(two["value"]):
            return SAME
        return BETTER if is_rate(two["unit"]) == bool(two["value"]) else WORSE
    if _overlap(one, two) or abs(times - 1) < NOISE:
        return SAME
    return BETTER if times > 1 else WORSE


def _name(row: dict[str, Any]) -> str:
    """Figures within a name differ from run to run and are left out of it."""
    what = row["what"].partition(";")[0].partition(" (")[0]
    return f"{row['id']} {what}" + (f", {row['curve']} {row['at']:g}" if row["curve"] else "")


def _times(one: dict[str, Any], two: dict[str, Any]) -> float | None:
    """How many times as good; None where a figure is 0."""
    values = [row["value"] for row in (one, two)]
    shared = next((peer for peer in one["peers"] if two["peers"].get(peer) and one["peers"][peer]), None)
    if shared is not None:
        values = [row["value"] / row["peers"][shared] for row in (one, two)]
    if not all(values):
        return None
    return values[1] / values[0] if is_rate(two["unit"]) else values[0] / values[1]


def _overlap(one: dict[str, Any], two: dict[str, Any]) -> bool:
    """Whether the ranges of the runs do. A median and a worst call are no such range."""
    if "(low:" in two["what"]:
        return False
    ends = [row[name] for row in (one, two) for name in ("low", "high")]
    if any(end is None for end in ends):
        return False
    return bool(ends[0] <= ends[3] and ends[2] <= ends[1])


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 1 where anything is worse."""
    parser = argparse.ArgumentParser("python -m benchmarks.compare", description=__doc__)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--all", action="store_true", help="what may be noise too")
    chosen = parser.parse_args(arguments)
    try:
        before, after = (json.loads(path.read_text()) for path in (chosen.before, chosen.after))
        changes = compare(before, after)
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"no two runs of the benchmarks: {error}: make them by python -m benchmarks --json OUT", file=sys.stderr)
        return 2
    if before.get("quick") != after.get("quick"):
        print(
            "note: one of the runs is --quick, with a tenth of the load: no figure is like the other", file=sys.stderr
        )
    for change in changes:
        if change.verdict != SAME or chosen.all:
            one, two = ("-" if value is None else figure_text(value) for value in (change.before, change.after))
            times = "" if change.times is None else f"{change.times:.2f} times as good"
            print(f"{change.verdict:7}{change.name:90}{one:>14} -> {two:>14}  {times}")
    counts = {verdict: sum(c.verdict == verdict for c in changes) for verdict in (BETTER, WORSE, SAME, NEW, GONE)}
    print(", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    return int(counts[WORSE] > 0)


if __name__ == "__main__":
    sys.exit(main())
