"""`allot channels`: how every channel does: what it has sold, what it may sell, and how far behind Redis is."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from server.cli.connection import DEFAULT_SERVER, Ca, Json, Server, TokenFile, connected
from server.cli.redis_options import DEFAULT_PREFIX, PasswordFile, Prefix, RedisUrl, fail_with, store_at

if TYPE_CHECKING:
    from allot.v1.availability_pb2 import ChannelFigures, ListChannelFiguresResponse

_COLUMNS = ("channel", "orders", "refused", "units sold", "sell-through", "shipped", "to sell")
_REDIS_COLUMNS = ("lag", "commits behind", "figures written", "coalesced", "writes refused")
_BESIDE_WIDTH = 160  # of a terminal, for all columns in one table


def channels(
    redis: RedisUrl = "",
    password_file: PasswordFile = None,
    prefix: Prefix = DEFAULT_PREFIX,
    server: Server = DEFAULT_SERVER,
    token_file: TokenFile = None,
    ca: Ca = None,
    json: Json = False,
) -> None:
    """How every channel does, a row each, since its data folder was made.

    Units sold: ordered and not cancelled, short and back-ordered ones too. Sell-through: units sold, of those and the
    units that it may sell now together; units that several channels may sell count for each. What was sold is from the
    server's views, which may lag: the title says as of which commit.

    With --redis: lag, how long ago the figures there were what they should be; commits behind, how many are durable
    that they do not take in, 0 where none of those changed a figure of the channel; figures that the relay has written,
    commits that it told together with a later one, and its writes that did not go on from where Redis was.

    There is no column of oversold units: the engine takes none that it does not have. `allot verify` proves it of a
    data folder.

    Example: allot channels --redis redis://127.0.0.1:6379/0
    """
    from server.cli.answers import show_rows, width
    from server.cli.output import show_json

    with connected(server, token_file, ca) as client:
        told = client.list_channel_figures()
    states = _states(told, redis, password_file, prefix) if redis else None
    found = [_row(channel, told.version, states) for channel in told.channels]
    if json:
        show_json({"view_sequence": told.view_sequence, "version": told.version, "channels": found})
        return
    title = f"channels: {len(found):,}; sold as of commit {told.view_sequence:,}, to sell as of {told.version:,}"
    sold = [_cells(row) for row in found]
    there = [_redis_cells(row["redis"]) for row in found] if redis else []
    if redis and width() >= _BESIDE_WIDTH:
        both = [(*one, *other) for one, other in zip(sold, there, strict=True)]
        show_rows(title, _COLUMNS + _REDIS_COLUMNS, both)
        return
    show_rows(title, _COLUMNS, sold)
    if redis:
        rows = [(row["channel"], *cells) for row, cells in zip(found, there, strict=True)]
        show_rows("in Redis", ("channel", *_REDIS_COLUMNS), rows)


def _states(
    told: "ListChannelFiguresResponse", url: str, password_file: Path | None, prefix: str
) -> dict[str, dict[str, str]]:
    """The state of each channel in Redis; empty where it has none."""
    import asyncio

    from server.workers.failure import WorkerError

    async def read() -> dict[str, dict[str, str]]:
        store = store_at(url, password_file, prefix)()
        try:
            return {channel.channel: await store.state(channel.channel) for channel in told.channels}
        finally:
            await store.close()

    try:
        return asyncio.run(read())
    except WorkerError as error:
        fail_with(url, error)


def _row(channel: "ChannelFigures", version: int, states: dict[str, dict[str, str]] | None) -> dict[str, Any]:
    from server.cli.answers import as_dict

    row = as_dict(channel)
    sold = channel.units_ordered - channel.units_cancelled
    offered = sold + channel.units_available
    row |= {"units_sold": sold, "sell_through": round(sold / offered, 4) if offered else None}
    if states is not None:
        row["redis"] = _in_redis(states[channel.channel], channel.version, version)
    return row


def _in_redis(state: dict[str, str], newest: int, version: int) -> dict[str, Any] | None:
    """newest: the version of the channel's newest figure; version: the last durable commit."""
    if not state:
        return None
    there, as_of_us = int(state.get("version", 0)), int(state.get("as_of_us", 0))
    return {
        "version": there, "as_of_us": as_of_us,
        "lag_seconds": round(max(0.0, time.time() - as_of_us / 1e6), 3) if as_of_us else None,
        "commits_behind": version - there if there < newest else 0,
        "figures_written": int(state.get("published", 0)), "coalesced_commits": int(state.get("coalesced", 0)),
        "writes_refused": int(state.get("refused", 0)),
    }  # fmt: skip


def _cells(row: dict[str, Any]) -> tuple[Any, ...]:
    through = row["sell_through"]
    return (
        row["channel"], row["orders"], row["refused_orders"], row["units_sold"],
        "-" if through is None else f"{through:.1%}", row["units_shipped"], row["units_available"],
    )  # fmt: skip


def _redis_cells(there: dict[str, Any] | None) -> tuple[Any, ...]:
    if there is None:
        return "not there", None, None, None, None
    lag = "-" if there["lag_seconds"] is None else f"{there['lag_seconds']:.1f} s"
    return lag, there["commits_behind"], there["figures_written"], there["coalesced_commits"], there["writes_refused"]
