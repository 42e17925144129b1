"""Scenarios of the life of an order: paid, shipped, tracked, returned, given back."""

from pathlib import Path
from typing import Any

from engine.lifecycle import Action
from engine.outcomes import Reply
from kernels.columns import NONE, Head, OnShort
from kernels.life import (
    Account,
    Condition,
    Disposition,
    DocumentKind,
    PaymentFigure,
    PaymentFlag,
    PaymentState,
    PayMethod,
    RefundState,
    RefundTo,
    ReturnFlag,
    ReturnKind,
    ReturnState,
    ShipmentState,
    Step,
)
from tests import asks
from tests.driving import COMPILED, EVERY_NODE, SECOND, START, columns
from tests.living import (
    GATEWAY,
    KEEP,
    WAITS,
    A,
    B,
    Life,
    X,
    Y,
    ask_return,
    captured,
    delivered,
    paid,
    pay,
    priced_order,
    row,
    shipped,
    states,
)

PER_ORDER = 3 * 10_000


# From the order to the refund


def test_an_order_is_authorised_shipped_captured_delivered_returned_and_given_back():
    life = delivered(paid(Life(), tax=1_800, fee=1_000))
    assert life.balances() == {
        Account.GATEWAY: 36_400, Account.SALES: -30_000, Account.SHIPPING: -1_000, Account.CGST: -2_700,
        Account.SGST: -2_700,
    }  # fmt: skip
    life.steps(ask_return("r", "o"))
    for step in (Step.APPROVE, Step.COLLECT, Step.RECEIVE, Step.INSPECT):
        assert life.step(step, "r") is Reply.DONE
    number, amount, to = life.refunds()[0]
    assert (amount, to) == (11_800, RefundTo.SOURCE)
    assert life.balances()[Account.REFUNDS] == -11_800
    assert life.step(Step.REFUND, "p o", number=number) is Reply.DONE
    assert life.balances() == {
        Account.GATEWAY: 24_600, Account.SALES: -20_000, Account.SHIPPING: -1_000, Account.CGST: -1_800,
        Account.SGST: -1_800,
    }  # fmt: skip
    life.close()


def test_tax_between_two_regions_is_integrated():
    life = paid(Life(units=3), tax=7)
    life.act("o", Action.SHORT_PICK)  # from A to B
    shipped(life, node=B)
    assert life.balances()[Account.IGST] == -21


def test_half_of_an_order_ships_and_one_unit_of_three_comes_back():
    life = paid(Life(), units=3, price=3_333)
    assert life.act("o", Action.PICK, 2) is Reply.DONE
    assert life.act("o", Action.PACK, 2) is Reply.DONE
    assert life.step(Step.SEND, "half", order="o", node=A, flags=1) is Reply.DONE  # what is packed
    life.step(Step.SHIP, "half")
    captured(life)
    assert life.balances() == {Account.CUSTOMER: 6_666 - 9_999, Account.GATEWAY: 9_999, Account.SALES: -6_666}
    life.step(Step.DELIVER, "half")
    assert Reply(int(life.steps(ask_return("r", "o", 1)).reply[0])) is Reply.DONE
    for step in (Step.APPROVE, Step.RECEIVE, Step.INSPECT):
        assert life.step(step, "r") is Reply.DONE
    assert [amount for _, amount, _ in life.refunds()] == [3_333]
    life.close()


def test_a_unit_of_a_line_that_does_not_divide_gives_back_its_own_share():
    """100 minor units of discount over three units: 33, 33 and 34 (the dearer units first)."""
    life = delivered(paid(Life(), units=3, price=1_000, discount=100))
    given_back = []
    for unit in range(3):
        life.steps(ask_return(f"r{unit}", "o", 1))
        for step in (Step.APPROVE, Step.RECEIVE, Step.INSPECT):
            assert life.step(step, f"r{unit}") is Reply.DONE
        given_back.append(life.refunds()[-1][1])
    assert given_back == [967, 967, 966]
    assert sum(given_back) == 2_900 == life.captured()


# Cancel


