"""Clients that do harm, by intent or not, against the real server: too large, too many, gone, asleep, too late. They
are refused or cost nothing, and the others go on."""

import os
import random
import resource
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from allot.v1 import events_pb2, orders_pb2
from allot_client import Client, calls
from allot_client.errors import error_of
from engine.folder import DataFolder
from tests.abuse import code_of, draft, furnish, place, resident_bytes, unary
from tests.crash_clients import verified
from tests.running import Server
from tests.running import server as running_server

GROWTH_BYTES_MAX = 48 << 20
HTTP2_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5)  # and empty SETTINGS
CALL_SECONDS = 0.05  # of a lone order, the median, whatever others do
STREAMS_MAX = 3
IDLE_CONNECTIONS = 10_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all, whole in the end."""
    folder = tmp_path_factory.mktemp("abuse") / "data"
    with running_server(folder, f"--streams-max={STREAMS_MAX}") as running:
        furnish(running.address)
        yield running
    assert not [line for line in running.log if '"level": "error"' in line], "".join(running.log)
    verified(folder)


@pytest.fixture
def channel(server: Server) -> Iterator[Any]:
    with grpc.insecure_channel(server.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        yield channel


def check_quick(channel: Any, name: str) -> None:
    """A lone order is answered as ever."""
    seconds = []
    for number in range(30):
        began = time.perf_counter()
        place(channel, f"{name}-{number}")
        seconds.append(time.perf_counter() - began)
    assert statistics.median(seconds) < CALL_SECONDS


def streamed(channel: Any, requests: Iterator[Any]) -> Any:
    call = calls.PLACE_ORDERS
    return channel.stream_stream(call.path, call.request.SerializeToString, call.answer.FromString)(requests)


def endless(name: str, sent: list[int], lines: int = 1) -> Iterator[Any]:
    while True:
        sent.append(len(sent))
        order = draft(f"{name}-{len(sent)}")
        order.lines.extend([order.lines[0]] * (lines - 1))
        yield orders_pb2.PlaceOrdersRequest(order=order)


# Too large, too many


def test_a_message_over_the_limit_is_refused_and_others_go_on(server: Server, channel: Any) -> None:
    order = draft("large")
    order.customer = "x" * (17 << 20)
    with pytest.raises(grpc.RpcError) as refused:
        unary(channel, calls.PLACE_ORDER)(orders_pb2.PlaceOrderRequest(order=order))
    assert code_of(refused) is grpc.StatusCode.RESOURCE_EXHAUSTED
    check_quick(channel, "after-large")


def open_files(server: Server) -> int:
    """Files and connections that the server holds."""
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def test_ten_thousand_idle_connections_keep_nobody_waiting(server: Server, channel: Any) -> None:
    """So many connections that say hello and nothing more, or as many as this system allows."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(IDLE_CONNECTIONS, most - 500)
    host, port = server.address.rsplit(":", 1)
    idle = []
    try:
        for _ in range(count):
            idle.append(socket.create_connection((host, int(port))))
            idle[-1].sendall(HTTP2_HELLO)
        for _ in range(600):
            if open_files(server) >= count:
                break
            time.sleep(0.05)
        assert open_files(server) >= count, "the server has not let them all in"
        check_quick(channel, "idle")
    finally:
        for connection in idle:
            connection.close()
    check_quick(channel, "idle-after")


def test_streams_beyond_the_limit_are_refused_until_one_ends(channel: Any) -> None:
    streams = []
    for number in range(STREAMS_MAX):
        streams.append(streamed(channel, endless(f"open-{number}", [])))
        assert next(streams[-1]).decision.number
    with pytest.raises(grpc.RpcError) as refused:
        next(streamed(channel, endless("one-more", [])))
    assert code_of(refused) is grpc.StatusCode.RESOURCE_EXHAUSTED
    failure = error_of(refused.value)
    assert (failure.reason, failure.retry_after) == ("STREAMS_FULL", 1.0)
    for stream in streams:
        stream.cancel()
    wait_for_streams(channel, "freed")


