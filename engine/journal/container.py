"""One checksummed file, for snapshots: the journal's header, then the body. Written whole or not at all, then mapped.

The new file replaces the old one only when it is durable, so a crash leaves either.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import xxhash

from engine.disk import WRITE_BUFFERS_MAX, Disk
from engine.journal import JournalDamaged, JournalNewer
from engine.journal.frame import FILE, HEADER_BYTES, Place, checksum, pack, unpack
from engine.schema import SCHEMA_VERSION

NEW = ".new"  # ends the name of a file that is not finished
PIECE_BYTES_MAX = 4 << 20  # written and synced at once: the journal's next sync waits for a piece, not for the file


def write_file(disk: Disk, name: str, sequence: int, stamp: int, buffers: Sequence[Any]) -> None:
    """Make `name` hold these bytes, durably, in place of what it held. OSError leaves the old file as it was."""
    views = [memoryview(buffer).cast("B") for buffer in buffers if memoryview(buffer).nbytes]
    digest = xxhash.xxh3_64()
    for view in views:
        digest.update(view)
    length = sum(view.nbytes for view in views)
    header, _ = pack(FILE, SCHEMA_VERSION, Place(sequence, 0, 0), stamp, length, digest.intdigest())
    unfinished = name + NEW
    if unfinished in disk.names():
        disk.remove(unfinished)
    try:
        disk.create(unfinished, HEADER_BYTES + length)
        offset = 0
        for group, count in _groups([memoryview(header), *views]):
            disk.write(unfinished, offset, group)
            offset += count
            disk.sync(unfinished)
    except OSError:
        if unfinished in disk.names():
            disk.remove(unfinished)
        raise
    disk.rename(unfinished, name)
    disk.sync_folder()


def _groups(views: Sequence[memoryview]) -> Iterator[tuple[list[memoryview], int]]:
    """Pieces that one write can take, and their bytes."""
    group: list[memoryview] = []
    count = 0
    for view in views:
        for start in range(0, len(view), PIECE_BYTES_MAX):
            piece = view[start : start + PIECE_BYTES_MAX]
            if len(group) == WRITE_BUFFERS_MAX or count + len(piece) > PIECE_BYTES_MAX:
                yield group, count
                group, count = [], 0
            group.append(piece)
            count += len(piece)
    yield group, count


def map_file(disk: Disk, name: str) -> tuple[int, int, memoryview]:
    """Sequence, stamp and body of a file, checked whole. JournalDamaged, JournalNewer, FileNotFoundError.

    The body may be written to: the changes stay in memory.
    """
    view = disk.map(name)
    frame = unpack(view[:HEADER_BYTES]) if len(view) >= HEADER_BYTES else None
    if frame is None or frame.magic != FILE:
        raise JournalDamaged(name, 0, 0, "the checksum of the header is wrong")
    if frame.version > SCHEMA_VERSION:
        raise JournalNewer(name, "schema", frame.version, SCHEMA_VERSION)
    if len(view) != HEADER_BYTES + frame.length:
        found = f"it has {len(view)} bytes, not {HEADER_BYTES + frame.length}"
        raise JournalDamaged(name, min(len(view), HEADER_BYTES + frame.length), frame.sequence, found)
    body = view[HEADER_BYTES:]
    if checksum(body) != frame.body_checksum:
        raise JournalDamaged(name, HEADER_BYTES, frame.sequence, "the checksum of the body is wrong")
    return frame.sequence, frame.stamp, body
