"""`allot local`: a gateway and a carrier of ours, for trying things out and for tests. No money and no parcel moves."""

from typing import Annotated

import typer

from server.cli.output import BAD_USAGE, fail, say

app = typer.Typer(
    help="A gateway and a carrier of ours, to try things out: no money and no parcel moves.", no_args_is_help=True,
    rich_markup_mode=None,
)  # fmt: skip
Secret = Annotated[
    str, typer.Option("--secret", envvar="ALLOT_LOCAL_SECRET", help="What its webhooks are signed with.")
]


@app.command("gateway")
def gateway(
    secret: Secret,
    listen: Annotated[str, typer.Option(help="host:port")] = "127.0.0.1:8091",
    webhook_url: Annotated[str, typer.Option(help="Where webhooks go. [default: nowhere]")] = "",
) -> None:
    """A payment gateway: orders, payments, captures, refunds, signed webhooks. What it knows ends with it.

    \b
    PUT /behaviour makes it misbehave: down, slow_ms, fails, drops, declines, webhook_delay_ms, webhook_twice,
    webhook_reordered, webhook_never.

    Webhooks go to /webhooks/local of `allot worker webhooks`.

    Example: allot local gateway --secret s3cret
    """
    from server.local.gateway import LocalGateway

    _serve(LocalGateway(secret, webhook_url).app, listen)


@app.command("carrier")
def carrier(
    secret: Secret,
    name: Annotated[str, typer.Option(help="What it is called.")] = "local",
    listen: Annotated[str, typer.Option(help="host:port")] = "127.0.0.1:8092",
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

    Scans go to /scans/local of `allot worker webhooks`.

    Example: allot local carrier --secret s3cret
    """
    from server.local.carrier import LocalCarrier

    _serve(LocalCarrier(name, secret, scans_url, step_ms, cash, cost).app, listen)


def _serve(app: object, listen: str) -> None:
    from server.web.serving import serve_app

    try:
        code = serve_app(app, listen, lambda url: say(f"listening on {url}"))
    except (ValueError, OSError) as error:
        fail(str(error), BAD_USAGE)
    raise typer.Exit(code)
