"""`allot explain`: why an order's units are at their nodes, from a running server or from a data folder."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from server.cli.connection import DEFAULT_SERVER, Ca, Json, Server, TokenFile, connected
from server.cli.output import bar, say, show_json

if TYPE_CHECKING:
    from allot.v1.orders_pb2 import ExplainOrderResponse

_CHOICES = {
    "": "why these nodes was not noted: it was decided by an earlier version",
    "ONE_NODE": "from one node: the nearest that had everything",
    "PAIR": "from two nodes, as none had everything: the first pair that covers it",
    "GREEDY": "from those that had most, one after another, as no two had everything",
    "NO_NODE": "from no node: none had any, or none had everything and it is not split, or refused where it is short",
    "LEAST_COST": "by a plan of least cost over all orders of the batch",
    "PRICED": "at the least cost, shipments and what the units are worth to orders to come",
}
_REASONS = {
    "NO_STOCK": "no stock for this channel",
    "SPLIT": "had units, but not what would have spared a shipment",
    "PRICE": "had units, which cost less where others get them",
    "NOT_IN_GROUP": "is not among the channel's nodes",
    "NODE_CLOSED": "is closed",
    "CHANNEL_CLOSED": "the channel is closed",
    "PREFERRED": "had units, but the channel prefers the node that gave all",
    "NODE_FULL": "had no capacity left for the order on that day",
}


def explain(
    order_id: Annotated[str, typer.Argument(help="The order's id in the channel.")],
    channel: Annotated[str, typer.Option(help="The channel.")],
    reservation: Annotated[bool, typer.Option("--reservation", help="A reservation is meant.")] = False,
    data: Annotated[Path | None, typer.Option(help="Read this data folder instead of asking a server.")] = None,
    server: Server = DEFAULT_SERVER,
    token_file: TokenFile = None,
    ca: Ca = None,
    json: Json = False,
) -> None:
    """Why an order's units are at their nodes: what was chosen, which nearer nodes were passed over, and for what.

    Example: allot explain A-1 --channel own
    """
    from server.cli.answers import as_dict

    if data is not None:
        from server.explanations import explain_folder

        with bar() as progress:
            progress.stage("replaying")
            found = explain_folder(data, channel, order_id, reservation, progress.to)
    else:
        with connected(server, token_file, ca) as client:
            found = client.explain_order(channel, order_id, is_reservation=reservation)
    if json:
        show_json(as_dict(found))
    else:
        _show(f"{'reservation' if reservation else 'order'} {order_id} of {channel}", found)


def _show(title: str, found: "ExplainOrderResponse") -> None:
    from allot.v1 import orders_pb2, types_pb2
    from server.cli.answers import short, show_expected, show_rows

    outcome = short(types_pb2.Outcome, found.outcome).lower()
    number = f", number {found.number}" if found.number else ""
    say(f"{title}: {outcome}{number}, decided in commit {found.decided_sequence}")
    if found.reservation_number:
        became = "whose units it kept" if found.decided_sequence < found.sequence else "and was sourced again"
        say(f"it was reservation {found.reservation_number}, {became}")
    say(_CHOICES[short(orders_pb2.Choice, found.choice)])
    if found.nodes_max:
        say(f"it was to leave from {found.nodes_max} {'node' if found.nodes_max == 1 else 'nodes'} at most")
    if found.ship_complete:
        say("it was to get all its units or none")
    costs = any(line.HasField("extra_cost") for line in found.lines)
    rows: list[tuple[Any, ...]] = []
    for line in found.lines:
        for part in line.parts:
            at: tuple[Any, ...] = ("short", None, "", "")
            if part.node_id:
                at = (part.node_id, part.rank, _km(part.distance_m), _km(part.extra_distance_m))
            rows.append((line.line, line.sku, part.quantity, *at, *([line.extra_cost] if costs else [])))
    names = ("line", "SKU", "units", "node", "rank", "distance", "farther than the nearest with stock")
    if rows:
        show_rows("which node gives what", (*names, "line costs more than alone") if costs else names, rows)
    passed = [
        (line.line, line.sku, node.node_id, node.rank, _km(node.distance_m),
         _REASONS[short(orders_pb2.PassedReason, node.reason)])
        for line in found.lines
        for node in line.passed
    ]  # fmt: skip
    if passed:
        show_rows("nodes that were passed over", ("line", "SKU", "node", "rank", "distance", "why"), passed)
    more = sum(line.passed_more for line in found.lines)
    if more:
        say(f"and {more:,} more, farther on")
    if found.may_have_changed:
        say("nodes, distances or the channel's nodes may have changed since: ranks, and who is closed, are as of now")
    show_expected(found.expected)
    _show_moved(found)


def _show_moved(found: "ExplainOrderResponse") -> None:
    from allot.v1 import events_pb2
    from server.cli.answers import short, show_rows

    rows = [
        (moved.sequence, moved.sku, moved.node_id, moved.quantity, "released" if moved.released else "allocated",
         short(events_pb2.Cause, moved.cause).lower())
        for moved in found.moved
    ]  # fmt: skip
    if rows:
        show_rows("since then", ("commit", "SKU", "node", "units", "", "by"), rows)


def _km(metres: int) -> str:
    return f"{metres / 1000:,.0f} km"