def test_cancelling_what_is_not_paid_lets_go_of_stock_and_payment():
    life = Life()
    life.place("o", (X, 3, 10_000), method="CARD")
    life.steps(pay("p", "o"))
    assert life.act("o", Action.CANCEL) is Reply.DONE
    assert states(life, DocumentKind.PAYMENT) == [PaymentState.VOIDING]
    assert life.step(Step.VOID, "p") is Reply.DONE
    assert life.balances() == {}
    life.close()


def test_cancelling_what_is_authorised_voids_it():
    life = paid(Life())
    life.act("o", Action.CANCEL)
    assert states(life, DocumentKind.PAYMENT) == [PaymentState.VOIDING]


def test_cancelling_what_is_captured_gives_it_back_to_the_minor_unit():
    life = paid(Life(), discount=100)
    captured(life)
    life.act("o", Action.CANCEL, 1)
    life.act("o", Action.CANCEL)
    assert [amount for _, amount, _ in life.refunds()] == [9_967, 9_967 + 9_966]
    assert life.balances() == {Account.GATEWAY: 29_900, Account.REFUNDS: -29_900}


def test_cancelling_what_is_in_a_parcel_recalls_it():
    life = paid(Life())
    life.step(Step.SEND, "s", order="o", node=A)
    life.step(Step.BOOK, "s", reference="AWB", how="carrier")
    life.act("o", Action.CANCEL, 1)
    assert states(life, DocumentKind.SHIPMENT) == [ShipmentState.BOOKED]  # of two units now
    life.act("o", Action.CANCEL)
    assert states(life, DocumentKind.SHIPMENT) == [ShipmentState.RECALLED]
    life.close()


def test_what_has_left_cannot_be_cancelled():
    life = shipped(paid(Life()))
    assert life.act("o", Action.CANCEL) is Reply.ALREADY_SHIPPED


def test_money_that_comes_after_the_order_was_cancelled_is_given_back():
    life = Life()
    life.place("o", (X, 1, 500), method="UPI")
    life.steps(pay("p o", "o", method=PayMethod.UPI))
    life.act("o", Action.CANCEL)
    life.step(Step.VOID, "p o")
    assert life.step(Step.CAPTURE, "p o", amount=500) is Reply.DONE
    assert [amount for _, amount, _ in life.refunds()] == [500]


def test_what_is_authorised_after_the_order_was_cancelled_is_let_go_of_again():
    life = Life()
    life.place("o", (X, 1, 500), method="CARD")
    life.steps(pay("p o", "o"))
    life.act("o", Action.CANCEL)
    life.step(Step.VOID, "p o")
    assert life.step(Step.AUTHORISE, "p o") is Reply.DONE
    assert states(life, DocumentKind.PAYMENT) == [PaymentState.VOIDING]


def test_an_order_that_nobody_pays_in_time_lets_go_of_its_stock(tmp_path: Path):
    life = Life(tmp_path / "data")
    life.place("unpaid", (X, 3, 100), method="CARD", pay_by=life.stamp + 10 * SECOND)
    life.place("paid", (X, 3, 100), method="CARD", pay_by=life.stamp + 10 * SECOND)
    life.steps(pay("p", "paid"))
    life.step(Step.AUTHORISE, "p")
    life.reopen()
    assert life.engine.next_due is not None
    life.commit(after=20 * SECOND)
    assert life.state.cells.available[0, A] == 17
    assert life.engine.next_due == life.state.book.documents.figures[0, PaymentFigure.UNTIL]
    life.close()


# Payments


def test_a_method_that_cannot_capture_a_part_captures_all_and_gives_back_the_difference():
    life = Life()
    life.place("o", (X, 3, 100), method="CARD")
    life.steps(pay("p o", "o", flags=PaymentFlag.TO_SOURCE))
    life.step(Step.AUTHORISE, "p o")
    life.act("o", Action.CANCEL, 1)
    shipped(life)
    ((_, figures),) = life.documents(DocumentKind.PAYMENT)
    assert figures[PaymentFigure.CAPTURING] == 300
    captured(life)
    assert [amount for _, amount, _ in life.refunds()] == [100]


