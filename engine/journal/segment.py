"""One segment file: its header, its seal, its records in order. segments.py strings them together.

A segment that is being written is read through `read`, never through a map, until its records are known to be whole:
a writer beside may cut the file at its last record when it seals it.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from engine.disk import Disk
from engine.journal import JournalDamaged, JournalMissing, JournalNewer
from engine.journal.frame import (
    HEADER_BYTES,
    RECORD,
    SEAL,
    SEGMENT,
    Fetch,
    Frame,
    Look,
    Place,
    find_after,
    look,
    mask,
    padded,
    unpack,
)
from engine.schema import SCHEMA_VERSION

FORMAT_VERSION = 1
ARCHIVE = "archive/"
_MARK_RECORDS = 256  # one record in so many has its offset in memory


class Tail(NamedTuple):
    """What stands behind the last whole record of a segment that is not sealed, and is not a record."""

    offset: int
    size_bytes: int  # up to the last byte that is not zero; 0 where nothing was written
    found: str


@dataclass
class Segment:
    """What is known of a segment. `start` and `end` are what its first and its next record follow on."""

    name: str
    previous: int  # checksum of the frame before its header: of the seal of the segment before
    start: Place
    end: Place
    tail: int = HEADER_BYTES  # bytes, up to the end of the last record or the seal
    sealed: bool = False
    _marks: dict[int, int] = field(default_factory=dict)  # k -> offset of record first + 256 k, without gaps
    _mapped: tuple[memoryview, int] | None = None  # the file, and how many of its bytes may be touched

    @property
    def archived(self) -> bool:
        return self.name.startswith(ARCHIVE)

    def take(self, frame: Frame) -> None:
        """Count in the frame at the tail."""
        if frame.magic == SEAL:
            self.sealed = True
        else:
            self._mark(frame.sequence, self.tail)
        self.tail += frame.extent
        self.end = Place(frame.sequence + (frame.magic == RECORD), frame.stamp, frame.checksum)

    def damaged(self, offset: int, found: str, sequence: int | None = None) -> JournalDamaged:
        return JournalDamaged(self.name, offset, self.end.sequence if sequence is None else sequence, found)

    def walk(self, disk: Disk, from_sequence: int) -> Iterator[tuple[Frame, memoryview]]:
        """Frames and bodies of the records from a sequence on, checked; of those before it only what leads there."""
        view, end = self._map(disk, from_sequence), self.tail
        marked = min((from_sequence - self.start.sequence) // _MARK_RECORDS, len(self._marks) - 1)
        place, offset = self.start, HEADER_BYTES
        if marked > 0:
            offset = self._marks[marked]
            sequence = self.start.sequence + marked * _MARK_RECORDS
            header = self._header(view, offset, sequence)
            place = Place(sequence, header.stamp, header.previous)

        def fetch(at: int, length: int) -> memoryview:
            return view[at : at + length]

        while offset < end:
            if place.sequence < from_sequence:
                frame = self._header(view, offset, place.sequence)
            else:
                seen = look(fetch, offset, end, place)
                if seen.frame is None:
                    raise self.damaged(offset, seen.fault or "nothing is written here", place.sequence)
                frame = seen.frame
            check_schema(self.name, frame)
            if frame.magic == SEAL:
                return
            self._mark(place.sequence, offset)
            if place.sequence >= from_sequence:
                yield frame, self._body(view, offset + HEADER_BYTES, frame)
            place = Place(place.sequence + 1, frame.stamp, frame.checksum)
            offset += frame.extent

    def first_since(self, disk: Disk, stamp: int) -> int:
        """The first record that has this stamp or a later one, by the headers alone; there is one."""
        view, marked = self._map(disk, self.start.sequence), range(len(self._marks))

        def stamp_at(mark: int) -> int:
            return self._header(view, self._marks[mark], self.start.sequence + mark * _MARK_RECORDS).stamp

        mark = max(bisect_left(marked, stamp, key=stamp_at) - 1, 0)
        sequence, offset = self.start.sequence + mark * _MARK_RECORDS, self._marks.get(mark, HEADER_BYTES)
        while (frame := self._header(view, offset, sequence)).stamp < stamp:
            self._mark(sequence, offset)
            sequence, offset = sequence + 1, offset + frame.extent
        return sequence

    def take_whole(self, disk: Disk, fetch: Fetch, looks: int = 1) -> Look:
        """Take in all whole records from the tail on, up to the seal or the end; what stands there then.

        Beside a live writer the last one may be half written for a moment: look at it several times.
        """
        size = disk.size(self.name)
        seen = Look(None)
        while not self.sealed:
            seen = look(fetch, self.tail, size, self.end)
            if seen.frame is not None:
                check_schema(self.name, seen.frame)
                self.take(seen.frame)
            elif seen.fault and looks > 1:
                size = disk.size(self.name)
                looks -= 1
            else:
                break
        return seen

    def scan(self, disk: Disk, fetch: Fetch, looks: int = 1) -> Tail:
        """Take in all whole records and judge what follows. JournalDamaged where no crash explains it."""
        seen = self.take_whole(disk, fetch, looks)
        size = disk.size(self.name)
        if self.sealed:
            _, filled = find_after(fetch, self.tail, size, self.end.sequence)
            if filled > self.tail:
                raise self.damaged(filled - 1, "there are bytes after the seal")
            return Tail(self.tail, 0, "")
        if not seen.torn:
            raise self.damaged(self.tail, seen.fault)
        after = self.tail + HEADER_BYTES
        follows, filled = find_after(fetch, after, size, self.end.sequence + 1)
        found = seen.fault or "the first sector of the record is missing"
        if follows is not None:
            raise self.damaged(self.tail, f"{found}, yet a whole record follows at byte {follows}")
        if not seen.fault and filled == after:
            return Tail(self.tail, 0, "")
        return Tail(self.tail, filled - self.tail, found)

    def drop_map(self) -> None:
        self._mapped = None

    def _body(self, view: memoryview, offset: int, frame: Frame) -> memoryview:
        if frame.masked == 0:
            return view[offset : offset + frame.length]
        body = bytearray(view[offset : offset + padded(frame.length)])
        mask(body, offset)
        return memoryview(body)[: frame.length]

    def _mark(self, sequence: int, offset: int) -> None:
        mark, rest = divmod(sequence - self.start.sequence, _MARK_RECORDS)
        if rest == 0:
            self._marks[mark] = offset

    def _header(self, view: memoryview, offset: int, sequence: int) -> Frame:
        frame = unpack(view[offset : offset + HEADER_BYTES])
        if frame is None:
            raise self.damaged(offset, "the checksum of the header is wrong", sequence)
        if frame.magic != RECORD or frame.sequence != sequence:
            raise self.damaged(offset, f"sequence {frame.sequence} stands here", sequence)
        return frame

    def _map(self, disk: Disk, sequence: int) -> memoryview:
        """The file's bytes; only those up to the tail may be touched, because sealing cuts off what is behind."""
        tail = self.tail
        if self._mapped is None or self._mapped[1] < tail:
            try:
                view = disk.map(self.name)
            except FileNotFoundError:
                if self.archived:
                    raise JournalMissing(sequence) from None
                self.name = ARCHIVE + self.name  # moved by the writer beside
                return self._map(disk, sequence)
            if len(view) < tail:
                raise self.damaged(len(view), f"the file ends at byte {len(view)}, yet {tail} bytes were written")
            self._mapped = view, tail
        return self._mapped[0]


