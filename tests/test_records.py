"""Tables of a commit as bytes and back: every kind, every encoding, and bodies that do not add up."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import schema
from engine.journal import records
from engine.journal.records import COMPACT_ROWS_MIN, Encoding, RecordUnreadable, decode, encode
from engine.schema import DTYPES, Column, Kind, Table

Tables = list[tuple[Table, dict[str, Any]]]


def body_of(tables: Any) -> bytearray:
    return bytearray().join(encode(tables))


def encodings(body: bytes) -> list[Encoding]:
    """The encoding of each column, in order."""
    count = int.from_bytes(body[:8], "little")
    entries = list(records._ENTRY.iter_unpack(body[8 : 8 + 8 * count]))
    found, left = [], 0
    for _, present, encoding, _ in entries:
        if left:
            found.append(Encoding(encoding))
            left -= 1
        else:
            left = present
    return found


def assert_equal(read: Tables, written: Any) -> None:
    assert [table.name for table, _ in read] == [table.name for table, _ in written]
    for (_, columns), (_, originals) in zip(read, written, strict=True):
        assert set(columns) == {name for name, values in originals.items() if values is not None}
        for name, values in columns.items():
            if isinstance(values, pa.StringArray):
                values.validate(full=True)
                assert values.to_pylist() == originals[name].to_pylist()
            else:
                assert values.dtype == originals[name].dtype
                assert values.flags.c_contiguous
                np.testing.assert_array_equal(values, originals[name])


def fixed(chance: np.random.Generator, kind: Kind, rows: int) -> Any:
    """A column with values between two bounds that narrower types just hold or just miss."""
    limits = np.iinfo(DTYPES[kind])
    low = max(int(chance.choice([0, 0, -1, -128, -129, -(2**15), -(2**31), -(2**63)])), limits.min)
    high = min([0, 1, 127, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, limits.max][chance.integers(10)], limits.max)
    shape = chance.choice(["any", "any", "constant", "range"])
    if shape == "range" and limits.max > 300:
        return np.array([low + k for k in range(rows)], DTYPES[kind])
    if shape == "constant":
        return np.full(rows, high, DTYPES[kind])
    values = chance.integers(low, high, rows, DTYPES[kind], endpoint=True)
    values[: min(rows, 2)] = [low, high][: min(rows, 2)]
    return values


def texts(chance: np.random.Generator, pool: list[str], rows: int) -> Any:
    """A column that is a slice of a longer one."""
    before = int(chance.integers(0, 3))
    chosen = [pool[k] for k in chance.integers(0, len(pool), before + rows + 1)]
    return pa.array(chosen, pa.string())[before : before + rows]


@st.composite
def commits(draw: Any) -> Tables:
    tables: Tables = []
    pool = draw(st.lists(st.text(max_size=20), min_size=1, max_size=5))
    chance = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    for number in draw(st.lists(st.sampled_from(sorted(schema.TABLES)), max_size=5)):
        table = schema.TABLES[number]
        rows = draw(st.sampled_from([0, 1, 2, 3, 63, 64, 65, 300]))
        columns: dict[str, Any] = {}
        for column in table.columns:
            if column.optional and chance.integers(2):
                columns[column.name] = None
            elif column.kind == Kind.TEXT:
                columns[column.name] = texts(chance, pool, rows)
            else:
                columns[column.name] = fixed(chance, column.kind, rows)
        tables.append((table, columns))
    return tables


@settings(max_examples=200, deadline=None)
@given(commits())
def test_what_is_written_is_read(tables: Tables) -> None:
    body = body_of(tables)
    assert len(body) % 8 == 0
    assert_equal(decode(memoryview(body)), tables)


def parts(**columns: Any) -> Tables:
    return [(schema.PARTS, columns)]


def all_parts(rows: int, quantity: Any) -> Tables:
    zeros = np.zeros(rows, np.int32)
    return parts(
        node=zeros.astype(np.int16), stage=zeros.astype(np.uint8), quantity=quantity, fenced=zeros, metres=zeros
    )


@pytest.mark.parametrize(
    ("first", "second", "step", "encoding"),
    [
        (7, 7, 0, Encoding.CONSTANT),
        (-5, -4, 1, Encoding.RANGE),
        (0, 255, None, Encoding.NARROW_U8),
        (0, 65_535, None, Encoding.NARROW_U16),
        (0, 65_536, None, Encoding.PLAIN),
        (-128, 127, None, Encoding.NARROW_I8),
        (-129, 0, None, Encoding.NARROW_I16),
        (-40_000, 0, None, Encoding.PLAIN),
    ],
)
def test_long_columns_take_the_shortest_encoding(first: int, second: int, step: Any, encoding: Encoding) -> None:
    rows = COMPACT_ROWS_MIN
    if step is None:
        quantity = np.array([first, second] * (rows // 2), np.int32)
    else:
        quantity = (first + step * np.arange(rows)).astype(np.int32)
    body = body_of(all_parts(rows, quantity))
    assert encodings(body)[2] == encoding
    assert_equal(decode(body), all_parts(rows, quantity))


def test_wide_columns_are_narrowed_to_four_bytes() -> None:
    reference = np.array([0, 2**32 - 1] * 40, np.int64)
    negative = np.array([-(2**31), 5] * 40, np.int64)
    small = np.zeros(80, np.int32)
    for values, encoding in ((reference, Encoding.NARROW_U32), (negative, Encoding.NARROW_I32)):
        body = body_of([(schema.RETIRED, {"order": small, "number": values})])
        assert encodings(body) == [Encoding.CONSTANT, encoding]
        assert decode(body)[0][1]["number"].tolist() == values.tolist()


def test_short_columns_stay_plain() -> None:
    assert set(encodings(body_of(all_parts(COMPACT_ROWS_MIN - 1, np.arange(63, dtype=np.int32))))) == {Encoding.PLAIN}


def test_texts_of_one_length_store_it_once() -> None:
    names = pa.array([f"402-{k:07d}" for k in range(200)])
    body = body_of([(schema.NAMES, names_of(names))])
    assert encodings(body)[2] == Encoding.CONSTANT
    assert decode(body)[0][1]["text"].equals(names)


def names_of(texts: Any) -> dict[str, Any]:
    rows = len(texts)
    return {"namespace": np.zeros(rows, np.uint8), "index": np.arange(rows, dtype=np.int32), "text": texts}


def test_a_plain_column_is_a_view_that_kernels_can_take() -> None:
    body = body_of(all_parts(3, np.array([1, 2, 3], np.int32)))
    quantity = decode(body)[0][1]["quantity"]
    assert quantity.flags.writeable
    assert quantity.flags.aligned
    assert np.shares_memory(quantity, np.frombuffer(body, np.uint8))


def test_an_empty_commit_has_no_tables() -> None:
    assert decode(body_of([])) == []
    assert decode(b"") == []


def test_a_table_may_occur_twice() -> None:
    quantity = np.array([4], np.int32)
    twice = all_parts(1, quantity) + all_parts(1, quantity + 1)
    assert [columns["quantity"].tolist() for _, columns in decode(body_of(twice))] == [[4], [5]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"quantity": None}, "parts.quantity is missing"),
        ({"quantity": np.zeros(2, np.int64)}, "parts.quantity is int64, not int32"),
        ({"quantity": np.zeros(3, np.int32)}, "parts.quantity has 3 rows, the table 2"),
    ],
)
def test_columns_that_do_not_fit_are_refused(change: dict[str, Any], message: str) -> None:
    columns = all_parts(2, np.zeros(2, np.int32))[0][1] | change
    with pytest.raises(ValueError, match=message):
        encode([(schema.PARTS, columns)])


@pytest.mark.parametrize("texts", [["a", "b"], pa.array(["a", None]), pa.array(["a", "b"], pa.large_string())])
def test_texts_that_are_no_plain_texts_are_refused(texts: Any) -> None:
    with pytest.raises(ValueError, match="without nulls"):
        encode([(schema.NAMES, names_of(texts))])


def newer(kind: Kind = Kind.I32) -> Table:
    return replace(schema.PARTS, columns=(*schema.PARTS.columns, Column(200, "shelf", kind)))


def test_a_column_of_a_newer_schema_is_refused() -> None:
    columns = all_parts(1, np.ones(1, np.int32))[0][1] | {"shelf": np.ones(1, np.int32)}
    with pytest.raises(RecordUnreadable, match="column 200 of kind 3 is unknown in parts"):
        decode(body_of([(newer(), columns)]))


def test_a_column_of_another_kind_is_refused() -> None:
    other = replace(schema.RETIRED, columns=(schema.RETIRED.columns[0], Column(2, "number", Kind.I32)))
    columns = {"order": np.ones(1, np.int32), "number": np.ones(1, np.int32)}
    with pytest.raises(RecordUnreadable, match="column 2 of kind 3"):
        decode(body_of([(other, columns)]))


def test_a_table_of_a_newer_schema_is_refused() -> None:
    table = Table(999, "later", (Column(1, "x", Kind.I32),))
    with pytest.raises(RecordUnreadable, match="table 999 is unknown"):
        decode(body_of([(table, {"x": np.ones(1, np.int32)})]))


def test_an_encoding_of_a_newer_schema_is_refused() -> None:
    body = body_of(all_parts(1, np.ones(1, np.int32)))
    body[8 + 8 + 3] = 77
    with pytest.raises(RecordUnreadable, match="encoding 77"):
        decode(body)


def older_parts(rows: int) -> bytearray:
    table = replace(schema.PARTS, columns=schema.PARTS.columns[:-1])
    return body_of(
        [(table, {k: v for k, v in all_parts(rows, np.ones(rows, np.int32))[0][1].items() if k != "metres"})]
    )


def test_a_column_that_an_older_record_lacks_is_missed() -> None:
    with pytest.raises(RecordUnreadable, match=r"parts\.metres is missing"):
        decode(older_parts(3))


def test_a_column_that_an_older_record_lacks_is_lifted(monkeypatch: pytest.MonkeyPatch) -> None:
    lifts = {(schema.PARTS.number, 5): lambda columns, rows: columns["quantity"] * 10}
    monkeypatch.setattr(records, "LIFTS", lifts)
    assert decode(older_parts(3))[0][1]["metres"].tolist() == [10, 10, 10]


@pytest.mark.parametrize("keep", [4, 8, 20, 60, -8])
def test_a_body_cut_short_is_refused(keep: int) -> None:
    body = body_of([(schema.NAMES, names_of(pa.array(["one", "two", "three"])))])
    with pytest.raises(RecordUnreadable):
        decode(body[:keep])


@pytest.mark.parametrize("rows", [3, 100])
def test_texts_that_end_after_their_column_are_refused(rows: int) -> None:
    body = body_of([(schema.NAMES, names_of(pa.array(["abcd"] * rows)))])
    at = body.index(b"abcdabcd") - (8 if rows == 100 else 4)
    body[at : at + 4] = (5000).to_bytes(4, "little")
    with pytest.raises(RecordUnreadable, match="texts end after their column"):
        decode(body)


def test_bytes_left_over_are_refused() -> None:
    with pytest.raises(RecordUnreadable, match="8 bytes left over"):
        decode(body_of(all_parts(1, np.ones(1, np.int32))) + bytes(8))
