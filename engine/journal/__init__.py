"""The journal: every commit, in order, durable before anybody is answered. The writer appends, replay and views read.

Here stand the interface that any store of records keeps, and its errors. Segments of files are in segments.py; a
Redis stream or a PostgreSQL table can stand in their place, because the expected sequence is the fence.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol


class Record(NamedTuple):
    """One commit."""

    sequence: int  # from 1, without gaps
    stamp: int  # UTC, microseconds; never goes back
    body: memoryview  # tables, as engine/journal/records.py writes them


class JournalStore(Protocol):
    """What the writer, replay and followers need of a journal."""

    @property
    def next_sequence(self) -> int:
        """Sequence of the next record; 1 in an empty journal."""
        ...

    @property
    def last_stamp(self) -> int:
        """Stamp of the last record, microseconds; 0 in an empty journal."""
        ...

    @property
    def room(self) -> int:
        """Bytes of further bodies that are set aside."""
        ...

    def reserve(self, body_bytes: int) -> None:
        """Set room aside for a record of at most `body_bytes`, or for several: each further one takes 64 bytes more.

        JournalFull is soft: nothing has changed, try later.
        """
        ...

    def append(self, expected_sequence: int, stamp: int, buffers: Sequence[Any]) -> None:
        """Append one record and make it durable. Fenced: somebody else wrote. JournalBroken: final."""
        ...

    def read(self, from_sequence: int) -> Iterator[Record]:
        """All records from there to the last one, checked. JournalMissing, JournalDamaged, JournalNewer."""
        ...

    def record(self, sequence: int) -> Record:
        """One record, checked. JournalMissing where there is none."""
        ...

    def first_since(self, stamp: int) -> int:
        """Sequence of the first record here that has this stamp or a later one; of the next record if none has."""
        ...

    def seal(self) -> None:
        """Close what has been written so far; it never changes again."""
        ...

    def close(self) -> None: ...


class JournalError(Exception):
    """Anything the journal refuses."""


class JournalFull(JournalError):
    """No room for another record. Nothing was written; reads go on, and writes once there is space."""


class Fenced(JournalError):
    """The sequence has been taken by another writer: this one must stop."""


class JournalBroken(JournalError):
    """A write or sync failed, so nobody knows what is durable. Final: only a new start, which reads, can tell."""


class JournalMissing(JournalError):
    """The record is not here: archived and moved away, or not written yet."""

    def __init__(self, sequence: int) -> None:
        super().__init__(f"sequence {sequence} is not in this journal (archived and moved away, or not yet written)")
        self.sequence = sequence


class JournalNewer(JournalError):
    """Written by a newer program."""

    def __init__(self, place: str, what: str, found: int, known: int) -> None:
        super().__init__(f"{place} has {what} version {found}; this program knows up to {known}")
        self.found = found
        self.known = known


class JournalDamaged(JournalError):
    """Bytes are not as they were written, and no crash explains it."""

    def __init__(self, segment: str, offset: int, sequence: int, found: str) -> None:
        super().__init__(f"{segment} is damaged at byte {offset}, sequence {sequence}: {found}")
        self.segment = segment
        self.offset = offset
        self.sequence = sequence
        self.found = found
