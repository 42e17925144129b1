"""`allot events`: what happened on a running server, from any event on."""

from datetime import UTC
from typing import Annotated, Any

import typer

from server.cli.connection import DEFAULT_SERVER, Ca, Server, TokenFile, connected
from server.cli.watch import PATIENCE_SECONDS


def events(
    after: Annotated[str, typer.Option(help="The last event seen, such as 1234-5. [default: from the first]")] = "",
    kinds: Annotated[
        list[str] | None,
        typer.Option(
            help="order_decided, units_moved, reservation_ended, stock_moved, units_promised, supply_changed; again "
            "for more. [default: all]"
        ),
    ] = None,
    new: Annotated[bool, typer.Option("--new", help="Nothing of the past, where no id is given.")] = False,
    once: Annotated[bool, typer.Option("--once", help="End when the present is reached.")] = False,
    server: Server = DEFAULT_SERVER,
    token_file: TokenFile = None,
    ca: Ca = None,
    json: Annotated[bool, typer.Option("--json", help="A JSON object a line.")] = False,
) -> None:
    """Print events in the sequence in which they happened, then each as it becomes durable.

    \b
    Example:
    allot events --after 1234-5 --kinds order_decided --json
    """
    import json as text

    from server.cli.answers import as_dict

    with connected(server, token_file, ca, patience=PATIENCE_SECONDS) as client:
        for event in client.stream_events(after, only_new=new, kinds=kinds or (), once=once):
            found = as_dict(event)
            print(text.dumps(found) if json else _line(found), flush=True)


def _line(event: dict[str, Any]) -> str:
    from datetime import datetime

    head = ("event_id", "sequence", "stamp_us")
    what = next((name for name in event if name not in head), "")
    told = event.get(what, {})
    moment = datetime.fromtimestamp(event["stamp_us"] / 1e6, UTC).isoformat(timespec="milliseconds")
    given = ((name, value) for name, value in told.items() if value not in (None, ""))
    words = " ".join(f"{name}={len(value) if isinstance(value, list) else value}" for name, value in given)
    return f"{event['event_id']}\t{moment}\t{what}\t{words}"
