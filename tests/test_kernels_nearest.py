"""kernels/nearest.py against the rule as tests/rules.py words it: seeded random shops of odd sizes, order by order."""

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from kernels.capacity import no_capacity
from kernels.cheapest import no_prices
from kernels.columns import (
    NO_NODE,
    NODES_MAX,
    NONE,
    Batch,
    Capacity,
    Cells,
    Drawn,
    Fences,
    OnShort,
    Outcome,
    Places,
    Policies,
    no_terms,
)
from kernels.nearest import empty_drawn, nearest, parts_max
from tests.driving import COMPILED, node_words
from tests.rules import Terms, backed, sellable, source

CHANNELS = 3
CODES = 5
AWAY = -77  # in columns that nothing may touch


@dataclass
class Shop:
    """Stock, ring-fences and policies as plain Python; `columns` makes what the kernel takes."""

    available: list[list[int] | None]  # of each SKU, units by node; None: the SKU has no row
    metres: list[list[int]]
    groups: list[set[int]]
    split: list[bool]
    on_short: list[OnShort]
    fences: dict[tuple[int, int, int], int] = field(default_factory=dict)  # (SKU, node, channel): units
    preferred: list[set[int]] = field(default_factory=lambda: [set()] * CHANNELS)
    left: dict[int, list[int]] = field(default_factory=dict)  # orders and units of each node with a limit

    @property
    def nodes(self) -> int:
        return len(self.metres[0])

    def columns(self) -> tuple[Cells, Fences, Policies, Places]:
        with_row = [sku for sku, units in enumerate(self.available) if units is not None]
        random.Random(1).shuffle(with_row)
        row_of = np.full(len(self.available), NONE, np.int32)
        row_of[with_row] = range(len(with_row))
        stride = self.nodes + 2
        available = np.full((len(with_row) + 1, stride), AWAY, np.int32)
        stocked = np.zeros((len(with_row) + 1, -(-stride // 64)), np.uint64)
        for row, sku in enumerate(with_row):
            units = self.available[sku]
            assert units is not None
            available[row, : self.nodes] = units
            stocked[row] = node_words({n for n, u in enumerate(units) if u})[: stocked.shape[1]]
        head, following = np.full(len(self.available), NONE, np.int32), []
        for row, (sku, _, _) in enumerate(self.fences):
            following.append(head[sku])
            head[sku] = row
        _, node, channel = np.array(list(self.fences), np.int16).reshape(-1, 3).T.copy()
        fences = Fences(
            head, node.copy(), channel.copy(), np.array(list(self.fences.values()), np.int32),
            np.array(following, np.int32),
        )  # fmt: skip
        zeros = np.zeros(CHANNELS, np.int32)
        policies = Policies(
            np.array([node_words(frozenset(group)) for group in self.groups], np.uint64),
            np.array(self.split, np.uint8), np.array(self.on_short, np.uint8), zeros, zeros, zeros, zeros, zeros,
            zeros, zeros, np.zeros(1, np.int16), np.zeros((1, 5), np.int32), zeros,
            np.array([node_words(frozenset(nodes)) for nodes in self.preferred], np.uint64),
        )  # fmt: skip
        metres = np.full((CODES, stride), AWAY, np.int32)
        metres[:, : self.nodes] = self.metres
        rank = np.zeros((CODES, stride), np.uint8)
        for code, row_of_code in enumerate(self.metres):
            rank[code, : self.nodes] = sorted(range(self.nodes), key=lambda node: row_of_code[node])
        return Cells(row_of, np.zeros((1, 1, 8), np.int32), available, stocked), fences, policies, Places(metres, rank)

    def capacity(self) -> Capacity:
        of = no_capacity()
        of.limited[:] = node_words(frozenset(self.left))
        of.left[:] = AWAY
        for node, left in self.left.items():
            of.left[node] = left
        return of

    def full(self, units: int, channel: int) -> set[int]:
        """Nodes of the group without room for an order of so many units."""
        return {n for n, (orders, most) in self.left.items() if orders < 1 or most < units} & self.groups[channel]

    def units(self, sku: int, node: int) -> int:
        of = self.available[sku]
        return 0 if of is None else of[node]

    def kept(self, sku: int, node: int) -> dict[int, int]:
        return {channel: units for (s, n, channel), units in self.fences.items() if (s, n) == (sku, node)}

    def allocate(
        self, lines: list[tuple[int, int]], channel: int, code: int, nodes_max: int = 0, complete: bool = False
    ) -> tuple[Outcome, list[list[tuple]]]:
        """The order decided and taken, in plain Python: per line (node, units, fenced, metres)."""
        ranked = sorted(range(self.nodes), key=lambda node: self.metres[code][node])
        allowed = self.groups[channel] - self.full(sum(units for _, units in lines), channel)
        ranked = [node for node in ranked if node in allowed]

        def give(sku: int, node: int) -> int:
            return sellable(self.kept(sku, node), self.units(sku, node), channel)

        terms = Terms(nodes_max if self.split[channel] else 1, complete, frozenset(self.preferred[channel]))
        drawn = source(lines, ranked, give, terms)
        given, asked = sum(u for taken in drawn for _, u in taken), sum(units for _, units in lines)
        if given < asked and self.on_short[channel] is OnShort.REFUSE:
            return Outcome.REFUSED, [[] for _ in lines]
        for node in {node for taken in drawn for node, _ in taken} & self.left.keys():
            self.left[node][0] -= 1
            self.left[node][1] -= sum(part for taken in drawn for at, part in taken if at == node)
        out = []
        for (sku, units), taken in zip(lines, drawn, strict=True):
            parts = []
            for node, part in taken:
                fenced = min(part, backed(self.kept(sku, node), self.units(sku, node)).get(channel, 0))
                if fenced:
                    self.fences[sku, node, channel] -= fenced
                stock = self.available[sku]
                assert stock is not None
                stock[node] -= part
                parts.append((node, part, fenced, self.metres[code][node]))
            short = units - sum(part for _, part in taken)
            out.append(parts + ([(NO_NODE, short, 0, 0)] if short else []))
        outcome = Outcome.ALLOCATED if given == asked else Outcome.PARTLY if given else Outcome.SHORT
        return outcome, out

    def sellable_units(self, channel: int) -> dict[tuple[int, int], int]:
        """What the channel may take of each SKU at each node of its group."""
        return {
            (sku, node): sellable(self.kept(sku, node), self.units(sku, node), channel)
            for sku in range(len(self.available))
            for node in self.groups[channel]
        }

    def passed(
        self, lines: list[tuple[int, int]], parts: list[list[tuple]], stock: dict[tuple[int, int], int], channel: int,
        code: int,
    ) -> list[set[int]]:  # fmt: skip
        """For each line the nodes that gave it nothing though they had units of it, as far as those that did.

        stock: before the order. Lines before and behind that share the SKU leave what they do not take.
        """
        taken: Counter[tuple[int, int]] = Counter()
        for (sku, _), of_line in zip(lines, parts, strict=True):
            for node, units, *_ in of_line:
                taken[sku, node] += units
        out = []
        for (sku, _), of_line in zip(lines, parts, strict=True):
            gave = {node for node, *_ in of_line}
            others = {node for node in self.groups[channel] - gave if stock[sku, node] > taken[sku, node]}
            if gave and NO_NODE not in gave:
                reach = max((self.metres[code][node], node) for node in gave)
                others = {node for node in others if (self.metres[code][node], node) < reach}
            out.append(others)
        return out


def random_shop(rng: random.Random, nodes: int, skus: int, fences: int, units_max: int) -> Shop:
    def units() -> int:
        return rng.choice((0, 0, 1, rng.randint(0, units_max)))

    available = [None if rng.random() < 0.1 else [units() for _ in range(nodes)] for _ in range(skus)]
    far = rng.choice((3, 1000, 3_000_000))  # metres; few give many ties
    shop = Shop(
        available,
        [[rng.randint(0, far) for _ in range(nodes)] for _ in range(CODES)],
        [set(range(nodes))] + [{n for n in range(nodes) if rng.random() < 0.7} for _ in range(CHANNELS - 1)],
        [rng.random() < 0.8 for _ in range(CHANNELS)],
        [rng.choice(list(OnShort)) for _ in range(CHANNELS)],
    )
    if rng.random() < 0.5:
        shop.preferred = [{n for n in range(nodes) if rng.random() < 0.2} for _ in range(CHANNELS)]
    for node in rng.sample(range(nodes), rng.choice((0, 0, nodes // 2, nodes))):
        shop.left[node] = [rng.randint(0, 6), rng.randint(0, 6 * units_max)]
    for _ in range(fences):
        shop.fences[rng.randrange(skus), rng.randrange(nodes), rng.randrange(CHANNELS)] = rng.randint(0, units_max)
    return shop


def bits_of(words: Any) -> set[int]:
    return {64 * word + bit for word, bits in enumerate(words.tolist()) for bit in range(64) if bits >> bit & 1}


def random_orders(rng: random.Random, skus: int, orders: int, lines_max: int, units_max: int) -> list[tuple]:
    out = []
    for _ in range(orders):
        lines = rng.randint(1, lines_max)
        few = rng.sample(range(skus), min(skus, rng.randint(1, lines)))  # so that SKUs come twice
        order = [(rng.choice(few), rng.randint(1, units_max)) for _ in range(lines)]
        terms = (rng.choice((0, 0, 1, 2, 3)), rng.random() < 0.2)
        out.append((rng.randrange(CHANNELS), rng.randrange(CODES), order, *terms))
    return out


def batch_of(orders: list[tuple]) -> Batch:
    lines = [line for _, _, order, *_ in orders for line in order]
    first = np.cumsum([0] + [len(order) for _, _, order, *_ in orders])
    nodes_max, complete = no_terms(len(orders))
    for i, (_, _, _, *terms) in enumerate(orders):
        nodes_max[i], complete[i] = terms or (0, False)
    return Batch(
        np.array([order[0] for order in orders], np.int16), np.array([order[1] for order in orders], np.int32),
        first.astype(np.int64), np.array([s for s, _ in lines], np.int32), np.array([u for _, u in lines], np.int32),
        nodes_max, complete,
    )  # fmt: skip


def parts_of(drawn: Drawn, batch: Batch, order: int) -> list[list[tuple]]:
    at = int(drawn.part_count[: batch.first_line[order]].sum())
    out = []
    for line in range(batch.first_line[order], batch.first_line[order + 1]):
        end = at + int(drawn.part_count[line])
        columns = (drawn.node, drawn.quantity, drawn.fenced, drawn.metres)
        out.append(list(zip(*(column[at:end].tolist() for column in columns), strict=True)))
        at = end
    return out


def compare(shop: Shop, orders: list[tuple]) -> None:
    """The kernel on the whole batch, the rule order by order: decisions and what is left must be the same."""
    cells, fences, policies, places = shop.columns()
    batch = batch_of(orders)
    room = parts_max(batch.quantity, shop.nodes)
    drawn = empty_drawn(len(orders), batch.sku.size, room + 1, shop.nodes)
    drawn.node[room] = AWAY
    capacity = shop.capacity()
    count = nearest(batch, shop.nodes, cells, fences, policies, places, no_prices(), capacity, drawn)
    assert count == drawn.part_count.sum() <= room
    assert drawn.node[room] == AWAY
    for i, (channel, code, lines, *terms) in enumerate(orders):
        stock, full = shop.sellable_units(channel), shop.full(sum(units for _, units in lines), channel)
        outcome, parts = shop.allocate(lines, channel, code, *terms)
        assert bits_of(drawn.full[i]) == full
        assert (Outcome(drawn.outcome[i]), parts_of(drawn, batch, i)) == (outcome, parts), (i, channel, code, lines)
        passed = [bits_of(words) for words in drawn.passed[batch.first_line[i] : batch.first_line[i + 1]]]
        assert passed == shop.passed(lines, parts, stock, channel, code), (i, channel, code, lines, parts)
    after, fences_after, _, _ = shop.columns()
    assert (cells.available == after.available).all()
    assert (cells.stocked == after.stocked).all()
    assert (fences.remaining == fences_after.remaining).all()
    assert (capacity.left == shop.capacity().left).all()


CASES = 25 if COMPILED else 2


@pytest.mark.parametrize("fences", [0, 40], ids=["no ring-fences", "ring-fences"])
@pytest.mark.parametrize("nodes", [1, 2, 22, 63, 64, 65, 200])
def test_a_batch_is_allocated_as_the_rule_says(nodes: int, fences: int) -> None:
    for seed in range(CASES if nodes < 100 else max(2, CASES // 5)):
        rng = random.Random(f"{nodes} {fences} {seed}")
        skus = rng.choice((1, 3, 20))
        units_max = rng.choice((1, 2, 12))
        shop = random_shop(rng, nodes, skus, fences, units_max)
        compare(shop, random_orders(rng, skus, 30, rng.choice((1, 2, 5)), units_max))


@pytest.mark.parametrize("lines", [62, 63, 64, 65, 70])
def test_orders_of_many_lines_are_allocated_as_the_rule_says(lines: int) -> None:
    for seed in range(CASES // 3 + 1):
        rng = random.Random(f"{lines} {seed}")
        units_max = rng.choice((1, 3))
        shop = random_shop(rng, rng.choice((2, 6, 66)), 80, rng.choice((0, 200)), units_max)
        for units in shop.available:  # well stocked, so that whole orders fit one node or two
            if units is not None:
                units[:] = [u or rng.randint(0, 9) for u in units]
        orders = [
            (rng.randrange(CHANNELS), 0, [(sku, rng.randint(1, units_max)) for sku in rng.sample(range(80), lines)])
            for _ in range(3)
        ]
        compare(shop, orders)


@pytest.mark.parametrize("lines", [2, 3, 62, 63, 64, 65, 66, 70])
@pytest.mark.parametrize("units", [1, 2])
def test_a_pair_that_covers_an_order_goes_before_the_node_that_gives_most(units: int, lines: int) -> None:
    """The first node has all but two lines, each of the pair has every other: the greedy choice would need three."""
    most = [0, 0] + [units] * (lines - 2)
    near, far = [units * (i % 2) for i in range(lines)], [units * ((i + 1) % 2) for i in range(lines)]
    stock: list[list[int] | None] = [[most[i], near[i], 0, far[i]] for i in range(lines)]
    everywhere = [set(range(4))] * CHANNELS
    shop = Shop(stock, [[1, 2, 3, 4]] * CODES, everywhere, [True] * CHANNELS, [OnShort.KEEP] * CHANNELS)
    _, parts = shop.allocate(order := [(sku, units) for sku in range(lines)], 0, 0)
    assert {node for line in parts for node, *_ in line} == {1, 3}
    stock[:] = [[most[i], near[i], 0, far[i]] for i in range(lines)]
    compare(shop, [(0, 0, order)])


def test_two_halves_of_a_line_add_up() -> None:
    everywhere = [set(range(3))] * CHANNELS
    shop = Shop([[2, 1, 1]], [[1, 2, 3]] * CODES, everywhere, [True] * CHANNELS, [OnShort.KEEP] * CHANNELS)
    compare(shop, [(0, 0, [(0, 3)]), (0, 0, [(0, 1)])])


def test_the_largest_quantities_do_not_overflow() -> None:
    billion = 1_000_000_000
    shop = Shop(
        [[billion, billion, billion], [billion, 0, billion]], [[1, 2, 3]] * CODES, [{0, 1, 2}] * CHANNELS,
        [True] * CHANNELS, [OnShort.KEEP] * CHANNELS,
    )  # fmt: skip
    compare(shop, [(0, 0, [(0, billion), (1, billion)]), (1, 0, [(0, billion)]), (2, 0, [(0, billion), (1, billion)])])


def test_no_order_is_no_work() -> None:
    shop = Shop([[1]], [[1]] * CODES, [{0}] * CHANNELS, [True] * CHANNELS, [OnShort.KEEP] * CHANNELS)
    cells, fences, policies, places = shop.columns()
    empty = batch_of([])._replace(sku=np.empty(0, np.int32), quantity=np.empty(0, np.int32))
    assert nearest(empty, 1, cells, fences, policies, places, no_prices(), no_capacity(), empty_drawn(0, 0, 0, 1)) == 0


assert NODES_MAX >= 200
