"""Lines as arguments of a command of Redis, compared with what redis-py packs; whatever the bytes, nothing is written
beyond the room."""

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from redis.connection import PythonRespSerializer

from kernels.publications import ARGUMENTS_ROOM, write_arguments

GUARD, GUARD_BYTES = 0xA5, 64
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=2000)
ROWS = st.lists(st.tuples(TEXT, st.integers(0, 2**31 - 1), st.integers(0, 2**63 - 1)), max_size=20)


def written(lines: bytes) -> tuple[int, bytes]:
    room = ARGUMENTS_ROOM * len(lines)
    out = np.full(room + GUARD_BYTES, GUARD, np.uint8)
    count, size = write_arguments(np.frombuffer(lines, np.uint8), out[:room])
    assert (out[room:] == GUARD).all()
    assert 0 <= size <= room
    return count, out[:size].tobytes()


def lines_of(rows: list[tuple[str, int, int]]) -> bytes:
    return b"".join(b"%b\t%d\t%d\n" % (sku.encode(), units, version) for sku, units, version in rows)


def packed(rows: list[tuple[str, int, int]]) -> bytes:
    serializer = PythonRespSerializer(6000, lambda value: value if isinstance(value, bytes) else str(value).encode())
    arguments = [part for sku, *numbers in rows for part in (sku.encode(), b"%d:%d" % tuple(numbers))]
    whole = b"".join(serializer.pack("HSET", *arguments))
    head = b"*%d\r\n$4\r\nHSET\r\n" % (1 + len(arguments))
    assert whole.startswith(head)
    return whole.removeprefix(head)


@given(ROWS)
def test_it_is_what_redis_py_packs(rows: list[tuple[str, int, int]]) -> None:
    assert written(lines_of(rows)) == (len(rows), packed(rows))


def test_the_shortest_lines_have_room() -> None:
    rows = [("", 0, 0)] * 3
    assert written(lines_of(rows)) == (3, packed(rows))


def test_what_is_cut_short_or_changed_is_refused_or_other_lines() -> None:
    chance = random.Random(11)
    whole = lines_of([("SKU-1", 5, 17), ("B", 0, 3), ("long" * 40, 2**31 - 1, 2**63 - 1)])
    refused = 0
    for size in range(len(whole) + 1):
        count, _ = written(whole[:size])
        assert count == (whole[:size].count(b"\n") if not size or whole[size - 1] == 0x0A else -1)
    for _ in range(3000):
        changed = bytearray(whole)
        for _ in range(chance.randrange(1, 4)):
            changed[chance.randrange(len(changed))] = chance.choice(b"\t\n\0\r09:a\xff")
        count, found = written(bytes(changed))
        refused += count < 0
        if count >= 0:
            rows = [line.split(b"\t") for line in bytes(changed).split(b"\n")[:-1]]
            assert count == len(rows)
            parts = [part for sku, units, version in rows for part in (sku, units + b":" + version)]
            assert found == b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
            assert all(number.isdigit() for _, *numbers in rows for number in numbers)
    assert 100 < refused < 2900
