"""The guard in front of a real server: who gets through, what becomes of refusals and faults, and what is counted."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from google.rpc import error_details_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from allot.v1 import (
    availability_pb2,
    availability_pb2_grpc,
    catalogue_pb2,
    catalogue_pb2_grpc,
    orders_pb2,
    orders_pb2_grpc,
)
from server.config import Settings
from server.errors import invalid
from server.guard import Guard
from server.log import open_log
from server.metrics import Metrics
from server.security import Security, current_caller, server_credentials
from tests.test_security import entry

GET = "allot.v1.AvailabilityService/GetAvailability"
WATCH = "allot.v1.AvailabilityService/WatchAvailability"
PLACE = "allot.v1.OrderService/PlaceOrders"


class Availability(availability_pb2_grpc.AvailabilityServiceServicer):
    """Answers as the first SKU says."""

    async def GetAvailability(self, request: Any, context: Any) -> Any:  # noqa: N802
        if request.skus[0] == "BAD":
            raise invalid("skus[0]", "skus[0] 'BAD': not known: name one that is")
        if request.skus[0] == "FAULT":
            raise RuntimeError("a fault; authorization was Bearer s3cret")
        if request.skus[0] == "SLOW":
            await asyncio.sleep(60)
        if request.skus[0] == "LATE":
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                raise invalid("skus", "too late to tell anybody") from None
        await asyncio.sleep(0.01)  # so that calls of several callers are open at once
        return availability_pb2.GetAvailabilityResponse(figures=[{"sku": current_caller().name}])

    async def WatchAvailability(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        yield availability_pb2.WatchAvailabilityResponse(version=1)
        if request.once:
            return
        if request.after_version == 13:
            raise RuntimeError("a fault")
        await asyncio.sleep(60)


class Orders(orders_pb2_grpc.OrderServiceServicer):
    """Says the order's id, and the channel of the token."""

    async def PlaceOrders(self, requests: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        async for request in requests:
            yield orders_pb2.PlaceOrdersResponse(order_id=f"{request.order.order_id} {current_caller().channel}")


class Catalogue(catalogue_pb2_grpc.CatalogueServiceServicer):
    """Two channels."""

    async def ListChannels(self, request: Any, context: Any) -> Any:  # noqa: N802
        return catalogue_pb2.ListChannelsResponse(channels=[{"channel": "WEB"}, {"channel": "AMAZON"}])


class Served:
    """A server with these services, and a channel to it."""

    def __init__(self, tokens: Path | None = None, streams_max: int = 4) -> None:
        self.metrics, self.logged = Metrics(), io.StringIO()
        self.guard = Guard(Security(tokens), self.metrics, open_log(stream=self.logged), streams_max)
        self.server: grpc.aio.Server
        self.channel: grpc.aio.Channel

    async def __aenter__(self) -> "Served":
        self.server, guarded = grpc.aio.server(), self.guard.guarded
        availability_pb2_grpc.add_AvailabilityServiceServicer_to_server(
            guarded(Availability(), "allot.v1.AvailabilityService"), self.server
        )
        orders_pb2_grpc.add_OrderServiceServicer_to_server(guarded(Orders(), "allot.v1.OrderService"), self.server)
        catalogue_pb2_grpc.add_CatalogueServiceServicer_to_server(
            guarded(Catalogue(), "allot.v1.CatalogueService"), self.server
        )
        health_pb2_grpc.add_HealthServicer_to_server(
            guarded(health.aio.HealthServicer(), "grpc.health.v1.Health"), self.server
        )
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(
            guarded(reflection.aio.ReflectionServicer([GET]), "grpc.reflection.v1alpha.ServerReflection"), self.server
        )
        port = self.server.add_insecure_port("127.0.0.1:0")
        await self.server.start()
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        self.availability = availability_pb2_grpc.AvailabilityServiceStub(self.channel)
        self.orders = orders_pb2_grpc.OrderServiceStub(self.channel)
        self.catalogue = catalogue_pb2_grpc.CatalogueServiceStub(self.channel)
        self.health = health_pb2_grpc.HealthStub(self.channel)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.channel.close()
        await self.server.stop(None)

    def counted(self, method: str, code: str) -> float:
        return self.metrics.registry.get_sample_value("allot_calls_total", {"method": method, "code": code}) or 0

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0

    async def until(self, there: Callable[[], bool]) -> None:
        """Waits, 5 s at most: the server counts a failed call and a stream's end after the client sees it."""
        async with asyncio.timeout(5):
            while not there():
                await asyncio.sleep(0.005)


def ask(*skus: str, channel: str = "WEB") -> Any:
    return availability_pb2.GetAvailabilityRequest(channel=channel, skus=skus)


def as_(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


async def failure(call: Awaitable[Any]) -> tuple[grpc.StatusCode, str, Any]:
    """Code, reason and rich status of a call that fails."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    status = rpc_status.from_call(
        type("Call", (), {
            "trailing_metadata": lambda _: raised.value.trailing_metadata(),
            "code": lambda _: raised.value.code(),
            "details": lambda _: raised.value.details(),
        })()
    )  # fmt: skip
    info = error_details_pb2.ErrorInfo()
    assert status is not None
    assert status.details[0].Unpack(info)
    return raised.value.code(), info.reason, status


async def all_of(stream: Any) -> list[Any]:
    return [answer async for answer in stream]


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "tokens.toml"
    path.write_text(
        entry("web", "shop", "s3cret") + entry("market", "channel", "m", channel="AMAZON")
        + entry("app", "shop", "a", channel="APP") + entry("house", "warehouse", "h")
    )  # fmt: skip
    return path


def test_an_answer_is_passed_on_and_counted():
    async def tried() -> None:
        async with Served() as served:
            assert (await served.availability.GetAvailability(ask("A"))).figures[0].sku == "loopback"
            assert served.counted(GET, "OK") == 1
            assert served.value("allot_call_seconds_bucket", method=GET, le="0.0005") == 0  # it waited 10 ms
            assert served.value("allot_call_seconds_bucket", method=GET, le="10.0") == 1
            assert served.value("allot_call_seconds_count", method=GET) == 1
            assert served.value("allot_call_seconds_sum", method=GET) >= 0.01

    asyncio.run(tried())


def test_a_rejection_becomes_a_status_with_reason_and_field():
    async def tried() -> None:
        async with Served() as served:
            code, reason, status = await failure(served.availability.GetAvailability(ask("BAD")))
            assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_VALUE")
            bad = error_details_pb2.BadRequest()
            assert status.details[1].Unpack(bad)
            assert bad.field_violations[0].field == "skus[0]"
            await served.until(lambda: served.counted(GET, "INVALID_ARGUMENT") == 1)
            assert served.value("allot_rejected_total", reason="INVALID_VALUE") == 1
            assert served.logged.getvalue() == ""  # a caller's mistake is no event of ours

    asyncio.run(tried())


def test_a_fault_is_logged_and_tells_the_caller_nothing():
    async def tried() -> None:
        async with Served() as served:
            code, reason, status = await failure(served.availability.GetAvailability(ask("FAULT")))
            assert (code, reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
            assert "s3cret" not in str(status)
            line = json.loads(served.logged.getvalue())
            assert (line["event"], line["method"], line["level"]) == ("call failed", GET, "error")
            assert "RuntimeError: a fault" in line["exception"]
            assert "GetAvailability" in line["exception"]
            assert "s3cret" not in served.logged.getvalue()
            code, *_ = await failure(
                all_of(served.availability.WatchAvailability(
                    availability_pb2.WatchAvailabilityRequest(after_version=13)))
            )  # fmt: skip
            assert code is grpc.StatusCode.INTERNAL
            await served.until(lambda: served.counted(WATCH, "INTERNAL") == served.counted(GET, "INTERNAL") == 1)

    asyncio.run(tried())


def test_a_caller_who_goes_away_is_no_fault():
    async def tried() -> None:
        async with Served() as served:
            slow = served.availability.GetAvailability(ask("SLOW"))
            watch = served.availability.WatchAvailability(availability_pb2.WatchAvailabilityRequest())
            assert (await watch.read()).version == 1
            assert served.value("allot_streams_open") == 1
            slow.cancel()
            watch.cancel()
            with pytest.raises(grpc.aio.AioRpcError, match="Deadline"):
                await served.availability.GetAvailability(ask("SLOW"), timeout=0.05)
            await served.until(
                lambda: served.counted(GET, "CANCELLED") == 2 and served.counted(WATCH, "CANCELLED") == 1
            )
            assert served.value("allot_streams_open") == 0
            assert served.logged.getvalue() == ""

    asyncio.run(tried())


def test_a_rejection_that_nobody_waits_for_any_more_does_no_harm():
    async def tried() -> None:
        async with Served() as served:
            with pytest.raises(grpc.aio.AioRpcError, match="Deadline"):
                await served.availability.GetAvailability(ask("LATE"), timeout=0.05)
            await served.until(lambda: served.counted(GET, "INVALID_ARGUMENT") == 1)
            await served.availability.GetAvailability(ask("A"))
            assert served.logged.getvalue() == ""

    asyncio.run(tried())


def test_a_stream_too_many_is_refused_with_advice_and_the_others_go_on():
    async def tried() -> None:
        async with Served(streams_max=2) as served:
            watches = [
                served.availability.WatchAvailability(availability_pb2.WatchAvailabilityRequest()) for _ in range(2)
            ]
            assert [(await watch.read()).version for watch in watches] == [1, 1]
            once = availability_pb2.WatchAvailabilityRequest(once=True)
            code, reason, status = await failure(all_of(served.availability.WatchAvailability(once)))
            assert (code, reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "STREAMS_FULL")
            retry = error_details_pb2.RetryInfo()
            assert status.details[1].Unpack(retry)
            assert retry.retry_delay.ToMilliseconds() == 1000
            await served.availability.GetAvailability(ask("A"))  # single calls go on
            watches.pop().cancel()
            await served.until(lambda: served.value("allot_streams_open") == 1)
            assert len(await all_of(served.availability.WatchAvailability(once))) == 1
            await served.until(lambda: served.counted(WATCH, "OK") == 1)
            await served.until(lambda: served.counted(WATCH, "RESOURCE_EXHAUSTED") == 1)

    asyncio.run(tried())


def test_tokens_are_asked_for_and_each_call_knows_its_own_caller(tokens: Path):
    async def tried() -> None:
        async with Served(tokens) as served:
            get = served.availability.GetAvailability
            assert (await failure(get(ask("A"))))[:2] == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING")
            assert (await failure(get(ask("A"), metadata=as_("x"))))[:2] == (
                grpc.StatusCode.UNAUTHENTICATED,
                "TOKEN_UNKNOWN",
            )
            assert (await failure(get(ask("A"), metadata=as_("h"))))[:2] == (
                grpc.StatusCode.PERMISSION_DENIED,
                "ROLE_NOT_ALLOWED",
            )
            answers = await asyncio.gather(
                *(get(ask("A", channel=channel), metadata=as_(token))
                  for token, channel in [("s3cret", "WEB"), ("m", "AMAZON"), ("a", "APP")] * 20)
            )  # fmt: skip
            assert [answer.figures[0].sku for answer in answers] == ["web", "market", "app"] * 20
            watch = served.availability.WatchAvailability(availability_pb2.WatchAvailabilityRequest())
            assert (await failure(all_of(watch)))[1] == "TOKEN_MISSING"

    asyncio.run(tried())


def test_a_bound_token_is_held_to_its_channel_in_single_calls_and_in_every_message_of_a_stream(tokens: Path):
    def orders(*channels: str) -> list[Any]:
        return [
            orders_pb2.PlaceOrdersRequest(order={"channel": channel, "order_id": f"O{at}"})
            for at, channel in enumerate(channels)
        ]

    async def tried() -> None:
        async with Served(tokens) as served:
            assert (await failure(served.availability.GetAvailability(ask("A"), metadata=as_("m"))))[
                1
            ] == "OTHER_CHANNEL"
            watch = availability_pb2.WatchAvailabilityRequest(channel="WEB")
            assert (await failure(all_of(served.availability.WatchAvailability(watch, metadata=as_("m")))))[1] == (
                "OTHER_CHANNEL"
            )
            own = await all_of(served.orders.PlaceOrders(iter(orders("APP", "APP")), metadata=as_("a")))
            assert [answer.order_id for answer in own] == ["O0 APP", "O1 APP"]
            mixed = served.orders.PlaceOrders(iter(orders("APP", "WEB", "APP")), metadata=as_("a"))
            assert (await mixed.read()).order_id == "O0 APP"
            assert (await failure(mixed.read()))[1] == "OTHER_CHANNEL"
            page = await served.catalogue.ListChannels(catalogue_pb2.ListChannelsRequest(), metadata=as_("m"))
            assert [channel.channel for channel in page.channels] == ["AMAZON"]

    asyncio.run(tried())


def test_health_is_open_to_all_and_reflection_to_any_token(tokens: Path):
    def reflect(served: Served, **given: Any) -> Any:
        stub = reflection_pb2_grpc.ServerReflectionStub(served.channel)
        return all_of(
            stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]), **given)
        )

    async def tried() -> None:
        async with Served(tokens) as served:
            check = health_pb2.HealthCheckRequest()
            assert (await served.health.Check(check)).status == health_pb2.HealthCheckResponse.SERVING
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await served.health.Check(health_pb2.HealthCheckRequest(service="nobody"))
            assert raised.value.code() is grpc.StatusCode.NOT_FOUND
            await served.until(lambda: served.counted("grpc.health.v1.Health/Check", "NOT_FOUND") == 1)
            assert (await failure(all_of(served.health.Watch(check))))[1] == "TOKEN_MISSING"
            watch = served.health.Watch(check, metadata=as_("h"))
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
            watch.cancel()
            assert (await failure(served.health.List(health_pb2.HealthListRequest(), metadata=as_("h"))))[1] == (
                "UNIMPLEMENTED"
            )
            assert (await failure(reflect(served)))[1] == "TOKEN_MISSING"
            assert len(await reflect(served, metadata=as_("m"))) == 1
        async with Served() as served:
            assert len(await reflect(served)) == 1

    asyncio.run(tried())


def test_a_servicer_that_would_block_the_event_loop_is_refused_at_registration():
    class Blocking(availability_pb2_grpc.AvailabilityServiceServicer):
        def GetAvailability(self, request: Any, context: Any) -> Any:  # noqa: N802
            return availability_pb2.GetAvailabilityResponse()

    guard = Guard(Security(None), Metrics(), open_log(stream=io.StringIO()), 1)
    with pytest.raises(TypeError, match="GetAvailability: answers of this server are coroutines"):
        guard.guarded(Blocking(), "allot.v1.AvailabilityService")


def test_with_a_client_authority_only_its_clients_get_through(tmp_path: Path):
    authority, stranger = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    own = authority.issue_cert("localhost")
    own.private_key_pem.write_to_path(tmp_path / "key.pem")
    own.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    settings = Settings(
        tls_certificate=tmp_path / "cert.pem", tls_key=tmp_path / "key.pem", tls_client_ca=tmp_path / "ca.pem"
    )

    async def call(port: int, client: trustme.LeafCert | None) -> Any:
        pair = (client.private_key_pem.bytes(), client.cert_chain_pems[0].bytes()) if client else (None, None)
        credentials = grpc.ssl_channel_credentials(authority.cert_pem.bytes(), *pair)
        async with grpc.aio.secure_channel(f"localhost:{port}", credentials) as channel:
            return await availability_pb2_grpc.AvailabilityServiceStub(channel).GetAvailability(ask("A"), timeout=10)

    async def tried() -> None:
        server, guard = grpc.aio.server(), Guard(Security.of(settings), Metrics(), open_log(), 1)
        availability_pb2_grpc.add_AvailabilityServiceServicer_to_server(
            guard.guarded(Availability(), "allot.v1.AvailabilityService"), server
        )
        credentials = server_credentials(settings)
        assert credentials is not None
        port = server.add_secure_port("localhost:0", credentials)
        await server.start()
        try:
            assert (await call(port, authority.issue_cert("client"))).figures[0].sku == "loopback"
            for unknown in (None, stranger.issue_cert("client")):
                with pytest.raises(grpc.aio.AioRpcError) as raised:
                    await call(port, unknown)
                assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
        finally:
            await server.stop(None)

    asyncio.run(tried())
