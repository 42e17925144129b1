"""`allot token`: make a token for the service. Shown once; the tokens file gets what nobody can call with."""

from typing import Annotated

import typer

from server.cli.output import fail, note, show_json


def token(
    role: Annotated[str, typer.Option(help="What it is for: shop, channel, warehouse or operator.")],
    name: Annotated[str, typer.Option(help="Who gets it; logs show the name.")],
    channel: Annotated[str | None, typer.Option(help="Only this channel (roles shop and channel).")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the token and its entry as JSON.")] = False,
) -> None:
    """Make a token. It is shown once, on stderr, and kept nowhere; the lines that let it in go to stdout.

    \b
    Example:
    allot token --role shop --name web-shop --channel WEB >> tokens.toml
    """
    from json import dumps

    from server.config import SettingsError
    from server.security import make_token, parse_entry

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
