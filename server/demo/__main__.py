"""`make demo`, from nothing to the table: generate, start, load, send, stop, verify.

Exit code 1 where an order was lost, not taken or oversold, or the folder is not clean.
"""

import argparse
import json
import shlex
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from allot_client import AllotError, Client
from server.cli.life_view import show_life
from server.cli.output import BAD_USAGE, DONE, FOUND_WRONG, INTERRUPTED, say, show_table
from server.demo import figures
from server.demo.hour import CART, LANE, SINGLE, STREAM, Geography, Hour, festive_hour, sku_name
from server.demo.lives import Lives, LivesTally, whole_life
from server.demo.outsiders import outsiders
from server.demo.sending import BATCH_ORDERS, Sending, expired, load
from server.demo.server import ALLOT, ServerFailed, running
from server.demo.show import Show
from server.demo.tally import Tally, quantiles
from server.demo.watching import lags, unlike, watch_all
from server.local_redis import NoServer, local_redis
from server.local_redis import ServerFailed as RedisFailed

FOLDER = Path("demo-data")
ORDERS, SKUS, SEED = 300_000, 20_000, 11_11
ORDERS_MIN, SKUS_MIN = 1_000, 100
SWITCH_SECONDS = 0.0005  # one thread does not hold up the clock of another


@dataclass
class Outcome:
    """What came of a run."""

    tallies: dict[int, Tally]
    seconds: float
    lags: list[float]
    told: int  # figures that the watchers were told
    redis_lags: list[float]
    redis_told: int  # figures in Redis' streams
    redis_unlike: int  # figures in Redis that are not the engine's, at the end
    expired: int
    verified: dict[str, Any]
    lives: LivesTally = field(default_factory=LivesTally)
    shown: Any = None  # one order with its life

    @property
    def total(self) -> Tally:
        """Of all ways."""
        return sum(self.tallies.values(), Tally())

    def faults(self, sent: int) -> list[str]:
        """What must not be."""
        total, verified = self.total, self.verified
        kept = total.orders - total.not_taken + total.confirmed  # a cart that is confirmed becomes an order too
        found = [
            (verified["oversold_units"] != 0, f"{verified['oversold_units']:,} units are oversold"),
            (not verified["clean"], f"the folder is not clean: {verified['faults']}"),
            (total.orders != sent, f"{sent:,} orders were sent, {total.orders:,} answered"),
            (total.not_taken != 0, f"{total.not_taken:,} orders were not taken: {total.problem}"),
            (verified["orders"] != kept, f"{kept:,} orders and carts were answered, {verified['orders']:,} are in it"),
            (self.redis_unlike != 0, f"{self.redis_unlike:,} figures in Redis are not the engine's"),
            (sum(self.lives.balances.values()) != 0, f"the ledger does not balance: {self.lives.balances}"),
            (self.lives.parcels != self.lives.delivered + self.lives.lost, "parcels are neither delivered nor lost"),
            (self.expired != len(total.forgotten), f"{len(total.forgotten) - self.expired:,} carts did not expire"),
        ]
        return [fault for is_so, fault in found if is_so]


def run(folder: Path, orders: int, skus: int, seed: int) -> int:
    """The whole demonstration; its exit code."""
    data, log = folder / "folder", folder / "server.log"
    if wrong := _not_ours(folder, data, log):
        print(f"demo: {folder}: {wrong}", file=sys.stderr)
        return BAD_USAGE
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    log.touch()  # by it the folder is known as ours
    with Show() as show:
        with local_redis(folder / "redis") as store, running(data, log, f"--redis={store.url}") as server:
            with show.stage("starting allot serve; compiles its kernels once, a minute or two") as stage:
                geography = Geography.india()
                hour = festive_hour(orders, skus, seed, geography)
                address = server.wait_until_serving()
                stage.outcome = f"started allot serve on {address}, its log is {log}"
            outcome = _send(show, address, store.url, hour, geography)
            _live(show, outcome, folder, address, hour)
            with show.stage("stopping the server"):
                code = server.stop()
        if code:
            raise ServerFailed(f"the server ended with {code}; its log: {log}")
        with show.stage("allot verify: replays the folder and checks every invariant"):
            outcome.verified = _verified(data)
    show_table(f"a festive hour of {orders:,} orders", _rows(outcome))
    faults = outcome.faults(orders)
    for fault in faults:
        say(f"FAULT: {fault}")
    if outcome.shown is not None:
        say(f"\nthe life of {outcome.shown.order.order_id} of {outcome.shown.order.channel}")
        show_life(outcome.shown)
    if faults:
        return FOUND_WRONG
    _say_next(folder, data, hour, outcome.verified["last_sequence"])
    return DONE