def test_a_method_that_captures_several_times_captures_shipment_by_shipment():
    life = Life()
    life.place("o", (X, 3, 100), method="CARD")
    life.steps(pay("p o", "o", flags=GATEWAY | PaymentFlag.SEVERAL))
    life.step(Step.AUTHORISE, "p o")
    for shipment, units, so_far in (("one", 1, 100), ("two", 2, 300)):
        life.step(Step.SEND, shipment, order="o", node=A, line=1, units=units)
        life.step(Step.SHIP, shipment)
        ((_, figures),) = life.documents(DocumentKind.PAYMENT)
        assert figures[PaymentFigure.CAPTURING] == 100 * units
        assert life.step(Step.CAPTURE, "p o", amount=so_far) is Reply.DONE
    assert life.balances() == {Account.GATEWAY: 300, Account.SALES: -300}


def test_a_failed_payment_may_still_be_captured_later():
    life = Life()
    life.place("o", (X, 1, 100), method="UPI")
    life.steps(pay("p", "o", method=PayMethod.UPI))
    assert life.step(Step.FAIL, "p") is Reply.DONE
    assert life.step(Step.CAPTURE, "p", amount=100) is Reply.DONE
    assert life.step(Step.FAIL, "p") is Reply.DONE  # late: nothing changes
    assert states(life, DocumentKind.PAYMENT) == [PaymentState.CAPTURED]


def test_the_same_capture_told_twice_counts_once():
    life = captured(paid(Life()))
    answers = life.steps(row(Step.CAPTURE, "p o", amount=PER_ORDER))
    assert (Reply(int(answers.reply[0])), bool(answers.again[0])) == (Reply.DONE, True)
    assert life.captured() == PER_ORDER


def test_several_methods_pay_for_one_order():
    life = Life()
    life.place("o", (X, 3, 100))
    life.steps(pay("card", "o", 200), pay("cash", "o", 100, PayMethod.CASH_ON_DELIVERY, 0))
    life.step(Step.CAPTURE, "card")
    shipped(life)
    life.step(Step.DELIVER, "s o")
    assert life.balances() == {Account.GATEWAY: 200, Account.CARRIER: 100, Account.SALES: -300}


def test_cash_is_collected_on_delivery_and_given_back_by_hand():
    life = Life()
    life.place("o", (X, 2, 250), method="CASH_ON_DELIVERY")
    shipped(life)
    assert life.balances() == {Account.CUSTOMER: 500, Account.SALES: -500}
    life.step(Step.DELIVER, "s o")
    assert life.balances() == {Account.CARRIER: 500, Account.SALES: -500}
    life.steps(ask_return("r", "o"))
    for step in (Step.APPROVE, Step.RECEIVE, Step.INSPECT):
        life.step(step, "r")
    ((number, amount, to),) = life.refunds()
    assert (amount, to) == (250, RefundTo.BANK)
    life.step(Step.REFUND, order="o", number=number)
    assert life.balances() == {Account.CARRIER: 500, Account.BANK: -250, Account.SALES: -250}
    life.close()


def test_cash_that_is_refused_at_the_door_is_never_collected():
    life = Life()
    life.place("o", (X, 2, 250), method="CASH_ON_DELIVERY", fee=50)
    shipped(life)
    for step in (Step.REFUSE, Step.RETURNING):
        assert life.step(step, "s o") is Reply.DONE
    assert life.step(Step.COME_HOME, "s o", node=A) is Reply.DONE
    assert life.balances() == {}
    assert life.state.cells.available[0, A] == 20
    life.close()


def test_what_a_marketplace_collected_is_a_receivable():
    life = Life()
    life.place("o", (X, 2, 250), method="CHANNEL")
    shipped(life)
    assert life.balances() == {Account.CHANNEL: 500, Account.SALES: -500}
    life.step(Step.DELIVER, "s o")
    life.steps(ask_return("r", "o"))
    for step in (Step.APPROVE, Step.RECEIVE, Step.INSPECT):
        life.step(step, "r")
    assert life.balances() == {Account.CHANNEL: 250, Account.SALES: -250}


