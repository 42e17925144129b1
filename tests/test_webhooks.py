"""What webhooks answer, before an engine that is told what to say: taken, never, again; whose; and too much."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import grpc
import httpx
import pyarrow as pa
import pytest
from starlette.applications import Starlette

from allot.v1 import life_pb2, payments_pb2
from allot_client import errors
from allot_client.errors import AllotError, Unknown
from server.gateways.facts import EVENT_BYTES_MAX, signed
from server.gateways.razorpay import RazorpayWebhooks
from server.gateways.stripe import StripeWebhooks
from server.web import bodies, webhooks
from server.web.scans import SCANS_BYTES_MAX
from server.web.serving import serve_app
from server.web.webhooks import Webhooks, key_of
from tests.framed import Log

SECRET = "s"
NOW = 1_900_000_000.0
NOT_KNOWN = Unknown(grpc.StatusCode.NOT_FOUND, "nobody knows it", "UNKNOWN_PAYMENT")


class Engine:
    """Payments by (gateway, reference) and (channel, id); what was told of them."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], Any] = {}
        self.told: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.failure: AllotError | None = None

    async def __aenter__(self) -> "Engine":
        return self

    async def __aexit__(self, *_: Any) -> None:
        pass

    def knows(self, gateway: str, reference: str, payment_id: str, *refunds: tuple[int, int]) -> None:
        payment = life_pb2.Payment(gateway=gateway, payment_id=payment_id, reference=reference)
        found = payments_pb2.GetPaymentResponse(payment=payment, channel="own", currency="INR")
        for number, amount in refunds:
            found.refunds.add(number=number, amount=amount)
        self.known[gateway, reference] = self.known["own", payment_id] = found

    async def get_payment(
        self, gateway: str = "", reference: str = "", channel: str = "", payment_id: str = ""
    ) -> Any:  # fmt: skip
        found = self.known.get((gateway, reference) if reference else (channel, payment_id))
        if found is None:
            raise NOT_KNOWN
        return found

    async def advance_payment(self, step: str, **told: Any) -> Any:
        return self._answer({"step": step, **told})

    async def advance_refund(self, step: str, number: int, **told: Any) -> Any:
        return self._answer({"step": step, "number": number, **told})

    def _answer(self, told: dict[str, Any]) -> Any:
        if self.failure is not None:
            raise self.failure
        self.told.append(told)
        return SimpleNamespace(again=False)

    async def take_steps(self, kind: str, steps: list[tuple[str, pa.Table]]) -> AsyncIterator[pa.Table]:
        for key, table in steps:
            self.keys.append(key)
            if self.failure is not None:
                raise self.failure
            self.told.extend(table.to_pylist())
            yield pa.table({"reason": pa.array([None] * table.num_rows, pa.string())})


class Hooks:
    """The application, and who speaks to it."""

    def __init__(self, app: Starlette, engine: Engine, log: Log) -> None:
        self._app, self.engine, self.log = app, engine, log

    def post(self, path: str, body: Any, headers: dict[str, str]) -> httpx.Response:
        async def within() -> httpx.Response:
            async with (
                self._app.router.lifespan_context(self._app),
                httpx.AsyncClient(transport=httpx.ASGITransport(self._app), base_url="http://hooks") as http,
            ):
                return await http.post(path, content=body, headers=headers)

        return asyncio.run(within())

    def tell(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, str]:
        answer = self.post(path, body, headers)
        return answer.status_code, answer.json().get("reason", "")

    def razorpay(self, event: str, ago: float = 0, gateway: str = "razorpay", **entities: Any) -> tuple[int, str]:
        payload = {name: {"entity": entity} for name, entity in entities.items()}
        body = json.dumps({"event": event, "payload": payload, "created_at": int(NOW - ago)}).encode()
        return self.tell(f"/webhooks/{gateway}", body, {"x-razorpay-signature": signed(SECRET, body)})

    def stripe(self, kind: str, **entity: Any) -> tuple[int, str]:
        body = json.dumps({"id": "evt_1", "type": kind, "created": int(NOW), "data": {"object": entity}}).encode()
        return self.tell("/webhooks/stripe", body, {"stripe-signature": timed(body)})

    def scans(self, *scans: Any) -> httpx.Response:
        body = json.dumps({"scans": scans}).encode()
        return self.post("/scans/swift", body, {"x-allot-signature": timed(body)})


def timed(body: bytes) -> str:
    return f"t={int(NOW)},v1={signed(SECRET, f'{int(NOW)}.'.encode() + body)}"


