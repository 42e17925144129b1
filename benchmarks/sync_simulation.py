"""`python -m benchmarks.sync_simulation`: which updates to publish first, when a marketplace takes only so many.

Replays the real order report against one pool of stock, sold by four channels that see it late and seldom, and compares
three policies at equal budget. Each has the same knob, how much is held back, and is judged at equal lost sales.
"""

import argparse
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.sync_replay import Outcome, Policy, Way, play
from benchmarks.sync_results import EQUAL, Compared, Run, summary, write_results
from benchmarks.sync_world import REPORT, Asked, draw_world, first_days, read_asked

LAGS = (1, 60, 900)  # seconds from sending to visible
RATES = (1, 10, 100)  # SKUs a second, of each channel
# The knob: lost units that an oversold one is worth, inf being no buffer. The ranking by risk follows it too.
WEIGHTS = (math.inf, 8.0, 4.0, 2.0, 1.0, 0.5, 0.25, 0.15, 0.1, 0.05, 0.02, 0.005, 0.001)
QUICK_WEIGHTS, QUICK_DAYS = (math.inf, 8.0, 2.0, 0.5, 0.15), 20
EXAMPLES = """examples:
  python -m benchmarks.sync_simulation --quick             one seed, a third of the days: seconds, only printed
  python -m benchmarks.sync_simulation                     everything, into benchmarks/RESULTS.md and its plot
  python -m benchmarks.sync_simulation --seeds 2 --out results --json runs.json
"""


def way_of(policy: Policy, lag: int, rate: float, weight: float) -> Way:
    """A policy with its knob at `weight`; without a buffer, the ranking by risk weighs both units alike."""
    return Way(policy, lag, rate, weight, weight if math.isfinite(weight) else 1.0)


def runs_of(asked: Asked, seeds: int, weights: tuple[float, ...]) -> Iterator[Run]:
    """Every combination, by seed."""
    for seed in range(seeds):
        world = draw_world(asked, seed)
        for lag in LAGS:
            for rate in RATES:
                for policy in Policy:
                    for weight in weights:
                        outcome = play(world, way_of(policy, lag, rate, weight))
                        yield Run(seed, lag, rate, policy.name, weight, outcome)


def compare(runs: list[Run]) -> list[Compared]:
    """By lag, budget and seed."""
    found, most = [], max(run.rate for run in runs)
    for lag, rate, seed in sorted({(run.lag, run.rate, run.seed) for run in runs}):
        swept = {policy.name: [r.outcome for r in runs if r[:4] == (seed, lag, rate, policy.name)] for policy in Policy}
        first = swept[Policy.FIFO.name][0]  # the first weight is no buffer
        oversold = {name: at_lost(sweep, first.lost) for name, sweep in swept.items()}
        oversold[Policy.FIFO.name] = float(first.oversold)
        at_ease = [r.outcome for r in runs if r[:4] == (seed, lag, most, Policy.FIFO.name)]
        found.append(Compared(lag, rate, seed, first.lost, oversold, at_lost(at_ease, first.lost)))
    return found


def at_lost(sweep: list[Outcome], lost: float) -> float:
    """Oversold units of a policy when its knob is set to lose so many: between two settings on a straight line.

    A setting that both oversells and loses more than another is left out. Where every setting loses more, the least
    that one loses passes for equal if it is within EQUAL; else nan.
    """
    points = sorted((outcome.lost, outcome.oversold) for outcome in sweep)
    across = np.array([point[0] for point in points], float)
    down = np.minimum.accumulate(np.array([point[1] for point in points], float))
    left = down[0] if across[0] <= lost * (1.0 + EQUAL) else math.nan
    return float(np.interp(lost, across, down, left=left))


def main() -> None:
    """Run, print, write."""
    arguments = _arguments()
    if not REPORT.exists():
        sys.exit(f"the order report is not there: {REPORT}")
    asked = read_asked()
    weights, seeds = WEIGHTS, arguments.seeds
    if arguments.quick:
        asked, weights, seeds = first_days(asked, QUICK_DAYS), QUICK_WEIGHTS, arguments.seeds or 1
    seeds = seeds or 5
    total = seeds * len(LAGS) * len(RATES) * len(Policy) * len(weights)
    runs = []
    for run in runs_of(asked, seeds, weights):
        runs.append(run)
        if sys.stderr.isatty():
            print(f"\r{len(runs)} of {total} runs", end="" if len(runs) < total else "\n", file=sys.stderr, flush=True)
    compared = compare(runs)
    print(summary(compared, runs))
    if arguments.json:
        rows = [{**run._asdict(), "weight": _plain(run.weight), "outcome": run.outcome._asdict()} for run in runs]
        shown = [{**row._asdict(), "fewer": {name: row.fewer(name) for name in row.oversold}} for row in compared]
        arguments.json.write_text(json.dumps({"compared": shown, "runs": rows}, indent=1) + "\n")
    out = arguments.out or (None if arguments.quick else Path(__file__).parent)
    if out:
        write_results(out, compared, runs)


def _plain(weight: float) -> float | None:
    return weight if math.isfinite(weight) else None


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.sync_simulation", description=__doc__, epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="fewer days, seeds and settings; writes only with --out")
    parser.add_argument("--seeds", type=_positive, metavar="N", help="worlds to draw (default 5; quick 1)")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write every run here too")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where RESULTS.md and the plot go")
    return parser.parse_args()


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("a number of at least 1")
    return int(text)


if __name__ == "__main__":
    main()
