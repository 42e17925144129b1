"""The running server, for commands that speak to it: the options that say which one, and how its failures become one
line and an exit code.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from server.cli.output import BAD_USAGE, FOUND_WRONG, fail

if TYPE_CHECKING:
    from allot_client import AllotError, Client
    from allot_client.connection import Options

DEFAULT_SERVER = "127.0.0.1:50051"
PATIENCE_SECONDS = 3.0  # a person waits: a server that restarts is back by then, or is not there
_TOKEN_VARIABLE = "ALLOT_TOKEN"

Server = Annotated[
    str, typer.Option("--server", envvar="ALLOT_SERVER", metavar="ADDRESS", help="Where the server listens, host:port.")
]
TokenFile = Annotated[
    Path | None,
    typer.Option("--token-file", metavar="FILE", help="Holds the token. [default: the token in ALLOT_TOKEN]"),
]
Ca = Annotated[
    Path | None,
    typer.Option("--ca", envvar="ALLOT_CA", metavar="FILE", help="TLS, with the authorities of this PEM file."),
]
Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
RequestId = Annotated[
    str, typer.Option(help="Idempotency key: with the same one, a repeat changes nothing. [default: a new one]")
]


@contextmanager
def connected(
    server: str, token_file: Path | None, ca: Path | None, timeout: float = 30, patience: float = PATIENCE_SECONDS
) -> "Iterator[Client]":
    """A client for the length of a block, which ends the command where a call fails."""
    from allot_client import AllotError, Client

    try:
        client = Client(server, **options_of(token_file, ca, timeout, patience))
    except OSError as error:
        fail(f"{error.filename or server}: {error.strerror or error}", BAD_USAGE)
    except ValueError as error:
        fail(str(error), BAD_USAGE)
    with client:
        try:
            yield client
        except AllotError as error:
            fail(_line(server, error), _code(error))
        except ValueError as error:
            fail(" ".join(str(error).split()), BAD_USAGE)


def options_of(
    token_file: Path | None, ca: Path | None, timeout: float = 30, patience: float = PATIENCE_SECONDS
) -> "Options":
    """What a client is told beside the address."""
    import os

    token_env = _TOKEN_VARIABLE if token_file is None and os.environ.get(_TOKEN_VARIABLE) else None
    return {
        "token_file": token_file, "token_env": token_env, "ca_file": ca, "timeout": timeout, "patience": patience,
    }  # fmt: skip


def run_worker(
    name: str, work: Any, server: str, token_file: Path | None, ca: Path | None, metrics_listen: str, log_level: str,
    log_format: str, with_parent: bool = False,
) -> int:  # fmt: skip
    """Run a worker that speaks with the server, until a signal; its exit code. Ends the command where it cannot."""
    from allot_client.connection import Connection
    from server.config import parse_address
    from server.log import open_log
    from server.workers.frame import run

    told = options_of(token_file, ca)
    try:
        connection = Connection(
            server, token_file=told["token_file"], token_env=told["token_env"], ca_file=told["ca_file"]
        )
        connection.metadata()
        if metrics_listen:
            parse_address(metrics_listen)
        log = open_log(log_level, log_format, everywhere=True)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}", BAD_USAGE)
    except (ValueError, KeyError) as error:
        fail(str(error), BAD_USAGE)
    return run(name, work, connection, log, metrics_listen, with_parent)


def _code(error: "AllotError") -> int:
    from allot_client import Invalid

    return BAD_USAGE if isinstance(error, Invalid) else FOUND_WRONG


def _line(server: str, error: "AllotError") -> str:
    from allot_client import Busy, TimedOut, Unavailable

    if isinstance(error, Unavailable):
        return f"{server}: no server answers: start one by `allot serve`, or name it by --server ({error})"
    if isinstance(error, TimedOut):
        return f"{server}: no answer in time; what became of the call is not known: make it again with the same id"
    said = " ".join(str(error).split())
    if error.field and error.field not in said:
        said = f"{error.field}: {said}"
    if isinstance(error, Busy) and error.retry_after:
        said = f"{said}; try again in {error.retry_after:g} s"
    return f"{said} ({error.reason})" if error.reason else said
