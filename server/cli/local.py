"""`allot local`: a gateway and a carrier of ours, for trying things out and for tests. No money and no parcel moves."""

from pathlib import Path
from typing import Annotated

import typer

from server.cli.output import BAD_USAGE, fail, say

app = typer.Typer(
    help="A gateway and a carrier of ours, to try things out: no money and no parcel moves.", no_args_is_help=True,
    rich_markup_mode=None,
)  # fmt: skip
_SECRET_VARIABLE = "ALLOT_LOCAL_SECRET"
SecretFile = Annotated[
    Path | None,
    typer.Option(
        "--secret-file", metavar="FILE",
        help="Holds what its webhooks are signed with. [default: what is in ALLOT_LOCAL_SECRET]",
    ),
]  # fmt: skip


@app.command("gateway")
def gateway(
    secret_file: SecretFile = None,
    listen: Annotated[str, typer.Option(help="host:port, of this machine alone.")] = "127.0.0.1:8091",
    webhook_url: Annotated[str, typer.Option(help="Where webhooks go. [default: nowhere]")] = "",
) -> None:
    """A payment gateway: orders, payments, captures, refunds, signed webhooks. What it knows ends with it.

    \b
    PUT /behaviour makes it misbehave: down, slow_ms, late_ms, fails, drops, declines, webhook_delay_ms,
    webhook_twice, webhook_reordered, webhook_never. POST /forget has it forget its idempotency keys.

    Webhooks go to /webhooks/local of `allot worker webhooks`.

    Example: allot local gateway --secret-file secret
    """
    from server.local.gateway import LocalGateway

    _serve(LocalGateway(_secret(secret_file), webhook_url).app, listen)


@app.command("carrier")
def carrier(
    secret_file: SecretFile = None,
    name: Annotated[str, typer.Option(help="What it is called.")] = "local",
    listen: Annotated[str, typer.Option(help="host:port, of this machine alone.")] = "127.0.0.1:8092",
    scans_url: Annotated[str, typer.Option(help="Where scans go. [default: nowhere]")] = "",
    cash: Annotated[bool, typer.Option("--cash/--no-cash", help="Whether it collects cash.")] = True,
    cost: Annotated[int, typer.Option(help="What it asks for a parcel of 500 g, minor units.", min=0)] = 4_000,
    step_ms: Annotated[
        int, typer.Option(help="Between two scans of a parcel. Less than 0: when POST /advance says so.")
    ] = 1000,
) -> None:
    """A carrier: takes bookings, gives tracking numbers, sends scans. What it knows ends with it.

    \b
    PUT /shipments/NUMBER/fate {"fate": "LOSE"} loses a parcel; REFUSE has it refused at the door.
    PUT /behaviour makes it misbehave: down, slow_ms, late_ms, declines; or asks more: cost.

    Scans go to /scans/local of `allot worker webhooks`.

    Example: allot local carrier --secret-file secret
    """
    from server.local.carrier import LocalCarrier

    _serve(LocalCarrier(name, _secret(secret_file), scans_url, step_ms, cash, cost).app, listen)


def _secret(file: Path | None) -> str:
    """What webhooks are signed with; ends the command where there is nothing."""
    import os

    try:
        secret = os.environ.get(_SECRET_VARIABLE, "") if file is None else file.read_text().strip()
    except (OSError, ValueError) as error:
        fail(f"--secret-file: {file}: {getattr(error, 'strerror', None) or error}", BAD_USAGE)
    if not secret:
        fail(f"--secret-file: give a file that holds a secret, or the secret in {_SECRET_VARIABLE}", BAD_USAGE)
    return secret


def _serve(app: object, listen: str) -> None:
    from server.web.serving import serve_app

    try:
        code = serve_app(app, listen, lambda url: say(f"listening on {url}"))
    except (ValueError, OSError) as error:
        fail(str(error), BAD_USAGE)
    raise typer.Exit(code)
