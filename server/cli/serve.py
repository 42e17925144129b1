"""`allot serve`: the gRPC service over a data folder, until a signal."""

import sys
from typing import Annotated

import typer

from server.cli.config import takes_settings
from server.cli.output import fail
from server.config import Settings


@takes_settings
def serve(
    settings: Settings,
    announce: Annotated[
        bool, typer.Option("--announce", help="Say on stdout when it listens and when it serves.")
    ] = False,
) -> None:
    """Serve orders, stock, availability and events over gRPC. SIGTERM drains: what was begun is finished and answered.

    Health is NOT_SERVING until the journal is replayed and the kernels are compiled, and again while draining.

    Example: allot serve --data /var/lib/allot --listen 127.0.0.1:50051
    """
    from server.config import SettingsError
    from server.wiring import serve as run

    if settings.data is None:
        fail("--data: no folder is given: name one, as allot serve --data /var/lib/allot; a new one is made")
    try:
        code = run(settings, _say if announce or sys.stdout.isatty() else _nothing)
    except SettingsError as error:
        fail("\nallot: ".join(str(error).splitlines()))
    raise typer.Exit(code)


def _say(message: str) -> None:
    print(message, flush=True)


def _nothing(message: str) -> None:
    """The log says it too."""
