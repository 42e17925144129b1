"""`allot node`: the places that fulfil, on a running server."""

from typing import Annotated, Any

import typer

from server.cli.connection import DEFAULT_SERVER, Ca, Json, RequestId, Server, TokenFile, connected
from server.cli.output import BAD_USAGE, fail, say, show_json

REALLOCATION_SECONDS_MAX = 600
app = typer.Typer(help="Nodes of a running server.", no_args_is_help=True, rich_markup_mode=None)


@app.command("put")
def put(
    node_id: Annotated[str, typer.Argument(help="The node's id.")],
    latitude: Annotated[float | None, typer.Option(help="Degrees north.")] = None,
    longitude: Annotated[float | None, typer.Option(help="Degrees east.")] = None,
    postal_code: Annotated[str, typer.Option(help="Where it is, instead of latitude and longitude.")] = "",
    closed: Annotated[bool, typer.Option("--closed", help="It allocates nothing more.")] = False,
    orders_per_day: Annotated[int | None, typer.Option(help="Orders that it takes on a day; else any number.")] = None,
    units_per_day: Annotated[int | None, typer.Option(help="Units that it takes on a day; else any number.")] = None,
    day_starts_at: Annotated[str, typer.Option(help="Its cut-off, HH:MM: orders after it are the next day's.")] = "",
    utc_offset_minutes: Annotated[int, typer.Option(help="Of the clock that tells it; 330 in India.")] = 0,
    request_id: RequestId = "",
    server: Server = DEFAULT_SERVER,
    token_file: TokenFile = None,
    ca: Ca = None,
    json: Json = False,
) -> None:
    """Add a node, move it, open or close it, and limit its days. What is not given is set to the default.

    Example: allot node put BLR --postal-code 560001
    """
    if (latitude is None) != (longitude is None):
        fail("--latitude and --longitude: give both or neither", BAD_USAGE)
    if postal_code and latitude is not None:
        fail(f"--postal-code {postal_code}: give it or --latitude and --longitude, not both", BAD_USAGE)
    node = {
        "node_id": node_id, "latitude": latitude, "longitude": longitude, "postal_code": postal_code, "closed": closed,
        "orders_per_day": orders_per_day, "units_per_day": units_per_day, "day_starts_at": _minutes(day_starts_at),
        "utc_offset_minutes": utc_offset_minutes,
    }  # fmt: skip
    with connected(server, token_file, ca) as client:
        answer = client.put_nodes([node], request_id=request_id)
    if json:
        from server.cli.answers import as_dict

        show_json(as_dict(answer))
    else:
        from server.cli.answers import again

        say(f"node {node_id} is {'closed' if closed else 'open'}{again(answer)}")


def _minutes(text: str) -> int:
    """Minutes after midnight of HH:MM; 0 where nothing is given."""
    hours, colon, minutes = text.partition(":")
    if text and not (colon and hours.isdecimal() and minutes.isdecimal() and int(hours) < 24 and int(minutes) < 60):
        fail(f"--day-starts-at {text}: give a time of day as HH:MM, such as 15:00", BAD_USAGE)
    return 60 * int(hours) + int(minutes) if text else 0


def _of(node: Any, what: str) -> str:
    """What a node has taken of a limit, as `taken / limit`."""
    if not node.HasField(f"{what}_per_day"):
        return "-"
    return f"{getattr(node, f'{what}_taken'):,} / {getattr(node, f'{what}_per_day'):,}"


@app.command("regions")
def regions(
    of_nodes: Annotated[list[str] | None, typer.Argument(metavar="NODE=REGION...", help="As BLR=29.")] = None,
    india: Annotated[bool, typer.Option("--india", help="The GST state of every postal code of India too.")] = False,
    server: Server = DEFAULT_SERVER,
    token_file: TokenFile = None,
    ca: Ca = None,
    json: Json = False,
) -> None:
    """Say in which tax region nodes and postal codes are. Within one, GST is split into CGST and SGST, else it is IGST.

    Example: allot node regions BLR=29 DEL=07 --india
    """
    from engine.intake.india import read_gst_states

    rows: list[dict[str, str]] = []
    for given in of_nodes or []:
        node, _, region = given.partition("=")
        if not node or not region:
            fail(f"{given}: give NODE=REGION, as BLR=29", BAD_USAGE)
        if node in {row["node_id"] for row in rows}:
            fail(f"{given}: {node} is there twice: give each node once", BAD_USAGE)
        rows.append({"node_id": node, "region": region})
    if india:
        from engine.intake.postal_codes import Places

        placed = set(Places.india().codes.to_pylist())  # no order goes to a code that is nowhere
        states = read_gst_states()
        rows += [{"postal_code": code, "region": states[code]} for code in states if code in placed]
    if not rows:
        fail("nothing to put: give NODE=REGION, or --india", BAD_USAGE)
    with connected(server, token_file, ca, timeout=120) as client:
        client.put_tax_regions(rows)
    nodes = len(of_nodes or [])
    if json:
        show_json({"nodes": nodes, "postal_codes": len(rows) - nodes})
    else:
        say(f"tax regions put: {len(rows):,}")


@app.command("reallocate")
def reallocate(
    node_ids: Annotated[list[str], typer.Argument(metavar="NODE...", help="The nodes that are to be left.")],
    short: Annotated[bool, typer.Option("--short", help="Units that find no other node become short.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would move, and change nothing.")] = False,
    request_id: RequestId = "",
    server: Server = DEFAULT_SERVER,
    token_file: TokenFile = None,
    ca: Ca = None,
    json: Json = False,
) -> None:
    """Move what is not picked yet to other nodes. Close the nodes first: this does not keep new orders away.

    Example: allot node reallocate BLR --dry-run
    """
    with connected(server, token_file, ca, timeout=REALLOCATION_SECONDS_MAX) as client:
        answer = client.reallocate_orders(node_ids, short=short, dry_run=dry_run, request_id=request_id)
    from server.cli.answers import again, as_dict, show_rows

    if json:
        show_json(as_dict(answer))
        return
    moved = sum(node.left for node in answer.nodes)
    rows = [(node.node_id, node.left, node.arrived, node.stayed, node.short) for node in answer.nodes]
    title = f"{moved:,} units {'would move' if dry_run else 'moved'}{again(answer)}"
    show_rows(title, ("node", "left", "arrived", "stayed", "short"), rows)


@app.command("list")
def list_(server: Server = DEFAULT_SERVER, token_file: TokenFile = None, ca: Ca = None, json: Json = False) -> None:
    """Every node.

    Example: allot node list
    """
    from server.cli.answers import as_dict, show_rows

    with connected(server, token_file, ca) as client:
        nodes = list(client.list_nodes())
    if json:
        show_json([as_dict(node) for node in nodes])
    else:
        rows = [
            (
                node.node_id, f"{node.latitude:.4f}", f"{node.longitude:.4f}", node.closed, _of(node, "orders"),
                _of(node, "units"),
            )
            for node in nodes
        ]  # fmt: skip
        show_rows(
            f"nodes: {len(nodes):,}", ("node", "latitude", "longitude", "closed", "orders today", "units today"), rows
        )
