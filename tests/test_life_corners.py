"""Corners of the life of orders: what comes twice, late, together with something else, or from somebody else."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.commands import PutReturnPolicies, Retire
from engine.lifecycle import Action
from engine.outcomes import Cause, OutOfRoom, Reply
from engine.schema import STEPS
from kernels.columns import NONE, Head
from kernels.life import (
    INVOICE_BITS,
    Account,
    Condition,
    DocumentKind,
    PaymentFigure,
    PaymentState,
    PayMethod,
    RefundState,
    RefundTo,
    ReturnFlag,
    ReturnKind,
    ReturnState,
    ShipmentFigure,
    ShipmentState,
    Step,
)
from tests.driving import LIMITS, SECOND, i16, i32, u8
from tests.living import (
    DAY,
    KEEP,
    WAITS,
    WORD,
    A,
    B,
    Life,
    X,
    ask_return,
    captured,
    command,
    delivered,
    paid,
    pay,
    row,
    shipped,
    states,
)


def payment(life: Life) -> tuple[int, list[int]]:
    """State and figures of the only payment."""
    ((state, figures),) = life.documents(DocumentKind.PAYMENT)
    return state, figures


# In one commit


@pytest.mark.parametrize(("cancelled", "leaves"), [(2, 0), (1, 1)])
def test_what_is_cancelled_in_the_commit_that_ships_does_not_leave(cancelled: int, leaves: int):
    life = paid(Life(), units=2)
    life.step(Step.SEND, "s", order="o", node=A)
    act = life.acting("o", Action.CANCEL, cancelled)
    _, answers = life.commit(act, command(life.new(), [row(Step.SHIP, "s")]))
    assert Reply(int(answers.reply[0])) is (Reply.DONE if leaves else Reply.WRONG_STATE)
    assert life.state.cells.figures[0, A, 0] == 20 - leaves
    if leaves:
        life.step(Step.RETURNING, "s")
        life.step(Step.COME_HOME, "s", node=A)
    assert life.state.cells.figures[0, A, 0] == 20
    life.close()


def test_an_order_that_is_not_paid_in_time_does_not_leave_in_that_commit():
    life = Life()
    life.place("o", (X, 2, 100), method="CARD", pay_by=life.stamp + 10 * SECOND)
    life.steps(pay("p", "o"))
    life.step(Step.SEND, "s", order="o", node=A)
    life.commit(command(life.new(), [row(Step.AUTHORISE, "p"), row(Step.SHIP, "s")]), after=20 * SECOND)
    assert states(life, DocumentKind.SHIPMENT) == [ShipmentState.RECALLED]
    assert states(life, DocumentKind.PAYMENT) == [PaymentState.VOIDING]
    assert life.state.cells.figures[0, A, 0] == 20
    life.close()


# Payments


def test_a_capture_that_failed_is_asked_for_again():
    life = shipped(paid(Life()))
    assert life.step(Step.CAPTURE_FAILED, "p o") is Reply.DONE
    assert payment(life)[1][PaymentFigure.CAPTURING] == 0
    assert life.step(Step.ASK_CAPTURE, "p o") is Reply.DONE
    assert payment(life)[1][PaymentFigure.CAPTURING] == 30_000
    captured(life)
    life.close()


@pytest.mark.parametrize("ends", [Step.VOID, Step.LAPSE])
def test_what_was_asked_of_a_payment_that_has_ended_covers_nothing_any_more(ends: Step):
    life = paid(Life())
    for shipment, units in (("s1", 1), ("s2", 2)):
        life.step(Step.SEND, shipment, order="o", node=A, units=units, line=1)
    assert life.step(Step.SHIP, "s1") is Reply.DONE
    assert life.step(ends, "p o") is Reply.DONE
    assert payment(life)[1][PaymentFigure.CAPTURING] == 0
    assert life.step(Step.SHIP, "s2") is Reply.NOT_PAID
    life.close()


def test_an_authorisation_ends_by_itself_and_the_order_with_it_before_and_after_a_start(tmp_path: Path):
    for name, starts in (("a", False), ("b", True)):
        life = Life(tmp_path / name)
        life.place("o", (X, 3, 100), method="CARD", pay_by=life.stamp + 10 * SECOND)
        life.steps(pay("p", "o"))
        life.step(Step.AUTHORISE, "p")
        life.commit(after=20 * SECOND)
        if starts:
            life.reopen()
        assert life.state.cells.available[0, A] == 17
        life.commit(after=6 * DAY)
        assert states(life, DocumentKind.PAYMENT) == [PaymentState.AUTHORISED]
        life.commit(after=2 * DAY)
        assert states(life, DocumentKind.PAYMENT) == [PaymentState.LAPSED]
        assert life.state.cells.available[0, A] == 20
        assert life.engine.next_due is None
        assert life.step(Step.ASK_CAPTURE, "p") is Reply.AUTHORISATION_LAPSED
        life.close()


@pytest.mark.parametrize("method", ["CASH_ON_DELIVERY", "CHANNEL"])
def test_who_pays_at_the_door_or_in_a_marketplace_is_not_waited_for(method: str):
    life = Life()
    life.place("o", (X, 3, 100), method=method, pay_by=life.stamp + 10 * SECOND)
    life.commit(after=20 * SECOND)
    assert life.state.cells.available[0, A] == 17
    life.close()


@pytest.mark.parametrize("method", [PayMethod.CASH_ON_DELIVERY, PayMethod.CHANNEL])
def test_nothing_is_held_where_nobody_outside_can_hold_it(method: PayMethod):
    life = Life()
    life.place("o", (X, 1, 100))
    life.steps(pay("p", "o", method=method, flags=0))
    assert life.step(Step.AUTHORISE, "p") is Reply.METHOD_CANNOT


@pytest.mark.parametrize("before", [(Step.ASK_VOID,), (Step.ASK_VOID, Step.VOID)])
def test_what_is_held_after_it_was_to_be_let_go_of_is_let_go_of_again(before: tuple[Step, ...]):
    life = Life()
    life.place("o", (X, 1, 100), method="CARD")
    life.steps(pay("p", "o"))
    for step in before:
        life.step(step, "p")
    assert life.step(Step.AUTHORISE, "p", reference="pay_1", how="gateway") is Reply.DONE
    state, figures = payment(life)
    assert (state, figures[PaymentFigure.AUTHORISED]) == (PaymentState.VOIDING, 100)
    asked = [columns for table, columns in life.engine.tables_of(life.state.sequence) if table is STEPS]
    assert Step.ASK_VOID in asked[0]["step"]
    assert life.step(Step.VOID, "p") is Reply.DONE
    life.close()


def test_a_gateway_tells_of_its_own_payments_alone():
    life = paid(Life())
    assert life.step(Step.CAPTURE, "p o", how="other") is Reply.KEY_CONFLICT
    assert payment(life)[0] == PaymentState.AUTHORISED


def test_a_second_capture_in_place_of_the_first_is_not_the_first_again():
    life = paid(Life())
    assert life.step(Step.CAPTURE, "p o", reference="pay_1", how="gateway") is Reply.DONE
    assert life.step(Step.CAPTURE, "p o", reference="pay_1", how="gateway") is Reply.DONE
    assert life.step(Step.CAPTURE, "p o", reference="pay_2", how="gateway") is Reply.KEY_CONFLICT


def test_a_refund_that_was_done_and_then_fails_is_owed_again():
    life = captured(shipped(paid(Life())))
    life.steps(row(Step.ASK_REFUND, order="o", amount=5_000))
    ((number, *_),) = life.refunds()
    assert life.step(Step.REFUND, "p o", number=number) is Reply.DONE
    done = life.balances()
    assert life.step(Step.REFUND_FAILED, "p o", number=number) is Reply.DONE
    assert life.balances()[Account.REFUNDS] == -5_000
    assert payment(life)[1][PaymentFigure.REFUNDING] == 5_000
    assert life.step(Step.RETRY_REFUND, "p o", number=number) is Reply.DONE
    assert life.step(Step.REFUND, "p o", number=number) is Reply.DONE
    assert life.balances() == done
    life.close()


def test_credit_that_was_given_does_not_fail():
    life = captured(shipped(paid(Life())))
    life.steps(row(Step.ASK_REFUND, order="o", amount=5_000, flags=RefundTo.CREDIT))
    ((number, *_),) = life.refunds()
    assert life.step(Step.REFUND_FAILED, "p o", number=number) is Reply.WRONG_STATE


def test_goodwill_is_taken_back_when_the_rest_is_cancelled():
    life = captured(paid(Life()))
    life.steps(row(Step.ASK_REFUND, order="o", amount=10_000))
    life.act("o", Action.CANCEL)
    assert sum(amount for _, amount, _ in life.refunds()) == 30_000
    assert life.balances() == {Account.GATEWAY: 30_000, Account.REFUNDS: -30_000}
    life.close()


def test_what_a_marketplace_collected_goes_back_by_the_marketplace():
    life = Life()
    life.place("o", (X, 1, 100), method="CHANNEL")
    shipped(life)
    life.steps(row(Step.ASK_REFUND, order="o", amount=40))
    assert [to for _, _, to in life.refunds()] == [RefundTo.CHANNEL]
    assert states(life, DocumentKind.REFUND) == [RefundState.DONE]


def test_an_order_that_is_not_even_is_not_retired():
    life = paid(Life(), units=1)
    life.step(Step.SEND, "s", order="o", node=A)
    life.step(Step.SHIP, "s")
    life.step(Step.CAPTURE_FAILED, "p o")
    life.step(Step.DELIVER, "s")
    assert life.commit(Retire(life.stamp + DAY), after=2 * DAY)[0].quantity[0] == 0
    life.step(Step.LAPSE, "p o")
    assert life.commit(Retire(life.stamp + DAY), after=2 * DAY)[0].quantity[0] == 0
    life.step(Step.CAPTURE, "p o")
    assert life.commit(Retire(life.stamp + DAY), after=2 * DAY)[0].quantity[0] == 1
    life.close()


# Shipments


def test_what_a_carrier_tells_of_an_unpaid_parcel_is_taken_in():
    life = Life()
    life.place("o", (X, 1, 100), method="CARD")
    life.step(Step.SEND, "s", order="o", node=A)
    life.step(Step.BOOK, "s", reference="T1", how="carrier")
    assert life.step(Step.SHIP, "s") is Reply.NOT_PAID  # nobody should hand it over
    assert life.step(Step.SHIP, "", channel=NONE, reference="T1", how="carrier") is Reply.DONE  # but it has it
    assert life.step(Step.DELIVER, "", channel=NONE, reference="T1", how="carrier") is Reply.DONE
    assert life.balances() == {Account.CUSTOMER: 100, Account.SALES: -100}
    life.close()


def test_what_a_carrier_tells_of_a_recalled_parcel_is_noted():
    life = paid(Life())
    life.step(Step.SEND, "s", order="o", node=A)
    life.step(Step.BOOK, "s", reference="T1", how="carrier")
    life.step(Step.RECALL, "s")
    for step in (Step.SHIP, Step.DELIVER, Step.COME_HOME, Step.LOSE):
        answers = life.steps(row(step, "", channel=NONE, reference="T1", how="carrier"))
        assert (Reply(int(answers.reply[0])), bool(answers.again[0])) == (Reply.DONE, True)
    assert states(life, DocumentKind.SHIPMENT) == [ShipmentState.RECALLED]
    life.close()


def test_only_a_booking_names_a_parcel_also_after_a_start(tmp_path: Path):
    life = paid(paid(Life(tmp_path / "data")), "z")
    for order in "oz":
        life.step(Step.SEND, f"s {order}", order=order, node=A)
    life.step(Step.BOOK, "s o", reference="T1", how="carrier")
    life.step(Step.TRANSIT, "s o", reference="T9", how="carrier")
    life.steps(row(Step.SEND, "another", order="o", node=B, reference="T9", how="carrier"))
    assert life.step(Step.BOOK, "s z", reference="T9", how="carrier") is Reply.DONE
    life.reopen()
    assert life.step(Step.DELIVER, "", channel=NONE, reference="T9", how="carrier") is Reply.DONE
    assert states(life, DocumentKind.SHIPMENT) == [ShipmentState.SHIPPED, ShipmentState.DELIVERED]
    life.close()


def test_a_document_of_another_channel_is_not_there():
    life = Life()
    life.place("o", (X, 1, 100), method="CARD", channel=KEEP)
    life.steps(pay("p", "o"))
    life.step(Step.AUTHORISE, "p", reference="pay_1", how="gateway")
    asked = {"channel": WAITS, "reference": "pay_1", "how": "gateway"}
    assert life.step(Step.ASK_VOID, "", **asked) is Reply.UNKNOWN_PAYMENT
    assert life.step(Step.ASK_VOID, "", **{**asked, "channel": KEEP}) is Reply.DONE


def test_a_moment_to_come_is_the_commits():
    life = captured(shipped(paid(Life())))
    life.step(Step.DELIVER, "s o", at=life.stamp + 3650 * DAY)
    ((_, figures),) = life.documents(DocumentKind.SHIPMENT)
    assert figures[ShipmentFigure.DELIVERED_AT] == life.stamp
    life.commit(after=11 * DAY)
    assert Reply(int(life.steps(ask_return("r", "o")).reply[0])) is Reply.TOO_LATE


def test_invoices_are_numbered_without_gaps_in_each_region(tmp_path: Path):
    life = Life(tmp_path / "data", units=2)
    for order in "acbd":
        paid(life, order, 1)
    for order, node in (("a", A), ("b", B), ("c", A)):
        shipped(life, order, node)
        life.reopen(order == "b")
    invoices = [figures[ShipmentFigure.INVOICE] for _, figures in life.documents(DocumentKind.SHIPMENT)]
    regions = [WORD["29"] + 1, WORD["07"] + 1, WORD["29"] + 1]
    assert invoices == [region << INVOICE_BITS | number for region, number in zip(regions, (1, 1, 2), strict=True)]
    shipped(life, "d", B)
    *_, (_, figures) = life.documents(DocumentKind.SHIPMENT)
    assert figures[ShipmentFigure.INVOICE] == regions[1] << INVOICE_BITS | 2
    assert figures[ShipmentFigure.INVOICED_AT] == life.stamp
    life.close()


# Returns


def policies(life: Life, flags: int = 0, within: int = 10 * DAY) -> None:
    figures = np.array([[within], [within], [7 * DAY], [0]], np.int64)
    conditions = i32([sum(1 << condition for condition in Condition)])
    life.commit(PutReturnPolicies(life.new(), i16([NONE]), i16([NONE]), *figures, conditions, u8([flags])))


def test_an_exchange_is_never_given_back_as_credit_too():
    life = delivered(paid(Life()))
    life.steps(ask_return("x", "o", kind=ReturnKind.EXCHANGE, flags=ReturnFlag.AS_CREDIT))
    for step in (Step.APPROVE, Step.RECEIVE, Step.INSPECT):
        assert life.step(step, "x") is Reply.DONE
    assert Account.CREDIT not in life.balances()
    assert [to for _, _, to in life.refunds()] == [RefundTo.EXCHANGE]
    life.close()


def test_what_is_not_paid_for_is_not_exchanged():
    life = shipped(paid(Life()))
    life.step(Step.DELIVER, "s o")
    answers = life.steps(ask_return("x", "o", kind=ReturnKind.EXCHANGE))
    assert Reply(int(answers.reply[0])) is Reply.NOT_PAID
    captured(life)
    assert Reply(int(life.steps(ask_return("x", "o", kind=ReturnKind.EXCHANGE)).reply[0])) is Reply.DONE


def test_many_exchanges_of_one_request_are_each_paid_for():
    life = Life(units=50)
    for order in "abc":
        delivered(paid(life, order, units=2), order)
        life.steps(ask_return(f"x {order}", order, 2, kind=ReturnKind.EXCHANGE))
    for step in (Step.APPROVE, Step.RECEIVE):
        life.steps(*(row(step, f"x {order}") for order in "abc"))
    life.steps(*(row(Step.INSPECT, f"x {order}", units=1 + (order == "b")) for order in "abc"))
    assert sorted(amount for _, amount, _ in life.refunds()) == [10_000, 10_000, 20_000]
    assert int((life.state.book.orders.number[:10] != 0).sum()) == 6
    life.close()


def test_units_come_back_where_those_before_them_were_looked_at():
    life = delivered(paid(Life()))
    life.steps(ask_return("r", "o", 2))
    life.step(Step.APPROVE, "r")
    life.step(Step.RECEIVE, "r", units=1, node=A)
    assert life.step(Step.RECEIVE, "r", units=1, node=B) is Reply.WRONG_STATE
    life.step(Step.INSPECT, "r")
    assert life.step(Step.RECEIVE, "r", units=1, node=B) is Reply.DONE
    life.step(Step.INSPECT, "r")
    assert life.state.cells.figures[0, :2, 0].tolist() == [18, 21]
    life.close()


def test_the_same_id_with_something_else_is_a_conflict():
    life = Life()
    life.place("o", (X, 2, 100), (X, 1, 100), method="CARD")
    life.steps(pay("p", "o"))
    life.step(Step.CAPTURE, "p")
    asked = {"order": "o", "node": A}
    assert life.step(Step.SEND, "s", **asked, line=1) is Reply.DONE
    assert life.step(Step.SEND, "s", **asked, line=1) is Reply.DONE
    assert life.step(Step.SEND, "s", **asked, line=2) is Reply.KEY_CONFLICT
    life.step(Step.SEND, "t", **asked)
    for shipment in "st":
        life.step(Step.DELIVER, shipment)
    life.steps(ask_return("r", "o", line=1))
    assert life.steps(ask_return("r", "o", line=1)).again[0]
    for other in (ask_return("r", "o", line=2), ask_return("r", "o", line=1) | {"how": NONE}):
        assert Reply(int(life.steps(other).reply[0])) is Reply.KEY_CONFLICT


def test_a_claim_is_approved_by_somebody():
    life = delivered(paid(Life()))
    policies(life, flags=1)
    life.steps(ask_return("c", "o", kind=ReturnKind.CLAIM), ask_return("r", "o"))
    assert states(life, DocumentKind.RETURN) == [ReturnState.ASKED, ReturnState.APPROVED]


def test_where_nothing_may_be_returned_nothing_is():
    life = delivered(paid(Life()))
    policies(life, within=0)
    assert Reply(int(life.steps(ask_return("r", "o")).reply[0])) is Reply.TOO_LATE
    assert Reply(int(life.steps(ask_return("r", "o", 0)).reply[0])) is Reply.TOO_MANY_UNITS


# Room


@pytest.mark.parametrize(("limit", "most"), [("documents_max", 60), ("items_max", 60), ("parts_max", 50)])
def test_where_rows_run_out_a_step_is_refused_and_the_rest_goes_on(limit: str, most: int):
    """A commit that cannot fit is refused whole, before its keys are; of one that might, the rows that do not fit."""
    life = Life(units=500, limits=replace(LIMITS, **{limit: most}))
    while life.state.head(Head.PARTS) < 40:
        life.place(f"o{life.state.head(Head.ORDERS)}", (X, 2, 100), (X, 1, 100), method="CARD")
    count = life.state.head(Head.ORDERS)
    said: Counter[str] = Counter()

    def ask(*rows: dict[str, Any]) -> None:
        try:
            said.update(Reply(int(reply)).name for reply in life.steps(*rows).reply)
        except OutOfRoom:
            said["OutOfRoom"] += 1

    for at in range(count):
        ask(pay(f"p{at}", f"o{at}"), row(Step.CAPTURE, f"p{at}"))
    for turn in range(3):
        for at in range(count):
            named = f"s{turn} {at}"
            ask(row(Step.SEND, named, order=f"o{at}", node=A, units=1), row(Step.SHIP, named))
    for at in range(count):
        life.act(f"o{at}", Action.CANCEL)
    assert said["DONE"] > 20
    assert said["NO_ROOM"] + said["OutOfRoom"] > 0
    life.close()


def test_money_that_is_held_after_the_parcel_left_is_captured():
    life = Life()
    life.place("o", (X, 1, 100), method="CARD")
    life.steps(pay("p", "o"))
    life.step(Step.SEND, "s", order="o", node=A)
    life.step(Step.BOOK, "s", reference="T1", how="carrier")
    assert life.step(Step.DELIVER, "s") is Reply.NOT_PAID  # the shop's own word, of what nobody should hand over
    life.step(Step.DELIVER, "", channel=NONE, reference="T1", how="carrier")
    life.step(Step.AUTHORISE, "p")
    assert payment(life)[1][PaymentFigure.CAPTURING] == 100
    life.close()


def test_what_ends_a_second_payment_does_not_end_the_first():
    life = Life()
    life.place("o", (X, 1, 100), method="CARD")
    life.steps(pay("p", "o"))
    life.step(Step.OPEN, "p", reference="order_1", how="gateway")
    assert life.step(Step.FAIL, "p", reference="pay_0", how="gateway") is Reply.DONE  # his first try
    assert life.step(Step.AUTHORISE, "p", reference="pay_1", how="gateway") is Reply.DONE
    for step in (Step.AUTHORISE, Step.LAPSE, Step.VOID):
        assert life.step(step, "p", reference="pay_2", how="gateway") is Reply.KEY_CONFLICT
    assert payment(life)[0] == PaymentState.AUTHORISED


def test_a_start_does_not_look_again_at_what_was_looked_at(tmp_path: Path):
    life = Life(tmp_path / "data")
    life.place("o", (X, 1, 100), method="CARD", pay_by=life.stamp + 10 * SECOND)
    life.steps(pay("p", "o"))
    life.step(Step.CAPTURE, "p")
    life.commit(after=20 * SECOND)
    life.place("later", (X, 1, 100))
    for snapshot in (False, True):
        life.reopen(snapshot)
        assert life.engine.next_due is None
    life.close()


def test_an_order_that_is_paid_for_elsewhere_is_exchanged_and_retired():
    life = Life()
    life.place("o", (X, 1, 100))
    shipped(life)
    life.step(Step.DELIVER, "s o")
    assert Reply(int(life.steps(ask_return("x", "o", kind=ReturnKind.EXCHANGE)).reply[0])) is Reply.DONE
    life.step(Step.WITHDRAW, "x")
    assert life.commit(Retire(life.stamp + DAY), after=2 * DAY)[0].quantity[0] == 1


# Who and why


def test_what_follows_says_why_and_for_whom():
    life = paid(Life())
    life.step(Step.SEND, "s", order="o", node=A)
    life.commit(command(life.new(), [row(Step.SHIP, "s")], actor=WORD["fragile"]))
    ((steps,),) = [
        [columns for table, columns in life.engine.tables_of(life.state.sequence) if table is STEPS],
    ]
    assert steps["step"].tolist() == [Step.SHIP, Step.ASK_CAPTURE]
    assert steps["cause"].tolist() == [0, Cause.SHIPMENT]
    assert steps["actor"].tolist() == [WORD["fragile"]] * 2
