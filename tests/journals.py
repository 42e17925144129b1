"""Journals that tests fill, spoil and read: with small segments, and bodies that follow from their sequence."""

import random
from typing import Any

from engine.journal import JournalStore
from engine.journal import frame as frames
from engine.journal.frame import HEADER_BYTES
from engine.journal.segment import segment_name
from engine.journal.segments import Journal
from tests.fake_disk import FakeDisk

SEAL_BYTES = 8192
CHUNK_BYTES = 4096
FIRST = segment_name(1)


def open_journal(disk: Any, read_only: bool = False) -> Journal:
    return Journal.open(disk, read_only, seal_bytes=SEAL_BYTES, chunk_bytes=CHUNK_BYTES)


def body_of(sequence: int, length: int) -> bytes:
    return random.Random(sequence).randbytes(length)


def append(journal: JournalStore, *bodies: bytes) -> None:
    for body in bodies:
        journal.reserve(len(body))
        journal.append(journal.next_sequence, 1000 * journal.next_sequence, [body])


def filled(disk: Any, count: int, length: int = 300) -> Journal:
    journal = open_journal(disk)
    append(journal, *(body_of(sequence, length) for sequence in range(1, count + 1)))
    return journal


def bodies(journal: JournalStore, from_sequence: int = 1) -> list[bytes]:
    return [bytes(record.body) for record in journal.read(from_sequence)]


def rewrite(disk: FakeDisk, name: str, offset: int, **fields: Any) -> None:
    """Change fields of a header, its checksum included."""
    content = disk.content(name)
    header = frames.unpack(bytes(content[offset : offset + HEADER_BYTES]))
    assert header is not None
    values = (header._replace(**fields))[:-1]
    head = frames._HEADER.pack(*values)
    content[offset : offset + HEADER_BYTES] = head + frames._CHECKSUM.pack(frames.checksum(head))
