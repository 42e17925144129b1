"""Room in the columns of the state: what is refused for want of it, and what gives it back."""

import resource
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import columns as engine_columns
from engine.columns import AHEAD_BYTES_MIN, ROUND_BYTES, Growing, Limits, RoomAhead
from engine.columns import reserve as reserve_column
from engine.disk import FolderDisk
from engine.journal.memory import MemoryJournal
from engine.journal.segments import Journal
from engine.lifecycle import Action
from engine.outcomes import OutOfRoom, Reply
from engine.state import State
from engine.writer import Engine
from kernels.columns import UNITS_MAX, Figure, Head, OnShort
from tests import asks
from tests.driving import (
    EVERY_NODE,
    LIMITS,
    SECOND,
    SECRET,
    START,
    columns,
    counted,
    place,
    plain,
    received,
    replay_of,
    reserve,
)

PLACE = [(200_000_000, 700_000_000)]
HOUR = 3600 * SECOND


class Shop:
    """One node, one channel, one SKU with a hundred units, and little room."""

    def __init__(self, limits: Limits, journal: Any = None) -> None:
        state = State(np.frombuffer(SECRET, np.uint64).copy(), limits)
        self.engine = Engine(state, journal or MemoryJournal(keep=True))
        for asked in (
            asks.Opening("nodes", ((0, True),)),
            asks.Codes("codes", (0,)),
            asks.Names("names", ("A",)),
            asks.Channels("channels", ((0, asks.Policy(EVERY_NODE)),)),
            received("stock", (0, 0, 100)),
        ):
            self.ask(asked)

    def ask(self, asked: object, after: int = 0) -> list[asks.Answer]:
        (answers,) = self.engine.submit([columns(asked, PLACE)], START + after).wait()
        return plain(answers)


def act(request: str, order: str, action: Action, units: int = 0) -> asks.Acts:
    return asks.Acts((asks.Act(request, order, action, units),))


@pytest.mark.parametrize("field", ["orders_max", "lines_max", "parts_max"])
def test_retired_orders_give_their_room_back(field: str) -> None:
    shop = Shop(replace(LIMITS, **{field: 6}))
    for number in range(4):
        shop.ask(place(f"order-{number}", (0, 1)))
        shop.ask(act(f"cancel-{number}", f"order-{number}", Action.CANCEL))
    with pytest.raises(OutOfRoom, match=f"{field} is 6"):
        shop.ask(asks.Place(tuple(asks.Cart(f"more-{number}", ((0, 1),)) for number in range(5))))
    assert shop.ask(asks.Retire(START + 1), after=2)[0].quantity == 4
    more = asks.Place(tuple(asks.Cart(f"more-{number}", ((0, 1),)) for number in range(3)))
    assert [answer.reply for answer in shop.ask(more)] == [Reply.ALLOCATED] * 3
    assert replay_of(shop.engine).digest() == shop.engine.state.digest()


def test_units_that_change_their_stage_need_rows_and_are_refused_without() -> None:
    """A kernel that found no row would write behind its columns."""
    shop = Shop(replace(LIMITS, parts_max=5))
    shop.ask(place("order", (0, 9)))
    for number, action in enumerate((Action.SHIP, Action.PICK, Action.PACK, Action.DELIVER)):
        with pytest.raises(OutOfRoom, match="parts_max is 5") if number == 3 else nullcontext():
            shop.ask(act(f"act-{number}", "order", action, 2 - (number > 1)))
    assert shop.engine.state.head(Head.PARTS) == 4


def test_a_count_that_takes_units_from_orders_needs_rows_too() -> None:
    shop = Shop(replace(LIMITS, parts_max=3))
    shop.ask(place("one", (0, 50)))
    shop.ask(place("other", (0, 50)))
    with pytest.raises(OutOfRoom, match="parts_max is 3"):
        shop.ask(counted("count", (0, 0, 70)))
    assert shop.engine.state.head(Head.PARTS) == 2


def test_a_receipt_that_serves_back_orders_needs_rows_too() -> None:
    shop = Shop(replace(LIMITS, parts_max=3))
    shop.ask(asks.Channels("waits", ((0, asks.Policy(EVERY_NODE, on_short=OnShort.BACK_ORDER)),)))
    shop.ask(place("all", (0, 100)))
    shop.ask(place("waiting", (0, 5)))
    with pytest.raises(OutOfRoom, match="parts_max is 3"):
        shop.ask(received("much", (0, 0, 2)))


def test_a_confirmation_that_may_be_sourced_anew_needs_rows_too() -> None:
    shop = Shop(replace(LIMITS, parts_max=3))
    shop.ask(reserve("cart", (0, 5), expires_at=START + HOUR))
    shop.ask(place("other", (0, 1)))
    with pytest.raises(OutOfRoom, match="parts_max is 3"):
        shop.ask(asks.Confirm((asks.Confirmation("confirm", "order", "cart"),)))
    assert shop.engine.state.head(Head.PARTS) == 2


def test_reservations_that_end_before_their_time_leave_room_to_watch_others() -> None:
    """Their entries stay until they are due: the heap would have grown behind its columns."""
    shop = Shop(replace(LIMITS, orders_max=7, documents_max=1))
    shop.ask(reserve("stays", (0, 1), expires_at=START + HOUR))
    for number in range(40):
        shop.ask(reserve(f"cart-{number}", (0, 1), expires_at=START + 2 * HOUR))
        shop.ask(asks.Release((asks.Ending(f"end-{number}", f"cart-{number}"),)))
        assert shop.engine.state.head(Head.EXPIRIES) <= 8
    assert shop.engine.state.head(Head.OPEN_RESERVATIONS) == 1
    shop.ask(place("later", (0, 1)), after=HOUR)
    assert shop.engine.state.head(Head.OPEN_RESERVATIONS) == 0


