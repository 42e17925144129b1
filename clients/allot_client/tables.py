"""Orders as Arrow tables: from a file or a table to record batches for the wire, and from answers to a table.

Rows of lines are grouped to orders in order of first appearance. pyarrow is imported when the first table comes: only
who sends tables needs it (`pip install allot-client[arrow]`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from allot.v1 import orders_pb2, types_pb2
from allot_client.errors import AllotError
from allot_client.requests import enum_name

BATCH_ORDERS = 8_192
BATCH_ORDERS_MAX = 16_384
BATCH_LINES_MAX = 65_536
NEEDED = ("order_id", "channel", "postal_code")
TIMES = ("placed_at", "ship_by", "deliver_by", "pay_by")
TEXTS = ("currency", "payment_method", "service_level", "customer")
TERMS = ("nodes_max", "ship_complete")
PRICES = ("unit_price", "discount", "tax", "line_discount", "line_tax")
FEW_VALUES = ("channel", "postal_code", "currency", "payment_method", "service_level")  # sent as dictionaries


@dataclass(frozen=True)
class Orders:
    """Orders as columns, and their lines one after another."""

    columns: dict[str, Any]  # arrays [order]
    lines: dict[str, Any]  # arrays [line]
    first_line: list[int]  # [order + 1]

    def __len__(self) -> int:
        return len(self.first_line) - 1


@dataclass(frozen=True)
class OrderBatch:
    """Some orders, ready to be sent."""

    order_id: Any  # string array [order]
    channel: Any  # string array [order]
    request: orders_pb2.AllocateBatchesRequest

    def __len__(self) -> int:
        return len(self.order_id)


def arrow() -> Any:
    """pyarrow. Raises ImportError with the mend."""
    try:
        import pyarrow as pa
        import pyarrow.compute
    except ImportError:
        raise ImportError("tables and files of orders need pyarrow: pip install 'allot-client[arrow]'") from None
    return pa


def result_schema() -> Any:
    """Of the table of results: a row an order, in the order of the orders."""
    pa = arrow()
    part = pa.struct(
        [("line", pa.int32()), ("node_id", pa.string()), ("quantity", pa.int32()), ("distance_m", pa.int32())]
    )
    return pa.schema(
        [
            ("order_id", pa.string()),
            ("channel", pa.string()),
            ("outcome", pa.string()),  # ALLOCATED, PARTLY, SHORT, REFUSED; null where the order was not taken
            ("number", pa.int64()),  # 0 where there is none
            ("again", pa.bool_()),
            ("reason", pa.string()),  # null where the order was taken
            ("field", pa.string()),
            ("message", pa.string()),  # where a whole batch was not taken
            ("parts", pa.list_(part)),
        ]
    )


def read_orders(source: Any, channel: str = "") -> Orders:
    """Orders from a table, a record batch, or a CSV, CSV.gz or Parquet file. Raises ValueError, OSError.

    A table has one row an order with a column `lines`, or one row a line with sku and quantity. Columns of other names
    are left out.
    """
    pa = arrow()
    if isinstance(source, str | Path):
        table, name = _read_file(Path(source)), f"{source}: "
    elif isinstance(source, pa.RecordBatch):
        table, name = pa.Table.from_batches([source]), ""
    elif isinstance(source, pa.Table):
        table, name = source, ""
    else:
        raise ValueError(f"orders: is a {type(source).__name__}: give a pyarrow Table or the path of a file")
    try:
        if channel and "channel" not in table.column_names:
            table = table.append_column("channel", pa.repeat(channel, table.num_rows))
        return _nested(table) if "lines" in table.column_names else _grouped(table)
    except ValueError as error:  # Arrow's errors of values are ValueErrors too
        raise ValueError(f"{name}{error}") from None


def _read_file(path: Path) -> Any:
    pa = arrow()
    lower = path.name.lower()
    try:
        if lower.endswith(".parquet"):
            import pyarrow.parquet

            return pyarrow.parquet.read_table(path)
        if not lower.endswith((".csv", ".csv.gz")):
            raise ValueError("the kind of a file is told by its name; it must end in .csv, .csv.gz or .parquet")
        import pyarrow.csv

        texts = dict.fromkeys((*NEEDED, "sku", *TEXTS), pa.string())
        numbers = {"quantity": pa.int32(), "nodes_max": pa.int32(), "ship_complete": pa.bool_()}
        numbers |= dict.fromkeys(PRICES, pa.int64())
        return pyarrow.csv.read_csv(
            path,
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=texts | numbers, null_values=[""], strings_can_be_null=True
            ),
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _need(table: Any, names: tuple[str, ...]) -> None:
    missing = [name for name in names if name not in table.column_names]
    if missing:
        mend = "; give channel=" if missing == ["channel"] else ""
        raise ValueError(f"has no column {', '.join(missing)}: needed are {', '.join(names)}{mend}")


def _order_columns(table: Any) -> dict[str, Any]:
    pa = arrow()
    columns = {name: _text(table.column(name), name).fill_null("") for name in NEEDED}
    for name in TEXTS:
        if name in table.column_names:
            text = _text(table.column(name), name)
            columns[name] = pa.compute.if_else(pa.compute.equal(text, ""), pa.scalar(None, pa.string()), text)
    for name in TIMES:
        if name in table.column_names:
            columns[name] = _moments(table.column(name), name)
    for name, kind in zip(TERMS, (pa.int32(), pa.bool_()), strict=True):
        if name in table.column_names:
            columns[name] = _cast(table.column(name), kind, name)
    return columns


def _one(column: Any) -> Any:
    """One array of a column."""
    pa = arrow()
    if isinstance(column, pa.ChunkedArray):
        return (
            column.chunk(0)
            if column.num_chunks == 1
            else pa.concat_arrays(column.chunks or [pa.array([], column.type)])
        )
    return column


def _cast(column: Any, kind: Any, name: str, safe: bool = True) -> Any:
    try:
        return _one(column.cast(kind, safe=safe))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _text(column: Any, name: str) -> Any:
    return _cast(column, arrow().string(), name)


def _moments(column: Any, name: str) -> Any:
    """UTC microseconds; a time without a zone is UTC."""
    pa = arrow()
    micros = pa.timestamp("us", "UTC")
    if pa.types.is_integer(column.type):
        return _cast(column, pa.int64(), name)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        try:
            return _one(column.cast(micros))
        except ValueError:
            return _cast(_cast(column, pa.timestamp("us"), name), micros, name)
    return _cast(column, micros, name, safe=False)  # finer than microseconds is cut off


def _line_columns(columns: dict[str, Any]) -> dict[str, Any]:
    """By name: sku, quantity, and the prices that are there."""
    pa = arrow()
    lines = {
        "sku": _text(columns["sku"], "sku").fill_null(""),
        "quantity": _cast(columns["quantity"], pa.int32(), "quantity").fill_null(0),
    }
    return lines | {name: _cast(columns[name], pa.int64(), name) for name in PRICES if name in columns}


def _nested(table: Any) -> Orders:
    pa = arrow()
    _need(table, NEEDED)
    lists = _one(table.column("lines"))
    if not (pa.types.is_list(lists.type) or pa.types.is_large_list(lists.type)) or not pa.types.is_struct(
        lists.type.value_type
    ):
        raise ValueError(f"lines: is {lists.type}: give lists of structs with sku and quantity")
    struct = lists.type.value_type
    names = [struct.field(number).name for number in range(struct.num_fields)]
    missing = [name for name in ("sku", "quantity") if name not in names]
    if missing:
        raise ValueError(f"lines: has no {' and no '.join(missing)}")
    flat = pa.compute.list_flatten(lists)
    counts = pa.compute.list_value_length(lists).fill_null(0).cast(pa.int64())
    first_line = [0, *pa.compute.cumulative_sum(counts).to_pylist()]
    lines = {name: pa.compute.struct_field(flat, name) for name in ("sku", "quantity", *PRICES) if name in names}
    return Orders(_order_columns(table), _line_columns(lines), first_line)


def _grouped(table: Any) -> Orders:
    """One row a line: rows of an order are brought together, orders stay in order of first appearance."""
    pa = arrow()
    pc = pa.compute
    _need(table, (*NEEDED, "sku", "quantity"))
    columns = _order_columns(table)
    if table.num_rows == 0:
        return Orders(columns, _line_columns({name: table.column(name) for name in ("sku", "quantity")}), [0])
    ids, channels = columns["order_id"].dictionary_encode(), columns["channel"].dictionary_encode()
    key = pc.add(pc.multiply(channels.indices.cast(pa.int64()), len(ids.dictionary)), ids.indices.cast(pa.int64()))
    code = key.dictionary_encode().indices  # [row] the order's number, by first appearance
    by_order = pc.sort_indices(code)  # stable: lines keep their order
    ends = pc.run_end_encode(code.take(by_order), run_end_type=pa.int64()).run_ends
    first_line = [0, *ends.to_pylist()]
    heads = by_order.take(pa.array(first_line[:-1], pa.int64()))
    taken = {name: column.take(heads) for name, column in columns.items()}
    for name, column in columns.items():
        _same_in_order(name, column, taken[name].take(code), columns["order_id"])
    there = ["sku", "quantity", *(name for name in PRICES if name in table.column_names)]
    lines = {name: column.take(by_order) for name, column in _line_columns({n: table.column(n) for n in there}).items()}
    return Orders(taken, lines, first_line)


def _same_in_order(name: str, given: Any, first: Any, order_id: Any) -> None:
    pc = arrow().compute
    same = pc.or_kleene(pc.equal(given, first), pc.and_(pc.is_null(given), pc.is_null(first))).fill_null(False)
    row = pc.index(same, False).as_py()
    if row >= 0:
        raise ValueError(
            f"row {row + 1}, {name} {given[row].as_py()!r}: the order {order_id[row].as_py()!r} has"
            f" {first[row].as_py()!r} in an earlier row; an order has one {name}"
        )


def batches(orders: Orders, batch_orders: int = BATCH_ORDERS) -> Iterator[OrderBatch]:
    """The orders in batches of at most so many, and of at most 65,536 lines."""
    if not 1 <= batch_orders <= BATCH_ORDERS_MAX:
        raise ValueError(f"batch_orders: {batch_orders}: give 1 to {BATCH_ORDERS_MAX:,}")
    start = 0
    while start < len(orders):
        stop = min(start + batch_orders, len(orders))
        while orders.first_line[stop] - orders.first_line[start] > BATCH_LINES_MAX and stop > start + 1:
            stop = start + (stop - start) // 2
        yield _batch(orders, start, stop)
        start = stop


def _batch(orders: Orders, start: int, stop: int) -> OrderBatch:
    pa = arrow()
    first, end = orders.first_line[start], orders.first_line[stop]
    lines = {name: column.slice(first, end - first) for name, column in orders.lines.items()}
    lines["sku"] = lines["sku"].dictionary_encode()
    offsets = pa.array([line - first for line in orders.first_line[start : stop + 1]], pa.int32())
    columns = {name: column.slice(start, stop - start) for name, column in orders.columns.items()}
    sent = {name: column.dictionary_encode() if name in FEW_VALUES else column for name, column in columns.items()}
    struct = pa.StructArray.from_arrays(list(lines.values()), list(lines))
    sent["lines"] = pa.ListArray.from_arrays(offsets, struct)
    batch = pa.RecordBatch.from_arrays(list(sent.values()), names=list(sent))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    request = orders_pb2.AllocateBatchesRequest(batch=sink.getvalue().to_pybytes())
    return OrderBatch(columns["order_id"], columns["channel"], request)


def results(batch: OrderBatch, answer: orders_pb2.AllocateBatchesResponse) -> Any:
    """A table of `result_schema`, a row an order of the batch. Raises AllotError for an answer of another length."""
    pa = arrow()
    schema, count = result_schema(), len(batch)
    if answer.WhichOneof("result") == "problem":
        columns = _untaken(answer.problem, count)
    else:
        found = pa.ipc.open_stream(answer.batch).read_all().combine_chunks()
        if found.num_rows != count:
            raise AllotError(grpc.StatusCode.INTERNAL, f"the server answered {found.num_rows} orders of {count}")
        descriptor = types_pb2.Outcome.DESCRIPTOR
        names = [enum_name(descriptor, number) if number else None for number in range(256)]
        columns = {name: _one(found.column(name)) for name in ("number", "again", "reason", "field")}
        columns["outcome"] = pa.array(names, pa.string()).take(_one(found.column("outcome")))
        columns["parts"] = _parts(_one(found.column("parts")), schema.field("parts").type)
        columns["message"] = pa.nulls(count, pa.string())
    columns |= {"order_id": batch.order_id, "channel": batch.channel}
    return pa.table([columns[field.name].cast(field.type) for field in schema], schema=schema)


def _untaken(problem: types_pb2.Problem, count: int) -> dict[str, Any]:
    pa = arrow()
    parts = result_schema().field("parts").type
    return {
        "outcome": pa.nulls(count, pa.string()),
        "number": pa.repeat(0, count),
        "again": pa.repeat(False, count),
        "reason": pa.repeat(problem.reason, count),
        "field": pa.repeat(problem.field, count) if problem.field else pa.nulls(count, pa.string()),
        "message": pa.repeat(problem.message, count),
        "parts": pa.array([[]] * count, parts),
    }


def _parts(lists: Any, kind: Any) -> Any:
    """Lists of parts with plain texts: dictionaries differ from batch to batch."""
    pa = arrow()
    flat, struct = pa.compute.list_flatten(lists), kind.value_type
    fields = [struct.field(number) for number in range(struct.num_fields)]
    columns = [pa.compute.struct_field(flat, field.name).cast(field.type) for field in fields]
    counts = pa.compute.list_value_length(lists).fill_null(0).cast(pa.int32())
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pa.compute.cumulative_sum(counts)])
    return pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays(columns, fields=fields))


def joined(tables: list[Any]) -> Any:
    """One table of results."""
    pa = arrow()
    return pa.concat_tables(tables) if tables else result_schema().empty_table()
