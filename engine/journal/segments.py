"""The journal as files: preallocated segments of checksummed records, each record synced before the next is written.

The writer appends here after deciding; replay, views, snapshots and `verify` read. What is torn (cut off) and what is
damage (refused) is explained in FORMAT.md.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from engine.disk import OUT_OF_SPACE, Disk
from engine.journal import Fenced, JournalBroken, JournalDamaged, JournalError, JournalFull, JournalMissing, Record
from engine.journal.frame import (
    HEADER_BYTES,
    RECORD,
    SEAL,
    SEGMENT,
    Fetch,
    Frame,
    Place,
    checksum,
    joined,
    mask,
    pack,
    padded,
)
from engine.journal.segment import (
    ARCHIVE,
    FORMAT_VERSION,
    Segment,
    check_order,
    first_sequence,
    read_seal,
    read_start,
    segment_name,
)
from engine.schema import SCHEMA_VERSION

SEAL_BYTES = 256 << 20  # a segment is sealed before it grows beyond this
CHUNK_BYTES = 64 << 20  # space is set aside in such steps
_LOOKS_MAX = 64  # beside a live writer a record may be half written for a moment
_EMPTY = Place(1, 0, 0)
_SCRUB_BYTES = 1 << 20


class SegmentInfo(NamedTuple):
    """One segment, for listings."""

    name: str
    first_sequence: int
    next_sequence: int
    size_bytes: int  # up to the end of the last record or the seal
    sealed: bool
    archived: bool


class CutOff(NamedTuple):
    """A write at the end that a crash tore. It was never acknowledged, and is gone (not yet, where read-only)."""

    segment: str
    offset: int
    sequence: int
    size_bytes: int
    found: str


class Journal:
    """One writer; readers in other threads and, opened read-only, in other processes beside it."""

    def __init__(self, disk: Disk, read_only: bool, seal_bytes: int, chunk_bytes: int) -> None:
        self._disk = disk
        self._read_only = read_only
        self._seal_bytes = seal_bytes
        self._chunk_bytes = chunk_bytes
        self._segments: list[Segment] = []
        self._allocated = 0  # bytes of the last segment, durably set aside
        self._reserved = -1  # bytes of further bodies that there is room for
        self._failed: BaseException | None = None
        self.cut_off: CutOff | None = None

    @classmethod
    def open(
        cls, disk: Disk, read_only: bool = False, *, seal_bytes: int = SEAL_BYTES, chunk_bytes: int = CHUNK_BYTES
    ) -> "Journal":
        """Check header and seal of all segments and every record of the last one; cut off a torn tail.

        JournalDamaged, JournalNewer, OSError. Read-only nothing is changed, and a writer may be at work beside.
        """
        for attempt in range(_LOOKS_MAX):
            journal = cls(disk, read_only, seal_bytes, chunk_bytes)
            try:
                journal._open()
                break
            except FileNotFoundError:  # the writer beside has moved a segment into the archive
                if not read_only or attempt == _LOOKS_MAX - 1:
                    raise
        return journal

    @property
    def next_sequence(self) -> int:
        """Sequence of the next record; 1 in an empty journal."""
        return self._end.sequence

    @property
    def last_stamp(self) -> int:
        """Stamp of the last record, microseconds; 0 in an empty journal."""
        return self._end.stamp

    @property
    def sealed_up_to(self) -> int:
        """The last sequence in a sealed segment; 0 where there is none."""
        return max((segment.end.sequence - 1 for segment in self._segments if segment.sealed), default=0)

    @property
    def room(self) -> int:
        """Bytes of further bodies that are set aside."""
        return self._reserved

    def segments(self) -> list[SegmentInfo]:
        """All segments present, archived ones too, in order."""
        return [_info(segment) for segment in self._segments]

    def reserve(self, body_bytes: int) -> None:
        """Set room aside for a record of at most `body_bytes`, in a new segment where this one is full.

        It may be used up by several records; each after the first takes HEADER_BYTES more of it.
        JournalFull is soft: the disk has no space, no record has been touched, try again later. All else is final.
        """
        self._check_usable()
        needed = HEADER_BYTES + padded(body_bytes) + HEADER_BYTES  # the last one for a seal
        active = self._active
        if active is not None and active.tail > HEADER_BYTES and active.tail + needed > self._seal_bytes:
            self.seal()
            active = None
        if active is None or active.tail + needed > self._allocated:
            try:
                active = active or self._start_segment(HEADER_BYTES + needed)
                self._extend(active, active.tail + needed)
            except JournalError:
                raise
            except BaseException as error:
                raise self._broken(error) from error
        self._reserved = padded(body_bytes)

    def append(self, expected_sequence: int, stamp: int, buffers: Sequence[Any]) -> None:
        """Write one record, after a `reserve` of at least its size, and sync it: when this returns, it is durable.

        Fenced where the journal is not at `expected_sequence` or another writer has been. JournalBroken is final.
        """
        self._check_usable()
        if expected_sequence != self.next_sequence:
            raise Fenced(f"sequence {expected_sequence} was expected, the journal is at {self.next_sequence}")
        if stamp < self.last_stamp:
            raise ValueError(f"stamp {stamp} is before {self.last_stamp}")
        body, length = joined(buffers)
        active = self._active
        if active is None or len(body) > self._reserved:
            raise ValueError(f"no room was reserved for a body of {length} bytes")
        masked = mask(body, active.tail + HEADER_BYTES)
        header, frame = pack(RECORD, SCHEMA_VERSION, self._end, stamp, length, checksum(body), masked)
        self._put(active, frame, [header, body] if body else [header])
        self._reserved -= HEADER_BYTES + len(body)

    def seal(self) -> None:
        """End the segment that is being written, if it has records: its bytes never change again."""
        self._check_usable()
        active = self._active
        if active is None or active.tail == HEADER_BYTES:
            return
        header, frame = pack(SEAL, SCHEMA_VERSION, self._end, self.last_stamp)
        self._put(active, frame, [header])
        self._reserved = -1
        try:
            self._cut_to_seal(active)
        except BaseException as error:
            raise self._broken(error) from error

    def archive(self, before_sequence: int) -> list[str]:
        """Move sealed segments whose records all lie before the sequence into `archive/`; returns their new names.

        The last segment stays: it says where the journal goes on. OSError leaves some moved and some not.
        """
        self._check_usable()
        moved = []
        for segment in self._segments[:-1]:
            if not segment.archived and segment.end.sequence <= before_sequence:
                self._disk.rename(segment.name, ARCHIVE + segment.name)
                segment.name = ARCHIVE + segment.name
                moved.append(segment.name)
        if moved:
            self._disk.sync_folder()
        return moved

    def read(self, from_sequence: int) -> Iterator[Record]:
        """All records from there to the last one there is when it is reached, checked one by one.

        JournalMissing where some are not here, JournalDamaged at the first that is not as it was written.
        """
        sequence = from_sequence
        while sequence < self.next_sequence:
            for frame, body in self._segment_of(sequence).walk(self._disk, sequence):
                yield Record(frame.sequence, frame.stamp, body)
                sequence = frame.sequence + 1

    def record(self, sequence: int) -> Record:
        """One record, checked. JournalMissing, JournalDamaged."""
        frame, body = next(self._segment_of(sequence).walk(self._disk, sequence))
        return Record(frame.sequence, frame.stamp, body)

    def first_since(self, stamp: int) -> int:
        """Sequence of the first record here that has this stamp or a later one; of the next record if none has."""
        for segment in self._segments:
            if segment.start.sequence < segment.end.sequence and segment.end.stamp >= stamp:
                return segment.first_since(self._disk, stamp)
        return self.next_sequence

    def verify(self) -> Iterator[SegmentInfo]:
        """Read every byte of every segment present, archived ones too; yields each when it is found whole.

        JournalDamaged, JournalNewer at the first fault.
        """
        before: Segment | None = None
        for known in list(self._segments):
            segment = read_start(self._disk, known.name)
            if segment is None:
                raise known.damaged(0, "the segment is empty", known.start.sequence)
            check_order(before, segment)
            # A segment that is being written may be cut while it is looked at: no map of it.
            tail = segment.scan(self._disk, self._fetch(segment.name, known.sealed), 1 if known.sealed else _LOOKS_MAX)
            if segment.sealed < known.sealed or segment.end.sequence < known.end.sequence:
                raise segment.damaged(tail.offset, tail.found or "nothing is written here")
            before = segment
            yield _info(segment)

    def refresh(self) -> int:
        """Read-only: take in what the writer has appended since; returns the next sequence."""
        assert self._read_only, "the writer knows"
        while True:
            last = self._segments[-1] if self._segments else None
            if last is None or last.sealed:
                name = segment_name(self.next_sequence)
                segment = read_start(self._disk, name) if name in self._disk.names() else None
                if segment is None:
                    return self.next_sequence
                check_order(last, segment)
                self._segments.append(segment)
                last = segment
            seen = last.take_whole(self._disk, self._fetch(last.name, False), _LOOKS_MAX)
            if seen.fault and not seen.torn:
                raise last.damaged(last.tail, seen.fault)
            if not last.sealed:
                return self.next_sequence

    def close(self) -> None:
        """Take nothing more and let go of the maps. What was appended is durable; the disk is the caller's."""
        for segment in self._segments:
            segment.drop_map()
        self._failed = self._failed or JournalError("it is closed")

    @property
    def _end(self) -> Place:
        return self._segments[-1].end if self._segments else _EMPTY

    @property
    def _active(self) -> Segment | None:
        return self._segments[-1] if self._segments and not self._segments[-1].sealed else None

    def _segment_of(self, sequence: int) -> Segment:
        for segment in reversed(self._segments):
            if segment.start.sequence <= sequence < segment.end.sequence:
                return segment
        raise JournalMissing(sequence)

    def _check_usable(self) -> None:
        if isinstance(self._failed, Fenced):
            raise Fenced(str(self._failed)) from self._failed
        if self._failed is not None:
            raise JournalBroken(f"the journal takes nothing more: {self._failed}") from self._failed
        if self._read_only:
            raise JournalError("the journal was opened read-only")

    def _broken(self, error: BaseException) -> JournalBroken:
        self._failed = error
        return JournalBroken(f"a write to the journal failed, what is durable is unknown: {error}")

    def _put(self, segment: Segment, frame: Frame, buffers: list[Any]) -> None:
        """Write a frame at the tail and sync it. The place must be empty, or another writer has been there."""
        try:
            if any(self._disk.read(segment.name, segment.tail, HEADER_BYTES)):
                self._failed = Fenced(f"another writer has written sequence {self.next_sequence}")
                raise self._failed
            self._disk.write(segment.name, segment.tail, buffers)
            self._disk.sync(segment.name)
        except Fenced:
            raise
        except BaseException as error:
            raise self._broken(error) from error
        segment.take(frame)

    def _start_segment(self, size: int) -> Segment:
        """A new segment, its header and name durable. JournalFull where there is no space for it."""
        name = segment_name(self.next_sequence)
        try:
            self._disk.create(name, max(size, self._chunk_bytes))
        except FileExistsError as error:
            self._failed = Fenced(f"another writer has begun {name}")
            raise self._failed from error
        except OSError as error:
            if error.errno not in OUT_OF_SPACE:
                raise
            if name in self._disk.names():
                self._disk.remove(name)
            raise JournalFull(
                "no space for a new segment of the journal: free some on its disk, then try again"
            ) from error
        end = self._end
        header, frame = pack(SEGMENT, FORMAT_VERSION, end, end.stamp)
        self._disk.write(name, 0, [header])
        self._disk.sync(name)
        self._disk.sync_folder()
        start = Place(end.sequence, end.stamp, frame.checksum)
        segment = Segment(name, end.previous, start, start)
        self._allocated = max(size, self._chunk_bytes)
        self._segments.append(segment)
        return segment

    def _extend(self, segment: Segment, size: int) -> None:
        """Room up to `size`, durable before a record is written there: a file that ends in a record is then damage."""
        if size <= self._allocated:
            return
        wanted = -(-size // self._chunk_bytes) * self._chunk_bytes
        try:
            self._disk.extend(segment.name, wanted)
        except OSError as error:
            if error.errno not in OUT_OF_SPACE:
                raise
            self._disk.truncate(segment.name, self._allocated)
            raise JournalFull("no space for more of the journal: free some on its disk, then try again") from error
        self._disk.sync(segment.name)
        self._allocated = wanted

    def _cut_to_seal(self, segment: Segment) -> None:
        self._disk.truncate(segment.name, segment.tail)
        self._disk.sync(segment.name)

    def _open(self) -> None:
        found = {name: first for name in self._disk.names() if (first := first_sequence(name)) is not None}
        names = sorted(found, key=lambda name: found[name])
        for name in names:
            segment = read_start(self._disk, name)
            before = self._segments[-1] if self._segments else None
            if segment is None and name == names[-1] and found[name] == self.next_sequence:
                self._drop_unfinished(name)
                break
            if segment is None:
                raise JournalDamaged(name, 0, found[name], "the segment is empty")
            if name != names[-1]:
                read_seal(self._disk, segment)
            check_order(before, segment)
            self._segments.append(segment)
        if self._segments and self._segments[-1].archived:
            raise self._segments[-1].damaged(0, "the segments after the archived ones are missing")
        if self._segments and not self._segments[-1].sealed:
            self._open_last(self._segments[-1])

    def _open_last(self, segment: Segment) -> None:
        alone = not self._read_only
        tail = segment.scan(self._disk, self._fetch(segment.name, alone), 1 if alone else _LOOKS_MAX)
        self._allocated = self._disk.size(segment.name)
        if tail.size_bytes:
            self.cut_off = CutOff(segment.name, tail.offset, segment.end.sequence, tail.size_bytes, tail.found)
        if self._read_only:
            return
        if segment.sealed and self._allocated > segment.tail:
            self._cut_to_seal(segment)
        elif tail.size_bytes:
            for start in range(0, tail.size_bytes, _SCRUB_BYTES):
                zeros = bytes(min(_SCRUB_BYTES, tail.size_bytes - start))
                self._disk.write(segment.name, tail.offset + start, [zeros])
            self._disk.sync(segment.name)

    def _drop_unfinished(self, name: str) -> None:
        """A segment that a crash left without a header: it holds nothing."""
        if not self._read_only:
            self._disk.remove(name)
            self._disk.sync_folder()

    def _fetch(self, name: str, mapped: bool) -> Fetch:
        """Bytes of a segment: from a map, or, where a writer beside may cut the file, by reading."""
        if not mapped:
            return lambda offset, length: self._disk.read(name, offset, length)
        view = self._disk.map(name)
        return lambda offset, length: view[offset : offset + length]


def _info(segment: Segment) -> SegmentInfo:
    first, following = segment.start.sequence, segment.end.sequence
    return SegmentInfo(segment.name, first, following, segment.tail, segment.sealed, segment.archived)
