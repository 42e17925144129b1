"""What orders and channels ask of the nodes, by scenario: `nodes_max` and `ship_complete` when orders are placed and
ever after, preferred and excluded nodes."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine import schema
from engine.commands import Parts, PlaceOrders
from engine.explaining import Decided, Why, decided, explained
from engine.journal.records import decode
from engine.lifecycle import Action
from engine.outcomes import Reply
from engine.reading import channels
from engine.reevaluation import window
from engine.replanning import on_terms
from engine.sourcing import fitting
from engine.state import State
from engine.verify import TermsCount
from kernels.cheapest import Fees
from kernels.columns import NO_NODE, Batch, Head, OnShort, Rule, Stage
from tests import asks
from tests.driving import (
    EVERY_NODE,
    SECOND,
    Pair,
    counted,
    i16,
    i32,
    node_words,
    place,
    policy,
    received,
    reserve,
    texts,
    u8,
)
from tests.test_node_days import opened
from tests.test_policies_page import Market


@pytest.fixture
def three() -> Iterator[Pair]:
    """Three nodes; channel 0 keeps what is short, channel 1 has back-orders, channel 2 refuses."""
    policies = [policy(on_short=on_short) for on_short in (OnShort.KEEP, OnShort.BACK_ORDER, OnShort.REFUSE)]
    pair = Pair(nodes=3, skus=2, policies=policies)
    pair.commit(received("stock", (0, 0, 4), (0, 1, 4), (0, 2, 4)))
    yield pair
    for faults in _faults(pair):
        assert faults == []
    pair.close()


def _faults(pair: Pair) -> Iterator[list[str]]:
    """What `verify` would find, record by record."""
    count = TermsCount(State(pair.state.secret, pair.state.limits))
    for record in pair.engine.journal.read(1):
        yield count.take(decode(record.body), record.sequence)


def nodes(answer: asks.OrderAnswer) -> list[tuple[int, int]]:
    """(node, units) of the first line."""
    return [(node, units) for node, _, units, _ in answer.lines[0][2]]


@pytest.mark.parametrize(
    ("terms", "channel", "outcome", "given"),
    [
        ({}, 0, Reply.ALLOCATED, [(0, 4), (1, 4), (2, 2)]),
        ({"nodes_max": 2}, 0, Reply.PARTLY, [(0, 4), (1, 4), (NO_NODE, 2)]),
        ({"nodes_max": 1}, 0, Reply.SHORT, [(NO_NODE, 10)]),  # as where a channel may not split: whole or not at all
        ({"nodes_max": 3}, 0, Reply.ALLOCATED, [(0, 4), (1, 4), (2, 2)]),
        ({"nodes_max": 2, "ship_complete": True}, 0, Reply.SHORT, [(NO_NODE, 10)]),
        ({"nodes_max": 2, "ship_complete": True}, 1, Reply.SHORT, [(NO_NODE, 10)]),
        ({"nodes_max": 2, "ship_complete": True}, 2, Reply.REFUSED, []),
        ({"ship_complete": True}, 2, Reply.ALLOCATED, [(0, 4), (1, 4), (2, 2)]),
    ],
)
def test_an_order_is_placed_on_its_terms(
    three: Pair, terms: dict[str, int], channel: int, outcome: Reply, given: list[tuple[int, int]]
) -> None:
    (answer,) = three.commit(place("A", (0, 10), channel=channel, **terms))
    assert (answer.reply, nodes(answer)) == (outcome, given)


def test_the_same_id_with_other_terms_is_another_order(three: Pair) -> None:
    three.commit(place("A", (0, 1), nodes_max=2))
    assert [answer.again for answer in three.commit(place("A", (0, 1), nodes_max=2))] == [True]
    for other in ({}, {"nodes_max": 1}, {"nodes_max": 2, "ship_complete": True}):
        (answer,) = three.commit(place("A", (0, 1), **other))
        assert answer.reply is Reply.KEY_CONFLICT


def test_a_complete_order_waits_for_all_its_units(three: Pair) -> None:
    three.commit(place("A", (0, 14), (1, 1), channel=1, ship_complete=True))
    three.commit(received("more", (0, 0, 3)))  # enough of SKU 0, none of SKU 1
    assert three.state.head(Head.WAITING_PARTS) == 2  # both lines wait
    three.commit(received("the rest", (1, 2, 1)))
    assert three.state.head(Head.WAITING_PARTS) == 0


def test_what_waits_leaves_from_no_more_nodes_than_the_order_may(three: Pair) -> None:
    three.commit(place("A", (0, 10), channel=1, nodes_max=2))
    three.commit(received("elsewhere", (0, 2, 9)))
    assert three.state.head(Head.WAITING_PARTS) == 1  # it leaves from nodes 0 and 1 already
    three.commit(received("here", (0, 1, 2)))
    assert three.state.head(Head.WAITING_PARTS) == 0


def test_the_nodes_an_order_has_give_first_and_then_as_many_more_as_it_may_have(three: Pair) -> None:
    three.commit(place("A", (0, 4), (1, 7), channel=1, nodes_max=2))  # all of node 0; SKU 1 is nowhere
    three.commit(received("more", (1, 0, 2), (1, 1, 4), (1, 2, 5)))
    parts = three.engine.state.book.parts
    taken = {int(parts.node[row]) for row in range(three.state.head(Head.PARTS)) if parts.stage[row] == Stage.ALLOCATED}
    assert taken == {0, 2}
    assert three.available(1, 1) == 4


def test_a_count_leaves_a_complete_order_what_it_has(three: Pair) -> None:
    three.commit(place("A", (0, 12), channel=1, ship_complete=True))
    three.commit(counted("less", (0, 1, 1)))
    assert three.figures(0, 0)[2] == 4
    three.commit(received("two", (0, 2, 2)))  # three are missing: none of them is given
    assert three.available(0, 2) == 2
    three.commit(received("one", (0, 2, 1)))
    assert three.available(0, 2) == 0


def test_a_reservation_hands_its_terms_on_to_the_order(three: Pair) -> None:
    at = three.stamp + 60 * SECOND
    three.commit(reserve("C", (0, 8), expires_at=at, channel=1, nodes_max=2, ship_complete=True))
    three.commit(counted("less", (0, 0, 1)))  # three of its units are gone: it is sourced again
    (answer,) = three.commit(asks.Confirm((asks.Confirmation("r", "A", "C", channel=1),)))
    assert (answer.reply, nodes(answer)) == (Reply.ALLOCATED, [(1, 4), (2, 4)])
    record = three.engine.journal.record(three.state.sequence)
    orders = next(columns for table, columns in decode(record.body) if table is schema.ORDERS)
    assert (orders["nodes_max"].tolist(), orders["ship_complete"].tolist()) == ([2], [1])


def test_a_preferred_node_is_asked_first_for_all_and_an_excluded_one_never() -> None:
    channel = asks.Policy(EVERY_NODE, preferred=frozenset({2, 3}), excluded=frozenset({1}), on_short=OnShort.BACK_ORDER)
    pair = Pair(nodes=4, policies=[channel])
    pair.commit(received("stock", (0, 0, 9), (0, 1, 9), (0, 2, 4), (0, 3, 6)))
    given = [pair.commit(place(name, (0, units)))[0] for name, units in (("A", 6), ("B", 5), ("C", 8), ("D", 1))]
    assert [nodes(answer) for answer in given] == [[(3, 6)], [(0, 5)], [(0, 4), (2, 4)], [(NO_NODE, 1)]]
    assert pair.available(0, 1) == 9  # nobody is given any of it
    found = decided(pair.state, pair.engine.first_answers, 0, "A", False)
    assert isinstance(found, Decided)
    assert [(over.node, over.why) for over in explained(found).lines[0].passed] == [
        (0, Why.PREFERRED), (1, Why.NOT_IN_GROUP), (2, Why.SPLIT),
    ]  # fmt: skip
    pair.commit(asks.Channels("all", ((0, asks.Policy(EVERY_NODE)),)))
    assert nodes(pair.commit(place("E", (0, 9)))[0]) == [(1, 9)]
    pair.close()


@pytest.mark.parametrize("snapshot", [False, True])
def test_what_a_channel_prefers_and_excludes_survives_a_start(tmp_path: Path, snapshot: bool) -> None:
    channel = asks.Policy(EVERY_NODE, preferred=frozenset({1}), excluded=frozenset({0}))
    pair = Pair(nodes=3, policies=[channel, asks.Policy(EVERY_NODE)], path=tmp_path / "folder")
    pair.reopen(snapshot)
    page = channels(pair.engine, 0, 2)
    assert (page.preferred[:, 0].tolist(), page.excluded[:, 0].tolist()) == ([2, 0], [1, 0])
    assert page.nodes[0].tolist() == node_words(EVERY_NODE)  # the group is as it was put
    pair.commit(received("stock", (0, 0, 1), (0, 1, 1), (0, 2, 1)))
    assert nodes(pair.commit(place("A", (0, 1)))[0]) == [(1, 1)]
    records = [columns for record in pair.engine.journal.read(1) for table, columns in decode(record.body)
               if table is schema.CHANNELS]  # fmt: skip
    assert {"preferred_0", "excluded_3"} <= records[0].keys()
    pair.close()


def test_channels_that_ask_for_nothing_write_what_they_always_wrote() -> None:
    pair = Pair()
    (columns,) = (columns for record in pair.engine.journal.read(1) for table, columns in decode(record.body)
                  if table is schema.CHANNELS)  # fmt: skip
    assert not any(name.startswith(("preferred", "excluded")) for name in columns)
    pair.close()


def test_an_excluded_node_is_not_in_what_a_channel_may_sell() -> None:
    market = Market(2, 1, [asks.Policy(EVERY_NODE, preferred=frozenset({1})), asks.Policy(EVERY_NODE)])
    market.ask(received("stock", (0, 0, 3), (0, 1, 5)))
    assert (market.ats(0), market.ats(1)) == (8, 8)
    assert market.put(1, asks.Policy(EVERY_NODE, excluded=frozenset({0}))) == {(1, 0): 5}
    assert market.put(1, asks.Policy(EVERY_NODE)) == {(1, 0): 8}


@pytest.mark.parametrize("short", [False, True])
def test_units_that_leave_a_node_keep_the_order_within_its_nodes(three: Pair, short: bool) -> None:
    three.commit(place("A", (0, 8), channel=1, nodes_max=2))
    three.commit(place("B", (0, 2), channel=1))
    moved = three.commit(asks.Reallocate("r", frozenset({0}), short=short))
    assert moved[0].nodes == ((0, 0, 0, 0 if short else 4, 4 if short else 0),)  # node 2 has two: not all would go
    three.commit(received("room", (0, 2, 2)))
    (moved,) = three.commit(asks.Reallocate("again", frozenset({0})))
    assert moved.nodes == ((0, 4, 0, 0, 0), (2, 0, 4, 0, 0))  # what was short was served from node 0 again


def test_reevaluation_leaves_orders_with_a_limit_alone(three: Pair) -> None:
    three.commit(place("A", (0, 2), nodes_max=1))
    three.commit(place("B", (0, 1), ship_complete=True))
    assert window(three.state).number.tolist() == [2]


@pytest.mark.parametrize(
    ("terms", "parts", "fits"),
    [
        ({"nodes_max": [1]}, [(0, 1), (1, 1)], False),
        ({"nodes_max": [2]}, [(0, 1), (1, 1)], True),
        ({"ship_complete": [1]}, [(0, 1), (NO_NODE, 1)], False),
        ({"ship_complete": [1]}, [(NO_NODE, 2)], True),
        ({"ship_complete": [1], "nodes_max": [2]}, [(0, 1), (2, 1)], True),
    ],
)
def test_a_plan_that_breaks_the_terms_does_not_fit(
    three: Pair, terms: dict[str, list[int]], parts: list[tuple[int, int]], fits: bool
) -> None:
    node, units = zip(*parts, strict=True)
    options = {name: u8(column) for name, column in terms.items()}
    command = PlaceOrders(
        texts(["A"]), i16([0]), i32([0]), np.array([0, 1]), i32([0]), i32([2]), options,
        Parts(i32([len(parts)]), i16(node), i32(units)),
    )  # fmt: skip
    three.engine.commit(command, three.stamp)
    record = three.engine.journal.record(three.state.sequence)
    orders = next(columns for table, columns in decode(record.body) if table is schema.ORDERS)
    assert (orders["rule"][0] == Rule.LEAST_COST) == fits
    assert not list(filter(None, _faults(three)))
    three.model.sequence = three.state.sequence


def anywhere(orders: np.ndarray) -> np.ndarray:
    return np.ones((orders.size, 2), bool)


def test_an_order_planned_again_on_its_terms_takes_no_place_that_the_plan_has_given_away() -> None:
    pair = opened(n0=(1,))  # one order a day; the plan gives it to the first
    state = pair.state
    batch = Batch(i16([0, 0]), i32([0, 0]), np.array([0, 1, 2]), i32([0, 0]), i32([1, 2]), u8([0, 1]), u8([0, 0]))
    plan = Parts(i32([1, 2]), i16([0, 0, 1]), i32([1, 1, 1]))
    assert fitting(state, batch, plan).tolist() == [True, False]
    found = on_terms(
        state, batch, plan, Fees(100.0, 0.001, 1.0, 0.0), state.cells.row_of[[0]], np.zeros((1, 2)), anywhere
    )
    assert (found.node.tolist(), found.quantity.tolist()) == ([0, 1], [1, 2])
    assert fitting(state, batch, found).all()
    pair.close()


def test_an_order_with_terms_that_the_plan_gave_nothing_is_planned_again() -> None:
    pair = opened(n0=(1,))
    state = pair.state
    batch = Batch(i16([0, 0]), i32([0, 0]), np.array([0, 1, 2]), i32([0, 0]), i32([1, 2]), u8([0, 1]), u8([0, 0]))
    plan = Parts(i32([1, 1]), i16([0, NO_NODE]), i32([1, 2]))
    assert fitting(state, batch, plan).all(), "all of it short is what its terms allow"
    fees, rows = Fees(100.0, 0.001, 1.0, 0.0), state.cells.row_of[[0]]
    found = on_terms(state, batch, plan, fees, rows, np.zeros((1, 2)), anywhere)
    assert (found.node.tolist(), found.quantity.tolist()) == ([0, 1], [1, 2])
    pair.close()


def test_orders_without_terms_write_what_they_always_wrote(three: Pair) -> None:
    for name, terms in (("A", {}), ("B", {"nodes_max": 2}), ("C", {})):
        three.commit(place(name, (0, 1), **terms))
        record = three.engine.journal.record(three.state.sequence)
        orders = next(columns for table, columns in decode(record.body) if table is schema.ORDERS)
        assert ("nodes_max" in orders, "ship_complete" in orders) == (bool(terms), False)


@pytest.mark.parametrize("snapshot", [False, True])
def test_terms_survive_a_start(tmp_path: Path, snapshot: bool) -> None:
    pair = Pair(nodes=3, policies=[policy(on_short=OnShort.BACK_ORDER)], path=tmp_path / "folder")
    pair.commit(place("A", (0, 5), nodes_max=1, ship_complete=True))
    pair.reopen(snapshot)
    pair.commit(received("too little", (0, 0, 3), (0, 1, 3)))
    assert pair.available(0, 0) == 3
    pair.commit(received("enough", (0, 1, 2)))
    assert pair.available(0, 1) == 0
    pair.commit(asks.Acts((asks.Act("cancel", "A", Action.CANCEL),)), after=SECOND)
    pair.commit(asks.Retire(pair.stamp + SECOND))
    pair.commit(place("B", (0, 8)))  # in the row of the one before, whose terms are gone with it
    assert pair.available(0, 0) == pair.available(0, 1) == 0
    pair.close()


def test_verify_finds_orders_that_do_not_keep_to_their_terms() -> None:
    def order(nodes_max: int, complete: int, *parts: tuple[int, Stage]) -> list[str]:
        tables = [
            (schema.ORDERS, {
                "number": np.array([7]), "line_count": i32([1]), "nodes_max": u8([nodes_max]),
                "ship_complete": u8([complete]),
            }),
            (schema.LINES, {"part_count": i32([len(parts)])}),
            (schema.PARTS, {
                "node": i16(node for node, _ in parts), "stage": u8(stage for _, stage in parts),
                "quantity": i32([1] * len(parts)),
            }),
        ]  # fmt: skip
        return TermsCount(_empty()).take(tables, 3)

    allocated, short = Stage.ALLOCATED, Stage.SHORT
    assert order(2, 0, (0, allocated), (1, allocated), (NO_NODE, short)) == []
    assert order(1, 0, (0, allocated), (1, allocated)) == ["terms: sequence 3: order 7 does not keep to its terms"]
    assert len(order(0, 1, (0, allocated), (NO_NODE, short))) == 1


def test_verify_finds_moves_that_do_not_keep_to_the_terms() -> None:
    count = TermsCount(_empty())
    count._add(
        np.array([7]), u8([1]), u8([1]), i32([0, 0]), i32([1, 2]), u8([Stage.ALLOCATED, Stage.BACK_ORDERED]),
        i16([0, NO_NODE]), i32([2, 3]),
    )  # fmt: skip

    def moved(line: int, source: Stage, to: Stage, node: int, units: int) -> int:
        columns = {
            "number": np.array([7]), "line": i32([line]), "from": u8([source]), "to": u8([to]), "node": i16([node]),
            "quantity": i32([units]),
        }  # fmt: skip
        return len(count.take([(schema.MOVES, columns)], 4))

    assert moved(2, Stage.BACK_ORDERED, Stage.ALLOCATED, 0, 1) == 1  # two more wait
    assert moved(2, Stage.BACK_ORDERED, Stage.ALLOCATED, 0, 2) == 0
    assert moved(1, Stage.ALLOCATED, Stage.PICKED, 0, 2) == 0
    assert moved(2, Stage.ALLOCATED, Stage.BACK_ORDERED, 0, 1) == 0  # a count may
    assert moved(2, Stage.BACK_ORDERED, Stage.ALLOCATED, 1, 1) == 1  # a second node


def _empty() -> State:
    pair = Pair()
    state = pair.state
    pair.close()
    return state
