"""A running relay between a running server and a running Redis, and what both say of the same figures."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

from allot_client import Client
from server.workers.redis_address import Address
from server.workers.redis_store import RedisStore
from tests.running import Server

SETTLES_WITHIN_SECONDS = 40
SKUS, UNITS = 300, 1000
CHANNELS = ("own", "amazon", "flipkart")


class Relay:
    """`allot relay` as a process of its own."""

    def __init__(self, server: Server, redis: str, *flags: str) -> None:
        command = [sys.executable, "-m", "server.cli.main", "relay", f"--redis={redis}", f"--server={server.address}"]
        self.log: list[str] = []
        self.process = subprocess.Popen([*command, *flags], stderr=subprocess.PIPE, text=True)
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()
        wait_until(lambda: self.log or self.process.poll() is not None, "it starts")

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(line)

    @property
    def reasons(self) -> set[str]:
        """Why something was tried again."""
        return {found for line in self.log if (found := json.loads(line).get("reason"))}

    def kill(self) -> None:
        """As `kill -9`."""
        self.process.kill()
        self._end()

    def stop(self) -> None:
        """As a supervisor does."""
        self.process.send_signal(signal.SIGTERM)
        self._end()
        assert self.process.returncode == 0, "".join(self.log)

    def _end(self) -> None:
        self.process.wait(30)
        self._reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()


@contextmanager
def relay(server: Server, redis: str, *flags: str) -> Iterator[Relay]:
    """A relay for the length of a block."""
    running = Relay(server, redis, *flags)
    try:
        yield running
        running.stop()
    finally:
        if running.process.poll() is None:
            running.kill()


def prepare(client: Client) -> None:
    """Two nodes, three channels, stock of every SKU."""
    client.put_nodes([("BLR", 12.98, 77.59), ("DEL", 28.61, 77.2)])
    for channel in CHANNELS:
        client.put_channel(channel, policy={"share_ppm": 1_000_000 // len(CHANNELS), "buffer": 1})
    client.receive_stock([(f"SKU-{i}", ("BLR", "DEL")[i % 2], UNITS) for i in range(SKUS)])


class Load:
    """Somebody who orders, cancels nothing, and counts stock, until it is told to end."""

    def __init__(self, address: str) -> None:
        self._address, self._ends = address, Event()
        self.orders = 0
        self._thread = Thread(target=self._run)

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()

    def _run(self) -> None:
        with Client(self._address) as client:
            while not self._ends.is_set():
                number, name = self.orders, f"order-{time.monotonic_ns()}"
                lines = [(f"SKU-{(number * 7 + i) % SKUS}", 1 + i) for i in range(3)]
                client.place_order(channel=CHANNELS[number % 3], order_id=name, postal_code="560034", lines=lines)
                self.orders += 1


def of_engine(client: Client, channel: str) -> dict[str, tuple[int, int]]:
    """Units and version of every SKU of which there ever was any to sell, by the engine."""
    answer = client.get_availability(channel, list(client.list_skus()))
    return {figure.sku: (figure.units, figure.version) for figure in answer.figures if figure.version}


def of_redis(url: str, channel: str, prefix: str = "allot") -> dict[str, tuple[int, int]]:
    """The same by Redis."""
    said: dict[str, tuple[int, int]] = on_store(url, lambda store: store.all_figures(channel), prefix)
    return {sku: figure for sku, figure in said.items() if figure[1]}


def state(url: str, channel: str, prefix: str = "allot") -> dict[str, str]:
    """How it stands with a channel in Redis."""
    return on_store(url, lambda store: store.state(channel), prefix)


def on_store(url: str, ask: Callable[[RedisStore], Coroutine[Any, Any, Any]], prefix: str = "allot") -> Any:
    """One question to Redis."""

    async def asked() -> Any:
        store = RedisStore(Address.parse(url), prefix=prefix)
        try:
            return await ask(store)
        finally:
            await store.close()

    return asyncio.run(asked())


def settled(client: Client, url: str, prefix: str = "allot") -> None:
    """Wait until Redis says of every channel what the engine says. Nobody orders meanwhile."""
    until, said = time.monotonic() + SETTLES_WITHIN_SECONDS, None
    wanted = {channel: of_engine(client, channel) for channel in CHANNELS}
    for channel in CHANNELS:
        while (said := _said(url, channel, prefix)) != wanted[channel]:
            assert time.monotonic() < until, f"{channel}: {_differences(wanted[channel], said)}"
            time.sleep(0.05)


def _said(url: str, channel: str, prefix: str) -> Any:
    try:
        return of_redis(url, channel, prefix)
    except Exception as error:  # it may not be back yet
        return error


def _differences(wanted: Any, said: Any) -> Any:
    return said if isinstance(said, Exception) else dict(list(set(wanted.items()) ^ set(said.items()))[:9])


def wait_until(holds: Callable[[], Any], what: str) -> None:
    """Wait for something that comes by itself."""
    until = time.monotonic() + SETTLES_WITHIN_SECONDS
    while not holds():
        assert time.monotonic() < until, what
        time.sleep(0.02)


def started(folder: Path) -> Server:
    """A server with stock."""
    server = Server(folder)
    with Client(server.address) as client:
        prepare(client)
    return server
