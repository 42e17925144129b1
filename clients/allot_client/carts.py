"""Carts as Arrow tables: from a table to record batches for the wire, and from answers to tables of promises."""

from collections.abc import Iterator
from typing import Any

import grpc

from allot.v1 import promises_pb2
from allot_client.errors import AllotError
from allot_client.tables import BATCH_LINES_MAX, BATCH_ORDERS_MAX, arrow

NEEDED = ("channel", "postal_code", "lines")


def cart_batches(carts: Any, batch_carts: int) -> Iterator[promises_pb2.PromisesRequest]:
    """The carts of a table or a record batch, at most so many in each request. Raises ValueError."""
    pa = arrow()
    if not 1 <= batch_carts <= BATCH_ORDERS_MAX:
        raise ValueError(f"batch_carts: {batch_carts}: give 1 to {BATCH_ORDERS_MAX:,}")
    table = pa.Table.from_batches([carts]) if isinstance(carts, pa.RecordBatch) else carts
    missing = [name for name in NEEDED if name not in table.column_names]
    if missing:
        raise ValueError(f"carts: has no column {', '.join(missing)}: needed are {', '.join(NEEDED)}")
    sent = table.select([name for name in (*NEEDED, "cash_on_delivery") if name in table.column_names])
    start = 0
    while start < len(sent):
        count = min(batch_carts, len(sent) - start)
        while count > 1 and _lines(sent.slice(start, count)) > BATCH_LINES_MAX:
            count //= 2
        yield promises_pb2.PromisesRequest(batch=_stream(sent.slice(start, count)))
        start += count


def _lines(table: Any) -> int:
    pc = arrow().compute
    return int(pc.sum(pc.list_value_length(table.column("lines"))).as_py() or 0)


def _stream(table: Any) -> bytes:
    pa = arrow()
    (batch,) = table.combine_chunks().to_batches()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def promised(answer: promises_pb2.PromisesResponse) -> Any:
    """The table of an answer, a row a cart. Raises AllotError where the batch was not taken."""
    if answer.WhichOneof("result") == "problem":
        problem = answer.problem
        raise AllotError(grpc.StatusCode.INVALID_ARGUMENT, problem.message, problem.reason, problem.field)
    return arrow().ipc.open_stream(answer.batch).read_all()