def test_goodwill_is_not_given_back_a_second_time_with_the_unit():
    life = delivered(paid(Life(), units=1))
    assert life.step(Step.ASK_REFUND, order="o", amount=3_000) is Reply.DONE
    assert life.balances()[Account.GOODWILL] == 3_000
    life.steps(ask_return("r", "o"))
    for step in (Step.APPROVE, Step.RECEIVE, Step.INSPECT):
        life.step(step, "r")
    assert [amount for _, amount, _ in life.refunds()] == [3_000, 7_000]
    assert life.balances() == {Account.GATEWAY: 10_000, Account.REFUNDS: -10_000}


def test_a_refund_that_failed_waits_until_it_is_tried_again():
    life = captured(paid(Life()))
    life.act("o", Action.CANCEL)
    ((number, *_),) = life.refunds()
    assert life.step(Step.REFUND_FAILED, "p o", number=number) is Reply.DONE
    life.commit()
    assert len(life.refunds()) == 1
    assert life.step(Step.RETRY_REFUND, "p o", number=number) is Reply.DONE
    assert life.step(Step.REFUND, "p o", number=number) is Reply.DONE
    assert states(life, DocumentKind.REFUND) == [RefundState.DONE]
    assert life.balances() == {}


# Shipments


def test_scans_out_of_order_and_doubled_end_where_they_would_in_order():
    life = captured(paid(Life()))
    life.step(Step.SEND, "s", order="o", node=A)
    life.step(Step.BOOK, "s", reference="AWB", how="carrier")
    scans = [(Step.OUT_FOR_DELIVERY, 40), (Step.TRANSIT, 20), (Step.SHIP, 10), (Step.DELIVER, 50), (Step.TRANSIT, 30)]
    for step, at in [*scans, *scans]:
        assert life.step(step, "", channel=NONE, reference="AWB", how="carrier", at=START + at) is Reply.DONE
    assert states(life, DocumentKind.SHIPMENT) == [ShipmentState.DELIVERED]
    life.close()


def test_a_lost_parcel_is_paid_back():
    life = captured(shipped(paid(Life())))
    assert life.step(Step.LOSE, "s o") is Reply.DONE
    assert [amount for _, amount, _ in life.refunds()] == [PER_ORDER]
    assert life.balances() == {Account.GATEWAY: PER_ORDER, Account.REFUNDS: -PER_ORDER}
    life.close()


def test_a_short_pick_sources_again_and_the_shelf_has_less():
    life = paid(Life(units=4))
    life.step(Step.SEND, "s", order="o", node=A)
    assert life.act("o", Action.SHORT_PICK, 2) is Reply.DONE
    figures = life.state.cells.figures[0]
    assert figures[A, :4].tolist() == [2, 0, 1, 0]  # one is still bound there
    assert states(life, DocumentKind.SHIPMENT) == [ShipmentState.CREATED]
    life.close()


def test_a_short_pick_of_a_channel_with_back_orders_waits_for_stock():
    life = Life(units=3)
    life.place("o", (X, 6, 100), channel=WAITS)
    assert life.act("o", Action.SHORT_PICK, 6, channel=WAITS) is Reply.DONE
    assert life.state.cells.figures[0, :2, 0].tolist() == [0, 0]
    life.close()


# Returns


def test_turned_down_units_are_not_paid_back_and_scrap_is_no_stock():
    life = delivered(paid(Life()))
    life.steps(ask_return("r", "o", 3))
    life.step(Step.APPROVE, "r")
    life.step(Step.RECEIVE, "r", units=2, node=B)
    assert life.step(Step.INSPECT, "r", units=1, flags=Disposition.TURN_DOWN) is Reply.DONE
    assert life.step(Step.INSPECT, "r", units=1, flags=Disposition.SCRAP) is Reply.DONE
    assert life.step(Step.RECEIVE, "r", units=1, node=B) is Reply.DONE
    assert life.step(Step.INSPECT, "r", units=1, flags=Disposition.QUARANTINE) is Reply.DONE
    assert states(life, DocumentKind.RETURN) == [ReturnState.CLOSED]
    assert [amount for _, amount, _ in life.refunds()] == [10_000, 10_000]
    assert life.state.cells.figures[0, B, :2].tolist() == [21, 1]
    life.close()