@pytest.fixture
def hooks() -> Hooks:
    engine, log = Engine(), Log()
    gateways = {
        "razorpay": (RazorpayWebhooks(), SECRET), "local": (RazorpayWebhooks(), SECRET),
        "stripe": (StripeWebhooks(), SECRET),
    }  # fmt: skip
    app = Webhooks(lambda: engine, gateways, {"swift": SECRET}, log, lambda: NOW).app  # type: ignore[arg-type,return-value]
    return Hooks(app, engine, log)


PAID = {"id": "pay_1", "order_id": "order_1", "amount": 100, "currency": "INR"}


def failure(kind: type[AllotError], code: grpc.StatusCode, reason: str, retry_after: float | None = None) -> AllotError:
    return kind(code, "no", reason, "", retry_after)


CODE = grpc.StatusCode
FAILURES = {
    "a conflict": (failure(errors.KeyConflict, CODE.ALREADY_EXISTS, "KEY_CONFLICT"), 200),
    "a field": (failure(errors.Invalid, CODE.INVALID_ARGUMENT, "OUT_OF_RANGE"), 200),
    "a state": (failure(AllotError, CODE.FAILED_PRECONDITION, "WRONG_STATE"), 200),
    "a range": (failure(AllotError, CODE.OUT_OF_RANGE, "AMOUNT_OUT_OF_RANGE"), 200),
    "too much": (failure(errors.Busy, CODE.RESOURCE_EXHAUSTED, "QUEUE_FULL", 7.2), 503),
    "a deadline": (failure(errors.TimedOut, CODE.DEADLINE_EXCEEDED, ""), 503),
    "a token": (failure(errors.NotAllowed, CODE.UNAUTHENTICATED, "UNKNOWN_TOKEN"), 503),
    "a role": (failure(errors.NotAllowed, CODE.PERMISSION_DENIED, "ROLE"), 503),
    "nobody": (failure(errors.Unavailable, CODE.UNAVAILABLE, ""), 503),
    "a bug": (failure(AllotError, CODE.INTERNAL, ""), 503),
    "an abort": (failure(AllotError, CODE.ABORTED, ""), 503),
}


@pytest.mark.parametrize(("error", "status"), FAILURES.values(), ids=FAILURES)
def test_only_what_will_never_do_is_done_with(hooks: Hooks, error: AllotError, status: int):
    hooks.engine.knows("razorpay", "order_1", "P")
    hooks.engine.failure = error
    for _ in range(2):
        assert hooks.razorpay("payment.captured", payment=PAID) == (status, error.reason or error.code.name)
    scanned = hooks.scans({"tracking": "A", "step": "SHIP"})
    assert scanned.status_code == status
    assert scanned.headers.get("retry-after") == {200: None, 503: "8" if error.retry_after else "5"}[status]
    assert len(hooks.log.said) == 3
    hooks.engine.failure = None
    assert hooks.razorpay("payment.captured", payment=PAID) == (200, "TAKEN")


# Whose payment it is


def test_a_gateway_speaks_of_its_own_payments_alone(hooks: Hooks):
    notes = {"allot_channel": "own", "allot_payment": "P"}
    hooks.engine.knows("razorpay", "order_9", "P")
    assert hooks.razorpay("payment.captured", gateway="local", payment=PAID | {"notes": notes}) == (
        200,
        "OTHERS_PAYMENT",
    )
    assert hooks.engine.told == []
    assert hooks.razorpay("payment.captured", payment=PAID | {"notes": notes}) == (404, "UNKNOWN_PAYMENT")
    assert hooks.engine.told == []  # it has a name there: whoever pays may write notes
    hooks.engine.knows("razorpay", "", "P")
    assert hooks.razorpay("payment.captured", payment=PAID | {"notes": notes}) == (200, "TAKEN")
    assert hooks.engine.told[0]["payment_id"] == "P"


@pytest.mark.parametrize(
    "wrong", [{"amount": 0}, {"id": None}, {"id": ""}, {"id": "\ud800"}, {"currency": "\ud800"}], ids=str
)
def test_a_payment_of_nothing_or_without_a_name_is_malformed(hooks: Hooks, wrong: dict[str, Any]):
    hooks.engine.knows("razorpay", "order_1", "P")
    assert hooks.razorpay("payment.captured", payment=PAID | wrong) == (400, "MALFORMED")
    assert hooks.engine.told == []


