"""The worker of server/workers/README.md, as it stands there: killed again and again under load, against a real server
and a warehouse that answers late, not at all, or with nonsense.
"""

import json
import random
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any

from allot.v1 import types_pb2
from allot_client import Client
from server.local_redis import free_port
from tests.running import Server, server
from tests.stores import until

GUIDE = Path(__file__).resolve().parents[1] / "server" / "workers" / "README.md"
LINES_MAX = 60
ORDERS, KILLS = 150, 6
UNITS = 3  # of an order


def guide_code() -> str:
    found = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert len(found) == 1
    return str(found[0])


class Warehouse(ThreadingHTTPServer):
    """Lacks one unit of every second order; the same id is answered in the same way. Fails now and then, and then may
    have heard it nevertheless.
    """

    daemon_threads = True

    def __init__(self, seed: int) -> None:
        super().__init__(("127.0.0.1", 0), Desk)
        self.chance, self.lock = random.Random(seed), Lock()
        self.heard: list[dict[str, Any]] = []
        self.is_away = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/orders"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who asked was killed meanwhile."""


class Desk(BaseHTTPRequestHandler):
    server: Warehouse

    def do_POST(self) -> None:
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            turn = self.server.chance.random()
            if self.server.is_away or turn < 0.01:
                self.send_error(503)
                return
            self.server.heard.append(told)
        time.sleep(0.01)  # it may be killed here
        body = json.dumps({"lacks": [{"line": 1, "units": 1}] if lacks(told["order"]) else []}).encode()
        if turn < 0.02:
            body = body[:-3]  # heard, but the answer is cut off
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Not into the tests' output."""


def lacks(order_id: str) -> bool:
    return int(order_id) % 2 == 0


@contextmanager
def warehouse(seed: int = 0) -> Iterator[Warehouse]:
    opened = Warehouse(seed)
    serving = Thread(target=opened.serve_forever, args=(0.02,), daemon=True)
    serving.start()
    try:
        yield opened
    finally:
        opened.shutdown()
        serving.join()
        opened.server_close()


class Worker:
    """The guide's code as a process."""

    def __init__(self, folder: Path, address: str, url: str) -> None:
        code = folder / "warehouse.py"
        code.write_text(guide_code())
        self.cursor = folder / "cursor"
        self._command = [sys.executable, str(code), address, url, str(self.cursor)]
        self._log = folder / "worker.log"
        self.start()

    def start(self) -> None:
        with self._log.open("a") as log:
            self.process = subprocess.Popen(self._command, stderr=log)

    @property
    def log(self) -> str:
        return self._log.read_text()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(20)


@contextmanager
def furnished(folder: Path) -> Iterator[tuple[Client, str]]:
    with server(folder / "data") as running, Client(running.address) as shop:
        furnish(shop)
        yield shop, running.address


def furnish(shop: Client) -> None:
    shop.put_nodes([("BLR", 12.97, 77.59)])
    shop.put_channel("own", on_short="refuse")
    shop.receive_stock([("A", "BLR", 10 * ORDERS), ("B", "BLR", 10 * ORDERS)])


def place(shop: Client, order_id: int) -> None:
    lines = [("A", UNITS), ("B", 1)]
    decision = shop.place_order(channel="own", order_id=str(order_id), postal_code="560001", lines=lines)
    assert decision.outcome == types_pb2.OUTCOME_ALLOCATED


def cancelled(shop: Client) -> Counter[int]:
    """Units by order number, as the engine's events tell it."""
    out: Counter[int] = Counter()
    for event in shop.stream_events(kinds=["units_moved"], once=True):
        moved = event.units_moved
        assert (moved.to_stage, moved.line, moved.quantity) == (types_pb2.STAGE_CANCELLED, 1, 1)
        out[moved.number] += 1
    return out


def last_order_event(shop: Client) -> str:
    return [event.event_id for event in shop.stream_events(kinds=["order_decided"], once=True)][-1]


def at(worker: Worker) -> str:
    return json.loads(worker.cursor.read_text())["cursor"] if worker.cursor.exists() else ""