def test_a_claim_pays_back_without_a_way_back():
    life = delivered(paid(Life()))
    life.steps(ask_return("c", "o", 1, kind=ReturnKind.CLAIM, condition=Condition.NOT_RECEIVED))
    assert life.step(Step.APPROVE, "c") is Reply.DONE
    assert [amount for _, amount, _ in life.refunds()] == [10_000]
    assert states(life, DocumentKind.RETURN) == [ReturnState.CLOSED]


def test_a_return_as_credit_is_done_at_once():
    life = delivered(paid(Life()))
    life.steps(ask_return("r", "o", flags=ReturnFlag.AS_CREDIT))
    for step in (Step.APPROVE, Step.RECEIVE, Step.INSPECT):
        life.step(step, "r")
    assert life.balances() == {Account.GATEWAY: 30_000, Account.CREDIT: -10_000, Account.SALES: -20_000}
    assert states(life, DocumentKind.REFUND) == [RefundState.DONE]


# Exchanges


def exchanged(life: Life, units: int = 1) -> str:
    """Units of `o` go back for an exchange and are accepted; the id of the order that replaces them."""
    life.steps(ask_return("x", "o", units, kind=ReturnKind.EXCHANGE))
    for step in (Step.APPROVE, Step.RECEIVE, Step.INSPECT):
        assert life.step(step, "x") is Reply.DONE
    documents = life.state.book.documents
    ((number, *_),) = [
        documents.number[at : at + 1].tolist()
        for at in range(life.state.head(Head.DOCUMENTS))
        if documents.kind[at] == DocumentKind.RETURN
    ]
    return f"exchange-{number}-{life.state.sequence}-0"


def test_an_exchange_is_an_order_of_its_own_that_is_paid_for_by_what_came_back():
    life = delivered(paid(Life(), tax=1_800))
    order = exchanged(life, 2)
    assert [(amount, to) for _, amount, to in life.refunds()] == [(23_600, RefundTo.EXCHANGE)]
    assert life.balances() == {
        Account.CUSTOMER: -23_600, Account.GATEWAY: 35_400, Account.SALES: -10_000, Account.CGST: -900,
        Account.SGST: -900,
    }  # fmt: skip
    shipped(life, order)
    assert life.step(Step.DELIVER, f"s {order}") is Reply.DONE
    assert life.balances() == {
        Account.GATEWAY: 35_400, Account.SALES: -30_000, Account.CGST: -2_700, Account.SGST: -2_700,
    }  # fmt: skip
    life.close()


def test_an_exchange_that_is_cancelled_is_given_back_as_credit():
    life = delivered(paid(Life()))
    order = exchanged(life)
    assert life.act(order, Action.CANCEL) is Reply.DONE
    assert [to for _, _, to in life.refunds()] == [RefundTo.EXCHANGE, RefundTo.CREDIT]
    assert life.balances() == {Account.GATEWAY: 30_000, Account.CREDIT: -10_000, Account.SALES: -20_000}
    life.close()


def test_an_exchange_that_finds_no_stock_waits_like_any_order_of_its_channel():
    life = Life(units=3)
    life.place("o", (X, 3, 100), channel=WAITS, method="CARD")
    life.steps(pay("p", "o", channel=WAITS), row(Step.CAPTURE, "p", channel=WAITS))
    life.step(Step.SEND, "s", order="o", node=A, channel=WAITS)
    life.step(Step.DELIVER, "s", channel=WAITS)
    life.steps(ask_return("x", "o", kind=ReturnKind.EXCHANGE, channel=WAITS))
    life.place("other", (X, 3, 100), channel=WAITS)  # what is left at B
    for step in (Step.APPROVE, Step.RECEIVE):
        life.step(step, "x", channel=WAITS)
    assert life.step(Step.INSPECT, "x", channel=WAITS, flags=Disposition.SCRAP) is Reply.DONE
    assert life.state.head(Head.WAITING_PARTS) == 1
    assert [to for _, _, to in life.refunds()] == [RefundTo.EXCHANGE]
    life.close()


