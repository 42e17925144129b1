"""Dated supply: what waits is bound to it as receipts would serve it, and each promise that changes is told.

Bindings and what is told of them are compared with a twin (tests/supplied.py) after every commit.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import commands as asked_of
from engine.journal.records import decode
from engine.lifecycle import Action
from engine.outcomes import Cause, OutOfRoom, Reply
from engine.promise import foresee
from engine.snapshot import build_snapshot
from engine.state import State
from engine.writer import Engine
from kernels.columns import NONE, Batch, OnShort, Stage, no_terms
from tests import asks
from tests.driving import (
    COMPILED,
    START,
    Pair,
    columns,
    counted,
    i16,
    i32,
    open_orders,
    place,
    policy,
    replay_of,
    reserve,
)
from tests.supplied import DAY, FIRST, LAST, LATER, NODES, POLICIES, SKUS, Supplied, number_of

# Scenarios


def test_what_waits_gets_the_earliest_date():
    shop = Supplied()
    shop.expect((0, 1, 7, 3, LATER), (0, 2, 8, 2, FIRST))
    order = number_of(shop.ask(place("a", (0, 4))))
    assert shop.promised(order) == [FIRST, FIRST, LATER, LATER]
    assert shop.causes() == {Cause.PLACED}
    second = number_of(shop.ask(place("b", (0, 2))))
    assert shop.promised(second) == [LATER]
    shop.close()


def test_supply_that_moves_moves_the_promise_and_says_so():
    shop = Supplied()
    order = number_of(shop.ask(place("a", (0, 4))))
    shop.expect((0, 1, 7, 4, FIRST))
    assert (shop.promised(order), shop.causes()) == ([FIRST] * 4, {Cause.SUPPLY})
    shop.expect((0, 1, 7, 4, LAST))
    assert shop.promised(order) == [LAST] * 4
    assert shop._events() == {(0, order, 1, FIRST, LAST, 1): 4}
    shop.expect((0, 1, 7, 3, LAST))
    assert shop._events() == {(0, order, 1, LAST, 0, 1): 1}
    shop.expect((0, 1, 7, 0, 0))
    assert (shop.promised(order), shop._events()) == ([], {(0, order, 1, LAST, 0, 1): 3})
    assert not shop.state.expected.is_used
    shop.close()


def test_a_receipt_by_the_reference_is_expected_no_more_and_serves_what_waits():
    shop = Supplied()
    order = number_of(shop.ask(place("a", (0, 4))))
    shop.expect((0, 1, 7, 6, FIRST))
    shop.receive(0, 1, 3, reference=7)
    assert shop.state.expected.get(0, 1, 7) == (3, FIRST)
    assert shop.promised(order) == [FIRST]
    assert shop._events() == {(0, order, 1, FIRST, 0, 0): 3}
    shop.receive(0, 1, 9, reference=7)
    assert shop.state.expected.rows == 0
    assert {stage for *_, ((_, _, parts),) in [open_orders(shop.state)[order]] for stage, *_ in parts} == {
        Stage.ALLOCATED
    }
    shop.close()


def test_a_receipt_without_the_reference_leaves_what_is_expected():
    shop = Supplied()
    first, second = (number_of(shop.ask(place(name, (0, 2)))) for name in "ab")
    shop.expect((0, 1, 7, 2, FIRST), (0, 1, 8, 2, LATER))
    shop.receive(0, 0, 2)
    assert (shop.promised(first), shop.promised(second)) == ([], [FIRST] * 2)
    assert shop._events() == {(0, first, 1, FIRST, 0, 0): 2, (0, second, 1, LATER, FIRST, 1): 2}
    assert shop.causes() == {Cause.RECEIPT}
    shop.close()


def test_a_channel_that_comes_first_takes_the_early_date():
    shop = Supplied()
    late = number_of(shop.ask(place("a", (0, 2))))
    shop.expect((0, 1, 7, 2, FIRST), (0, 2, 8, 2, LATER))
    first = number_of(shop.ask(place("b", (0, 2), channel=1)))
    assert (shop.promised(late), shop.promised(first)) == ([LATER] * 2, [FIRST] * 2)
    shop.ask(asks.Channels("swap", ((1, policy(0, on_short=OnShort.BACK_ORDER)),)))
    assert (shop.promised(late), shop.promised(first), shop.causes()) == ([FIRST] * 2, [], {Cause.CATALOGUE})
    shop.close()


def test_only_nodes_that_may_serve_the_channel_count():
    shop = Supplied()
    shop.expect((0, 2, 7, 2, FIRST))
    order = number_of(shop.ask(place("a", (0, 2), channel=1)))
    assert shop.promised(order) == []
    shop.expect((0, 1, 7, 1, LAST))
    assert shop.promised(order) == [LAST]
    shop.ask(asks.Opening("close", ((1, False),)))
    assert (shop.promised(order), shop.causes()) == ([], {Cause.CATALOGUE})
    shop.close()


def test_an_order_that_may_not_be_split_waits_for_one_node():
    shop = Supplied()
    shop.expect((0, 1, 7, 1, FIRST), (0, 2, 8, 9, LATER), (0, 1, 9, 1, LAST))
    order = number_of(shop.ask(place("a", (0, 3), channel=2)))
    assert shop.promised(order) == [LATER] * 3
    large = number_of(shop.ask(place("b", (0, 7), channel=2)))
    assert shop.promised(large) == []
    shop.close()


def test_an_order_of_so_many_nodes_waits_for_no_more() -> None:
    shop = Supplied()
    shop.receive(0, 0, 1)
    shop.expect((0, 1, 7, 1, FIRST), (0, 2, 8, 9, LATER), (0, 1, 9, 9, LAST))
    order = number_of(shop.ask(place("a", (0, 4), nodes_max=2)))
    assert shop.promised(order) == [FIRST, LAST, LAST]
    shop.close()


@pytest.mark.parametrize("how", ["cancelled", "received"])
def test_a_line_is_bound_anew_when_another_of_its_order_has_other_nodes(how: str) -> None:
    shop = Supplied()
    if how == "cancelled":
        shop.receive(0, 0, 5)
        shop.receive(1, 0, 5)
        number = number_of(shop.ask(place("o", (0, 2), (1, 3), channel=2)))
        shop.ask(counted("gone", (1, 0, 0)))
        shop.expect((1, 1, 7, 10, FIRST), (1, 0, 8, 10, LATER))
        assert shop.promised(number, 2) == [LATER] * 3
        shop.ask(asks.Acts((asks.Act("c", "o", Action.CANCEL, units=2, line=1, node=0, channel=2),)))
        assert shop.promised(number, 2) == [FIRST] * 3
    else:
        number = number_of(shop.ask(place("o", (0, 2), (1, 6), nodes_max=2)))
        shop.expect((1, 1, 7, 3, FIRST), (1, 2, 8, 3, LATER), (1, 1, 9, 10, LAST))
        assert shop.promised(number, 2) == [FIRST] * 3 + [LATER] * 3
        shop.receive(0, 0, 5)
        assert shop.promised(number, 2) == [FIRST] * 3 + [LAST] * 3
    shop.close()


def test_a_line_of_an_order_that_is_to_be_complete_is_promised_wholly_or_not_at_all() -> None:
    shop = Supplied()
    shop.expect((0, 1, 7, 3, FIRST))
    whole = number_of(shop.ask(place("a", (0, 4), ship_complete=True)))
    other = number_of(shop.ask(place("b", (0, 2))))
    assert (shop.promised(whole), shop.promised(other)) == ([], [FIRST] * 2)
    shop.expect((0, 2, 8, 3, LATER))
    assert (shop.promised(whole), shop.promised(other)) == ([FIRST] * 3 + [LATER], [LATER] * 2)
    shop.close()


def test_units_that_a_channel_keeps_short_wait_for_nothing():
    shop = Supplied()
    shop.expect((0, 1, 7, 9, FIRST))
    order = number_of(shop.ask(place("a", (0, 3), channel=3)))
    assert (shop.promised(order), shop.causes()) == ([], set())
    shop.close()


def test_what_is_cancelled_frees_its_date_for_the_next():
    shop = Supplied()
    shop.expect((0, 1, 7, 2, FIRST))
    first, second = (number_of(shop.ask(place(name, (0, 2)))) for name in "ab")
    shop.ask(asks.Acts((asks.Act("c", "a", Action.CANCEL),)))
    assert shop._events() == {(0, first, 1, FIRST, 0, 0): 2, (0, second, 1, 0, FIRST, 1): 2}
    assert shop.causes() == {Cause.ORDER}
    shop.close()


def test_a_repeat_gets_the_first_answer_and_other_content_is_refused():
    shop = Supplied()
    first = shop.expect((0, 1, 7, 2, FIRST), (1, 1, 7, 2, FIRST), request="one")
    again = shop.expect((0, 1, 7, 2, FIRST), (1, 1, 7, 2, FIRST), request="one")
    assert ([*first.reply, *first.quantity], [*again.reply, *again.quantity]) == ([Reply.DONE, 2], [Reply.DONE, 2])
    assert (bool(first.again[0]), bool(again.again[0])) == (False, True)
    command = asked_of.PutSupply("one", i32([0]), i16([1]), np.array([7]), i32([5]), np.array([FIRST]))
    assert shop.commit(command).reply[0] == Reply.KEY_CONFLICT
    assert shop.expect((0, 1, 7, 2, FIRST)).quantity[0] == 0  # as it stands: nothing is changed
    shop.close()


def test_another_supply_is_another_digest() -> None:
    shop = Supplied()
    shop.expect((0, 1, 7, 2, FIRST))
    for units, due in ((3, FIRST), (2, LATER), (0, 0)):
        state = replay_of(shop.engine)
        row = {"sku": [0], "node": [1], "reference": [7], "units": [units], "due_at": [due]}
        state.expected.set({name: np.array(values) for name, values in row.items()})
        assert state.digest() != shop.state.digest()
    shop.close()


def test_the_last_row_of_a_key_counts():
    shop = Supplied()
    answer = shop.expect((0, 1, 7, 2, FIRST), (0, 1, 7, 5, LATER))
    assert (answer.quantity[0], shop.state.expected.get(0, 1, 7)) == (1, (5, LATER))
    shop.close()


def test_beyond_its_limit_supply_is_refused_and_nothing_is_changed():
    shop = Supplied()
    most = shop.state.limits.supply_max
    rows = i32(np.zeros(most + 1))
    command = asked_of.PutSupply(
        "many", rows, i16(rows), np.arange(1, most + 2), rows + np.int32(1), np.full(most + 1, FIRST)
    )
    with pytest.raises(OutOfRoom, match="supply_max"):
        shop.engine.commit(command, START)
    shop.expect((0, 1, 7, 2, FIRST))
    full = [(0, 1, reference, 1, FIRST) for reference in range(1, most + 1)]
    shop.expect(*full)
    shop.expect(*((*key, 2, LATER) for *key, _, _ in full))  # none of them is another one
    shop.expect(*((*key, 0, 0) for *key, _, _ in full[1:]))
    assert shop.state.expected.rows == 1
    shop.expect((0, 1, 9, 2, FIRST))
    shop.close()


def test_an_engine_without_supply_writes_no_table_of_it():
    shop = Supplied()
    shop.ask(place("a", (0, 2)))
    shop.receive(0, 1, 3, reference=7)
    tables = {table.name for record in shop.engine.journal.read(1) for table, _ in decode(record.body)}
    assert tables.isdisjoint({"supply", "promises"})
    shop.close()


def test_a_reservation_that_was_short_is_promised_when_it_is_confirmed():
    shop = Supplied()
    shop.expect((0, 1, 7, 2, FIRST))
    shop.ask(reserve("cart", (0, 2), expires_at=START + DAY))
    assert shop.causes() == set()
    order = number_of(shop.ask(asks.Confirm((asks.Confirmation("c", "a", "cart"),))))
    assert (shop.promised(order), shop.causes()) == ([FIRST] * 2, {Cause.CONFIRMED})
    shop.close()


def test_a_count_that_takes_units_away_promises_what_becomes_a_back_order():
    shop = Supplied()
    shop.expect((0, 1, 7, 9, FIRST))
    shop.receive(0, 2, 3)
    order = number_of(shop.ask(place("a", (0, 3))))
    assert shop.promised(order) == []
    shop.ask(counted("count", (0, 2, 1)))
    assert (shop.promised(order), shop.causes()) == ([FIRST] * 2, {Cause.COUNT})
    shop.close()


def test_commands_of_one_commit_are_told_together():
    shop = Supplied()
    shop.expected[0][1, 7] = 2, LATER
    numbers = [np.array([one], np.int64) for one in (7, LATER)]
    supply = asked_of.PutSupply("s", i32([0]), i16([1]), numbers[0], i32([2]), numbers[1])
    shop.commit(columns(place("a", (0, 1)), shop.pair.places), supply, columns(place("b", (0, 3)), shop.pair.places))
    assert sum(shop._events().values()) == 2
    shop.close()


@pytest.mark.parametrize("has_snapshot", [False, True])
def test_supply_and_bindings_are_there_after_a_start(tmp_path: Path, has_snapshot: bool) -> None:
    pair = Pair(NODES, SKUS, policies=POLICIES, path=tmp_path / "data")
    engine = pair.engine
    numbers = [np.array(each, np.int64) for each in ((7, 8), (FIRST, LATER))]
    engine.commit(asked_of.PutSupply("s", i32([0, 1]), i16([1, 2]), numbers[0], i32([2, 5]), numbers[1]), START)
    engine.commit(columns(place("a", (0, 3), (1, 1)), pair.places), START)
    digest, bound = engine.state.digest(), engine.state.expected.bound
    assert sorted(bound) == [0, 1]
    if has_snapshot:
        engine.journal.seal()
        assert engine.folder is not None
        build_snapshot(engine.folder.disk, engine.journal, State(engine.folder.secret, engine.folder.limits))
    engine.close()
    with Engine.open(tmp_path / "data", publish=False) as again:
        assert bool(again.started_from) is has_snapshot
        assert (again.state.digest(), again.state.expected.get(1, 2, 8)) == (digest, (5, LATER))
        for sku, columns_of_it in again.state.expected.bound.items():
            assert all(np.array_equal(one, other) for one, other in zip(columns_of_it, bound[sku], strict=True))
        assert len(again.state.expected.bound) == 2


# Promises of carts


def foreseen(shop: Supplied, channel: int, *lines: tuple[int, int], now: int = 0) -> int:
    """When all that a cart is short of would be there; NONE: nobody knows, or nothing is short."""
    sku, units = zip(*lines, strict=True)
    batch = Batch(i16([channel]), i32([0]), np.array([0, len(lines)], np.int64), i32(sku), i32(units), *no_terms(1))
    return int(foresee(shop.state, batch, (0, 0), now).expected_at[0])


def test_a_cart_is_promised_what_those_before_it_leave() -> None:
    shop = Supplied()
    shop.ask(place("a", (0, 2)))
    shop.expect((0, 1, 7, 3, FIRST), (0, 1, 8, 3, LATER), (1, 0, 9, 1, LAST))
    assert foreseen(shop, 0, (0, 1)) == FIRST
    assert foreseen(shop, 0, (0, 2)) == LATER
    assert foreseen(shop, 0, (0, 2), (0, 2)) == LATER
    assert foreseen(shop, 0, (0, 2), (0, 3)) == NONE
    assert foreseen(shop, 0, (0, 1), (1, 1)) == LAST
    assert foreseen(shop, 1, (0, 3)) == FIRST  # a channel that comes first
    assert foreseen(shop, 2, (0, 2)) == LATER
    assert foreseen(shop, 3, (0, 1)) == NONE  # it keeps what is short, and nothing waits
    assert foreseen(shop, 0, (0, 1), now=FIRST) == FIRST
    assert foreseen(shop, 0, (0, 1), now=FIRST + 1) == NONE  # the date has passed
    assert foreseen(shop, 2, (0, 1), (1, 1)) == NONE  # from one node, and nobody keeps the one until the other comes
    shop.receive(0, 2, 3)
    assert foreseen(shop, 0, (0, 1)) == NONE  # it is there
    assert foreseen(shop, 0, (0, 2)) == FIRST
    assert foreseen(shop, 1, (0, 4)) == LATER
    assert foreseen(shop, 2, (0, 4)) == LATER  # from one node
    shop.close()


# Any sequence

skus, nodes = st.integers(0, SKUS - 1), st.integers(0, NODES - 1)
references, few = st.integers(1, 3), st.integers(1, 6)
rows = st.tuples(skus, nodes, references, st.integers(0, 6), st.sampled_from((FIRST, LATER, LAST)))
steps = st.one_of(
    st.tuples(st.just("expect"), st.lists(rows, min_size=1, max_size=3)),
    st.tuples(st.just("receive"), skus, nodes, few, st.integers(0, 3)),
    st.tuples(
        st.just("place"),
        st.lists(st.tuples(skus, few), min_size=1, max_size=3),
        st.integers(0, 3),
        st.integers(0, 2),
        st.booleans(),
    ),
    st.tuples(st.just("cancel"), st.integers(0, 9), st.integers(0, 3)),
    st.tuples(st.just("count"), skus, nodes, st.integers(0, 4)),
    st.tuples(
        st.just("channel"), st.integers(0, 2), st.frozensets(nodes, min_size=1), st.integers(0, 2), st.booleans()
    ),
    st.tuples(st.just("node"), nodes, st.booleans()),
)


def last_date(shop: Supplied, number: int) -> int:
    """The last date of an order's units, where all that wait have one."""
    waiting = [(line, units) for of, line, _, units in shop.waiting() if of == number and units]
    dates = [shop.promised(number, line) for line, _ in waiting]
    whole = all(len(of_line) == units for of_line, (_, units) in zip(dates, waiting, strict=True))
    return max(map(max, dates)) if dates and whole else NONE


