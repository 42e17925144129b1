"""Random requests of every RPC against the real server: each is answered, or refused with a known reason; none is a
fault of the server, which goes on as before and is whole in the end."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import symbol_database
from google.protobuf.descriptor import FieldDescriptor

from allot.v1 import (
    availability_pb2,
    catalogue_pb2,
    events_pb2,
    orders_pb2,
    payments_pb2,
    reservations_pb2,
    returns_pb2,
    shipments_pb2,
    stock_pb2,
    types_pb2,
)
from allot_client.errors import error_of
from engine.outcomes import Reply
from tests.abuse import batch, furnish, place
from tests.crash_clients import stream_of, verified
from tests.running import Server
from tests.running import server as running_server

MODULES = (
    availability_pb2, catalogue_pb2, events_pb2, orders_pb2, payments_pb2, reservations_pb2, returns_pb2, shipments_pb2,
    stock_pb2,
)  # fmt: skip
METHODS = [method for module in MODULES for service in module.DESCRIPTOR.services_by_name.values()
           for method in service.methods]  # fmt: skip
STREAM_ANSWERS_MAX = 3  # of a stream of the server's that may never end
UNDER_WAY_MAX = 64
SECONDS_MAX = 30
RETRIES_MAX = 200  # of a method that was not answered yet
LIFE_REPLIES = {reply.name for reply in Reply if reply >= Reply.UNKNOWN_PAYMENT} | {"UNKNOWN_TOKEN"}
REASONS = {
    # of values
    "VALUE_MISSING", "TOO_LONG", "BAD_CHARACTER", "OUT_OF_RANGE", "TOO_MANY", "GIVEN_TWICE", "QUANTITY_OUT_OF_RANGE",
    "AMOUNT_OUT_OF_RANGE", "NO_LINES", "TOO_MANY_LINES", "NOT_A_CURRENCY", "NOT_A_PAYMENT_METHOD", "CARD_NUMBER",
    "PRICE_MISSING",
    "BAD_PAGE_TOKEN", "BAD_EVENT_ID", "VERSION_AHEAD", "EVENT_AHEAD", "INVALID_VALUE", "MALFORMED_BATCH",
    "BATCH_TOO_LARGE", "BATCH_COMPRESSED", "MALFORMED_MESSAGE",
    # of names
    "UNKNOWN_CHANNEL", "UNKNOWN_SKU", "UNKNOWN_NODE", "UNKNOWN_POSTAL_CODE", "UNKNOWN_ORDER", "UNKNOWN_RESERVATION",
    "UNKNOWN_LINE",
    # of what is asked
    "KEY_CONFLICT", "RESERVATION_EXPIRED", "RESERVATION_ENDED", "NOT_ENOUGH_UNITS", "STATEMENT_TOO_OLD",
    "FIGURE_OUT_OF_RANGE", "CHANNEL_CLOSED", "NODES_CHANGED", "ONE_OF_TWO",
    "NOT_A_TIME", *LIFE_REPLIES,
    "LIMIT_REACHED", "QUEUE_FULL", "STREAMS_FULL", "DEADLINE_EXCEEDED",
}  # fmt: skip
OWN_CODES = (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)  # those that gRPC itself gives to a caller

TEXTS = (
    "", " ", "web", "app", "moon", "sku-0", "sku-1", "A", "B", "400001", "110001", "INR", "order-1", "order-2",
    "cart-1",
    "x" * 32, "x" * 64, "x" * 65, "x" * 5000, "a\x00b", "a\nb", "\x7f", "\u202e", "\ufeff", "\U0001f600" * 20, "é", "é",
    "4111111111111111", "4111 1111 1111 1111", "%s%n", "'; --", "../../etc/passwd", "1-1", "999999999999-5", "0", "-1",
    "18446744073709551616-1", "AAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAA==",
)  # fmt: skip
NUMBERS = (0, 1, 2, 3, 5, 100, 500, 501, 1000, 1001, 1_000_000, 1_000_001, 1_000_000_000, 1_000_000_001)
REALS = (0.0, 19.07, 72.88, -90.0, 90.0, 180.0, 180.0000001, -1e-7, 1e300, -1e300, float("inf"), float("nan"), 5e-324)


NEEDS_A_PAST = ("PaymentService", "ShipmentService", "ReturnService")  # an order that was paid, shipped, delivered


class Fuzz:
    """Draws messages. What it draws goes with the seed."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.is_tame = False  # the message that is being drawn is a good one, but for a few fields

    def message(self, kind: Any, depth: int = 0) -> Any:
        """A message of a kind with fields of all sorts, more often good than bad."""
        made = kind()
        for field in kind.DESCRIPTOR.fields:
            if self.chance.random() < (0.03 if self.is_tame else 0.15):
                continue
            if field.is_repeated:
                count = self.chance.choice((0, 1, 1, 2, 3, 20))
                getattr(made, field.name).extend(self.value(field, depth) for _ in range(count))
            elif field.message_type is not None:
                getattr(made, field.name).CopyFrom(self.value(field, depth))
            else:
                setattr(made, field.name, self.value(field, depth))
        if isinstance(made, types_pb2.OrderDraft) and self.is_good():
            self.price(made)
        return made

    def price(self, order: types_pb2.OrderDraft) -> None:
        """Every line, or nothing of an order."""
        is_priced = self.chance.random() < 0.5
        for name in ("discount", "shipping_fee", "shipping_fee_tax", *(() if is_priced else ("currency",))):
            order.ClearField(name)
        for line in order.lines:
            for name in ("unit_price", "discount", "tax", "line_discount", "line_tax"):
                line.ClearField(name)
            if is_priced:
                line.unit_price = 100
        if is_priced:
            order.currency = "INR"

    def value(self, field: FieldDescriptor, depth: int) -> Any:
        kind, chance = field.cpp_type, self.chance
        if field.message_type is not None:
            return self.message(symbol_database.Default().GetSymbol(field.message_type.full_name), depth + 1)
        if field.type == FieldDescriptor.TYPE_BYTES:
            return self.arrow()
        if kind == FieldDescriptor.CPPTYPE_STRING:
            return self.text(field.name)
        if kind == FieldDescriptor.CPPTYPE_BOOL:
            return chance.random() < 0.5
        if kind == FieldDescriptor.CPPTYPE_DOUBLE:
            return chance.uniform(-90, 90) if self.is_good() else chance.choice(REALS)
        if kind == FieldDescriptor.CPPTYPE_ENUM:
            return chance.randrange(4) if self.is_good() else chance.choice((*range(8), -1, 99, 2**31 - 1))
        return self.number(field)

    def is_good(self) -> bool:
        """Whether the next value is to be a good one."""
        return self.chance.random() < (0.98 if self.is_tame else 0.7)

    def text(self, name: str) -> str:
        """Often one that suits the field."""
        chance = self.chance
        suits = {
            "channel": ("web", "app"), "sku": ("sku-0", "sku-1"), "skus": ("sku-0", "sku-1"), "node_id": ("A", "B"),
            "node_ids": ("A", "B"), "postal_code": ("400001", "110001"), "currency": ("INR", ""), "page_token": ("",),
            "order_id": (f"order-{chance.randrange(40)}", f"order-{chance.randrange(10**9)}"),
            "reservation_id": (f"order-{chance.randrange(40)}",), "after_event_id": ("", "1-1"),
            "customer": ("somebody",), "source": ("counter",), "service_level": ("slow",),
            "request_id": (f"request-{chance.randrange(10**9)}",),
        }  # fmt: skip
        if name in suits and self.is_good():
            return chance.choice(suits[name])
        return chance.choice(TEXTS)

    def number(self, field: FieldDescriptor) -> int:
        chance = self.chance
        wide = field.cpp_type in (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64)
        signed = field.cpp_type in (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_INT32)
        bits = 64 if wide else 32
        high = (1 << (bits - signed)) - 1
        low = -(1 << (bits - 1)) if signed else 0
        if field.name == "at_least_sequence":
            return chance.choice((0, 0, 0, 1))
        if self.is_good():
            if field.name.endswith("_us"):
                return time.time_ns() // 1000 + chance.randrange(10**9)
            if field.name == "beat_ms":
                return chance.choice((0, 100, 1000))
            return chance.choice((0, 1) if field.name == "line" else (1, 1, 2, 3))
        return chance.choice((low, high, low + 1, high - 1, *(number for number in NUMBERS if number <= high)))

    def arrow(self) -> bytes:
        whole = stream_of(batch([f"batched-{self.chance.randrange(10**9)}" for _ in range(3)]))
        if self.chance.random() < 0.5:
            return whole
        at = self.chance.randrange(len(whole))
        return self.chance.choice((whole[:at], whole[:at] + self.chance.randbytes(4) + whole[at + 4 :], b""))

    def request(self, kind: Any) -> bytes:
        """A request as bytes: a message, or one that is damaged, or noise."""
        drawn = self.chance.random()
        self.is_tame = self.chance.random() < 0.6
        if drawn < 0.03:
            return self.chance.randbytes(self.chance.choice((0, 1, 5, 300)))
        whole = bytes(self.message(kind).SerializeToString())
        if drawn < 0.1 and whole:
            damaged = bytearray(whole)
            damaged[self.chance.randrange(len(damaged))] ^= 1 << self.chance.randrange(8)
            return bytes(damaged)
        return whole


