"""Figures as messages: byte by byte what protobuf itself writes; and as lines of text."""

import random

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from allot.v1 import availability_pb2 as pb
from engine.names import text_buffers
from kernels.messages import FIGURE_BYTES_MAX, number_lines, write_figures, write_lines

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


@given(ROWS, st.randoms(use_true_random=False))
def test_lines_are_what_python_writes(rows: list[tuple[str, int, int]], chance: random.Random) -> None:
    texts = sorted({sku for sku, _, _ in rows} | {"left out"})
    chance.shuffle(texts)  # the column of all texts; rows point into it
    sku = np.array([texts.index(text) for text, _, _ in rows], np.int32)
    offsets, data = text_buffers(pa.array(texts, pa.string()))
    units, versions = (np.array([row[at] for row in rows], kind) for at, kind in ((1, np.int32), (2, np.int64)))
    room = sum(len(text.encode()) for text, _, _ in rows) + FIGURE_BYTES_MAX * len(rows)
    out = np.full(room + 8, 0xAA, np.uint8)
    size = write_lines(sku, offsets, data, units, versions, out[:room])
    assert out[:size].tobytes() == b"".join(b"%b\t%d\t%d\n" % (text.encode(), *numbers) for text, *numbers in rows)
    assert (out[size:] == 0xAA).all()


def test_the_longest_line_has_room() -> None:
    out = np.empty(FIGURE_BYTES_MAX, np.uint8)
    offsets, data = text_buffers(pa.array([""], pa.string()))
    largest = np.array([2**31 - 1], np.int32), np.array([2**63 - 1], np.int64)
    assert write_lines(np.zeros(1, np.int32), offsets, data, *largest, out) == FIGURE_BYTES_MAX


def test_parts_are_numbered_by_the_line_of_their_order():
    first_line, first_part = np.array([0, 2, 2, 5], np.int64), np.array([0, 1, 3, 3, 4, 6], np.int64)
    line = np.zeros(6, np.int32)
    number_lines(first_line, first_part, line)
    assert line.tolist() == [1, 2, 2, 2, 3, 3]  # an order without lines, and a line without parts, take no number away
