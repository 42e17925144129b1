"""`allot load`: how a running server does under a load, and whether it oversold or lost anything.

server/load/ does the work, in the order that stands here. The server's own nodes and stock are left alone: the load has
a catalogue of its own.
"""

import asyncio
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from server.cli.connection import DEFAULT_SERVER, Ca, Server, TokenFile, connected, options_of
from server.cli.output import BAD_USAGE, DONE, FOUND_WRONG, INTERRUPTED, fail, say, show_json, show_table
from server.cli.page import check_place

if TYPE_CHECKING:
    from allot_client import Client
    from server.cli.load_view import View
    from server.load.catalogue import Catalogue
    from server.load.driving import Drive, Plan, Settled
    from server.load.ledger import Ledger
    from server.load.orders import Orders
    from server.load.proof import Proof

DEFAULT_MIX = "place=80,reserve=10,read=10"
CALLERS, CALLERS_OF_BATCHES, CALLERS_OPEN = 64, 4, 1_000
SKUS_MAX = 100_000
UNITS_MAX = 1_000_000
RATE_MAX = 1_000_000
NAMED_MAX = 5  # of a live server's nodes and channels


def load(
    mix: Annotated[
        str, typer.Option(metavar="KIND=SHARE,...", help="What is sent: place, reserve, read, promise, batch.")
    ] = DEFAULT_MIX,
    rate: Annotated[
        float,
        typer.Option(help="Requests a second, at random moments. 0: as fast as answers come.", min=0, max=RATE_MAX),
    ] = 0,
    concurrency: Annotated[
        int, typer.Option(help="Requests under way. 0: 64, 4 of batches alone, with --rate 1,000.", min=0, max=10_000)
    ] = 0,
    seconds: Annotated[float, typer.Option(help="How long, after the warm-up. 0: until Ctrl-C.", min=0)] = 30,
    warm_up: Annotated[float, typer.Option(help="Seconds before, which count for nothing.", min=0)] = 2,
    batch: Annotated[int, typer.Option(help="Orders of a batch.", min=1, max=16_384)] = 8_192,
    skus: Annotated[int, typer.Option(help="SKUs that are sold.", min=10, max=SKUS_MAX)] = 2_000,
    stock: Annotated[
        int, typer.Option(help="Units of each SKU at each of 8 nodes; few, and they run out.", min=0, max=UNITS_MAX)
    ] = UNITS_MAX,
    seed: Annotated[int, typer.Option(help="Of all that is drawn: orders, kinds, moments.", min=0)] = 1,
    name: Annotated[str, typer.Option(help="Of its catalogue: one for each of several runs at a time.")] = "",
    into_live: Annotated[
        bool, typer.Option("--into-live", help="Also into a server that has other nodes or channels, or a run's.")
    ] = False,
    timeout: Annotated[float, typer.Option(help="Seconds that a call may take.", min=0.001)] = 10,
    patience: Annotated[float, typer.Option(help="Seconds without any answer that end the run.", min=0)] = 30,
    out: Annotated[Path | None, typer.Option(help="A page with plots, HTML, complete in itself.")] = None,
    server: Server = DEFAULT_SERVER,
    token_file: TokenFile = None,
    ca: Ca = None,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON, and nothing else.")] = False,
) -> None:
    """Put a running server under load, and prove that it oversold and lost nothing. Exit code 1 where anything failed.

    The load brings nodes, SKUs, stock and a channel of its own, their names begin with load-; nothing else is sold or
    changed. In the end the channel and the nodes are closed. Its orders and names stay: a journal forgets nothing, so
    rather try a server over a folder that can be deleted. Where the server asks for tokens: an operator's.

    Latency is from when a request was due: what is sent late, because the server is slow, counts as late. Kinds: place,
    single orders; reserve, carts that are confirmed or released; read, orders and availability; promise, for a server
    with a service card; batch, Arrow batches of --batch orders, 4 under way at most.

    Example: allot load --rate 1000 --seconds 30 --out report.html
    """
    from server.cli.load_view import view
    from server.load.catalogue import Catalogue

    plan = _plan(mix, rate, concurrency, seconds, warm_up, timeout, patience, seed)
    _check_name(name)
    check_place(out)
    run = {
        "mix": str(plan.mix), "rate": rate, "concurrency": plan.concurrency, "seconds": seconds, "warm_up": warm_up,
        "batch": batch, "skus": skus, "stock": stock, "seed": seed, "name": name, "timeout": timeout,
        "patience": patience,
    }  # fmt: skip
    catalogue = Catalogue(name, skus)
    with view(f"load: {plan.mix}", json) as shown:
        run["command"] = _command(run, server)
        stopped, found = _run(catalogue, plan, run, shown, into_live, _Asked(server, token_file, ca))
    _show(found, json)
    if out is not None:
        from server.cli import load_page, page

        page.write(out, lambda: load_page.plots(found), lambda drawn: load_page.page(found, rows_of(found), drawn))
        if not json:
            say(f"page: {out}")
    raise typer.Exit(INTERRUPTED if stopped else FOUND_WRONG if found["faults"] else DONE)