class Asker:
    """Asks, and counts how it ended; what must not be is kept."""

    def __init__(self, channel: Any, seed: int) -> None:
        self.channel, self.fuzz = channel, Fuzz(seed)
        self.ended: Counter[tuple[str, str]] = Counter()  # method, reason or OK
        self.wrong: list[str] = []
        self.under_way: list[tuple[Any, bytes, Any]] = []

    def ask(self, method: Any) -> None:
        """One call of a method, with one request or a few."""
        kind = symbol_database.Default().GetSymbol(method.input_type.full_name)
        path = f"/{method.containing_service.full_name}/{method.name}"
        if not method.client_streaming and not method.server_streaming:
            request = self.fuzz.request(kind)
            call = self.channel.unary_unary(path)
            self.under_way.append((method, request, call.future(request, timeout=SECONDS_MAX)))
            if len(self.under_way) >= UNDER_WAY_MAX:
                self.settle()
        elif method.client_streaming:
            requests = [self.fuzz.request(kind) for _ in range(self.fuzz.chance.randint(1, 6))]
            self._read(method, b"|".join(requests), self.channel.stream_stream(path)(iter(requests), timeout=5), None)
        else:
            request = self.fuzz.request(kind)
            self._read(method, request, self.channel.unary_stream(path)(request, timeout=0.2), STREAM_ANSWERS_MAX)

    def settle(self) -> None:
        """Wait for what is under way."""
        for method, request, call in self.under_way:
            self._judge(method, request, call.exception())
        self.under_way.clear()

    def _read(self, method: Any, request: bytes, stream: Any, most: int | None) -> None:
        kind = symbol_database.Default().GetSymbol(method.output_type.full_name)
        error = None
        try:
            for number, answer in enumerate(stream):
                self._problem_of(method, request, kind.FromString(answer))
                if number + 1 == most:
                    break
        except grpc.RpcError as raised:
            error = raised
        stream.cancel()
        self._judge(method, request, error)

    def _problem_of(self, method: Any, request: bytes, answer: Any) -> None:
        if "problem" in answer.DESCRIPTOR.fields_by_name and answer.WhichOneof("result") == "problem":
            self.ended[method.name, answer.problem.reason] += 1
            if answer.problem.reason not in REASONS or not answer.problem.message:
                self.wrong.append(f"{method.name} {request.hex()}: {answer.problem}")

    def _judge(self, method: Any, request: bytes, error: Any) -> None:
        if error is None:
            self.ended[method.name, "OK"] += 1
            return
        failure = error_of(error)
        self.ended[method.name, failure.reason or failure.code.name] += 1
        if failure.reason in REASONS and failure.message:
            return
        if failure.code in OWN_CODES and method.server_streaming and not method.client_streaming:
            return
        self.wrong.append(f"{method.name} {request.hex()}: {failure.code.name} {failure.reason} {failure.message}")


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("fuzz") / "data"
    with running_server(folder) as running:
        furnish(running.address)
        yield running
    said = [line for line in running.log if '"level": "error"' in line or '"level": "critical"' in line]
    assert said == []
    verified(folder)


