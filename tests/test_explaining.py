"""engine/explaining.py against the rules in plain Python: before each decision it is worked out anew which nodes had
what, and who was passed over for what. Then what lasts: repeats, replay, snapshots, confirmed carts, what moved since.
"""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import decide, snapshot
from engine.answers import FirstAnswers
from engine.commands import Parts, PlaceOrders
from engine.explaining import Choice, Decided, Explanation, Why, are_elsewhere, decided, explained, moved_since
from engine.journal import JournalMissing
from engine.journal.records import decode
from engine.lifecycle import Action
from engine.outcomes import Cause
from engine.reading import Elsewhere
from kernels.cheapest import Fees
from kernels.columns import NO_NODE, OnShort
from tests import asks
from tests.driving import (
    COMPILED,
    SECOND,
    START,
    Pair,
    columns,
    counted,
    i16,
    i32,
    place,
    policy,
    received,
    reserve,
    texts,
)
from tests.rules import sellable


def facts(pair: Pair, order_id: str, channel: int = 0, cart: bool = False) -> Decided:
    found = decided(pair.state, pair.engine.first_answers, channel, order_id, cart)
    assert isinstance(found, Decided)
    return found


def told(pair: Pair, order_id: str, channel: int = 0, cart: bool = False) -> Explanation:
    return explained(facts(pair, order_id, channel, cart))


def passed(explanation: Explanation) -> list[list[tuple[int, Why]]]:
    """Of each line, the nodes passed over and why."""
    return [[(other.node, other.why) for other in line.passed] for line in explanation.lines]


# The twin


class Before:
    """What each node could have given to a channel before a decision, from the model."""

    def __init__(self, pair: Pair, cart: asks.Cart) -> None:
        model = pair.model
        self.cart, self.policy = cart, model.policies[cart.channel]
        self.active = list(model.active)
        self.metres = model.metres[cart.code]
        self.ranked = sorted(range(len(self.metres)), key=lambda node: (self.metres[node], node))
        at = [(sku, node) for sku, _ in cart.lines for node in self.ranked]
        self.units = {cell: sellable(model.kept(*cell), model.available(*cell), cart.channel) for cell in at}
        self.units |= {cell: 0 for cell in at if self.barred(cell[1])}

    def barred(self, node: int) -> Why | None:
        if node not in self.policy.nodes:
            return Why.NOT_IN_GROUP
        if not self.active[node]:
            return Why.NODE_CLOSED
        return Why.CHANNEL_CLOSED if self.policy.closed else None

    def choice(self, given: bool) -> Choice:
        need: Counter[int] = Counter()
        for sku, units in self.cart.lines:
            need[sku] += units
        covers = lambda *nodes: all(sum(self.units[s, n] for n in nodes) >= u for s, u in need.items())  # noqa: E731
        if any(covers(node) for node in self.ranked):
            return Choice.ONE_NODE
        if not self.policy.split or not given:
            return Choice.NO_NODE
        if any(covers(a, b) for a in self.ranked for b in self.ranked if a != b):
            return Choice.PAIR
        return Choice.GREEDY if any(self.units.values()) else Choice.NO_NODE

    def explanation(self, answer: asks.OrderAnswer) -> Any:
        """(choice, per line: parts with rank and extra metres, who was passed over and why)."""
        taken: Counter[tuple[int, int]] = Counter()
        for sku, _, parts in answer.lines:
            for node, _, units, _ in parts:
                taken[sku, node] += units
        lines = []
        for sku, units, parts in answer.lines:
            gave = [node for node, *_ in parts if node != NO_NODE]
            is_short = sum(part[2] for part in parts if part[0] != NO_NODE) < units
            last = len(self.ranked) if is_short else max(map(self.ranked.index, gave))
            had = {node for node in self.ranked if node not in gave and self.units[sku, node] > taken[sku, node]}
            others = [
                (node, Why.SPLIT if node in had else self.barred(node) or Why.NO_STOCK)
                for node in self.ranked[:last]
                if node not in gave
            ]
            near = min([self.metres[n] for n in [*gave, *(n for n in self.ranked[:last] if n in had)]], default=0)
            lines.append(
                (
                    [(n, u, self.ranked.index(n) + 1, m, m - near) if n != NO_NODE else (n, u, 0, 0, 0)
                     for n, _, u, m in parts],
                    others,
                )
            )  # fmt: skip
        return self.choice(any(parts for *_, parts in answer.lines)), lines


