"""`allot allocate`: the file job. Reads the files, lets the engine decide, writes decisions and rejects, sums up."""

import secrets
import time
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from server.cli.output import (
    BAD_USAGE,
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

LEAST_COST = "least-cost"
POLICIES = ("nearest", LEAST_COST)
File = typer.Option(help="CSV, CSV.gz or Parquet, by its name.")


def allocate(
    orders: Annotated[Path, typer.Option(help="order_id, channel, placed_at, postal_code, sku, quantity and more.")],
    nodes: Annotated[Path, typer.Option(help="node_id and latitude, longitude in degrees, or postal_code.")],
    stock: Annotated[Path, typer.Option(help="sku, node_id, on_hand.")],
    decisions: Annotated[Path, typer.Option(help="Where the decisions go: one row a part of a line.")],
    postal_codes: Annotated[
        Path | None, typer.Option(help="postal_code, latitude, longitude. [default: India's]", show_default=False)
    ] = None,
    rate_card: Annotated[Path | None, typer.Option(help="TOML; with it, the summary has the cost.")] = None,
    policy: Annotated[
        str, typer.Option(help="nearest; or least-cost: all orders together by the rate card, with a proven bound.")
    ] = "nearest",
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
    if policy not in POLICIES:
        fail(f"--policy {policy}: there are {' and '.join(POLICIES)}", BAD_USAGE)
    if policy == LEAST_COST and rate_card is None:
        fail("--policy least-cost: it needs --rate-card, which says what shipments and short units cost", BAD_USAGE)
    distinct_files(
        {"decisions": decisions, "rejects": rejects},
        {"orders": orders, "nodes": nodes, "stock": stock, "postal-codes": postal_codes, "rate-card": rate_card},
    )
    with bar() as progress:
        result, rejected = _run(
            orders, nodes, stock, decisions, postal_codes, rate_card, policy, rejects, data, progress
        )
    if json:
        show_json(result)
    else:
        _show(result, policy, decisions, rejects, data)
    raise typer.Exit(FOUND_WRONG if rejected else DONE)


def _run(
    orders_file: Path, nodes_file: Path, stock_file: Path, decisions: Path, postal_codes: Path | None,
    rate_card: Path | None, policy: str, rejects_file: Path | None, data: Path | None, progress: Bar,
) -> tuple[dict[str, Any], bool]:  # fmt: skip
    from engine.intake.decisions import DecisionWriter
    from engine.intake.job import (
        Shipments,
        Summary,
        check_channels,
        count_stock,
        memory_engine,
        put_catalogue,
        put_nodes,
        write_answers,
    )
    from engine.intake.job import allocate as send
    from engine.intake.nodes import read_nodes
    from engine.intake.orders import read_orders
    from engine.intake.postal_codes import Places
    from engine.intake.rate_card import RateCard
    from engine.intake.rejects import SCHEMA as REJECTS
    from engine.intake.stock import read_stock
    from engine.intake.table_writer import TableWriter

    clock = time.perf_counter
    started = clock()
    progress.stage("reading")
    card = RateCard.read(rate_card) if rate_card else None
    places = Places.read(postal_codes) if postal_codes else Places.india(progress.stage)
    nodes = read_nodes(nodes_file, places)
    stock = read_stock(stock_file, nodes.node_id)
    orders = read_orders(orders_file, places)
    read = clock()
    summary = Summary()
    rejects = TableWriter(rejects_file, REJECTS) if rejects_file else nullcontext()
    with DecisionWriter(decisions) as writer, rejects as rejected:  # before deciding: it must be possible to write
        progress.stage("opening" if data else "preparing")
        engine = _open(data, progress) if data else memory_engine()
        with engine:
            _note_torn(engine.journal)
            before = engine.state.sequence
            stamp = time.time_ns() // 1000
            check_channels(engine, orders_file, orders)
            node_index, closed = put_nodes(engine, nodes, stamp)
            if len(closed):
                summary.notes.append(f"closed, as the nodes file does not name them: {', '.join(closed.to_pylist())}")
            shipments = Shipments(engine.state.nodes)
            summary.stock_statement = count_stock(engine, stock, node_index, _changed_at(stock_file), stamp)
            put_catalogue(engine, orders, stamp)
            planned = None
            if card is not None and policy == LEAST_COST:
                planned = _planned(engine, orders_file, orders, card, progress, summary)
            progress.stage("allocating", len(orders.order_id))
            answered = send(engine, orders, stamp, data is not None, progress.advance, planned)
            decided = clock()
            progress.stage("writing", len(orders.order_id))
            write_answers(engine, answered, writer, orders.rejects, shipments, summary)
            summary.sequence = engine.state.sequence
            summary.changed = engine.state.sequence != before
        if rejected:
            for batch in orders.rejects.table().to_batches():
                rejected.append(batch)
    written = clock()
    summary.rejected_lines = len(orders.rejects)
    summary.stock_rejects = len(stock.rejects)
    _sum_up(summary, shipments, card)
    return _result(summary, read - started, decided - read, written - decided, orders, stock, data), bool(
        summary.rejected_lines or summary.stock_rejects
    )


def _planned(engine: Any, file: Path, orders: Any, card: Any, progress: Bar, summary: Any) -> Any:
    """The plan of least cost, and what the summary says of it."""
    from engine.intake.job import plan_orders
    from engine.planning import TooManyUnits

    progress.stage("planning")
    try:
        planned = plan_orders(engine, orders, card)
    except TooManyUnits as error:
        fail(f"{file}: quantity: {error}: split the file", BAD_USAGE)
    summary.bound = round(planned.bound)
    if planned.spared:
        summary.notes.append(
            f"{planned.spared:,} units are short though there is stock: by the rate card a short unit costs "
            f"{card.shortage_penalty:g}, and to ship these would cost more"
        )
    return planned


def _sum_up(summary: Any, shipments: Any, card: Any) -> None:
    """What the shipments came to, and what they cost by the card."""
    summary.shipments, summary.split_orders = shipments.count, shipments.split_orders
    summary.allocated_units, summary.short_units = shipments.allocated_units, shipments.short_units
    if shipments.allocated_units:
        summary.mean_distance_m = round(shipments.unit_metres / shipments.allocated_units)
    summary.cost = shipments.cost(card) if card else None
    if summary.cost is not None and summary.bound:
        summary.gap = round(summary.cost / summary.bound - 1, 6)


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


def _changed_at(path: Path) -> int:
    return path.stat().st_mtime_ns // 1000


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
        ("cost (minor units)", "no rate card" if result["cost"] is None else result["cost"]),
    ]
    if result["bound"] is not None:
        gap = "" if result["gap"] is None else f"  (cost is {result['gap']:.3%} above it)"
        rows.append(("no allocation costs less than", f"{result['bound']:,}{gap}"))
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
