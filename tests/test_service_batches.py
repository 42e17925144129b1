"""Arrow batches of strangers, against the real server: what cannot be read is refused with its reason, a bad order
alone, the others and the stream go on, and no few bytes make the server's memory grow."""

import random
import struct
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import grpc
import numpy as np
import pyarrow as pa
import pytest

from allot_client import Client
from tests.abuse import (
    LINES,
    batch,
    code_of,
    columns,
    exchange,
    furnish,
    good,
    good_batch,
    peak_bytes,
    reasons,
    resident_bytes,
)
from tests.crash_clients import stream_of, verified
from tests.running import Server
from tests.running import server as running_server

GROWTH_BYTES_MAX = 64 << 20
MALFORMED, TOO_LARGE, COMPRESSED = "MALFORMED_BATCH", "BATCH_TOO_LARGE", "BATCH_COMPRESSED"
FLIPS = 1500
ONE_LINE = [{"sku": "sku-0", "quantity": 1}]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all; in the end it is as whole as before."""
    folder = tmp_path_factory.mktemp("batches") / "data"
    with running_server(folder) as running:
        furnish(running.address)
        yield running
    assert not [line for line in running.log if '"level": "error"' in line], "".join(running.log)
    verified(folder)


@pytest.fixture
def channel(server: Server) -> Iterator[Any]:
    with grpc.insecure_channel(server.address) as channel:
        yield channel


_drawn = iter(range(1_000_000))


def ids(count: int = 1) -> list[str]:
    return [f"o-{next(_drawn)}" for _ in range(count)]


def with_column(name: str, column: Any) -> bytes:
    return stream_of(pa.record_batch(columns(ids(len(column))) | {name: column}))


def without(name: str) -> bytes:
    found = columns(ids())
    del found[name]
    return stream_of(pa.record_batch(found))


def written_twice() -> bytes:
    first, second = batch(ids()), batch(ids())
    return stream_of(first, second)


def compressed(how: str) -> bytes:
    sink = pa.BufferOutputStream()
    many = batch(["x" * 60] * 10_000)
    with pa.ipc.new_stream(sink, many.schema, options=pa.ipc.IpcWriteOptions(compression=how)) as stream:
        stream.write_batch(many)
    return sink.getvalue().to_pybytes()


def out_of_range() -> bytes:
    column = pa.DictionaryArray.from_arrays(pa.array([7], pa.int8()), pa.array(["web"]), safe=False)
    return with_column("channel", column)


def not_utf8() -> bytes:
    offsets = np.array([0, 2], np.int32)
    return with_column("order_id", pa.StringArray.from_buffers(1, pa.py_buffer(offsets), pa.py_buffer(b"\xff\xfe")))


def with_offsets(*offsets: int) -> bytes:
    """Lists with such offsets, written over good ones: Arrow itself makes none that are bad."""
    good_ones = np.array([0, 3, 5], np.int32).tobytes()
    whole = with_column("lines", pa.array([ONE_LINE * 3, ONE_LINE * 2], LINES))
    assert whole.count(good_ones) == 1
    return whole.replace(good_ones, np.array(offsets, np.int32).tobytes())


def out_of_line() -> bytes:
    """The header of the schema is a byte longer, so that no buffer lies at a whole address."""
    whole = good_batch(*ids())
    (length,) = struct.unpack_from("<i", whole, 4)
    return whole[:4] + struct.pack("<i", length + 1) + whole[8 : 8 + length] + b"\0" + whole[8 + length :]


def nameless() -> bytes:
    return with_column("currency", pa.array(["INR"])).replace(b"currency", b"curr\xffncy")


def nameless_field() -> bytes:
    return good_batch(*ids()).replace(b"quantity", b"quant\xffty")


def doubled() -> bytes:
    found = columns(ids())
    names = [*found, "currency", "currency"]
    return stream_of(pa.RecordBatch.from_arrays([*found.values(), pa.array(["INR"]), pa.array(["INR"])], names))


def many_lines() -> bytes:
    order_ids = ids(150)
    return stream_of(batch(order_ids, [ONE_LINE * 450] * len(order_ids)))


def lines_of(**fields: Any) -> bytes:
    struct = pa.StructArray.from_arrays(list(fields.values()), list(fields))
    return with_column("lines", pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), struct))


BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", MALFORMED),
    "noise": (lambda: random.Random(1).randbytes(5000), MALFORMED),
    "text": (lambda: b"GET / HTTP/1.1\r\n\r\n", MALFORMED),
    "a length of two gigabytes": (lambda: b"\xff\xff\xff\xff\xff\xff\xff\x7f" + bytes(64), MALFORMED),
    "a negative length": (lambda: b"\xff\xff\xff\xff\xf0\xff\xff\xff" + bytes(64), MALFORMED),
    "a schema alone": (lambda: schema_alone(), MALFORMED),
    "two batches": (written_twice, MALFORMED),
    "a column is missing": (lambda: without("postal_code"), MALFORMED),
    "no lines column": (lambda: without("lines"), MALFORMED),
    "a column of another name": (lambda: with_column("colour", pa.array(["red"])), MALFORMED),
    "a column twice": (doubled, MALFORMED),
    "numbers for texts": (lambda: with_column("order_id", pa.array([1])), MALFORMED),
    "bytes for texts": (lambda: with_column("order_id", pa.array([b"a"])), MALFORMED),
    "a dictionary of numbers": (lambda: with_column("channel", pa.array([5]).dictionary_encode()), MALFORMED),
    "lines that are no list": (lambda: with_column("lines", pa.array(["sku-0"])), MALFORMED),
    "lines of texts": (lambda: with_column("lines", pa.array([["sku-0"]])), MALFORMED),
    "a quantity of floats": (lambda: lines_of(sku=pa.array(["sku-0"]), quantity=pa.array([1.0])), MALFORMED),
    "lines without sku": (lambda: lines_of(quantity=pa.array([1], pa.int32())), MALFORMED),
    "seconds for microseconds": (lambda: with_column("placed_at", pa.array([1], pa.timestamp("s"))), MALFORMED),
    "lz4": (lambda: compressed("lz4"), COMPRESSED),
    "zstd": (lambda: compressed("zstd"), COMPRESSED),
    "an index out of its dictionary": (out_of_range, MALFORMED),
    "no UTF-8": (not_utf8, MALFORMED),
    "a negative list offset": (lambda: with_offsets(-1, 3, 5), MALFORMED),
    "list offsets that go down": (lambda: with_offsets(0, 3, 2), MALFORMED),
    "a list offset beyond its values": (lambda: with_offsets(0, 3, 2_000_000_000), MALFORMED),
    "a column whose name is no text": (nameless, MALFORMED),
    "a field whose name is no text": (nameless_field, MALFORMED),
    "16,385 rows": (lambda: stream_of(batch(["same"] * 16_385)), TOO_LARGE),
    "too many lines": (many_lines, MALFORMED),
    "ten million nulls": (lambda: stream_of(pa.record_batch({"order_id": pa.nulls(10_000_000)})), TOO_LARGE),
}  # fmt: skip


def schema_alone() -> bytes:
    sink = pa.BufferOutputStream()
    pa.ipc.new_stream(sink, batch(["x"]).schema).close()
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("name", BAD)
def test_a_batch_that_cannot_be_read_is_a_problem_and_the_stream_goes_on(channel: Any, name: str) -> None:
    make, reason = BAD[name]
    before, problem, after = exchange(channel, [good_batch(*ids(2)), make(), good_batch(*ids(2))])
    assert (problem.reason, problem.retry_after_ms) == (reason, 0), problem
    assert problem.message
    assert problem.field
    assert good(before)
    assert good(after)


# An order, and why it is not taken. Each is one of three in a batch; the two others are taken.
ORDERS: dict[str, tuple[dict[str, Any], str | None]] = {
    "an empty id": ({"order_id": ""}, "EMPTY"),
    "a null id": ({"order_id": None}, "EMPTY"),
    "a blank id": ({"order_id": "   "}, "EMPTY"),
    "a long id": ({"order_id": "x" * 65}, "TOO_LONG"),
    "a control character": ({"order_id": "a\x00b"}, "CONTROL_CHARACTER"),
    "an unknown channel": ({"channel": "moon"}, "UNKNOWN_CHANNEL"),
    "a null channel": ({"channel": None}, "UNKNOWN_CHANNEL"),
    "an unknown postal code": ({"postal_code": "xxxxxx"}, "UNKNOWN_POSTAL_CODE"),
    "a null postal code": ({"postal_code": None}, "EMPTY"),
    "no lines": ({"lines": []}, "NO_LINES"),
    "null lines": ({"lines": None}, "NO_LINES"),
    "500 lines": ({"lines": ONE_LINE * 500}, None),
    "501 lines": ({"lines": ONE_LINE * 501}, "TOO_MANY_LINES"),
    "an unknown SKU": ({"lines": [{"sku": "none", "quantity": 1}]}, "UNKNOWN_SKU"),
    "a null SKU": ({"lines": [{"sku": None, "quantity": 1}]}, "UNKNOWN_SKU"),
    "a null line": ({"lines": [None]}, "UNKNOWN_SKU"),
    "nothing of it": ({"lines": [{"sku": "sku-0", "quantity": 0}]}, "QUANTITY_OUT_OF_RANGE"),
    "less than nothing": ({"lines": [{"sku": "sku-0", "quantity": -5}]}, "QUANTITY_OUT_OF_RANGE"),
    "a null quantity": ({"lines": [{"sku": "sku-0", "quantity": None}]}, "QUANTITY_OUT_OF_RANGE"),
    "a million": ({"lines": [{"sku": "sku-0", "quantity": 1_000_000}]}, None),
    "a million and one": ({"lines": [{"sku": "sku-0", "quantity": 1_000_001}]}, "QUANTITY_OUT_OF_RANGE"),
    "a second bad line": ({"lines": [*ONE_LINE, {"sku": "none", "quantity": 1}]}, "UNKNOWN_SKU"),
    "no currency": ({"currency": "rupee"}, "NOT_A_CURRENCY"),
    "a currency and a line feed": ({"currency": "INR\n"}, "NOT_A_CURRENCY"),
    "no way of paying": ({"payment_method": "BARTER"}, "NOT_A_PAYMENT_METHOD"),
    "a card number": ({"customer": "4111 1111 1111 1111"}, "CARD_NUMBER"),
    "a moment before 1970": ({"placed_at": -1}, "NOT_A_TIME"),
    "a moment after all time": ({"placed_at": (1 << 63) - 1}, "NOT_A_TIME"),
    "a negative price": ({"lines": [{"sku": "sku-0", "quantity": 1, "unit_price": -1}]}, "AMOUNT_OUT_OF_RANGE"),
}  # fmt: skip
TYPES = {"placed_at": pa.int64(), "currency": pa.string(), "payment_method": pa.string(), "customer": pa.string()}
PRICED = pa.list_(pa.struct([("sku", pa.string()), ("quantity", pa.int32()), ("unit_price", pa.int64())]))


@pytest.mark.parametrize("name", ORDERS)
def test_a_bad_order_is_refused_alone(channel: Any, name: str) -> None:
    changes, reason = ORDERS[name]
    rows = [{"order_id": id, "channel": "web", "postal_code": "400001", "lines": ONE_LINE} for id in ids(3)]
    rows[1] |= changes
    kinds = {"order_id": pa.string(), "channel": pa.string(), "postal_code": pa.string(), "lines": PRICED} | TYPES
    used = {key: kind for key, kind in kinds.items() if any(key in row for row in rows)}
    made = pa.record_batch({key: pa.array([row.get(key) for row in rows], kind) for key, kind in used.items()})
    (answer,) = exchange(channel, [stream_of(made)])
    assert reasons(answer) == [None, reason, None]
    assert (answer["outcome"].to_pylist()[1] == 0) == (reason is not None)
    assert (answer["field"].to_pylist()[1] is None) == (reason is None)


def test_nulls_everywhere_are_refused_row_by_row(channel: Any) -> None:
    nulls = {name: pa.nulls(5, column.type) for name, column in columns(ids()).items()}
    (answer,) = exchange(channel, [stream_of(pa.record_batch(nulls))])
    assert reasons(answer) == ["EMPTY"] * 5


def test_nulls_within_a_dictionary_are_refused_row_by_row(channel: Any) -> None:
    texts = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0], pa.int8()), pa.array([None, "web"]))
    (answer,) = exchange(channel, [with_column("channel", texts)])
    assert reasons(answer) == ["UNKNOWN_CHANNEL", None, "UNKNOWN_CHANNEL"]


def test_an_empty_batch_is_answered_with_an_empty_one(channel: Any) -> None:
    empty, after = exchange(channel, [stream_of(batch(ids()).slice(0, 0)), good_batch(*ids())])
    assert isinstance(empty, pa.Table)
    assert empty.num_rows == 0
    assert good(after)


def test_a_batch_over_the_limit_ends_its_stream_and_no_other(channel: Any) -> None:
    large = good_batch(*ids()) + bytes(17 << 20)
    with pytest.raises(grpc.RpcError) as refused:
        exchange(channel, [large])
    assert code_of(refused) is grpc.StatusCode.RESOURCE_EXHAUSTED
    (after,) = exchange(channel, [good_batch(*ids())])
    assert good(after)


def test_a_batch_at_odd_addresses_is_refused_or_read_and_does_no_harm(channel: Any) -> None:
    odd, after = exchange(channel, [out_of_line(), good_batch(*ids())])
    assert good(odd) or odd.reason == MALFORMED
    assert good(after)


def test_a_part_of_an_array_is_read_as_that_part(channel: Any) -> None:
    lines = [[{"sku": "sku-0", "quantity": 1 + place}] * (1 + place % 3) for place in range(30)]
    whole = batch(ids(30), lines)
    (answer,) = exchange(channel, [stream_of(whole.slice(11, 7))])
    assert good(answer)
    given = [sum(part["quantity"] for part in parts) for parts in answer["parts"].to_pylist()]
    assert given == [sum(line["quantity"] for line in order) for order in lines[11:18]]


def test_the_same_order_twice_in_a_batch_is_one_and_with_other_content_a_conflict(channel: Any, server: Server) -> None:
    twice, other = ids(2)
    lines = [ONE_LINE, ONE_LINE, ONE_LINE, [{"sku": "sku-0", "quantity": 2}]]
    first, again = exchange(channel, [stream_of(batch([twice, twice, other, other], lines))] * 2)
    assert reasons(first) == reasons(again) == [None, None, None, "KEY_CONFLICT"]
    assert first["again"].to_pylist() == [False, True, False, False]
    assert again["again"].to_pylist() == [True, True, True, False]
    assert first["number"].to_pylist() == again["number"].to_pylist()
    with Client(server.address) as client:
        assert client.get_order("web", other).lines[0].quantity == 1


def test_what_the_first_batch_names_is_kept_with_it(channel: Any, server: Server) -> None:
    known, new = ids(2)
    made = stream_of(
        batch(
            [known, new],
            postal_code=pa.array(["400001", "781001"]),
            currency=pa.array(["AED", "AED"]),
            service_level=pa.array(["slow", "slow"]),
        )
    )
    first, again = exchange(channel, [made, made])
    assert good(first)
    assert again["again"].to_pylist() == [True, True]
    with Client(server.address) as client:
        for order_id in (known, new):
            order = client.get_order("web", order_id)
            assert (order.currency, order.service_level) == ("AED", "slow")


def taken_or_refused(answers: list[Any], sent: int) -> None:
    assert len(answers) == sent
    for answer in answers:
        if not isinstance(answer, pa.Table):
            assert answer.reason in (MALFORMED, TOO_LARGE, COMPRESSED), answer


def encoded() -> bytes:
    """A batch of every kind of column."""
    found = columns(ids(4), placed_at=pa.array([1, None, 3, 4], pa.timestamp("us", "UTC")),
                    currency=pa.array(["INR", "INR", None, "INR"]).dictionary_encode())  # fmt: skip
    found["channel"] = found["channel"].dictionary_encode()
    return stream_of(pa.record_batch(found))


def test_a_batch_cut_off_anywhere_is_refused(channel: Any) -> None:
    whole = encoded()
    end = len(whole) - 8  # the mark of the end may be missing: nothing of the batch is
    cuts = [whole[:length] for length in [*range(0, end, 7), *range(end - 64, end)]]
    answers = exchange(channel, [*cuts, whole])
    taken_or_refused(answers, len(cuts) + 1)
    assert good(answers[-1])
    lengths = [len(cut) for cut, answer in zip(cuts, answers, strict=False) if isinstance(answer, pa.Table)]
    assert lengths == [], f"of {len(whole)} bytes"


def flipped(whole: bytes, chance: random.Random) -> bytes:
    damaged = bytearray(whole)
    for _ in range(chance.choice((1, 1, 1, 4))):
        damaged[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def overwritten(whole: bytes, chance: random.Random) -> bytes:
    damaged, at = bytearray(whole), chance.randrange(len(whole) // 4) * 4
    damaged[at : at + 4] = chance.choice((bytes(4), b"\xff" * 4, b"\xff\xff\xff\x7f", chance.randbytes(4)))
    return bytes(damaged)


def check_damaged(server: Server, channel: Any, count: int, seed: int) -> None:
    chance, before = random.Random(seed), peak_bytes(server.process)
    whole = encoded()
    made = [chance.choice((flipped, overwritten))(whole, chance) for _ in range(count)]
    answers = exchange(channel, [*made, good_batch(f"whole-{seed}")])
    taken_or_refused(answers, count + 1)
    assert good(answers[-1])
    refused = sum(not isinstance(answer, pa.Table) for answer in answers)
    assert count // 5 < refused < count
    assert peak_bytes(server.process) - before < GROWTH_BYTES_MAX


def test_damaged_bytes_are_refused_or_read_and_do_no_harm(server: Server, channel: Any) -> None:
    check_damaged(server, channel, FLIPS, seed=3)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(20))
def test_many_damaged_bytes_do_no_harm(server: Server, channel: Any, seed: int) -> None:
    check_damaged(server, channel, 5000, seed=100 + seed)


def long_text_often(name: str, length: int) -> bytes:
    """One text of a dictionary, named by every row."""
    indices = pa.array(np.zeros(16_384, np.int8))
    column = pa.DictionaryArray.from_arrays(indices, pa.array(["x" * length]))
    return stream_of(pa.record_batch(columns(["same"] * 16_384) | {name: column}))


def long_dictionary() -> bytes:
    values = pa.array([str(number) for number in range(70_000)])
    return with_column("channel", pa.DictionaryArray.from_arrays(pa.array([0], pa.int32()), values))


@pytest.mark.parametrize(
    "make",
    [
        partial(compressed, "zstd"), partial(compressed, "lz4"), long_dictionary,
        partial(long_text_often, "order_id", 100_000), partial(long_text_often, "customer", 8_000_000),
        partial(long_text_often, "channel", 8_000_000), partial(long_text_often, "currency", 1_000_000),
        partial(long_text_often, "postal_code", 100_000),
    ],
)  # fmt: skip
def test_few_bytes_do_not_become_many(server: Server, channel: Any, make: Any) -> None:
    payload = make()
    before = max(peak_bytes(server.process), resident_bytes(server.process))
    bad, after = exchange(channel, [payload, good_batch(*ids())])
    assert good(after)
    assert not good(bad)
    assert peak_bytes(server.process) - before < GROWTH_BYTES_MAX + 4 * len(payload)
