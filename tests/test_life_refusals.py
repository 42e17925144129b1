"""Each refusal of a step of the life of an order, once."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from engine.commands import PutReturnPolicies
from engine.lifecycle import ENGINE_STEPS, STEP_RULES, Action
from engine.outcomes import Reply
from kernels.columns import NONE
from kernels.life import (
    Condition,
    PaymentFlag,
    ReturnKind,
    Step,
)
from tests.driving import START, columns, i16, i32, place, u8
from tests.living import (
    DAY,
    KEEP,
    A,
    Life,
    X,
    ask_return,
    delivered,
    paid,
    pay,
    row,
    shipped,
)

PER_ORDER = 3 * 10_000


def ready() -> Life:
    """`bare` has nothing; `due` a payment; `o` was delivered; `cash` is in a parcel; `plain` has no prices."""
    life = delivered(paid(Life(units=50)))
    life.place("bare", (X, 1, 100), method="CARD")
    life.place("due", (X, 2, 100), method="CARD")
    life.steps(pay("p due", "due"))
    life.place("auth", (X, 2, 100), method="CARD")
    life.steps(pay("p auth", "auth", flags=PaymentFlag.TO_SOURCE))
    life.step(Step.AUTHORISE, "p auth", reference="pay_auth", how="gateway")
    life.place("lapsed", (X, 2, 100), method="CARD")
    life.steps(pay("p lapsed", "lapsed"))
    life.step(Step.AUTHORISE, "p lapsed", at=START + 1)
    life.place("cash", (X, 2, 100), method="CASH_ON_DELIVERY")
    life.step(Step.SEND, "s cash", order="cash", node=A)
    return life


REFUSALS: list[tuple[Reply, Callable[[], dict[str, Any]]]] = [
    (Reply.DONE, lambda: pay("p bare", "bare")),
    (Reply.KEY_CONFLICT, lambda: pay("p due", "due", 50)),
    (Reply.UNKNOWN_ORDER, lambda: pay("p", "nobody's")),
    (Reply.UNKNOWN_LINE, lambda: ask_return("r", "o", line=2)),
    (Reply.UNKNOWN_PAYMENT, lambda: row(Step.CAPTURE, "nobody's")),
    (Reply.UNKNOWN_REFUND, lambda: row(Step.REFUND, "p o", number=99)),
    (Reply.UNKNOWN_SHIPMENT, lambda: row(Step.SHIP, "nobody's")),
    (Reply.UNKNOWN_SHIPMENT, lambda: row(Step.DELIVER, "", channel=NONE, reference="nobody's", how="carrier")),
    (Reply.UNKNOWN_RETURN, lambda: row(Step.APPROVE, "nobody's")),
    (Reply.WRONG_STATE, lambda: row(Step.ASK_CAPTURE, "p due")),
    (Reply.CURRENCY_MISMATCH, lambda: pay("p bare", "bare", currency="USD")),
    (Reply.CURRENCY_MISMATCH, lambda: row(Step.CAPTURE, "p due", amount=100, currency="USD")),
    (Reply.MORE_THAN_DUE, lambda: pay("p bare", "bare", 101)),
    (Reply.MORE_THAN_DUE, lambda: pay("another", "due")),
    (Reply.MORE_THAN_AUTHORISED, lambda: row(Step.CAPTURE, "p auth", amount=201)),
    (Reply.MORE_THAN_AUTHORISED, lambda: row(Step.ASK_CAPTURE, "p auth", amount=201)),
    (Reply.AUTHORISATION_LAPSED, lambda: row(Step.ASK_CAPTURE, "p lapsed")),
    (Reply.MORE_THAN_CAPTURED, lambda: row(Step.ASK_REFUND, order="o", amount=PER_ORDER + 1)),
    (Reply.METHOD_CANNOT, lambda: row(Step.ASK_CAPTURE, "p auth", amount=199)),
    (Reply.NOTHING_TO_SHIP, lambda: row(Step.SEND, "s", order="cash", node=A)),
    (Reply.NOT_DELIVERED, lambda: ask_return("r", "cash")),
    (Reply.TOO_MANY_UNITS, lambda: ask_return("r", "o", 4)),
    (Reply.KEY_CONFLICT, lambda: row(Step.CAPTURE, "p due", amount=200, reference="pay_auth", how="gateway")),
]


@pytest.mark.parametrize(
    ("reply", "asked"), REFUSALS, ids=[f"{i} {reply.name}" for i, (reply, _) in enumerate(REFUSALS)]
)
def test_each_reply_to_a_step_is_given(reply: Reply, asked: Callable[[], dict[str, Any]]):
    life = ready()
    before = life.state.digest()
    assert Reply(int(life.steps(asked()).reply[0])) is reply
    if reply is not Reply.DONE:
        assert life.state.book.digest[0] != 0
        assert before != life.state.digest()  # the refusal itself is remembered


def test_an_order_without_prices_takes_no_payment_and_ships_all_the_same():
    life = Life()
    life.commit(columns(place("plain", (X, 2)), []))
    assert Reply(int(life.steps(pay("p", "plain", 1)).reply[0])) is Reply.NO_PRICES
    shipped(life, "plain")
    assert life.step(Step.DELIVER, "s plain") is Reply.DONE
    life.close()


def test_what_is_to_be_paid_before_does_not_leave_unpaid():
    life = Life()
    life.place("o", (X, 1, 100), method="CARD")
    life.step(Step.SEND, "s", order="o", node=A)
    assert life.step(Step.SHIP, "s") is Reply.NOT_PAID


def test_orders_with_prices_ship_by_shipments_alone():
    life = paid(Life())
    for action in (Action.SHIP, Action.DELIVER, Action.RETURN):
        assert life.act("o", action) is Reply.SHIPS_BY_SHIPMENT


def test_a_return_too_late_twice_or_in_a_condition_that_is_not_taken_is_refused():
    life = delivered(paid(Life(), units=1))
    life.steps(ask_return("r", "o"))
    assert Reply(int(life.steps(ask_return("r2", "o")).reply[0])) is Reply.TOO_MANY_UNITS
    life.step(Step.WITHDRAW, "r")
    wrong = ask_return("r3", "o", condition=Condition.USED)
    policy = PutReturnPolicies(
        "policies", i16([KEEP]), i16([NONE]), *np.array([[10 * DAY], [10 * DAY], [7 * DAY], [0]], np.int64),
        i32([1 << Condition.UNUSED]), u8([0]),
    )  # fmt: skip
    life.commit(policy)
    assert Reply(int(life.steps(wrong).reply[0])) is Reply.CONDITION_NOT_TAKEN
    swap = ask_return("r3", "o", kind=ReturnKind.EXCHANGE)
    assert Reply(int(life.steps(swap).reply[0])) is Reply.KIND_NOT_OFFERED
    life.commit(after=11 * DAY)
    assert Reply(int(life.steps(ask_return("r3", "o")).reply[0])) is Reply.TOO_LATE


def test_each_reply_is_in_the_table_above_or_in_a_test_of_its_own():
    of_their_own = {
        Reply.NO_PRICES, Reply.NOT_PAID, Reply.SHIPS_BY_SHIPMENT, Reply.TOO_LATE, Reply.CONDITION_NOT_TAKEN,
        Reply.KIND_NOT_OFFERED, Reply.TOO_MANY_DOCUMENTS, Reply.NO_ROOM,
    }  # fmt: skip
    to_steps = {reply for reply in Reply if reply >= Reply.UNKNOWN_PAYMENT} - {Reply.ALREADY_SHIPPED}
    assert to_steps <= {reply for reply, _ in REFUSALS} | of_their_own


def test_the_table_of_steps_is_whole():
    for step, rule in STEP_RULES.items():
        assert not set(rule.sources) & set(rule.idle), step
    assert set(ENGINE_STEPS) < set(STEP_RULES)