def test_a_channel_that_refuses_what_is_short_gives_the_money_back():
    life = Life(units=3)
    life.commit(columns(asks.Channels("refuses", ((KEEP, asks.Policy(EVERY_NODE, on_short=OnShort.REFUSE)),)), []))
    delivered(paid(life))
    life.steps(ask_return("x", "o", kind=ReturnKind.EXCHANGE))
    life.place("other", (X, 3, 100))
    for step in (Step.APPROVE, Step.RECEIVE):
        life.step(step, "x")
    assert life.step(Step.INSPECT, "x", flags=Disposition.SCRAP) is Reply.DONE
    assert [(amount, to) for _, amount, to in life.refunds()] == [(10_000, RefundTo.SOURCE)]
    life.close()


# The same twice, many at once, and a start in between


def test_a_repeated_request_gets_its_first_answers_row_by_row(tmp_path: Path):
    life = Life(tmp_path / "data")
    life.place("o", (X, 3, 100))
    rows = (pay("p1", "o", 100), pay("p2", "o", 500), pay("p3", "o", 100))
    first = life.steps(*rows, request="batch")
    life.reopen()
    again = life.steps(*rows, request="batch")
    assert again.reply.tolist() == first.reply.tolist() == [Reply.DONE, Reply.MORE_THAN_DUE, Reply.DONE]
    assert again.quantity.tolist() == first.quantity.tolist()
    assert again.again.all()
    other = life.steps(*rows[:2], request="batch")
    assert set(other.reply.tolist()) == {Reply.KEY_CONFLICT}
    life.close()


def test_documents_survive_a_start_from_the_journal_and_from_a_snapshot(tmp_path: Path):
    life = delivered(paid(Life(tmp_path / "data"), tax=180, fee=99))
    life.steps(ask_return("r", "o", 2))
    for snapshot in (False, True):
        life.reopen(snapshot)
    for step in (Step.APPROVE, Step.RECEIVE, Step.INSPECT):
        assert life.step(step, "r") is Reply.DONE
    life.reopen(True)
    life.close()


def test_a_crowd_of_orders_goes_through_in_batches(tmp_path: Path):
    """More than the room for what steps come to is made for, and one order larger than the others."""
    count = 400 if COMPILED else 40
    life = Life(units=4 * count)
    for at in range(count):
        life.engine.commit(_order(f"o{at}", 1 + at % 3), life.stamp)
    life.steps(*(pay(f"p{at}", f"o{at}") for at in range(count)))
    life.steps(*(row(Step.CAPTURE, f"p{at}") for at in range(count)))
    life.steps(*(row(Step.SEND, f"s{at}", order=f"o{at}", node=A) for at in range(count)))
    answers = life.steps(*(row(Step.DELIVER, f"s{at}") for at in range(count)))
    assert set(answers.reply.tolist()) == {Reply.DONE}
    life.steps(*(ask_return(f"r{at}", f"o{at}") for at in range(0, count, 10)))
    assert set(states(life, DocumentKind.SHIPMENT)) == {ShipmentState.DELIVERED}
    life.close()


def _order(order: str, units: int) -> Any:
    return priced_order(order, (X, units, 1_000), (Y, 1, 333), method="CARD", tax=18)


def test_an_order_of_many_lines_needs_more_room_than_most():
    life = Life(units=5_000)
    life.place("large", *((X if line % 2 else Y, 1, 7) for line in range(500)))
    life.step(Step.SEND, "s", order="large", node=A)
    assert life.step(Step.SHIP, "s") is Reply.DONE
    life.close()


def test_an_order_has_a_thousand_documents_and_no_more():
    life = Life()
    life.place("o", (X, 1, 5_000))
    for first in range(0, 1_000, 250):
        answers = life.steps(*(pay(f"p{at}", "o", 1) for at in range(first, first + 250)))
        assert set(answers.reply.tolist()) == {Reply.DONE}
    assert Reply(int(life.steps(pay("another", "o", 1)).reply[0])) is Reply.TOO_MANY_DOCUMENTS
