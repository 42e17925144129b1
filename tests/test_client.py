"""The client against a service that does as the test says: repeats, deadlines, errors, tokens, TLS, and streams that
break. Each test runs with the blocking and with the async client. Tables are tests/test_client_tables.py's.
"""

import ast
import asyncio
import dataclasses
import inspect
import itertools
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from google.protobuf import descriptor_pool

import allot_client
from allot.v1 import catalogue_pb2, orders_pb2, types_pb2
from allot_client import calls
from allot_client.connection import Connection, Options
from allot_client.errors import AllotError, Unavailable, error_of, error_of_problem
from allot_client.patience import PAUSE_SECONDS_MAX, Patience
from server.errors import Rejection, busy, invalid
from tests.fake_service import FakeService, gone, serving

SOURCES = sorted(Path(allot_client.__file__).parent.glob("*.py"))
ORDER: dict[str, Any] = {"channel": "own", "order_id": "A-1", "postal_code": "560001", "lines": [("SKU-1", 2)]}
Code = grpc.StatusCode


class Driven:
    """The async client as if it were the blocking one: its loop runs while a test waits."""

    def __init__(self, target: str, **options: Any) -> None:
        self.loop = asyncio.new_event_loop()
        self.client = allot_client.AsyncClient(target, **options)

    def __getattr__(self, name: str) -> Any:
        def call(*given: Any, **named: Any) -> Any:
            found = getattr(self.client, name)(*given, **named)
            return self.loop.run_until_complete(found) if inspect.iscoroutine(found) else self._read(found)

        return call

    def _read(self, answers: Any) -> Iterator[Any]:
        try:
            while True:
                try:
                    yield self.loop.run_until_complete(anext(answers))
                except StopAsyncIteration:
                    return
        finally:
            self.loop.run_until_complete(answers.aclose())

    def close(self) -> None:
        self.loop.run_until_complete(self.client.close())
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def target(service: FakeService) -> Iterator[str]:
    with serving(service) as address:
        yield address


@pytest.fixture(params=[allot_client.Client, Driven], ids=["blocking", "async"])
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def shop(kind: Any, target: str) -> Iterator[Any]:
    client = kind(target)
    yield client
    client.close()


def drafts(count: int) -> Iterator[types_pb2.OrderDraft]:
    return (allot_client.order(**ORDER | {"order_id": f"A-{number}"}) for number in range(count))


def ids(stream: list[Any]) -> list[str]:
    return [request.order.order_id for request in stream]


