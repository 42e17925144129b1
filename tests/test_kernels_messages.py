"""Figures as messages: byte by byte what protobuf itself writes."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from allot.v1 import availability_pb2 as pb
from engine.names import text_buffers
from kernels.messages import FIGURE_BYTES_MAX, write_figures

ROWS = st.lists(
    st.tuples(st.text(max_size=300), st.integers(0, 2**31 - 1), st.integers(0, 2**63 - 1)), max_size=30
)  # fmt: skip


def written(rows: list[tuple[str, int, int]]) -> bytes:
    skus = pa.array(["left out", *(sku for sku, _, _ in rows)], pa.string())[1:]  # its offsets do not begin at 0
    offsets, data = text_buffers(skus)
    out = np.full(sum(len(sku.encode()) for sku, _, _ in rows) + FIGURE_BYTES_MAX * len(rows), 0xAA, np.uint8)
    units, versions = (np.array([row[at] for row in rows], kind) for at, kind in ((1, np.int32), (2, np.int64)))
    return out[: write_figures(offsets, data, units, versions, out)].tobytes()


@given(ROWS)
def test_they_are_what_protobuf_writes(rows: list[tuple[str, int, int]]) -> None:
    figures = [pb.Availability(sku=sku, units=units, version=version) for sku, units, version in rows]
    assert written(rows) == pb.WatchAvailabilityResponse(figures=figures).SerializeToString()


def test_the_largest_figure_has_room() -> None:
    text = "x" * 128
    assert len(written([(text, 2**31 - 1, 2**63 - 1)])) <= len(text) + FIGURE_BYTES_MAX
    assert written([("", 0, 0)]) == pb.WatchAvailabilityResponse(figures=[pb.Availability()]).SerializeToString()
