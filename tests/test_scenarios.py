"""What people complain about in today's systems, and each rule of RULES.md, as scenarios of one line's name.

Every command goes to the engine and to the model beside it (tests/driving.py), which compares answers and state; the
tests say in figures what both must come to. The last table gives each answer once.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from engine import stock
from engine.journal.records import decode
from engine.lifecycle import Action
from engine.outcomes import Cause, MovementKind, Reply
from engine.writer import Engine
from kernels.columns import UNITS_MAX, OnShort, Stage
from tests import asks
from tests.driving import SECOND, START, Pair, columns, counted, place, plain, policy, received, reserve

X, Y, Z = 0, 1, 2
SHIRT, SHOES = 0, 1
SHOP, MARKET = 0, 1
LATER = START + 60 * SECOND
BACK_ORDERS = policy(on_short=OnShort.BACK_ORDER)
REFUSES = policy(on_short=OnShort.REFUSE)
GIVEN_TO_STEPS = {reply for reply in Reply if reply >= Reply.UNKNOWN_PAYMENT} - {Reply.ALREADY_SHIPPED}  # test_life.py


def gives(answer: asks.OrderAnswer) -> list[list[tuple[int, int]]]:
    """Per line (node, units), NO_NODE for what is short."""
    return [[(node, units) for node, _, units, _ in parts] for _, _, parts in answer.lines]


def act(order: str, action: Action, units: int = 0, request: str = "", **more: Any) -> asks.Acts:
    return asks.Acts((asks.Act(request or f"{order}-{action.name}-{units}", order, action, units, **more),))


def confirm(reservation: str, order: str = "", request: str = "", code: int = -1, channel: int = 0) -> asks.Confirm:
    order = order or f"order of {reservation}"
    return asks.Confirm((asks.Confirmation(request or order, order, reservation, channel, code),))


def release(reservation: str, request: str = "") -> asks.Release:
    return asks.Release((asks.Ending(request or f"end {reservation}", reservation),))


def last_tables(pair: Pair) -> list[tuple[Any, Any]]:
    """What the last commit wrote."""
    return [table for record in pair.engine.journal.read(pair.state.sequence) for table in decode(record.body)]


def two_nodes(at_x: int, at_y: int, *policies: asks.Policy, codes: int = 1, skus: int = 2) -> Pair:
    pair = Pair(nodes=2, skus=skus, codes=codes, policies=policies)
    pair.commit(received("first stock", (SHIRT, X, at_x), (SHIRT, Y, at_y)))
    return pair


# Sold once


def test_of_many_buyers_for_one_unit_one_gets_it() -> None:
    pair = two_nodes(0, 1, REFUSES)
    one_batch = pair.commit(asks.Place(tuple(asks.Cart(f"order {i}", ((SHIRT, 1),)) for i in range(50))))
    one_by_one = [pair.commit(place(f"late {i}", (SHIRT, 1)))[0] for i in range(5)]
    replies = [answer.reply for answer in one_batch + one_by_one]
    assert replies == [Reply.ALLOCATED] + [Reply.REFUSED] * 54
    pair.close()


def test_of_many_carts_for_one_unit_one_holds_it() -> None:
    pair = two_nodes(1, 0)
    carts = tuple(asks.Cart(f"cart {i}", ((SHIRT, 1),), expires_at=LATER) for i in range(20))
    assert [a.reply for a in pair.commit(asks.Reserve(carts))] == [Reply.ALLOCATED] + [Reply.SHORT] * 19
    assert pair.available(SHIRT, X) == 0


def test_thirteen_from_ten_and_fifteen_leave_from_the_second() -> None:
    assert gives(two_nodes(10, 15).commit(place("a", (SHIRT, 13)))[0]) == [[(Y, 13)]]


def test_twenty_from_ten_and_fifteen_are_ten_and_ten_never_twenty_five() -> None:
    pair = two_nodes(10, 15)
    assert gives(pair.commit(place("a", (SHIRT, 20)))[0]) == [[(X, 10), (Y, 10)]]
    assert (pair.available(SHIRT, X), pair.available(SHIRT, Y)) == (0, 5)


def test_lines_of_the_same_sku_are_one_need_and_are_answered_line_by_line() -> None:
    pair = two_nodes(10, 15)
    answer = pair.commit(place("a", (SHIRT, 6), (SHIRT, 6)))[0]  # each alone would fit X, both together only Y
    assert gives(answer) == [[(Y, 6)], [(Y, 6)]]
    assert gives(pair.commit(place("b", (SHIRT, 2), (SHIRT, 9), (SHIRT, 4)))[0]) == [
        [(X, 2)],
        [(X, 8), (Y, 1)],
        [(Y, 2), (-1, 2)],
    ]


def test_negative_stock_at_one_node_does_not_hide_stock_at_another() -> None:
    pair = two_nodes(0, 5)
    pair.commit(asks.Stock("lost", ((SHIRT, X, MovementKind.ADJUSTED, -7),)))
    assert (pair.available(SHIRT, X), pair.available(SHIRT, Y)) == (0, 5)
    assert gives(pair.commit(place("a", (SHIRT, 5)))[0]) == [[(Y, 5)]]


def test_stock_spread_over_nodes_does_not_serve_an_order_that_needs_one() -> None:
    pair = two_nodes(3, 3, policy(split=False, on_short=OnShort.REFUSE), policy(split=False))
    assert pair.commit(place("a", (SHIRT, 4)))[0].reply is Reply.REFUSED
    assert gives(pair.commit(place("b", (SHIRT, 4), channel=MARKET))[0]) == [[(-1, 4)]]
    assert gives(pair.commit(place("c", (SHIRT, 3), channel=MARKET))[0]) == [[(X, 3)]]


def test_a_node_outside_the_group_or_closed_gives_nothing() -> None:
    pair = two_nodes(5, 5, policy(Y))
    assert gives(pair.commit(place("a", (SHIRT, 1)))[0]) == [[(Y, 1)]]
    pair.commit(asks.Opening("close Y", ((Y, False),)))
    assert gives(pair.commit(place("b", (SHIRT, 1)))[0]) == [[(-1, 1)]]
    pair.commit(asks.Opening("open Y", ((Y, True),)))
    assert gives(pair.commit(place("c", (SHIRT, 1)))[0]) == [[(Y, 1)]]


# Reservations


def test_a_reservation_that_expires_during_payment_is_refused_and_its_units_are_free() -> None:
    pair = two_nodes(4, 0)
    pair.commit(reserve("cart", (SHIRT, 4), expires_at=START + SECOND))
    assert pair.available(SHIRT, X) == 0
    refused = pair.commit(confirm("cart"), after=SECOND)[0]
    assert (refused.reply, refused.number, pair.available(SHIRT, X)) == (Reply.RESERVATION_EXPIRED, 0, 4)
    assert pair.commit(place("other", (SHIRT, 4)))[0].reply is Reply.ALLOCATED
    assert pair.commit(confirm("cart"), after=SECOND)[0] == replace(refused, again=True)


def test_a_reservation_holds_to_the_last_microsecond() -> None:
    pair = two_nodes(4, 0)
    pair.commit(reserve("cart", (SHIRT, 4), expires_at=START + SECOND))
    assert pair.commit(confirm("cart"), after=SECOND - 1)[0].reply is Reply.ALLOCATED
    pair.commit(after=5 * SECOND)
    assert pair.figures(SHIRT, X)[2:4] == (4, 0)


def test_a_confirmed_or_released_reservation_cannot_be_used_again() -> None:
    pair = two_nodes(9, 0)
    for id in ("a", "b"):
        pair.commit(reserve(id, (SHIRT, 3), expires_at=LATER))
    pair.commit(confirm("a"), release("b"))
    assert pair.commit(confirm("a", "second"))[0].reply is Reply.RESERVATION_ENDED
    assert pair.commit(confirm("b"))[0].reply is Reply.RESERVATION_ENDED
    assert pair.commit(release("a"), release("b", "once more"))[0].reply is Reply.RESERVATION_ENDED
    assert pair.figures(SHIRT, X)[2:4] == (3, 0)


def test_confirm_with_another_postal_code_counts_its_own_units() -> None:
    pair = two_nodes(4, 3, REFUSES, codes=2)
    pair.commit(reserve("cart", (SHIRT, 4), expires_at=LATER))
    pair.commit(reserve("other", (SHIRT, 2), expires_at=LATER, code=1))
    answer = pair.commit(confirm("cart", code=1))[0]  # from code 1, Y is nearer, but X alone has all four
    assert gives(answer) == [[(X, 4)]]
    assert gives(pair.commit(confirm("other", code=0))[0]) == [[(Y, 2)]]
    pair.close()


def test_an_order_has_what_was_said_about_it_when_it_was_reserved() -> None:
    """Customer, payment and prices, of reservations of several commits and of the confirming one."""
    pair = two_nodes(9, 9, codes=2)

    def cart(name: str, *lines: tuple[int, int], **options: Any) -> Any:
        return replace(columns(reserve(name, *lines, expires_at=LATER), pair.places), options=options)

    first = {"customer": pa.array(["Asha"]), "unit_price": np.array([500, 700], np.int64)}
    pair.engine.commit(cart("first", (SHIRT, 1), (SHIRT, 2), **first), START)
    pair.engine.commit(cart("second", (SHIRT, 1)), START)
    third = cart("third", (SHIRT, 3), payment_method=np.array([4], np.int16), tax=np.array([90], np.int64))
    names = ("third", "second", "first")
    confirmations = asks.Confirm(
        tuple(asks.Confirmation(name, f"{name} order", name, code=i % 2) for i, name in enumerate(names))
    )
    pair.engine.submit([third, columns(confirmations, pair.places)], START).wait()
    orders, lines = (
        [rows for table, rows in last_tables(pair) if table.name == name][1:] for name in ("orders", "lines")
    )
    said = {
        str(order["order_id"][i]): (str(order["customer"][i]) if "customer" in order else "", int(order["number"][i]))
        for order in orders
        for i in range(order["number"].size)
    }
    assert {name: customer for name, (customer, _) in said.items()} == {
        "third order": "", "second order": "", "first order": "Asha",
    }  # fmt: skip
    assert [price for rows in lines for price in rows.get("unit_price", []) if price > 0] == [500, 700]
    assert [tax for rows in lines for tax in rows.get("tax", []) if tax > 0] == [90]
    assert [int(word) for rows in orders for word in rows.get("payment_method", []) if word >= 0] == [4]


def test_confirm_with_another_postal_code_moves_to_the_nearer_node() -> None:
    pair = two_nodes(4, 4, codes=2)
    pair.commit(reserve("cart", (SHIRT, 4), expires_at=LATER))
    assert gives(pair.commit(confirm("cart", code=1))[0]) == [[(Y, 4)]]
    assert (pair.available(SHIRT, X), pair.available(SHIRT, Y)) == (4, 0)


def test_confirm_that_cannot_be_served_is_refused_and_the_reservation_goes_on() -> None:
    pair = two_nodes(4, 0, REFUSES, codes=2)
    pair.commit(reserve("cart", (SHIRT, 4), expires_at=LATER))
    pair.commit(counted("count", (SHIRT, X, 3)))
    refused = pair.commit(confirm("cart", "order", "try 1"))[0]
    assert refused == asks.OrderAnswer(Reply.REFUSED)
    assert pair.commit(confirm("cart", "order", "try 1"))[0] == replace(refused, again=True)
    pair.commit(received("more", (SHIRT, Y, 4)))
    assert gives(pair.commit(confirm("cart", "order", "try 2"))[0]) == [[(Y, 4)]]
    pair.close()


def test_of_two_confirmations_in_a_batch_that_name_the_same_the_first_counts() -> None:
    pair = two_nodes(9, 9, codes=2)
    for id in ("a", "b"):
        pair.commit(reserve(id, (SHIRT, 2), expires_at=LATER))
    elsewhere = asks.Confirmation("1", "order", "a", code=1)
    replies = [a.reply for a in pair.commit(asks.Confirm((elsewhere, asks.Confirmation("2", "order", "b"))))]
    assert replies == [Reply.ALLOCATED, Reply.KEY_CONFLICT]
    pair.commit(reserve("c", (SHIRT, 2), expires_at=LATER))
    twice = (asks.Confirmation("3", "one", "c", code=1), asks.Confirmation("4", "two", "c"))
    assert [a.reply for a in pair.commit(asks.Confirm(twice))] == [Reply.ALLOCATED, Reply.RESERVATION_ENDED]


def test_a_reservation_confirmed_or_released_in_time_has_ended_and_did_not_expire() -> None:
    pair = two_nodes(9, 0)
    for id in ("confirmed", "released", "expired"):
        pair.commit(reserve(id, (SHIRT, 1), expires_at=START + SECOND))
    pair.commit(confirm("confirmed"), release("released"))
    pair.commit(place("much later", (SHIRT, 1)), after=3 * SECOND)
    asked = [confirm("confirmed", request="again"), release("released", "again"), confirm("expired")]
    expected = [Reply.RESERVATION_ENDED, Reply.RESERVATION_ENDED, Reply.RESERVATION_EXPIRED]
    assert [answer.reply for answer in pair.commit(*asked, after=SECOND)] == expected
    pair.close()


def test_why_a_reservation_ended_is_told_after_a_start_and_while_commits_are_under_way(tmp_path: Path) -> None:
    pair = Pair(2, 2, 1, [policy()], tmp_path / "data")
    pair.commit(received("stock", (SHIRT, X, 9)))
    for id in ("confirmed", "expired"):
        pair.commit(reserve(id, (SHIRT, 1), expires_at=START + SECOND))
    pair.commit(confirm("confirmed"), after=SECOND - 1)
    later = [columns(place(f"later {i}", (SHIRT, 1)), pair.places) for i in range(20)]
    pending = [pair.engine.submit([command], START + (1 + i) * SECOND) for i, command in enumerate(later)]
    asked = [columns(release(id, f"end {id}"), pair.places) for id in ("confirmed", "expired")]
    expected = [Reply.RESERVATION_ENDED, Reply.RESERVATION_EXPIRED]
    told = [answer[0].reply for answer in map(plain, pair.engine.submit(asked, START + 30 * SECOND).wait())]
    assert told == expected
    assert all(commit.wait() for commit in pending)
    pair.engine.close()
    with Engine.open(tmp_path / "data", publish=False) as engine:
        asked = [columns(release(id, f"again {id}"), pair.places) for id in ("confirmed", "expired")]
        told = [answer[0].reply for answer in map(plain, engine.submit(asked, START + 40 * SECOND).wait())]
        assert told == expected


def test_a_reservation_whose_time_had_passed_when_it_was_made_expires_with_the_next_commit() -> None:
    pair = two_nodes(9, 0)
    made = [reserve(id, (SHIRT, 1), expires_at=START) for id in ("ended", "expired")]
    answers = pair.commit(*made, release("ended"), release("ended", "again"))
    assert [answer.reply for answer in answers[2:]] == [Reply.DONE, Reply.RESERVATION_ENDED]
    replies = [answer.reply for answer in pair.commit(release("ended", "once more"), release("expired"))]
    assert replies == [Reply.RESERVATION_ENDED, Reply.RESERVATION_EXPIRED]


# Counters


def test_counters_do_not_drift_after_cancel_move_and_expire() -> None:
    pair = two_nodes(10, 10)
    pair.commit(place("a", (SHIRT, 12)), place("b", (SHIRT, 2)), reserve("r", (SHIRT, 3), expires_at=LATER))
    for action, units in (
        (Action.PICK, 5), (Action.PACK, 2), (Action.UNPICK, 3), (Action.PICK, 1), (Action.CANCEL, 4), (Action.SHIP, 3),
    ):  # fmt: skip
        assert pair.commit(act("a", action, units))[0].reply is Reply.DONE
    pair.commit(after=3600 * SECOND)
    pair.commit(act("a", Action.CANCEL), act("b", Action.CANCEL))
    assert [pair.figures(SHIRT, node)[2:4] for node in (X, Y)] == [(0, 0), (0, 0)]
    assert sum(pair.figures(SHIRT, node)[0] for node in (X, Y)) == 17
    assert pair.commit(asks.Retire(pair.stamp + 1))[0].quantity == 1  # a has units under way
    pair.close()


def test_an_order_that_is_wholly_short_is_closed_when_it_is_taken_and_can_be_retired() -> None:
    pair = two_nodes(2, 0, policy(), BACK_ORDERS)
    partly = pair.commit(place("partly", (SHOES, 1), (SHIRT, 3)))[0]
    assert partly.reply is Reply.PARTLY
    for id, channel in (("kept", SHOP), ("waits", MARKET)):
        assert pair.commit(place(id, (SHOES, 1), channel=channel))[0].reply is Reply.SHORT
    pair.commit(reserve("cart", (SHOES, 2), expires_at=LATER))
    pair.commit(confirm("cart"))  # sourced again, and short again
    assert pair.commit(asks.Retire(pair.stamp))[0].quantity == 0  # not before they were closed
    assert pair.commit(asks.Retire(pair.stamp + 1), after=SECOND)[0].quantity == 2
    assert {order.id for order in pair.model.orders} == {"partly", "waits"}
    assert pair.commit(act("kept", Action.CANCEL))[0].reply is Reply.UNKNOWN_ORDER
    pair.close()


def test_units_of_an_order_that_was_short_from_the_start_can_be_cancelled() -> None:
    pair = two_nodes(0, 0)
    pair.commit(place("a", (SHIRT, 2)))
    closed_at = pair.model.orders[0].closed_at
    assert pair.commit(act("a", Action.CANCEL, 1), after=SECOND)[0].reply is Reply.DONE
    assert pair.model.orders[0].closed_at == closed_at == START
    pair.close()


def test_a_count_below_what_is_committed_takes_newest_reservations_then_newest_allocations_and_names_the_deficit() -> (
    None
):
    pair = Pair(nodes=1, policies=[BACK_ORDERS])
    pair.commit(received("stock", (SHIRT, X, 20)))
    pair.commit(place("old", (SHIRT, 5)), place("picked", (SHIRT, 4)), place("new", (SHIRT, 5)))
    pair.commit(reserve("r1", (SHIRT, 3), expires_at=LATER), reserve("r2", (SHIRT, 3), expires_at=LATER))
    pair.commit(act("picked", Action.PICK))
    pair.commit(counted("to 19", (SHIRT, X, 19)))
    assert pair.figures(SHIRT, X)[2:] == (14, 5, 0, 4, 0)  # r2 keeps 2 of 3
    pair.commit(counted("to 12", (SHIRT, X, 12)))
    assert pair.figures(SHIRT, X)[2:] == (12, 0, 0, 4, 0)  # both carts are empty, new keeps 3 of 5
    pair.commit(counted("to 3", (SHIRT, X, 3)))
    assert pair.figures(SHIRT, X)[2:] == (4, 0, 0, 4, 1)  # only what is picked, one more than there is
    pair.commit(counted("to -2", (SHIRT, X, -2)))
    assert pair.figures(SHIRT, X)[2:] == (4, 0, 0, 4, 6)
    pair.commit(received("back", (SHIRT, X, 13)))
    assert pair.figures(SHIRT, X)[2:] == (11, 0, 0, 4, 0)  # old 5, picked 4, new 2 of 5
    pair.close()


def test_a_count_takes_from_the_lines_of_an_order_in_their_sequence() -> None:
    pair = Pair(nodes=1)
    pair.commit(received("stock", (SHIRT, X, 9), (SHOES, X, 9)))
    pair.commit(place("gone", (SHOES, 1), (SHIRT, 1)))
    pair.commit(act("gone", Action.CANCEL))
    pair.commit(asks.Retire(START + SECOND))  # its rows are used again, in another sequence
    pair.commit(place("order", (SHIRT, 4), (SHIRT, 5)))
    pair.commit(counted("to 3", (SHIRT, X, 3)))
    order = pair.model.orders[0]
    assert [line.parts.get((Stage.SHORT, -1), [0])[0] for line in order.lines] == [4, 2]


def test_a_count_one_unit_too_low_walks_the_lines_of_one_order_not_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    walked = []

    def positions(state: Any, order: Any, line: Any) -> Any:
        walked.append(line.size)
        return positions_of(state, order, line)

    positions_of = stock._positions
    monkeypatch.setattr(stock, "_positions", positions)
    pair = two_nodes(40, 40)
    pair.commit(asks.Place(tuple(asks.Cart(f"order {i}", ((SHIRT, 1), (SHIRT, 1))) for i in range(40))))
    pair.commit(counted("39", (SHIRT, X, 39)))
    assert sum(walked) <= 4
    pair.commit(counted("to 17 and 5", (SHIRT, X, 17), (SHIRT, Y, 5)))
    assert (pair.figures(SHIRT, X)[2], pair.figures(SHIRT, Y)[2]) == (17, 5)
    pair.close()


def test_picked_units_put_back_on_a_shelf_that_was_counted_without_them_are_released() -> None:
    pair = two_nodes(5, 0, BACK_ORDERS)
    pair.commit(place("a", (SHIRT, 5)), act("a", Action.PICK))
    pair.commit(counted("to 3", (SHIRT, X, 3)))
    assert pair.figures(SHIRT, X)[2:] == (5, 0, 0, 5, 2)
    assert pair.commit(act("a", Action.UNPICK, 1))[0].reply is Reply.DONE
    assert pair.figures(SHIRT, X)[2:] == (4, 0, 0, 4, 1)  # that unit is nowhere
    assert pair.commit(act("a", Action.UNPICK))[0].reply is Reply.DONE
    assert pair.figures(SHIRT, X)[2:] == (3, 0, 0, 0, 0)
    assert pair.model.orders[0].lines[0].parts[Stage.BACK_ORDERED, -1] == [2, 0]
    pair.commit(counted("found again", (SHIRT, X, 5)))
    assert pair.figures(SHIRT, X)[2:] == (5, 0, 0, 0, 0)
    pair.close()


# Receipts and back-orders


def test_a_receipt_serves_back_orders_by_priority_then_age_before_anybody_may_buy() -> None:
    market = policy(on_short=OnShort.BACK_ORDER, priority=1)
    pair = Pair(nodes=1, policies=[replace(market, priority=2), market])
    for id, channel in (("shop 1", SHOP), ("market 1", MARKET), ("market 2", MARKET), ("shop 2", SHOP)):
        answer = pair.commit(place(id, (SHIRT, 4), channel=channel))[0]
        assert answer.lines[0][2] == ((-1, Stage.BACK_ORDERED, 4, 0),)
    pair.commit(received("ten", (SHIRT, X, 10)))
    got = {order.id: order.lines[0].parts.get((Stage.ALLOCATED, X), [0])[0] for order in pair.model.orders}
    assert got == {"market 1": 4, "market 2": 4, "shop 1": 2, "shop 2": 0}
    assert pair.available(SHIRT, X) == 0
    pair.commit(received("ten more", (SHIRT, X, 10)))
    assert pair.available(SHIRT, X) == 4
    pair.close()


def test_stock_out_of_quarantine_serves_back_orders_and_stock_into_it_does_not() -> None:
    pair = two_nodes(6, 0, BACK_ORDERS)
    pair.commit(asks.Stock("into", ((SHIRT, X, MovementKind.UNAVAILABLE, 6),)))
    pair.commit(place("first", (SHIRT, 4)))
    pair.commit(asks.Stock("out", ((SHIRT, X, MovementKind.UNAVAILABLE, -4),)))
    assert pair.figures(SHIRT, X)[2] == 4
    pair.commit(place("second", (SHIRT, 3)))
    pair.commit(act("first", Action.CANCEL))
    pair.commit(asks.Stock("into again", ((SHIRT, X, MovementKind.UNAVAILABLE, 1),)))
    assert pair.figures(SHIRT, X)[2] == 0


def test_a_receipt_of_less_than_a_back_order_that_must_leave_together_waits() -> None:
    pair = Pair(nodes=2, policies=[policy(split=False, on_short=OnShort.BACK_ORDER)])
    pair.commit(place("a", (SHIRT, 4)))
    pair.commit(received("three", (SHIRT, X, 3)))
    assert pair.available(SHIRT, X) == 3
    pair.commit(received("four", (SHIRT, Y, 4)))
    assert (pair.available(SHIRT, X), pair.available(SHIRT, Y)) == (3, 0)


def test_a_back_order_that_must_leave_together_gets_its_units_only_where_the_others_of_it_leave() -> None:
    together = policy(split=False, on_short=OnShort.BACK_ORDER)
    pair = Pair(nodes=3, policies=[together, replace(together, split=True)])
    pair.commit(received("stock", (SHIRT, X, 5), (SHOES, X, 5)))
    pair.commit(place("first", (SHIRT, 3), (SHOES, 2)))
    pair.commit(counted("two lost", (SHIRT, X, 1)))
    for id, channel in (("second", MARKET), ("third", SHOP), ("fourth", MARKET)):
        pair.commit(place(id, (SHIRT, 1), channel=channel))
    pair.commit(received("at another", (SHIRT, Y, 9)))
    nodes = {order.id: {node for line in order.lines for _, node in line.parts} for order in pair.model.orders}
    assert nodes == {"first": {X, -1}, "second": {Y}, "third": {Y}, "fourth": {Y}}
    pair.commit(received("at the same", (SHIRT, X, 2)))
    assert pair.model.orders[0].lines[0].parts == {(Stage.ALLOCATED, X): [3, 0]}
    pair.close()


def test_returned_units_come_back_to_stock_or_to_quarantine_or_not_at_all() -> None:
    pair = two_nodes(9, 0)
    pair.commit(place("a", (SHIRT, 6)))
    pair.commit(act("a", Action.SHIP), act("a", Action.DELIVER, 4))
    for restock in (0, 1, 2):
        pair.commit(act("a", Action.RETURN, 2, f"return {restock}", restock=restock))
    assert pair.figures(SHIRT, X) == (7, 2, 0, 0, 0, 0, 0)
    assert pair.commit(act("a", Action.RETURN, 1))[0].reply is Reply.NOT_ENOUGH_UNITS
    pair.close()


# Ring-fences


def test_units_that_come_back_for_sale_serve_back_orders_before_anybody_may_buy_and_those_to_look_at_do_not() -> None:
    pair = two_nodes(4, 0, BACK_ORDERS)
    pair.commit(place("a", (SHIRT, 4)), place("waits", (SHIRT, 3)), act("a", Action.SHIP))
    pair.commit(act("a", Action.RETURN, 1, restock=2))
    assert pair.figures(SHIRT, X)[2] == 0
    pair.commit(act("a", Action.RETURN, 2, restock=1))
    assert (pair.figures(SHIRT, X)[2], pair.available(SHIRT, X)) == (2, 0)
    moves = [rows for table, rows in last_tables(pair) if table.name == "moves"]
    assert [Cause(cause) for rows in moves for cause in rows["cause"]] == [Cause.ORDER, Cause.RETURN]
    pair.close()


def test_the_example_of_the_rules_through_real_allocations() -> None:
    pair = two_nodes(10, 5, policy(), policy())
    pair.commit(asks.Fence("fence", ((SHOP, SHIRT, X, 4),)))
    assert gives(pair.commit(place("b", (SHIRT, 12), channel=MARKET))[0]) == [[(X, 6), (Y, 5), (-1, 1)]]
    assert pair.commit(place("b2", (SHIRT, 1), channel=MARKET))[0].reply is Reply.SHORT
    assert gives(pair.commit(place("a", (SHIRT, 5)))[0]) == [[(X, 4), (-1, 1)]]
    pair.close()


def test_a_channel_uses_up_its_own_ring_fence_first_and_gets_it_back() -> None:
    pair = two_nodes(10, 5, policy(), policy())
    pair.commit(asks.Fence("fence", ((SHOP, SHIRT, X, 4),)))
    pair.commit(reserve("cart", (SHIRT, 3), expires_at=LATER), place("a", (SHIRT, 3)))
    assert pair.model.fences[SHIRT, X, SHOP] == 0
    pair.commit(confirm("cart"))
    pair.commit(act("order of cart", Action.CANCEL, 2))
    assert pair.model.fences[SHIRT, X, SHOP] == 2
    pair.commit(act("a", Action.PICK), act("a", Action.CANCEL))
    assert pair.model.fences[SHIRT, X, SHOP] == 3
    pair.commit(act("order of cart", Action.SHIP))  # used up for good
    pair.commit(act("order of cart", Action.RETURN, restock=1))
    assert pair.model.fences[SHIRT, X, SHOP] == 3
    pair.close()


def test_a_ring_fence_without_units_behind_it_counts_as_far_as_it_is_backed_in_channel_order() -> None:
    pair = Pair(nodes=1, policies=[policy(), policy(), policy()])
    pair.commit(received("stock", (SHIRT, X, 7)))
    pair.commit(asks.Fence("fences", ((1, SHIRT, X, 6), (SHOP, SHIRT, X, 5))))
    assert gives(pair.commit(place("nobody's", (SHIRT, 1), channel=2))[0]) == [[(-1, 1)]]
    assert gives(pair.commit(place("second", (SHIRT, 6), channel=1))[0]) == [[(X, 2), (-1, 4)]]
    assert gives(pair.commit(place("first", (SHIRT, 6)))[0]) == [[(X, 5), (-1, 1)]]


def test_units_drawn_before_a_ring_fence_was_set_anew_neither_use_it_nor_come_back_to_it() -> None:
    pair = Pair(nodes=1, policies=[policy(), policy()])
    pair.commit(received("stock", (SHIRT, X, 10)))
    pair.commit(asks.Fence("four", ((SHOP, SHIRT, X, 4),)))
    pair.commit(reserve("cart", (SHIRT, 4), expires_at=LATER))
    pair.commit(asks.Fence("two", ((SHOP, SHIRT, X, 2),)))
    pair.commit(confirm("cart"))
    assert pair.model.fences[SHIRT, X, SHOP] == 2
    pair.commit(act("order of cart", Action.CANCEL))
    assert pair.model.fences[SHIRT, X, SHOP] == 2


def test_a_back_order_served_out_of_a_ring_fence_gives_it_back_when_cancelled() -> None:
    pair = Pair(nodes=1, policies=[BACK_ORDERS])
    pair.commit(place("a", (SHIRT, 3)))
    pair.commit(asks.Fence("three", ((SHOP, SHIRT, X, 3),)))
    pair.commit(received("stock", (SHIRT, X, 5)))
    assert pair.model.fences[SHIRT, X, SHOP] == 0
    pair.commit(act("a", Action.CANCEL))
    assert pair.model.fences[SHIRT, X, SHOP] == 3


# The same thing twice


def test_the_first_answer_comes_again_field_by_field_after_the_order_was_shipped_or_cancelled() -> None:
    pair = two_nodes(10, 15)
    asked = [place("a", (SHIRT, 20), (SHOES, 1)), place("b", (SHIRT, 1)), reserve("r", (SHIRT, 2), expires_at=LATER)]
    first = pair.commit(*asked)
    first += pair.commit(confirm("r"), act("a", Action.SHIP, 7), received("more", (SHOES, X, 9)))
    pair.commit(act("a", Action.CANCEL), act("b", Action.CANCEL), after=SECOND)
    pair.commit(asks.Retire(pair.stamp + 1), after=SECOND)
    again = pair.commit(*asked, confirm("r"), act("a", Action.SHIP, 7), received("more", (SHOES, X, 9)))
    assert again == [replace(answer, again=True) for answer in first]
    pair.close()


def test_the_same_key_with_other_content_is_refused_and_changes_nothing() -> None:
    pair = two_nodes(10, 15, codes=2)
    pair.commit(place("a", (SHIRT, 2), (SHOES, 1)), reserve("r", (SHIRT, 2), expires_at=LATER))
    pair.commit(reserve("r2", (SHIRT, 2), expires_at=LATER))
    asked_first = (confirm("r", "o", "confirm"), act("a", Action.PICK, 1, "act"), release("r2", "release"))
    pair.commit(*asked_first, counted("count", (SHIRT, X, 9)))
    digest = pair.state.digest()
    for other in (
        place("a", (SHIRT, 3), (SHOES, 1)),
        place("a", (SHIRT, 2), (SHOES, 1), code=1),
        place("a", (SHOES, 1), (SHIRT, 2)),
        place("a", (SHIRT, 2)),
        reserve("r", (SHIRT, 2), expires_at=LATER + 1),
        confirm("r", "o", "confirm", code=0),
        confirm("r2", "o", "confirm"),
        confirm("r", "o2", "confirm"),
        place("o", (SHIRT, 2)),  # an order that came of a reservation
        act("a", Action.PICK, 2, "act"),
        act("a", Action.CANCEL, 1, "act"),
        act("a", Action.PICK, 1, "act", line=1),
        act("a", Action.PICK, 1, "act", node=X),
        act("o", Action.PICK, 1, "act"),
        release("r", "release"),
        counted("count", (SHIRT, X, 8)),
        counted("count", (SHIRT, X, 9), source=0),
    ):
        assert pair.commit(other)[0].reply is Reply.KEY_CONFLICT, other
    assert pair.state.digest() == digest


def test_equal_keys_of_another_channel_or_method_are_other_keys() -> None:
    pair = two_nodes(10, 15, policy(), policy())
    asked = [
        place("key", (SHIRT, 1)), place("key", (SHIRT, 1), channel=MARKET),
        reserve("key", (SHIRT, 1), expires_at=LATER), confirm("key", "o", "key"),
        act("key", Action.PICK, 1, "key"), received("key", (SHIRT, X, 1)),
        asks.Fence("key", ((SHOP, SHIRT, X, 1),)), release("key", "key"),
    ]  # fmt: skip
    answers = pair.commit(*asked)
    assert not any(answer.again for answer in answers)
    assert pair.commit(*asked) == [replace(answer, again=True) for answer in answers]


def test_the_same_order_many_times_in_one_batch_has_one_effect() -> None:
    pair = two_nodes(10, 15)
    cart = asks.Cart("a", ((SHIRT, 2),))
    answers = pair.commit(asks.Place((cart,) * 20))
    assert {replace(answer, again=False) for answer in answers} == {answers[0]}
    assert [answer.again for answer in answers] == [False] + [True] * 19
    assert pair.available(SHIRT, X) == 8


def test_in_one_batch_the_same_key_with_other_content_is_refused() -> None:
    pair = two_nodes(10, 15)
    carts = [asks.Cart("a", ((SHIRT, units),)) for units in (2, 2, 3, 2)]
    replies = [
        (a.reply, a.again) for a in pair.commit(asks.Place((carts[0], asks.Cart("b", ((SHIRT, 1),)), *carts[1:])))
    ]
    same, conflict = (Reply.ALLOCATED, True), (Reply.KEY_CONFLICT, False)
    assert replies == [(Reply.ALLOCATED, False), (Reply.ALLOCATED, False), same, conflict, same]
    acts = tuple(asks.Act("act", "a", Action.PICK, units) for units in (1, 1, 2))
    assert [a.reply for a in pair.commit(asks.Acts(acts))] == [Reply.DONE, Reply.DONE, Reply.KEY_CONFLICT]
    assert pair.figures(SHIRT, X)[5] == 1


def test_reordered_and_duplicated_retries_change_nothing() -> None:
    pair = two_nodes(10, 15)
    asked = [
        place("a", (SHIRT, 12)), reserve("r", (SHIRT, 3), expires_at=LATER), act("a", Action.PICK, 4),
        confirm("r"), act("a", Action.SHIP, 4), received("more", (SHIRT, X, 5)), act("a", Action.CANCEL, 3),
    ]  # fmt: skip
    first = [pair.commit(command)[0] for command in asked]
    digest = pair.state.digest()
    for i in (5, 0, 3, 3, 1, 6, 2, 4, 0, 6):
        assert pair.commit(asked[i])[0] == replace(first[i], again=True)
    pair.commit(*reversed(asked))
    assert pair.state.digest() == digest


def test_a_refusal_is_remembered_even_when_stock_has_come_since() -> None:
    pair = two_nodes(1, 0, REFUSES)
    refused = pair.commit(place("a", (SHIRT, 2)))[0]
    pair.commit(received("more", (SHIRT, X, 5)))
    assert pair.commit(place("a", (SHIRT, 2)))[0] == replace(refused, again=True)
    assert pair.commit(act("a", Action.CANCEL))[0].reply is Reply.UNKNOWN_ORDER


def test_a_forgotten_key_is_a_new_one_but_never_that_of_an_open_order() -> None:
    pair = two_nodes(10, 0)
    pair.commit(place("open", (SHIRT, 1)), place("closed", (SHIRT, 1)))
    pair.commit(act("closed", Action.CANCEL))
    pair.commit(asks.Retire(pair.stamp + 2), asks.Forget(pair.state.sequence + 1), after=SECOND)
    answers = pair.commit(place("open", (SHIRT, 1)), place("closed", (SHIRT, 1)))
    assert [answer.again for answer in answers] == [True, False]


# Statements and commits


def test_a_statement_older_than_the_last_of_its_source_is_refused() -> None:
    pair = two_nodes(0, 0)
    assert pair.commit(counted("1", (SHIRT, X, 5), source=0, counted_at=100))[0].reply is Reply.DONE
    assert pair.commit(counted("2", (SHIRT, X, 9), source=0, counted_at=99))[0].reply is Reply.STATEMENT_TOO_OLD
    assert pair.commit(counted("3", (SHIRT, X, 7), source=1, counted_at=50))[0].reply is Reply.DONE
    assert pair.commit(counted("4", (SHIRT, X, 6), source=0, counted_at=100))[0].reply is Reply.DONE
    assert pair.figures(SHIRT, X)[0] == 6


def test_the_stamp_never_goes_back() -> None:
    pair = two_nodes(5, 0)
    pair.commit(reserve("cart", (SHIRT, 5), expires_at=START + 10 * SECOND), after=5 * SECOND)
    pair.commit(place("a", (SHIRT, 1)), after=-4 * SECOND)
    assert pair.state.stamp == START + 5 * SECOND
    pair.commit(place("b", (SHIRT, 1)), after=20 * SECOND)
    assert pair.figures(SHIRT, X)[2:4] == (1, 0)


def test_commands_of_one_commit_see_what_those_before_them_did() -> None:
    pair = Pair(nodes=1, policies=[REFUSES])
    answers = pair.commit(
        place("too early", (SHIRT, 1)), received("stock", (SHIRT, X, 3)), reserve("cart", (SHIRT, 3), expires_at=LATER),
        place("too late", (SHIRT, 1)), release("cart"), place("a", (SHIRT, 3)), act("a", Action.SHIP),
        place("after", (SHIRT, 1)), place("a", (SHIRT, 3)),
    )  # fmt: skip
    assert [answer.reply for answer in answers] == [
        Reply.REFUSED, Reply.DONE, Reply.ALLOCATED, Reply.REFUSED, Reply.DONE, Reply.ALLOCATED, Reply.DONE,
        Reply.REFUSED, Reply.ALLOCATED,
    ]  # fmt: skip
    assert pair.state.sequence == 5
    pair.close()


def test_everything_is_the_same_after_a_start_from_the_journal_and_from_a_snapshot(tmp_path: Path) -> None:
    pair = Pair(2, 2, 2, [policy(), BACK_ORDERS], tmp_path / "data")
    pair.commit(received("stock", (SHIRT, X, 9), (SHIRT, Y, 4)), asks.Fence("fence", ((SHOP, SHIRT, X, 3),)))
    pair.commit(place("a", (SHIRT, 5)), place("b", (SHOES, 2), channel=MARKET))
    pair.commit(reserve("r", (SHIRT, 4), expires_at=LATER), reserve("s", (SHIRT, 1), expires_at=START + SECOND))
    pair.reopen()
    assert pair.commit(place("a", (SHIRT, 5)))[0].again
    pair.reopen(snapshot=True)
    pair.commit(confirm("r", code=1), act("a", Action.CANCEL, 1), received("shoes", (SHOES, Y, 1)), after=SECOND)
    pair.reopen(snapshot=True)
    assert pair.commit(confirm("r", code=1))[0].again
    pair.close()


def test_the_journal_says_why_units_and_stock_changed() -> None:
    pair = two_nodes(9, 0, BACK_ORDERS)
    for id, seconds in (("confirmed", 9), ("released", 9), ("expired", 1)):
        pair.commit(reserve(id, (SHIRT, 1), expires_at=START + seconds * SECOND))
    pair.commit(confirm("confirmed"), release("released"), place("a", (SHIRT, 4)), act("a", Action.PICK, 1))
    pair.commit(counted("less", (SHIRT, X, 3)), after=2 * SECOND)
    pair.commit(received("more", (SHIRT, X, 5)), act("a", Action.SHIP, 1))
    pair.commit(act("a", Action.RETURN, 1, restock=2), asks.Stock("lost", ((SHIRT, X, MovementKind.ADJUSTED, -1),)))
    causes: dict[str, list[Cause]] = {"closures": [], "moves": [], "movements": []}
    for record in pair.engine.journal.read(6):
        for table, rows in decode(record.body):
            if table.name in causes:
                causes[table.name] += [Cause(cause) for cause in rows["cause"]]
    assert causes == {
        "closures": [Cause.CONFIRMED, Cause.RELEASED, Cause.EXPIRED],
        "moves": [Cause.ORDER, Cause.COUNT, Cause.RECEIPT, Cause.ORDER, Cause.ORDER],
        "movements": [Cause.COUNT, Cause.RECEIPT, Cause.RETURN, Cause.RETURN, Cause.ADJUSTMENT],
    }


# Every answer once


def _place(units: int, channel: int = 0) -> Callable[[Pair], Any]:
    return lambda pair: place("order", (SHIRT, units), channel=channel)


ANSWERS: list[tuple[Reply, Callable[[Pair], Any]]] = [
    (Reply.ALLOCATED, _place(3)),
    (Reply.PARTLY, _place(99)),
    (Reply.SHORT, lambda pair: place("order", (SHOES, 1))),
    (Reply.REFUSED, _place(99, channel=1)),
    (Reply.DONE, lambda pair: act("old", Action.PICK, 1)),
    (Reply.KEY_CONFLICT, lambda pair: place("old", (SHIRT, 2))),
    (Reply.UNKNOWN_ORDER, lambda pair: act("nobody's", Action.PICK, 1)),
    (Reply.UNKNOWN_RESERVATION, lambda pair: release("nobody's")),
    (Reply.RESERVATION_EXPIRED, lambda pair: confirm("expired")),
    (Reply.RESERVATION_ENDED, lambda pair: confirm("released")),
    (Reply.UNKNOWN_LINE, lambda pair: act("old", Action.PICK, 1, line=2)),
    (Reply.NOT_ENOUGH_UNITS, lambda pair: act("old", Action.PICK, 2)),
    (Reply.STATEMENT_TOO_OLD, lambda pair: counted("2", (SHIRT, X, 5), source=0, counted_at=1)),
    (Reply.FIGURE_OUT_OF_RANGE, lambda pair: received("2", (SHIRT, X, UNITS_MAX))),
    (Reply.CHANNEL_CLOSED, lambda pair: asks.Fence("fence", ((2, SHIRT, X, 1),))),
    (Reply.ALREADY_SHIPPED, lambda pair: act("left", Action.CANCEL)),
]


@pytest.mark.parametrize(("reply", "asked"), ANSWERS, ids=[reply.name for reply, _ in ANSWERS])
def test_each_answer_is_given(reply: Reply, asked: Callable[[Pair], Any]) -> None:
    pair = two_nodes(5, 5, policy(), REFUSES, replace(policy(), closed=True))
    pair.commit(place("gone", (SHOES, 1)), received("shoes", (SHOES, X, 1)))
    pair.commit(place("left", (SHOES, 1)), act("left", Action.SHIP))
    pair.commit(place("old", (SHIRT, 1)), counted("1", (SHIRT, Y, 5), source=0, counted_at=2))
    pair.commit(reserve("expired", (SHIRT, 1), expires_at=START + 1), reserve("released", (SHIRT, 1), expires_at=LATER))
    pair.commit(release("released"), after=SECOND)
    assert pair.commit(asked(pair))[0].reply is reply


def test_the_table_above_has_every_answer() -> None:
    in_test_answers = {Reply.ANSWER_ARCHIVED}  # it takes a journal of files
    assert {reply for reply, _ in ANSWERS} | in_test_answers | GIVEN_TO_STEPS == set(Reply)