def wait_for_streams(channel: Any, name: str) -> None:
    """All streams that may be open can be opened."""
    for attempt in range(100):
        streams = [streamed(channel, endless(f"{name}-{attempt}-{number}", [])) for number in range(STREAMS_MAX)]
        try:
            assert all(next(stream).decision.number for stream in streams)
            return
        except grpc.RpcError:
            time.sleep(0.05)
        finally:
            for stream in streams:
                stream.cancel()
    raise AssertionError("streams of clients that are gone stay open")


# Gone, asleep

_VANISHING = """
import sys, grpc
from tests.test_service_abuse import endless, streamed
with grpc.insecure_channel(sys.argv[1]) as channel:
    streams = [streamed(channel, endless(f"gone-{number}-{sys.argv[2]}", [])) for number in range(3)]
    while True:
        for stream in streams:
            next(stream)
        print("answered", flush=True)
"""


def test_a_client_that_vanishes_leaves_nothing_open(server: Server, channel: Any) -> None:
    for attempt in range(3):
        client = subprocess.Popen(
            [sys.executable, "-c", _VANISHING, server.address, str(attempt)], stdout=subprocess.PIPE, text=True
        )
        with client:
            assert client.stdout is not None
            assert client.stdout.readline() == "answered\n"
            client.kill()
        wait_for_streams(channel, f"vanished-{attempt}")
    check_quick(channel, "after-vanished")


def test_a_client_that_never_reads_is_not_read_either(server: Server, channel: Any) -> None:
    sent: list[int] = []
    before = resident_bytes(server.process)
    options = [("grpc.http2.bdp_probe", 0), ("grpc.use_local_subchannel_pool", 1)]  # its window does not grow
    counts = []
    with grpc.insecure_channel(server.address, options) as sleeper:
        streamed(sleeper, endless("asleep", sent, lines=100))
        for _ in range(40):
            time.sleep(0.25)
            counts.append(len(sent))
            if len(counts) > 4 and counts[-4] == counts[-1]:
                break
        assert counts[-4] == counts[-1] > 0, f"it is read for ever: {counts}"
        check_quick(channel, "beside-asleep")
    assert resident_bytes(server.process) - before < GROWTH_BYTES_MAX


def test_a_listener_that_never_reads_costs_nothing(server: Server, channel: Any) -> None:
    before = resident_bytes(server.process)
    call = calls.STREAM_EVENTS
    method = channel.unary_stream(call.path, call.request.SerializeToString, call.answer.FromString)
    asleep = [method(events_pb2.StreamEventsRequest()) for _ in range(STREAMS_MAX - 1)]
    with grpc.insecure_channel(server.address, [("grpc.use_local_subchannel_pool", 1)]) as other:
        answers = streamed(other, (orders_pb2.PlaceOrdersRequest(order=draft(f"told-{n}")) for n in range(5000)))
        assert sum(answer.decision.number > 0 for answer in answers) == 5000
        check_quick(other, "beside-listeners")
    assert resident_bytes(server.process) - before < GROWTH_BYTES_MAX
    for stream in asleep:
        stream.cancel()


# Too late


def test_what_comes_after_its_deadline_is_not_done(server: Server, channel: Any) -> None:
    """The server sleeps until the callers have given up; then nothing of theirs is in the journal."""
    place(channel, "in-time")
    method = unary(channel, calls.PLACE_ORDER)
    before = verified(server.folder).orders
    server.process.send_signal(signal.SIGSTOP)
    try:
        late = [
            method.future(orders_pb2.PlaceOrderRequest(order=draft(f"late-{number}")), timeout=0.1)
            for number in range(50)
        ]
        assert {call.code() for call in late} == {grpc.StatusCode.DEADLINE_EXCEEDED}
    finally:
        server.process.send_signal(signal.SIGCONT)
    place(channel, "after-late")
    done = verified(server.folder).orders - before - 1
    assert done == 0, f"{done} of 50 were done for nobody"
    for number in range(50):
        assert not place(channel, f"late-{number}").again


