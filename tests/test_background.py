"""The process beside the server: it follows, builds snapshots, ends with its parent, starts again, disturbs nobody."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.disk import FolderDisk
from engine.folder import DataFolder
from engine.snapshot import load_snapshot, snapshots
from engine.state import State
from engine.views import FILE, Views
from engine.writer import Engine
from server import background, kept_process, wiring
from server.background import Background
from tests.clients import PLACES, Clients
from tests.driving import LIMITS, SECRET, START, columns, place, received
from tests.test_views import everything

SLOW_REST = """
import sys, time
from server import background
class Pace(background._Pace):
    rested = 0.0
    def rest(self, *_):
        began = time.monotonic()
        self._told.rest(0.1)
        Pace.rested += time.monotonic() - began
background._Pace = Pace
code = background.main(sys.argv[1:])
print(Pace.rested, file=sys.stderr)
sys.exit(code)
"""


class Server:
    """An engine, and the process beside it."""

    def __init__(self, path: Path, **wanted: bool) -> None:
        DataFolder.create(path, SECRET, LIMITS).close()
        self.path = path
        self.engine = Engine.open(path)
        self.beside = Background(path, lambda: self.engine.durable_sequence, **wanted)
        for command in Clients(random.Random(0)).catalogue():
            self.commit(command)

    def commit(self, asked: Any) -> None:
        self.engine.commit(columns(asked, PLACES), START)

    def close(self) -> None:
        self.beside.stop()
        self.engine.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path / "data")
    yield made
    made.close()


def wait_until(holds: Callable[[], Any], seconds_max: float = 60) -> None:
    until = time.monotonic() + seconds_max
    while not holds():
        assert time.monotonic() < until, "it takes too long"
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def run(*arguments: str) -> tuple[int, str]:
    """The process alone, its input open until it ends: exit code and what it told."""
    command = [sys.executable, "-m", "server.background", *arguments]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdin is not None
    assert child.stdout is not None
    said = child.stdout.read()
    code = child.wait(60)
    child.stdin.close()
    child.stdout.close()
    return code, said


def journal_files(path: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in path.glob("journal-*")}


def test_views_follow_the_engine(server: Server, tmp_path: Path) -> None:
    server.beside.start()
    for i in range(20):
        server.commit(place(f"order-{i}", (0, 1)))
        time.sleep(0.01)
    wait_until(lambda: server.beside.view_sequence == server.engine.durable_sequence)
    views, anew = Views.reader(server.path / FILE), Views.open(tmp_path / "anew.sqlite")
    anew.catch_up(server.engine.journal)
    assert everything(views) == everything(anew)
    views.close()
    anew.close()
    assert server.beside.pid is not None
    assert os.getpriority(os.PRIO_PROCESS, server.beside.pid) >= background.NICE


def test_a_sealed_segment_becomes_a_snapshot(server: Server) -> None:
    server.commit(received("more", (0, 0, 5)))
    server.engine.journal.seal()
    sealed = server.engine.journal.sealed_up_to
    before = journal_files(server.path)
    server.beside.start()
    wait_until(lambda: server.beside.snapshot_sequence == sealed)
    assert journal_files(server.path) == before
    server.commit(place("after", (0, 1)))
    digest = server.engine.state.digest()
    server.close()
    with Engine.open(server.path) as again:
        assert again.started_from == snapshots(FolderDisk(server.path))[-1][1]
        assert again.state.digest() == digest


def test_it_stops_at_once(server: Server) -> None:
    server.beside.start()
    wait_until(lambda: server.beside.view_sequence == server.engine.durable_sequence)
    pid = server.beside.pid
    assert pid is not None
    began = time.monotonic()
    server.beside.stop()
    assert time.monotonic() - began < kept_process.STOP_SECONDS_MAX
    assert not is_running(pid)


def test_it_starts_again_when_it_was_killed(server: Server, monkeypatch: Any) -> None:
    monkeypatch.setattr(kept_process, "RESTART_SECONDS_MIN", 0.05)
    server.beside.start()
    for i in range(3):
        wait_until(lambda: server.beside.view_sequence == server.engine.durable_sequence)
        pid = server.beside.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        server.commit(place(f"order-{i}", (0, 1)))
    wait_until(lambda: server.beside.view_sequence == server.engine.durable_sequence)
    assert server.beside.starts >= 4


def test_it_ends_with_its_parent(server: Server) -> None:
    program = (
        "import time, sys\nfrom pathlib import Path\nfrom server.background import Background\n"
        f"beside = Background(Path({str(server.path)!r}), lambda: {server.engine.durable_sequence})\n"
        "beside.start()\nwhile not beside.view_sequence: time.sleep(0.01)\nprint(beside.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert is_running(pid)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: not is_running(pid), 10)


def test_views_take_in_nothing_that_is_not_durable(server: Server) -> None:
    durable = server.engine.durable_sequence
    beside = Background(server.path, lambda: durable, snapshots=False)
    beside.start()
    try:
        wait_until(lambda: beside.view_sequence == durable)
        server.commit(place("written, and who knows", (0, 1)))
        time.sleep(0.3)
        assert beside.view_sequence == durable
        views = Views.reader(server.path / FILE)
        assert views.list_orders().rows == []
        views.close()
        durable += 1
        wait_until(lambda: beside.view_sequence == durable)
    finally:
        beside.stop()


def test_views_of_another_journal_are_made_anew(server: Server, tmp_path: Path) -> None:
    other = Server(tmp_path / "other")
    for i in range(9):
        other.commit(place(f"other-{i}", (0, 1)))
    views = Views.open(server.path / FILE)
    views.catch_up(other.engine.journal)
    views.close()
    other.close()
    server.beside.start()
    wait_until(lambda: server.beside.view_sequence == server.engine.durable_sequence)
    views = Views.reader(server.path / FILE)
    assert views.list_orders().rows == []
    views.close()


def test_nothing_is_started_where_nothing_is_wanted(tmp_path: Path) -> None:
    server = Server(tmp_path / "data", views=False, snapshots=False)
    server.beside.start()
    time.sleep(0.05)
    assert (server.beside.starts, server.beside.pid) == (0, None)
    server.close()
    assert not (tmp_path / "data" / FILE).exists()


def test_it_takes_no_lock_and_says_what_went_wrong(tmp_path: Path) -> None:
    server = Server(tmp_path / "data", snapshots=False)
    server.beside.start()
    wait_until(lambda: server.beside.view_sequence == server.engine.durable_sequence)
    server.engine.close()
    server.engine = Engine.open(server.path)  # while the process runs
    server.close()
    code, said = run(str(tmp_path / "nowhere"), "--views")
    assert code == 1
    assert "nowhere" in json.loads(said.splitlines()[-1])["error"]


def test_a_snapshot_has_the_state_of_what_is_sealed(server: Server) -> None:
    server.engine.journal.seal()
    digest = server.engine.state.digest()
    assert run(str(server.path), "--one-snapshot") == (0, "")
    state = State(server.engine.state.secret, LIMITS)
    load_snapshot(FolderDisk(server.path), snapshots(FolderDisk(server.path))[-1][1], state)
    assert state.digest() == digest


def test_who_ran_for_long_is_started_again_soon_and_others_later_and_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kept_process, "RESTART_SECONDS_MIN", 0.02)
    waits: dict[float, list[float]] = {}
    for lives in (0.0, 0.4):
        monkeypatch.setattr(kept_process, "RESTART_SECONDS_MAX", 0.2)
        process = kept_process.KeptProcess("test", [sys.executable, "-c", f"import time; time.sleep({lives})"])
        said = waits.setdefault(lives, [])
        warn = lambda *_, starts_again_in_seconds, said=said, **__: said.append(starts_again_in_seconds)  # noqa: E731
        monkeypatch.setattr(kept_process._log, "warning", warn, raising=False)
        process.start()
        wait_until(lambda process=process: process.starts >= 4)
        process.stop()
    assert waits[0.0][:3] == [0.04, 0.08, 0.16]
    assert waits[0.4][:3] == [0.02] * 3


def test_it_steps_back_behind_the_server(server: Server) -> None:
    server.beside.start()
    wait_until(lambda: server.beside.view_sequence == server.engine.durable_sequence)
    assert server.beside.pid is not None
    assert os.getpriority(os.PRIO_PROCESS, server.beside.pid) == background.NICE
    assert os.getsid(server.beside.pid) == os.getsid(0)  # another session would get half of the cores
    assert os.getpgid(server.beside.pid) != os.getpgid(0)  # Ctrl-C is for the server


def test_a_surge_is_much_work_in_a_short_time(monkeypatch: pytest.MonkeyPatch):
    now, orders = 1000.0, 0
    monkeypatch.setattr(wiring.time, "monotonic", lambda: now)
    meter = wiring.SurgeMeter(lambda: orders, wiring.SURGE_PER_SECOND, wiring.METER_SECONDS)
    assert not meter.in_surge()
    now, orders = now + 0.11, orders + wiring.SURGE_PER_SECOND // 20  # batches, but few
    assert not meter.in_surge()
    now, orders = now + 0.01, orders + 13_000  # a batch just came: whether more follow is not known yet
    assert not meter.in_surge()
    now += 0.1
    assert meter.in_surge()
    now += wiring.CALM_SECONDS / 2  # no batch came just now
    assert meter.in_surge()
    now += wiring.CALM_SECONDS
    assert not meter.in_surge()


def test_a_step_is_one_transaction_of_the_views(server: Server, monkeypatch: pytest.MonkeyPatch):
    """So that a rest, and a look after snapshots, comes between two, however much there is to catch up with."""
    monkeypatch.setattr("engine.views.COMMIT_ROWS", 1)
    told: list[int] = []
    monkeypatch.setattr(background, "tell", lambda **progress: told.append(progress["view_sequence"]))
    follower = background.Follower(server.path, views=True, snapshots=False)
    last = server.engine.durable_sequence
    while follower.step(last):
        assert Views.reader(server.path / FILE).view_sequence == told[-1] < last
    assert told == list(range(1, last + 1))


def test_in_a_surge_a_snapshot_is_built_once_in_a_while(server: Server, monkeypatch: pytest.MonkeyPatch):
    follower = background.Follower(server.path, views=False, snapshots=True)

    def sealed_and_seen(in_surge: bool) -> bool:
        """Seal a segment; whether a snapshot of it is built then."""
        server.commit(place(f"order {server.engine.durable_sequence}", (0, 1)))
        server.engine.journal.seal()
        before = follower._tried_up_to
        follower.step(server.engine.durable_sequence, in_surge)
        follower.tell_snapshot(False)  # it would rest
        wait_until(lambda: follower._snapshot is None or follower._snapshot.poll() is not None)
        follower.step(0, in_surge=True)  # hears how it went
        return follower._tried_up_to > before

    assert sealed_and_seen(in_surge=True)  # the first one
    assert not sealed_and_seen(in_surge=True)
    assert sealed_and_seen(in_surge=False)
    assert not sealed_and_seen(in_surge=True)
    monkeypatch.setattr(background, "SURGE_SNAPSHOT_SECONDS", 0.0)
    assert sealed_and_seen(in_surge=True)
    assert len(snapshots(FolderDisk(server.path))) == 2  # the last ones


def test_a_snapshot_that_is_built_in_a_surge_rests_and_after_it_does_not(server: Server) -> None:
    for i in range(40):
        server.commit(place(f"order {i}", (0, 1)))
    server.engine.journal.seal()
    seconds = []
    for in_surge in (True, False):
        command = [sys.executable, "-c", SLOW_REST, str(server.path), "--one-snapshot"]
        building = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        assert building.stdin is not None
        assert building.stderr is not None
        building.stdin.write(f"0 {in_surge:d} 0\n")
        building.stdin.flush()
        assert building.wait(60) == 0
        building.stdin.close()
        with building.stderr as said:
            seconds.append(float(said.read().splitlines()[-1]))
        found = snapshots(FolderDisk(server.path))
        FolderDisk(server.path).remove(found[-1][1])
    assert seconds[0] > seconds[1] + 3  # of rest: 40 records, each with one of more than 0.1 s


def test_a_rest_lasts_as_long_as_the_surge_but_not_for_ever(monkeypatch: pytest.MonkeyPatch):
    there, here = os.pipe()
    monkeypatch.setattr(sys, "stdin", os.fdopen(there))
    told = background._Input()
    os.write(here, b"7 1 5\n")
    assert told.has_news.wait(60)
    began = time.monotonic()
    told.rest(0.05)
    assert 0.05 <= time.monotonic() - began < 5
    os.write(here, b"7 0 6\n")
    began = time.monotonic()
    told.rest(60)
    assert time.monotonic() - began < 5
    assert (told.durable, told.memory_ahead) == (7, 6)
    # `here` stays open: the end of its input is the end of the process


def test_no_snapshot_is_begun_without_memory_for_it(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    follower = background.Follower(server.path, views=False, snapshots=True)
    server.commit(place("order", (0, 1)))
    server.engine.journal.seal()
    monkeypatch.setattr(background, "held_bytes", lambda process: 800 << 20)
    monkeypatch.setattr(background, "available_bytes", lambda: 999 << 20)
    follower.step(server.engine.durable_sequence)
    assert not follower.is_busy
    assert "about 1,000 MiB of memory, 999 are left" in capsys.readouterr().out
    server.commit(place("another", (0, 1)))
    server.engine.journal.seal()
    monkeypatch.setattr(background, "available_bytes", lambda: 1000 << 20)
    follower.step(server.engine.durable_sequence)
    assert follower.is_busy
    wait_until(lambda: follower._snapshot is None or follower._snapshot.poll() is not None)
    follower.step(0)  # hears how it went
    assert not follower.is_busy
    assert len(snapshots(FolderDisk(server.path))) == 1


def test_a_snapshot_needs_memory_for_what_is_sealed_and_none_for_orders_to_come(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    follower = background.Follower(server.path, views=False, snapshots=True)
    server.engine.journal.seal()
    for number in range(200):
        server.commit(place(f"order {number}", (0, 1)))
    monkeypatch.setattr(background, "held_bytes", lambda process: 1000 << 20)
    monkeypatch.setattr(background, "available_bytes", lambda: 0)
    follower.memory_ahead = 200 << 20
    follower.step(server.engine.durable_sequence)
    told = json.loads(capsys.readouterr().out)["error"]
    sizes = [segment.size_bytes for segment in server.engine.journal.segments()]
    assert len(sizes) == 2
    wanted = int(1.25 * (800 << 20) * sizes[0] / sum(sizes)) >> 20
    assert 0 < wanted < 1000
    assert f"about {wanted:,} MiB" in told


def test_a_snapshot_needs_memory_for_all_of_the_state_where_the_journal_begins_elsewhere(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.engine.journal.seal()
    server.commit(place("first", (0, 1)))
    server.engine.journal.seal()
    server.commit(place("second", (0, 1)))
    (server.path / server.engine.journal.segments()[0].name).rename(server.path.parent / "elsewhere")
    follower = background.Follower(server.path, views=False, snapshots=True)
    monkeypatch.setattr(background, "held_bytes", lambda process: 800 << 20)
    monkeypatch.setattr(background, "available_bytes", lambda: 0)
    follower.step(server.engine.durable_sequence)
    assert "about 1,000 MiB" in json.loads(capsys.readouterr().out)["error"]


def test_a_snapshot_is_given_up_where_memory_runs_out(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        server.commit(place(f"order {number}", (0, 1)))
    server.engine.journal.seal()
    monkeypatch.setattr(background, "is_short", lambda: True)
    monkeypatch.setattr(background, "_Input", lambda: SimpleNamespace(rest=lambda seconds: None))
    monkeypatch.setattr(background, "offer_first", lambda: None)
    monkeypatch.setattr(background.os, "nice", lambda by: None)
    assert background.main([str(server.path), "--one-snapshot"]) == 1
    assert "memory is left: it is given up" in capsys.readouterr().out
    assert snapshots(FolderDisk(server.path)) == []


def test_what_memory_is_left_is_looked_at_now_and_then_and_not_at_every_record(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    monkeypatch.setattr(background, "is_short", lambda: bool(looks.append(1)))
    pace = background._Pace(SimpleNamespace(rest=lambda seconds: None))  # type: ignore[arg-type]
    for _ in range(1000):
        pace.rest()
    assert len(looks) == 1
    pace._look_at = 0.0
    pace.rest()
    assert len(looks) == 2