def _plan(
    mix: str, rate: float, concurrency: int, seconds: float, warm_up: float, timeout: float, patience: float, seed: int
) -> "Plan":
    from server.load.driving import Plan
    from server.load.mix import Kind, Mix

    try:
        parsed = Mix.parse(mix)
    except ValueError as error:
        fail(f"--mix: {error}", BAD_USAGE)
    for flag, value in (("rate", rate), ("seconds", seconds), ("warm-up", warm_up), ("timeout", timeout)):
        if not isfinite(value):
            fail(f"--{flag} {value}: give a number", BAD_USAGE)
    usual = CALLERS_OPEN if rate else CALLERS_OF_BATCHES if list(parsed.shares) == [Kind.BATCH] else CALLERS
    return Plan(parsed, rate, concurrency or usual, seconds or float("inf"), warm_up, timeout, patience, seed)


def _check_name(name: str) -> None:
    from server.load.catalogue import NAME_CHARACTERS_MAX

    if len(name) > NAME_CHARACTERS_MAX or not ((name.replace("-", "a").isalnum() and name.isascii()) or not name):
        fail(f"--name {name}: give {NAME_CHARACTERS_MAX} letters and digits at most", BAD_USAGE)


def _command(run: dict[str, Any], server: str) -> str:
    """The command line that repeats it."""
    words = {"server": server, **run}
    given = {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in words.items()}
    flags = (f"--{name.replace('_', '-')} {shlex.quote(text)}" for name, text in given.items() if text)
    return "allot load " + " ".join(flags)


class _Asked(NamedTuple):
    """Which server, and as whom."""

    server: str
    token_file: Path | None
    ca: Path | None


def _run(
    catalogue: "Catalogue", plan: "Plan", run: dict[str, Any], shown: "View", into_live: bool, asked: _Asked
) -> tuple[bool, dict[str, Any]]:
    """Look, prepare, drive, prove, tidy up: whether it was stopped, and the report."""
    from allot_client import NotAllowed
    from server.load.ledger import Ledger
    from server.load.mix import Kind
    from server.load.orders import Orders
    from server.load.report import report

    with connected(*asked) as client:
        try:
            _check_server(client, catalogue, into_live, asked.server)
        except NotAllowed as error:
            fail(f"{error}: the load puts nodes and stock of its own: give the token of an operator", FOUND_WRONG)
        shown.say(f"putting {len(catalogue.skus):,} SKUs at {len(catalogue.nodes)} nodes of its own")
        try:
            before = catalogue.put(client, run["stock"])
            if Kind.PROMISE in plan.mix.shares:
                client.promise(catalogue.channel, catalogue.codes[0], [(catalogue.skus[0], 1)])
            ledger = Ledger(catalogue, plan.seed)
            batch = run["batch"] if Kind.BATCH in plan.mix.shares else 0
            orders = Orders(catalogue, f"{time.time_ns() // 1_000_000:x}", plan.seed, batch)
            drive, settled, version = _drive(plan, orders, ledger, shown, asked)
            shown.say("comparing what was answered with what the server has")
            proof, why = _proof(client, catalogue, ledger, before, run["stock"], settled)
        finally:
            run["left"] = _tidy(client, catalogue)
    where = {"address": asked.server, "version": version, "tls": asked.ca is not None}
    return drive.stopped, report(drive, ledger, settled, proof, why, where, run)


def _check_server(client: "Client", catalogue: "Catalogue", into_live: bool, server: str) -> None:
    """Ends the command where the server has something of others, unless that is wanted."""
    found = catalogue.look(client)
    if into_live:
        return
    if found.is_open:
        fail(
            f"{server}: another run by this name is under way, or was killed: give another --name, or --into-live to "
            "take over what it left",
            BAD_USAGE,
        )
    if found.nodes or found.channels:
        told = f"; {_named(found.seeing)}, serving from every node, would be told of its SKUs" if found.seeing else ""
        fail(
            f"{server}: has nodes ({_named(found.nodes)}) or channels ({_named(found.channels)}) of others. A load "
            f"sells nothing of theirs: it puts {len(catalogue.nodes)} nodes, a channel, {len(catalogue.skus):,} SKUs "
            "of its own beside these, and closes them in the end; its orders and names stay for good, and it takes the "
            f"server's time{told}. Give --into-live if that is wanted, or try a server over another folder",
            BAD_USAGE,
        )