# What the package is


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_the_client_imports_neither_the_engine_nor_what_only_tables_need(source: Path):
    tree = ast.parse(source.read_text())
    inside: list[ast.AST] = [
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    inside += [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    lazily = {name for part in inside for name in imports(part)}
    allowed = {*sys.stdlib_module_names, "allot", "allot_client", "grpc", "google"}
    assert set(imports(tree)) - lazily <= allowed
    assert lazily <= allowed | {"pyarrow", "rich"}


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_a_file_of_the_client_says_its_place_and_fits(source: Path):
    text = source.read_text()
    assert ast.get_docstring(ast.parse(text))
    assert text.count("\n") <= 600


def test_every_call_of_the_contract_is_there_with_its_messages():
    known = {call.name: call for call in vars(calls).values() if isinstance(call, calls.Call)}
    pool = descriptor_pool.Default()
    described = {}
    for file in (
        "orders",
        "promises",
        "reservations",
        "stock",
        "availability",
        "events",
        "catalogue",
        "payments",
        "shipments",
        "returns",
    ):
        for service in pool.FindFileByName(f"allot/v1/{file}.proto").services_by_name.values():
            described |= {f"{service.name}/{method.name}": method for method in service.methods}
    assert known.keys() == described.keys()
    for name, method in described.items():
        assert (
            method.input_type, method.output_type,
        ) == (known[name].request.DESCRIPTOR, known[name].answer.DESCRIPTOR)  # fmt: skip


def public(client: type) -> dict[str, inspect.Signature]:
    return {name: inspect.signature(member) for name, member in vars(client).items() if not name.startswith("_")}


def test_both_clients_have_the_same_methods_and_parameters():
    blocking, asynchronous = public(allot_client.Client), public(allot_client.AsyncClient)
    assert len(blocking) > 25
    assert blocking.keys() == asynchronous.keys()
    for name, signature in blocking.items():
        theirs = asynchronous[name].parameters
        assert [(p.name, p.kind, p.default) for p in signature.parameters.values()] == [
            (p.name, p.kind, p.default) for p in theirs.values()
        ], name
        assert getattr(allot_client.AsyncClient, name).__doc__


def test_options_are_what_a_connection_takes():
    assert {"target", *Options.__annotations__} == {field.name for field in dataclasses.fields(Connection)}


# Calls


def test_a_call_sends_plain_values_as_messages(shop: Any, service: FakeService):
    placed = datetime(2026, 1, 2, tzinfo=UTC)
    lines = [("SKU-1", 2), {"sku": "SKU-2", "quantity": 1, "tax": 5}, types_pb2.LineDraft(sku="SKU-3", quantity=4)]
    found = shop.place_order(**ORDER | {"lines": lines}, placed_at=placed, payment_method="cash-on-delivery")
    assert (found.outcome, found.number, found.parts[0].node_id) == (types_pb2.OUTCOME_ALLOCATED, 1, "N1")
    order = service.asked[0].order
    assert [(line.sku, line.quantity, line.tax) for line in order.lines] == [
        ("SKU-1", 2, 0), ("SKU-2", 1, 5), ("SKU-3", 4, 0),
    ]  # fmt: skip
    assert not order.lines[0].HasField("tax")
    assert order.placed_at_us == placed.timestamp() * 1e6
    assert order.payment_method == types_pb2.PAYMENT_METHOD_CASH_ON_DELIVERY


def test_a_channel_is_put_whole(shop: Any, service: FakeService):
    policy = {"share_ppm": 500_000, "buffer": 2, "buffer_ppm": 30_000}
    shop.put_channel("own", node_ids=["N1"], on_short="back_order", policy=policy, closed=True)
    policy = catalogue_pb2.Policy(**policy)
    assert service.asked[0].channel == catalogue_pb2.Channel(
        channel="own", node_ids=["N1"], on_short=catalogue_pb2.ON_SHORT_BACK_ORDER, policy=policy, closed=True
    )


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"lines": [("SKU-1", -2)]}, r"order.lines\[0\].quantity: -2 will not do"),
        ({"lines": [("SKU-1", "2")]}, r"order.lines\[0\].quantity: '2' will not do"),
        ({"lines": [{"sku": "SKU-1", "units": 2}]}, r"order.lines\[0\].units: there is no such field: sku, quantity"),
        ({"lines": ["SKU-1"]}, r"order.lines\[0\]: is 'SKU-1': give a tuple"),
        ({"lines": [tuple(range(9))]}, r"order.lines\[0\]: has 9 values: LineDraft has 7"),
        ({"lines": [types_pb2.Part()]}, r"order.lines\[0\]: is a Part: give a LineDraft"),
        ({"placed_at": datetime(2026, 1, 2)}, r"order.placed_at: 2026-01-02T00:00:00 has no time zone"),
        ({"payment_method": "shells"}, r"order.payment_method: 'shells' is not known: give one of card, upi"),
        ({"colour": "red"}, r"order.colour: there is no such field"),
    ],
)
def test_a_value_that_cannot_be_sent_is_named_before_anything_is_sent(wrong: dict[str, Any], said: str):
    with pytest.raises(ValueError, match=said):
        allot_client.order(**ORDER | wrong)


def test_what_an_order_needs_is_asked_for():
    with pytest.raises(ValueError, match="order: lines, postal_code: not given"):
        allot_client.order(channel="own", order_id="A-1")  # type: ignore[call-arg]


def test_one_text_is_no_list_of_texts(kind: Any):
    client = kind("127.0.0.1:1")
    with pytest.raises(ValueError, match="skus: is the text 'SKU-1': give a list"):
        client.put_skus("SKU-1")
    client.close()


def test_a_call_that_nobody_answered_is_made_again_with_the_same_id(shop: Any, service: FakeService):
    service.failures = [gone(), gone(), gone()]
    assert shop.cancel_order("own", "A-1").quantity == 2
    assert len(service.asked) == 4
    assert len({request.request_id for request in service.asked}) == 1
    assert len(service.asked[0].request_id) == 36


