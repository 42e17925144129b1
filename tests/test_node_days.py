"""Days of nodes: what orders take of them, when they begin, what comes back; by scenarios, and by chance against the
model (tests/day_model.py). After each, `allot verify` counts them again.
"""

import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from engine import reallocation, schema, writer
from engine.capacity import UNLIMITED, beyond
from engine.commands import Parts, PlaceOrders
from engine.explaining import Decided, Why, decided, explained
from engine.journal.records import decode
from engine.outcomes import Cause, OutOfRoom, Reply
from engine.reasons import full_nodes
from engine.snapshot import build_snapshot
from engine.state import State
from engine.verify import verify
from engine.writer import Engine
from kernels.capacity import no_capacity
from kernels.columns import NO_NODE, Head, OnShort
from tests import asks
from tests.clients import CODES, NODES, SKUS, Clients
from tests.day_model import DayPair, limited
from tests.driving import COMPILED, SECOND, columns, counted, i16, i32, place, policy, received, reserve

DAY, HOUR = 86_400 * SECOND, 3600 * SECOND
ANY = UNLIMITED


def nodes_of(answer: asks.OrderAnswer) -> list[tuple[int, int]]:
    return [(node, units) for _, _, parts in answer.lines for node, _, units, _ in parts]


def opened(path: Path | None = None, **terms: tuple[int, ...]) -> DayPair:
    pair = DayPair(nodes=2, skus=1, policies=[policy(on_short=OnShort.BACK_ORDER)], path=path)
    pair.commit(received("r", (0, 0, 100), (0, 1, 100)))
    pair.commit(limited("limits", **terms))
    return pair


def test_a_node_gives_to_as_many_orders_as_its_day_has() -> None:
    pair = opened(n0=(2,))
    answers = [pair.commit(place(f"o{i}", (0, 5)))[0] for i in range(3)]
    assert [nodes_of(answer) for answer in answers] == [[(0, 5)], [(0, 5)], [(1, 5)]]
    together = pair.commit(place("o3", (0, 1)), after=DAY)[0]
    assert nodes_of(together) == [(0, 1)]
    pair.close()


def test_an_order_comes_whole_or_not_at_all_into_the_units_of_a_day() -> None:
    pair = opened(n0=(ANY, 7), n1=(ANY, 4))
    (answer,) = pair.commit(place("o", (0, 5), (0, 3)))
    assert nodes_of(answer) == [(NO_NODE, 5), (NO_NODE, 3)]  # eight units: neither has room for all of them
    assert nodes_of(pair.commit(place("p", (0, 7)))[0]) == [(0, 7)]
    assert nodes_of(pair.commit(place("q", (0, 1)))[0]) == [(1, 1)]
    pair.close()


def test_a_limit_of_nothing_gives_nothing() -> None:
    pair = opened(n0=(0,), n1=(ANY, 0))
    assert pair.commit(place("o", (0, 1)))[0].reply is Reply.SHORT
    pair.close()


def test_orders_of_one_commit_share_the_day() -> None:
    pair = opened(n0=(3,))
    carts = tuple(asks.Cart(f"o{i}", ((0, 1),)) for i in range(5))
    answers = pair.commit(asks.Place(carts))
    assert [nodes_of(answer)[0][0] for answer in answers] == [0, 0, 0, 1, 1]
    pair.close()


def test_a_day_begins_at_the_cut_off_of_the_nodes_own_clock() -> None:
    pair = DayPair(nodes=1, skus=1)
    pair.commit(received("r", (0, 0, 100)))
    pair.stamp = pair.stamp // DAY * DAY + DAY + 9 * HOUR  # 14:30 in India
    pair.commit(limited("limits", n0=(1, ANY, 15 * 60, 330)))
    assert pair.commit(place("a", (0, 1)))[0].reply is Reply.ALLOCATED
    assert pair.commit(place("b", (0, 1)), after=29 * 60 * SECOND)[0].reply is Reply.SHORT
    assert pair.commit(place("c", (0, 1)), after=60 * SECOND)[0].reply is Reply.ALLOCATED  # 15:00
    assert pair.commit(place("d", (0, 1)), after=20 * HOUR)[0].reply is Reply.SHORT
    pair.close()


def test_the_first_commit_of_a_day_serves_what_waits() -> None:
    pair = opened(n0=(1,), n1=(0,))
    pair.commit(place("first", (0, 1)))
    assert nodes_of(pair.commit(place("waits", (0, 2)))[0]) == [(NO_NODE, 2)]
    pair.commit(place("later", (0, 3)))
    pair.commit(after=DAY)  # no command is needed, only a commit
    tables = pair.engine.tables_of(pair.state.sequence)
    assert [int(cause) for name, columns in tables if name.name == "moves" for cause in columns["cause"]] == [
        Cause.NEW_DAY
    ]
    assert pair.state.days.taken[0].tolist() == [1, 2]
    pair.close()


