"""Nodes that are to be left, as scenarios: engine and model side by side (tests/driving.py), figures by hand.

What the journal, the events and the views tell of it is here too; over the wire it is in
tests/test_service_reallocation.py.
"""

from pathlib import Path
from typing import Any

import pytest

from engine import reallocation
from engine.apply import apply_record
from engine.history import History, Kind
from engine.journal.records import decode
from engine.lifecycle import Action
from engine.outcomes import Cause, MovementKind, OutOfRoom, Reply
from engine.reallocation import rehearse
from engine.sourcing import rehearsal
from engine.state import State
from kernels.columns import NO_NODE, OnShort, Stage
from server.events import events_of
from tests import asks
from tests.driving import START, Pair, check_invariants, columns, counted, open_orders, place, plain, policy, received
from tests.driving import reserve as reserved_until

X, Y, Z = 0, 1, 2
SHIRT, SHOES = 0, 1
SHOP, MARKET = 0, 1
LATER = START + 60_000_000
BACK_ORDERS = policy(on_short=OnShort.BACK_ORDER)
WHOLE = policy(split=False)
_requests = iter(range(1 << 30))


def leave(*nodes: int, **more: Any) -> asks.Reallocate:
    return asks.Reallocate(f"leave {next(_requests)}", frozenset(nodes), **more)


def act(order: str, action: Action, units: int = 0, **more: Any) -> asks.Acts:
    return asks.Acts((asks.Act(f"act {next(_requests)}", order, action, units, **more),))


def reserve(id: str, *lines: tuple[int, int], **more: Any) -> asks.Reserve:
    return reserved_until(id, *lines, expires_at=LATER, **more)


def three_nodes(*stock: tuple[int, int, int], policies: tuple[asks.Policy, ...] = (), path: Path | None = None) -> Pair:
    """Nodes X, Y, Z at growing distance from the only postal code."""
    pair = Pair(nodes=3, skus=2, codes=1, policies=policies, path=path)
    pair.commit(received("first stock", *stock))
    return pair


def where(pair: Pair, number: int) -> list[list[tuple[Stage, int, int]]]:
    """Per line of an order (stage, node, units)."""
    *_, lines = open_orders(pair.state)[number]
    return [[part[:3] for part in parts] for _, _, parts in lines]


def moves_of(pair: Pair) -> list[dict[str, Any]]:
    """The rows of every table of moves of the last commit."""
    record = next(pair.engine.journal.read(pair.state.sequence))
    found = [columns for table, columns in decode(record.body) if table.name == "moves"]
    return [{name: column[row] for name, column in of.items()} for of in found for row in range(len(of["part"]))]


# Where units go


def test_units_of_a_node_that_went_down_go_to_the_nearest_other_and_picked_ones_stay() -> None:
    pair = three_nodes((SHIRT, X, 9), (SHIRT, Y, 9), (SHIRT, Z, 9))
    pair.commit(place("a", (SHIRT, 4)), act("a", Action.PICK, 1))
    pair.commit(asks.Opening("down", ((X, False),)))
    (answer,) = pair.commit(leave(X))
    assert answer.nodes == ((X, 3, 0, 0, 0), (Y, 0, 3, 0, 0))
    assert where(pair, 1) == [[(Stage.PICKED, X, 1), (Stage.ALLOCATED, Y, 3)]]
    assert (pair.available(SHIRT, X), pair.available(SHIRT, Y)) == (8, 6)
    pair.close()


def test_an_order_that_leaves_from_a_farther_node_anyway_gets_all_it_can_from_there_before_the_nearest() -> None:
    pair = three_nodes((SHIRT, X, 5), (SHOES, Z, 1), (SHIRT, Z, 3), (SHIRT, Y, 9))
    pair.commit(place("a", (SHIRT, 5), (SHOES, 1)))
    assert where(pair, 1) == [[(Stage.ALLOCATED, X, 5)], [(Stage.ALLOCATED, Z, 1)]]
    (answer,) = pair.commit(leave(X))
    assert answer.nodes == ((X, 5, 0, 0, 0), (Y, 0, 2, 0, 0), (Z, 0, 3, 0, 0))
    pair.close()