def _not_ours(folder: Path, data: Path, log: Path) -> str:
    """Why a folder may not be made anew; empty: it may."""
    from engine.folder import IDENTITY, DataFolder, FolderError

    if (data / IDENTITY).exists():
        try:
            opened = DataFolder.open(data)
        except FolderError:  # of another release: nothing of this one runs on it
            return ""
        in_use = opened.in_use()
        opened.close()
        return "a server runs on it: stop it first" if in_use else ""
    if folder.exists() and not log.exists() and any(folder.iterdir()):
        return "holds something else: name another --folder"
    return ""


def _send(show: Show, address: str, redis: str, hour: Hour, geography: Geography) -> Outcome:
    """Load, send, and wait for what follows."""
    cells = int((hour.stock > 0).sum())
    with _client(address, 0) as client, _client(address, 1) as connector, _client(address, 2) as watching:
        with show.stage("loading stock", cells) as stage:
            load(client, hour, geography, stage.advance)
            stage.outcome = (
                f"loaded {len(geography.codes):,} postal codes, {len(figures.PLACES)} places, {len(figures.CHANNELS)}"
                f" channels, {len(hour.stock):,} SKUs, {int(hour.stock.sum()):,} units"
            )
        watchers, readers = watch_all(watching, redis, figures.CHANNELS)
        with show.stage("sending orders", len(hour)) as stage:
            began = time.monotonic()
            tallies = Sending(client, connector, hour, stage.advance).run()
            seconds = time.monotonic() - began
            stage.outcome = f"sent {len(hour):,} orders by four ways at once"
        with show.stage("forgotten carts expire, the views catch up") as stage:
            total = sum(tallies.values(), Tally())
            found, of_redis = lags(client, watchers, total.samples), lags(client, readers, total.samples)
            ended = expired(client, total.forgotten)
            stage.outcome = f"{ended:,} forgotten carts have expired, the views have caught up"
            wrong = unlike(client, redis, figures.CHANNELS, [sku_name(sku) for sku in range(len(hour.stock))])
    told, written = (sum(watcher.figures for watcher in some) for some in (watchers, readers))
    return Outcome(tallies, seconds, found, told, of_redis, written, wrong, ended, {})


def _live(show: Show, outcome: Outcome, folder: Path, address: str, hour: Hour) -> None:
    """Take a share of the orders all the way."""
    with show.stage("starting a gateway, two carriers and their workers") as stage, ExitStack() as stack:
        outside = stack.enter_context(outsiders(folder / "outside", address))
        stage.outcome = "started a gateway, two carriers, webhooks and both workers"
        with _client(address, 3) as client, show.stage("paying, shipping, tracking, returning") as living:
            outcome.lives = Lives(client, outside, hour, living.advance).run()
            living.outcome = f"{outcome.lives.orders:,} orders were taken through their whole life"
            if outcome.lives.shown:
                outcome.shown = whole_life(client, *outcome.lives.shown)


def _client(address: str, number: int) -> Client:
    """One with a connection of its own: gRPC shares those of equal options."""
    return Client(address, timeout=30, patience=5, keepalive=30 + number)


def _verified(data: Path) -> dict[str, Any]:
    ended = subprocess.run([*ALLOT, "verify", f"--data={data}", "--json"], capture_output=True, text=True)
    try:
        found: dict[str, Any] = json.loads(ended.stdout)
    except ValueError:
        raise ServerFailed(f"allot verify ended with {ended.returncode}: {ended.stderr}") from None
    return found