def test_what_a_gateway_calls_a_payment_counts_before_what_was_noted_with_it(hooks: Hooks):
    hooks.engine.knows("razorpay", "order_1", "P")
    hooks.engine.knows("razorpay", "order_2", "ANOTHER")
    notes = {"allot_channel": "own", "allot_payment": "ANOTHER"}
    assert hooks.razorpay("payment.captured", payment=PAID | {"notes": notes}) == (200, "TAKEN")
    assert hooks.engine.told[0]["payment_id"] == "P"


def test_a_payment_that_nobody_knows_is_waited_for_for_an_hour(hooks: Hooks):
    assert hooks.razorpay("payment.captured", payment=PAID) == (404, "UNKNOWN_PAYMENT")
    assert hooks.razorpay("payment.captured", ago=3599, payment=PAID) == (404, "UNKNOWN_PAYMENT")
    assert hooks.log.said == []
    assert hooks.razorpay("payment.captured", ago=3601, payment=PAID) == (200, "IGNORED")
    assert len(hooks.log.said) == 1


def test_a_refund_is_the_one_of_its_number(hooks: Hooks):
    hooks.engine.knows("razorpay", "pay_1", "P", (7, 300))
    notes = {"allot_channel": "own", "allot_payment": "P", "allot_refund": "7"}
    refund = {"id": "rfnd_1", "payment_id": "pay_1", "amount": 300, "currency": "INR", "notes": notes}
    for other in ({"amount": 299}, {"currency": "USD"}, {"notes": notes | {"allot_refund": "8"}}):
        assert hooks.razorpay("refund.processed", refund=refund | other) == (200, "ANOTHER_REFUND")
    assert hooks.engine.told == []
    assert hooks.razorpay("refund.processed", refund=refund) == (200, "TAKEN")
    assert (hooks.engine.told[0]["step"], hooks.engine.told[0]["number"]) == ("done", 7)


# What is told


@pytest.mark.parametrize("event", ["refund.created", "refund.processed"])
def test_what_razorpay_gives_back_because_nobody_captured_it_has_lapsed(hooks: Hooks, event: str):
    hooks.engine.knows("razorpay", "order_1", "P")
    refund = {"id": "rfnd_1", "payment_id": "pay_1", "amount": 100, "currency": "INR", "notes": []}
    entities = {"refund": refund, "payment": PAID | {"status": "refunded", "captured": False}}
    assert hooks.razorpay(event, **entities) == (200, "TAKEN")
    assert hooks.engine.told[0]["step"] == "lapse"
    entities["payment"] = PAID | {"captured": True}
    assert hooks.razorpay(event, **entities) == (200, "IGNORED")


@pytest.mark.parametrize(
    ("reason", "step"),
    [("automatic", "lapse"), ("expired", "lapse"), ("requested_by_customer", "void"), (None, "void")],
)
def test_an_intent_that_stripe_cancels_by_itself_has_lapsed(hooks: Hooks, reason: str | None, step: str):
    hooks.engine.knows("stripe", "pi_1", "P")
    told = hooks.stripe("payment_intent.canceled", id="pi_1", currency="inr", cancellation_reason=reason)
    assert (told, hooks.engine.told[0]["step"]) == ((200, "TAKEN"), step)


def test_the_key_of_an_event_is_of_what_is_signed_and_fits(hooks: Hooks):
    hooks.engine.knows("razorpay", "order_1", "P")
    body = json.dumps({"event": "payment.captured", "payload": {"payment": {"entity": PAID}}, "created_at": int(NOW)})
    for event_id in ("a", "b"):
        headers = {"x-razorpay-signature": signed(SECRET, body.encode()), "x-razorpay-event-id": event_id}
        hooks.tell("/webhooks/razorpay", body.encode(), headers)
    keys = [told["request_id"] for told in hooks.engine.told]
    assert (len(keys), len(set(keys))) == (2, 1)
    assert len(key_of("g" * 32, "e" * 500)) <= 64
    assert key_of("a", "b:c") != key_of("a:b", "c")


def test_an_event_of_before_its_gateways_retries_is_refused(hooks: Hooks):
    hooks.engine.knows("razorpay", "order_1", "P")
    assert hooks.razorpay("payment.captured", ago=24 * 3600, payment=PAID) == (200, "TAKEN")
    assert hooks.razorpay("payment.captured", ago=25 * 3600 + 1, payment=PAID) == (401, "BAD_SIGNATURE")


@pytest.mark.parametrize("body", [b"{}", b"[]", b"7", b'{"created_at": "x"}', b"\xff"])
def test_what_is_signed_and_no_event(hooks: Hooks, body: bytes):
    headers = {"x-razorpay-signature": signed(SECRET, body), "stripe-signature": timed(body)}
    assert hooks.tell("/webhooks/razorpay", body, headers) == (400, "MALFORMED")
    assert hooks.tell("/webhooks/stripe", body, headers) == (400, "MALFORMED")


