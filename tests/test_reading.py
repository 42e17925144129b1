"""Orders read from the columns against the views, whatever happened; and orders as the services tell of them."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from engine.answers import NULL_I64
from engine.commands import PlaceOrders, PutNames
from engine.journal.memory import MemoryJournal
from engine.lifecycle import Action
from engine.outcomes import Namespace, OutOfRoom
from engine.reading import Elsewhere, OrderNow, order_now, stock_of, stock_page
from engine.state import State
from engine.views import FILE, Views, ViewsMissing
from engine.writer import Engine
from kernels.columns import Figure, Outcome, Stage
from tests import asks
from tests.clients import NODES, PLACES, SKUS, Clients
from tests.driving import COMPILED, LIMITS, SECOND, START, columns, figures_of, received, reserve
from tests.test_views import Pair, act, busy_day


def new_engine() -> Engine:
    return Engine(State(np.arange(4, dtype=np.uint64), LIMITS), MemoryJournal(keep=True), publish=False)


NOT_VIEWED = ("pay_by", "order_discount", "shipping_fee", "shipping_fee_tax")  # GetOrder has a balance instead


def as_viewed(engine: Engine, order: OrderNow) -> dict[str, Any]:
    """An order as the views say it."""
    names = engine.state.names
    sku, node, code = (names[space] for space in (Namespace.SKU, Namespace.NODE, Namespace.POSTAL_CODE))
    lines = [
        {
            "line": line, "sku": sku.text(index), "quantity": units, "unit_price": price, "discount": discount,
            "tax": tax,
            "parts": sorted(
                (Stage(stage).name, node.text(at) if at >= 0 else "", count)
                for of, at, stage, count, _ in order.parts if of == line
            ),
        }
        for line, (index, units, price, discount, tax, *_) in enumerate(order.lines, 1)
    ]  # fmt: skip
    options = {name: value for name, value in order.options.items() if name not in NOT_VIEWED}
    words = {
        name: None if order.options[name] is None else names[Namespace.WORD].text(order.options[name])
        for name in ("currency", "payment_method", "service_level")
    }
    return {
        "number": order.number, "order_id": order.order_id, "postal_code": code.text(order.postal_code),
        "is_reservation": int(order.is_reservation), "outcome": Outcome(order.outcome).name, "state": order.state,
        "stamp": order.taken_at, "sequence": order.taken_in, "expires_at": order.expires_at or None,
        "reservation": order.reservation or None,
    } | options | words | {"lines": lines}  # fmt: skip


def viewed(views: Views, channel: int, order_id: str, is_reservation: bool) -> dict[str, Any] | None:
    found = views.order(f"channel-{channel}", order_id, is_reservation).rows
    if not found:
        return None
    (order,) = found
    order["number"] = max(order["number"], 0)
    del order["channel"]
    for line in order["lines"]:
        line["parts"] = sorted((part["stage"], part["node"] or "", part["units"]) for part in line["parts"])
    return order


def check(engine: Engine, views: Views, ids: list[tuple[int, str, bool]]) -> dict[str, int]:
    """Every order that is read is as the views have it; returns how often which answer was given."""
    views.catch_up(engine.journal)
    seen = {"now": 0, "elsewhere": 0, "unknown": 0}
    for channel, order_id, is_reservation in ids:
        order = order_now(engine, channel, order_id, is_reservation)
        expected = viewed(views, channel, order_id, is_reservation)
        if order is Elsewhere.UNKNOWN:
            seen["unknown"] += 1
            continue
        assert expected is not None
        if isinstance(order, OrderNow):
            seen["now"] += 1
            assert as_viewed(engine, order) == expected
            assert order.sequence == engine.state.sequence
        else:
            seen["elsewhere"] += 1
            assert expected["state"] in ("CONFIRMED", "RELEASED", "EXPIRED") or not is_reservation
    return seen


@pytest.mark.parametrize("seed", range(8 if COMPILED else 1))
def test_an_order_is_as_the_views_have_it(seed: int, tmp_path: Path) -> None:
    clients, engine, views = Clients(random.Random(seed)), new_engine(), Views.open(tmp_path / FILE)
    for command in clients.catalogue():
        engine.commit(columns(command, PLACES), START)
    ids: list[tuple[int, str, bool]] = []
    for _ in range(120):
        batch = clients.batch(engine.state.sequence)
        for asked in batch.asked:
            if isinstance(asked, asks.Place | asks.Reserve):
                ids += [(cart.channel, cart.id, isinstance(asked, asks.Reserve)) for cart in asked.orders]
            elif isinstance(asked, asks.Confirm):
                ids += [(row.channel, row.order_id, False) for row in asked.requests]
        try:
            engine.submit(batch.columns(), batch.stamp).wait()
        except OutOfRoom:
            continue
    seen = check(engine, views, ids)
    assert seen["now"] > 10
    assert seen["elsewhere"] > 0
    check_stock(engine)
    views.close()
    engine.close()


def check_stock(engine: Engine) -> None:
    """Pages of stock against the cells, one by one."""
    for node in (None, *range(NODES)):
        expected = []
        for sku in range(SKUS):
            for at in range(NODES) if node is None else [node]:
                figures, available = figures_of(engine.state, sku, at)
                if any(figures):
                    expected.append((sku, at, figures, available))
        for count in (1, 2, 1000):
            assert pages(engine, count, node) == expected
    for sku in range(SKUS):
        page = stock_of(engine, sku)
        assert rows(page) == [row for row in pages(engine, 1000, None) if row[0] == sku]


def rows(page: Any) -> list[Any]:
    order = [Figure.ON_HAND, Figure.UNAVAILABLE, Figure.ALLOCATED, Figure.RESERVED, Figure.SAFETY_STOCK,
             Figure.PICKED, Figure.DEFICIT]  # fmt: skip
    out = []
    for sku, node, figures, available in zip(page.sku, page.node, page.figures, page.available, strict=True):
        by_figure = dict(zip(order, figures.tolist(), strict=True))
        out.append((int(sku), int(node), tuple(by_figure[Figure(f)] for f in range(Figure.SPARE)), int(available)))
    return out


def pages(engine: Engine, count: int, node: int | None) -> list[Any]:
    out, at = [], 0
    while at >= 0:
        page = stock_page(engine, at, count, node)
        assert len(set(page.sku.tolist())) <= count
        out += rows(page)
        at = page.next_sku
    return out


def test_a_busy_day() -> None:
    pair = busy_day()
    asked = (
        (0, "split", False), (0, "short", False), (1, "refused", False), (2, "waits", False), (0, "bought", False),
        (0, "cart", True), (0, "left", True), (0, "given up", True), (0, "split", True), (0, "nobody's", False),
    )  # fmt: skip
    found = {(order_id, cart): order_now(pair.engine, channel, order_id, cart) for channel, order_id, cart in asked}
    states = {key: order.state if isinstance(order, OrderNow) else order for key, order in found.items()}
    assert states == {
        ("split", False): "DELIVERED", ("short", False): "SHORT", ("refused", False): "REFUSED",
        ("waits", False): "ALLOCATED", ("bought", False): "ALLOCATED", ("cart", True): Elsewhere.IN_VIEWS,
        ("left", True): Elsewhere.IN_VIEWS, ("given up", True): Elsewhere.IN_VIEWS,
        ("split", True): Elsewhere.UNKNOWN, ("nobody's", False): Elsewhere.UNKNOWN,
    }  # fmt: skip
    pair.engine.close()


def test_an_open_reservation_and_a_retired_order() -> None:
    pair = Pair(nodes=1)
    pair.commit(received("first", (0, 0, 5)))
    pair.commit(reserve("cart", (0, 2), expires_at=pair.stamp + SECOND))
    held = order_now(pair.engine, 0, "cart", True)
    assert isinstance(held, OrderNow)
    assert (held.state, held.expires_at, held.parts) == (
        "RESERVED",
        pair.stamp + SECOND,
        ((1, 0, 9, 2, held.parts[0][4]),),
    )
    pair.commit(asks.Place((asks.Cart("old", ((0, 1),)),)))
    for action in (Action.SHIP, Action.DELIVER):
        pair.commit(act("old", action))
    assert isinstance(order_now(pair.engine, 0, "old", False), OrderNow)
    pair.commit(asks.Retire(pair.stamp + 1))
    assert order_now(pair.engine, 0, "old", False) is Elsewhere.IN_VIEWS
    pair.commit(asks.Place((asks.Cart("next", ((0, 1),)),)))  # in the row of the one that was retired
    assert order_now(pair.engine, 0, "old", False) is Elsewhere.IN_VIEWS
    pair.engine.close()


def test_what_an_order_told_is_read_again(tmp_path: Path) -> None:
    pair = Pair(nodes=1)
    engine = pair.engine
    engine.commit(PutNames("words", Namespace.WORD, pa.array(["INR", "UPI"])), START)
    options = {
        "placed_at": np.array([5, NULL_I64]), "currency": np.array([0, -1], np.int16),
        "payment_method": np.array([1, -1], np.int16), "customer": pa.array(["c-1", ""]),
        "unit_price": np.array([100, NULL_I64, 0]), "tax": np.array([NULL_I64, 7, 0]),
    }  # fmt: skip
    command = PlaceOrders(
        pa.array(["told", "not told"]), np.zeros(2, np.int16), np.zeros(2, np.int32), np.array([0, 2, 3]),
        np.array([0, 1, 0], np.int32), np.array([1, 2, 3], np.int32), options,
    )  # fmt: skip
    engine.commit(command, START)
    order = order_now(engine, 0, "told", False)
    assert isinstance(order, OrderNow)
    assert order.options == {
        "placed_at": 5, "currency": 0, "payment_method": 1, "service_level": None, "ship_by": None,
        "deliver_by": None, "customer": "c-1", "nodes_max": None, "ship_complete": None, **dict.fromkeys(NOT_VIEWED),
    }  # fmt: skip
    assert order.lines == ((0, 1, 100, None, None, None, None), (1, 2, None, None, 7, None, None))
    other = order_now(engine, 0, "not told", False)
    assert isinstance(other, OrderNow)
    assert set(other.options.values()) == {None}
    views = Views.open(tmp_path / FILE)
    assert check(engine, views, [(0, "told", False), (0, "not told", False)])["now"] == 2
    views.close()
    engine.close()


def test_a_reader_of_views_makes_none(tmp_path: Path) -> None:
    with pytest.raises(ViewsMissing, match="no views yet"):
        Views.reader(tmp_path / FILE)
    assert list(tmp_path.iterdir()) == []
    Views.open(tmp_path / FILE).close()
    reader = Views.reader(tmp_path / FILE)
    assert reader.view_sequence == 0
    reader.close()
    (tmp_path / FILE).write_bytes(b"no database at all, but long enough to look like one" * 100)
    with pytest.raises(ViewsMissing, match="being made"):
        Views.reader(tmp_path / FILE)