def as_twin(explanation: Explanation) -> Any:
    lines = [
        ([(part.node, part.units, part.rank, part.metres, part.extra_metres) for part in line.parts], others)
        for line, others in zip(explanation.lines, passed(explanation), strict=True)
    ]
    return explanation.choice, lines


NODES, SKUS, CODES = 5, 3, 5


def random_world(rng: random.Random) -> Pair:
    """Channels that split and do not, refuse, back-order or keep, some with few nodes or closed; ring-fences; a node
    that is closed."""
    some = frozenset(rng.sample(range(NODES), 3))
    policies = [
        policy(on_short=OnShort.KEEP), policy(split=False), policy(on_short=OnShort.REFUSE),
        asks.Policy(some, on_short=OnShort.BACK_ORDER), asks.Policy(some, split=False, on_short=OnShort.REFUSE),
    ]  # fmt: skip
    pair = Pair(nodes=NODES, skus=SKUS, codes=CODES, policies=policies)
    cells = [(sku, node, rng.choice((0, 1, 3, 8))) for sku in range(SKUS) for node in range(NODES)]
    pair.commit(received("stock", *(cell for cell in cells if cell[2])))
    kept = {(rng.randrange(5), rng.randrange(SKUS), rng.randrange(NODES)): rng.randint(1, 6) for _ in range(4)}
    pair.commit(asks.Fence("fences", tuple((*at, units) for at, units in kept.items())))
    if rng.random() < 0.6:
        pair.commit(asks.Opening("closed", ((rng.randrange(NODES), False),)))
    if rng.random() < 0.3:
        channel = rng.randrange(5)
        pair.commit(asks.Channels("shut", ((channel, asks.Policy(**{**vars(policies[channel]), "closed": True})),)))
    return pair


@pytest.mark.parametrize("seed", range(24 if COMPILED else 2))
def test_each_decision_is_explained_as_the_rules_would(seed: int) -> None:
    rng = random.Random(seed)
    pair = random_world(rng)
    expected = []
    for number in range(12):
        lines = tuple((rng.randrange(SKUS), rng.choice((1, 1, 2, 6))) for _ in range(rng.randint(1, 3)))
        is_cart = rng.random() < 0.3
        expires_at = START + 1000 * SECOND if is_cart else 0
        cart = asks.Cart(f"o{number}", lines, rng.randrange(5), rng.randrange(CODES), expires_at)
        before = Before(pair, cart)
        (answer,) = pair.commit(asks.Reserve((cart,)) if is_cart else asks.Place((cart,)))
        expected.append((cart, before.explanation(answer)))
    for cart, explanation in expected:  # also after others have taken the stock
        found = told(pair, cart.id, cart.channel, bool(cart.expires_at))
        assert as_twin(found) == explanation, cart
        assert not found.may_have_changed
    choices = {choice for _, (choice, _) in expected}
    assert len(choices) > 1
    pair.close()


# What lasts, and what may change


def shop(path: Path | None = None, **policies: Any) -> Pair:
    """Three nodes from near to far, with 2, 0 and 9 units of SKU 0."""
    pair = Pair(nodes=3, skus=2, codes=1, policies=[asks.Policy(frozenset({0, 1, 2}), **policies)], path=path)
    pair.commit(received("r", (0, 0, 2), (0, 2, 9)))
    return pair


SPLIT_AND_EMPTY = [[(0, Why.SPLIT), (1, Why.NO_STOCK)]]


@pytest.mark.parametrize("from_snapshot", [False, True])
def test_an_explanation_is_the_same_after_a_restart_and_the_order_again_has_its_first_answer(
    from_snapshot: bool, tmp_path: Path
) -> None:
    pair = shop(tmp_path / "data")
    (first,) = pair.commit(place("o", (0, 5)))
    pair.commit(received("more", (1, 0, 1)))
    before = told(pair, "o")
    pair.reopen(from_snapshot)  # the digest is compared, and nothing of a reason is in it
    assert told(pair, "o") == before
    assert passed(before) == SPLIT_AND_EMPTY
    assert not before.may_have_changed
    (again,) = pair.commit(place("o", (0, 5)))
    assert (again.again, again.lines) == (True, first.lines)
    pair.close()


