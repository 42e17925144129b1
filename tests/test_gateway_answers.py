"""Each answer of Razorpay's documentation, given to the adapter over its SDK by a real server: taken, or told apart."""

import asyncio
import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from server.asking import Declined, Unreachable
from server.gateways.gateway import Asked
from server.gateways.razorpay import Razorpay
from server.gateways.stripe import Stripe
from tests.real_data import DATA

PAYLOADS = DATA / "channel_payloads"
ASKED = Asked(100, "INR", {})
CALLS: dict[str, Callable[[Razorpay], Any]] = {
    "open": lambda gateway: gateway.open(ASKED, "key"),
    "capture": lambda gateway: gateway.capture("pay_1", ASKED, "key"),
    "refund": lambda gateway: gateway.refund("pay_1", ASKED, "key"),
}
ANSWERS: dict[str, tuple[str, Any]] = {
    "order_00": ("open", "order_EKwxwAgItmmXdp"),
    "order_02": ("open", Unreachable),  # a list of orders
    "order_04": ("capture", Unreachable),  # a list of payments
    "order_06": ("open", Unreachable),  # a risk review
    "payment_01": ("capture", Unreachable),  # a list of payments
    "payment_04": ("capture", 1_000),
    "payment_07": ("capture", Unreachable),  # what the customer's checkout is to do next
    "payment_15": ("capture", Unreachable),  # a card's issuer
    "refund_01": ("refund", True),
    "refund_03": ("refund", True),
    "refund_05": ("refund", True),
}


class Answering:
    """A server that gives one answer to everything."""

    def __init__(self) -> None:
        self.status, self.body, self.headers = 200, b"{}", list[dict[str, str]]()
        told = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("content-length", 0)))
                told.headers.append(dict(self.headers))
                self.send_response(told.status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(told.body)))
                self.end_headers()
                self.wfile.write(told.body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def answering() -> Iterator[Answering]:
    answering = Answering()
    yield answering
    answering.server.shutdown()
    answering.server.server_close()


def asked(answering: Answering, call: str) -> Any:
    return asyncio.run(CALLS[call](Razorpay("key", "secret", answering.url)))


def test_each_answer_of_the_documentation(answering: Answering):
    there = {path.name.removeprefix("razorpay__rest__")[:-5] for path in PAYLOADS.glob("razorpay__rest__*")}
    assert there == set(ANSWERS)
    for name, (call, wanted) in ANSWERS.items():
        answering.body = (PAYLOADS / f"razorpay__rest__{name}.json").read_bytes()
        if wanted is Unreachable:
            with pytest.raises(Unreachable, match="something else"):
                asked(answering, call)
        else:
            found = asked(answering, call)
            assert found == (json.loads(answering.body)["status"] == "processed" if wanted is True else wanted), name


@pytest.mark.parametrize(
    ("status", "description", "wanted"),
    [
        (400, "The amount must be at least INR 1.00", Declined), (401, "Authentication failed", Unreachable),
        (429, "Too many requests", Unreachable), (500, "We are facing some trouble", Unreachable),
        (502, "", Unreachable),
    ],
)  # fmt: skip
def test_a_refusal_of_the_call_is_told_from_one_that_says_nothing_of_it(
    answering: Answering, status: int, description: str, wanted: type[Exception]
):
    answering.status = status
    code = "BAD_REQUEST_ERROR" if status < 500 else "SERVER_ERROR"
    answering.body = json.dumps({"error": {"code": code, "description": description}}).encode()
    for call in CALLS:
        with pytest.raises(wanted):
            asked(answering, call)


def test_each_call_carries_its_key(answering: Answering):
    answering.body = (PAYLOADS / "razorpay__rest__order_00.json").read_bytes()
    asked(answering, "open")
    answering.body = (PAYLOADS / "razorpay__rest__refund_01.json").read_bytes()
    asked(answering, "refund")
    first, second = ({name.lower(): value for name, value in headers.items()} for headers in answering.headers)
    assert (first["x-idempotency-key"], second["x-refund-idempotency"]) == ("key", "key")


# Stripe


SDK_WARNS = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # of how its SDK asks httpx


def asked_of_stripe(answering: Answering, call: str) -> Any:
    return asyncio.run(CALLS[call](Stripe("sk_test_1", answering.url)))  # type: ignore[arg-type]


@SDK_WARNS
def test_stripes_fixtures_as_answers_of_its_sdk(answering: Answering):
    answering.body = (PAYLOADS / "stripe__fixture__payment_intent.json").read_bytes()
    intent = json.loads(answering.body)
    assert asked_of_stripe(answering, "open") == intent["id"]
    assert asked_of_stripe(answering, "capture") == intent["amount_received"]
    answering.body = (PAYLOADS / "stripe__fixture__refund.json").read_bytes()
    assert asked_of_stripe(answering, "refund") is True
    keys = [{name.lower(): value for name, value in headers.items()} for headers in answering.headers]
    assert {headers["idempotency-key"] for headers in keys} == {"key"}


@SDK_WARNS
@pytest.mark.parametrize(
    ("status", "kind", "wanted"),
    [
        (400, "invalid_request_error", Declined), (402, "card_error", Declined), (401, "authentication", Unreachable),
        (429, "rate_limit", Unreachable), (500, "api_error", Unreachable),
    ],
)  # fmt: skip
def test_what_stripe_will_not_do_is_told_from_what_says_nothing(
    answering: Answering, status: int, kind: str, wanted: type[Exception]
):
    answering.status = status
    answering.body = json.dumps({"error": {"type": kind, "message": "no"}}).encode()
    with pytest.raises(wanted):
        asked_of_stripe(answering, "capture")
