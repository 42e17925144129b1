"""`allot relay`: the worker that keeps what channels may sell in Redis."""

from typing import Annotated

import typer

from server.cli.connection import DEFAULT_SERVER, Ca, Server, TokenFile, run_worker
from server.cli.output import BAD_USAGE, fail
from server.cli.redis_options import DEFAULT_PREFIX, PasswordFile, Prefix, store_at


def relay(
    redis: Annotated[
        str,
        typer.Option(
            envvar="ALLOT_REDIS", metavar="URL",
            help="redis://host:6379/0, rediss:// for TLS, redis+sentinel://host:26379/master, redis+cluster://host:6379",
        ),
    ],
    password_file: PasswordFile = None,
    prefix: Prefix = DEFAULT_PREFIX,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Begin channels anew that another engine has published there.")
    ] = False,
    budget: Annotated[
        str,
        typer.Option(
            envvar="ALLOT_REDIS_BUDGETS", metavar="CHANNEL=SKUS,...",
            help="SKUs that channels take a second, the riskiest first: amazon=10,flipkart=100. [default: all at once]",
        ),
    ] = "",
    server: Server = DEFAULT_SERVER,
    token_file: TokenFile = None,
    ca: Ca = None,
    metrics_listen: Annotated[str, typer.Option(help="host:port of Prometheus metrics. [default: none]")] = "",
    log_level: Annotated[str, typer.Option(help="The least that is logged: debug, info, warning, error.")] = "info",
    log_format: Annotated[str, typer.Option(help="json, or text for people.")] = "json",
    with_parent: Annotated[bool, typer.Option("--with-parent", hidden=True)] = False,
) -> None:  # fmt: skip
    """Keep what every channel may sell in Redis, until a signal. `allot serve --redis URL` runs this by itself.

    Of each channel, PREFIX:{CHANNEL}:figures is a hash of SKU to units:version, :changes a stream of what changed, and
    :state says what commit that is complete up to, and as of when. Where Redis is away, it goes on when it is back.

    Example: allot relay --redis redis://127.0.0.1:6379/0
    """
    from server.workers.redis_address import budgets as parse_budgets
    from server.workers.relay import Relay

    connect = store_at(redis, password_file, prefix)
    try:
        budgets = parse_budgets(budget)
    except ValueError as error:
        fail(f"--budget: {error}", BAD_USAGE)
    work = Relay(connect, take_over, budgets).work
    raise typer.Exit(
        run_worker("relay", work, server, token_file, ca, metrics_listen, log_level, log_format, with_parent)
    )
