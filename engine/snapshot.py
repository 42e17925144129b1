"""Snapshots: the state's columns as one checksummed file, so that a start replays the tail only.

Built from sealed segments beside the writer (`build_snapshot`), never from the live state. Derived columns are left
out and rebuilt on load. The body is a JSON directory (name, dtype, shape, offset), then the columns, 64-byte aligned.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from engine.apply import apply_record
from engine.columns import RoomAhead
from engine.disk import Disk
from engine.expected import DTYPES
from engine.folder import IDENTITY
from engine.journal import JournalDamaged
from engine.journal.container import map_file, write_file
from engine.journal.records import decode
from engine.outcomes import EngineError, Namespace
from engine.policies import COLUMNS
from engine.state import State
from engine.terms import TERMS
from kernels.columns import POLICY_FIGURES, Documents, Head
from kernels.distance import rank
from kernels.keys import SEGMENT_USED_MAX, Size, entries_of, fill_segments

PREFIX, SUFFIX = "snapshot-", ".snap"
SNAPSHOTS_KEPT = 2
_ALIGNMENT = 64
DAYS = ("terms", "number", "taken", "since")
MONEY_OF_ORDERS, MONEY_OF_LINES = ("currency", "method", "kept", "pay_by"), ("units", "amounts")
DOCUMENT_COLUMNS = tuple(name for name in Documents._fields if name not in ("of_order", "touched", "touched_rows"))


def snapshot_name(sequence: int) -> str:
    """File name of the snapshot at a sequence."""
    return f"{PREFIX}{sequence:016d}{SUFFIX}"


def snapshots(disk: Disk) -> list[tuple[int, str]]:
    """(sequence, file name) of each snapshot, oldest first."""
    names = (name for name in disk.names() if name.startswith(PREFIX) and name.endswith(SUFFIX))
    return sorted((int(name[len(PREFIX) : -len(SUFFIX)]), name) for name in names)


def _columns(state: State) -> Iterator[tuple[str, Any]]:
    """Every column that a snapshot keeps, cut to what is used."""
    nodes, codes = state.node_count, len(state.names[Namespace.POSTAL_CODE])
    skus, channels = len(state.names[Namespace.SKU]), len(state.names[Namespace.CHANNEL])
    rows = state.head(Head.CELL_ROWS)
    for namespace, names in state.names.items():
        texts = names.texts(np.arange(len(names), dtype=np.int32))
        _, offsets, data = texts.buffers()
        yield (
            f"names_{namespace}_offsets",
            np.frombuffer(offsets, np.int32)[: len(names) + 1] if len(names) else np.zeros(1, np.int32),
        )
        yield f"names_{namespace}_data", np.frombuffer(data, np.uint8) if data and len(names) else np.empty(0, np.uint8)
    for name, place, count in (("nodes", state.nodes, nodes), ("postal_codes", state.postal_codes, codes)):
        for field in ("latitude_e7", "longitude_e7", "flag"):
            yield f"{name}_{field}", getattr(place, field)[:count]
    if state.days.is_put:
        for field in DAYS:
            yield f"days_{field}", getattr(state.days, field)[:nodes]
    yield "metres", np.ascontiguousarray(state.places.metres[:codes, :nodes])
    yield "groups", state.groups[:channels]
    for name, column in (("excluded", state.excluded), ("preferred", state.policies.preferred)):
        if column[:channels].any():
            yield name, column[:channels]
    yield "groups_since", state.groups_since[:channels]
    policies = state.policies
    for field in ("split", "priority", *POLICY_FIGURES):
        yield f"policy_{field}", getattr(policies, field)[:channels]
    yield "policy_on_short", state.on_short[:channels]
    yield "policy_closed", state.closed[:channels]
    yield "exception_head", policies.exception_head[:skus]
    for field in ("exception_channel", "exception_figures", "exception_next"):
        yield field, getattr(policies, field)[: state.exceptions_used]
    yield "fence_head", state.fences.head[:skus]
    for field in state.fences._fields[1:]:
        yield f"fence_{field}", getattr(state.fences, field)[: state.fences_used]
    yield "row_of", state.cells.row_of[:skus]
    yield "sku_of_row", state.book.sku_of_row[:rows]
    yield "waiting", state.book.waiting[:skus]
    yield "figures", np.ascontiguousarray(state.cells.figures[:rows, :nodes])
    for name, columns, head in (
        ("order", state.book.orders, Head.ORDERS),
        ("line", state.book.lines, Head.LINES),
        ("part", state.book.parts, Head.PARTS),
    ):
        for field in columns._fields:
            yield f"{name}_{field}", getattr(columns, field)[: state.head(head)]
    if state.terms.any_asked:
        for field in TERMS:
            yield f"order_{field}", getattr(state.terms, field)[: state.head(Head.ORDERS)]
    yield from _life(state, skus, nodes, codes)
    yield "heads", state.book.heads
    yield "digest", state.book.digest
    keys, segments = state.keys, int(state.keys.sizes[Size.SEGMENTS])
    yield "key_sizes", keys.sizes
    yield "key_directory", keys.directory[: 1 << keys.sizes[Size.BITS]]
    yield "key_depth", keys.depth[:segments]
    yield "key_used", keys.used[:segments]
    yield "key_entries", entries_of(keys)
    yield "counted_at", np.array(sorted(state.counted_at.items()), np.int64).reshape(-1, 2)
    if state.expected.rows:
        for name, column in state.expected.columns().items():
            yield f"supply_{name}", column


def _life(state: State, skus: int, nodes: int, codes: int) -> Iterator[tuple[str, Any]]:
    """Prices, documents and their items, the ledger, policies; those of which there are any."""
    book, orders, lines = state.book, state.head(Head.ORDERS), state.head(Head.LINES)
    if book.money.currency[:orders].any():
        for field in MONEY_OF_ORDERS:
            yield f"money_{field}", getattr(book.money, field)[:orders]
        for field in MONEY_OF_LINES:
            yield f"money_{field}", getattr(book.money, field)[:lines]
    if state.head(Head.DOCUMENTS):
        yield "documents_of_order", book.documents.of_order[:orders]
        for field in DOCUMENT_COLUMNS:
            yield f"document_{field}", getattr(book.documents, field)[: state.head(Head.DOCUMENTS)]
        for field in book.items._fields:
            yield f"item_{field}", getattr(book.items, field)[: state.head(Head.ITEMS)]
    if state.ledger.balances:
        yield "ledger", state.ledger.columns()
    if book.invoices.any():
        yield "invoices", book.invoices
    after = state.afterwards
    for name, column in (
        ("category", after.category[:skus]), ("node_region", after.node_region[:nodes]),
        ("code_region", after.code_region[:codes]),
    ):  # fmt: skip
        if column.any():
            yield f"after_{name}", column
    if after.policies.channel.size > 1:
        for name, column in after.policies._asdict().items():
            yield f"return_policy_{name}", column[1:]


def _fill_life(state: State, columns: dict[str, Any]) -> None:
    book = state.book
    for field in (*MONEY_OF_ORDERS, *MONEY_OF_LINES):
        if f"money_{field}" in columns:
            _put(getattr(book.money, field), columns[f"money_{field}"])
    if "documents_of_order" in columns:
        _put(book.documents.of_order, columns["documents_of_order"])
        for field in DOCUMENT_COLUMNS:
            _put(getattr(book.documents, field), columns[f"document_{field}"])
        for field in book.items._fields:
            _put(getattr(book.items, field), columns[f"item_{field}"])
    if "invoices" in columns:
        _put(book.invoices, columns["invoices"])
    if "ledger" in columns:
        state.ledger.fill(columns["ledger"])
    after = state.afterwards
    for name in ("category", "node_region", "code_region"):
        if f"after_{name}" in columns:
            _put(getattr(after, name), columns[f"after_{name}"])
    if "return_policy_channel" in columns:
        after.put_policies({name: columns[f"return_policy_{name}"] for name in COLUMNS})


def write_snapshot(disk: Disk, state: State) -> str:
    """Write the state durably; returns the file's name. OSError leaves what was there."""
    directory, buffers, offset = [], [], 0
    for name, column in _columns(state):
        column = np.ascontiguousarray(column)
        directory.append([name, column.dtype.str, list(column.shape), offset])
        padding = -column.nbytes % _ALIGNMENT
        buffers += [column.data.cast("B") if column.nbytes else b"", bytes(padding)]
        offset += column.nbytes + padding
    head = json.dumps(directory).encode()
    head += b" " * (-(8 + len(head)) % _ALIGNMENT)
    name = snapshot_name(state.sequence)
    write_file(disk, name, state.sequence, state.stamp, [len(head).to_bytes(8, "little"), head, *buffers])
    for _, old in snapshots(disk)[:-SNAPSHOTS_KEPT]:
        disk.remove(old)
    return name