def test_a_cart_that_ends_gives_back_what_it_took_that_day() -> None:
    pair = opened(n0=(1,), n1=(0,))
    pair.commit(reserve("c", (0, 4), expires_at=pair.stamp + HOUR))
    assert pair.state.days.taken[0].tolist() == [1, 4]
    pair.commit(after=HOUR)
    assert pair.state.days.taken[0].tolist() == [0, 0]
    pair.commit(reserve("d", (0, 4), expires_at=pair.stamp + 2 * DAY))
    pair.commit(place("o", (0, 1)), after=DAY)
    pair.commit(asks.Release((asks.Ending("gone", "d", 0),)))
    assert pair.state.days.taken[0].tolist() == [1, 1]  # the cart's day is over: nothing comes back
    pair.close()


@pytest.mark.parametrize("after", [SECOND, DAY])
def test_a_cart_that_is_confirmed_does_not_count_twice(after: int) -> None:
    pair = opened(n0=(1,), n1=(0,))
    pair.commit(reserve("c", (0, 4), expires_at=pair.stamp + 2 * DAY))
    pair.commit(asks.Confirm((asks.Confirmation("k", "order", "c", 0),)), after=after)
    assert pair.state.days.taken[0].tolist() == ([1, 4] if after == SECOND else [0, 0])
    pair.close()


def test_a_cart_that_is_sourced_again_may_have_its_own_place_again() -> None:
    pair = DayPair(nodes=2, skus=1, codes=2)
    pair.commit(received("r", (0, 0, 10)))
    pair.commit(limited("limits", n0=(1, 4)))
    pair.commit(reserve("c", (0, 4), expires_at=pair.stamp + HOUR))
    (answer,) = pair.commit(asks.Confirm((asks.Confirmation("k", "order", "c", 0, 1),)))
    assert nodes_of(answer) == [(0, 4)]
    assert pair.state.days.taken[0].tolist() == [1, 4]
    pair.close()


def test_what_is_cancelled_is_spent() -> None:
    pair = opened(n0=(1,))
    pair.commit(place("o", (0, 5)))
    pair.commit(asks.Acts((asks.Act("x", "o", asks.Action.CANCEL),)))
    assert nodes_of(pair.commit(place("p", (0, 5)))[0]) == [(1, 5)]
    pair.close()


def test_a_limit_that_changes_keeps_what_was_taken_and_one_that_ends_forgets_it() -> None:
    pair = opened(n0=(2,))
    pair.commit(place("a", (0, 1)))
    pair.lowered = frozenset({0})
    pair.commit(limited("lower", n0=(0, 50)))
    assert pair.state.days.taken[0].tolist() == [1, 1]
    assert nodes_of(pair.commit(place("b", (0, 1)))[0]) == [(1, 1)]
    pair.commit(asks.Opening("none", ((0, True),)))
    assert not pair.state.days.is_any
    assert nodes_of(pair.commit(place("c", (0, 1)))[0]) == [(0, 1)]
    pair.close()


def test_a_commit_that_comes_to_nothing_turns_no_day() -> None:
    pair = opened(n0=(1,))
    pair.commit(place("a", (0, 1)))
    pair.commit(after=DAY)
    assert pair.state.days.taken[0].tolist() == [1, 1]
    assert pair.state.days.capacity_at(pair.stamp).left[0].tolist()[0] == 1
    assert nodes_of(pair.commit(place("b", (0, 1)))[0]) == [(0, 1)]
    pair.close()


def test_a_commit_that_is_refused_leaves_the_day_as_the_last_one_turned_it() -> None:
    pair = opened(n0=(2,))
    pair.commit(place("a", (0, 1)))
    pair.commit(place("b", (0, 1)), place("c", (0, 1)), after=DAY)
    most = pair.state.limits.supply_max + 1
    rows = tuple((0, 0, reference, 1, pair.stamp + DAY) for reference in range(1, most + 1))
    with pytest.raises(OutOfRoom):
        pair.engine.commit(columns(asks.Supply("s", rows), pair.places), pair.stamp)
    assert nodes_of(pair.commit(place("d", (0, 1)))[0]) == [(1, 1)]
    pair.close()


