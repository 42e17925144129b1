"""`allot promise`: when a cart would arrive by each service of a running server, and for how much."""

from typing import Annotated

import typer

from server.cli.connection import DEFAULT_SERVER, Ca, Json, Server, TokenFile, connected
from server.cli.output import DONE, FOUND_WRONG, say, show_json


def promise(
    channel: Annotated[str, typer.Option(help="The channel.")],
    postal_code: Annotated[str, typer.Option(help="Where it would go.")],
    line: Annotated[list[str], typer.Option(metavar="SKU=UNITS", help="A line; again for more.")],
    cash: Annotated[bool, typer.Option("--cash-on-delivery", help="It would be paid in cash on delivery.")] = False,
    server: Server = DEFAULT_SERVER,
    token_file: TokenFile = None,
    ca: Ca = None,
    json: Json = False,
) -> None:
    """When a cart would arrive if it were ordered now, and for how much. Exit code 1 where no service carries it.

    Example: allot promise --channel own --postal-code 560034 --line SKU-1=2
    """
    from server.cli.answers import as_dict, show_rows
    from server.cli.order import parsed_line

    lines = [parsed_line(text) for text in line]
    with connected(server, token_file, ca) as client:
        found = client.promise(channel, postal_code, lines, cash_on_delivery=cash)
    if json:
        show_json(as_dict(found))
    else:
        nodes = list(dict.fromkeys(part.node_id for part in found.parts if part.node_id))
        short = f", {found.units_short:,} units are short" if found.units_short else ""
        say(f"from {', '.join(nodes) or 'no node'}{short}")
        if found.short_expected_at_us:
            say(f"what is short is expected by {_moment(found.short_expected_at_us)}")
        if found.order_by_us:
            say(f"for orders before {_moment(found.order_by_us)}")
        rows = [
            (service.service, service.ship_date, _moment(service.ship_at_us), service.deliver_date,
             service.price)
            for service in found.services
        ]  # fmt: skip
        if rows:
            show_rows("promised", ("service", "ships", "at", "arrives", f"price, {found.currency} minor units"), rows)
        else:
            say("no service carries it")
    raise typer.Exit(DONE if found.services else FOUND_WRONG)


def _moment(microseconds: int) -> str:
    from datetime import UTC, datetime

    return f"{datetime.fromtimestamp(microseconds // 1_000_000, UTC):%Y-%m-%d %H:%M} UTC"
