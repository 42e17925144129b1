"""`allot node`: the places that fulfil, on a running server."""

from typing import Annotated

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
    request_id: RequestId = "",
    server: Server = DEFAULT_SERVER,
    token_file: TokenFile = None,
    ca: Ca = None,
    json: Json = False,
) -> None:
    """Add a node, move it, open or close it.

    Example: allot node put BLR --postal-code 560001
    """
    if (latitude is None) != (longitude is None):
        fail("--latitude and --longitude: give both or neither", BAD_USAGE)
    node = {
        "node_id": node_id, "latitude": latitude, "longitude": longitude, "postal_code": postal_code, "closed": closed
    }  # fmt: skip
    with connected(server, token_file, ca) as client:
        answer = client.put_nodes([node], request_id=request_id)
    if json:
        from server.cli.answers import as_dict

        show_json(as_dict(answer))
    else:
        from server.cli.answers import again

        say(f"node {node_id} is {'closed' if closed else 'open'}{again(answer)}")


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
        rows = [(node.node_id, f"{node.latitude:.4f}", f"{node.longitude:.4f}", node.closed) for node in nodes]
        show_rows(f"nodes: {len(nodes):,}", ("node", "latitude", "longitude", "closed"), rows)
