"""`allot watch`: what a channel may sell, from a running server, as it changes."""

from typing import Annotated

import typer

from server.cli.connection import DEFAULT_SERVER, Ca, Server, TokenFile, connected

PATIENCE_SECONDS = 60.0


def watch(
    channel: Annotated[str, typer.Argument(help="The channel.")],
    after: Annotated[int, typer.Option("--from", help="What changed since this version. 0: every SKU.", min=0)] = 0,
    once: Annotated[bool, typer.Option("--once", help="End when all is told.")] = False,
    server: Server = DEFAULT_SERVER,
    token_file: TokenFile = None,
    ca: Ca = None,
    json: Annotated[bool, typer.Option("--json", help="A JSON object a line.")] = False,
) -> None:
    """Print what a channel may sell of each SKU, then every change. Goes on by itself when the server restarts.

    A line is version, units, SKU. Resume with the last version: --from VERSION.

    Example: allot watch own --once
    """
    import json as text

    from server.cli.answers import as_dict

    with connected(server, token_file, ca, patience=PATIENCE_SECONDS) as client:
        for answer in client.watch_availability(channel, after, once=once):
            if json:
                print(text.dumps(as_dict(answer)), flush=True)
                continue
            for figure in answer.figures:
                print(f"{figure.version}\t{figure.units}\t{figure.sku}", flush=True)
