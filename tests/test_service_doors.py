"""Who is let in, and when: tokens and certificates over the wire, addresses that are refused, health before, during and
after, and the end of a server that drains."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pyarrow as pa
import pytest
import trustme
from grpc_health.v1 import health_pb2, health_pb2_grpc

from allot.v1 import orders_pb2, stock_pb2
from allot_client import AllotError, Client, calls
from allot_client.errors import Unavailable, error_of
from server.security import make_token
from tests.abuse import batch, draft, exchange, furnish, good, place, reasons, unary
from tests.crash_clients import stream_of, verified
from tests.running import Server
from tests.running import server as running_server

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
CERTIFIED_NAME = "allot.example"
ENDS_SECONDS_MAX = 60
UNDER_WAY = 64  # orders of a stream
ROLES = {"operator": {}, "shop": {}, "warehouse": {}, "channel": {}, "bound": {"role": "shop", "channel": "web"}}


def refused_start(*flags: str) -> str:
    """What a server says that does not start."""
    ended = subprocess.run(
        [sys.executable, "-m", "server.cli.main", "serve", "--announce", *flags],
        capture_output=True, text=True, timeout=ENDS_SECONDS_MAX,
    )  # fmt: skip
    assert ended.returncode != 0
    assert "Traceback" not in ended.stderr
    assert "serving on" not in ended.stdout
    return ended.stderr


# Tokens


class Gate:
    """A server that asks for tokens, behind TLS, on every address of the machine."""

    def __init__(self, folder: Path) -> None:
        self.tokens = {"nobody": "no-such-token"}
        entries = []
        for name, entry in ROLES.items():
            self.tokens[name], digest = make_token()
            told = {"role": name} | entry | {"name": name, "sha256": digest}
            entries.append("\n".join(["[[token]]", *(f"{key} = {json.dumps(value)}" for key, value in told.items())]))
        (folder / "tokens.toml").write_text("\n".join(entries))
        authority = trustme.CA()
        certificate = authority.issue_cert(CERTIFIED_NAME)
        self.ca_file = folder / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca_file))
        certificate.private_key_pem.write_to_path(str(folder / "key.pem"))
        certificate.cert_chain_pems[0].write_to_path(str(folder / "certificate.pem"))
        self.flags = (
            f"--tokens={folder / 'tokens.toml'}", f"--tls-certificate={folder / 'certificate.pem'}",
            f"--tls-key={folder / 'key.pem'}", "--listen=0.0.0.0:0",
        )  # fmt: skip
        self.address = ""

    def client(self, name: str, **options: Any) -> Client:
        given = {"ca_file": self.ca_file, "server_name": CERTIFIED_NAME, "token": self.tokens[name], "patience": 0}
        return Client(self.address, **given | options)

    def channel(self) -> Any:
        credentials = grpc.ssl_channel_credentials(self.ca_file.read_bytes())
        return grpc.secure_channel(self.address, credentials, [("grpc.ssl_target_name_override", CERTIFIED_NAME)])

    def metadata(self, name: str) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.tokens[name]}"),)


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    folder = tmp_path_factory.mktemp("gate")
    gate = Gate(folder)
    with running_server(folder / "data", *gate.flags) as running:
        gate.address = "127.0.0.1:" + running.address.rsplit(":", 1)[1]
        with gate.client("operator") as client:
            client.put_nodes([("A", 19.0, 72.8)])
            for channel in ("web", "app"):
                client.put_channel(channel)
            client.receive_stock([("sku-0", "A", 100)])
        yield gate
        said = "".join(running.log)
        assert [name for name, token in gate.tokens.items() if token in said] == []


def order(channel: str = "web") -> dict[str, Any]:
    return {"channel": channel, "order_id": "o", "postal_code": "400001", "lines": [("sku-0", 1)]}


REFUSED: dict[str, tuple[str, Callable[[Client], Any], str, str]] = {
    "an unknown token": ("nobody", lambda c: c.place_order(**order()), "UNAUTHENTICATED", "TOKEN_UNKNOWN"),
    "a warehouse that orders": ("warehouse", lambda c: c.place_order(**order()), "PERMISSION_DENIED",
                                "ROLE_NOT_ALLOWED"),
    "a shop that receives": ("shop", lambda c: c.receive_stock([("sku-0", "A", 1)]), "PERMISSION_DENIED",
                             "ROLE_NOT_ALLOWED"),
    "a channel that orders": ("channel", lambda c: c.place_order(**order()), "PERMISSION_DENIED", "ROLE_NOT_ALLOWED"),
    "a shop that makes nodes": ("shop", lambda c: c.put_nodes([("B", 1.0, 1.0)]), "PERMISSION_DENIED",
                                "ROLE_NOT_ALLOWED"),
    "a shop's order of another channel": ("bound", lambda c: c.place_order(**order("app")), "PERMISSION_DENIED",
                                          "OTHER_CHANNEL"),
    "a shop's look at another channel": ("bound", lambda c: c.get_order("app", "o"), "PERMISSION_DENIED",
                                         "OTHER_CHANNEL"),
    "a shop's cancel in another channel": ("bound", lambda c: c.cancel_order("app", "o"), "PERMISSION_DENIED",
                                           "OTHER_CHANNEL"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_who_may_not_is_refused_with_a_reason(gate: Gate, name: str) -> None:
    caller, call, code, reason = REFUSED[name]
    with gate.client(caller) as client, pytest.raises(AllotError) as refused:
        call(client)
    assert (refused.value.code.name, refused.value.reason) == (code, reason)
    assert gate.tokens[caller] not in refused.value.message


def test_without_a_token_nothing_but_health_is_answered(gate: Gate) -> None:
    with gate.channel() as channel:
        for call in (calls.PLACE_ORDER, calls.GET_STOCK, calls.PUT_NODES, calls.LIST_CHANNELS):
            with pytest.raises(grpc.RpcError) as refused:
                unary(channel, call)(call.request())
            assert error_of(refused.value).reason == "TOKEN_MISSING"
        with pytest.raises(grpc.RpcError) as refused:
            exchange(channel, [b""])
        assert error_of(refused.value).reason == "TOKEN_MISSING"
        assert health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest()).status == SERVING


def test_a_bound_token_takes_its_own_orders_of_a_batch_and_no_other(gate: Gate) -> None:
    mixed = stream_of(batch(["b-0", "b-1", "b-2"], channel=pa.array(["web", "app", "web"])))
    with gate.channel() as channel:
        (answer,) = exchange(channel, [mixed], gate.metadata("bound"))
        assert reasons(answer) == [None, "OTHER_CHANNEL", None]
        (answer,) = exchange(channel, [mixed], gate.metadata("shop"))
        assert good(answer)
        assert answer["again"].to_pylist() == [True, False, True]
        with pytest.raises(grpc.RpcError) as refused:
            exchange(channel, [mixed], gate.metadata("warehouse"))
        assert error_of(refused.value).reason == "ROLE_NOT_ALLOWED"


def test_a_bound_token_is_told_of_its_own_channel_alone(gate: Gate) -> None:
    with gate.client("bound") as client:
        assert client.place_order(**order()).number
        assert {order.channel for order in client.list_orders(channel="web")} <= {"web"}
        with pytest.raises(AllotError) as refused:
            list(client.list_orders())
        assert refused.value.reason == "OTHER_CHANNEL"


def test_a_certificate_of_another_name_is_not_trusted(gate: Gate) -> None:
    for options in ({"server_name": ""}, {"ca_file": None, "tls": True}):
        with gate.client("operator", **options) as client, pytest.raises(Unavailable):
            client.get_stock("sku-0", timeout=5)
    with gate.client("operator") as client:
        assert client.get_stock("sku-0").cells


def test_a_plain_client_gets_nothing_of_a_secure_server(gate: Gate) -> None:
    with grpc.insecure_channel(gate.address) as channel, pytest.raises(grpc.RpcError) as refused:
        place(channel, "plain", timeout=5)
    assert refused.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0"])
def test_an_address_that_others_reach_needs_tls_and_tokens(tmp_path: Path, gate: Gate, address: str) -> None:
    data = f"--data={tmp_path / 'data'}"
    tokens, certificate, key, _ = gate.flags
    for flags, missing in (((), "TLS"), ((tokens,), "TLS"), ((certificate, key), "tokens")):
        said = refused_start(data, f"--listen={address}", *flags)
        assert missing in said
        assert "listen" in said
    assert not (tmp_path / "data").exists()


# One server for one folder and one address


def test_a_second_server_on_the_same_folder_or_address_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running_server(data) as first:
        furnish(first.address)
        said = refused_start(f"--data={data}", "--listen=127.0.0.1:0")
        assert str(data) in said
        assert "in use by another process" in said
        said = refused_start(f"--data={tmp_path / 'other'}", f"--listen={first.address}")
        assert first.address in said
        assert "is another server there" in said
        with grpc.insecure_channel(first.address) as channel:
            assert place(channel, "o").number == 1


# Health, and the end


def watched(channel: Any, seen: list[int]) -> threading.Thread:
    """Watches health in a thread, until the watch ends."""

    def watch() -> None:
        try:
            for answer in health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest()):
                seen.append(answer.status)
        except grpc.RpcError:
            pass

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def wait_for(what: Callable[[], bool]) -> None:
    for _ in range(600):
        if what():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come to pass within 30 seconds")


def test_health_is_not_serving_before_all_is_ready_and_while_draining(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as first:
        furnish(first.address)
        address = first.address
    with grpc.insecure_channel(address, [("grpc.max_reconnect_backoff_ms", 100)]) as channel:
        server = Server(tmp_path / "data", f"--listen={address}", ready=False)
        try:
            early: list[str] = []
            statuses: list[int] = []
            seen: list[int] = []
            health = health_pb2_grpc.HealthStub(channel)
            while not early or early[-1] != "":
                statuses.append(health.Check(health_pb2.HealthCheckRequest(), wait_for_ready=True, timeout=30).status)
                early.append(reason_of_a_call(channel))
            assert set(early) == {"STARTING", ""}
            assert statuses[0] == NOT_SERVING
            watcher = watched(channel, seen)
            wait_for(lambda: seen == [SERVING])
            ends = threading.Event()
            stream = open_stream(channel, ends)
            began = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            assert ended_reason(stream) == "DRAINING"
            ends.set()
            watcher.join(30)
            assert seen == [SERVING, NOT_SERVING]
            assert server.stop() == 0
            assert time.monotonic() - began < 5, "a watch of health held up the end"
        finally:
            server.kill()


def reason_of_a_call(channel: Any) -> str:
    """Why a call failed; empty where it was answered, also by a refusal of the service itself."""
    try:
        unary(channel, calls.GET_STOCK)(stock_pb2.GetStockRequest(sku="sku-0"), wait_for_ready=True, timeout=30)
        return ""
    except grpc.RpcError as error:
        failure = error_of(error)
        assert failure.retry_after
        return failure.reason


def open_stream(channel: Any, ends: threading.Event) -> Any:
    call = calls.PLACE_ORDERS

    def requests() -> Iterator[Any]:
        yield orders_pb2.PlaceOrdersRequest(order=draft("streamed"))
        ends.wait(30)

    stream = channel.stream_stream(call.path, call.request.SerializeToString, call.answer.FromString)(requests())
    assert next(stream).decision.number
    return stream


def ended_reason(stream: Any) -> str:
    with pytest.raises(grpc.RpcError) as ended:
        next(stream)
    return error_of(ended.value).reason


def test_a_server_that_drains_gives_the_answers_that_were_begun(tmp_path: Path) -> None:
    answered: list[str] = []
    sent: list[str] = []
    room = threading.Semaphore(UNDER_WAY)

    def requests() -> Iterator[Any]:
        while room.acquire(timeout=30):
            sent.append(f"o-{len(sent)}")
            yield orders_pb2.PlaceOrdersRequest(order=draft(sent[-1]))

    call = calls.PLACE_ORDERS
    with running_server(tmp_path / "data") as server:
        furnish(server.address)
        with grpc.insecure_channel(server.address) as channel:
            method = channel.stream_stream(call.path, call.request.SerializeToString, call.answer.FromString)
            stream = method(requests())
            began, failure = time.monotonic(), AllotError(grpc.StatusCode.OK, "the stream ended")
            try:
                for answer in stream:
                    answered.append(answer.order_id)
                    room.release()
                    if len(answered) == 300:
                        server.process.send_signal(signal.SIGTERM)
            except grpc.RpcError as error:
                failure = error_of(error)
            is_heard = failure.reason == "DRAINING"  # a caller who is slow to read may find the connection closed
            assert is_heard or isinstance(failure, Unavailable), failure
            assert server.stop() == 0
            assert time.monotonic() - began < 10
    assert answered == sent[: len(answered)]
    assert len(answered) >= 300
    done = verified(tmp_path / "data").orders
    assert len(answered) <= done <= len(sent)
    assert done == len(answered) or not is_heard  # what was begun was answered, nothing else was done


def test_many_calls_at_the_moment_of_a_sigterm_are_answered_or_not_done(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        furnish(server.address)
        with grpc.insecure_channel(server.address) as channel:
            place(channel, "first")
            method = unary(channel, calls.PLACE_ORDER)
            under_way = [method.future(orders_pb2.PlaceOrderRequest(order=draft(f"o-{n}"))) for n in range(400)]
            under_way[20].result()
            server.process.send_signal(signal.SIGTERM)
            codes = [call.code() for call in under_way]
            assert server.stop() == 0
    # gRPC itself cancels calls that come between the stop and the end of their connection: they were never begun.
    assert set(codes) <= {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
    assert codes.count(grpc.StatusCode.OK) >= 20
    assert verified(tmp_path / "data").orders == 1 + codes.count(grpc.StatusCode.OK)


def test_clients_of_a_server_that_is_restarted_notice_nothing(tmp_path: Path) -> None:
    """Forty threads ask one connection for orders all the time; the server is stopped and started again."""
    numbers: list[int] = []
    ends = threading.Event()

    def shop(client: Client, name: int) -> None:
        asked = 0
        while not ends.is_set():
            asked += 1
            order = {"channel": "web", "postal_code": "400001", "lines": [("sku-0", 1)]}
            numbers.append(client.place_order(order_id=f"o-{name}-{asked}", timeout=30, **order).number)

    server = Server(tmp_path / "data")
    try:
        furnish(server.address)
        with Client(server.address) as client, ThreadPoolExecutor(40) as crowd:
            shops = [crowd.submit(shop, client, name) for name in range(40)]
            try:
                for _ in range(2):
                    time.sleep(0.3)
                    assert server.stop() == 0
                    server = Server(tmp_path / "data", f"--listen={server.address}")
                time.sleep(0.3)
            finally:
                ends.set()
            for done in shops:
                done.result()
        assert server.stop() == 0
    finally:
        server.kill()
    assert len(set(numbers)) == len(numbers) == verified(tmp_path / "data").orders


def test_a_watcher_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        furnish(server.address)
        with Client(server.address, patience=0) as client:
            watch = client.watch_availability("web")
            next(watch)
            began = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            with pytest.raises(Unavailable) as ended:
                next(watch)
            assert ended.value.reason == "DRAINING"
            assert server.stop() == 0
            assert time.monotonic() - began < 5
