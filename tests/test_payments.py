"""Payments with a real gateway process, a real worker and real webhooks: paid, captured, given back, every fault."""

import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from allot.v1 import life_pb2 as life
from allot_client import Client, Invalid
from server.workers.cursor import Cursor
from tests import real_data
from tests.outsiders import SECRET, Outside, until
from tests.running import Server, server

PRICE, TAX = 49_900, 2_495
EACH = PRICE + TAX


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server(tmp_path_factory.mktemp("payments") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def shop(running: Server) -> Iterator[Client]:
    with Client(running.address) as client:
        client.put_nodes([("BLR", 12.97, 77.59)])
        client.put_channel("own")
        client.receive_stock([("SHIRT", "BLR", 5_000)])
        yield client


@pytest.fixture(scope="module")
def outside(running: Server, shop: Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    outside = Outside(running.address, tmp_path_factory.mktemp("outside"))
    yield outside
    outside.stop()


@pytest.fixture(autouse=True)
def well_behaved(outside: Outside) -> Iterator[None]:
    yield
    outside.behave("razorpay", webhook_never=False, late_ms=0)
    outside.behave(
        down=False, slow_ms=0, fails=0, drops=0, late_ms=0, webhook_delay_ms=0, webhook_twice=False,
        webhook_reordered=False, webhook_never=False, declines=False,
    )  # fmt: skip


def placed(shop: Client, order: str, units: int = 2, currency: str = "INR", price: int = PRICE, tax: int = TAX) -> str:
    shop.place_order(
        channel="own", order_id=order, postal_code="560034", currency=currency, payment_method="card",
        lines=[{"sku": "SHIRT", "quantity": units, "unit_price": price, "tax": tax}],
    )  # fmt: skip
    return order


def payment_of(shop: Client, order: str) -> Any:
    return shop.get_payment(channel="own", payment_id=f"P-{order}").payment


def opened(shop: Client, order: str, **more: Any) -> str:
    """A payment at the gateway; what the gateway calls it."""
    shop.create_payment("own", order, f"P-{order}", **{"method": "card", "gateway": "local", **more})
    return str(until(lambda: payment_of(shop, order).reference, "it is opened"))


def in_state(shop: Client, order: str, state: str) -> Any:
    """The payment, once it is in a state."""
    wanted = life.PaymentState.Value(f"PAYMENT_STATE_{state}")
    until(lambda: payment_of(shop, order).state == wanted, f"{order} is {state}")
    return payment_of(shop, order)


def delivered(shop: Client, order: str) -> None:
    shop.create_shipment("own", order, f"S-{order}", "BLR")
    shop.advance_shipment("deliver", channel="own", shipment_id=f"S-{order}")


def came_back(shop: Client, order: str, units: int = 1) -> None:
    shop.create_return("own", order, f"R-{order}", 1, units, condition="unused")
    for step in ("approve", "receive", "inspect"):
        shop.advance_return(step, "own", f"R-{order}")


def grew(outside: Outside, before: dict[str, int], at: str = "local") -> dict[str, int]:
    """What a gateway did since."""
    now = outside.calls(at)
    return {what: now[what] - before.get(what, 0) for what in now if now[what] != before.get(what, 0)}


# All the way


@pytest.mark.parametrize(
    "faults",
    [
        {}, {"fails": 4}, {"drops": 4}, {"slow_ms": 150}, {"webhook_twice": True}, {"webhook_reordered": True},
        {"webhook_delay_ms": 300}, {"webhook_twice": True, "webhook_reordered": True, "drops": 3},
    ],
    ids=str,
)  # fmt: skip
def test_paid_captured_and_given_back_whatever_the_gateway_does(
    shop: Client, outside: Outside, faults: dict[str, Any], request: pytest.FixtureRequest
):
    order = placed(shop, f"way-{faults}"[:40])
    outside.behave(**faults)
    before = outside.calls()
    reference = opened(shop, order)
    until(lambda: outside.pay(reference, method="card").get("status") == "authorized", "the customer pays")
    in_state(shop, order, "AUTHORISED")
    delivered(shop, order)
    assert in_state(shop, order, "CAPTURED").captured == 2 * EACH
    came_back(shop, order)
    until(lambda: payment_of(shop, order).refunded == EACH, "it is given back")
    did = grew(outside, before)
    assert did.pop("authorized") >= 1  # the customer, whose answer was lost, tries again
    assert did == {"order": 1, "captured": 1, "refunded": 1}


def test_the_adapter_over_razorpays_sdk_does_the_same(shop: Client, outside: Outside):
    """Against a local gateway, which speaks a part of its API. Stripe, which nobody serves here, holds nothing up."""
    placed(shop, "waits")
    shop.create_payment("own", "waits", "P-waits", method="card", gateway="stripe")
    reference = opened(shop, placed(shop, "by-sdk"), gateway="razorpay")
    outside.pay(reference, "razorpay", method="card")
    in_state(shop, "by-sdk", "AUTHORISED")
    delivered(shop, "by-sdk")
    assert in_state(shop, "by-sdk", "CAPTURED").captured == 2 * EACH
    came_back(shop, "by-sdk")
    until(lambda: payment_of(shop, "by-sdk").refunded == EACH, "it is given back")
    assert payment_of(shop, "waits").reference == ""


def test_a_saved_method_is_charged_in_one_click(shop: Client, outside: Outside):
    first = opened(shop, placed(shop, "saves"))
    token = outside.pay(first, method="card", save=True)["token_id"]
    shop.create_payment("own", placed(shop, "click"), "P-click", method="card", gateway="local", token=token)
    in_state(shop, "click", "AUTHORISED")


def test_a_method_that_fails_may_be_paid_later(shop: Client, outside: Outside):
    reference = opened(shop, placed(shop, "later"), method="upi")
    assert outside.pay(reference, method="upi", fails=True)["status"] == "failed"
    in_state(shop, "later", "FAILED")
    assert outside.pay(reference, method="upi")["status"] == "captured"
    in_state(shop, "later", "CAPTURED")


def test_what_is_declined_fails(shop: Client, outside: Outside):
    token = outside.pay(opened(shop, placed(shop, "has-token")), method="card", save=True)["token_id"]
    outside.behave(declines=True)
    shop.create_payment("own", placed(shop, "no"), "P-no", method="card", gateway="local", token=token)
    in_state(shop, "no", "FAILED")


def test_an_order_that_is_cancelled_lets_go_of_its_payment(shop: Client, outside: Outside):
    before = outside.calls()
    reference = opened(shop, placed(shop, "cancelled"))
    outside.pay(reference, method="card")
    in_state(shop, "cancelled", "AUTHORISED")
    shop.cancel_order("own", "cancelled")
    in_state(shop, "cancelled", "VOIDED")
    assert grew(outside, before)["voided"] == 1


def test_money_that_comes_after_the_order_was_cancelled_goes_back(shop: Client, outside: Outside):
    before = outside.calls()
    reference = opened(shop, placed(shop, "too-late"), method="upi")
    shop.cancel_order("own", "too-late")
    in_state(shop, "too-late", "VOIDED")
    outside.pay(reference, method="upi")
    until(lambda: payment_of(shop, "too-late").refunded == 2 * EACH, "it goes back")
    assert grew(outside, before)["refunded"] == 1


def test_what_is_authorised_after_the_order_was_cancelled_is_let_go_of_there(shop: Client, outside: Outside):
    before = outside.calls()
    reference = opened(shop, placed(shop, "held-late"))
    shop.cancel_order("own", "held-late")
    in_state(shop, "held-late", "VOIDED")
    outside.pay(reference, method="card")
    until(lambda: grew(outside, before).get("voided"), "it is let go of at the gateway")
    in_state(shop, "held-late", "VOIDED")


def test_a_gateway_that_is_down_is_asked_again_when_it_is_back(shop: Client, outside: Outside):
    outside.behave(down=True)
    placed(shop, "down")
    shop.create_payment("own", "down", "P-down", method="card", gateway="local")
    time.sleep(1)
    assert payment_of(shop, "down").reference == ""
    outside.behave(down=False)
    assert until(lambda: payment_of(shop, "down").reference, "it is opened")


def test_where_no_webhook_ever_comes_the_workers_own_calls_tell(shop: Client, outside: Outside):
    token = outside.pay(opened(shop, placed(shop, "quiet-1")), method="card", save=True)["token_id"]
    outside.behave(webhook_never=True)
    shop.create_payment("own", placed(shop, "quiet"), "P-quiet", method="card", gateway="local", token=token)
    in_state(shop, "quiet", "AUTHORISED")
    delivered(shop, "quiet")
    in_state(shop, "quiet", "CAPTURED")
    came_back(shop, "quiet")
    until(lambda: payment_of(shop, "quiet").refunded == EACH, "it is given back")


@pytest.mark.parametrize("what", ["capture", "refund"])
def test_a_worker_killed_between_the_call_and_the_report_does_nothing_twice(shop: Client, outside: Outside, what: str):
    order = placed(shop, f"killed-{what}")
    outside.pay(opened(shop, order), method="card")
    in_state(shop, order, "AUTHORISED")
    outside.behave(webhook_never=True)
    if what == "refund":
        delivered(shop, order)
        in_state(shop, order, "CAPTURED")
    before, did = outside.calls(), "captured" if what == "capture" else "refunded"
    outside.behave(late_ms=3_000)
    if what == "capture":
        delivered(shop, order)
    else:
        came_back(shop, order)
    until(lambda: grew(outside, before).get(did), "the gateway has done it, and says nothing yet")
    outside.restart("payments")
    outside.behave(late_ms=0)
    if what == "capture":
        assert in_state(shop, order, "CAPTURED").captured == 2 * EACH
    else:
        until(lambda: payment_of(shop, order).refunded == EACH, "it is given back")
    assert grew(outside, before) == {did: 1}


@pytest.mark.parametrize("what", ["order", "capture", "refund"])
def test_a_kill_does_nothing_twice_at_a_gateway_that_has_keys_for_refunds_alone(
    shop: Client, outside: Outside, what: str
):  # fmt: skip
    order, at = f"rzp-killed-{what}", "razorpay"
    outside.behave(at, webhook_never=True)
    before = outside.calls(at)
    outside.behave(at, late_ms=3_000 if what == "order" else 0)
    placed(shop, order)
    shop.create_payment("own", order, f"P-{order}", method="card", gateway=at)
    if what == "order":
        until(lambda: grew(outside, before, at).get("order"), "the gateway has done it, and says nothing yet")
        outside.restart("payments")
        outside.behave(at, late_ms=0)
    reference = until(lambda: payment_of(shop, order).reference, "it is opened")
    outside.behave(at, webhook_never=False)
    outside.pay(reference, at, method="card")
    in_state(shop, order, "AUTHORISED")
    outside.behave(at, webhook_never=True, late_ms=3_000 if what == "capture" else 0)
    delivered(shop, order)
    if what == "capture":
        until(lambda: grew(outside, before, at).get("captured"), "the gateway has done it, and says nothing yet")
        outside.restart("payments")
        outside.behave(at, late_ms=0)
    in_state(shop, order, "CAPTURED")
    outside.behave(at, late_ms=3_000 if what == "refund" else 0)
    came_back(shop, order)
    if what == "refund":
        until(lambda: grew(outside, before, at).get("refunded"), "the gateway has done it, and says nothing yet")
        outside.restart("payments")
        outside.behave(at, late_ms=0)
    until(lambda: payment_of(shop, order).refunded == EACH, "it is given back")
    assert grew(outside, before, at) == {"order": 1, "authorized": 1, "captured": 1, "refunded": 1}


def test_a_worker_whose_cursor_is_lost_does_nothing_twice(shop: Client, outside: Outside):
    """Nor where the gateway has forgotten its keys."""
    order = placed(shop, "cursor-lost")
    outside.pay(opened(shop, order), method="card")
    in_state(shop, order, "AUTHORISED")
    delivered(shop, order)
    in_state(shop, order, "CAPTURED")
    came_back(shop, order)
    until(lambda: payment_of(shop, order).refunded == EACH, "it is given back")
    asked = last_step(shop)
    until(lambda: cursor_of(outside, "local") >= asked, "the worker has done all")
    reached, before = cursor_of(outside, "local"), outside.calls()
    assert outside.http.post(f"{outside.urls['local']}/forget").status_code == 200
    outside.restart("payments", lambda: (outside.folder / "payments" / "local.cursor").unlink())
    until(lambda: cursor_of(outside, "local") >= reached, "it has read all again")
    assert grew(outside, before) == {}
    assert payment_of(shop, order).refunded == EACH


def last_step(shop: Client) -> list[int]:
    """Of the events so far."""
    at = [event.event_id for event in shop.stream_events(kinds=["step_taken"], once=True)][-1]
    return [int(part) for part in at.split("-")]


def cursor_of(outside: Outside, gateway: str) -> list[int]:
    at = Cursor(outside.folder / "payments" / f"{gateway}.cursor").read("0-0")
    return [int(part) for part in at.split("-")]


def test_a_payment_that_another_gateway_tells_of_stays_as_it_is(shop: Client, outside: Outside):
    """Who has the secret of one gateway cannot pay by another."""
    opened(shop, placed(shop, "others"))
    notes = {"allot_channel": "own", "allot_payment": "P-others"}
    body = razorpay_event("payment_captured__card", id="pay_forged", order_id="order_forged", notes=notes)
    answer = outside.tell("/webhooks/razorpay", body, **signed_by_razorpay(body))
    assert (answer.status_code, answer.json()["reason"]) == (200, "OTHERS_PAYMENT")
    assert payment_of(shop, "others").captured == 0


def test_a_saved_method_that_only_the_customer_can_charge_is_not_asked_for(shop: Client):
    with pytest.raises(Invalid, match="token: razorpay charges no saved method"):
        shop.create_payment("own", placed(shop, "his"), "P-his", method="card", gateway="razorpay", token="token_1")


# Payloads of the gateways' own documentation


def razorpay_event(name: str, ago: float = 0, **payment: Any) -> bytes:
    """An event of Razorpay's documentation, as if it were sent now, or before."""
    message = real_data.payload(f"razorpay__webhook__{name}")
    message["created_at"] = int(time.time() - ago)
    if payment:
        message["payload"]["payment"]["entity"] |= payment
    return json.dumps(message).encode()


def signed_by_razorpay(body: bytes, secret: str = SECRET) -> dict[str, str]:
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"x_razorpay_signature": signature}


def signed_by_stripe(body: bytes, at: int | None = None, secret: str = SECRET) -> dict[str, str]:
    at = int(time.time()) if at is None else at
    signature = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return {"stripe_signature": f"t={at},v0=old,v1={signature}"}


RAZORPAY = {
    "payment_authorized__card": (200, "TAKEN"),
    "payment_captured__card": (200, "TAKEN"),
    "payment_failed__card": (200, "AGAIN"),  # it came late: the payment was captured
    "order_paid__card": (200, "AGAIN"),  # the same capture, told once more
    "payment_failed__upi": (200, "TAKEN"),  # and captured after all
    "payment_captured__upi": (200, "TAKEN"),
    "payment_authorized__upi": (200, "AGAIN"),
    "order_paid__upi": (200, "AGAIN"),
    "refund_created__normal_refunds": (200, "IGNORED"),
    "refund_processed__normal_refunds": (200, "IGNORED"),  # nobody asked for it here
    "payment_dispute_created__payment_dispute_created": (200, "IGNORED"),
    "payment_dispute_action_required__payment_dispute_action_required": (200, "IGNORED"),
    "payment_dispute_under_review__payment_dispute_under_review": (200, "IGNORED"),
    "payment_downtime_started__netbanking": (200, "IGNORED"),
    "payment_downtime_updated__netbanking": (200, "IGNORED"),
    "payment_downtime_resolved__netbanking": (200, "IGNORED"),
    "settlement_processed__settlement_processed": (200, "IGNORED"),
}


@pytest.mark.skipif(not real_data.available(), reason="the gateways' payloads are not beside this clone")
def test_each_webhook_of_razorpays_documentation(shop: Client, outside: Outside):
    for order, reference, method in (
        ("rzp-card", "order_DESoU0U4ikYA19", "card"), ("rzp-upi", "order_DESxiijbl9xjDB", "upi"),
    ):  # fmt: skip
        placed(shop, order, 1, price=100, tax=0)
        shop.create_payment("own", order, f"P-{order}", method=method, gateway="razorpay")
        until(lambda order=order: payment_of(shop, order).reference, "the worker has opened it")
        shop.advance_payment("open", channel="own", payment_id=f"P-{order}", gateway="razorpay", reference=reference)
    assert real_data.payloads("razorpay__webhook") == set(RAZORPAY)
    for name, wanted in RAZORPAY.items():
        body = razorpay_event(name)
        answer = outside.tell("/webhooks/razorpay", body, **signed_by_razorpay(body))
        assert (answer.status_code, answer.json()["reason"]) == wanted, (name, answer.text)
        if wanted[1] == "TAKEN":
            answer = outside.tell("/webhooks/razorpay", body, **signed_by_razorpay(body))
            assert (answer.status_code, answer.json()["reason"]) == (200, "AGAIN"), name
    for order in ("rzp-card", "rzp-upi"):
        assert payment_of(shop, order).captured == 100


def stripe_event(kind: str, what: str, **instead: Any) -> bytes:
    """An event around an object of Stripe's fixtures."""
    entity = real_data.payload(f"stripe__fixture__{what}") | instead
    event = {"id": f"evt_{kind}_{instead}", "type": kind, "created": int(time.time()), "data": {"object": entity}}
    return json.dumps(event).encode()


INTENT = "pi_1PgafyB7WZ01zgkWSjxsAJo3"
STRIPE: list[tuple[str, str, dict[str, Any], str]] = [
    ("payment_intent.amount_capturable_updated", "payment_intent", {"amount_capturable": 1099}, "TAKEN"),
    ("payment_intent.succeeded", "payment_intent", {"amount_received": 1099}, "TAKEN"),
    ("payment_intent.payment_failed", "payment_intent", {}, "AGAIN"),
    ("payment_intent.canceled", "payment_intent", {}, "WRONG_STATE"),  # of money that was taken
    ("payment_intent.created", "payment_intent", {}, "IGNORED"),
    ("payment_intent.succeeded", "payment_intent", {"amount_received": 1099, "currency": "eur"}, "CURRENCY_MISMATCH"),
    ("refund.updated", "refund", {"payment_intent": INTENT}, "IGNORED"),  # nobody asked for it here
    ("refund.updated", "refund", {"payment_intent": INTENT, "status": "pending"}, "IGNORED"),
    ("charge.dispute.created", "dispute", {}, "IGNORED"),
    ("checkout.session.completed", "checkout_session", {}, "IGNORED"),
    ("balance.available", "balance_transaction", {}, "IGNORED"),
]  # fmt: skip


@pytest.mark.skipif(not real_data.available(), reason="the gateways' payloads are not beside this clone")
def test_each_object_of_stripes_fixtures(shop: Client, outside: Outside):
    placed(shop, "stripe", 1, "USD", price=1_099, tax=0)
    shop.create_payment("own", "stripe", "P-stripe", method="card", gateway="stripe")
    shop.advance_payment("open", channel="own", payment_id="P-stripe", gateway="stripe", reference=INTENT)
    assert {what for _, what, _, _ in STRIPE} == real_data.payloads("stripe__fixture")
    for kind, what, instead, wanted in STRIPE:
        body = stripe_event(kind, what, **instead)
        answer = outside.tell("/webhooks/stripe", body, **signed_by_stripe(body))
        assert (answer.status_code, answer.json()["reason"]) == (200, wanted), (kind, answer.text)
    assert payment_of(shop, "stripe").captured == 1_099


def test_a_refund_that_was_asked_for_is_told_by_its_webhook(shop: Client, outside: Outside):
    placed(shop, "noted", 1, "USD", price=1_000, tax=0)
    shop.create_payment("own", "noted", "P-noted", method="card", gateway="stripe")
    shop.advance_payment("capture", channel="own", payment_id="P-noted", gateway="stripe", reference="pi_2")
    number = shop.refund_order("own", "noted", 100).number
    notes = {"allot_channel": "own", "allot_payment": "P-noted", "allot_refund": str(number)}
    for status, wanted in (("pending", "IGNORED"), ("succeeded", "TAKEN")):
        body = stripe_event("refund.updated", "refund", status=status, payment_intent="pi_2", metadata=notes)
        answer = outside.tell("/webhooks/stripe", body, **signed_by_stripe(body))
        assert answer.json()["reason"] == wanted
    assert payment_of(shop, "noted").refunded == 100


# Who tells, and what is no event


def test_what_nobody_signed_changes_nothing(outside: Outside):
    body = razorpay_event("payment_captured__card")
    good = signed_by_razorpay(body)
    now = int(time.time())

    def told(path: str, body: bytes, **headers: str) -> tuple[int, str]:
        answer = outside.tell(path, body, **headers)
        return answer.status_code, answer.json()["reason"]

    razorpay, stripe = "/webhooks/razorpay", "/webhooks/stripe"
    assert told(razorpay, body) == (401, "BAD_SIGNATURE")
    assert told(razorpay, body, **signed_by_razorpay(body, "another")) == (401, "BAD_SIGNATURE")
    assert told(razorpay, body + b" ", **good) == (401, "BAD_SIGNATURE")
    old = razorpay_event("payment_captured__card", ago=26 * 3600)
    assert told(razorpay, old, **signed_by_razorpay(old)) == (401, "BAD_SIGNATURE")
    for wrong in (b"{", b"[" * 200_000):
        assert told(razorpay, wrong, **signed_by_razorpay(wrong)) == (400, "MALFORMED")
    assert told(stripe, body, **signed_by_stripe(body, now - 400)) == (401, "BAD_SIGNATURE")
    assert told(stripe, body, **signed_by_stripe(body, now + 400)) == (401, "BAD_SIGNATURE")
    assert told(stripe, body, stripe_signature="v1=abc") == (401, "BAD_SIGNATURE")
    assert told(stripe, body, **signed_by_stripe(body)) == (400, "MALFORMED")
    assert told("/webhooks/nobody", body, **good) == (404, "UNKNOWN_GATEWAY")
    large = b" " * ((1 << 20) + 1)
    assert told(razorpay, large, **signed_by_razorpay(large)) == (413, "TOO_LARGE")


def test_a_payment_that_is_not_known_yet_is_told_again(outside: Outside):
    for ago, wanted in ((0, (404, "UNKNOWN_PAYMENT")), (2 * 3600, (200, "IGNORED"))):
        body = razorpay_event("payment_captured__card", ago, id="pay_nobody", order_id="order_nobody")
        answer = outside.tell("/webhooks/razorpay", body, **signed_by_razorpay(body))
        assert (answer.status_code, answer.json()["reason"]) == wanted
