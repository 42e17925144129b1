"""`allot plan`: a history replayed day by day at so many times its orders: what breaks first, and what it costs.

    history, nodes, stock  ->  plan_growth.py: each growth  ->  plan_machine.py: the machine  ->  tables, plan_page.py

Nothing is changed. The same files and the same seed give the same figures; those of the machine are measured.
"""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from server.cli.jobs import FILE_HELP, check_policy, read_files, without
from server.cli.output import BAD_USAGE, DONE, FOUND_WRONG, Bar, bar, distinct_files, fail, say, show_json, show_table
from server.cli.page import check_place, write
from server.cli.plan_growth import (
    ORDERS_MAX,
    WITH_ORDERS,
    breaks_first,
    clock_of,
    grow,
    growths_of,
    has_limits,
    history_of,
    orders_at,
    prepare,
    times,
)
from server.cli.plan_history import days_and_orders, generated
from server.cli.plan_machine import explained, machine_of, measure, resident_bytes
from server.cli.plan_page import page, plots
from server.cli.plan_tables import brief_head, brief_nodes, head_of, machine_rows, rejected, table_of

OPEN_DAYS_MAX = 400
GENERATED = (
    "the history is made up (--generate): SKUs as often as there is stock of them, lines, units and postal codes as in "
    "the reports behind the demo; its dates mean nothing"
)


