"""A run as figures, for JSON, for the table and for the page: all that is needed to judge it and to repeat it."""

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from server.health import running_version
from server.load.driving import Drive, Settled
from server.load.latencies import Latencies
from server.load.ledger import Ledger
from server.load.proof import Proof
from server.load.tally import Calls, Second

PERCENTILES = (50, 90, 99, 99.9)
BUSY_CORES = 0.85  # of one, from which on the client itself is what is measured
BEHIND_SECONDS = 0.02  # with which a request of 100 is sent late


def report(
    drive: Drive,
    ledger: Ledger,
    settled: Settled,
    proof: Proof | None,
    unproved: str,
    server: Mapping[str, Any],
    run: Mapping[str, Any],
) -> dict[str, Any]:
    """proof: None where the server could not be asked, and unproved says why. server, run: who was asked, and how."""
    tally = drive.tally
    figures = {name: _calls(calls, drive.seconds) for name, calls in sorted(tally.calls.items())}
    return {
        "server": dict(server), "client": client(), "run": dict(run), "seconds": round(drive.seconds, 3),
        "calls": figures,
        "all": _latencies(tally.latencies, drive.seconds)
        | {"failed": tally.failures.total(), "orders": sum(one["orders"] for one in figures.values())},
        "orders_per_second": round(sum(calls.orders for calls in tally.calls.values()) / (drive.seconds or 1), 1),
        "outcomes": dict(ledger.outcomes), "failures": dict(tally.failures), "messages": dict(tally.messages),
        "never_sent": drive.never_sent, "sending": _percentiles(tally.sending),
        "client_cores": round(drive.client_cores, 2),
        "repeated": {"calls": settled.repeated, "unknown": settled.unknown, "failed": dict(settled.failed)},
        "proof": proof and proof._asdict(), "faults": faults(drive, settled, proof, unproved),
        "warnings": warnings(drive),
        "timeline": [_second(second) for second in tally.seconds],
        "latencies": _buckets(tally.latencies),
    }  # fmt: skip


def client() -> dict[str, Any]:
    """What sent it."""
    return {
        "version": running_version(), "python": platform.python_version(), "system": platform.platform(),
        "processor": _processor(), "cores": os.cpu_count(),
    }  # fmt: skip


def faults(drive: Drive, settled: Settled, proof: Proof | None, unproved: str) -> list[str]:
    """What must not be."""
    found = list(proof.faults) if proof else [f"answers could not be compared with what the server has: {unproved}"]
    if drive.gone:
        found.append("the server did not answer any more, which ended the run")
    if count := drive.tally.failures.total():
        found.append(f"{count:,} failed: {', '.join(_counted(drive.tally.failures))}")
    if drive.never_sent:
        found.append(f"{drive.never_sent:,} requests found no room and were never sent: the rate is too high")
    if settled.unknown:
        found.append(f"of {settled.unknown:,} calls it is not known what became of them")
    if settled.failed:
        found.append(f"refused when made again: {', '.join(_counted(settled.failed))}")
    return found


def warnings(drive: Drive) -> list[str]:
    """What makes figures worth less."""
    found = []
    late = drive.tally.sending.percentile(99)
    if drive.client_cores > BUSY_CORES:
        found.append(
            f"the tool took {drive.client_cores:.2f} of a core, and can take one: it may be what was measured; run a "
            "second one beside it with another --name"
        )
    elif late > BEHIND_SECONDS:
        found.append(f"one request in a hundred was sent {late * 1e3:,.0f} ms late or more, which its latency takes in")
    return found


def _counted(counts: Mapping[str, int]) -> list[str]:
    return [f"{count:,} {kind}" for kind, count in sorted(counts.items(), key=lambda one: -one[1])]


def _calls(calls: Calls, seconds: float) -> dict[str, Any]:
    failed = calls.failed.total()
    return {
        "sent": calls.latencies.count + failed, **_latencies(calls.latencies, seconds), "failed": dict(calls.failed),
        "orders": calls.orders, "orders_not_taken": dict(calls.not_taken),
    }  # fmt: skip


def _latencies(latencies: Latencies, seconds: float) -> dict[str, Any]:
    return {
        "answered": latencies.count,
        "per_second": round(latencies.count / (seconds or 1), 1),
        **_percentiles(latencies),
    }


def _percentiles(latencies: Latencies) -> dict[str, float]:
    named = {f"p{percent:g}_ms": latencies.percentile(percent) for percent in PERCENTILES}
    return {name: round(seconds * 1e3, 3) for name, seconds in (named | {"max_ms": latencies.max}).items()}


def _second(second: Second) -> dict[str, float]:
    return {
        "at": round(second.at, 2), "answered": round(second.answered, 1), "orders": round(second.orders, 1),
        "failed": round(second.failed, 1), "p50_ms": round(second.p50 * 1e3, 3),
        "p99_ms": round(second.p99 * 1e3, 3), "under_way": second.under_way, "late": second.late,
    }  # fmt: skip


def _buckets(latencies: Latencies) -> list[list[float]]:
    """Milliseconds, and calls that took up to so many and more than the bucket before."""
    ends, counts = latencies.buckets()
    return [[round(end * 1e3, 4), count] for end, count in zip(ends.tolist(), counts.tolist(), strict=True)]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor())
