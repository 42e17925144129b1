"""What the tests of abuse share: a furnished server, Arrow batches, raw calls, and a look at the server's process."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import grpc
import pyarrow as pa

from allot.v1 import orders_pb2, types_pb2
from allot_client import Client, calls
from tests.crash_clients import stream_of

LINES = pa.list_(pa.struct([("sku", pa.string()), ("quantity", pa.int32())]))
SECONDS_MAX = 60


def furnish(address: str, **options: Any) -> None:
    """Two nodes, two channels, two SKUs with stock."""
    with Client(address, **options) as client:
        client.put_nodes([("A", 19.0, 72.8), ("B", 28.6, 77.2)])
        for channel in ("web", "app"):
            client.put_channel(channel)
        client.receive_stock([("sku-0", "A", 1000), ("sku-1", "B", 1000)])


def columns(ids: list[str], lines: list[Any] | None = None, **more: Any) -> dict[str, Any]:
    """The columns of good orders."""
    count = len(ids)
    return {
        "order_id": pa.array(ids), "channel": pa.array(["web"] * count), "postal_code": pa.array(["400001"] * count),
        "lines": pa.array(lines or [[{"sku": "sku-0", "quantity": 1}]] * count, LINES),
    } | more  # fmt: skip


def batch(ids: list[str], lines: list[Any] | None = None, **more: Any) -> pa.RecordBatch:
    return pa.record_batch(columns(ids, lines, **more))


def exchange(channel: Any, payloads: Iterable[bytes], metadata: Any = ()) -> list[Any]:
    """What a stream of batches is answered: a table of the batch, or the problem."""
    method = channel.stream_stream(
        calls.ALLOCATE_BATCHES.path, orders_pb2.AllocateBatchesRequest.SerializeToString,
        orders_pb2.AllocateBatchesResponse.FromString,
    )  # fmt: skip
    requests = (orders_pb2.AllocateBatchesRequest(batch=payload) for payload in payloads)
    found = []
    for answer in method(requests, metadata=metadata, timeout=SECONDS_MAX):
        if answer.WhichOneof("result") == "problem":
            found.append(answer.problem)
        else:
            found.append(pa.ipc.open_stream(answer.batch).read_all())
    return found


def reasons(answer: Any) -> list[str | None]:
    """Why each order of a batch was not taken."""
    assert isinstance(answer, pa.Table), answer
    return list(answer["reason"].to_pylist())


def good(answer: Any) -> bool:
    """Whether every order of a batch was taken."""
    return isinstance(answer, pa.Table) and answer.num_rows > 0 and set(reasons(answer)) == {None}


def good_batch(*ids: str) -> bytes:
    return stream_of(batch(list(ids)))


def draft(order_id: str, sku: str = "sku-0", quantity: int = 1, channel: str = "web") -> types_pb2.OrderDraft:
    return types_pb2.OrderDraft(
        channel=channel, order_id=order_id, postal_code="400001",
        lines=[types_pb2.LineDraft(sku=sku, quantity=quantity)],
    )  # fmt: skip


def unary(channel: Any, call: Any) -> Any:
    return channel.unary_unary(call.path, call.request.SerializeToString, call.answer.FromString)


def place(channel: Any, order_id: str, timeout: float = SECONDS_MAX, **more: Any) -> Any:
    """One order; its decision."""
    request = orders_pb2.PlaceOrderRequest(order=draft(order_id))
    return unary(channel, calls.PLACE_ORDER)(request, timeout=timeout, **more).decision


def resident_bytes(process: Any) -> int:
    """Memory of a process that is there."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("the process has no memory")


def peak_bytes(process: Any) -> int:
    """The most memory that a process had so far."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("the process has no memory")


def code_of(error: Any) -> grpc.StatusCode:
    code: grpc.StatusCode = error.value.code()
    return code