@settings(max_examples=150 if COMPILED else 15, deadline=None)
@given(st.lists(steps, max_size=25))
def test_bindings_and_what_is_told_are_the_twins_after_any_sequence(steps: list[Any]) -> None:
    shop = Supplied()
    placed: list[tuple[str, int]] = []
    for kind, *given_ in steps:
        if kind == "expect":
            shop.expect(*given_[0])
        elif kind == "receive":
            shop.receive(*given_)
        elif kind == "place":
            lines, channel, nodes_max, complete = given_
            placed.append((f"order {len(placed)}", channel))
            terms = {"nodes_max": nodes_max, "ship_complete": complete}
            promised = foreseen(shop, channel, *lines)
            order = number_of(shop.ask(place(placed[-1][0], *lines, channel=channel, **terms)))
            if terms == {"nodes_max": 0, "ship_complete": False}:
                assert promised == last_date(shop, order)
        elif kind == "cancel" and placed:
            order_id, channel = placed[given_[0] % len(placed)]
            act = asks.Act(
                shop.request(), order_id, Action.CANCEL, given_[1], line=given_[0] % 3, node=given_[0] % 4 - 1,
                channel=channel,
            )  # fmt: skip
            shop.ask(asks.Acts((act,)))
        elif kind == "count":
            shop.ask(counted(shop.request(), tuple(given_)))
        elif kind == "channel":
            channel, group, priority, closed = given_
            changed = asks.Policy(group, channel != 2, OnShort.BACK_ORDER, priority, closed=closed)
            shop.ask(asks.Channels(shop.request(), ((channel, changed),)))
        elif kind == "node":
            shop.ask(asks.Opening(shop.request(), ((given_[0], given_[1]),)))
    shop.close()
