"""`allot watch`: what a channel may sell, from a running server or from Redis, as it changes."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from server.cli.connection import DEFAULT_SERVER, Ca, Server, TokenFile, connected
from server.cli.output import note
from server.cli.redis_options import DEFAULT_PREFIX, PasswordFile, Prefix, RedisUrl, fail_with, store_at

if TYPE_CHECKING:
    from allot.v1.availability_pb2 import WatchAvailabilityResponse

PATIENCE_SECONDS = 60.0


def watch(
    channel: Annotated[str, typer.Argument(help="The channel.")],
    after: Annotated[int, typer.Option("--from", help="What changed since this version. 0: every SKU.", min=0)] = 0,
    once: Annotated[bool, typer.Option("--once", help="End when all is told.")] = False,
    redis: RedisUrl = "",
    password_file: PasswordFile = None,
    prefix: Prefix = DEFAULT_PREFIX,
    server: Server = DEFAULT_SERVER,
    token_file: TokenFile = None,
    ca: Ca = None,
    json: Annotated[bool, typer.Option("--json", help="A JSON object a line.")] = False,
) -> None:
    """Print what a channel may sell of each SKU, then every change. Goes on by itself when the server restarts.

    A line is version, units, SKU. Resume with the last version: --from VERSION. With --redis the figures are those that
    the relay has written there; a terminal is told when they are old.

    Example: allot watch own --once
    """
    if redis:
        _watch_redis(channel, after, once, redis, password_file, prefix, json)
        return
    with connected(server, token_file, ca, patience=PATIENCE_SECONDS) as client:
        _print(client.watch_availability(channel, after, once=once), json)


def _print(answers: "Iterable[WatchAvailabilityResponse]", json: bool) -> None:
    import json as text

    from server.cli.answers import as_dict

    for answer in answers:
        if json:
            print(text.dumps(as_dict(answer)), flush=True)
            continue
        for figure in answer.figures:
            print(f"{figure.version}\t{figure.units}\t{figure.sku}", flush=True)


def _watch_redis(
    channel: str, after: int, once: bool, url: str, password_file: Path | None, prefix: str, json: bool
) -> None:
    import asyncio

    from server.workers.failure import WorkerError
    from server.workers.reading_redis import RedisWatch

    def remark(text: str) -> None:
        if sys.stderr.isatty():
            note(f"{channel}: {text}")

    async def follow() -> None:
        store = store_at(url, password_file, prefix)()
        try:
            async for answer in RedisWatch(store, channel, after, PATIENCE_SECONDS, remark).answers(once):
                _print([answer], json)
        finally:
            await store.close()

    try:
        asyncio.run(follow())
    except WorkerError as error:
        fail_with(url, error)