def test_each_call_has_an_id_of_its_own_unless_one_is_given(shop: Any, service: FakeService):
    for given in ("", "", "mine"):
        shop.cancel_order("own", "A-1", request_id=given)
    first, second, third = (request.request_id for request in service.asked)
    assert first != second
    assert third == "mine"


def test_a_hold_ends_at_the_same_moment_in_a_repeat(shop: Any, service: FakeService):
    service.failures = [gone(), gone()]
    before = time.time()
    found = shop.reserve(hold=timedelta(minutes=5), **ORDER)
    ends = {request.expires_at_us for request in service.asked}
    assert ends == {found.expires_at_us}
    assert before + 300 <= found.expires_at_us / 1e6 <= time.time() + 300


def test_a_hold_needs_one_end(shop: Any):
    for given in ({}, {"hold": timedelta(1), "expires_at": 1}):
        with pytest.raises(ValueError, match="hold and expires_at: give one"):
            shop.reserve(**given, **ORDER)
    with pytest.raises(ValueError, match="hold: 0:00:00: give a time above 0"):
        shop.reserve(hold=timedelta(0), **ORDER)


@pytest.mark.parametrize(
    ("failure", "raised"),
    [
        (invalid("order.lines[0].quantity", "0 units"), "Invalid"),
        (invalid("order.lines[0].sku", "'X' is not known", "UNKNOWN_SKU"), "Unknown"),
        (Rejection(Code.NOT_FOUND, "UNKNOWN_ORDER", "no such order", "order_id"), "Unknown"),
        (Rejection(Code.ALREADY_EXISTS, "KEY_CONFLICT", "other content", "order.order_id"), "KeyConflict"),
        (Rejection(Code.FAILED_PRECONDITION, "RESERVATION_EXPIRED", "its time ended"), "ReservationOver"),
        (Rejection(Code.FAILED_PRECONDITION, "RESERVATION_ENDED", "confirmed before"), "ReservationOver"),
        (Rejection(Code.FAILED_PRECONDITION, "STATEMENT_TOO_OLD", "a later one was taken"), "AllotError"),
        (Rejection(Code.UNAUTHENTICATED, "NO_TOKEN", "no token"), "NotAllowed"),
        (Rejection(Code.PERMISSION_DENIED, "ROLE", "not for this role"), "NotAllowed"),
        (Rejection(Code.INTERNAL, "INTERNAL", "a bug"), "AllotError"),
        (busy("4096 orders are waiting", "QUEUE_FULL", 250), "Busy"),
    ],
)  # fmt: skip
def test_a_refusal_is_raised_at_once_with_all_that_was_said(
    shop: Any, service: FakeService, failure: Rejection, raised: str
):
    service.failures = [failure]
    with pytest.raises(allot_client.AllotError) as caught:
        shop.place_order(**ORDER)
    error = caught.value
    assert type(error) is getattr(allot_client, raised)
    assert (error.code, error.reason, error.field, error.message) == (
        failure.code, failure.reason, failure.field, failure.message,
    )  # fmt: skip
    assert error.retry_after == (failure.retry_after_ms / 1000 or None)
    assert str(error) == failure.message
    assert len(service.asked) == 1


def test_a_problem_of_a_stream_is_the_failure_of_a_call():
    full = error_of_problem(busy("full", "QUEUE_FULL", 250).problem())
    assert (type(full), full.retry_after) == (allot_client.Busy, 0.25)
    conflict = error_of_problem(types_pb2.Problem(reason="KEY_CONFLICT", field="order_id", message="other"))
    assert (type(conflict), conflict.code, conflict.field) == (
        allot_client.KeyConflict, Code.ALREADY_EXISTS, "order_id",
    )  # fmt: skip
    assert type(error_of_problem(types_pb2.Problem(reason="UNKNOWN_SKU"))) is allot_client.Unknown
    assert type(error_of_problem(types_pb2.Problem(reason="TOO_LONG"))) is allot_client.Invalid


def test_a_call_carries_its_deadline(shop: Any, service: FakeService):
    shop.place_order(**ORDER)
    shop.place_order(**ORDER, timeout=2.5)
    assert 8 < service.seconds_left[0] < 10.5  # gRPC's clock is coarse
    assert 1.5 < service.seconds_left[1] < 3


