"""The journal on a disk that loses power: at every step of a trace all that was acknowledged is there afterwards, and
what was not is there whole or not at all. Journals without their sync or their checksum must be caught at it."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from engine.journal import JournalDamaged
from engine.journal.container import map_file, write_file
from engine.journal.frame import HEADER_BYTES, checksum
from engine.journal.segments import Journal
from tests.fake_disk import Crash, FakeDisk, Step, crashes

SEAL_BYTES = 12 << 10
CHUNK_BYTES = 4 << 10
ACKNOWLEDGED = "acknowledged"
BODIES_MAX = 9000


def body_of(sequence: int) -> bytes:
    """Bodies of all sizes: dense, sparse, nearly all zero, empty."""
    chance = random.Random(sequence)
    length = chance.choice([0, 8, 200, 512, 1500, 4096, BODIES_MAX])
    if chance.random() < 0.5:
        return chance.randbytes(length)
    body = bytearray(length)
    for _ in range(length // chance.choice([100, 600, 5000])):
        body[chance.randrange(length)] = chance.randrange(256)
    return bytes(body)


class ForgetfulDisk(FakeDisk):
    """Does nothing when it is asked to sync a file."""

    def sync(self, name: str) -> None:
        pass


def trace_of(count: int, disk: FakeDisk | None = None, archive_at: int = 0) -> Sequence[Step]:
    """A writer's life: commits over several segments, archiving one in between."""
    disk = disk or FakeDisk()
    journal = Journal.open(disk, seal_bytes=SEAL_BYTES, chunk_bytes=CHUNK_BYTES)
    for sequence in range(1, count + 1):
        journal.reserve(len(body_of(sequence)))
        journal.append(sequence, sequence, [body_of(sequence)])
        disk.note(ACKNOWLEDGED, sequence)
        if sequence == archive_at:
            journal.archive(sequence)
    journal.seal()
    return disk.trace


def recovered(disk: FakeDisk) -> tuple[Journal, list[bytes]]:
    journal = Journal.open(disk, seal_bytes=SEAL_BYTES, chunk_bytes=CHUNK_BYTES)
    return journal, [bytes(record.body) for record in journal.read(1)]


def lost(crash: Crash) -> str:
    """What is wrong after a power loss; empty where every promise was kept."""
    acknowledged = sum(note.kind == ACKNOWLEDGED for note in crash.notes)
    where = f"steps {crash.steps}, {crash.survives}, sectors of {crash.sector_bytes}, seed {crash.seed}: "
    try:
        journal, found = recovered(crash.disk)
    except JournalDamaged as damage:
        return where + str(damage)
    if len(found) not in (acknowledged, acknowledged + 1):
        return where + f"{len(found)} records are there, {acknowledged} were acknowledged"
    if found != [body_of(sequence) for sequence in range(1, len(found) + 1)]:
        return where + "a record is not as it was written"
    return goes_on(journal, crash.disk, len(found), where)


def goes_on(journal: Journal, disk: FakeDisk, count: int, where: str) -> str:
    """Append after recovery, lose power at once, and recover again."""
    for sequence in (count + 1, count + 2):
        journal.reserve(len(body_of(sequence)))
        journal.append(sequence, 1000, [body_of(sequence)])
    again, found = recovered(disk.after_power_loss("durable"))
    if again.cut_off is not None or found != [body_of(sequence) for sequence in range(1, count + 3)]:
        return where + "what was appended after recovery is not there"
    list(again.verify())
    return ""


def test_every_crash_point_keeps_what_was_acknowledged() -> None:
    trace = trace_of(18, archive_at=12)
    assert {step.kind for step in trace} >= {"create", "extend", "write", "sync", "sync_folder", "truncate", "rename"}
    points = list(crashes(trace))
    assert len(points) > 500
    assert [fault for crash in points if (fault := lost(crash))] == []


@pytest.mark.soak
@pytest.mark.parametrize("part", range(4))
def test_every_crash_point_of_a_long_trace(part: int) -> None:
    seeds = range(10 + 4 * part, 14 + 4 * part)
    assert [fault for crash in crashes(trace_of(60, archive_at=30), seeds) if (fault := lost(crash))] == []


def test_a_torn_tail_is_cut_off_and_reported() -> None:
    disk = FakeDisk()
    journal = Journal.open(disk, seal_bytes=1 << 20, chunk_bytes=1 << 16)
    journal.reserve(10_000)
    journal.append(1, 1, [b"acknowledged"])
    tail = journal.segments()[0].size_bytes
    disk.fail("sync")
    with pytest.raises(Exception, match="what is durable is unknown"):
        journal.append(2, 2, [bytes(range(1, 256)) * 20])
    outcomes = set()
    for seed in range(200):
        torn = disk.after_power_loss("some", 512, seed)
        opened = Journal.open(torn)
        cut = opened.cut_off
        if cut is None:
            outcomes.add(f"{opened.next_sequence - 1} records")
            continue
        outcomes.add(cut.found[2:])
        assert (cut.segment, cut.offset, cut.sequence) == (torn.names()[0], tail, 2)
        assert cut.size_bytes >= 64
        assert not any(torn.content(cut.segment)[tail:])
        assert Journal.open(torn.after_power_loss("durable")).cut_off is None
    assert outcomes >= {"sectors of the record are missing", "e first sector of the record is missing"}