def fuzzed(server: Server, seed: int, count: int, choose: Callable[[random.Random], Any]) -> Counter[tuple[str, str]]:
    with grpc.insecure_channel(server.address) as channel:
        asker = Asker(channel, seed)
        for number in range(count):
            asker.ask(choose(asker.fuzz.chance))
            if number % 1000 == 999:
                asker.settle()
                assert place(channel, f"well-{seed}-{number}").outcome
        asker.settle()
        for method in METHODS:  # luck leaves some out that few requests suit
            if method.containing_service.name in NEEDS_A_PAST:
                continue
            for _ in range(RETRIES_MAX):
                if asker.ended[method.name, "OK"]:
                    break
                asker.ask(method)
                asker.settle()
        assert asker.wrong == [], f"seed {seed}: {len(asker.wrong)} wrong, the first: {asker.wrong[0][:2000]}"
        assert place(channel, f"well-{seed}").outcome
    return asker.ended


def any_method(chance: random.Random) -> Any:
    """Streams that only tell take their time, and are chosen less often."""
    weights = [0.2 if method.server_streaming and not method.client_streaming else 2.0 for method in METHODS]
    return chance.choices(METHODS, weights)[0]


def check_that_it_was_a_trial(ended: Counter[tuple[str, str]]) -> None:
    """Every method was answered at least once, but those of orders that need a past, and many reasons were given."""
    answered = {method for method, reason in ended if reason == "OK"}
    assert answered >= {method.name for method in METHODS if method.containing_service.name not in NEEDS_A_PAST}
    assert {method for method, _ in ended} == {method.name for method in METHODS}
    assert len({reason for _, reason in ended}) > 20, ended


def test_three_thousand_random_requests_are_answered_or_refused_with_a_reason(server: Server) -> None:
    check_that_it_was_a_trial(fuzzed(server, 4, 3000, any_method))


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(3, 13))
def test_a_hundred_thousand_random_requests_are_answered_or_refused_with_a_reason(server: Server, seed: int) -> None:
    check_that_it_was_a_trial(fuzzed(server, seed, 10_000, any_method))