def test_a_snapshot_that_does_not_say_since_when_the_nodes_are_so_leaves_it_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns_of = snapshot._columns
    monkeypatch.setattr(
        snapshot, "_columns", lambda state: (one for one in columns_of(state) if one[0] != "groups_since")
    )
    pair = shop(tmp_path / "data")
    pair.commit(place("o", (0, 5)))
    pair.commit(received("more", (1, 0, 1)))
    pair.reopen(snapshot=True)
    assert told(pair, "o").may_have_changed
    pair.commit(place("p", (0, 1)))
    assert not told(pair, "p").may_have_changed


def test_who_may_give_is_told_as_of_now_and_it_is_said_when_that_may_have_changed() -> None:
    pair = shop()
    pair.commit(place("o", (0, 5)))
    assert not told(pair, "o").may_have_changed
    pair.commit(asks.Opening("close", ((1, False),)))
    found = told(pair, "o")
    assert found.may_have_changed
    assert passed(found) == [[(0, Why.SPLIT), (1, Why.NODE_CLOSED)]]  # that node 0 had units is of then
    pair.commit(place("later", (0, 3)))
    assert not told(pair, "later").may_have_changed


def test_a_confirmed_cart_keeps_its_reasons_and_one_that_is_sourced_again_has_new_ones() -> None:
    pair = shop()
    pair.commit(
        reserve("v", (0, 5), expires_at=START + 100 * SECOND), reserve("w", (0, 3), expires_at=START + 100 * SECOND)
    )
    decided_in = pair.state.sequence
    pair.commit(received("more", (0, 1, 9)))
    pair.commit(asks.Confirm((asks.Confirmation("c", "o", "v"),)))
    kept = facts(pair, "o")
    assert (kept.decided_in, kept.sequence) == (decided_in, pair.state.sequence)
    assert (kept.reservation, explained(kept).choice) == (facts(pair, "v", cart=True).number, Choice.ONE_NODE)
    assert explained(kept).lines == told(pair, "v", cart=True).lines
    assert passed(explained(kept)) == SPLIT_AND_EMPTY
    pair.commit(counted("less", (0, 2, 6)))  # one unit of the cart is gone: the cart is sourced again
    pair.commit(asks.Confirm((asks.Confirmation("d", "p", "w"),)))
    anew = facts(pair, "p")
    assert anew.decided_in == anew.sequence == pair.state.sequence
    assert passed(explained(anew)) == [[(0, Why.SPLIT)]]
    pair.close()


def test_what_waited_is_told_with_the_commit_and_the_cause_that_served_it(tmp_path: Path) -> None:
    pair = shop(tmp_path / "data", on_short=OnShort.BACK_ORDER)
    pair.commit(place("o", (0, 13)))
    found = facts(pair, "o")
    assert explained(found).choice is Choice.GREEDY
    assert not are_elsewhere(found)
    pair.commit(received("r2", (0, 1, 7)))
    served_in = pair.state.sequence
    pair.commit(counted("k", (0, 2, 8)))
    pair.commit(asks.Acts((asks.Act("a", "o", Action.PICK, 1),)))
    found = facts(pair, "o")
    assert are_elsewhere(found)
    moved = [(m.sequence, m.node, m.units, m.cause, m.released) for m in moved_since(pair.engine.journal, found)]
    assert moved == [
        (served_in, 1, 2, Cause.RECEIPT, False), (served_in + 1, 2, 1, Cause.COUNT, True),
        (served_in + 1, 1, 1, Cause.COUNT, False),
    ]  # fmt: skip
    pair.close()


def planned_orders(parts: Parts) -> PlaceOrders:
    """Two orders of a unit of SKU 0, with a plan."""
    first = np.arange(3, dtype=np.int64)
    return PlaceOrders(texts(["x", "y"]), i16([0, 0]), i32([0, 0]), first, i32([0, 0]), i32([1, 1]), planned=parts)