def test_a_refused_commit_on_a_new_day_does_not_turn_it() -> None:
    pair = opened(n0=(1,))
    pair.commit(place("a", (0, 1)))
    before = pair.state.days.digest()
    rows = tuple((0, 0, at, 1, pair.stamp) for at in range(1, pair.state.limits.supply_max + 2))
    with pytest.raises(OutOfRoom):
        pair.engine.commit(columns(asks.Supply("s", rows), pair.places), pair.stamp + DAY)
    assert pair.state.days.digest() == before
    pair.close()


def test_a_commit_is_due_when_the_day_of_a_node_begins_that_units_wait_for() -> None:
    pair = opened(n0=(1,), n1=(1, ANY, 60))
    assert pair.engine.next_due is None
    for name in "abcd":
        pair.commit(place(name, (0, 1)))
    due = pair.engine.next_due
    assert due == (pair.stamp // DAY + (pair.stamp % DAY >= HOUR)) * DAY + (pair.stamp % DAY < HOUR) * HOUR
    waits = pair.state.head(Head.WAITING_PARTS)
    pair.commit(after=due - pair.stamp - 1)
    assert pair.state.head(Head.WAITING_PARTS) == waits
    pair.commit(after=1)
    assert pair.state.head(Head.WAITING_PARTS) == waits - 1
    assert pair.engine.next_due > due
    pair.close()


def test_room_is_looked_for_where_a_reservation_ends_and_a_new_day_serves_its_units(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pair = opened(n0=(5,), n1=(0,))
    pair.commit(counted("all", (0, 0, 5), (0, 1, 0)))
    pair.commit(reserve("cart", (0, 5), expires_at=pair.stamp + DAY // 2))
    assert nodes_of(pair.commit(place("o", (0, 3)))[0]) == [(NO_NODE, 3)]
    looked_for: list[int] = []
    counting = writer.served_max

    def spy(state: State, sku: np.ndarray, *units: int) -> int:
        looked_for.extend(sku.tolist())
        return counting(state, sku, *units)

    monkeypatch.setattr(writer, "served_max", spy)
    pair.commit(after=DAY)
    assert looked_for == [0]
    assert pair.state.head(Head.WAITING_PARTS) == 0
    pair.close()


def test_terms_of_a_day_without_a_limit_are_kept_by_a_snapshot(tmp_path: Path) -> None:
    pair = opened(tmp_path / "data", n0=(ANY, ANY, 360, 330))
    engine = pair.engine
    digest = engine.state.digest()
    engine.state.days.terms[0, 2] = 361
    assert engine.state.digest() != digest
    engine.state.days.terms[0, 2] = 360
    engine.journal.seal()
    assert engine.folder is not None
    build_snapshot(engine.folder.disk, engine.journal, State(engine.folder.secret, engine.folder.limits))
    engine.close()
    with Engine.open(tmp_path / "data", publish=False) as again:
        assert again.started_from
        assert again.state.days.terms[0].tolist() == [ANY, ANY, 360, 330]
        assert again.state.digest() == digest


def test_orders_by_a_plan_say_which_nodes_were_full() -> None:
    pair = opened(n0=(1,))
    pair.state.days.refresh()
    plan = PlaceOrders(
        pa.array(["a", "b"]), i16([0, 0]), i32([0, 0]), np.arange(3), i32([0, 0]), i32([1, 1]),
        planned=Parts(i32([1, 1]), i16([0, 1]), i32([1, 1])),
    )  # fmt: skip
    pair.engine.commit(plan, pair.stamp)
    record = next(columns for table, columns in decode(pair.engine.journal.record(pair.state.sequence).body)
                  if table is schema.ORDERS)  # fmt: skip
    assert [full_nodes(record, row) for row in (0, 1)] == [set(), {0}]
    pair.engine.close()


def test_verify_finds_a_node_above_its_limit_and_a_count_that_differs(tmp_path: Path) -> None:
    pair = opened(tmp_path / "data", n0=(ANY, 5))
    pair.state.days.capacity.left[0] = 100  # what no engine does
    pair.model.terms[0] = (ANY, 100, 0, 0)
    pair.engine.commit(pair_columns(pair, place("o", (0, 6))), pair.stamp)
    folder = pair.engine.folder
    assert folder is not None
    result = verify(folder.disk, lambda: State(folder.secret, folder.limits))
    assert [fault.split(":")[0] for fault in result.faults] == ["capacity"]
    assert "node node-0 took 1 orders and 6 units in a day (at most: any orders, 5 units)" in result.faults[0]
    pair.engine.close()


def pair_columns(pair: DayPair, asked: asks.Place) -> object:
    from tests.driving import columns

    return columns(asked, pair.places)


@pytest.mark.parametrize("seed", range(300))
def test_plans_beyond_capacity_are_refused_order_by_order(seed: int) -> None:
    """The rule by hand: node by node, orders in their turn, each counted with those before it."""
    chance = np.random.default_rng(seed)
    capacity = no_capacity()
    capacity.limited[0] = chance.integers(0, 8)
    capacity.left[:3] = chance.integers(-1, 6, (3, 2))
    order = np.sort(chance.integers(0, 6, chance.integers(0, 12)))
    node, units = chance.integers(0, 3, order.size), chance.integers(1, 4, order.size)
    expected = set()
    for at in range(3):
        if int(capacity.limited[0]) >> at & 1:
            orders, took = set(), 0
            for one in np.unique(order[node == at]):
                orders.add(one)
                took += int(units[(node == at) & (order == one)].sum())
                if len(orders) > capacity.left[at, 0] or took > capacity.left[at, 1]:
                    expected.add(int(one))
    assert beyond(capacity, order, node, units).tolist() == sorted(expected)


def test_a_nearer_node_that_was_full_is_told_as_such() -> None:
    pair = DayPair(nodes=3, skus=1, policies=[policy()])
    pair.commit(received("r", (0, 0, 9), (0, 2, 9)))
    pair.commit(limited("limits", n0=(ANY, 3), n1=(0,)))
    pair.commit(place("o", (0, 4)), reserve("c", (0, 4), expires_at=pair.stamp + HOUR))
    pair.commit(asks.Confirm((asks.Confirmation("k", "confirmed", "c", 0),)))
    pair.commit(asks.Opening("none", ((0, True),)), after=DAY)  # what was full then is told, whatever it is now
    for order in ("o", "confirmed"):
        found = decided(pair.state, pair.engine.first_answers, 0, order, False)
        assert isinstance(found, Decided)
        (line,) = explained(found).lines
        assert [(node.node, node.why) for node in line.passed] == [(0, Why.NODE_FULL), (1, Why.NO_STOCK)]
    pair.close()


# By chance


class DayClients(Clients):
    """Clients whose nodes have limits, and who come back days later."""

    def _open(self) -> asks.Opening:
        orders, units = self.chance.choice([(ANY, ANY), (3, ANY), (ANY, 12), (4, 20), (1, 5)])
        terms = (orders, units, self.chance.choice([0, 0, 600]), self.chance.choice([0, 330, -60]))
        node = self.chance.randrange(NODES)
        return asks.Opening(self._id("open"), ((node, self.chance.random() < 0.9),), (terms,))

    def commit(self, pair: DayPair) -> None:
        """One batch, as the model knows it; what it keeps of its limits is checked where none was lowered."""
        if self.chance.random() < 0.06:
            self.clock += self.chance.choice([HOUR, DAY, 2 * DAY])
        batch = self.batch(pair.state.sequence)
        unknown = asks.Names, asks.Exceptions, asks.Forget, asks.Supply
        asked = [one for one in batch.asked if not isinstance(one, unknown)]
        pair.stamp = batch.stamp
        pair.lowered = frozenset(range(NODES))
        pair.commit(*asked)


def run(seed: int, commits: int, path: Path) -> None:
    chance = random.Random(seed)
    clients = DayClients(chance)
    clients._weights |= {clients._open: 3}
    policies = [row[1] for row in clients.catalogue()[3].rows]
    pair = DayPair(NODES, SKUS, CODES, policies, path)
    pair.commit(received("first", *((sku, node, 12) for sku in range(SKUS) for node in range(NODES))))
    for _ in range(commits):
        clients.commit(pair)
        if chance.random() < 0.02:
            pair.reopen(snapshot=chance.random() < 0.5)
    folder = pair.engine.folder
    assert folder is not None
    for from_snapshot in (False, True):
        result = verify(folder.disk, lambda: State(folder.secret, folder.limits), from_snapshot)
        assert not result.faults, result.faults
    pair.close()


@pytest.fixture(autouse=True)
def _few_orders_of_a_commit_are_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reallocation, "ORDERS_OF_A_COMMIT_MAX", 2)


@pytest.mark.parametrize("seed", range(12 if COMPILED else 4))
def test_any_commands_leave_the_engine_and_the_model_with_the_same_days(seed: int, tmp_path: Path) -> None:
    run(seed, 150 if COMPILED else 60, tmp_path / "data")


@pytest.mark.soak
def test_the_same_at_length(tmp_path: Path) -> None:
    for seed in range(100, 400):
        run(seed, 200, tmp_path / str(seed))