def test_a_call_ends_at_its_deadline(shop: Any, service: FakeService):
    service.failures = [lambda: time.sleep(1.0)]
    started = time.monotonic()
    with pytest.raises(allot_client.TimedOut):
        shop.place_order(**ORDER, timeout=0.3)
    assert time.monotonic() - started < 0.9


def test_repeats_end_before_the_deadline_and_have_what_is_left_of_it(shop: Any, service: FakeService):
    service.failures = [gone() for _ in range(1000)]
    started = time.monotonic()
    with pytest.raises(allot_client.Unavailable) as caught:
        shop.place_order(**ORDER, timeout=0.6)
    assert time.monotonic() - started < 0.8
    assert caught.value.reason == "DRAINING"
    assert 3 <= len(service.asked) <= 8
    assert service.seconds_left == sorted(service.seconds_left, reverse=True)


def test_without_a_server_patience_ends_first(kind: Any):
    client = kind("127.0.0.1:1", patience=0.3)
    started = time.monotonic()
    with pytest.raises(allot_client.Unavailable):
        client.place_order(**ORDER)
    with pytest.raises(allot_client.Unavailable):
        list(client.place_orders(drafts(3)))
    assert time.monotonic() - started < 2
    client.close()


def test_pauses_grow_are_drawn_by_chance_and_end():
    clock = itertools.count().__next__
    away = Unavailable(Code.UNAVAILABLE, "gone")
    longest = Patience(1e6, chance=lambda low, high: high)
    pauses = [longest.pause(away) for _ in range(9)]
    assert pauses == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, PAUSE_SECONDS_MAX, PAUSE_SECONDS_MAX, PAUSE_SECONDS_MAX]
    longest.answered()
    assert longest.pause(away) == 0.05
    drawn = Patience(1e6)
    assert 0.025 <= drawn.pause(away) <= 0.05
    asked_to_wait = Unavailable(Code.UNAVAILABLE, "gone", retry_after=3.0)
    assert drawn.pause(asked_to_wait) == 3.0
    short = Patience(2, clock=clock)  # a second passes at every look
    short.pause(away)
    short.pause(away)
    with pytest.raises(Unavailable):
        short.pause(away)
    with pytest.raises(allot_client.Invalid):
        drawn.pause(allot_client.Invalid(Code.INVALID_ARGUMENT, "no"))


def test_lists_read_page_after_page(shop: Any, service: FakeService):
    service.pages = [
        orders_pb2.ListOrdersResponse(orders=[types_pb2.Order(number=1)], next_page_token="more"),
        orders_pb2.ListOrdersResponse(orders=[types_pb2.Order(number=2)]),
    ]
    assert [order.number for order in shop.list_orders(channel="own", state="back_ordered")] == [1, 2]
    assert [(asked.page_token, asked.state) for asked in service.asked] == [
        ("", types_pb2.ORDER_STATE_BACK_ORDERED), ("more", types_pb2.ORDER_STATE_BACK_ORDERED),
    ]  # fmt: skip


# Tokens and TLS


@pytest.mark.parametrize("way", ["token", "token_file", "token_env"])
def test_a_token_comes_from_an_argument_a_file_or_the_environment(
    kind: Any, target: str, service: FakeService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
):
    (tmp_path / "token").write_text("s3cret\n")
    monkeypatch.setenv("SHOP_TOKEN", "s3cret")
    given = {"token": "s3cret", "token_file": tmp_path / "token", "token_env": "SHOP_TOKEN"}[way]
    client = kind(target, **{way: given})
    client.place_order(**ORDER)
    assert len(list(client.place_orders(drafts(2)))) == 2
    assert [metadata["authorization"] for metadata in service.metadata] == ["Bearer s3cret"] * 2
    client.close()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"target": "shop.example:443", "token": "s3cret"}, "sent over TLS only, and shop.example:443 is no loopback"),
        ({"token": "s3cret", "token_env": "HOME"}, "token and token_env: give one of them"),
        ({"token": "s3cret two"}, "token: token holds no token"),
        ({"token_env": "NO_SUCH_VARIABLE"}, "token_env: NO_SUCH_VARIABLE holds no token"),
        ({"certificate_file": "client.pem"}, "certificate_file and key_file: give both or neither"),
        ({"target": ""}, "target: is empty"),
        ({"timeout": 0}, "timeout: 0: give seconds above 0"),
        ({"patience": -1}, "patience: -1: give seconds, 0 or more"),
    ],
)
def test_options_that_will_not_do_are_named_and_secrets_are_not(options: dict[str, Any], said: str):
    for client in (allot_client.Client, allot_client.AsyncClient):
        with pytest.raises(ValueError, match=said) as caught:
            client(**options)
        assert "s3cret" not in str(caught.value)


