"""The journal on a disk that stays on: what works, and what a second writer, a full or a failing disk meets."""

import errno
import random
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
    JournalError,
    JournalFull,
    JournalMissing,
    JournalStore,
)
from engine.journal import frame as frames
from engine.journal.frame import HEADER_BYTES, Place
from engine.journal.memory import MemoryJournal
from engine.journal.records import encode
from engine.journal.segment import segment_name
from engine.journal.segments import Journal
from tests.fake_disk import FakeDisk
from tests.journals import CHUNK_BYTES, FIRST, SEAL_BYTES, append, bodies, body_of, filled, open_journal


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


def test_the_first_record_since_a_moment_is_found() -> None:
    disk, chance = FakeDisk(), random.Random(5)
    stamps = sorted(chance.choices(range(500), k=1500))  # most moments have several records, some have none
    journal, kept = Journal.open(disk, seal_bytes=1 << 16, chunk_bytes=1 << 12), MemoryJournal(keep=True)
    assert journal.first_since(0) == kept.first_since(0) == 1
    for sequence, stamp in enumerate(stamps, 1):
        for writer in (journal, kept):
            writer.reserve(0)
            writer.append(sequence, stamp, [])
    assert len(journal.segments()) == 2, "the first has several marks, the second is not sealed"
    moments = chance.sample(range(-1, 502), 503)
    for opened in (journal, Journal.open(disk), Journal.open(disk, read_only=True), kept):
        for moment in moments:
            expected = next((i for i, stamp in enumerate(stamps, 1) if stamp >= moment), len(stamps) + 1)
            assert opened.first_since(moment) == expected


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
