"""Clients of the simulation (tests/simulation.py): they draw commands by chance, some of them repeats with the same or
with other content, in a world so small that requests meet.
"""

import random
from collections import deque
from dataclasses import dataclass
from typing import Any

from engine.lifecycle import Action
from engine.outcomes import MovementKind
from kernels.columns import NO_NODE, UNITS_MAX, OnShort
from tests import asks
from tests.driving import EVERY_NODE, LIMITS, SECOND, START, columns

SKUS, NODES, CODES, CHANNELS = 4, 4, 3, 3
PLACES = [(200_000_000, 700_000_000 + 9_000_000 * node) for node in range(NODES)]


@dataclass
class Batch:
    """Commands of one commit, and the clock when they come."""

    asked: list[Any]
    stamp: int
    alone: bool = False  # by `commit`, which syncs in the same thread

    def columns(self) -> list[Any]:
        return [columns(command, PLACES) for command in self.asked]


class Clients:
    """Who asks. Ids are drawn here and go with the seed; what became of them is not looked at."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.clock = START
        self._drawn = 0
        self._orders: deque[tuple[int, str]] = deque([(0, "none")], 12)
        self._reservations: deque[tuple[int, str]] = deque([(0, "none")], 6)
        self._asked: deque[Any] = deque(maxlen=40)
        self._weights = {
            self._place: 8, self._reserve: 4, self._confirm: 4, self._release: 1, self._act: 9, self._receive: 5,
            self._count: 3, self._expect: 3, self._leave: 2, self._fence: 1, self._open: 1, self._policy: 1,
            self._exception: 1, self._name: 1,
        }  # fmt: skip

    def catalogue(self) -> list[Any]:
        """What must be there before anything else."""
        policies = (
            asks.Policy(EVERY_NODE, on_short=OnShort.KEEP, priority=2),
            asks.Policy(frozenset({0, 1, 3}), on_short=OnShort.BACK_ORDER, priority=1, share_ppm=500_000, buffer=1),
            asks.Policy(EVERY_NODE, split=False, on_short=OnShort.REFUSE, priority=1, cap=9, threshold=2),
        )
        return [
            asks.Opening("nodes", tuple((node, True) for node in range(NODES))),
            asks.Codes("codes", tuple(range(CODES))),
            asks.Names("names", tuple(f"sku-{sku}" for sku in range(SKUS))),
            asks.Channels("channels", tuple(enumerate(policies))),
            asks.Stock("first", tuple((sku, sku % NODES, MovementKind.RECEIVED, 12) for sku in range(SKUS))),
        ]

    def batch(self, sequence: int) -> Batch:
        """One to four commands, or one of upkeep."""
        self.clock += self.chance.choice([0, 1, SECOND, 3 * SECOND, 15 * SECOND])
        stamp = self.clock - self.chance.choice([0, 0, 0, 2 * SECOND])  # a clock that is set back
        draw = self.chance.random()
        if draw < 0.03:
            return Batch([asks.Retire(self.clock - self.chance.randrange(30) * SECOND)], stamp)
        if draw < 0.05:
            return Batch([asks.Forget(max(1, sequence - self.chance.randrange(2, 30)))], stamp)
        if draw < 0.07:
            return Batch([asks.Names(self._id("many"), tuple(self._id("sku") for _ in range(LIMITS.skus_max)))], stamp)
        commands = [self._command() for _ in range(self.chance.choice([1, 1, 1, 2, 4]))]
        return Batch(commands, stamp, alone=len(commands) == 1 and self.chance.random() < 0.4)

    def _command(self) -> Any:
        if self._asked and self.chance.random() < 0.15:
            return self.chance.choice(self._asked)
        (draw,) = self.chance.choices(list(self._weights), list(self._weights.values()))
        command = draw()
        self._asked.append(command)
        return command

    def _id(self, kind: str) -> str:
        self._drawn += 1
        return f"{kind}-{self._drawn}"

    def _some(self, most: int = 3) -> range:
        return range(self.chance.randint(1, most))

    def _cell(self) -> tuple[int, int]:
        return self.chance.randrange(SKUS), self.chance.randrange(NODES)

    def _cart(self, kind: str, expires_at: int = 0) -> asks.Cart:
        lines = tuple((self.chance.randrange(SKUS), self.chance.randint(1, 9)) for _ in self._some())
        channel, code = self.chance.randrange(CHANNELS), self.chance.randrange(CODES)
        known = self._reservations if expires_at else self._orders
        if self.chance.random() < 0.06:  # a known id, with whatever content
            channel, id = self.chance.choice(known)
        else:
            id = self._id(kind)
            known.append((channel, id))
        limit = self.chance.choice([0, 0, 0, 0, 1, 2, 3])
        return asks.Cart(id, lines, channel, code, expires_at, limit, self.chance.random() < 0.2)

    def _place(self) -> Any:
        return asks.Place(tuple(self._cart("order") for _ in self._some()))

    def _reserve(self) -> Any:
        until = self.clock + self.chance.randint(1, 60) * SECOND
        return asks.Reserve(tuple(self._cart("cart", until) for _ in self._some()))

    def _confirm(self) -> Any:
        rows = []
        for _ in self._some(2):
            channel, reservation = self.chance.choice(self._reservations)
            order, code = self._id("order"), self.chance.choice([-1, -1, 0, 1, 2])
            if self.chance.random() < 0.1:
                _, order = self.chance.choice(self._orders)
            self._orders.append((channel, order))
            rows.append(asks.Confirmation(self._id("confirm"), order, reservation, channel, code))
        return asks.Confirm(tuple(rows))

    def _release(self) -> Any:
        channel, reservation = self.chance.choice(self._reservations)
        return asks.Release((asks.Ending(self._id("release"), reservation, channel),))

    def _act(self) -> Any:
        rows = []
        for _ in self._some():
            channel, order = self.chance.choice(self._orders)
            action = self.chance.choice([*Action, Action.SHIP, Action.DELIVER])
            units, line = self.chance.choice([0, 0, 1, 2]), self.chance.choice([0, 0, 0, 1, 2])
            node = self.chance.choice([NO_NODE, NO_NODE, self.chance.randrange(NODES)])
            rows.append(asks.Act(self._id("act"), order, action, units, line, node, channel, self.chance.randrange(3)))
        return asks.Acts(tuple(rows))

    def _receive(self) -> Any:
        kinds = [MovementKind.RECEIVED] * 3 + [MovementKind.ADJUSTED, MovementKind.UNAVAILABLE]
        rows = tuple((*self._cell(), self.chance.choice(kinds), self.chance.randint(-3, 12)) for _ in self._some())
        return asks.Stock(self._id("stock"), rows, reference=self.chance.choice([0, 1, 2]))

    def _count(self) -> Any:
        kinds = [MovementKind.COUNTED, MovementKind.COUNTED, MovementKind.SAFETY_STOCK]
        rows = tuple((*self._cell(), self.chance.choice(kinds), self.chance.randint(0, 15)) for _ in self._some())
        return asks.Stock(self._id("count"), rows, self.chance.randint(-1, 1), self.chance.randrange(9))

    def _expect(self) -> Any:
        rows = tuple(
            (
                *self._cell(),
                self.chance.randint(1, 2),
                self.chance.randint(0, 9),
                self.clock + self.chance.randint(1, 99),
            )
            for _ in self._some()
        )
        return asks.Supply(self._id("expect"), rows)

    def _leave(self) -> Any:
        nodes = frozenset(self.chance.sample(range(NODES), self.chance.randint(1, 2)))
        return asks.Reallocate(self._id("leave"), nodes, self.chance.randrange(3), short=self.chance.random() < 0.3)

    def _fence(self) -> Any:
        rows = tuple((self.chance.randrange(CHANNELS), *self._cell(), self.chance.randint(0, 6)) for _ in self._some())
        return asks.Fence(self._id("fence"), rows)

    def _open(self) -> Any:
        return asks.Opening(self._id("open"), ((self.chance.randrange(NODES), self.chance.random() < 0.8),))

    def _policy(self) -> Any:
        policy = asks.Policy(
            frozenset(self.chance.sample(range(NODES), self.chance.randint(1, NODES))), self.chance.random() < 0.8,
            self.chance.choice(list(OnShort)), self.chance.randrange(3), self.chance.choice([1_000_000, 333_333, 0]),
            self.chance.randrange(3), self.chance.choice([UNITS_MAX, 5]), self.chance.randrange(3),
            self.chance.choice([0, 0, 150_000]), self.chance.random() < 0.2,
            *(frozenset(self.chance.sample(range(NODES), self.chance.randrange(2))) for _ in range(2)),
        )  # fmt: skip
        return asks.Channels(self._id("policy"), ((self.chance.randrange(CHANNELS), policy),))

    def _exception(self) -> Any:
        row = (
            self.chance.randrange(CHANNELS),
            self.chance.randrange(SKUS),
            700_000,
            self.chance.randrange(3),
            8,
            1,
            90_000,
        )
        return asks.Exceptions(self._id("exception"), (row,))

    def _name(self) -> Any:
        return asks.Names(self._id("name"), (self._id("sku"),))
