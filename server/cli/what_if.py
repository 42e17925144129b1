"""`allot what-if`: the same files by several policies, or without some nodes, side by side; nothing is touched.

Each run has an engine of its own that forgets (engine/intake/job.py). How many orders would be late is told where a
service card says when nodes ship and how long carriers take, and the orders by when they want to have been shipped or
delivered.
"""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from server.cli.jobs import FILE_HELP, Files, check_policy, decide, distance_of, read_files, sum_up, without
from server.cli.output import (
    BAD_USAGE,
    DONE,
    FOUND_WRONG,
    Bar,
    bar,
    cell_text,
    distinct_files,
    fail,
    say,
    show_json,
    show_table,
)
from server.cli.page import check_place, write

NAMED_MAX = 3  # closed nodes in the name of a run
_SUMMARY = (
    "orders", "units", "allocated_units", "short_units", "capacity_short_units", "split_orders", "shipments",
    "unplanned_orders", "uncarried_units", "unserved_orders", "late_to_ship", "late_to_deliver", "mean_distance_m",
    "cost", "stock_fees", "bound", "gap", "notes",
)  # fmt: skip
_LATE = (("orders late to ship", "late_to_ship"), ("orders late to arrive", "late_to_deliver"))


class Compared(NamedTuple):
    """One run, summed up."""

    name: str
    result: dict[str, Any]  # what --json prints of it
    metres: Any  # int32 [shipment]
    units: Any  # int64 [shipment]


def what_if(
    orders: Annotated[Path, typer.Option(help=FILE_HELP["orders"])],
    nodes: Annotated[Path, typer.Option(help=FILE_HELP["nodes"])],
    stock: Annotated[Path, typer.Option(help=FILE_HELP["stock"])],
    policy: Annotated[list[str], typer.Option(metavar="POLICY", help="nearest or least-cost; again for another run.")],
    postal_codes: Annotated[
        Path | None, typer.Option(help="postal_code, latitude, longitude. [default: India's]", show_default=False)
    ] = None,
    rate_card: Annotated[Path | None, typer.Option(help="TOML; with it, each run has its cost.")] = None,
    service_card: Annotated[
        Path | None, typer.Option(help="Likewise: services by zone and weight, in its place.")
    ] = None,
    close: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NODE", help="A node that is not there; again for more. With one policy: with and without."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="A page with plots, HTML, complete in itself.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the runs as JSON.")] = False,
) -> None:
    """Lay policies, or all nodes and fewer, side by side over the same files. Nothing is changed.

    \b
    Example:
    allot what-if --orders o.csv --nodes n.csv --stock s.csv --rate-card card.toml --policy nearest --policy least-cost
    """
    for name in policy:
        check_policy(name, rate_card, service_card)
    closed = list(dict.fromkeys(close or []))
    cases = [(name, closed) for name in dict.fromkeys(policy)]
    if len(cases) == 1:
        if not closed:
            fail(
                "--policy: one alone, or the same twice, has nothing beside it: give another --policy, or --close NODE",
                BAD_USAGE,
            )
        cases.insert(0, (cases[0][0], []))
    inputs = {
        "orders": orders, "nodes": nodes, "stock": stock, "postal-codes": postal_codes, "rate-card": rate_card,
        "service-card": service_card,
    }  # fmt: skip
    distinct_files({"out": out}, inputs)
    check_place(out)
    with bar() as progress:
        files = read_files(orders, nodes, stock, postal_codes, rate_card, service_card, progress)
        runs = [_run(files, name, gone, progress) for name, gone in cases]
    rejected = len(files.orders.rejects), len(files.stock.rejects)
    if json:
        show_json({"runs": [run.result for run in runs], "rejected_lines": rejected[0], "stock_rejects": rejected[1]})
    else:
        _show(runs, rejected, out)
    if out is not None:
        _write(out, runs, files)
    raise typer.Exit(FOUND_WRONG if any(rejected) else DONE)


