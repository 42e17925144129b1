"""`allot order`: orders through a running server: one, a whole file, and what became of them."""

from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from server.cli.connection import DEFAULT_SERVER, Ca, Json, RequestId, Server, TokenFile, connected
from server.cli.output import BAD_USAGE, DONE, FOUND_WRONG, bar, distinct_files, fail, say, show_json, show_table

REEVALUATION_SECONDS_MAX = 120
app = typer.Typer(help="Orders through a running server.", no_args_is_help=True, rich_markup_mode=None)
OrderId = Annotated[str, typer.Argument(help="The order's id in the channel.")]
Channel = Annotated[str, typer.Option(help="The channel.")]


@app.command("place")
def place(
    order_id: OrderId,
    channel: Channel,
    postal_code: Annotated[str, typer.Option(help="Where it goes.")],
    line: Annotated[list[str], typer.Option(metavar="SKU=UNITS", help="A line; again for more.")],
    customer: Annotated[str, typer.Option(help="An opaque reference; no name, no address.")] = "",
    nodes_max: Annotated[int, typer.Option(help="Nodes that may give to it together. 0: any number.", min=0)] = 0,
    ship_complete: Annotated[bool, typer.Option("--ship-complete", help="All its units or none.")] = False,
    server: Server = DEFAULT_SERVER,
    token_file: TokenFile = None,
    ca: Ca = None,
    json: Json = False,
) -> None:
    """Place one order. The same order again gets the first answer again. Exit code 1 where it is refused.

    \b
    Example:
    allot order place A-1 --channel own --postal-code 560034 --line SKU-1=2
    """
    from server.cli.answers import show_decision

    lines = [parsed_line(text) for text in line]
    with connected(server, token_file, ca) as client:
        decision = client.place_order(
            channel=channel,
            order_id=order_id,
            postal_code=postal_code,
            lines=lines,
            customer=customer,
            nodes_max=nodes_max,
            ship_complete=ship_complete,
        )
    raise typer.Exit(show_decision(f"order {order_id}", decision, json))


def parsed_line(text: str) -> tuple[str, int]:
    """A line as it stands on the command line."""
    sku, _, units = text.rpartition("=")
    if not sku or not units.isascii() or not units.isdecimal():
        fail(f"--line {text}: give SKU=UNITS, such as SKU-1=2", BAD_USAGE)
    return sku, int(units)


@app.command("get")
def get(
    order_id: OrderId,
    channel: Channel,
    reservation: Annotated[bool, typer.Option("--reservation", help="A reservation is meant.")] = False,
    server: Server = DEFAULT_SERVER,
    token_file: TokenFile = None,
    ca: Ca = None,
    json: Json = False,
) -> None:
    """One order as it stands.

    Example: allot order get A-1 --channel own
    """
    from allot.v1 import types_pb2
    from server.cli.answers import as_dict, short, show_expected, show_parts

    with connected(server, token_file, ca) as client:
        order = client.get_order(channel, order_id, is_reservation=reservation)
    if json:
        show_json(as_dict(order))
        return
    rows: list[tuple[str, Any]] = [
        ("number", order.number),
        ("state", short(types_pb2.OrderState, order.state).lower()),
        ("postal code", order.postal_code),
        *((f"line {number}", f"{line.quantity:,} x {line.sku}") for number, line in enumerate(order.lines, 1)),
    ]
    show_table(f"{'reservation' if order.is_reservation else 'order'} {order.order_id} of {order.channel}", rows)
    show_parts("where its units are", order.parts)
    show_expected(order.expected)


@app.command("show")
def show(
    order_id: OrderId,
    channel: Channel,
    server: Server = DEFAULT_SERVER,
    token_file: TokenFile = None,
    ca: Ca = None,
    json: Json = False,
) -> None:
    """One order with its whole life: what it owes, its payments, parcels and returns, and its time line.

    Example: allot order show A-1 --channel own
    """
    from allot.v1 import types_pb2
    from server.cli.answers import as_dict, short, show_parts
    from server.cli.life_view import show_life

    with connected(server, token_file, ca) as client:
        found = client.get_life(channel, order_id)
    if json:
        show_json(as_dict(found))
        return
    order = found.order
    state = short(types_pb2.OrderState, order.state).lower()
    show_parts(f"order {order.order_id} of {order.channel}, number {order.number}: {state}", order.parts)
    show_life(found)