def test_calls_that_may_be_late_are_whole_or_absent_and_a_retry_tells(server: Server, channel: Any) -> None:
    chance, method = random.Random(11), unary(channel, calls.PLACE_ORDER)
    requests = [orders_pb2.PlaceOrderRequest(order=draft(f"hasty-{number}")) for number in range(400)]
    under_way = [method.future(request, timeout=chance.uniform(0.001, 0.06)) for request in requests]
    codes = [call.code() for call in under_way]
    assert set(codes) == {grpc.StatusCode.OK, grpc.StatusCode.DEADLINE_EXCEEDED}
    there = verified(server.folder).orders
    again = [method(request).decision.again for request in requests]
    assert all(was for was, code in zip(again, codes, strict=True) if code is grpc.StatusCode.OK)
    assert verified(server.folder).orders == there + again.count(False)


def test_a_full_queue_refuses_with_a_time_to_come_again(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", "--queue-requests-max=1", "--queue-batches-max=1") as server:
        furnish(server.address)
        with grpc.insecure_channel(server.address) as channel:
            place(channel, "first")
            method = unary(channel, calls.PLACE_ORDER)
            requests = [orders_pb2.PlaceOrderRequest(order=draft(f"many-{number}")) for number in range(500)]
            under_way = [method.future(request) for request in requests]
            failures = [error_of(call) if call.exception() else None for call in under_way]
            refused = [failure for failure in failures if failure is not None]
            assert 0 < len(refused) < 500
            assert {(failure.code, failure.reason, failure.retry_after) for failure in refused} == {
                (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL", 0.05)
            }
            assert verified(server.folder).orders == 1 + 500 - len(refused)
            for request, failure in zip(requests, failures, strict=True):
                assert method(request).decision.again == (failure is None)
            answers = list(streamed(channel, (orders_pb2.PlaceOrdersRequest(order=r.order) for r in requests)))
            assert all(answer.decision.again for answer in answers)  # a stream is held back, not refused


# A disk that is full


def fill(client: Client, folder: Path) -> Any:
    """Name SKUs until that is refused: the refusal."""
    for number in range(200):
        try:
            client.put_skus([f"{number}-{place}-".ljust(60, "x") for place in range(20_000)], request_id=f"f-{number}")
        except Exception as error:
            return error
    raise AssertionError(f"{folder} took everything")


def journal_bytes(folder: Path) -> int:
    opened = DataFolder.open(folder)
    try:
        return max(opened.disk.size(name) for name in opened.disk.names())
    finally:
        opened.close()


def test_a_full_disk_refuses_new_work_serves_reads_and_goes_on_when_there_is_space(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", "--no-snapshots") as server:
        furnish(server.address)
        limit = journal_bytes(server.folder) + (1 << 20)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        with Client(server.address) as client:
            order = {"channel": "web", "postal_code": "400001", "lines": [("sku-0", 1)]}
            first = client.place_order(order_id="first", **order)
            refusal: Any = fill(client, server.folder)
            assert (refusal.code, refusal.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "DISK_FULL"), refusal
            assert refusal.retry_after == 5
            assert client.get_order("web", "first").number == first.number
            assert client.get_stock("sku-0").cells[0].allocated == 1
            assert client.get_availability("web", ["sku-0"]).figures[0].units == 999
            verified(server.folder)
            resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
            client.put_skus(["after"])
            assert client.place_order(order_id="first", **order).again
            assert client.place_order(order_id="second", **order).number == first.number + 1
    verified(tmp_path / "data")


def test_reads_go_on_beside_whoever_asks_too_much(server: Server, channel: Any) -> None:
    """Everything at once: orders from many threads, and a reader beside them."""
    ends = threading.Event()

    def flood(number: int) -> None:
        method, asked = unary(channel, calls.PLACE_ORDER), 0
        while not ends.is_set():
            under_way = [
                method.future(orders_pb2.PlaceOrderRequest(order=draft(f"flood-{number}-{asked}-{i}")))
                for i in range(50)
            ]
            asked += 1
            for call in under_way:
                call.result()

    crowd = [threading.Thread(target=flood, args=(number,)) for number in range(3)]
    for worker in crowd:
        worker.start()
    try:
        with Client(server.address) as client:
            seconds = []
            for _ in range(20):
                began = time.perf_counter()
                assert client.get_stock("sku-0").cells
                seconds.append(time.perf_counter() - began)
    finally:
        ends.set()
        for worker in crowd:
            worker.join()
    assert statistics.median(seconds) < 0.5
