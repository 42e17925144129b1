"""`allot worker`: the processes that speak with gateways and carriers for the engine."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from server.cli.connection import DEFAULT_SERVER, Ca, Server, TokenFile, options_of, run_worker
from server.cli.output import BAD_USAGE, fail, say

if TYPE_CHECKING:
    from server.gateways.facts import Speaks
    from server.gateways.gateway import Gateway
    from server.outside import Outside, Party

app = typer.Typer(
    help="Workers: what the engine asks of gateways and carriers, and what they tell.", no_args_is_help=True,
    rich_markup_mode=None,
)  # fmt: skip
OutsideFile = Annotated[
    Path,
    typer.Option(
        "--outside", envvar="ALLOT_OUTSIDE", metavar="FILE",
        help="TOML with [gateways.KIND-NAME] and [carriers.NAME]: kind, url, webhook_secret, and the kind's keys.",
    ),
]  # fmt: skip
Cursors = Annotated[
    Path, typer.Option("--cursors", metavar="FOLDER", help="How far it is, in files; made where it is not there.")
]
Metrics = Annotated[str, typer.Option("--metrics-listen", help="host:port of Prometheus metrics. [default: none]")]
Level = Annotated[str, typer.Option("--log-level", help="The least that is logged: debug, info, warning, error.")]
Format = Annotated[str, typer.Option("--log-format", help="json, or text for people.")]


@app.command("payments")
def payments(
    outside: OutsideFile,
    cursors: Cursors,
    server: Server = DEFAULT_SERVER,
    token_file: TokenFile = None,
    ca: Ca = None,
    metrics_listen: Metrics = "",
    log_level: Level = "info",
    log_format: Format = "json",
) -> None:
    """Have gateways open, capture, void and refund what the engine asks for, until a signal.

    A kill between a call and its report charges nobody twice: keys to the outside come from the event.

    Example: allot worker payments --outside outside.toml --cursors done
    """
    parties = read_outside(outside).gateways
    try:
        gateways = {name: make_gateway(party) for name, party in parties.items()}
    except ImportError as error:
        fail(str(error), BAD_USAGE)
    if not gateways:
        fail(f"{outside}: there is no gateway: add [gateways.NAME]", BAD_USAGE)

    async def work(frame: Any) -> None:
        from server.workers.payments import PaymentsWorker

        await PaymentsWorker(frame, gateways, cursors).run()

    raise typer.Exit(run_worker("payments", work, server, token_file, ca, metrics_listen, log_level, log_format))


@app.command("carriers")
def carriers(
    outside: OutsideFile,
    cursors: Cursors,
    within_days: Annotated[
        int, typer.Option(help="A parcel is to arrive in so many, where its order has no promise. 0: any time.", min=0)
    ] = 0,
    server: Server = DEFAULT_SERVER,
    token_file: TokenFile = None,
    ca: Ca = None,
    metrics_listen: Metrics = "",
    log_level: Level = "info",
    log_format: Format = "json",
) -> None:
    """Book shipments with the carrier that is cheapest in time, and cancel what was recalled, until a signal.

    Example: allot worker carriers --outside outside.toml --cursors done
    """
    parties = read_outside(outside).carriers
    if not parties:
        fail(f"{outside}: there is no carrier: add [carriers.NAME]", BAD_USAGE)

    async def work(frame: Any) -> None:
        from server.carriers.local import Local
        from server.workers.carriers import CarriersWorker
        from server.workers.cursor import Cursor

        asked = [Local(party.url, party.name) for party in parties.values()]
        await CarriersWorker(frame, asked, Cursor(cursors / "carriers.cursor"), within_days).run()

    raise typer.Exit(run_worker("carriers", work, server, token_file, ca, metrics_listen, log_level, log_format))


@app.command("webhooks")
def webhooks(
    outside: OutsideFile,
    listen: Annotated[str, typer.Option(help="host:port, of this machine alone.")] = "127.0.0.1:8081",
    behind_proxy: Annotated[
        bool, typer.Option("--behind-proxy", help="TLS ends before it: any address will do.")
    ] = False,
    server: Server = DEFAULT_SERVER,
    token_file: TokenFile = None,
    ca: Ca = None,
    log_level: Level = "info",
    log_format: Format = "json",
) -> None:
    """Take what gateways and carriers tell by signed webhooks, and show the page that tracks a parcel, until a signal.

    \b
    POST /webhooks/GATEWAY and /scans/CARRIER; GET /t/TRACKING_TOKEN and /health.

    Example: allot worker webhooks --outside outside.toml
    """
    from allot_client import AsyncClient
    from server.log import open_log
    from server.web.serving import serve_app
    from server.web.webhooks import Webhooks

    known = read_outside(outside)
    gateways = {name: (reader_of(party), party.webhook_secret) for name, party in known.gateways.items()}
    secrets = {name: party.webhook_secret for name, party in known.carriers.items()}
    try:
        log = open_log(log_level, log_format, everywhere=True)
        hooks = Webhooks(lambda: AsyncClient(server, **options_of(token_file, ca)), gateways, secrets, log)
        code = serve_app(hooks.app, listen, lambda url: say(f"listening on {url}"), behind_proxy)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}" if error.filename else str(error), BAD_USAGE)
    except (ValueError, KeyError) as error:
        fail(str(error), BAD_USAGE)
    raise typer.Exit(code)


def read_outside(path: Path) -> "Outside":
    """Who is outside; ends the command where the file will not do."""
    from server.outside import Outside, OutsideError

    try:
        return Outside.read(path)
    except OSError as error:
        fail(f"--outside: {path}: {error.strerror}", BAD_USAGE)
    except OutsideError as error:
        fail(f"--outside: {error}", BAD_USAGE)


def make_gateway(party: "Party") -> "Gateway":
    """What asks a gateway. Raises ImportError where its SDK is not there."""
    if party.kind == "razorpay":
        from server.gateways.razorpay import Razorpay

        return Razorpay(party.key_id, party.key_secret, party.url, party.name)
    if party.kind == "stripe":
        from server.gateways.stripe import Stripe

        return Stripe(party.api_key, party.url, party.name)
    from server.gateways.local import Local

    return Local(party.url, party.name)


def reader_of(party: "Party") -> "Speaks":
    """What reads a gateway's webhooks."""
    from server.gateways.razorpay import RazorpayWebhooks
    from server.gateways.stripe import StripeWebhooks

    return StripeWebhooks() if party.kind == "stripe" else RazorpayWebhooks()