def test_a_shipment_that_has_left_already_draws_nothing_to_its_node() -> None:
    pair = three_nodes((SHIRT, X, 5), (SHOES, Z, 1))
    pair.commit(place("a", (SHIRT, 5), (SHOES, 1)), act("a", Action.SHIP, line=2))
    pair.commit(received("more", (SHIRT, Y, 5), (SHIRT, Z, 5)), leave(X))
    assert where(pair, 1)[0] == [(Stage.ALLOCATED, Y, 5)]
    pair.close()


def test_what_finds_no_other_node_stays_and_is_counted() -> None:
    pair = three_nodes((SHIRT, X, 9), (SHIRT, Y, 2))
    pair.commit(place("a", (SHIRT, 6)))
    (answer,) = pair.commit(leave(X))
    assert answer.nodes == ((X, 2, 0, 4, 0), (Y, 0, 2, 0, 0))
    assert where(pair, 1) == [[(Stage.ALLOCATED, X, 4), (Stage.ALLOCATED, Y, 2)]]
    pair.close()


@pytest.mark.parametrize(
    ("on_short", "stage"),
    [
        (OnShort.BACK_ORDER, Stage.BACK_ORDERED),
        (OnShort.KEEP, Stage.SHORT),
        (OnShort.REFUSE, Stage.SHORT),
    ],
)
def test_or_becomes_short_as_its_channel_has_it(on_short: OnShort, stage: Stage) -> None:
    pair = three_nodes((SHIRT, X, 9), (SHIRT, Y, 2), policies=(policy(on_short=on_short),))
    pair.commit(place("a", (SHIRT, 6)))
    (answer,) = pair.commit(leave(X, short=True))
    assert answer.nodes == ((X, 2, 0, 0, 4), (Y, 0, 2, 0, 0))
    assert sorted(where(pair, 1)[0]) == sorted([(Stage.ALLOCATED, Y, 2), (stage, NO_NODE, 4)])
    pair.close()


def test_an_order_that_may_not_be_split_goes_whole_to_one_node_or_stays_whole() -> None:
    pair = three_nodes((SHIRT, X, 9), (SHIRT, Y, 3), (SHIRT, Z, 4), policies=(WHOLE,))
    pair.commit(place("four", (SHIRT, 4)), place("five", (SHIRT, 5)))
    (answer,) = pair.commit(leave(X))
    assert answer.nodes == ((X, 4, 0, 5, 0), (Z, 0, 4, 0, 0))
    pair.close()


def test_it_stays_with_what_was_picked_of_it() -> None:
    pair = three_nodes((SHIRT, X, 4), (SHIRT, Y, 9), policies=(WHOLE,))
    pair.commit(place("a", (SHIRT, 4)), act("a", Action.PICK, 1))
    (answer,) = pair.commit(leave(X))
    assert answer.nodes == ((X, 0, 0, 3, 0),)
    pair.close()


def test_no_node_outside_the_channels_group_or_among_those_to_be_left_gets_anything() -> None:
    pair = three_nodes((SHIRT, X, 4), (SHIRT, Y, 9), (SHIRT, Z, 9), policies=(policy(X, Y),))
    pair.commit(place("a", (SHIRT, 4)))
    (answer,) = pair.commit(leave(X, Y))
    assert answer.nodes == ((X, 0, 0, 4, 0),)
    pair.close()


