"""`allot channel`: where demand comes from and what it may sell, on a running server."""

from typing import TYPE_CHECKING, Annotated

import typer

from server.cli.connection import DEFAULT_SERVER, Ca, Json, RequestId, Server, TokenFile, connected
from server.cli.output import say, show_json

if TYPE_CHECKING:
    from allot.v1.catalogue_pb2 import Channel, Policy

app = typer.Typer(help="Channels of a running server.", no_args_is_help=True, rich_markup_mode=None)


@app.command("put")
def put(
    channel: Annotated[str, typer.Argument(help="The channel's name.")],
    node: Annotated[list[str] | None, typer.Option(help="A node of its group; again for more. [default: all]")] = None,
    priority: Annotated[int, typer.Option(help="Lower is served first with back-orders.")] = 0,
    on_short: Annotated[str, typer.Option(help="What becomes of short orders: refuse, back_order, keep.")] = "keep",
    no_split: Annotated[bool, typer.Option("--no-split", help="An order must leave from one node.")] = False,
    prefer: Annotated[
        list[str] | None, typer.Option(help="A node asked first whether it gives all of an order; again for more.")
    ] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="A node that gives nothing; again for more.")] = None,
    share_ppm: Annotated[int | None, typer.Option(help="Share of free units in millionths. [default: all]")] = None,
    buffer: Annotated[int, typer.Option(help="Units kept back.")] = 0,
    buffer_ppm: Annotated[int, typer.Option(help="Kept back in millionths; beside --buffer, what is more counts.")] = 0,
    cap: Annotated[int | None, typer.Option(help="Units at most. [default: no limit]")] = None,
    threshold: Annotated[int, typer.Option(help="Fewer units are published as 0.")] = 0,
    request_id: RequestId = "",
    server: Server = DEFAULT_SERVER,
    token_file: TokenFile = None,
    ca: Ca = None,
    json: Json = False,
) -> None:
    """Add a channel, or set it whole: what is not given is as for a new one. One that was closed is open again.

    \b
    Example:
    allot channel put amazon --on-short refuse --share-ppm 500000 --buffer 2 --buffer-ppm 50000
    """
    from server.cli.answers import again, as_dict

    policy = {
        "share_ppm": share_ppm, "buffer": buffer, "buffer_ppm": buffer_ppm, "cap": cap, "threshold": threshold,
    }  # fmt: skip
    with connected(server, token_file, ca) as client:
        answer = client.put_channel(
            channel, node_ids=node or (), priority=priority, on_short=on_short, no_split=no_split, policy=policy,
            preferred_node_ids=prefer or (), excluded_node_ids=exclude or (), request_id=request_id,
        )  # fmt: skip
    if json:
        show_json(as_dict(answer))
    else:
        say(f"channel {channel} is set{again(answer)}")


@app.command("close")
def close(
    channel: Annotated[str, typer.Argument(help="The channel's name.")],
    request_id: RequestId = "",
    server: Server = DEFAULT_SERVER,
    token_file: TokenFile = None,
    ca: Ca = None,
    json: Json = False,
) -> None:
    """Take a channel away: nothing new is taken, 0 is published, its ring-fences end. Open orders go on.

    Example: allot channel close amazon
    """
    from server.cli.answers import again, as_dict

    with connected(server, token_file, ca) as client:
        answer = client.close_channel(channel, request_id=request_id)
    if json:
        show_json(as_dict(answer))
    else:
        say(f"channel {channel} is closed{again(answer)}")


@app.command("list")
def list_(server: Server = DEFAULT_SERVER, token_file: TokenFile = None, ca: Ca = None, json: Json = False) -> None:
    """Every channel and its policy.

    Example: allot channel list
    """
    from allot.v1 import catalogue_pb2
    from server.cli.answers import as_dict, short, show_rows

    with connected(server, token_file, ca) as client:
        channels = list(client.list_channels())
    if json:
        show_json([as_dict(channel) for channel in channels])
        return
    rows = [
        (channel.channel, _nodes(channel), channel.priority,
         short(catalogue_pb2.OnShort, channel.on_short).lower() or "keep", channel.no_split, channel.closed,
         _sells(channel.policy))
        for channel in channels
    ]  # fmt: skip
    heads = ("channel", "nodes", "priority", "on short", "no split", "closed", "sells")
    show_rows(f"channels: {len(channels):,}", heads, rows)


def _nodes(channel: "Channel") -> str:
    said = [", ".join(channel.node_ids) or "all"]
    for word, node_ids in (("but not", channel.excluded_node_ids), ("first", channel.preferred_node_ids)):
        if node_ids:
            said.append(f"{word} {', '.join(node_ids)}")
    return "; ".join(said)


def _percent(ppm: int) -> str:
    return f"{ppm / 10_000:g} %"


def _sells(policy: "Policy") -> str:
    share = _percent(policy.share_ppm) if policy.HasField("share_ppm") else "100 %"
    cap = f"cap {policy.cap:,}" if policy.HasField("cap") else ""
    buffers = (f"{policy.buffer:,}" if policy.buffer else "", _percent(policy.buffer_ppm) if policy.buffer_ppm else "")
    buffer = f"buffer {' or '.join(filter(None, buffers))}" if any(buffers) else ""
    threshold = f"threshold {policy.threshold:,}" if policy.threshold else ""
    return ", ".join(filter(None, (share, buffer, cap, threshold)))