@app.command("list")
def list_(
    channel: Annotated[str, typer.Option(help="Only this channel's.")] = "",
    state: Annotated[str, typer.Option(help="Only orders in this state, such as back_ordered.")] = "",
    limit: Annotated[int, typer.Option(help="Orders at most.", min=1)] = 100,
    server: Server = DEFAULT_SERVER,
    token_file: TokenFile = None,
    ca: Ca = None,
    json: Json = False,
) -> None:
    """Orders and reservations by number, without lines.

    Example: allot order list --channel own --state back_ordered
    """
    from allot.v1 import types_pb2
    from server.cli.answers import as_dict, short, show_rows

    with connected(server, token_file, ca) as client:
        found = client.list_orders(channel=channel, state=state, page_size=min(limit, 1000))
        orders = list(islice(found, limit))
    if json:
        show_json([as_dict(order) for order in orders])
        return
    rows = [
        (order.number, order.channel, order.order_id, short(types_pb2.OrderState, order.state).lower(),
         order.postal_code, "reservation" if order.is_reservation else "")
        for order in orders
    ]  # fmt: skip
    show_rows(f"orders: {len(orders):,}", ("number", "channel", "order", "state", "postal code", ""), rows)
    if len(orders) == limit:
        say(f"there may be more: --limit {limit * 10}")


@app.command("cancel")
def cancel(
    order_id: OrderId,
    channel: Channel,
    line: Annotated[int, typer.Option(help="Position of the line, from 1. 0: every line.", min=0)] = 0,
    quantity: Annotated[int, typer.Option(help="Units. 0: all that have not been shipped.", min=0)] = 0,
    request_id: RequestId = "",
    server: Server = DEFAULT_SERVER,
    token_file: TokenFile = None,
    ca: Ca = None,
    json: Json = False,
) -> None:
    """Cancel units of an order that have not been shipped.

    Example: allot order cancel A-1 --channel own
    """
    from server.cli.answers import again, as_dict

    with connected(server, token_file, ca) as client:
        answer = client.cancel_order(channel, order_id, line=line, quantity=quantity, request_id=request_id)
    if json:
        show_json(as_dict(answer))
    else:
        say(f"order {order_id}: {answer.quantity:,} units cancelled{again(answer)}")


@app.command("reevaluate")
def reevaluate(
    rate_card: Annotated[Path, typer.Option(help="What shipments cost: TOML, as for `allot allocate`.")],
    move_fee: Annotated[int, typer.Option(help="What a moved unit must save, in minor units, and more.", min=0)] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would move, and change nothing.")] = False,
    request_id: RequestId = "",
    server: Server = DEFAULT_SERVER,
    token_file: TokenFile = None,
    ca: Ca = None,
    json: Json = False,
) -> None:
    """Move orders that are not picked yet to cheaper nodes.

    Example: allot order reevaluate --rate-card card.toml --move-fee 500
    """
    from engine.intake.rate_card import RateCard
    from server.cli.answers import again, as_dict, show_rows

    card = RateCard.read(rate_card)
    with connected(server, token_file, ca, timeout=REEVALUATION_SECONDS_MAX) as client:
        answer = client.reevaluate_orders(
            shipment_fee=card.shipment_fee, fee_per_km=card.fee_per_km, handling_fee=card.handling_fee,
            fee_per_unit_km=card.fee_per_unit_km, move_fee=move_fee, dry_run=dry_run, request_id=request_id,
        )  # fmt: skip
    if json:
        show_json(as_dict(answer))
        return
    moved = sum(node.left for node in answer.nodes)
    would = "would move and save" if dry_run else "moved; saved"
    rows = [(node.node_id, node.left, node.arrived) for node in answer.nodes]
    show_rows(f"{moved:,} units {would} {answer.saved:,}{again(answer)}", ("node", "left", "arrived"), rows)