@pytest.mark.parametrize("cost", [[0, 70], None])
def test_units_by_a_plan_are_where_the_price_put_them(cost: list[int] | None) -> None:
    pair = shop()
    extra = None if cost is None else np.array(cost, np.int64)
    pair.engine.commit(planned_orders(Parts(i32([1, 1]), i16([0, 2]), i32([1, 1]), extra)), START)
    x, y = told(pair, "x"), told(pair, "y")
    assert (x.choice, y.choice) == (Choice.LEAST_COST, Choice.LEAST_COST)
    assert (passed(x), passed(y)) == ([[]], [[(0, Why.PRICE), (1, Why.NO_STOCK)]])
    assert [line.extra_cost for line in x.lines + y.lines] == (cost or [None, None])
    (part,) = y.lines[0].parts
    assert part.extra_metres == part.metres - x.lines[0].parts[0].metres > 0


def test_units_that_a_price_of_stock_keeps_for_others_are_told_as_such() -> None:
    pair = shop()
    pair.state.decide_by_cost(Fees(100.0, 0.001, 0.0, 0.0))
    pair.state.prices.value[pair.state.cells.row_of[0], 0] = 100_000
    pair.engine.commit(columns(place("o", (0, 1)), pair.places), START)
    found = told(pair, "o")
    assert (found.choice, passed(found)) == (Choice.PRICED, [[(0, Why.PRICE), (1, Why.NO_STOCK)]])
    near, far = pair.state.places.metres[0, [0, 2]]
    assert found.lines[0].extra_cost == round(0.001 * float(far - near))
    pair.engine.commit(columns(place("p", (1, 1)), pair.places), START)  # there is none: the nearest rule says so
    assert told(pair, "p").choice is Choice.NO_NODE
    assert told(pair, "p").lines[0].extra_cost is None


def test_a_plan_that_does_not_fit_leaves_no_price_behind() -> None:
    pair = shop()
    parts = Parts(i32([1, 1]), i16([1, 1]), i32([1, 1]), np.array([3, 4], np.int64))  # node 1 is empty
    pair.engine.commit(planned_orders(parts), START)
    found = told(pair, "y")
    assert (found.choice, found.lines[0].extra_cost) == (Choice.ONE_NODE, None)


def test_orders_of_a_version_that_noted_no_reasons_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = shop()
    tables = decide._tables

    def without_reasons(*given: Any) -> Any:
        orders, lines, parts = tables(*given)
        return {name: column for name, column in orders.items() if name != "rule"}, {
            name: column for name, column in lines.items() if not name.startswith("passed")
        }, parts  # fmt: skip

    monkeypatch.setattr(decide, "_tables", without_reasons)
    pair.commit(place("o", (0, 5)))
    found = told(pair, "o")
    assert (found.choice, passed(found)) == (Choice.NOT_NOTED, [[]])
    assert [(part.node, part.rank) for part in found.lines[0].parts] == [(2, 3)]
    pair.close()


def test_far_nodes_beyond_what_is_named_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.explaining.PASSED_MAX", 1)
    pair = shop()
    pair.commit(place("o", (0, 5)))
    (line,) = told(pair, "o").lines
    assert ([other.node for other in line.passed], line.passed_more) == ([0], 1)


def test_an_order_that_is_unknown_or_whose_record_is_away_is_not_explained() -> None:
    pair = shop()
    pair.commit(place("o", (0, 1)))
    answers = pair.engine.first_answers
    assert decided(pair.state, answers, 0, "none", False) is Elsewhere.UNKNOWN
    assert decided(pair.state, answers, 0, "o", True) is Elsewhere.UNKNOWN
    away = FirstAnswers(_is_away, lambda _: 0)
    assert decided(pair.state, away, 0, "o", False) is Elsewhere.IN_VIEWS
    there = FirstAnswers(lambda sequence: decode(pair.engine.journal.record(sequence).body), lambda _: 0)
    assert decided(pair.state, there, 0, "o", False) == facts(pair, "o")


def _is_away(sequence: int) -> Any:
    raise JournalMissing(str(sequence))