def _rows(outcome: Outcome) -> list[tuple[str, Any]]:
    total, tallies, verified = outcome.total, outcome.tallies, outcome.verified
    lane, carts = tallies[LANE], tallies[CART]
    return [
        ("orders", total.orders),
        (f"  by the lane, Arrow batches of {BATCH_ORDERS:,}", lane.orders),
        ("  by a stream", tallies[STREAM].orders),
        ("  one by one", tallies[SINGLE].orders),
        ("  as carts: reserved", carts.orders),
        ("    then confirmed / released / expired", f"{carts.confirmed:,} / {carts.released:,} / {outcome.expired:,}"),
        (f"orders a second, all in {outcome.seconds:.1f} s", round(total.orders / outcome.seconds)),
        (
            f"  the lane's, in {tallies[LANE].lasted:.1f} s",
            round(tallies[LANE].orders / max(0.001, tallies[LANE].lasted)),
        ),
        ("one order beside the lane, p50 / p99", quantiles(tallies[SINGLE].seconds)),
        ("reserve, confirm, release, p50 / p99", quantiles(carts.seconds)),
        ("shipments", total.shipments),
        ("split orders", f"{_percent(total.split, total.served)}"),
        ("mean distance of a shipment", f"{total.metres / max(1, total.shipments) / 1000:,.0f} km"),
        ("short units", f"{total.short_units:,} ({_percent(total.short_units, total.units)})"),
        ("refused orders, short on the own site", f"{total.refused:,} ({_percent(total.refused, total.orders)})"),
        ("ATS lag, decision to watcher, p50 / p99", quantiles(outcome.lags)),
        ("  figures told to four watchers", outcome.told),
        ("Redis lag, decision to stream, p50 / p99", quantiles(outcome.redis_lags)),
        ("  figures written for four channels", outcome.redis_told),
        ("  unlike the engine's at the end", outcome.redis_unlike),
        *_rows_of_lives(outcome.lives),
        ("oversold units, by allot verify", verified["oversold_units"]),
        ("allot verify", "clean" if verified["clean"] else "FAULTS"),
        ("  orders and reservations replayed", verified["orders"]),
    ]


def _rows_of_lives(lives: LivesTally) -> list[tuple[str, Any]]:
    held = lives.balances
    methods = " / ".join(f"{lives.by_method.get(name, 0):,}" for name in ("card", "cash_on_delivery", "channel"))
    came = sum(held.get(name, 0) for name in ("GATEWAY", "CARRIER", "CHANNEL"))
    return [
        ("orders taken all the way", lives.orders),
        ("  paid by card / on delivery / by the marketplace", methods),
        ("  parcels delivered / lost", f"{lives.delivered:,} / {lives.lost:,}"),
        ("  returns, inspected and given back", lives.returned),
        ("  rupees that came in, less what went back", f"{came / 100:,.2f}"),
        ("  all accounts of the ledger together, paise", sum(held.values())),
    ]


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / max(1, whole):.2f} %"


def _say_next(folder: Path, data: Path, hour: Hour, sequence: int) -> None:
    """What the figures mean, and commands that go on from here. sequence: of the folder's last commit."""
    here = Path(sys.executable).parent / "allot"
    allot = here.relative_to(Path.cwd()) if here.is_relative_to(Path.cwd()) else here
    order, sku = hour.draft(int(hour.by(SINGLE)[0])), sku_name(hour.best_stocked)
    commands = (
        f"serve --data {shlex.quote(str(data))}",
        "order list --state back_ordered --limit 5",
        f"order show {order['order_id']} --channel {order['channel']}",
        f"order place TRY-1 --channel own --postal-code 560034 --line {sku}=2",
        f"stock get {sku}",
        f"watch own --from {sequence} --once",
        f"events --after {sequence}-0 --once",
        f"verify --data {shlex.quote(str(data))}",
        f"export --data {shlex.quote(str(data))} --out {shlex.quote(str(folder / 'history'))}",
    )
    say(
        "Regions, lines of an order and sales of SKUs are as in a seller's Amazon report of India, units of a line as"
        " in\nOlist's orders (server/demo/figures.py); stock and channels are simulated. ATS lag: from a commit's stamp"
        " until\na channel's watcher has every figure up to it, for sampled orders; Redis lag: the same for a reader of"
        " its stream\n(a Valkey of the demo's own, kept up to date by the relay that `allot serve --redis` runs).\n\n"
        "Try next, the first in a terminal of its own:"
    )
    for command in commands:
        say(f"  {shlex.quote(str(allot))} {command}")


def _terminated(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


def main() -> int:
    """Flags, and failures as one line."""
    parser = argparse.ArgumentParser(prog="python -m server.demo", description="A festive hour through a real server.")
    parser.add_argument("--orders", type=int, default=ORDERS)
    parser.add_argument("--skus", type=int, default=SKUS)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="made anew")
    asked = parser.parse_args()
    if asked.orders < ORDERS_MIN or asked.skus < SKUS_MIN:
        parser.error(f"give at least {ORDERS_MIN:,} orders and {SKUS_MIN} SKUs")
    sys.setswitchinterval(SWITCH_SECONDS)
    signal.signal(signal.SIGTERM, _terminated)
    try:
        return run(asked.folder, asked.orders, asked.skus, asked.seed)
    except KeyboardInterrupt:
        print("demo: interrupted; the server was stopped", file=sys.stderr)
        return INTERRUPTED
    except (AllotError, ServerFailed, NoServer, RedisFailed, TimeoutError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return FOUND_WRONG


if __name__ == "__main__":
    sys.exit(main())
