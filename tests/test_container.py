"""Single checksummed files: written whole or not at all, and never believed when a byte is wrong."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.disk import FolderDisk
from engine.journal import JournalDamaged, JournalNewer
from engine.journal.container import map_file, write_file
from tests.fake_disk import FakeDisk
from tests.journals import body_of, rewrite


@pytest.fixture(params=["fake", "folder"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    made: Any = FakeDisk() if request.param == "fake" else FolderDisk(tmp_path)
    yield made
    made.close()


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
    monkeypatch.setattr("engine.journal.container.PIECE_BYTES_MAX", 100)
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