def test_ring_fences_get_back_what_leaves_and_give_where_it_arrives() -> None:
    pair = three_nodes((SHIRT, X, 4), (SHIRT, Y, 4), policies=(policy(), policy()))
    pair.commit(asks.Fence("f", ((MARKET, SHIRT, X, 3), (MARKET, SHIRT, Y, 2))))
    pair.commit(place("a", (SHIRT, 4), channel=MARKET), place("b", (SHIRT, 1), channel=SHOP))
    assert pair.model.fences == {(SHIRT, X, MARKET): 0, (SHIRT, Y, MARKET): 2}
    pair.commit(leave(X))
    assert pair.model.fences == {(SHIRT, X, MARKET): 3, (SHIRT, Y, MARKET): 0}
    pair.close()


def test_what_is_held_for_a_cart_moves_too_and_its_confirmation_finds_it_there() -> None:
    pair = three_nodes((SHIRT, X, 2), (SHIRT, Y, 2))
    pair.commit(reserve("cart", (SHIRT, 2)))
    pair.commit(leave(X))
    assert where(pair, 1) == [[(Stage.RESERVED, Y, 2)]]
    pair.commit(asks.Confirm((asks.Confirmation("c", "order", "cart"),)))
    assert where(pair, 2) == [[(Stage.ALLOCATED, Y, 2)]]
    pair.close()


# In which turn


def test_the_oldest_order_is_moved_first_and_only_channels_of_the_priority_asked_for() -> None:
    pair = three_nodes((SHIRT, X, 9), (SHIRT, Y, 3), policies=(policy(priority=2), policy(priority=1)))
    pair.commit(place("old", (SHIRT, 2)), place("new", (SHIRT, 2)), place("first", (SHIRT, 2), channel=MARKET))
    pair.commit(leave(X, priority=1))
    pair.commit(leave(X, priority=2))
    assert [where(pair, number)[0][-1] for number in (1, 2, 3)] == [
        (Stage.ALLOCATED, Y, 1),  # one of two
        (Stage.ALLOCATED, X, 2),
        (Stage.ALLOCATED, Y, 2),
    ]
    pair.close()


def test_many_orders_are_moved_in_several_commits_and_none_is_looked_at_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reallocation, "ORDERS_OF_A_COMMIT_MAX", 2)
    pair = three_nodes((SHIRT, X, 9), (SHIRT, Y, 3))
    pair.commit(*(place(f"order {i}", (SHIRT, 1)) for i in range(5)))
    following, moved = [0], []
    while True:
        (answer,) = pair.commit(leave(X, after=following[-1], upto=5))
        moved.append(sum(left for _, left, *_ in answer.nodes))
        if not answer.following:
            break
        following.append(answer.following)
    assert (following, moved) == ([0, 2, 4], [2, 1, 0])
    pair.close()


def test_more_parts_than_there_are_rows_for_are_refused_before_anything_moves() -> None:
    pair = three_nodes((SHIRT, X, 9_000), (SHIRT, Y, 1), (SHIRT, Z, 9_000))
    pair.commit(*(place(f"order {i}", (SHIRT, 9), (SHIRT, 9)) for i in range(400)))
    state, before = pair.state, pair.state.digest()
    pair.engine.state.limits = pair.state.limits.__class__(**{**vars(state.limits), "parts_max": 1_000})
    with pytest.raises(OutOfRoom, match="parts_max"):
        pair.engine.commit(columns(leave(X), pair.places), pair.stamp)
    assert state.digest() == before


# The same thing twice


def test_the_same_request_gets_the_first_answer_also_after_a_start_and_other_content_is_refused(tmp_path: Path) -> None:
    pair = three_nodes((SHIRT, X, 4), (SHIRT, Y, 3), path=tmp_path / "data")
    asked = leave(X)
    pair.commit(place("a", (SHIRT, 4)), asked)
    first = asks.Reallocation(Reply.DONE, True, 0, ((X, 3, 0, 1, 0), (Y, 0, 3, 0, 0)))
    assert pair.commit(asked) == [first]
    pair.reopen()
    assert pair.commit(asked, asked) == [first, first]
    other = asks.Reallocate(asked.request, asked.nodes, short=True)
    assert pair.commit(other) == [asks.Reallocation(Reply.KEY_CONFLICT)]
    pair.close()