def plan(
    nodes: Annotated[Path, typer.Option(help=FILE_HELP["nodes"])],
    stock: Annotated[Path, typer.Option(help=FILE_HELP["stock"])],
    orders: Annotated[
        Path | None, typer.Option(help="The history: " + FILE_HELP["orders"] + " Days go by placed_at.")
    ] = None,
    generate: Annotated[
        str | None,
        typer.Option(metavar="DAYS:ORDERS", help="A made-up history in its place: so many days of so many orders."),
    ] = None,
    growth: Annotated[str, typer.Option(help="How many times the orders of the history, one or several.")] = "1,2,5,10",
    policy: Annotated[str, typer.Option(help="nearest or least-cost; the second one needs a card.")] = "nearest",
    stock_growth: Annotated[
        str,
        typer.Option(help="with-orders: as many times the stock as the orders; as-given: the file's; or a number."),
    ] = WITH_ORDERS,
    close: Annotated[
        list[str] | None, typer.Option(metavar="NODE", help="A node that is not there; again for more.")
    ] = None,
    time_zone: Annotated[
        str | None,
        typer.Option(
            help="Days begin at its midnight. [default: the nodes' cut-off, if they share one; else Asia/Kolkata]",
            show_default=False,
        ),
    ] = None,
    postal_codes: Annotated[
        Path | None, typer.Option(help="postal_code, latitude, longitude. [default: India's]", show_default=False)
    ] = None,
    rate_card: Annotated[Path | None, typer.Option(help="TOML; with it, each growth has its cost.")] = None,
    service_card: Annotated[
        Path | None, typer.Option(help="Likewise: services by zone and weight, in its place.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="For orders drawn at a growth that is not whole, or made up.")] = 0,
    peak_hour_share: Annotated[
        float, typer.Option(min=0.05, max=1.0, help="Of a day's orders, where the history has no times of day.")
    ] = 0.2,
    open_days: Annotated[int, typer.Option(min=1, max=OPEN_DAYS_MAX, help="How long an order is open.")] = 7,
    out: Annotated[Path | None, typer.Option(help="A page with plots, HTML, complete in itself.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
) -> None:
    """Replay a history at so many times its orders, day by day: which node is full when, what is short, late, dear.

    \b
    Example:
    allot plan --orders history.csv --nodes nodes.csv --stock stock.csv --growth 1,2,5,10 --out plan.html
    """
    check_policy(policy, rate_card, service_card)
    if (orders is None) == (generate is None):
        fail("--orders and --generate: give one of them: a history, or days of made-up orders", BAD_USAGE)
    made = None if generate is None else partial(generated, *days_and_orders(generate), seed)
    growths = growths_of(growth, stock_growth)
    inputs = {
        "orders": orders, "nodes": nodes, "stock": stock, "postal-codes": postal_codes, "rate-card": rate_card,
        "service-card": service_card,
    }  # fmt: skip
    distinct_files({"out": out}, inputs)
    check_place(out)
    files = (orders or Path("made-up orders"), nodes, stock, postal_codes, rate_card, service_card)
    closed = list(dict.fromkeys(close or []))
    choices = {"policy": policy, "closed": closed, "stock_growth": stock_growth, "seed": seed}
    with bar() as progress:
        result = _planned(files, made, growths, time_zone, choices, (peak_hour_share, open_days), progress)
    if json:
        show_json(result)
    else:
        _show(result, out)
    if out is not None:
        write(out, lambda: plots(result), lambda drawn: page(result, drawn))
    raise typer.Exit(FOUND_WRONG if result["rejected_lines"] or result["stock_rejects"] else DONE)


def _planned(
    paths: tuple[Path, Path, Path, Path | None, Path | None, Path | None], made: Callable[..., Any] | None,
    growths: list[int], zone: str | None, choices: dict[str, Any], peak: tuple[float, int], progress: Bar,
) -> dict[str, Any]:  # fmt: skip
    """Everything, as --json prints it."""
    from engine.intake.job import memory_engine

    clock, seconds = time.perf_counter, {}
    base, began = resident_bytes(), clock()
    read = read_files(*paths, progress, made)
    files = without(read, choices["closed"])
    seconds["read"] = clock() - began
    days_begin, notes = clock_of(zone, files.nodes.terms)
    with memory_engine() as engine:
        progress.stage("preparing")
        prepared = prepare(files, engine, days_begin, choices["policy"])
        total, runs = sum(orders_at(prepared, value) for value in growths), 2 if has_limits(prepared) else 1
        if total > ORDERS_MAX:
            fail(f"--growth: {total:,} orders in all: a plan takes {ORDERS_MAX:,}; give fewer, smaller ones", BAD_USAGE)
        began, results = clock(), []
        for value in growths:
            progress.stage(f"{times(value)} times the orders", runs * orders_at(prepared, value))
            results.append(grow(prepared, value, choices["stock_growth"], choices["seed"], progress.advance))
        seconds["replay"] = clock() - began
        progress.stage("measuring")
        began = clock()
        machine = machine_of(prepared, measure(files, base), growths, *peak)
        seconds["measure"] = clock() - began
    return {
        "history": history_of(paths[0], prepared), "days_begin_at": days_begin.name, **choices,
        "limited_nodes": int((prepared.per_day >= 0).any(axis=1).sum()), "planned_orders": total,
        "breaks_first": breaks_first(results), "growths": results,
        "notes": [GENERATED] * bool(made) + notes + prepared.days.notes + _notes(files, prepared, results, choices),
        "rejected_lines": len(files.orders.rejects), "stock_rejects": len(read.stock.rejects),
        "rejects_by_reason": dict(files.orders.rejects.counts()),
        "machine": machine, "seconds": {name: round(value, 3) for name, value in seconds.items()},
    }  # fmt: skip


def _notes(files: Any, prepared: Any, results: list[dict[str, Any]], choices: dict[str, Any]) -> list[str]:
    """What a reader must know of the figures."""
    notes = []
    if choices["stock_growth"] == WITH_ORDERS:
        notes.append(
            "stock grows with the orders (--stock-growth as-given keeps the file's); it is not filled up again"
        )
    else:
        of = "" if results[0]["stock_times"] == 1 else f"{results[0]['stock_times']:g} times "
        notes.append(f"stock is {of}that of the file at every growth; it is not filled up again")
    if any(run["growth"] % 1 for run in results):
        notes.append(
            "at a growth that is not whole some orders are drawn once more than others: a SKU that is seldom ordered "
            "may be asked for more than its stock has grown"
        )
    if not has_limits(prepared):
        notes.append(
            "no node has a limit (orders_per_day, units_per_day of the nodes file): none can be full, nothing late"
        )
    with_terms = int(((prepared.history.nodes_max > 0) | (prepared.history.complete != 0)).sum())
    if with_terms and has_limits(prepared):
        notes.append(
            f"{with_terms:,} orders have nodes_max or ship_complete: what of them finds no capacity on its day is "
            "short, and does not wait; it counts as lack of capacity even where their terms alone leave it short"
        )
    areas = int(files.orders.area.sum())
    if areas:
        notes.append(f"{areas:,} orders are placed by the first three digits of their postal code")
    for result in results:
        if result["uncarried_units"]:
            notes.append(
                f"{result['growth']:g} times: {result['uncarried_units']:,} units are sent from nodes from which no "
                "service carries them: in the cost they count as short"
            )
        if result["short_otherwise_units"]:
            why = (
                "by the terms of their orders"
                if choices["policy"] == "nearest"
                else "by their terms, or as the card has it"
            )
            notes.append(
                f"{result['growth']:g} times: {result['short_otherwise_units']:,} units are short {why}, though "
                "there is stock and room"
            )
    return notes


def _show(result: dict[str, Any], out: Path | None) -> None:
    head, history = head_of(result), result["history"]
    dates = history["dates"]
    show_table(f"{history['orders']:,} orders of {len(dates)} days, {dates[0]} to {dates[-1]}", table_of(result), head)
    show_table(brief_head(result), brief_nodes(result), head)
    show_table("the machine that allot needs", machine_rows(result), head)
    say(result["breaks_first"]["sentence"])
    for remark in result["notes"] + rejected(result) + explained(result["machine"]):
        say(f"note: {remark}")
    seconds = result["seconds"]
    took = f"{sum(seconds.values()):.1f} s, of which {seconds['read']:.1f} reading"
    say(f"{result['planned_orders']:,} orders planned in {took}")
    if out is not None:
        say(f"page: {out}")