def test_the_worker_of_the_guide_is_short():
    code = guide_code()
    assert code.count("\n") <= LINES_MAX
    compile(code, "warehouse.py", "exec")


def test_killed_in_the_middle_of_load_each_event_takes_effect_once_and_is_told_at_least_once(tmp_path: Path):
    with furnished(tmp_path) as (shop, address), warehouse() as outside:
        worker = Worker(tmp_path, address, outside.url)
        try:
            placing = Thread(target=lambda: [place(shop, order_id) for order_id in range(ORDERS)])
            placing.start()
            for kill in range(KILLS):
                told = len(outside.heard) + ORDERS // (KILLS + 2)
                until(lambda told=told: len(outside.heard) >= min(told, ORDERS), "the worker gets on")
                worker.kill()
                outside.is_away = kill == KILLS // 2  # once it is away when the worker comes back
                worker.start()
                if outside.is_away:
                    until(lambda: "WAREHOUSE_AWAY" in worker.log, "the worker says that it is away")
                    outside.is_away = False
            placing.join()
            last = last_order_event(shop)
            until(lambda: at(worker) == last, "the worker has done all")
            assert worker.stop() == 0, worker.log
        finally:
            worker.kill()
        numbers = {order.order_id: order.number for order in shop.list_orders(channel="own")}
        assert len(numbers) == ORDERS
        heard = Counter(told["order"] for told in outside.heard)
        assert set(heard) == set(numbers)
        assert sum(heard.values()) > ORDERS  # some more than once: the kills did hit
        ids = {told["order"]: told["id"] for told in outside.heard}
        assert all(ids[told["order"]] == told["id"] for told in outside.heard)
        assert cancelled(shop) == Counter(number for order_id, number in numbers.items() if lacks(order_id))
        # On the shelves as well: what was cancelled is available again, once.
        stock = shop.get_stock("A").cells[0]
        assert stock.available == 10 * ORDERS - UNITS * ORDERS + ORDERS // 2


def test_it_outlives_a_server_that_is_killed_and_comes_back(tmp_path: Path):
    with warehouse(seed=2) as outside:
        listen = f"--listen=127.0.0.1:{free_port()}"
        first = Server(tmp_path / "data", listen)
        worker = Worker(tmp_path, first.address, outside.url)
        second = None
        try:
            with Client(first.address) as shop:
                furnish(shop)
                for order_id in range(40):
                    place(shop, order_id)
                until(lambda: len(outside.heard) >= 10, "the worker gets on")
                first.kill()
                until(lambda: "UNAVAILABLE" in worker.log, "the worker says that the engine is away")
                second = Server(tmp_path / "data", listen)
                for order_id in range(40, 60):
                    place(shop, order_id)
                last = last_order_event(shop)
                until(lambda: at(worker) == last, "the worker has done all")
                until(lambda: len(list(shop.list_orders(channel="own"))) == 60, "the views take it in")
                numbers = {int(order.order_id): order.number for order in shop.list_orders(channel="own")}
                assert cancelled(shop) == Counter(number for order_id, number in numbers.items() if order_id % 2 == 0)
            assert len(numbers) == len({told["order"] for told in outside.heard}) == 60
            assert worker.stop() == 0, worker.log
            assert second.stop() == 0
        finally:
            worker.kill()
            for running in (first, second):
                if running is not None and running.process.poll() is None:
                    running.kill()


def test_what_the_customer_cancelled_meanwhile_does_not_hold_up_the_worker(tmp_path: Path):
    with furnished(tmp_path) as (shop, address), warehouse(seed=1) as outside:
        for order_id in range(4):
            place(shop, order_id)
            shop.cancel_order("own", str(order_id))
        worker = Worker(tmp_path, address, outside.url)
        try:
            last = last_order_event(shop)
            until(lambda: at(worker) == last, "the worker goes on")
            assert worker.stop() == 0, worker.log
        finally:
            worker.kill()
        assert {told["order"] for told in outside.heard} == {"0", "1", "2", "3"}