@app.command("send")
def send(
    file: Annotated[Path, typer.Argument(help="Orders: CSV, CSV.gz or Parquet, one row a line or one row an order.")],
    channel: Annotated[str, typer.Option(help="The channel of all, where the file has no such column.")] = "",
    results: Annotated[
        Path | None, typer.Option(help="Where the results go, a row an order: .parquet, or .csv without the parts.")
    ] = None,
    batch_orders: Annotated[int, typer.Option(help="Orders of a batch, 1 to 16,384.")] = 8192,
    window: Annotated[int, typer.Option(help="Batches under way at most.", min=1)] = 4,
    server: Server = DEFAULT_SERVER,
    token_file: TokenFile = None,
    ca: Ca = None,
    json: Json = False,
) -> None:
    """Send a file of orders in batches. Send it again after a failure: what is known gets its first answer again.

    Exit code 1 where orders were not taken or refused.

    \b
    Example:
    allot order send orders.csv.gz --channel own --results results.parquet
    """
    import time

    if not file.is_file():
        fail(f"{file}: no such file", BAD_USAGE)
    distinct_files({"results": results}, {"orders": file})
    if results is not None and results.suffix not in (".parquet", ".csv"):
        fail(f"--results {results}: must end in .parquet or .csv", BAD_USAGE)
    started = time.perf_counter()
    with connected(server, token_file, ca, patience=60) as client, bar() as progress:
        progress.stage("sending")
        table = client.allocate(file, channel=channel, batch_orders=batch_orders, window=window, progress=progress.to)
    seconds = time.perf_counter() - started
    if results is not None:
        _write(table, results)
    summary = _summary(table, seconds)
    if json:
        show_json(summary)
    else:
        _show(file, summary, results)
    raise typer.Exit(FOUND_WRONG if summary["not_taken"] or summary["refused"] else DONE)


def _write(table: Any, path: Path) -> None:
    if path.suffix == ".parquet":
        import pyarrow.parquet

        pyarrow.parquet.write_table(table, path)
    else:
        import pyarrow.csv

        pyarrow.csv.write_csv(table.drop_columns(["parts"]), path)


def _summary(table: Any, seconds: float) -> dict[str, Any]:
    import pyarrow.compute as pc

    def counts(column: str) -> dict[str, int]:
        found = {one["values"]: one["counts"] for one in pc.value_counts(table.column(column)).to_pylist()}
        return {name: count for name, count in found.items() if name is not None}

    outcomes = counts("outcome")
    found: dict[str, Any] = {"orders": table.num_rows}
    found |= {name.lower(): outcomes.get(name, 0) for name in ("ALLOCATED", "PARTLY", "SHORT", "REFUSED")}
    found["not_taken"] = table.column("outcome").null_count
    found["not_taken_by_reason"] = counts("reason")
    found["known_before"] = pc.sum(table.column("again")).as_py() or 0
    found["seconds"] = round(seconds, 3)
    found["orders_per_second"] = round(table.num_rows / seconds) if seconds else 0
    if found["not_taken"]:
        first = table.filter(pc.is_null(table.column("outcome"))).slice(0, 1).to_pylist()[0]
        found["first_not_taken"] = {name: first[name] for name in ("order_id", "channel", "reason", "field", "message")}
    return found


def _show(file: Path, summary: dict[str, Any], results: Path | None) -> None:
    rows: list[tuple[str, Any]] = [
        (name.replace("_", " "), summary[name])
        for name in ("orders", "allocated", "partly", "short", "refused", "not_taken")
    ]
    reasons = summary["not_taken_by_reason"].items()
    rows += [(f"  {reason.lower().replace('_', ' ')}", count) for reason, count in reasons]
    rows += [
        ("known before", summary["known_before"]),
        ("seconds", f"{summary['seconds']:.2f}"),
        ("orders a second", summary["orders_per_second"]),
    ]
    show_table(f"sent {file.name}", rows)
    if first := summary.get("first_not_taken"):
        said = ", ".join(first[name] for name in ("reason", "field", "message") if first[name])
        say(f"the first that was not taken is {first['order_id']} of {first['channel']}: {said}")
        if results is None:
            say("give --results FILE to see each with its reason")
    if results is not None:
        say(f"results: {results}")
