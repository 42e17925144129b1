"""Each damage to a journal by name, and every byte of one flipped in turn: refused with the place, never repaired."""

import random
import re
from typing import Any

import pytest

from engine.journal import JournalDamaged, JournalNewer
from engine.journal.frame import HEADER_BYTES
from engine.journal.segment import segment_name
from tests.fake_disk import FakeDisk
from tests.journals import CHUNK_BYTES, FIRST, append, bodies, body_of, filled, open_journal, rewrite

# What is newer


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


def test_other_files_are_left_alone() -> None:
    disk = FakeDisk()
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
