"""`allot allocate`: the file job. Reads the files, lets the engine decide, writes decisions and rejects, sums up."""

import secrets
import time
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from server.cli.jobs import FILE_HELP, NEAREST, check_policy, decide, read_files, sum_up
from server.cli.output import (
    DONE,
    FOUND_WRONG,
    Bar,
    bar,
    distinct_files,
    fail,
    note,
    say,
    show_json,
    show_table,
)


def allocate(
    orders: Annotated[Path, typer.Option(help=FILE_HELP["orders"])],
    nodes: Annotated[Path, typer.Option(help=FILE_HELP["nodes"])],
    stock: Annotated[Path, typer.Option(help=FILE_HELP["stock"])],
    decisions: Annotated[Path, typer.Option(help="Where the decisions go: one row a part of a line.")],
    postal_codes: Annotated[
        Path | None, typer.Option(help="postal_code, latitude, longitude. [default: India's]", show_default=False)
    ] = None,
    rate_card: Annotated[Path | None, typer.Option(help="TOML; with it, the summary has the cost.")] = None,
    service_card: Annotated[
        Path | None, typer.Option(help="Likewise: services by zone and weight, in its place.")
    ] = None,
    policy: Annotated[
        str, typer.Option(help="nearest; or least-cost: all orders together by the card, with a proven bound.")
    ] = NEAREST,
    rejects: Annotated[
        Path | None, typer.Option(help="Where rejected rows go, with row, column, value, reason.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Data folder: decide durably. Made if it is not there.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Allocate a file of orders: each to its nearest nodes, or all together at the least cost.

    \b
    Example:
    allot allocate --orders orders.csv --nodes nodes.csv --stock stock.csv --decisions out.csv --rejects bad.csv
    """
    check_policy(policy, rate_card, service_card)
    distinct_files(
        {"decisions": decisions, "rejects": rejects},
        {
            "orders": orders,
            "nodes": nodes,
            "stock": stock,
            "postal-codes": postal_codes,
            "rate-card": rate_card,
            "service-card": service_card,
        },
    )
    with bar() as progress:
        result, rejected = _run(
            orders, nodes, stock, decisions, postal_codes, (rate_card, service_card), policy, rejects, data, progress
        )
    if json:
        show_json(result)
    else:
        _show(result, policy, decisions, rejects, data)
    raise typer.Exit(FOUND_WRONG if rejected else DONE)


def _run(
    orders: Path, nodes: Path, stock: Path, decisions: Path, postal_codes: Path | None,
    cards: tuple[Path | None, Path | None], policy: str, rejects_file: Path | None, data: Path | None, progress: Bar,
) -> tuple[dict[str, Any], bool]:  # fmt: skip
    from engine.intake.decisions import DecisionWriter
    from engine.intake.job import Shipments, memory_engine, write_answers
    from engine.intake.rejects import SCHEMA as REJECTS
    from engine.intake.table_writer import TableWriter

    clock = time.perf_counter
    started = clock()
    files = read_files(orders, nodes, stock, postal_codes, *cards, progress)
    read = clock()
    rejects = TableWriter(rejects_file, REJECTS) if rejects_file else nullcontext()
    with DecisionWriter(decisions) as writer, rejects as rejected:  # before deciding: it must be possible to write
        progress.stage("opening" if data else "preparing")
        engine = _open(data, progress) if data else memory_engine()
        with engine:
            _note_torn(engine.journal)
            before = engine.state.sequence
            run = decide(engine, files, policy, time.time_ns() // 1000, data is not None, progress)
            summary, shipments = run.summary, Shipments(engine.state.nodes, run.model and run.model.grams)
            decided = clock()
            progress.stage("writing", len(files.orders.order_id))
            write_answers(engine, run.answered, writer, files.orders.rejects, shipments, summary)
            summary.sequence = engine.state.sequence
            summary.changed = engine.state.sequence != before
        if rejected:
            for batch in files.orders.rejects.table().to_batches():
                rejected.append(batch)
    written = clock()
    summary.rejected_lines = len(files.orders.rejects)
    summary.stock_rejects = len(files.stock.rejects)
    sum_up(run, shipments, files)
    return _result(summary, read - started, decided - read, written - decided, files.orders, files.stock, data), bool(
        summary.rejected_lines or summary.stock_rejects
    )


def _note_torn(journal: Any) -> None:
    if cut := getattr(journal, "cut_off", None):
        note(f"{cut.segment}: a torn write of sequence {cut.sequence} was cut off; nobody had been answered")


def _open(data: Path, progress: Bar) -> Any:
    from engine.folder import IDENTITY, LOCK, UNFINISHED, DataFolder
    from engine.writer import Engine

    if data.exists() and not data.is_dir():
        fail(f"{data} is a file: name a folder")
    found = {path.name for path in data.iterdir()} if data.exists() else set()  # one look: another run may be at it
    if IDENTITY not in found:
        if found - {LOCK, UNFINISHED}:
            fail(f"{data} is not empty and no data folder of allot: name another folder")
        DataFolder.create(data, secrets.token_bytes(32)).close()
    return Engine.open(data, progress.to, publish=False)


def _result(
    summary: Any, read: float, decide: float, write: float, orders: Any, stock: Any, data: Path | None
) -> dict[str, Any]:
    result = asdict(summary)
    total = read + decide + write
    result["seconds"] = {
        "read": round(read, 4), "allocate": round(decide, 4), "write": round(write, 4), "total": round(total, 4)
    }  # fmt: skip
    result["orders_per_second"] = round(summary.orders / total) if total else 0
    result["rejects_by_reason"] = dict(orders.rejects.counts())
    if stock.negative_rows:
        result["notes"].append(f"{stock.negative_rows} stock rows are negative: their cells have nothing available")
    if stock.rejects:
        counts = ", ".join(f"{count} {reason}" for reason, count in stock.rejects.counts().items())
        first = stock.rejects.table().slice(0, 1).to_pylist()[0]
        place = f"row {first['row']}, {first['column'] or 'cells'} {first['value']!r}"
        result["notes"].append(f"stock rows left out: {counts}; the first is {place}: {first['why']}")
    if summary.stock_statement == "too old":
        result["notes"].append("the stock file is older than the last one taken: its figures were not taken")
    if data and not summary.changed:
        all_known = not orders.rejects.counts().keys() & {"KEY_CONFLICT", "REFUSED"}
        result["notes"].append(
            f"nothing was changed: the folder knew all of it{'' if all_known else ' but the rejects'}"
        )
    return result


def _show(result: dict[str, Any], policy: str, decisions: Path, rejects: Path | None, data: Path | None) -> None:
    units = result["units"] or 1
    rows: list[tuple[str, Any]] = [
        ("orders", result["orders"]),
        ("lines", result["lines"]),
        ("units", result["units"]),
        ("allocated units", f"{result['allocated_units']:,}  ({result['allocated_units'] / units:.1%})"),
        ("short units", f"{result['short_units']:,}  ({result['short_units'] / units:.1%})"),
        ("shipments", result["shipments"]),
        ("split orders", f"{result['split_orders']:,}  ({result['split_orders'] / (result['orders'] or 1):.1%})"),
        ("mean distance", "-" if result["mean_distance_m"] is None else f"{result['mean_distance_m'] / 1000:,.0f} km"),
        ("cost (minor units)", "no card" if result["cost"] is None else result["cost"]),
    ]
    if result["bound"] is not None:
        gap = "" if result["gap"] is None else f"  (cost is {result['gap']:.3%} above it)"
        rows.append(("no allocation costs less than", f"{result['bound']:,}{gap}"))
    if result["stock_fees"] is not None:
        rows.append(("  with balance and age of stock, not paid", result["stock_fees"]))
    for name, late in (("late to ship", result["late_to_ship"]), ("late to arrive", result["late_to_deliver"])):
        if late is not None:
            rows.append((f"orders {name}", late))
    rows.append(("rejected lines", result["rejected_lines"]))
    rows += [(f"  {reason.lower().replace('_', ' ')}", count) for reason, count in result["rejects_by_reason"].items()]
    if data:
        rows += [("known before", result["repeated_orders"]), ("journal sequence", result["sequence"])]
    seconds = result["seconds"]
    rows += [
        ("read / allocate / write", f"{seconds['read']:.2f} / {seconds['allocate']:.2f} / {seconds['write']:.2f} s"),
        ("orders a second", result["orders_per_second"]),
    ]
    show_table(f"allocated, {policy}", rows)
    for remark in result["notes"]:
        say(f"note: {remark}")
    say(f"decisions: {decisions}")
    if result["rejected_lines"]:
        say(
            f"rejects: {rejects}" if rejects else "rejects: give --rejects FILE to see each with row, column and reason"
        )
    if data:
        say(f"next: allot verify --data {data}")