def test_two_in_one_commit_are_told_apart(tmp_path: Path) -> None:
    pair = three_nodes((SHIRT, X, 4), (SHIRT, Y, 4), (SHIRT, Z, 4), path=tmp_path / "data")
    asked = leave(X), leave(Y)
    first = pair.commit(place("a", (SHIRT, 4)), *asked)[1:]
    assert [answer.nodes for answer in first] == [
        ((X, 4, 0, 0, 0), (Y, 0, 4, 0, 0)),
        ((X, 0, 4, 0, 0), (Y, 4, 0, 0, 0)),  # nearer than Z, and not to be left any more
    ]
    assert [answer.nodes for answer in pair.commit(*asked)] == [answer.nodes for answer in first]
    pair.close()


# Before it is done


def test_a_rehearsal_tells_what_would_move_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reallocation, "ORDERS_OF_A_COMMIT_MAX", 2)
    pair = three_nodes((SHIRT, X, 9), (SHIRT, Y, 3), policies=(policy(), policy()))
    pair.commit(asks.Fence("f", ((MARKET, SHIRT, Y, 1),)))
    pair.commit(*(place(f"order {i}", (SHIRT, 1), channel=i % 2) for i in range(5)))
    before, cells = pair.state.digest(), pair.state.cells.available.copy()
    scratch, told, after = rehearsal(pair.state), [], 0
    while True:
        answer = rehearse(scratch, columns(leave(X, after=after), pair.places))
        told += plain(answer)
        after = answer.following
        if not after:
            break
    assert pair.state.digest() == before
    assert (pair.state.cells.available == cells).all()
    assert [pair.commit(leave(X, after=answer))[0].nodes for answer in (0, 2, 4)] == [one.nodes for one in told]
    pair.close()


# What a count takes away


def test_what_a_count_takes_away_is_sourced_again_by_the_same_commit() -> None:
    pair = three_nodes((SHIRT, X, 9), (SHIRT, Y, 2))
    pair.commit(place("a", (SHIRT, 5)))
    pair.commit(counted("lost", (SHIRT, X, 1)))
    assert where(pair, 1) == [[(Stage.ALLOCATED, X, 1), (Stage.SHORT, NO_NODE, 2), (Stage.ALLOCATED, Y, 2)]]
    told = [(m["from"], m["to"], m["node"], m["quantity"], m["cause"]) for m in moves_of(pair)]
    assert told == [
        (Stage.ALLOCATED, Stage.SHORT, X, 4, Cause.COUNT),
        (Stage.SHORT, Stage.ALLOCATED, Y, 2, Cause.COUNT),
    ]
    pair.close()


def test_it_waits_its_turn_behind_back_orders_of_channels_that_come_first() -> None:
    first, kept = policy(Y, on_short=OnShort.BACK_ORDER, priority=1), policy(priority=2)
    pair = three_nodes((SHIRT, X, 2), (SHIRT, Y, 2), policies=(first, kept))
    pair.commit(place("taken", (SHIRT, 2), channel=SHOP), place("waits", (SHIRT, 1), channel=SHOP))
    pair.commit(place("loses", (SHIRT, 2), channel=MARKET))
    pair.commit(act("taken", Action.CANCEL))  # two units at Y, which nobody has served yet
    pair.commit(counted("lost", (SHIRT, X, 0)))
    assert where(pair, 2) == [[(Stage.ALLOCATED, Y, 1)]]
    assert where(pair, 3) == [[(Stage.SHORT, NO_NODE, 1), (Stage.ALLOCATED, Y, 1)]]
    pair.close()


