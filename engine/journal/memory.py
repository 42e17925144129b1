"""A journal that keeps nothing, or a list in memory: for stateless jobs and tests, in the place of segments.py."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any

from engine.journal import Fenced, JournalMissing, Record


class MemoryJournal:
    """Counts sequences and refuses a second writer; with `keep`, records can be read back."""

    def __init__(self, keep: bool = False) -> None:
        self.next_sequence = 1
        self.last_stamp = 0
        self._keep = keep
        self._records: list[Record] = []

    @property
    def room(self) -> int:
        """Memory needs no room set aside."""
        return 1 << 62

    def reserve(self, body_bytes: int) -> None:
        """Memory needs no room set aside."""

    def append(self, expected_sequence: int, stamp: int, buffers: Sequence[Any]) -> None:
        if expected_sequence != self.next_sequence:
            raise Fenced(f"sequence {expected_sequence} was expected, the journal is at {self.next_sequence}")
        if stamp < self.last_stamp:
            raise ValueError(f"stamp {stamp} is before {self.last_stamp}")
        if self._keep:
            self._records.append(Record(expected_sequence, stamp, memoryview(bytearray().join(buffers))))
        self.next_sequence += 1
        self.last_stamp = stamp

    def read(self, from_sequence: int) -> Iterator[Record]:
        if from_sequence < self.next_sequence and (from_sequence < 1 or not self._keep):
            raise JournalMissing(from_sequence)
        return iter(self._records[from_sequence - 1 :])

    def record(self, sequence: int) -> Record:
        if not 1 <= sequence <= len(self._records):
            raise JournalMissing(sequence)
        return self._records[sequence - 1]

    def first_since(self, stamp: int) -> int:
        return 1 + bisect_left(self._records, stamp, key=lambda record: record.stamp)

    def seal(self) -> None:
        """Nothing to close."""

    def close(self) -> None:
        """Nothing to close."""