def test_tls_with_a_client_certificate(kind: Any, service: FakeService, tmp_path: Path):
    authority, stranger = trustme.CA(), trustme.CA()
    server, client = authority.issue_cert("127.0.0.1"), authority.issue_cert("shop")
    files = {name: tmp_path / f"{name}.pem" for name in ("ca", "stranger", "certificate", "key")}
    authority.cert_pem.write_to_path(files["ca"])
    stranger.cert_pem.write_to_path(files["stranger"])
    client.cert_chain_pems[0].write_to_path(files["certificate"])
    client.private_key_pem.write_to_path(files["key"])
    pair = (server.private_key_pem.bytes(), server.cert_chain_pems[0].bytes())
    credentials = grpc.ssl_server_credentials([pair], authority.cert_pem.bytes(), require_client_auth=True)
    own = {"certificate_file": files["certificate"], "key_file": files["key"]}
    with serving(service, credentials) as target:
        known = kind(target, ca_file=files["ca"], token="s3cret", **own)
        assert known.place_order(**ORDER).number == 1
        known.close()
        for options in ({"ca_file": files["stranger"], **own}, {"ca_file": files["ca"]}):
            unknown = kind(target, patience=0, **options)
            with pytest.raises(allot_client.Unavailable):
                unknown.place_order(**ORDER)
            unknown.close()


# Streams


def test_orders_of_a_stream_are_answered_in_order_bad_ones_with_a_problem(shop: Any, service: FakeService):
    service.problems["A-3"] = types_pb2.Problem(reason="UNKNOWN_SKU", field="order.lines[0].sku", message="mend it")
    found = list(shop.place_orders(drafts(10)))
    assert [answer.order_id for answer in found] == [f"A-{number}" for number in range(10)]
    assert [answer.WhichOneof("result") for answer in found].count("problem") == 1
    assert found[3].problem.reason == "UNKNOWN_SKU"


def test_no_more_orders_are_under_way_than_the_window(shop: Any, service: FakeService):
    service.hold_answers = 0.3
    answers = shop.place_orders(drafts(50), window=7)
    next(answers)
    assert len(service.streams[0]) <= 8
    assert len(list(answers)) == 49
    with pytest.raises(ValueError, match="window: 0: give 1 or more"):
        next(shop.place_orders(drafts(1), window=0))


def test_what_was_not_answered_when_a_stream_broke_is_sent_again(shop: Any, service: FakeService):
    service.breaks = [4, 0, 3]
    found = [answer.order_id for answer in shop.place_orders(drafts(20), window=5)]
    assert found == [f"A-{number}" for number in range(20)]
    first, _, second, third = service.streams
    assert ids(first)[:4] == ["A-0", "A-1", "A-2", "A-3"]
    assert ids(second)[:3] == ["A-4", "A-5", "A-6"]
    assert ids(third) == [f"A-{number}" for number in range(7, 20)]


def test_a_stream_that_the_server_ends_early_is_taken_up_again(shop: Any, service: FakeService):
    service.breaks, service.break_with = [4], None
    assert len(list(shop.place_orders(drafts(9), window=5))) == 9
    assert len(service.streams) == 2


@pytest.mark.parametrize("answered", [0, 2])
def test_another_failure_of_a_stream_is_raised(shop: Any, service: FakeService, answered: int):
    service.breaks = [answered, 0, 0, 0, 0]  # grpc.aio may lose a status: then the stream is opened again to hear it
    service.break_with = Rejection(Code.PERMISSION_DENIED, "ROLE", "not for this role")
    answers = shop.place_orders(drafts(9), window=5)
    found: list[str] = []
    with pytest.raises(allot_client.NotAllowed):
        found.extend(answer.order_id for answer in answers)
    assert found == ["A-0", "A-1"][: len(found)]
    assert len(service.streams) <= 2