def test_units_that_were_short_before_the_count_stay_short() -> None:
    pair = three_nodes((SHIRT, X, 2))
    pair.commit(place("a", (SHIRT, 5)))
    pair.commit(received("more", (SHIRT, Y, 9)))
    pair.commit(counted("lost", (SHIRT, X, 1)))
    assert where(pair, 1) == [[(Stage.ALLOCATED, X, 1), (Stage.SHORT, NO_NODE, 3), (Stage.ALLOCATED, Y, 1)]]
    pair.close()


def test_units_put_back_on_a_shelf_that_was_counted_without_them_are_sourced_again_too() -> None:
    pair = three_nodes((SHIRT, X, 3), (SHIRT, Y, 3))
    pair.commit(place("a", (SHIRT, 3)), act("a", Action.PICK))
    pair.commit(counted("lost", (SHIRT, X, 1)), act("a", Action.UNPICK))
    assert where(pair, 1) == [[(Stage.ALLOCATED, X, 1), (Stage.ALLOCATED, Y, 2)]]
    pair.close()


# What is told of it


def test_events_movements_and_views_say_what_moved_from_where_to_where_and_why(tmp_path: Path) -> None:
    pair = three_nodes((SHIRT, X, 9), (SHIRT, Y, 3), (SHOES, X, 2), (SHOES, Y, 2), path=tmp_path / "data")
    pair.commit(place("a", (SHIRT, 4)), reserve("cart", (SHOES, 2)), asks.Acts((asks.Act("p", "a", Action.PICK, 1),)))
    pair.commit(leave(X))
    record = next(pair.engine.journal.read(pair.state.sequence))
    told = [event.units_moved for event in events_of(record, pair.state.names, 0, frozenset())]
    assert [(m.from_node_id, m.node_id, m.from_stage - 1, m.to_stage - 1, m.quantity, m.cause) for m in told] == [
        ("node-0", "node-1", Stage.ALLOCATED, Stage.ALLOCATED, 3, Cause.REALLOCATED),
        ("node-0", "node-1", Stage.RESERVED, Stage.RESERVED, 2, Cause.REALLOCATED),
    ]
    history, moved = History(), []
    for record in pair.engine.journal.read(1):
        moved = [columns for name, columns in history.read(record) if name == "movements"]
    ((kinds, nodes, units, causes),) = [
        [columns[name].tolist() for name in ("kind", "node", "quantity", "cause")] for columns in moved
    ]
    assert kinds == [Kind.RELEASED, Kind.ALLOCATED, Kind.RELEASED, Kind.RESERVED]
    assert (nodes, units, set(causes)) == ([X, Y, X, Y], [3, 3, 2, 2], {Cause.REALLOCATED})
    pair.commit(asks.Release((asks.Ending("end", "cart"),)))
    for record in pair.engine.journal.read(pair.state.sequence):
        moved = [columns for name, columns in history.read(record) if name == "movements"]
    assert [(c["kind"].tolist(), c["node"].tolist()) for c in moved] == [([Kind.RELEASED], [Y])]
    pair.close()


# At no commit


def test_after_every_commit_of_a_replay_nothing_is_oversold_and_no_unit_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reallocation, "ORDERS_OF_A_COMMIT_MAX", 3)
    pair = three_nodes((SHIRT, X, 40), (SHIRT, Y, 20), (SHIRT, Z, 7), (SHOES, X, 9), path=tmp_path / "data")
    for i in range(9):
        pair.commit(place(f"order {i}", (SHIRT, 1 + i % 4), (SHOES, 1)), reserve(f"cart {i}", (SHIRT, 1)))
    after = 0
    while True:
        (answer,) = pair.commit(leave(X, after=after, short=True))
        after = answer.following
        if not after:
            break
    pair.commit(asks.Stock("less", ((SHIRT, Y, MovementKind.COUNTED, 5),)))
    state = State(pair.state.secret, pair.state.limits)
    for record in pair.engine.journal.read(1):
        apply_record(state, record.sequence, record.stamp, decode(record.body))
        check_invariants(state)
    assert state.digest() == pair.state.digest()
    pair.close()