def load_snapshot(disk: Disk, name: str, state: State) -> None:
    """Fill an empty state. JournalDamaged where the file is not as it was written."""
    sequence, stamp, body = map_file(disk, name)
    size = int.from_bytes(body[:8], "little")
    columns: dict[str, Any] = {}
    for field, dtype, shape, offset in json.loads(bytes(body[8 : 8 + size])):
        count = int(np.prod(shape, dtype=np.int64))
        columns[field] = (
            np.frombuffer(body, dtype, count, 8 + size + offset).reshape(shape) if count else np.empty(shape, dtype)
        )
    _check_limits(state, name, columns)
    _fill(state, columns)
    unknown = np.full(columns["groups"].shape[0], sequence, np.int64)  # of a snapshot that does not say it: not before
    _put(state.groups_since, columns.get("groups_since", unknown))
    state.sequence, state.stamp = sequence, stamp
    state.rebuild_derived()


def _check_limits(state: State, name: str, columns: dict[str, Any]) -> None:
    """Raise EngineError where the folder's limits are below what the snapshot holds."""
    keys = max(columns["key_entries"].shape[0], (columns["key_used"].shape[0] - 2) * (SEGMENT_USED_MAX // 4) + 1)
    for field, held in (
        ("skus_max", columns["row_of"].shape[0]),
        ("channels_max", columns["groups"].shape[0]),
        ("postal_codes_max", columns["metres"].shape[0]),
        ("orders_max", columns["order_number"].shape[0]),
        ("lines_max", columns["line_quantity"].shape[0]),
        ("parts_max", columns["part_quantity"].shape[0]),
        ("keys_max", keys),  # the segments of the index want room too
        ("fences_max", columns["fence_node"].shape[0]),
        ("exceptions_max", columns["exception_channel"].shape[0]),
        ("documents_max", columns["document_number"].shape[0] if "document_number" in columns else 0),
        ("items_max", columns["item_units"].shape[0] if "item_units" in columns else 0),
        ("supply_max", columns["supply_sku"].shape[0] if "supply_sku" in columns else 0),
    ):
        limit = getattr(state.limits, field)
        if held > limit:
            raise EngineError(f"{field} is {limit}, {name} needs {held}: set it to {held} or more in {IDENTITY}")


def _fill(state: State, columns: dict[str, Any]) -> None:
    nothing = np.empty(0, np.int32)  # of a column that was added since the snapshot was written: 0 everywhere
    for namespace, names in state.names.items():
        offsets = np.ascontiguousarray(columns[f"names_{namespace}_offsets"])
        data = columns[f"names_{namespace}_data"]
        count = offsets.size - 1
        if count:
            names.add(pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(data)))
            state.new_names(Namespace(namespace), 0, count)
    for name, place in (("nodes", state.nodes), ("postal_codes", state.postal_codes)):
        for field in ("latitude_e7", "longitude_e7", "flag"):
            _put(getattr(place, field), columns[f"{name}_{field}"])
    if "days_terms" in columns:
        state.days.fill(*(columns[f"days_{field}"] for field in DAYS))
    codes, nodes = columns["metres"].shape
    state.places.metres[:codes, :nodes] = columns["metres"]
    if codes:
        rank(state.places.metres[:codes], nodes, state.places.rank[:codes])
    _put(state.groups, columns["groups"])
    for name, column in (("excluded", state.excluded), ("preferred", state.policies.preferred)):
        if name in columns:
            _put(column, columns[name])
    for field in ("split", "priority", *POLICY_FIGURES):
        _put(getattr(state.policies, field), columns.get(f"policy_{field}", nothing))
    _put(state.on_short, columns["policy_on_short"])
    _put(state.closed, columns.get("policy_closed", nothing))
    for field in ("exception_head", "exception_channel", "exception_next"):
        _put(getattr(state.policies, field), columns[field])
    figures = columns["exception_figures"]
    _put(state.policies.exception_figures[:, : figures.shape[1]], figures)
    state.exceptions_used = columns["exception_channel"].size
    for field in state.fences._fields:
        _put(getattr(state.fences, field), columns[f"fence_{field}"])
    state.fences_used = columns["fence_node"].size
    _put(state.cells.row_of, columns["row_of"])
    _put(state.book.sku_of_row, columns["sku_of_row"])
    _put(state.book.waiting, columns["waiting"])
    rows = columns["figures"].shape[0]
    state.cells.figures[:rows, :nodes] = columns["figures"]
    for name, target in (("order", state.book.orders), ("line", state.book.lines), ("part", state.book.parts)):
        for field in target._fields:
            _put(getattr(target, field), columns[f"{name}_{field}"])
    state.terms.any_asked = f"order_{TERMS[0]}" in columns
    for field in TERMS:
        _put(getattr(state.terms, field), columns.get(f"order_{field}", nothing))
    _fill_life(state, columns)
    _put(state.book.heads, columns["heads"])  # an older snapshot has fewer of them
    state.book.heads[Head.CHANGED_ROWS] = 0
    state.book.digest[:] = columns["digest"]
    state.counted_at = {int(source): int(at) for source, at in columns["counted_at"]}
    if "supply_sku" in columns:
        state.expected.set({name: columns[f"supply_{name}"] for name in DTYPES})
    for field in ("sizes", "directory", "depth", "used"):
        _put(getattr(state.keys, field), columns[f"key_{field}"])
    fill_segments(state.keys, columns["key_entries"])


def _put(target: Any, values: Any) -> None:
    target[: values.shape[0]] = values


def start_state(disk: Disk, journal: Any, state: State, progress: Callable[[int, int], None] | None = None) -> str:
    """Bring a state to the journal's end: the last snapshot, then the tail. Returns the snapshot's name, or ''."""
    last = journal.next_sequence - 1
    name = ""
    found = snapshots(disk)
    if found:
        sequence, name = found[-1]
        if sequence > last:
            raise JournalDamaged(name, 0, sequence, f"the journal ends at {last}: records are missing at its end")
        _load_or_mend(disk, journal, found, state)
    replay(journal, state, progress)
    state.watch_anew()
    return name


def _load_or_mend(disk: Disk, journal: Any, found: list[tuple[int, str]], state: State) -> None:
    """Load the last of the snapshots found; where it is damaged, say whether the rest can do without it."""
    try:
        load_snapshot(disk, found[-1][1], state)
    except JournalDamaged as error:
        before = found[-2] if len(found) > 1 else (0, "")
        if whole_from(journal) > before[0] + 1:
            mend = "restore the folder from a backup"
        elif before[0]:
            mend = f"remove the file: {before[1]} and the journal have it all"
        else:
            mend = "remove the file: the journal has it all"
        raise JournalDamaged(error.segment, error.offset, error.sequence, f"{error.found}; {mend}") from error


def whole_from(journal: Any) -> int:
    """The first sequence from which on the journal has every record."""
    first: int = journal.next_sequence
    for segment in reversed(journal.segments()):
        if segment.next_sequence != first:
            break
        first = segment.first_sequence
    return first


def replay(
    journal: Any, state: State, progress: Callable[[int, int], None] | None = None, up_to: int | None = None
) -> None:
    """Apply the records after the state's sequence, to the end or up to a sequence."""
    last = journal.next_sequence - 1 if up_to is None else up_to
    if state.sequence >= last:
        return
    with RoomAhead(state.growing()) as room_ahead:
        for record in journal.read(state.sequence + 1):
            apply_record(state, record.sequence, record.stamp, decode(record.body))
            room_ahead.want()
            if progress:
                progress(record.sequence, last)
            if record.sequence >= last:
                break


def build_snapshot(
    disk: Disk, journal: Any, state: State, progress: Callable[[int, int], None] | None = None
) -> str | None:
    """Write a snapshot at the end of the last sealed segment, from the one before and the segments since.

    state: an empty one. Returns the file's name, or None where there is nothing new to keep.
    """
    up_to = journal.sealed_up_to
    found = [entry for entry in snapshots(disk) if entry[0] <= up_to]
    if up_to == 0 or (found and found[-1][0] == up_to):
        return None
    if found:
        _load_or_mend(disk, journal, found, state)
    replay(journal, state, progress, up_to)
    if not state.digest_from_scratch():
        raise EngineError(f"sequence {state.sequence}: the digest does not fit the rows; no snapshot was written")
    return write_snapshot(disk, state)
