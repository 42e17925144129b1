"""`allot token`: make a token for the service. Shown once; the tokens file gets what nobody can call with."""

import time
from pathlib import Path
from typing import Annotated

import typer

from server.cli.output import fail, note, show_json


def token(
    role: Annotated[str, typer.Option(help="What it is for: shop, channel, warehouse, worker, operator or customer.")],
    name: Annotated[str, typer.Option(help="Who gets it; logs show the name. Not of a customer.")] = "",
    channel: Annotated[str | None, typer.Option(help="Only this channel (roles shop and channel).")] = None,
    customer: Annotated[str, typer.Option(help="Of a customer: the reference that orders are placed with.")] = "",
    key: Annotated[Path | None, typer.Option(help="Of a customer: the file that is the setting customer_key.")] = None,
    hours: Annotated[int, typer.Option(help="Of a customer: how long it is good for.", min=1)] = 24,
    json: Annotated[bool, typer.Option("--json", help="Print the token and its entry as JSON.")] = False,
) -> None:
    """Make a token. It is shown once, on stderr, and kept nowhere; the lines that let it in go to stdout.

    A customer's (with --customer, --channel, --key) is signed instead, and goes to stdout: it sees, cancels and returns
    that customer's orders of the channel, and nothing else.

    \b
    Example:
    allot token --role shop --name web-shop --channel WEB >> tokens.toml
    """
    from json import dumps

    from server.config import SettingsError
    from server.security import make_token, parse_entry

    if role == "customer":
        _customer(customer, channel or "", key, hours, json)
        return
    secret, digest = make_token()
    entry = {"name": name, "role": role, "sha256": digest} | ({} if channel is None else {"channel": channel})
    try:
        parse_entry(entry, "token")
    except SettingsError as error:
        fail(str(error))
    if json:
        show_json({"token": secret, "entry": entry})
        return
    note(f"the token, shown this once; clients send it as `authorization: Bearer TOKEN`:\n{secret}")
    print(
        "\n".join(["", "[[token]]", *(f"{key} = {dumps(value, ensure_ascii=False)}" for key, value in entry.items())])
    )


def _customer(customer: str, channel: str, key: Path | None, hours: int, json: bool) -> None:
    from server.config import SettingsError
    from server.customers import make_customer_token, read_key

    if key is None:
        fail("--key: name the file that the server has as customer_key")
    try:
        made = make_customer_token(read_key(key), channel, customer, int(time.time()) + 3600 * hours)
    except (SettingsError, ValueError) as error:
        fail(str(error))
    if json:
        show_json({"token": made})
    else:
        print(made)