def test_what_the_callers_orders_raise_comes_after_the_answers_before_it(shop: Any):
    def orders() -> Iterator[types_pb2.OrderDraft]:
        yield from drafts(3)
        raise RuntimeError("the queue is gone")

    answers = shop.place_orders(orders())
    assert [next(answers).order_id for _ in range(3)] == ["A-0", "A-1", "A-2"]
    with pytest.raises(RuntimeError, match="the queue is gone"):
        next(answers)


def test_no_orders_are_no_stream(shop: Any, service: FakeService):
    assert list(shop.place_orders([])) == []
    assert service.streams == []


def test_a_stream_that_is_left_is_cancelled(shop: Any, service: FakeService):
    answers = shop.place_orders(drafts(1_000_000), window=3)
    next(answers)
    answers.close()
    assert service.cancelled.wait(5)


def test_an_answer_does_not_wait_for_the_next_order(target: str):
    more = threading.Event()

    def orders() -> Iterator[types_pb2.OrderDraft]:
        yield from drafts(1)
        assert more.wait(5)
        yield from drafts(1)

    with allot_client.Client(target) as shop:
        answers = shop.place_orders(orders())
        assert next(answers).order_id == "A-0"
        more.set()
        assert next(answers).order_id == "A-0"
        assert list(answers) == []


def test_an_answer_does_not_wait_for_the_next_order_of_an_async_source(target: str):
    async def read() -> None:
        more = asyncio.Event()

        async def orders() -> Any:
            yield next(drafts(1))
            await more.wait()
            yield next(drafts(1))

        async with allot_client.AsyncClient(target) as shop:
            answers = shop.place_orders(orders())
            assert (await anext(answers)).order_id == "A-0"
            more.set()
            assert [answer.order_id async for answer in answers] == ["A-0"]

    asyncio.run(read())


def test_a_watch_goes_on_from_the_last_complete_version(shop: Any, service: FakeService):
    service.breaks = [1, 3, 2]  # the third answer of a stream is not complete
    answers = shop.watch_availability("own", after_version=10)
    found = [next(answers).version for _ in range(7)]
    assert found == [11, 12, 13, 14, 14, 15, 16]
    assert [asked.after_version for asked in service.asked] == [10, 11, 13, 15]
    answers.close()


def test_a_watch_that_is_asked_once_ends(shop: Any, service: FakeService):
    service.breaks, service.break_with = [2], None
    found = list(shop.watch_availability("own", once=True))
    assert [answer.version for answer in found] == [1, 2]
    assert service.asked[0].once


def test_events_go_on_after_the_last_one_that_was_seen(shop: Any, service: FakeService):
    service.breaks = [1, 2, 1]
    events = shop.stream_events(after_event_id="5-1", kinds=["stock_moved", 1])
    assert [next(events).event_id for _ in range(8)] == [
        f"{number}-{place}" for number in range(6, 10) for place in (0, 1)
    ]
    assert [asked.after_event_id for asked in service.asked] == ["5-1", "6-1", "8-1"]
    assert list(service.asked[0].kinds) == [4, 1]
    events.close()


def test_events_that_are_asked_once_end(shop: Any, service: FakeService):
    service.break_with = None
    assert len(list(shop.stream_events(once=True))) == 6


@pytest.mark.parametrize(
    ("code", "details", "kind"),
    [
        (grpc.StatusCode.CANCELLED, "CANCELLED", Unavailable),  # the server stopped
        (grpc.StatusCode.UNKNOWN, "Stream removed", Unavailable),
        (grpc.StatusCode.UNKNOWN, "Stream removed (sendmsg: Broken pipe (32))", Unavailable),
        (grpc.StatusCode.CANCELLED, "Locally cancelled by application!", AllotError),
        (grpc.StatusCode.UNKNOWN, "something else", AllotError),
    ],
)
def test_a_call_that_a_stop_cut_off_may_be_tried_again(code: Any, details: str, kind: type[AllotError]) -> None:
    class Ended(grpc.RpcError):
        def code(self) -> Any:
            return code

        def details(self) -> str:
            return details

        def trailing_metadata(self) -> None:
            return None

    assert type(error_of(Ended())) is kind
