"""Figures read from messages, compared with what protobuf itself reads; whatever the bytes are, nothing is written
beyond the room."""

import random
from typing import Any, NamedTuple

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from allot.v1 import availability_pb2 as pb
from kernels.publications import ENGINE_END, ENGINE_FIRST, FIELDS, LINE_END, PAIR_END, ROOM, TOLD, write_publication

GUARD, GUARD_BYTES = 0xA5, 64
INT64_MAX = 2**63 - 1
CHARACTERS = "abZ-9\N{MICRO SIGN}\N{CJK UNIFIED IDEOGRAPH-4E00}\N{GRINNING FACE}"
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=80)
FIGURE = st.builds(
    pb.Availability, sku=TEXT, units=st.integers(0, 2**31 - 1), version=st.sampled_from([0, 1, 127, 128, INT64_MAX])
    | st.integers(0, INT64_MAX),
)  # fmt: skip
MESSAGE = st.builds(
    pb.WatchAvailabilityResponse, figures=st.lists(FIGURE, max_size=20), version=st.integers(0, INT64_MAX),
    complete=st.booleans(), as_of_us=st.integers(0, INT64_MAX), durable_at_us=st.integers(0, INT64_MAX), engine_id=TEXT,
)  # fmt: skip


class Written(NamedTuple):
    """What the kernel makes of a message."""

    count: int
    pairs: bytes
    lines: bytes
    fields: tuple[int, ...]  # version, complete, as_of_us, durable_at_us
    engine: bytes


def written(message: bytes) -> Written:
    """Guards stand behind the rooms."""
    room = ROOM * len(message)
    pairs, lines = (np.full(room + GUARD_BYTES, GUARD, np.uint8) for _ in range(2))
    told = np.full(TOLD, 77, np.int64)
    count = write_publication(np.frombuffer(message, np.uint8), pairs[:room], lines[:room], told)
    assert (pairs[room:] == GUARD).all()
    assert (lines[room:] == GUARD).all()
    assert count >= -1
    assert 0 <= told[PAIR_END] <= room
    assert 0 <= told[LINE_END] <= room
    assert 0 <= told[ENGINE_FIRST] <= told[ENGINE_END] <= len(message)
    return Written(
        count, pairs[: told[PAIR_END]].tobytes(), lines[: told[LINE_END]].tobytes(),
        tuple(told[FIELDS : FIELDS + 4].tolist()), message[told[ENGINE_FIRST] : told[ENGINE_END]],
    )  # fmt: skip


def twin(found: pb.WatchAvailabilityResponse) -> Written:
    figures = [(one.sku.encode(), b"%d" % one.units, b"%d" % one.version) for one in found.figures]
    return Written(
        len(figures),
        b"".join(b"%b\0%b:%b\0" % figure for figure in figures),
        b"".join(b"%b\t%b\t%b\n" % figure for figure in figures),
        (found.version, int(found.complete), found.as_of_us, found.durable_at_us),
        found.engine_id.encode(),
    )


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def of_length(tag: int, content: bytes) -> bytes:
    return varint(tag) + varint(len(content)) + content


# Fields that neither message has, of every wire type that proto3 writes.
UNKNOWN = {
    "a varint": varint(15 << 3 | 0) + varint(2**64 - 1),
    "eight bytes": varint(15 << 3 | 1) + bytes(range(8)),
    "a length": of_length(15 << 3 | 2, b"\x0a\x03abc\xff"),
    "nothing of a length": of_length(15 << 3 | 2, b""),
    "four bytes": varint(15 << 3 | 5) + bytes(4),
    "the highest number": varint((2**29 - 1) << 3 | 0) + varint(1),
    "the highest number, of a length": of_length((2**29 - 1) << 3 | 2, b"\xff" * 130),
}


@given(MESSAGE)
def test_it_is_what_protobuf_reads(message: pb.WatchAvailabilityResponse) -> None:
    assert written(message.SerializeToString()) == twin(message)


@pytest.mark.parametrize("figure", [
    pb.Availability(), pb.Availability(sku="A"), pb.Availability(units=1), pb.Availability(version=INT64_MAX),
    pb.Availability(sku="\U0001f9e6 sock \N{DEVANAGARI LETTER A}", units=2**31 - 1, version=INT64_MAX),
    pb.Availability(sku="x" * 100_000, units=9, version=10),
])  # fmt: skip
def test_a_figure_alone(figure: pb.Availability) -> None:
    message = pb.WatchAvailabilityResponse(figures=[figure])
    assert written(message.SerializeToString()) == twin(message)


def test_digits_are_right_around_every_power_of_ten() -> None:
    figures = [
        pb.Availability(sku="A", units=min(number, 2**31 - 1), version=number)
        for power in range(19)
        for number in (10**power - 1, 10**power, 10**power + 1)
    ]
    message = pb.WatchAvailabilityResponse(figures=figures)
    assert written(message.SerializeToString()) == twin(message)