def test_a_commit_has_a_place_for_every_answer_or_is_refused() -> None:
    shop = Shop(replace(LIMITS, commit_orders_max=3))
    with pytest.raises(OutOfRoom, match="commit_orders_max is 3, 4 orders"):
        shop.ask(asks.Place(tuple(asks.Cart(f"order-{number}", ((0, 1),)) for number in range(4))))
    answers = shop.ask(asks.Place(tuple(asks.Cart(f"order-{number}", ((0, 1),)) for number in range(3))))
    assert [answer.reply for answer in answers] == [Reply.ALLOCATED] * 3


def test_lines_of_one_sku_that_together_ask_for_more_than_a_figure_holds_get_what_there_is() -> None:
    shop = Shop(LIMITS)
    shop.ask(place("huge", *[(0, UNITS_MAX)] * 3))
    assert replay_of(shop.engine).digest() == shop.engine.state.digest()
    row = shop.engine.state.cells.row_of[0]
    assert shop.engine.state.cells.figures[row, 0, Figure.ALLOCATED] == 100
    assert shop.engine.state.cells.available[row, 0] == 0


def test_no_commit_is_forgotten_where_threads_change_at_any_moment() -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        shop = Shop(LIMITS)
        last = [shop.engine.submit([columns(received(f"r{i}", (0, 0, 1)), PLACE)], START) for i in range(2_000)][-1]
        last.wait()
        shop.engine.close()
    finally:
        sys.setswitchinterval(before)


def test_units_that_come_back_and_serve_back_orders_need_rows_too() -> None:
    shop = Shop(replace(LIMITS, parts_max=4))
    shop.ask(asks.Channels("waits", ((0, asks.Policy(EVERY_NODE, on_short=OnShort.BACK_ORDER)),)))
    shop.ask(place("all", (0, 100)))
    shop.ask(place("waiting", (0, 5)))
    shop.ask(act("ship", "all", Action.SHIP, 100))
    with pytest.raises(OutOfRoom, match="parts_max is 4"):
        shop.ask(asks.Acts((asks.Act("back", "all", Action.RETURN, 2, restock=1),)))
    assert shop.engine.state.head(Head.PARTS) <= 3


@pytest.mark.skipif(sys.platform != "linux", reason="other systems take pages when they are touched")
def test_memory_that_columns_grow_into_is_taken_before_it_is_written() -> None:
    def faults_of_writing(rows: slice) -> int:
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
        column[rows] = 1
        return resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before

    column, used = reserve_column(8 * AHEAD_BYTES_MIN, np.uint8), 1
    faults_of_writing(slice(0, 1))
    room = RoomAhead([Growing(column, lambda: used, 1)])
    room.want()
    time.sleep(0.3)
    ahead = faults_of_writing(slice(0, AHEAD_BYTES_MIN // 2))
    beyond = faults_of_writing(slice(4 * AHEAD_BYTES_MIN, 4 * AHEAD_BYTES_MIN + AHEAD_BYTES_MIN // 2))
    used = 8 * AHEAD_BYTES_MIN
    room.want()  # nothing is left to take
    room.close()
    assert ahead < beyond // 4
    assert column.sum() == AHEAD_BYTES_MIN


@pytest.mark.skipif(sys.platform != "linux", reason="other systems take pages when they are touched")
def test_memory_for_orders_to_come_is_shared_out_by_what_an_order_takes() -> None:
    pages, usual = 64 * ROUND_BYTES, 2 * AHEAD_BYTES_MIN
    wide, narrow = reserve_column((pages // 8, 3), np.uint8), reserve_column(pages, np.uint8)
    used = [0, 0]
    with RoomAhead([Growing(wide, lambda: used[0], 1), Growing(narrow, lambda: used[1], 2)]) as room:
        assert room.take(5 * ROUND_BYTES, lambda: True)
        assert room.bytes_ahead == 5 * ROUND_BYTES - usual
        assert (room._taken[0], room._taken[1]) == (3 * ROUND_BYTES, 2 * ROUND_BYTES)
        used[:] = ROUND_BYTES, 2 * ROUND_BYTES
        assert room.bytes_ahead == 0, "all of it is in use"
        looks = iter([True, True, False])
        room.take(60 * ROUND_BYTES, looks.__next__)
        assert room._taken == [3 * ROUND_BYTES + ROUND_BYTES * 6 // 5, 2 * ROUND_BYTES + ROUND_BYTES * 4 // 5]


def test_memory_that_the_system_does_not_give_ahead_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_columns, "_madvise", lambda *_: -1)
    with RoomAhead([Growing(reserve_column(8 * ROUND_BYTES, np.uint8), lambda: 0, 1)]) as room:
        assert not room.take(4 * ROUND_BYTES, lambda: True)
        assert room.bytes_ahead == 0


@pytest.mark.parametrize("pipelined", [True, False])
def test_room_in_the_journal_that_a_commit_did_not_use_is_there_for_the_next(tmp_path: Path, pipelined: bool) -> None:
    engine = Shop(LIMITS, Journal.open(FolderDisk(tmp_path))).engine
    for number in range(0, 60, 3):
        of_three = [
            engine.submit([columns(place(f"order-{number + i}", (0, 1)), PLACE)], START + number + i, pipelined)
            for i in range(3)
        ]
        assert engine._promised <= engine.journal.room
        for pending in of_three:
            pending.wait()
        assert engine._promised == engine.journal.room
