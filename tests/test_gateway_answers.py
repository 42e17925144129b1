"""What the adapters ask Razorpay and Stripe by their SDKs, and what they believe of the answers of a real server."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs

import pytest

from server.asking import Declined, Unreachable
from server.gateways.gateway import Asked, Gateway, Held, StaysOpen
from server.gateways.razorpay import Razorpay
from server.gateways.stripe import Stripe
from tests import real_data
from tests.answering import Answering, answering

KEY = "allot-0123456789abcdef"
NOTES = {"allot_channel": "own", "allot_payment": "P", "allot_refund": "7"}
ASKED = Asked(1_000, "INR", NOTES, held_days=5)
REPEATED = Asked(1_000, "INR", NOTES, held_days=5, is_repeat=True)
CALLS: dict[str, Callable[[Gateway], Any]] = {
    "open": lambda gateway: gateway.open(ASKED, KEY),
    "capture": lambda gateway: gateway.capture("pay_1", ASKED, KEY),
    "refund": lambda gateway: gateway.refund("pay_1", ASKED, KEY),
}
ORDER = {"id": "order_1", "entity": "order", "amount": 1_000, "currency": "INR", "receipt": KEY}
PAYMENT = {
    "id": "pay_1",
    "entity": "payment",
    "amount": 1_000,
    "currency": "INR",
    "status": "captured",
    "captured": True,
}
REFUND = {
    "id": "rfnd_1", "entity": "refund", "amount": 1_000, "currency": "INR", "payment_id": "pay_1", "notes": NOTES,
    "status": "processed",
}  # fmt: skip
ENTITIES = {"open": ORDER, "capture": PAYMENT, "refund": REFUND}
CAPTURE, FETCH = ("POST", "/v1/payments/pay_1/capture"), ("GET", "/v1/payments/pay_1")
ORDERS, MAKE_ORDER = ("GET", "/v1/orders"), ("POST", "/v1/orders")
REFUNDS, MAKE_REFUND = ("GET", "/v1/payments/pay_1/refunds"), ("POST", "/v1/payments/pay_1/refund")
NO: tuple[int, Any] = (400, {"error": {"code": "BAD_REQUEST_ERROR", "description": "it is so already"}})


def collection(*items: Any) -> tuple[int, Any]:
    return 200, {"entity": "collection", "count": len(items), "items": list(items)}


@pytest.fixture
def there() -> Iterator[Answering]:
    with answering() as there:
        yield there


def razorpay(there: Answering, call: Callable[[Gateway], Any], timeout: float = 10) -> Any:
    async def within() -> Any:
        return await call(Razorpay("key", "secret", there.url, timeout=timeout))

    return asyncio.run(within())


# Razorpay


ANSWERS: dict[str, tuple[str, Asked, str, Any]] = {
    "order_00": ("open", Asked(50_000, "INR"), "", "order_EKwxwAgItmmXdp"),
    "order_02": ("open", ASKED, "", Unreachable),  # a list of orders
    "order_04": ("capture", ASKED, "pay_1", Unreachable),  # a list of payments
    "order_06": ("open", ASKED, "", Unreachable),  # a risk review
    "payment_01": ("capture", ASKED, "pay_1", Unreachable),  # a list of payments
    "payment_04": ("capture", Asked(1_000, "INR"), "pay_CBYy6tLmJTzn3Q", Unreachable),  # it is not captured
    "payment_07": ("capture", ASKED, "pay_1", Unreachable),  # what the customer's checkout is to do next
    "payment_15": ("capture", ASKED, "pay_1", Unreachable),  # a card's issuer
    "refund_01": ("refund", Asked(100, "INR"), "pay_JRP3Y66cNcf2qF", False),  # it is pending
    "refund_03": ("refund", Asked(300_100, "INR"), "pay_FIKOnlyii5QGNx", True),
    "refund_05": ("refund", Asked(6_000, "INR"), "pay_EpkFDYRirena0f", True),
}


@pytest.mark.skipif(not real_data.available(), reason="the gateways' payloads are not beside this clone")
def test_each_answer_of_the_documentation(there: Answering):
    assert real_data.payloads("razorpay__rest") == set(ANSWERS)
    for name, (call, asked, reference, wanted) in ANSWERS.items():
        there.body = json.dumps(real_data.payload(f"razorpay__rest__{name}")).encode()
        arguments = (asked, KEY) if call == "open" else (reference, asked, KEY)
        ask = lambda gateway, call=call, arguments=arguments: getattr(gateway, call)(*arguments)  # noqa: E731
        if wanted is Unreachable:
            with pytest.raises(Unreachable, match="something else"):
                razorpay(there, ask)
        else:
            assert razorpay(there, ask) == wanted, name


@pytest.mark.parametrize(
    ("call", "instead"),
    [
        ("open", {"amount": 1}), ("open", {"currency": "USD"}), ("open", {"id": ""}), ("open", {"id": None}),
        ("capture", {"amount": 1}), ("capture", {"currency": "USD"}), ("capture", {"id": "pay_2"}),
        ("capture", {"captured": False}), ("capture", {"captured": 1}), ("refund", {"amount": 1}),
        ("refund", {"currency": "USD"}), ("refund", {"payment_id": "pay_2"}), ("refund", {"amount": True}),
    ],
)  # fmt: skip
def test_an_answer_of_something_else_is_none(there: Answering, call: str, instead: dict[str, Any]):
    there.body = json.dumps(ENTITIES[call]).encode()
    razorpay(there, CALLS[call])
    there.body = json.dumps(ENTITIES[call] | instead).encode()
    with pytest.raises(Unreachable, match="something else"):
        razorpay(there, CALLS[call])


@pytest.mark.parametrize(
    ("status", "description", "wanted"),
    [
        (400, "The amount must be at least INR 1.00", Declined), (401, "Authentication failed", Unreachable),
        (429, "Too many requests", Unreachable), (500, "We are facing some trouble", Unreachable),
        (502, "", Unreachable),
    ],
)  # fmt: skip
def test_a_refusal_of_the_call_is_told_from_one_that_says_nothing_of_it(
    there: Answering, status: int, description: str, wanted: type[Exception]
):
    there.status = status
    code = "BAD_REQUEST_ERROR" if status < 500 else "SERVER_ERROR"
    there.body = json.dumps({"error": {"code": code, "description": description}}).encode()
    there.answers[FETCH] = 200, PAYMENT | {"status": "authorized", "captured": False}
    for call in CALLS.values():
        with pytest.raises(wanted):
            razorpay(there, call)


def test_only_refunds_have_keys_there(there: Answering):
    for call, entity in ENTITIES.items():
        there.body = json.dumps(entity).encode()
        razorpay(there, CALLS[call])
    keys = [
        {name: value for name, value in heard.headers.items() if "idempotency" in name} for heard in there.heard
    ]  # fmt: skip
    assert keys == [{}, {}, {"x-refund-idempotency": KEY}]


def test_an_order_says_how_its_payment_is_captured(there: Answering):
    there.body = json.dumps(ORDER).encode()
    for days, wanted in (
        (5, {"capture": "manual", "capture_options": {"manual_expiry_period": 7200, "refund_speed": "normal"}}),
        (0, {"capture": "automatic", "capture_options": {
            "automatic_expiry_period": 7200, "manual_expiry_period": 7200, "refund_speed": "normal"}}),
    ):  # fmt: skip
        razorpay(there, lambda gateway, days=days: gateway.open(Asked(1_000, "INR", held_days=days), KEY))
        assert json.loads(there.heard[-1].body)["payment"] == wanted


def test_a_capture_that_is_declined_was_made_before_or_is_not_to_be_had(there: Answering):
    there.answers[CAPTURE], there.answers[FETCH] = NO, (200, PAYMENT)
    assert razorpay(there, CALLS["capture"]) == 1_000
    for status in ("authorized", "failed"):
        there.answers[FETCH] = 200, PAYMENT | {"status": status, "captured": False}
        with pytest.raises(Declined):
            razorpay(there, CALLS["capture"])
    for instead in ({"amount": 900}, {"currency": "USD"}, {"id": "pay_2"}):
        there.answers[FETCH] = 200, PAYMENT | instead
        with pytest.raises(Unreachable):
            razorpay(there, CALLS["capture"])


def test_an_order_that_is_asked_for_again_is_the_one_that_is_there(there: Answering):
    there.answers = {ORDERS: collection(ORDER | {"id": "order_7"}), MAKE_ORDER: (200, ORDER)}
    again = lambda gateway: gateway.open(REPEATED, KEY)  # noqa: E731
    assert razorpay(there, CALLS["open"]) == "order_1"
    assert razorpay(there, again) == "order_7"
    assert there.heard[-1].path.endswith(f"?receipt={KEY}")
    for other in ({"receipt": "other"}, {"amount": 1}, {"currency": "USD"}):
        there.answers[ORDERS] = collection(ORDER | {"id": "order_7"} | other)
        assert razorpay(there, again) == "order_1"
    there.answers[ORDERS] = collection()
    assert razorpay(there, again) == "order_1"


def test_a_refund_that_may_have_been_asked_for_long_ago_is_looked_for_first(there: Answering):
    there.answers = {REFUNDS: collection(REFUND | {"status": "pending"}), MAKE_REFUND: (200, REFUND)}
    again = lambda gateway: gateway.refund("pay_1", REPEATED, KEY)  # noqa: E731
    assert razorpay(there, again) is False
    assert {heard.method for heard in there.heard} == {"GET"}
    for other in ({"status": "failed"}, {"notes": NOTES | {"allot_refund": "8"}}, {"notes": []}):
        there.answers[REFUNDS] = collection(REFUND | other)
        assert razorpay(there, again) is True


def test_what_only_the_customer_can_do_there(there: Answering):
    with pytest.raises(StaysOpen):
        razorpay(there, lambda gateway: gateway.charge(ASKED, "order_1", KEY))
    assert razorpay(there, lambda gateway: gateway.void("pay_1", KEY)) is False
    assert there.heard == []


def test_a_gateway_that_says_nothing_is_waited_for_a_while(there: Answering):
    there.is_silent = True
    begun = time.monotonic()
    for call in CALLS.values():
        with pytest.raises(Unreachable, match="Timeout"):
            razorpay(there, call, timeout=0.2)
    assert time.monotonic() - begun < 10


ENDS_IN_A_CALL = """
import asyncio, sys
from server.gateways.gateway import Asked
from server.gateways.razorpay import Razorpay