def _run(files: Files, policy: str, closed: list[str], progress: Bar) -> Compared:
    import numpy as np

    from engine.intake.job import Shipments, memory_engine, write_answers
    from engine.outcomes import Namespace

    began = time.perf_counter()
    files = without(files, closed)
    with memory_engine() as engine:
        run = decide(engine, files, policy, time.time_ns() // 1000, False, progress)
        shipments = Shipments(engine.state.nodes, run.model and run.model.grams)
        write_answers(engine, run.answered, None, files.orders.rejects, shipments, run.summary)
        names = engine.state.names[Namespace.NODE].texts(np.arange(engine.state.node_count, dtype=np.int32)).to_pylist()
    sum_up(run, shipments, files)
    seconds = time.perf_counter() - began
    of_run, units = asdict(run.summary), shipments.units
    each = (np.bincount(shipments.node, weights, len(names)).astype(np.int64).tolist() for weights in (units, None))
    result = {
        "policy": policy, "closed": closed, **{name: of_run[name] for name in _SUMMARY},
        "p95_distance_m": distance_of(0.95, shipments.metres, units),
        "bill": run.model and run.model.bill(shipments.shipped(), shipments.short_units),
        "nodes": {
            name: {"units": sent, "shipments": count} for name, sent, count in zip(names, *each, strict=True)
        },
        "seconds": round(seconds, 4),
    }  # fmt: skip
    gone = ", ".join(closed) if len(closed) <= NAMED_MAX else f"{len(closed)} nodes"
    return Compared(f"{policy} without {gone}" if closed else policy, result, shipments.metres, units)


def table_of(runs: list[Compared]) -> list[tuple[str, *tuple[Any, ...]]]:
    """What is laid side by side: a name, and a figure of each run."""
    first = runs[0].result["cost"]

    def row(name: str, of: Any) -> tuple[str, *tuple[Any, ...]]:
        return name, *(of(run.result) for run in runs)

    def share(part: str, whole: str) -> Any:
        return lambda result: f"{result[part]:,}  ({result[part] / (result[whole] or 1):.1%})"

    def km(name: str) -> Any:
        return lambda result: "-" if result[name] is None else f"{result[name] / 1000:,.0f} km"

    rows = [row("orders", lambda r: r["orders"]), row("units", lambda r: r["units"])]
    if first is not None:
        rows.append(row("cost (minor units)", lambda r: r["cost"]))
        rows.append(row("  against the first", lambda r: f"{r['cost'] / first - 1:+.2%}" if first else "-"))
        rows.append(row("no allocation costs less than", lambda r: "-" if r["bound"] is None else r["bound"]))
        rows.append(row("  cost is above it by", lambda r: "-" if r["gap"] is None else f"{r['gap']:.3%}"))
    rows += [
        row("short units", share("short_units", "units")), row("split orders", share("split_orders", "orders")),
        row("shipments", lambda r: r["shipments"]),
        *((name, *(run.result[of] for run in runs)) for name, of in _LATE if runs[0].result[of] is not None),
        row("mean distance of a unit", km("mean_distance_m")),
        row("95% of units travel at most", km("p95_distance_m")), row("seconds", lambda r: f"{r['seconds']:.2f}"),
    ]  # fmt: skip
    return rows


def nodes_of(runs: list[Compared]) -> list[tuple[str, *tuple[Any, ...]]]:
    """Units and shipments of each node by each run, in the order of the nodes file."""

    def sent(result: dict[str, Any], name: str) -> str:
        load = result["nodes"].get(name)
        return f"{load['units']:,} in {load['shipments']:,}" if load else "closed"

    return [(name, *(sent(run.result, name) for run in runs)) for name in all_nodes(runs)]


def all_nodes(runs: list[Compared]) -> list[str]:
    """Those of the run that has the most, in the order of the nodes file; the others have some of them."""
    nodes: list[dict[str, Any]] = [run.result["nodes"] for run in runs]
    most = max(nodes, key=len)
    return list(most)


def _show(runs: list[Compared], rejected: tuple[int, int], out: Path | None) -> None:
    head = [run.name for run in runs]
    show_table("what if", table_of(runs), head)
    show_table("units of each node, in so many shipments", nodes_of(runs), head)
    for run in runs:
        for remark in run.result["notes"]:
            say(f"note: {run.name}: {remark}")
    for count, what in zip(rejected, ("orders", "stock"), strict=True):
        if count:
            say(f"note: {cell_text(count)} rows of the {what} file were left out: `allot allocate` says which and why")
    if out is not None:
        say(f"page: {out}")


def _write(out: Path, runs: list[Compared], files: Files) -> None:
    from server.cli.what_if_page import page, plots

    write(out, lambda: plots(runs), lambda drawn: page(runs, files.orders_path.name, drawn))
