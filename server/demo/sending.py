"""The hour goes to the server, through the public client alone: first the catalogue and the stock, then the orders by
four ways at once. Each sender has its tally.
"""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from datetime import timedelta
from typing import Any

from allot.v1 import stock_pb2, types_pb2
from allot_client import Client, order
from server.demo import figures
from server.demo.hour import CART, CART_FORGOTTEN, CART_KEPT, LANE, SINGLE, STREAM, Geography, Hour, sku_name
from server.demo.lives import priced
from server.demo.tally import Tally

BATCH_ORDERS = 8_192
LANE_WINDOW = 2
STREAM_WINDOW = 64
SINGLE_THREADS, CART_THREADS = 8, 8
HOLD = timedelta(minutes=15)
SHORT_HOLD = timedelta(seconds=2)
EXPIRES_WITHIN_SECONDS = 15.0
SAMPLE_EVERY = 8  # of the orders that go one by one
Advance = Callable[[int], None]


def load(client: Client, hour: Hour, geography: Geography, advance: Advance) -> None:
    """Postal codes, places, channels and their policies, SKUs and stock."""
    client.put_postal_codes(geography.rows())  # the server has them too, and would place each when it is first named
    client.put_nodes([{"node_id": place, "postal_code": code} for place, code in figures.PLACES.items()])
    for channel in figures.CHANNELS:
        client.put_channel(channel, on_short=figures.ON_SHORT[channel], policy=figures.POLICIES[channel])
    client.put_skus([sku_name(number) for number in range(len(hour.stock))])
    for number, rows in enumerate(hour.stock_rows()):
        sent = [stock_pb2.StockRow(sku=sku, node_id=place, quantity=units) for sku, place, units in rows]
        client.receive_stock(sent, reference=number + 1, timeout=60)
        advance(len(rows))


class Sending:
    """One hour on its way."""

    def __init__(self, client: Client, connector: Client, hour: Hour, advance: Advance) -> None:
        """connector: the lane's client, so that its batches do not stand before single orders in one connection."""
        self._client = client
        self._connector = connector
        self._hour = hour
        self._advance = advance
        self._stop = threading.Event()

    def run(self) -> dict[int, Tally]:
        """All ways at once; a tally a way. Raises what a sender raised."""
        threads = {LANE: 1, STREAM: 1, SINGLE: SINGLE_THREADS, CART: CART_THREADS}
        ways = {LANE: self._lane, STREAM: self._stream, SINGLE: self._one_by_one, CART: self._carts}
        pool = ThreadPoolExecutor(sum(threads.values()), "send")
        begun: dict[int, list[Future[Tally]]] = {}
        try:
            for way, count in threads.items():
                source = _Shared(self._hour.by(way).tolist())
                begun[way] = [pool.submit(ways[way], source) for _ in range(count)]
            everything = [future for futures in begun.values() for future in futures]
            wait(everything, return_when=FIRST_EXCEPTION)
            return {way: sum((future.result() for future in futures), Tally()) for way, futures in begun.items()}
        finally:
            self._stop.set()
            pool.shutdown(wait=False, cancel_futures=True)

    def _lane(self, source: "_Shared") -> Tally:
        tally = Tally()
        table = self._hour.lane_table()
        began = time.monotonic()
        for results in self._connector.allocate_batches(table, batch_orders=BATCH_ORDERS, window=LANE_WINDOW):
            tally.decided_batch(results)
            self._advance(results.num_rows)
            if self._stop.is_set():
                break
        tally.lasted = time.monotonic() - began
        return tally

    def _stream(self, source: "_Shared") -> Tally:
        tally = Tally()
        drafts = (order(**self._hour.draft(number)) for number in source)
        for answer in self._client.place_orders(drafts, window=STREAM_WINDOW):
            if answer.HasField("problem"):
                tally.orders += 1
                tally.not_taken += 1
                tally.problem = tally.problem or answer.problem.message
            else:
                tally.decided(answer.decision)
            self._advance(1)
            if self._stop.is_set():
                break
        return tally

    def _one_by_one(self, source: "_Shared") -> Tally:
        tally = Tally()
        for number in source:
            draft = priced(self._hour.draft(number), number)
            decision = self._timed(tally, self._client.place_order, timeout=30, **draft)
            tally.decided(decision)
            if number % SAMPLE_EVERY == 0 and any(part.node_id for part in decision.parts):
                tally.samples.append((draft["channel"], draft["order_id"]))
            self._advance(1)
            if self._stop.is_set():
                break
        return tally

    def _carts(self, source: "_Shared") -> Tally:
        tally = Tally()
        for number in source:
            self._cart(number, tally)
            self._advance(1)
            if self._stop.is_set():
                break
        return tally

    def _cart(self, number: int, tally: Tally) -> None:
        """Holds what is in a cart; then it becomes an order, is let go, or is forgotten."""
        draft, fate = self._hour.draft(number), self._hour.fate[number]
        channel, order_id, cart = draft["channel"], draft["order_id"], draft["order_id"].replace("DEMO", "CART")
        hold = SHORT_HOLD if fate == CART_FORGOTTEN else HOLD
        asked = draft | {"order_id": cart}
        held = self._timed(tally, self._client.reserve, hold=hold, timeout=30, **asked).decision
        if held.outcome == types_pb2.OUTCOME_REFUSED:
            tally.decided(held)
        elif fate == CART_KEPT:
            confirmed = self._timed(tally, self._client.confirm, channel, cart, order_id, timeout=30)
            tally.decided(confirmed)
            tally.confirmed += 1
        else:
            tally.orders += 1
            if fate == CART_FORGOTTEN:
                tally.forgotten.append((channel, cart))
            else:
                self._timed(tally, self._client.release, channel, cart, timeout=30)
                tally.released += 1

    def _timed(self, tally: Tally, call: Callable[..., Any], *given: Any, **named: Any) -> Any:
        began = time.perf_counter()
        answer = call(*given, **named)
        tally.seconds.append(time.perf_counter() - began)
        return answer


class _Shared:
    """Numbers of orders that several threads take from, each once."""

    def __init__(self, numbers: list[int]) -> None:
        self._numbers = iter(numbers)
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[int]:
        while True:
            with self._lock:
                number = next(self._numbers, None)
            if number is None:
                return
            yield number


def expired(client: Client, forgotten: list[tuple[str, str]]) -> int:
    """How many of the forgotten carts have expired, once all have or it took too long.

    What has ended is read from the views: they take in all before it first.
    """
    until = time.monotonic() + EXPIRES_WITHIN_SECONDS
    left = list(forgotten)
    while left:
        states = [client.get_order(channel, cart, is_reservation=True, timeout=60).state for channel, cart in left]
        ended = [state == types_pb2.ORDER_STATE_EXPIRED for state in states]
        left = [cart for cart, is_over in zip(left, ended, strict=True) if not is_over]
        if time.monotonic() > until:
            break
        if left:
            time.sleep(0.1)
    return len(forgotten) - len(left)
