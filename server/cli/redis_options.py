"""Redis, for commands that read from it: the options that say which one, and how its failures become one line."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from server.cli.output import BAD_USAGE, FOUND_WRONG, fail

if TYPE_CHECKING:
    from server.workers.redis_store import RedisStore

DEFAULT_PREFIX = "allot"
_OUR_OPTION = {"REDIS_PASSWORD": "the password or the user is wrong: name a file with the right one by --password-file"}

RedisUrl = Annotated[
    str, typer.Option("--redis", metavar="URL", help="Redis, as `allot relay` is told it.", show_default=False)
]
PasswordFile = Annotated[
    Path | None,
    typer.Option("--password-file", envvar="ALLOT_REDIS_PASSWORD_FILE", metavar="FILE", help="Holds Redis' password."),
]
Prefix = Annotated[str, typer.Option("--prefix", envvar="ALLOT_REDIS_PREFIX", help="The relay's, in Redis.")]


def store_at(url: str, password_file: Path | None, prefix: str) -> "Callable[[], RedisStore]":
    """What makes the store that the options name, within an event loop. Ends the command where they will not do."""
    from server.workers.redis_address import Address, check_prefix
    from server.workers.redis_store import RedisStore

    try:
        address = Address.parse(url)
    except ValueError as error:
        fail(f"--redis: {str(error).replace('redis_password_file', '--password-file')}", BAD_USAGE)
    try:
        check_prefix(prefix)
    except ValueError as error:
        fail(f"--prefix: {error}", BAD_USAGE)
    try:
        password = password_file.read_text().strip() if password_file else None
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}", BAD_USAGE)
    return lambda: RedisStore(address, password, prefix)


def fail_with(url: str, error: Exception) -> NoReturn:
    """End the command where Redis does not do as it should."""
    reason = getattr(error, "reason", "")
    fail(f"{url}: {_OUR_OPTION.get(reason, ' '.join(str(error).split()))} ({reason})", FOUND_WRONG)
