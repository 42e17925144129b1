"""What the load is about: nodes, a channel, postal codes, SKUs and stock of its own, all by names that begin with
`load-`. Nothing else of the server is written to or sold from.

They are put before a run. At its end the channel and the nodes are closed, which takes their stock out of what anybody
may sell; names, stock and orders stay, since nothing of a journal is deleted.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from allot.v1 import stock_pb2
from allot_client import Busy, Client

PREFIX = "load"
NAME_CHARACTERS_MAX = 16
CODES = 1_000
ROWS_MAX = 50_000  # of one message
NODES = {
    "load-del": (28.61, 77.21), "load-bom": (19.08, 72.88), "load-blr": (12.97, 77.59), "load-hyd": (17.39, 78.49),
    "load-ccu": (22.57, 88.36), "load-maa": (13.08, 80.27), "load-amd": (23.02, 72.57), "load-gau": (26.14, 91.74),
}  # fmt: skip
_CODES_SEED = 33
_THREADS = 16
_SECONDS_MAX = 60.0  # of a large message, and of a server that has no room
_PAUSE_SECONDS = 0.05
A = TypeVar("A")


class Found(NamedTuple):
    """What is on the server beside the catalogue of loads."""

    nodes: list[str]  # of others
    channels: list[str]  # of others
    seeing: list[str]  # of these channels, those that serve from every node and so are told of the stock of the load
    is_open: bool  # a run is under way, or was killed


class Catalogue:
    """The nodes, SKUs and postal codes of runs by one name. name: so that two runs at a time have each their own."""

    def __init__(self, name: str, skus: int) -> None:
        self.prefix = f"{PREFIX}-{name}" if name else PREFIX
        self.channel = self.prefix
        self.nodes = [node.replace(PREFIX, self.prefix, 1) for node in NODES]
        self.skus = [f"{self.prefix}-{number:06d}" for number in range(1, skus + 1)]
        self.codes = [f"{PREFIX}-{number:05d}" for number in range(1, CODES + 1)]  # one place for all runs
        self.node_number = {node: number for number, node in enumerate(self.nodes)}

    def look(self, client: Client) -> Found:
        """What is there already."""
        channels = list(client.list_channels())
        own = [channel for channel in channels if channel.channel == self.channel]
        others = [channel for channel in channels if not _is_of_loads(channel.channel)]
        nodes = [node.node_id for node in client.list_nodes() if not _is_of_loads(node.node_id)]
        seeing = [channel.channel for channel in others if not channel.node_ids and not channel.closed]
        is_open = any(not channel.closed for channel in own)
        return Found(nodes, [channel.channel for channel in others], seeing, is_open)

    def put(self, client: Client, units: int) -> NDArray[np.int64]:
        """Nodes, channel, postal codes, SKUs, and so many units of each SKU at each node that an order may take; what
        earlier runs left bound there (`bound`)."""
        self._put_nodes(client, closed=False)
        client.put_channel(self.channel, node_ids=self.nodes, on_short="keep")
        client.put_postal_codes(self._places(), timeout=_SECONDS_MAX)
        for part in _parts(self.skus):
            client.put_skus(part, timeout=_SECONDS_MAX)
        before = bound(self.figures(client))
        rows = (
            stock_pb2.StockRow(sku=sku, node_id=node, quantity=units + int(before[number, place]))
            for number, sku in enumerate(self.skus)
            for place, node in enumerate(self.nodes)
        )
        for part in _parts(rows):
            client.count_stock(part, source=self.prefix, counted_at=time.time_ns() // 1000, timeout=_SECONDS_MAX)
        return before

    def close(self, client: Client) -> None:
        """Nobody sells from it any more."""
        client.close_channel(self.channel)
        self._put_nodes(client, closed=True)

    def figures(self, client: Client) -> NDArray[np.int64]:
        """Stock as the server has it: on hand, allocated, reserved, deficit [4, SKU, node]."""
        found = np.zeros((4, len(self.skus), len(self.nodes)), np.int64)
        with ThreadPoolExecutor(_THREADS, "load-look") as pool:
            for number, answer in enumerate(pool.map(lambda sku: with_room(client.get_stock, sku), self.skus)):
                for cell in answer.cells:
                    figures = cell.on_hand, cell.allocated, cell.reserved, cell.deficit
                    found[:, number, self.node_number[cell.node_id]] = figures
        return found

    def _put_nodes(self, client: Client, closed: bool) -> None:
        places = zip(self.nodes, NODES.values(), strict=True)
        client.put_nodes(
            {"node_id": node, "latitude": north, "longitude": east, "closed": closed} for node, (north, east) in places
        )

    def _places(self) -> list[tuple[str, float, float]]:
        chance = np.random.default_rng(_CODES_SEED)
        north, east = chance.uniform(8, 34, CODES).round(4), chance.uniform(69, 95, CODES).round(4)
        return list(zip(self.codes, north.tolist(), east.tolist(), strict=True))


def with_room(call: Callable[..., A], *given: Any) -> A:
    """What a call of a client comes to, asked again while the server has no room for it."""
    until = time.monotonic() + _SECONDS_MAX
    while True:
        try:
            return call(*given)
        except Busy as busy:
            if time.monotonic() > until:
                raise
            time.sleep(busy.retry_after or _PAUSE_SECONDS)


def bound(figures: NDArray[np.int64]) -> NDArray[np.int64]:
    """Units that orders and reservations have [SKU, node], of `Catalogue.figures`."""
    bound_units: NDArray[np.int64] = figures[1] + figures[2]
    return bound_units


def _is_of_loads(name: str) -> bool:
    return name == PREFIX or name.startswith(f"{PREFIX}-")


def _parts(rows: Iterable[Any]) -> Iterator[list[Any]]:
    """Rows in messages."""
    part: list[Any] = []
    for row in rows:
        part.append(row)
        if len(part) == ROWS_MAX:
            yield part
            part = []
    if part:
        yield part
