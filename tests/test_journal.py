"""The journal on a disk that stays on: what works, what a second writer or a full disk meets, each damage by name."""

import errno
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from engine import schema
from engine.disk import FolderDisk
from engine.journal import (
    Fenced,
    JournalBroken,
    JournalDamaged,
    JournalError,
    JournalFull,
    JournalMissing,
    JournalNewer,
    JournalStore,
)
from engine.journal import frame as frames
from engine.journal.container import map_file, write_file
from engine.journal.frame import HEADER_BYTES, Place
from engine.journal.memory import MemoryJournal
from engine.journal.records import encode
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


@pytest.fixture(params=["fake", "folder"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    made: Any = FakeDisk() if request.param == "fake" else FolderDisk(tmp_path)
    yield made
    made.close()


# What works


def test_a_new_journal_is_empty(disk: Any) -> None:
    journal = open_journal(disk)
    assert (journal.next_sequence, journal.last_stamp, journal.sealed_up_to) == (1, 0, 0)
    assert bodies(journal) == []
    assert disk.names() == []
    assert open_journal(disk).next_sequence == 1


def test_what_is_appended_is_read_after_opening_again(disk: Any) -> None:
    written = [body_of(k, length) for k, length in enumerate((0, 1, 63, 64, 65, 447, 448, 449, 512, 1000, 5000), 1)]
    append(open_journal(disk), *written)
    journal = open_journal(disk)
    assert bodies(journal) == written
    assert [(record.sequence, record.stamp) for record in journal.read(10)] == [(10, 10_000), (11, 11_000)]
    assert (journal.next_sequence, journal.last_stamp, journal.cut_off) == (12, 11_000, None)


def test_a_body_may_come_in_pieces(disk: Any) -> None:
    journal = open_journal(disk)
    journal.reserve(200)
    journal.append(1, 5, [b"abc", np.arange(3, dtype=np.int64), memoryview(b"xyz"), b"", pa.py_buffer(b"end")])
    assert bodies(open_journal(disk)) == [b"abc" + np.arange(3, dtype=np.int64).tobytes() + b"xyz" + b"end"]


def test_bodies_that_are_nearly_all_zero_come_back_as_they_were(disk: Any) -> None:
    mask = int(frames._MASK).to_bytes(8, "little")
    one = bytearray(4000)
    one[700] = one[2000] = 1
    nearly_mask = bytearray(mask * 300)
    nearly_mask[900:908] = bytes(8)
    written = [bytes(4000), bytes(one), bytes(nearly_mask), bytes(100), bytes([7]), mask * 500]
    append(open_journal(disk), *written)
    assert bodies(open_journal(disk)) == written


def test_short_and_long_bodies_are_masked_by_the_same_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(3)
    mask = int(frames._MASK).to_bytes(8, "little")
    for _ in range(300):
        words = [chance.choice([bytes(8), mask])] * (8 * chance.randrange(1, 30))
        for _ in range(chance.randrange(4)):
            words[chance.randrange(len(words))] = chance.choice([b"12345678", b"1" + bytes(7), mask, bytes(8)])
        offset = 64 * chance.randrange(1, 9)
        body, other = bytearray().join(words), bytearray().join(words)
        monkeypatch.setattr(frames, "_SHORT_BYTES", 8192)
        count = frames.mask(body, offset)
        monkeypatch.setattr(frames, "_SHORT_BYTES", 0)
        assert (count, body) == (frames.mask(other, offset), other)
        assert frames.mask(body, offset) == count
        assert body == bytearray().join(words)


def test_segments_are_sealed_and_follow_on_each_other(disk: Any) -> None:
    journal = filled(disk, 60)
    listed = journal.segments()
    assert [segment.sealed for segment in listed] == [True, True, False]
    assert all(disk.size(segment.name) == segment.size_bytes <= SEAL_BYTES for segment in listed if segment.sealed)
    assert [a.next_sequence for a in listed[:-1]] == [b.first_sequence for b in listed[1:]]
    assert journal.sealed_up_to == listed[1].next_sequence - 1
    again = open_journal(disk)
    assert again.segments() == listed
    assert bodies(again) == [body_of(sequence, 300) for sequence in range(1, 61)]
    append(again, b"more")
    assert bodies(open_journal(disk), 61) == [b"more"]


def test_sealing_by_hand_begins_a_new_segment(disk: Any) -> None:
    journal = filled(disk, 3)
    journal.seal()
    journal.seal()
    assert journal.sealed_up_to == 3
    again = open_journal(disk)
    assert (again.sealed_up_to, again.next_sequence, again.last_stamp) == (3, 4, 3000)
    append(again, b"x")
    assert [segment.name for segment in open_journal(disk).segments()] == [FIRST, segment_name(4)]


def test_a_record_larger_than_a_segment_has_one_of_its_own(disk: Any) -> None:
    journal = filled(disk, 2)
    large = body_of(3, 3 * SEAL_BYTES)
    append(journal, large, b"after")
    again = open_journal(disk)
    assert bodies(again, 3) == [large, b"after"]
    assert [segment.first_sequence for segment in again.segments()] == [1, 3, 4]


def test_any_record_is_found_by_its_sequence() -> None:
    disk = FakeDisk()
    written = [body_of(k, k % 7) for k in range(1, 1001)]
    journal = Journal.open(disk, seal_bytes=1 << 20, chunk_bytes=1 << 16)
    append(journal, *written)
    for opened in (journal, Journal.open(disk, read_only=True)):
        for sequence in (1000, 1, 256, 257, 258, 600, 512, 513):
            assert bytes(opened.record(sequence).body) == written[sequence - 1]
            assert bodies(opened, sequence) == written[sequence - 1 :]


@pytest.mark.parametrize("sequence", [-1, 0, 4])
def test_a_record_that_is_not_there_is_missing(disk: Any, sequence: int) -> None:
    with pytest.raises(JournalMissing, match=f"sequence {sequence} is not in this journal"):
        filled(disk, 3).record(sequence)


def test_a_reader_sees_what_is_appended_while_it_reads(disk: Any) -> None:
    journal = filled(disk, 2)
    seen = journal.read(1)
    next(seen)
    append(journal, b"third")
    assert [record.sequence for record in seen] == [2, 3]


def test_the_stamp_never_goes_back(disk: Any) -> None:
    journal = filled(disk, 3)
    journal.reserve(10)
    with pytest.raises(ValueError, match="stamp 2999 is before 3000"):
        journal.append(4, 2999, [b"x"])
    journal.append(4, 3000, [b"x"])


def test_nothing_is_appended_without_room_reserved(disk: Any) -> None:
    journal = filled(disk, 1)
    with pytest.raises(ValueError, match="no room was reserved"):
        journal.append(2, 2000, [b"x"])
    journal.reserve(64)
    with pytest.raises(ValueError, match="no room was reserved for a body of 65 bytes"):
        journal.append(2, 2000, [bytes(65)])
    journal.append(2, 2000, [bytes(64)])


def test_a_closed_journal_takes_nothing(disk: Any) -> None:
    journal = filled(disk, 1)
    journal.close()
    with pytest.raises(JournalBroken, match="it is closed"):
        journal.reserve(1)


def test_one_reservation_may_serve_several_records(disk: Any) -> None:
    journal = open_journal(disk)
    journal.reserve(6 * CHUNK_BYTES)
    for sequence in range(1, 4):
        journal.append(sequence, 0, [body_of(sequence, 2 * CHUNK_BYTES - HEADER_BYTES)])
    assert journal.room == 0
    journal.append(4, 0, [])
    with pytest.raises(ValueError, match="no room was reserved"):
        journal.append(5, 0, [])
    journal.seal()
    assert open_journal(disk).next_sequence == 5


# A reader beside the writer


def test_a_reader_beside_follows_the_writer(disk: Any) -> None:
    reader = open_journal(disk, read_only=True)
    assert reader.refresh() == 1
    writer = filled(disk, 3)
    assert reader.refresh() == 4
    append(writer, *(body_of(k, 300) for k in range(4, 61)))
    assert reader.refresh() == 61
    assert bodies(reader) == [body_of(k, 300) for k in range(1, 61)]
    writer.archive(40)
    assert bodies(reader, 1) == [body_of(k, 300) for k in range(1, 61)]
    late = open_journal(disk, read_only=True)
    writer.seal()
    assert bodies(late) == bodies(reader)
    assert [segment.sealed for segment in late.verify()][-1]


def test_a_reader_beside_changes_nothing(disk: Any) -> None:
    filled(disk, 2)
    reader = open_journal(disk, read_only=True)
    for change in (lambda: reader.reserve(1), reader.seal, lambda: reader.append(3, 1, []), lambda: reader.archive(1)):
        with pytest.raises(JournalError, match="opened read-only"):
            change()


def test_a_read_only_opening_leaves_a_torn_tail_in_place() -> None:
    disk = FakeDisk()
    filled(disk, 2)
    tail = open_journal(disk).segments()[0].size_bytes
    disk.content(FIRST)[tail + 600 : tail + 605] = b"stray"
    before = bytes(disk.content(FIRST))
    reader = open_journal(disk, read_only=True)
    assert reader.cut_off is not None
    assert reader.next_sequence == 3
    assert bytes(disk.content(FIRST)) == before


class HalfWritten(FakeDisk):
    """A disk on which a reader sees the last record come in piece by piece."""

    whole: bytes = b""
    looks = 0

    def read(self, name: str, offset: int, length: int) -> bytes:
        self.looks += 1
        content = self.content(name)
        if self.looks == 12:
            content[:] = self.whole
        return super().read(name, offset, length)


def test_a_record_half_written_by_a_writer_beside_is_waited_for() -> None:
    disk = HalfWritten()
    filled(disk, 2)
    disk.whole = bytes(disk.content(FIRST))
    end = open_journal(disk).segments()[0].size_bytes
    disk.content(FIRST)[end - 100 : end] = bytes(100)
    disk.looks = 0
    assert len(bodies(open_journal(disk, read_only=True))) == 2


# The archive


def test_archived_segments_can_be_read_and_be_missing(disk: Any) -> None:
    journal = filled(disk, 60)
    second = journal.segments()[1]
    assert journal.archive(second.first_sequence) == [f"archive/{FIRST}"]
    assert journal.archive(10**6) == [f"archive/{second.name}"]
    for opened in (journal, open_journal(disk)):
        assert len(bodies(opened)) == 60
        assert [segment.archived for segment in opened.verify()] == [True, True, False]
    disk.remove(f"archive/{FIRST}")
    moved_away = open_journal(disk)
    assert len(bodies(moved_away, second.first_sequence)) == 61 - second.first_sequence
    with pytest.raises(JournalMissing, match="sequence 1 "):
        bodies(moved_away)
    with pytest.raises(JournalMissing, match="sequence 5 "):
        journal_without_maps(journal).record(5)
    append(moved_away, b"on it goes")


def journal_without_maps(journal: Journal) -> Journal:
    for segment in journal._segments:
        segment.drop_map()
    return journal


def test_the_last_segment_is_never_archived(disk: Any) -> None:
    journal = filled(disk, 3)
    journal.seal()
    assert journal.archive(10) == []
    assert open_journal(disk).next_sequence == 4


# The fence, and failures


def test_an_unexpected_sequence_is_fenced(disk: Any) -> None:
    journal = filled(disk, 3)
    journal.reserve(10)
    for sequence in (3, 5):
        with pytest.raises(Fenced, match=f"sequence {sequence} was expected, the journal is at 4"):
            journal.append(sequence, 9000, [b"x"])
    journal.append(4, 9000, [b"x"])


def test_a_second_writer_is_fenced(disk: Any) -> None:
    first = filled(disk, 3)
    second = open_journal(disk)
    append(first, b"mine")
    second.reserve(10)
    for _ in range(2):
        with pytest.raises(Fenced, match="another writer has written sequence 4"):
            second.append(4, 9000, [b"theirs"])
    assert bodies(open_journal(disk), 4) == [b"mine"]


def test_a_second_writer_is_fenced_when_both_seal(disk: Any) -> None:
    first = filled(disk, 3)
    second = open_journal(disk)
    first.seal()
    with pytest.raises(Fenced):
        second.seal()


def test_a_second_writer_is_fenced_at_a_new_segment(disk: Any) -> None:
    first = open_journal(disk)
    second = open_journal(disk)
    append(first, b"mine")
    with pytest.raises(Fenced, match="another writer has begun"):
        second.reserve(10)


def test_a_full_disk_is_soft_and_passes() -> None:
    disk = FakeDisk(capacity_bytes=CHUNK_BYTES + 1000)
    journal = filled(disk, 5)
    for _ in range(2):
        with pytest.raises(JournalFull):
            journal.reserve(3000)
    assert len(bodies(journal)) == 5
    assert disk.size(FIRST) == CHUNK_BYTES
    append(journal, b"small ones still fit")
    disk.capacity_bytes = None
    append(journal, body_of(7, 3000))
    assert len(bodies(open_journal(disk))) == 7


def test_a_full_disk_at_a_new_segment_is_soft_and_passes() -> None:
    disk = FakeDisk(capacity_bytes=2 * CHUNK_BYTES)
    journal = filled(disk, 3)
    journal.seal()
    disk.capacity_bytes = 2000
    with pytest.raises(JournalFull):
        journal.reserve(10)
    assert disk.names() == [FIRST]
    assert open_journal(disk.copy()).next_sequence == 4
    disk.capacity_bytes = None
    append(journal, b"x")
    assert len(bodies(open_journal(disk))) == 4


@pytest.mark.parametrize("kind", ["read", "write", "sync"])
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
def test_a_failure_while_appending_is_final(kind: str, error: int) -> None:
    disk = FakeDisk()
    journal = filled(disk, 3)
    journal.reserve(10)
    disk.fail(kind, error)
    with pytest.raises(JournalBroken, match="what is durable is unknown"):
        journal.append(4, 9000, [b"x"])
    for attempt in (lambda: journal.append(4, 9000, [b"x"]), lambda: journal.reserve(1), journal.seal):
        with pytest.raises(JournalBroken, match="takes nothing more"):
            attempt()
    assert len(bodies(journal)) == 3


@pytest.mark.parametrize("kind", ["create", "write", "sync", "sync_folder", "truncate", "extend"])
def test_a_failure_while_making_room_is_final(kind: str) -> None:
    disk = FakeDisk()
    journal = filled(disk, 3)
    if kind in ("create", "sync_folder"):
        journal.seal()
    disk.fail(kind)
    with pytest.raises(JournalBroken):
        journal.reserve(6000 if kind == "extend" else SEAL_BYTES)
    with pytest.raises(JournalBroken, match="takes nothing more"):
        journal.reserve(1)
    assert len(bodies(open_journal(disk.copy()))) == 3


# What is newer


def rewrite(disk: FakeDisk, name: str, offset: int, **fields: Any) -> None:
    """Change fields of a header, its checksum included."""
    content = disk.content(name)
    header = frames.unpack(bytes(content[offset : offset + HEADER_BYTES]))
    assert header is not None
    values = (header._replace(**fields))[:-1]
    head = frames._HEADER.pack(*values)
    content[offset : offset + HEADER_BYTES] = head + frames._CHECKSUM.pack(frames.checksum(head))


def test_a_newer_format_is_refused() -> None:
    disk = FakeDisk()
    filled(disk, 2)
    rewrite(disk, FIRST, 0, version=9)
    with pytest.raises(JournalNewer, match="has format version 9; this program knows up to 1"):
        open_journal(disk)


def test_a_newer_schema_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = FakeDisk()
    monkeypatch.setattr("engine.journal.segments.SCHEMA_VERSION", 8)
    filled(disk, 2)
    with pytest.raises(JournalNewer, match=f"{FIRST}, sequence 1, has schema version 8"):
        open_journal(disk)


# Damage. Every one is refused with the place, none is repaired.

RECORD_BYTES = HEADER_BYTES + 320  # of a body of 300 bytes


def refused(disk: Any, segment: str, offset: int, sequence: int, found: str, read_only: bool = False) -> None:
    with pytest.raises(JournalDamaged, match=re.escape(found)) as raised:
        open_journal(disk, read_only)
    assert (raised.value.segment, raised.value.offset, raised.value.sequence) == (segment, offset, sequence)
    assert segment in str(raised.value)


def offset_of(sequence: int) -> int:
    return HEADER_BYTES + (sequence - 1) * RECORD_BYTES


@pytest.mark.parametrize("sequence", [1, 3, 5])
@pytest.mark.parametrize("read_only", [False, True])
def test_a_flipped_byte_in_a_body(sequence: int, read_only: bool) -> None:
    disk = FakeDisk()
    filled(disk, 5)
    disk.content(FIRST)[offset_of(sequence) + 70] ^= 1
    refused(disk, FIRST, offset_of(sequence), sequence, "the checksum of the body is wrong", read_only)


@pytest.mark.parametrize("sequence", [1, 3, 5])
def test_a_flipped_byte_in_a_header(sequence: int) -> None:
    disk = FakeDisk()
    filled(disk, 5)
    disk.content(FIRST)[offset_of(sequence) + 20] ^= 0x80
    refused(disk, FIRST, offset_of(sequence), sequence, "the checksum of the header is wrong")


def test_a_flipped_byte_in_the_padding_of_the_last_record() -> None:
    disk = FakeDisk()
    filled(disk, 5)
    disk.content(FIRST)[offset_of(6) - 1] ^= 0x10
    refused(disk, FIRST, offset_of(5), 5, "the checksum of the body is wrong")


def test_a_sector_emptied_by_one_flipped_byte() -> None:
    disk = FakeDisk()
    journal = open_journal(disk)
    body = bytearray(2000)
    body[1000] = 1
    append(journal, bytes(body))
    content = disk.content(FIRST)
    for offset in range(HEADER_BYTES + HEADER_BYTES, journal.segments()[0].size_bytes):
        content[offset] ^= 1
        refused(disk, FIRST, HEADER_BYTES, 1, "the checksum of the body is wrong")
        content[offset] ^= 1


def test_a_bad_record_before_a_good_one_is_no_torn_tail() -> None:
    disk = FakeDisk()
    filled(disk, 3, 2000)
    offset = HEADER_BYTES + 2112  # the second record, with a whole sector of its own gone
    disk.content(FIRST)[offset + 512 : offset + 1536] = bytes(1024)
    refused(disk, FIRST, offset, 2, "sectors of the record are missing, yet a whole record follows at byte 4288")


def test_a_record_overwritten_with_zeros() -> None:
    disk = FakeDisk()
    filled(disk, 5)
    disk.content(FIRST)[offset_of(3) : offset_of(4)] = bytes(RECORD_BYTES)
    refused(disk, FIRST, offset_of(3), 3, f"yet a whole record follows at byte {offset_of(4)}")


def test_a_record_left_out() -> None:
    disk = FakeDisk()
    filled(disk, 5)
    del disk.content(FIRST)[offset_of(3) : offset_of(4)]
    refused(disk, FIRST, offset_of(3), 3, "sequence 4 stands here")


def test_a_record_of_another_history() -> None:
    disk, other = FakeDisk(), FakeDisk()
    filled(disk, 5)
    append(open_journal(other), *(body_of(9 * sequence, 300) for sequence in range(1, 6)))
    disk.content(FIRST)[offset_of(3) : offset_of(4)] = other.content(FIRST)[offset_of(3) : offset_of(4)]
    refused(disk, FIRST, offset_of(3), 3, "it does not follow on the record before")


def test_a_stamp_that_goes_back() -> None:
    disk = FakeDisk()
    filled(disk, 5)
    rewrite(disk, FIRST, offset_of(5), stamp=3999)
    refused(disk, FIRST, offset_of(5), 5, "its stamp 3999 is before 4000")


@pytest.mark.parametrize("size", range(HEADER_BYTES, HEADER_BYTES + 5 * RECORD_BYTES + HEADER_BYTES, 60))
def test_the_last_segment_cut_short(size: int) -> None:
    disk = FakeDisk()
    filled(disk, 5)
    del disk.content(FIRST)[size:]
    sequence = (size - HEADER_BYTES) // RECORD_BYTES + 1
    refused(disk, FIRST, offset_of(sequence), sequence, "the file ends")


@pytest.mark.parametrize("cut", [1, 64, 500])
def test_a_sealed_segment_cut_short(cut: int) -> None:
    disk = FakeDisk()
    filled(disk, 60)
    del disk.content(FIRST)[-cut:]
    refused(disk, FIRST, disk.size(FIRST) - HEADER_BYTES, 1, "it does not end with a seal")


def test_bytes_after_a_seal() -> None:
    disk = FakeDisk()
    journal = filled(disk, 5)
    journal.seal()
    disk.content(FIRST).extend(b"\0\0x")
    refused(disk, FIRST, journal.segments()[0].size_bytes + 2, 6, "there are bytes after the seal")


def test_a_segment_is_missing() -> None:
    disk = FakeDisk()
    first, second, third = (segment.name for segment in filled(disk, 60).segments())
    sequence = 1 + int(second[8:24])
    disk.remove(second)
    with pytest.raises(JournalDamaged, match=f"should follow on {first}: a segment is missing"):
        open_journal(disk)
    assert sequence < int(third[8:24])


def test_all_segments_but_archived_ones_are_missing() -> None:
    disk = FakeDisk()
    journal = filled(disk, 60)
    journal.archive(1000)
    disk.remove(journal.segments()[-1].name)
    with pytest.raises(JournalDamaged, match="the segments after the archived ones are missing"):
        open_journal(disk)


def test_a_segment_of_another_history() -> None:
    disk, other = FakeDisk(), FakeDisk()
    second = filled(disk, 60).segments()[1].name
    append(open_journal(other), *(body_of(7 * sequence, 300) for sequence in range(1, 61)))
    disk.content(second)[:] = other.content(second)
    refused(disk, second, 0, int(second[8:24]), f"it does not follow on {FIRST}")


def test_a_segment_under_another_name() -> None:
    disk = FakeDisk()
    filled(disk, 3)
    disk.rename(FIRST, segment_name(5))
    refused(disk, segment_name(5), 0, 5, "the header is that of sequence 1")


def test_the_header_of_a_segment_is_wrong() -> None:
    disk = FakeDisk()
    filled(disk, 3)
    for offset in range(HEADER_BYTES):
        disk.content(FIRST)[offset] ^= 0xFF
        refused(disk, FIRST, 0, 1, "the header of the segment is wrong")
        disk.content(FIRST)[offset] ^= 0xFF
    disk.content(FIRST)[:HEADER_BYTES] = bytes(HEADER_BYTES)
    refused(disk, FIRST, 0, 1, "the header of the segment is wrong")


def test_an_emptied_segment_before_others() -> None:
    disk = FakeDisk()
    filled(disk, 60)
    disk.content(FIRST)[:] = b""
    refused(disk, FIRST, 0, 1, "the segment is empty")


def test_damage_in_a_sealed_segment_is_found_when_it_is_read() -> None:
    disk = FakeDisk()
    filled(disk, 60)
    disk.content(FIRST)[offset_of(3) + 100] ^= 1
    journal = open_journal(disk)
    for reading in (lambda: list(journal.verify()), lambda: bodies(journal), lambda: journal.record(3)):
        with pytest.raises(JournalDamaged) as raised:
            reading()
        assert (raised.value.segment, raised.value.offset, raised.value.sequence) == (FIRST, offset_of(3), 3)
    assert len(bodies(journal, 4)) == 57


def test_a_sector_of_a_sealed_segment_lost_is_found_by_verify() -> None:
    disk = FakeDisk()
    filled(disk, 12, 2000)
    disk.content(FIRST)[3 * 512 : 4 * 512] = bytes(512)
    with pytest.raises(JournalDamaged, match="1 sectors of the record are missing"):
        list(open_journal(disk).verify())


# Torn creation


@pytest.mark.parametrize("size", [0, 10, CHUNK_BYTES])
@pytest.mark.parametrize("count", [0, 3])
def test_a_segment_that_was_never_begun_is_dropped(size: int, count: int) -> None:
    disk = FakeDisk()
    journal = filled(disk, count)
    journal.seal()
    disk.create(segment_name(count + 1), size)
    for read_only in (True, False):
        opened = open_journal(disk, read_only)
        assert opened.next_sequence == count + 1
    assert segment_name(count + 1) not in disk.names()
    append(opened, b"x")
    assert len(bodies(open_journal(disk))) == count + 1


def test_other_files_are_left_alone(disk: Any) -> None:
    disk.create("journal-1.seg", 10)
    disk.create("journal-000000000000000x.seg", 10)
    disk.create("archive/notes.txt", 10)
    assert len(bodies(filled(disk, 3))) == 3
    assert disk.size("archive/notes.txt") == 10


# Every byte


def damage_of(disk: FakeDisk, written: list[bytes]) -> JournalDamaged | None:
    """What opening, reading and verifying meets; None where all that was written is there."""
    try:
        journal = open_journal(disk)
        assert bodies(journal) == written
        list(journal.verify())
    except JournalDamaged as damage:
        return damage
    return None


def every_flip(disk: FakeDisk, written: list[bytes], step: int = 1) -> tuple[int, int]:
    """Flip each byte of each segment in turn; returns how many flips were refused, and how many were harmless."""
    found = harmless = 0
    ends = {segment.name: segment.size_bytes for segment in open_journal(disk).segments()}
    for name, end in ends.items():
        for offset in range(0, disk.size(name), step):
            spoilt = disk.copy()
            spoilt.content(name)[offset] ^= 1 << offset % 8
            damage = damage_of(spoilt, written)
            if damage is None:
                assert offset >= end, (name, offset)
                harmless += 1
            else:
                assert damage.segment == name, (name, offset, damage)
                assert damage.offset <= offset < damage.offset + 4096, (name, offset, damage)
                found += 1
    return found, harmless


def test_every_flipped_byte_is_found_or_harmless() -> None:
    disk = FakeDisk()
    lengths = [0, 40, 500, 64, 1500, 300, 700, 30, 2000, 1, 900, 1700]
    written = [body_of(k, length) if k % 3 else bytes(length) for k, length in enumerate(lengths)]
    append(open_journal(disk), *written)
    assert len(disk.names()) == 2
    found, harmless = every_flip(disk, written)
    assert found > 8000
    assert harmless > 100


@pytest.mark.soak
def test_every_flipped_byte_of_64_kib_is_found_or_harmless() -> None:
    disk = FakeDisk()
    chance = random.Random(64)
    written = [body_of(k, chance.choice([0, 40, 500, 1500, 3000])) for k in range(76)]
    append(open_journal(disk), *written)
    found, _ = every_flip(disk, written)
    assert found > 60_000


# The stand-in without a disk


@pytest.mark.parametrize("keep", [True, False])
def test_the_journal_in_memory(keep: bool) -> None:
    journal: JournalStore = MemoryJournal(keep=keep)
    append(journal, b"one", b"two")
    assert (journal.next_sequence, journal.last_stamp) == (3, 2000)
    with pytest.raises(Fenced):
        journal.append(2, 5000, [])
    with pytest.raises(ValueError, match="stamp 1 is before 2000"):
        journal.append(3, 1, [])
    if keep:
        assert bodies(journal, 2) == [b"two"]
        assert bytes(journal.record(1).body) == b"one"
    else:
        with pytest.raises(JournalMissing):
            journal.read(1)
    assert bodies(journal, 3) == []
    with pytest.raises(JournalMissing):
        journal.record(3)
    journal.seal()
    journal.close()


# Single files


def test_a_file_is_written_and_mapped(disk: Any) -> None:
    pieces = [b"head", np.arange(5000, dtype=np.int64), b""]
    write_file(disk, "snapshot-7", 7, 123, pieces)
    sequence, stamp, body = map_file(disk, "snapshot-7")
    assert (sequence, stamp, bytes(body)) == (7, 123, b"head" + np.arange(5000, dtype=np.int64).tobytes())
    body[0] = 1
    assert bytes(map_file(disk, "snapshot-7")[2][:4]) == b"head"
    write_file(disk, "snapshot-7", 8, 124, [])
    assert map_file(disk, "snapshot-7")[:2] == (8, 124)
    assert disk.names() == ["snapshot-7"]


def test_a_file_of_many_and_large_pieces_goes_out_in_several_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.journal.container.WRITE_BYTES_MAX", 100)
    monkeypatch.setattr("engine.journal.container.WRITE_BUFFERS_MAX", 3)
    disk = FakeDisk()
    pieces = [body_of(k, length) for k, length in enumerate((10, 10, 10, 10, 250, 90, 20))]
    write_file(disk, "f", 1, 2, pieces)
    writes = [step.arguments[2][0] for step in disk.trace if step.kind == "write"]
    assert max(map(len, writes)) <= 100
    assert bytes(map_file(disk, "f")[2]) == b"".join(pieces)


def test_every_flipped_byte_of_a_file_is_refused() -> None:
    disk = FakeDisk()
    write_file(disk, "f", 3, 4, [body_of(1, 700)])
    for offset in range(disk.size("f")):
        disk.content("f")[offset] ^= 4
        with pytest.raises(JournalDamaged, match="f is damaged at byte"):
            map_file(disk, "f")
        disk.content("f")[offset] ^= 4
    assert map_file(disk, "f")[0] == 3


@pytest.mark.parametrize("size", [0, 10, 64, 100, 763])
def test_a_file_cut_short_or_too_long_is_refused(size: int) -> None:
    disk = FakeDisk()
    write_file(disk, "f", 3, 4, [body_of(1, 700)])
    whole = bytes(disk.content("f"))
    del disk.content("f")[size:]
    with pytest.raises(JournalDamaged):
        map_file(disk, "f")
    disk.content("f")[:] = whole + b"\0"
    with pytest.raises(JournalDamaged, match="it has 765 bytes, not 764"):
        map_file(disk, "f")


def test_a_newer_file_is_refused() -> None:
    disk = FakeDisk()
    write_file(disk, "f", 3, 4, [b"x"])
    rewrite(disk, "f", 0, version=9)
    with pytest.raises(JournalNewer, match="f has schema version 9"):
        map_file(disk, "f")


def test_a_full_disk_leaves_the_old_file() -> None:
    disk = FakeDisk(capacity_bytes=3000)
    write_file(disk, "f", 3, 4, [body_of(1, 2000)])
    with pytest.raises(OSError, match="No space left"):
        write_file(disk, "f", 5, 6, [body_of(2, 2000)])
    assert disk.names() == ["f"]
    assert map_file(disk, "f")[0] == 3


# The page on the format


def example() -> FakeDisk:
    """Two commits: a channel gets its name; nothing but time passes. Sealed."""
    disk = FakeDisk()
    journal = open_journal(disk)
    names = {"namespace": np.array([1], np.uint8), "index": np.array([0], np.int32), "text": pa.array(["web"])}
    for stamp, tables in ((1_700_000_000_000_000, [(schema.NAMES, names)]), (1_700_000_001_000_000, [])):
        buffers = encode(tables)
        journal.reserve(1000)
        journal.append(journal.next_sequence, stamp, buffers)
    journal.seal()
    return disk


def hex_dump(content: bytes) -> str:
    lines = []
    for offset in range(0, len(content), 16):
        row = content[offset : offset + 16]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{offset:04x}  {row[:8].hex(' ')}  {row[8:].hex(' ')}  {text}")
    return "\n".join(lines)


def test_the_worked_example_of_the_format_page_is_true() -> None:
    page = (Path(frames.__file__).parent / "FORMAT.md").read_text()
    assert f"```\n{hex_dump(bytes(example().content(FIRST)))}\n```" in page


def test_a_header_is_64_bytes() -> None:
    packed, _ = frames.pack(frames.RECORD, 1, Place(1, 0, 0), 0)
    assert len(packed) == HEADER_BYTES == frames._HEADER.size + frames._CHECKSUM.size