def segment_name(first_sequence: int) -> str:
    return f"journal-{first_sequence:016d}.seg"


def first_sequence(name: str) -> int | None:
    """Of a segment by its name; None where it is no segment's."""
    digits = name.removeprefix(ARCHIVE).removeprefix("journal-").removesuffix(".seg")
    return int(digits) if digits.isdigit() and name.removeprefix(ARCHIVE) == segment_name(int(digits)) else None


def check_schema(name: str, frame: Frame) -> None:
    if frame.version > SCHEMA_VERSION:
        raise JournalNewer(f"{name}, sequence {frame.sequence},", "schema", frame.version, SCHEMA_VERSION)


def read_start(disk: Disk, name: str) -> Segment | None:
    """A segment by its header, as if it were empty. None where the whole file is zero: a crash while it was made."""
    first = first_sequence(name)
    assert first is not None, "only names of segments come here"
    raw = disk.read(name, 0, HEADER_BYTES)
    if not any(raw):
        _, filled = find_after(lambda at, length: disk.read(name, at, length), 0, disk.size(name), first)
        if filled == 0:
            return None
    frame = unpack(raw) if len(raw) == HEADER_BYTES else None
    if frame is None or frame.magic != SEGMENT:
        raise JournalDamaged(name, 0, first, "the header of the segment is wrong")
    if frame.version > FORMAT_VERSION:
        raise JournalNewer(name, "format", frame.version, FORMAT_VERSION)
    if frame.sequence != first:
        raise JournalDamaged(name, 0, first, f"the header is that of sequence {frame.sequence}")
    start = Place(first, frame.stamp, frame.checksum)
    return Segment(name, frame.previous, start, start)


def read_seal(disk: Disk, segment: Segment) -> None:
    """Take the end of a sealed segment from the last bytes of its file."""
    size = disk.size(segment.name)
    raw = disk.read(segment.name, size - HEADER_BYTES, HEADER_BYTES) if size >= 2 * HEADER_BYTES else b""
    frame = unpack(raw) if len(raw) == HEADER_BYTES else None
    if frame is None or frame.magic != SEAL or frame.sequence <= segment.start.sequence:
        raise segment.damaged(max(size - HEADER_BYTES, 0), "it does not end with a seal, yet others follow")
    segment.tail = size - HEADER_BYTES
    segment.take(frame)


def check_order(before: Segment | None, segment: Segment) -> None:
    """The segment goes on where the one before ended. Only behind archived ones some may be missing."""
    if before is None or (before.archived and segment.start.sequence > before.end.sequence):
        return
    if segment.start.sequence != before.end.sequence:
        found = f"sequence {before.end.sequence} should follow on {before.name}: a segment is missing"
        raise segment.damaged(0, found, segment.start.sequence)
    if (segment.previous, segment.start.stamp) != (before.end.previous, before.end.stamp):
        found = f"it does not follow on {before.name} (checksum chain)"
        raise segment.damaged(0, found, segment.start.sequence)
