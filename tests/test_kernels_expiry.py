"""kernels/expiry.py against a sorted list: reservations come out when they are due, earliest first, once."""

import random
from typing import NamedTuple

import numpy as np
import pytest

from engine.state import State
from kernels.columns import Head, OrderKind
from kernels.expiry import count_due, rebuild_expiries, take_due, watch_expiries
from tests.driving import COMPILED, LIMITS, SECRET, i32

ROWS = 40


class Entry(NamedTuple):
    at: int
    number: int
    row: int


class Watch:
    """Rows of the order columns, written as the book would, and the entries that ought to be known."""

    def __init__(self, seed: object) -> None:
        self.rng = random.Random(str(seed))
        self.state = State(np.frombuffer(SECRET, np.uint64).copy(), LIMITS)
        self.open: dict[int, Entry] = {}  # reservations by row
        self.known: list[Entry] = []  # open ones, and what ended ones left behind
        self.number = 0

    def enter(self) -> None:
        """Reservations, some orders between them, and a refused one without a row."""
        rows = self.rng.sample([row for row in range(ROWS) if row not in self.open], self.rng.randint(0, 6))
        orders = self.state.book.orders
        for row in rows:
            self.number += 1
            is_reservation = self.rng.random() < 0.8
            orders.number[row], orders.due_at[row] = self.number, self.rng.randint(0, 30)
            orders.kind[row] = OrderKind.RESERVATION if is_reservation else OrderKind.ORDER
            if is_reservation:
                self.open[row] = Entry(int(orders.due_at[row]), self.number, row)
                self.known.append(self.open[row])
        self.state.book.heads[Head.ORDERS] = ROWS
        watch_expiries(i32([*rows, -1]), self.state.book, self.state.expiries)

    def end_some(self) -> None:
        """Reservations that end early leave their entry behind; their row may be used again."""
        for row in [row for row in self.open if self.rng.random() < 0.3]:
            del self.open[row]
            self.state.book.orders.kind[row] = OrderKind.FREE
            self.state.book.orders.number[row] = 0

    def take(self, stamp: int) -> None:
        rows = np.full(ROWS + 1, -7, np.int32)
        there = count_due(stamp, self.state.book, self.state.expiries)
        count = take_due(stamp, self.state.book, self.state.expiries, rows)
        due = sorted(entry for entry in self.known if entry.at <= stamp)
        self.known = [entry for entry in self.known if entry.at > stamp]
        expected = [entry.row for entry in due if self.open.get(entry.row) == entry]
        assert rows[:count].tolist() == expected
        assert there == len(due)
        assert rows[count] == -7
        for row in expected:
            del self.open[row]
            self.state.book.orders.kind[row] = OrderKind.FREE
        self.check()

    def check(self) -> None:
        size = self.state.head(Head.EXPIRIES)
        heap = self.state.expiries
        entries = zip(heap.at[:size].tolist(), heap.number[:size].tolist(), heap.order[:size].tolist(), strict=True)
        assert sorted(entries) == sorted(self.known)
        if size:
            assert heap.at[0] == min(entry.at for entry in self.known)


@pytest.mark.parametrize("seed", range(40 if COMPILED else 5))
def test_reservations_come_out_when_they_are_due_earliest_first(seed: int) -> None:
    watch = Watch(seed)
    for _ in range(30):
        watch.rng.choice((Watch.enter, Watch.enter, Watch.end_some))(watch)
        watch.check()
        if watch.rng.random() < 0.4:
            watch.take(watch.rng.randint(0, 32))
    watch.take(99)
    assert watch.open == {}
    assert watch.state.head(Head.EXPIRIES) == 0


def test_a_reservation_is_due_at_its_microsecond_and_not_before() -> None:
    watch = Watch("edge")
    while not watch.open:
        watch.enter()
    first = min(watch.known)
    watch.take(first.at - 1)
    assert first.row in watch.open
    watch.take(first.at)
    assert first.row not in watch.open


@pytest.mark.parametrize("seed", range(10))
def test_a_heap_built_anew_holds_the_open_reservations_and_gives_them_in_the_same_sequence(seed: int) -> None:
    watch = Watch(f"rebuild {seed}")
    for _ in range(8):
        watch.enter()
        watch.end_some()
    rebuild_expiries(watch.state.book, watch.state.expiries, 0)
    watch.known = list(watch.open.values())
    watch.check()
    for stamp in range(0, 31, 5):
        watch.take(stamp)


def test_nothing_is_due_in_an_empty_heap() -> None:
    watch = Watch("empty")
    watch.take(1 << 60)
    rebuild_expiries(watch.state.book, watch.state.expiries, 0)
    watch.take(1 << 60)