def test_a_message_of_nothing_but_its_smallest_figures_has_room() -> None:
    found = written(b"\x0a\x00" * 4096)
    assert found.count == 4096
    assert found.lines == b"\t0\t0\n" * 4096


def test_an_empty_message_has_no_figures() -> None:
    assert written(b"") == twin(pb.WatchAvailabilityResponse())


@pytest.mark.parametrize("unknown", UNKNOWN.values(), ids=UNKNOWN)
def test_unknown_fields_are_skipped_wherever_they_stand(unknown: bytes) -> None:
    figure = [of_length(0x0A, b"SKU"), b"\x10\x05", b"\x18\x07"]
    for at in range(4):
        within = of_length(0x0A, b"".join([*figure[:at], unknown, *figure[at:]]))
        for message in (unknown + within + b"\x10\x09", within + unknown + b"\x10\x09", within + b"\x10\x09" + unknown):
            expected = pb.WatchAvailabilityResponse.FromString(message)
            assert twin(expected).pairs == b"SKU\x005:7\0"
            assert written(message) == twin(expected)


def test_fields_in_another_order_and_given_twice_are_read_as_protobuf_reads_them() -> None:
    figure = b"\x18\x01\x10\x02" + of_length(0x0A, b"first") + b"\x18\x03\x10\x04" + of_length(0x0A, b"last")
    message = b"\x30\x01\x18\x01\x18\x00" + of_length(0x0A, figure) + b"\x10\x01\x10\x02" + of_length(0x32, b"e1")
    message += of_length(0x32, b"e2")
    expected = pb.WatchAvailabilityResponse.FromString(message)
    assert written(message) == twin(expected)
    assert written(message).engine == b"e2"


def some_message(chance: random.Random, figures: int) -> pb.WatchAvailabilityResponse:
    return pb.WatchAvailabilityResponse(
        figures=[
            pb.Availability(
                sku="".join(chance.choices(CHARACTERS, k=chance.randrange(12))),
                units=chance.getrandbits(chance.randrange(32)), version=chance.getrandbits(chance.randrange(64)),
            )
            for _ in range(figures)
        ],
        version=chance.getrandbits(63), complete=True, as_of_us=chance.getrandbits(50), durable_at_us=1,
        engine_id="0f" * 8,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_a_message_that_is_cut_off_is_broken_or_has_the_figures_before_the_cut(seed: int) -> None:
    whole = some_message(random.Random(seed), 12).SerializeToString()
    every = written(whole)
    broken = 0
    for size in range(len(whole)):
        found = written(whole[:size])
        try:
            expected = pb.WatchAvailabilityResponse.FromString(whole[:size])
        except DecodeError:
            assert found.count == -1
            broken += 1
            continue
        assert found == twin(expected)
        assert every.pairs.startswith(found.pairs)
        assert every.lines.startswith(found.lines)
    assert broken > len(whole) // 2


@pytest.mark.parametrize("message", [
    b"\x0a", b"\x0a\x01", b"\x0a\xff\xff\xff\xff\x0f", b"\x0a" + b"\xff" * 9 + b"\x01",  # lengths beyond the end
    b"\x0a\x02\x0a\x01", b"\x0a\x02\x10\x80", b"\x0a\x01\x10", b"\x10", b"\x10" + b"\x80" * 10 + b"\x01", b"\x80" * 11,
    of_length(0x0A, b"\x18" + b"\xff" * 9 + b"\x01"),  # a version beyond an int64: no commit has it
    b"\x0e\x00", b"\x0f\x00",  # wire types that are none
    varint(15 << 3 | 1) + bytes(7), varint(15 << 3 | 5) + bytes(3), varint(15 << 3 | 2) + b"\x05abcd",
], ids=lambda message: message[:12].hex())  # fmt: skip
def test_what_is_broken_is_said(message: bytes) -> None:
    assert written(message).count == -1


def mutated(chance: random.Random, message: bytes) -> bytes:
    out = bytearray(message)
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(out) + 1)
        match chance.randrange(4):
            case 0 if at < len(out):
                out[at] ^= 1 << chance.randrange(8)
            case 1 if at < len(out):
                out[at] = chance.choice((0, 0x7F, 0x80, 0xFF, 0x0A, 0x10, 0x18, 0x32))
            case 2:
                out[at:at] = chance.randbytes(chance.randrange(1, 12))
            case _:
                del out[at : at + chance.randrange(1, 6)]
    return bytes(out)


@pytest.mark.parametrize("seed", range(4))
def test_a_message_with_wrong_bytes_does_no_harm(seed: int) -> None:
    chance = random.Random(seed)
    whole = some_message(chance, 4).SerializeToString()
    for _ in range(800):
        written(mutated(chance, whole))


@given(st.binary(max_size=400))
def test_random_bytes_do_no_harm(message: bytes) -> None:
    written(message)


@given(st.lists(st.sampled_from([0x0A, 0x10, 0x18, 0x32, 0x00, 0x01, 0x02, 0x7F, 0x80, 0xFF]), max_size=60))
def test_random_tags_and_lengths_do_no_harm(message: list[Any]) -> None:
    written(bytes(message))
