"""Arrow batches for AllocateBatches that are encoded once and sent again and again: a run needs gigabytes of them, and
no order id may come twice. So a few digits of each order id are written anew, in place, before a batch is sent.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from allot.v1 import orders_pb2


class EncodedBatch:
    """One message of AllocateBatches whose order ids change from one pass to the next."""

    def __init__(self, batch: pa.RecordBatch, digits: Sequence[int]) -> None:
        """batch: with a column order_id of ids of equal length, without nulls. digits: where in each id the number of
        the pass stands, the last digit first."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        message = orders_pb2.AllocateBatchesRequest(batch=sink.getvalue().to_pybytes()).SerializeToString()
        ids = batch.column("order_id")
        text = ids.buffers()[2].to_pybytes()[: len(ids) * len(ids[0].as_py())]
        at = message.index(text)
        self.orders, self.bytes = batch.num_rows, len(message)
        self._digits = digits
        self._message = np.frombuffer(bytearray(message), np.uint8)
        self._ids = self._message[at : at + len(text)].reshape(self.orders, -1)

    def of_pass(self, number: int) -> bytes:
        """The message with the ids of a pass, 0 up to what the digits hold."""
        for column in self._digits:
            self._ids[:, column] = ord("0") + number % 10
            number //= 10
        return self._message.tobytes()

    def id_of(self, row: int, number: int) -> str:
        """The id of a row in a pass."""
        text = self._ids[row].copy()
        for column in self._digits:
            text[column] = ord("0") + number % 10
            number //= 10
        return text.tobytes().decode()


def answered(message: Any) -> pa.RecordBatch:
    """The record batch of an answer that has one."""
    with pa.ipc.open_stream(message.batch) as stream:
        return stream.read_next_batch()