def test_a_record_that_became_durable_unacknowledged_is_kept_whole() -> None:
    disk = FakeDisk()
    journal = Journal.open(disk)
    journal.reserve(3000)
    disk.fail("sync")
    with pytest.raises(Exception, match="what is durable is unknown"):
        journal.append(1, 1, [body_of(5)])
    assert recovered(disk.after_power_loss("all"))[1] == [body_of(5)]
    assert recovered(disk.after_power_loss("durable"))[1] == []


def test_every_failing_step_ends_the_writer_and_loses_nothing() -> None:
    """An error at any one change: the writer stops or goes on, and what it acknowledged is there after a power loss."""
    steps = sum(step.kind != ACKNOWLEDGED for step in trace_of(10))
    for failing in range(steps):
        disk = FakeDisk()
        disk.fail("any", after=failing)
        with pytest.raises(Exception, match="what is durable is unknown"):
            trace_of(10, disk)
        for survives, seed in (("all", 0), ("durable", 0), ("some", 1), ("some", 2)):
            crash = Crash(failing, survives, 512, seed, notes_of(disk), disk.after_power_loss(survives, 512, seed))
            assert lost(crash) == ""


def notes_of(disk: FakeDisk) -> tuple[Step, ...]:
    return tuple(step for step in disk.trace if step.kind == ACKNOWLEDGED)


# Mutations: a journal that leaves out what makes it durable must be caught by the tests above.


def faults(trace: Sequence[Step]) -> list[str]:
    return [fault for crash in crashes(trace) if (fault := lost(crash))]


def test_a_journal_that_does_not_sync_its_records_is_caught() -> None:
    found = faults(trace_of(6, ForgetfulDisk()))
    assert any("0 records are there, 5 were acknowledged" in fault for fault in found)


def leave_out(trace: Sequence[Step], unwanted: Callable[[Sequence[Step], int], bool]) -> list[Step]:
    return [step for k, step in enumerate(trace) if not unwanted(trace, k)]


def test_an_answer_before_the_sync_is_caught() -> None:
    trace = list(trace_of(6))
    for k in range(1, len(trace)):
        if trace[k].kind == ACKNOWLEDGED:
            trace[k - 1], trace[k] = trace[k], trace[k - 1]
    assert any("were acknowledged" in fault for fault in faults(trace))


def test_a_segment_whose_name_is_not_synced_is_caught() -> None:
    found = faults(leave_out(trace_of(6), lambda trace, k: trace[k].kind == "sync_folder"))
    assert any("were acknowledged" in fault for fault in found)


def test_room_that_is_not_synced_is_caught() -> None:
    """The record may then be there and the end of the file not: a crash would look like damage."""
    found = faults(leave_out(trace_of(18), lambda trace, k: k > 0 and trace[k - 1].kind == "extend"))
    assert any("the file ends" in fault for fault in found)


def test_a_segment_begun_before_the_last_one_is_sealed_is_caught() -> None:
    def seal_sync(trace: Sequence[Step], k: int) -> bool:
        return trace[k].kind in ("truncate", "sync") and "truncate" in (trace[k].kind, trace[k - 1].kind)

    assert any("it does not end with a seal" in fault for fault in faults(leave_out(trace_of(18), seal_sync)))


def test_a_journal_without_checksums_of_its_bodies_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def of_headers_only(data: Any) -> int:
        return checksum(data) if len(data) < HEADER_BYTES else 0

    monkeypatch.setattr("engine.journal.frame.checksum", of_headers_only)
    monkeypatch.setattr("engine.journal.segments.checksum", of_headers_only)
    assert any("a record is not as it was written" in fault for fault in faults(trace_of(18)))


def test_a_journal_that_writes_sectors_as_they_are_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sector of zeros that is missing is no loss, but one that is nearly zero can be emptied by one flipped byte."""
    monkeypatch.setattr("engine.journal.segments.mask", lambda body, offset: 0)
    disk = FakeDisk()
    journal = Journal.open(disk)
    journal.reserve(2000)
    journal.append(1, 1, [bytes(1000) + b"\1" + bytes(999)])
    name = disk.names()[0]
    disk.content(name)[2 * HEADER_BYTES + 1000] ^= 1
    assert Journal.open(disk).next_sequence == 1


# Single files


def test_a_file_is_the_old_or_the_new_one_at_every_crash_point() -> None:
    disk = FakeDisk()
    for sequence in (1, 2, 3):
        write_file(disk, "snapshot", sequence, sequence, [body_of(5), body_of(sequence + 30)])
        disk.note(ACKNOWLEDGED, sequence)
    for crash in crashes(disk.trace):
        acknowledged = len(crash.notes)
        if acknowledged == 0 and "snapshot" not in crash.disk.names():
            continue
        sequence, _, body = map_file(crash.disk, "snapshot")
        assert sequence in (acknowledged, acknowledged + 1)
        assert bytes(body) == body_of(5) + body_of(sequence + 30)


def test_a_file_that_is_not_synced_before_it_is_named_is_caught() -> None:
    disk = ForgetfulDisk()
    write_file(disk, "snapshot", 1, 1, [body_of(5), b"x" * 3000])
    torn = disk.after_power_loss("durable")
    with pytest.raises(JournalDamaged):
        map_file(torn, "snapshot")
