"""The simulation of the whole engine (tests/simulation.py): a sample, the long form, every crash point of one trace,
and the mutations that it must notice.

A failure names its seed. ALLOT_SIM_SEED=<seed> runs that one; ALLOT_SIM_CRASHES=<count> makes the long form longer.
"""

import os
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from engine.availability import Availability
from engine.journal.container import write_file
from engine.journal.frame import HEADER_BYTES, checksum
from engine.journal.segments import Journal
from engine.writer import Pending
from tests.fake_disk import crashes
from tests.simulation import Broken, Recording, simulate

LIVES = 8  # crashes of one seed
RARE = (
    "power lost", "durable, not acknowledged", "torn", "from a snapshot", "snapshot", "archived", "disk full",
    "beyond a limit", "the same again", "other content", "damage refused", "damage before the snapshot", "verified",
    "Place", "Reserve", "Confirm", "Release", "Acts", "Stock", "Fence", "Opening", "Channels", "Exceptions", "Names",
    "Retire", "Forget",
)  # fmt: skip


def run(seeds: range) -> Counter[str]:
    only = os.environ.get("ALLOT_SIM_SEED")
    seen: Counter[str] = Counter()
    for seed in [int(only)] if only else seeds:
        seen += simulate(seed, LIVES)
    return seen if not only else Counter(RARE)


def test_a_sample_of_seeds_keeps_every_promise_and_meets_everything_rare() -> None:
    seen = run(range(30))
    assert [what for what in RARE if not seen[what]] == [], seen


@pytest.mark.soak
@pytest.mark.parametrize("part", range(10))
def test_ten_thousand_crashes(part: int) -> None:
    seeds = -(-int(os.environ.get("ALLOT_SIM_CRASHES", "10000")) // LIVES // 10)
    run(range(1000 + part * seeds, 1000 + (part + 1) * seeds))


# Every crash point of one trace


def test_every_crash_point_of_a_short_trace() -> None:
    recording = Recording(seed=3, batches=12)
    points = list(crashes(recording.disk.trace, seeds=(1,)))
    assert len(points) > 200
    assert [fault for crash in points if (fault := recording.wrong_after(crash))] == []


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(4))
def test_every_crash_point_of_a_long_trace(seed: int) -> None:
    recording = Recording(seed, batches=60)
    kinds = {step.kind for step in recording.disk.trace}
    assert kinds >= {"create", "extend", "write", "sync", "sync_folder", "truncate", "rename"}
    assert [fault for crash in crashes(recording.disk.trace) if (fault := recording.wrong_after(crash))] == []


# Mutations: an engine that leaves out one of the things it stands on must be caught, and for that reason.


def caught(words: str, seeds: range = range(60)) -> bool:
    """Whether some seed breaks and says so."""
    for seed in seeds:
        try:
            simulate(seed, LIVES)
        except Broken as broken:
            if words in str(broken):
                return True
    return False


def without(name: str, method: Callable[..., Any], owner: str = "_disk") -> Callable[..., Any]:
    """The method on a disk that leaves one of its calls out. owner: where the first argument has its disk."""

    def mutated(first: Any, *arguments: Any) -> Any:
        disk = getattr(first, owner) if owner else first
        setattr(disk, name, lambda *_: None)
        try:
            return method(first, *arguments)
        finally:
            delattr(disk, name)

    return mutated


def test_records_that_are_not_synced_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Journal, "_put", without("sync", Journal._put))
    assert caught("were acknowledged")
    assert caught("yet a whole record follows")


def test_segments_whose_names_are_not_synced_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Journal, "_start_segment", without("sync_folder", Journal._start_segment))
    assert caught("were acknowledged")


def test_snapshots_that_are_not_synced_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.snapshot.write_file", without("sync", write_file, owner=""))
    assert caught(".snap is damaged")


def test_an_answer_before_its_record_is_synced_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pending, "wait", lambda pending: pending._answers)
    monkeypatch.setattr(Pending, "ats_changes", lambda pending: pending._changes)
    assert caught("were acknowledged")


def test_bodies_without_checksums_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def of_headers_only(data: Any) -> int:
        return checksum(data) if len(data) <= HEADER_BYTES else 0

    monkeypatch.setattr("engine.journal.frame.checksum", of_headers_only)
    monkeypatch.setattr("engine.journal.segments.checksum", of_headers_only)
    assert caught("not found by verify", range(52, 80))  # with 51, garbage ends the process in a kernel


def test_a_start_that_forgets_what_expires_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The digest does not show it, only what is decided later."""
    monkeypatch.setattr("engine.state.rebuild_expiries", lambda *_: None)
    assert caught("the twin")


def test_versions_that_begin_anew_with_a_start_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def of_nothing_told(availability: Any, channels: int) -> None:
        availability.published = availability._columns(channels)

    monkeypatch.setattr(Availability, "_make_room", of_nothing_told)
    assert caught("version 0 after")