async def main():
    call = asyncio.ensure_future(Razorpay("key", "secret", sys.argv[1], timeout=60).open(Asked(100, "INR"), "key"))
    await asyncio.sleep(0.5)
    call.cancel()

asyncio.run(main())
"""


def test_a_worker_that_ends_waits_for_no_call(there: Answering):
    there.is_silent = True
    done = subprocess.run(
        [sys.executable, "-c", ENDS_IN_A_CALL, there.url], timeout=30, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(there.heard) == 1


# Stripe


SDK_WARNS = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # of how its SDK asks httpx
DOLLARS = Asked(1_099, "USD", NOTES, held_days=7)
INTENT = real_data.payload("stripe__fixture__payment_intent")
GIVEN_BACK = real_data.payload("stripe__fixture__refund")
NAME = INTENT["id"]
TAKEN = INTENT | {"status": "succeeded", "amount_received": 1_099}
WRONG = 400, {"error": {"type": "invalid_request_error", "message": "it is so already"}}
CONFIRM, RETRIEVE = ("POST", f"/v1/payment_intents/{NAME}/confirm"), ("GET", f"/v1/payment_intents/{NAME}")


def stripe(there: Answering, call: Callable[[Gateway], Any], timeout: float = 10) -> Any:
    async def within() -> Any:
        return await call(Stripe("sk_test_1", there.url, timeout=timeout))

    return asyncio.run(within())


def form(there: Answering) -> dict[str, str]:
    return {name: value for name, (value,) in parse_qs(there.heard[-1].body.decode()).items()}


@SDK_WARNS
def test_stripes_fixtures_as_answers_of_its_sdk(there: Answering):
    there.body = json.dumps(INTENT).encode()
    assert stripe(there, lambda gateway: gateway.open(DOLLARS, KEY)) == NAME
    with pytest.raises(Unreachable, match="something else"):  # it is not captured
        stripe(there, lambda gateway: gateway.capture(NAME, DOLLARS, KEY))
    there.body = json.dumps(TAKEN).encode()
    assert stripe(there, lambda gateway: gateway.capture(NAME, DOLLARS, KEY)) == 1_099
    there.body = json.dumps(GIVEN_BACK | {"payment_intent": NAME}).encode()
    assert stripe(there, lambda gateway: gateway.refund(NAME, Asked(100, "USD"), KEY)) is True
    there.body = json.dumps(INTENT | {"status": "canceled"}).encode()
    assert stripe(there, lambda gateway: gateway.void(NAME, KEY)) is True
    assert {heard.headers["idempotency-key"] for heard in there.heard} == {KEY}


@SDK_WARNS
@pytest.mark.parametrize(
    ("call", "answer"),
    [
        (lambda gateway: gateway.open(DOLLARS, KEY), INTENT | {"amount": 1}),
        (lambda gateway: gateway.open(DOLLARS, KEY), INTENT | {"currency": "eur"}),
        (lambda gateway: gateway.open(DOLLARS, KEY), INTENT | {"object": "charge"}),
        (lambda gateway: gateway.capture(NAME, DOLLARS, KEY), TAKEN | {"amount_received": 1}),
        (lambda gateway: gateway.capture(NAME, DOLLARS, KEY), TAKEN | {"id": "pi_2"}),
        (lambda gateway: gateway.void(NAME, KEY), INTENT),
        (lambda gateway: gateway.refund(NAME, Asked(100, "USD"), KEY), GIVEN_BACK),  # of no intent
        (lambda gateway: gateway.refund(NAME, Asked(99, "USD"), KEY), GIVEN_BACK | {"payment_intent": NAME}),
    ],
)  # fmt: skip
def test_an_answer_of_stripes_of_something_else_is_none(there: Answering, call: Any, answer: Any):
    there.body = json.dumps(answer).encode()
    with pytest.raises(Unreachable, match="something else"):
        stripe(there, call)


@SDK_WARNS
@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        (Asked(1_099, "USD", method="CARD", held_days=7), {
            "payment_method_types[0]": "card", "capture_method": "manual"}),
        (Asked(1_099, "USD", method="UPI"), {"payment_method_types[0]": "upi", "capture_method": "automatic"}),
        (Asked(1_099, "USD", method="WALLET"), {
            "automatic_payment_methods[enabled]": "true", "automatic_payment_methods[allow_redirects]": "always",
            "capture_method": "automatic"}),
        (Asked(1_099, "USD", method="WALLET", token="cus_1:pm_1"), {
            "automatic_payment_methods[enabled]": "true", "automatic_payment_methods[allow_redirects]": "never",
            "capture_method": "automatic", "customer": "cus_1", "payment_method": "pm_1"}),
        (Asked(1_099, "USD", held_days=7, token="cus_1:pm_1"), {
            "payment_method_types[0]": "card", "capture_method": "manual", "customer": "cus_1",
            "payment_method": "pm_1"}),
    ],
)  # fmt: skip
def test_how_an_intent_is_paid_and_captured(there: Answering, asked: Asked, wanted: dict[str, str]):
    there.body = json.dumps(INTENT).encode()
    stripe(there, lambda gateway: gateway.open(asked, KEY))
    assert form(there) == {"amount": "1099", "currency": "usd", **wanted}


@SDK_WARNS
def test_a_saved_method_is_charged_once_whatever_was_forgotten(there: Answering):
    asked = Asked(1_099, "USD", held_days=7, token="cus_1:pm_1")
    charge = lambda gateway: gateway.charge(asked, NAME, KEY)  # noqa: E731
    there.answers[CONFIRM] = 200, INTENT | {"status": "requires_capture"}
    assert stripe(there, charge) == Held(NAME, False)
    assert form(there) == {"payment_method": "pm_1", "off_session": "true"}
    there.answers |= {CONFIRM: WRONG, RETRIEVE: (200, TAKEN)}
    assert stripe(there, charge) == Held(NAME, True)
    there.answers[RETRIEVE] = 200, INTENT
    with pytest.raises(Declined):
        stripe(there, charge)
    there.answers[CONFIRM] = 200, INTENT | {"status": "processing"}
    with pytest.raises(StaysOpen):
        stripe(there, charge)
    for token in ("pm_1", ":pm_1", "cus_1:"):
        with pytest.raises(Declined, match="CUSTOMER:METHOD"):
            stripe(there, lambda gateway, token=token: gateway.open(Asked(1_099, "USD", token=token), KEY))


@SDK_WARNS
def test_a_capture_that_stripe_declines_was_made_before_or_is_not_to_be_had(there: Answering):
    capture = lambda gateway: gateway.capture(NAME, DOLLARS, KEY)  # noqa: E731
    there.answers = {("POST", f"/v1/payment_intents/{NAME}/capture"): WRONG, RETRIEVE: (200, TAKEN)}
    assert stripe(there, capture) == 1_099
    there.answers[RETRIEVE] = 200, INTENT | {"status": "requires_capture"}
    with pytest.raises(Declined):
        stripe(there, capture)


@SDK_WARNS
def test_a_refund_of_stripes_that_may_have_been_asked_for_long_ago_is_looked_for_first(there: Answering):
    known = GIVEN_BACK | {"payment_intent": NAME, "metadata": NOTES, "status": "pending"}
    again = lambda gateway: gateway.refund(NAME, Asked(100, "USD", NOTES, is_repeat=True), KEY)  # noqa: E731
    made = GIVEN_BACK | {"payment_intent": NAME}
    listed: dict[str, Any] = {"object": "list", "has_more": False, "url": "/v1/refunds", "data": [known]}
    there.answers = {("GET", "/v1/refunds"): (200, listed), ("POST", "/v1/refunds"): (200, made)}
    assert stripe(there, again) is False
    for other in ({"status": "failed"}, {"metadata": {}}):
        there.answers["GET", "/v1/refunds"] = 200, listed | {"data": [known | other]}
        assert stripe(there, again) is True


@SDK_WARNS
@pytest.mark.parametrize(
    ("status", "kind", "wanted"),
    [
        (400, "invalid_request_error", Declined), (402, "card_error", Declined), (401, "authentication", Unreachable),
        (429, "rate_limit", Unreachable), (500, "api_error", Unreachable),
    ],
)  # fmt: skip
def test_what_stripe_will_not_do_is_told_from_what_says_nothing(
    there: Answering, status: int, kind: str, wanted: type[Exception]
):
    there.status = status
    there.body = json.dumps({"error": {"type": kind, "message": "no"}}).encode()
    with pytest.raises(wanted):
        stripe(there, lambda gateway: gateway.refund(NAME, DOLLARS, KEY))
    assert len(there.heard) == 1


@SDK_WARNS
def test_stripe_is_not_waited_for_for_ever(there: Answering):
    there.is_silent = True
    begun = time.monotonic()
    with pytest.raises(Unreachable):
        stripe(there, lambda gateway: gateway.open(DOLLARS, KEY), timeout=0.2)
    assert (time.monotonic() - begun < 10, len(there.heard)) == (True, 1)