def _named(names: list[str]) -> str:
    more = f" and {len(names) - NAMED_MAX:,} more" if len(names) > NAMED_MAX else ""
    return ", ".join(names[:NAMED_MAX]) + more if names else "none"


def _drive(
    plan: "Plan", orders: "Orders", ledger: "Ledger", shown: "View", asked: _Asked
) -> "tuple[Drive, Settled, str]":
    """The run itself, in an event loop of its own: with what became of calls without an answer, and the server's
    version. Ctrl-C or SIGTERM ends the sending; a second one ends the command."""
    import uvloop

    from allot_client.connection import Connection
    from server.load.arrivals import SWITCH_SECONDS
    from server.load.driving import Drive, opened, version_of

    async def main() -> "tuple[Drive, Settled, str]":
        connection = Connection(asked.server, **options_of(asked.token_file, asked.ca))
        async with opened(connection) as channel:
            version = await version_of(channel, connection.metadata(), plan.timeout)
            drive = Drive(channel, connection.metadata(), plan, orders, ledger, shown.told)
            shown.tally = drive.tally
            with _stopping(drive.stop):
                await drive.run()
            shown.say("making calls without an answer again")
            return drive, await drive.settle(), version

    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        return uvloop.run(main())
    finally:
        sys.setswitchinterval(before)


@contextmanager
def _stopping(stop: Callable[[], None]) -> Iterator[None]:
    """Signals stop the sending for the length of a block, the first time."""
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)

    def once() -> None:
        stop()
        for number in signals:
            loop.remove_signal_handler(number)

    for number in signals:
        loop.add_signal_handler(number, once)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


def _proof(
    client: "Client", catalogue: "Catalogue", ledger: "Ledger", before: Any, stock: int, settled: "Settled"
) -> "tuple[Proof | None, str]":
    """What was found, or why it could not be looked for."""
    from allot_client import AllotError
    from server.load.proof import prove

    try:
        return prove(client, catalogue, ledger, before, stock, settled.unknown), ""
    except AllotError as error:
        return None, str(error)


def _tidy(client: "Client", catalogue: "Catalogue") -> str:
    """Close what was put; what is left then, in a sentence."""
    from allot_client import AllotError

    kept = (
        f"the channel {catalogue.channel}, {len(catalogue.nodes)} nodes, {len(catalogue.skus):,} SKUs, and its orders"
    )
    try:
        catalogue.close(client)
    except AllotError as error:
        return f"Left on the server, and not closed ({error}): {kept}."
    return f"Left on the server, closed: {kept}."


def rows_of(found: dict[str, Any]) -> list[tuple[str, Any]]:
    """The report as a table for a person."""
    whole, proof, repeated, sending = (found[name] for name in ("all", "proof", "repeated", "sending"))
    decided = sum(found["outcomes"].values())
    rows: list[tuple[str, Any]] = [
        ("server", f"{found['server']['address']} {found['server']['version'] or '(tells no version)'}"),
        ("seconds", f"{found['seconds']:,.1f}"),
        ("calls answered", whole["answered"]),
        ("  a second", f"{whole['per_second']:,.0f}"),
        ("orders taken", whole["orders"]),
        ("  a second", f"{found['orders_per_second']:,.0f}"),
        *((f"  {outcome}", f"{count / decided:.1%}") for outcome, count in found["outcomes"].items()),
        (
            "p50 / p99 / p99.9 of all calls",
            " / ".join(f"{whole[p]:,.2f}" for p in ("p50_ms", "p99_ms", "p99.9_ms")) + " ms",
        ),
        ("failed", whole["failed"]),
        ("never sent", found["never_sent"]),
        ("made again for want of an answer", repeated["calls"]),
        ("sent late, p99", f"{sending['p99_ms']:,.2f} ms"),
        ("the tool took, of a core", f"{found['client_cores']:.2f}"),
    ]
    if proof:
        rows += [
            ("units that answers gave", proof["units"]),
            ("  that the server's stock says", proof["bound_units"]),
            ("oversold units", proof["oversold_units"]),
            ("orders looked up again, of the warm-up too", f"{proof['looked_up']:,} of {proof['orders']:,}"),
        ]
    return rows


def _show(found: dict[str, Any], json: bool) -> None:
    from server.cli.answers import show_rows
    from server.cli.load_page import CALLS_HEAD, calls_of

    if json:
        show_json(found)
        return
    show_table(f"load: {found['run']['mix']}", rows_of(found))
    show_rows("calls, latencies in milliseconds", ("", *CALLS_HEAD), calls_of(found))
    for kind, count in found["failures"].items():
        say(f"{count:,} {kind}: {found['messages'].get(kind, 'orders of batches')}")
    for fault in found["faults"]:
        say(f"FAULT: {fault}")
    for warning in found["warnings"]:
        say(f"note: {warning}")
    say(found["run"]["left"])
    say(f"again: {found['run']['command']}")