# What is too much


def test_what_is_too_large_is_told_so_before_it_is_read(hooks: Hooks):
    for path, most in (("/webhooks/razorpay", EVENT_BYTES_MAX), ("/scans/swift", SCANS_BYTES_MAX)):
        assert hooks.tell(path, b"x", {"content-length": str(most + 1)}) == (413, "TOO_LARGE")
        assert hooks.tell(path, b"x", {"content-length": "9" * 5_000}) == (413, "TOO_LARGE")

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(EVENT_BYTES_MAX // 1000 + 1):
            yield b"x" * 1000

    answer = hooks.post("/webhooks/razorpay", pieces(), {})
    assert (answer.status_code, answer.json()["reason"]) == (413, "TOO_LARGE")
    assert hooks.tell("/scans/nobody", b"x", {"content-length": str(SCANS_BYTES_MAX + 1)}) == (404, "UNKNOWN_CARRIER")


def test_bodies_of_all_together_have_a_limit(hooks: Hooks, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bodies, "BODIES_BYTES_MAX", 10)
    reads = bodies.Bodies(10)

    async def within() -> None:
        async def stream(*pieces: bytes) -> AsyncIterator[bytes]:
            for piece in pieces:
                yield piece

        request = lambda *pieces: SimpleNamespace(headers={}, stream=lambda: stream(*pieces))  # noqa: E731
        async with reads.of(request(b"x" * 6), 100) as body:  # type: ignore[arg-type]
            assert body == b"x" * 6
            with pytest.raises(bodies.BodyRefused, match="send it again"):
                async with reads.of(request(b"y" * 4, b"y"), 100):  # type: ignore[arg-type]
                    pass
        async with reads.of(request(b"y" * 10), 100) as body:  # type: ignore[arg-type]
            assert body == b"y" * 10

    asyncio.run(within())


def test_a_body_of_many_small_pieces_costs_no_more_than_its_length():
    pieces = [b"x"] * 1_000_000

    async def within() -> float:
        async def stream() -> AsyncIterator[bytes]:
            for piece in pieces:
                yield piece

        begun = time.perf_counter()
        request: Any = SimpleNamespace(headers={}, stream=stream)
        async with bodies.Bodies().of(request, SCANS_BYTES_MAX) as body:
            assert len(body) == len(pieces)
        return time.perf_counter() - begun

    assert asyncio.run(within()) < 10


def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bodies, "BODY_SECONDS_MAX", 0.05)

    async def within() -> None:
        async def stream() -> AsyncIterator[bytes]:
            yield b"x"
            await asyncio.sleep(60)

        request: Any = SimpleNamespace(headers={}, stream=stream)
        with pytest.raises(bodies.BodyRefused) as refused:
            async with bodies.Bodies().of(request, 10):
                pass
        assert refused.value.status == 408

    asyncio.run(within())


def test_the_key_of_scans_is_of_the_carrier_and_what_it_told(hooks: Hooks):
    first, second = {"tracking": "A", "step": "SHIP"}, {"tracking": "A", "step": "DELIVER"}
    for scans in ((first,), (first,), (second,), (first, {})):
        assert hooks.scans(*scans).json()["taken"] == 1
    assert hooks.engine.keys[0] == hooks.engine.keys[1]
    assert len(set(hooks.engine.keys)) == 3
    assert max(map(len, hooks.engine.keys)) <= 64


def test_scans_are_read_beside_the_loop(hooks: Hooks, monkeypatch: pytest.MonkeyPatch):
    """Who asks for a page meanwhile is answered."""
    threads: list[Callable[..., Any]] = []
    beside = asyncio.to_thread

    async def seen(call: Callable[..., Any], *arguments: Any) -> Any:
        threads.append(call)
        return await beside(call, *arguments)

    monkeypatch.setattr(webhooks.asyncio, "to_thread", seen)
    assert hooks.scans({"tracking": "A", "step": "SHIP"}).json() == {"scans": 1, "taken": 1, "refused": []}
    assert threads == [webhooks.read_scans]


# Where it listens


def test_beyond_this_machine_it_listens_only_behind_what_ends_tls():
    for listen in ("0.0.0.0:0", "[::]:0", "192.0.2.1:80"):
        with pytest.raises(ValueError, match=r"127\.0\.0\.1"):
            serve_app(None, listen, lambda url: None)
