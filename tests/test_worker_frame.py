"""What every worker is given: parts that are tried again, health and metrics, a cursor that survives, and an end."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from socket import create_server
from typing import Any

import grpc
import pytest

from allot.v1 import events_pb2 as pb
from allot_client.errors import NotAllowed
from allot_client.patience import PAUSE_SECONDS_MAX, PAUSE_SECONDS_MIN
from server.local_redis import free_port
from server.workers.cursor import Cursor
from server.workers.failure import WorkerError
from server.workers.frame import Frame, end
from tests.framed import NOWHERE, Following, Framed, following, framed
from tests.stores import running_processes, until

ENDS_WITHIN_SECONDS = 20


class Turns:
    """A part's work: raises what it is given, one a turn, and stops the frame after the last. None: it goes well."""

    def __init__(self, frame: Frame, *turns: Exception | None) -> None:
        self._frame, self._turns, self.done = frame, list(turns), 0

    async def __call__(self) -> None:
        self.done += 1
        turn = self._turns.pop(0)
        if not self._turns:
            self._frame.stopping.set()
        if turn is not None:
            raise turn
        self._frame.well("part")


AWAY = WorkerError("AWAY", "the outside is away")
FULL = WorkerError("FULL", "the outside is full")


# Parts that are tried again


def test_a_part_that_fails_is_tried_again_after_pauses_that_grow_to_a_limit():
    async def test(frame: Framed) -> None:
        work = Turns(frame, *[AWAY] * 40)
        await frame.keep("part", work)
        assert work.done == len(frame.pauses) == 40
        for i, pause in enumerate(frame.pauses):
            longest = min(PAUSE_SECONDS_MAX, PAUSE_SECONDS_MIN * 2.0 ** (i + 1))
            assert longest / 2 <= pause <= longest
        assert len(set(frame.pauses)) > 30  # by chance, so that many workers do not come back in step

    framed(test)


def test_pauses_begin_small_again_when_it_was_well():
    async def test(frame: Framed) -> None:
        await frame.keep("part", Turns(frame, *[AWAY] * 10, None, AWAY))
        assert frame.pauses[9] >= PAUSE_SECONDS_MAX / 2
        assert frame.pauses[10] <= 2 * PAUSE_SECONDS_MIN

    framed(test)


def test_a_failure_that_lasts_is_logged_once_and_counted_each_time():
    async def test(frame: Framed) -> None:
        bug = KeyError("no such thing")
        await frame.keep("part", Turns(frame, AWAY, AWAY, FULL, FULL, FULL, bug, bug, AWAY))
        assert frame.said.reasons() == ["AWAY", "FULL", "KeyError", "AWAY"]
        counted = {
            reason: frame.figure("allot_worker_failures_total", part="part", reason=reason)
            for reason in ("AWAY", "FULL", "KeyError")
        }
        assert counted == {"AWAY": 3, "FULL": 3, "KeyError": 2}
        told = [fields.get("exc_info", False) for level, _, fields in frame.said.said if level == "warning"]
        assert told == [False, False, True, False]  # where a bug is ours, where it happened

    framed(test)


def test_health_goes_down_and_up_again():
    async def test(frame: Framed) -> None:
        seen = []

        async def work() -> None:
            await turns()

        turns = Turns(frame, None, AWAY, AWAY, None, FULL)
        well, fails = frame.well, frame._fails

        def look() -> None:
            seen.append((frame.figure("allot_worker_well", part="part"), frame.failing))

        frame.well = lambda part: (well(part), look())  # type: ignore[method-assign,assignment,func-returns-value]
        frame._fails = lambda *a, **k: (fails(*a, **k), look())  # type: ignore[method-assign,assignment,func-returns-value]
        await frame.keep("part", work)
        away = (0, {"part": "AWAY"})
        assert seen == [(1, {}), away, away, (1, {}), (0, {"part": "FULL"})]
        assert [text for level, text, _ in frame.said.said if level == "info"] == ["it works again"]

    framed(test)


def test_a_failure_of_the_engine_has_its_reason_whoever_raises_it():
    async def test(frame: Framed) -> None:
        refused = NotAllowed(grpc.StatusCode.UNAUTHENTICATED, "no such token", "UNKNOWN_TOKEN")
        await frame.keep("part", Turns(frame, refused, NotAllowed(grpc.StatusCode.PERMISSION_DENIED, "no")))
        assert frame.said.reasons() == ["UNKNOWN_TOKEN", "PERMISSION_DENIED"]
        assert frame.failing == {"part": "PERMISSION_DENIED"}

    framed(test)


def test_a_bug_in_one_part_does_not_stop_another():
    async def test(frame: Framed) -> None:
        done = 0

        async def broken() -> None:
            raise ZeroDivisionError("ours")

        async def sound() -> None:
            nonlocal done
            done += 1
            frame.well("sound")
            await asyncio.sleep(0.001)
            if done == 20:
                frame.stopping.set()

        await asyncio.gather(frame.keep("broken", broken), frame.keep("sound", sound))
        assert done == 20
        assert frame.failing == {"broken": "ZeroDivisionError"}
        assert (frame.figure("allot_worker_well", part="broken"), frame.figure("allot_worker_well", part="sound")) == (
            0,
            1,
        )

    framed(test)


def test_a_pause_ends_with_the_worker():
    async def test(frame: Framed) -> None:
        asyncio.get_running_loop().call_later(0.02, frame.stopping.set)
        begun = time.monotonic()
        await Frame.pause(frame, 30)
        assert time.monotonic() - begun < 5
        frame.stopping.clear()
        await Frame.pause(frame, 0.01)

    framed(test)


# Events


def test_events_come_in_sequence_from_the_cursor_on_and_then_as_they_happen(tmp_path: Path):
    async def test(one: Following) -> None:
        one.cursor.write("2-1")
        task = asyncio.ensure_future(one.follow((pb.EVENT_KIND_ORDER_DECIDED,)))
        await one.until(lambda: one.cursor.read() == "5-1")
        await one.until(lambda: len(one.engine.asked) == 2)
        one.engine.count = 8
        one.engine.more.set()
        await one.until(lambda: one.cursor.read() == "8-1")
        await end([task])
        assert one.did == [3, 4, 5, 6, 7, 8]
        assert [(asked.after_event_id, asked.once) for asked in one.engine.asked] == [("2-1", True), ("5-1", False)]
        assert [list(asked.kinds) for asked in one.engine.asked] == [[pb.EVENT_KIND_ORDER_DECIDED]] * 2

    following(tmp_path / "cursor", test)


def test_a_page_without_events_moves_no_cursor(tmp_path: Path):
    async def test(one: Following) -> None:
        one.cursor.write("5-1")
        task = asyncio.ensure_future(one.follow())
        await one.until(lambda: len(one.engine.asked) == 2)
        await asyncio.sleep(0.05)
        assert one.cursor.read() == "5-1"
        await end([task])
        assert one.did == []

    following(tmp_path / "cursor", test)


def test_an_effect_that_fails_is_had_again_and_what_was_before_it_is_not(tmp_path: Path):
    async def test(one: Following) -> None:
        one.fails = {4: [AWAY] * 5, 1: [FULL]}
        async with one.going():
            await one.until(lambda: one.frame.failing == {"events": "AWAY"})
            assert one.cursor.read() == "3-1"  # in the middle of a page
            await one.until(lambda: one.cursor.read() == "5-1")
            await one.until(lambda: not one.frame.failing)
        assert sorted(one.did) == [1, 2, 3, 4, 5]
        assert one.did[:2] == [2, 3]  # what is behind it does not wait
        assert one.frame.said.reasons() == ["FULL", "AWAY"]

    following(tmp_path / "cursor", test)


def test_it_is_well_where_nothing_happens(tmp_path: Path):
    async def test(one: Following) -> None:
        one.engine.count = 0
        task = asyncio.ensure_future(one.follow())
        await one.until(lambda: one.frame.figure("allot_worker_well", part="events") == 1)
        await end([task])
        assert (one.did, one.cursor.read("none")) == ([], "none")

    following(tmp_path / "cursor", test)


def test_what_was_done_when_it_is_stopped_is_kept(tmp_path: Path):
    async def test(one: Following) -> None:
        reached = asyncio.Event()

        async def effect(event: pb.Event) -> bool:
            if event.sequence == 4:
                reached.set()
                await asyncio.sleep(60)
            return True

        task = asyncio.ensure_future(one.frame.follow("events", one.cursor, effect))
        await reached.wait()
        await end([task])
        assert one.cursor.read() == "3-1"

    following(tmp_path / "cursor", test)


def test_a_cursor_beyond_the_events_and_a_damaged_one_are_said(tmp_path: Path):
    async def test(one: Following) -> None:
        one.cursor.write("9-1")
        task = asyncio.ensure_future(one.follow())
        await one.until(lambda: one.frame.failing == {"events": "OUT_OF_RANGE"})
        (tmp_path / "cursor").write_text("{")
        await one.until(lambda: one.frame.failing == {"events": "CURSOR_DAMAGED"})
        one.cursor.write("4-1")  # somebody mends it
        await one.until(lambda: one.did == [5])
        await end([task])

    following(tmp_path / "cursor", test)


def test_an_engine_that_is_not_there_is_waited_for(tmp_path: Path):
    async def test(frame: Framed) -> None:
        async def effect(event: pb.Event) -> bool:
            raise AssertionError("no event")

        task = asyncio.ensure_future(frame.follow("events", Cursor(tmp_path / "cursor"), effect))
        while len(frame.pauses) < 3:
            await asyncio.sleep(0.01)
        await end([task])
        assert frame.said.reasons() == ["UNAVAILABLE"]

    framed(test, f"127.0.0.1:{free_port()}")


# The cursor


def test_a_cursor_is_what_was_written_last(tmp_path: Path):
    cursor = Cursor(tmp_path / "deep" / "cursor")
    assert (cursor.read(), cursor.read("0-0")) == ("", "0-0")
    for at in ("1-1", "", "2-7", "\N{GREEK SMALL LETTER MU}"):
        cursor.write(at)
        assert Cursor(tmp_path / "deep" / "cursor").read("other") == at
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["cursor"]


DAMAGE = {
    "empty": b"", "cut off": b'{"cursor": "1', "no text": b"\xff\xfe", "zeros": bytes(20), "a list": b"[]",
    "null": b"null", "without it": b'{"other": "1-1"}', "a number": b'{"cursor": 5}',
}  # fmt: skip


@pytest.mark.parametrize("content", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_cursor_is_no_beginning(content: bytes, tmp_path: Path):
    (tmp_path / "cursor").write_bytes(content)
    with pytest.raises(WorkerError, match="cursor holds no cursor: put it back") as caught:
        Cursor(tmp_path / "cursor").read()
    assert caught.value.reason == "CURSOR_DAMAGED"


FOLDER_SYNC = "first = os.open; os.open = lambda to, *a: crash() if to == at.parent else first(to, *a)"
CRASHES = {  # what is done to the writer, and what is read afterwards
    "before anything is in the file": ("json.dump = crash", "old"),
    "in the middle of the text": ("json.dump = lambda _, file: (file.write('{'), file.flush(), crash())", "old"),
    "before the file is durable": ("os.fsync = crash", "old"),
    "before the rename": ("Path.replace = crash", "old"),
    "after the rename": (FOLDER_SYNC, "new"),
}  # fmt: skip


@pytest.mark.parametrize(("what", "read"), CRASHES.values(), ids=CRASHES)
def test_a_crash_leaves_the_old_cursor_or_the_new_one(what: str, read: str, tmp_path: Path):
    at = tmp_path / "cursor"
    script = (
        "import json, os, sys; from pathlib import Path; from server.workers.cursor import Cursor\n"
        "at = Path(sys.argv[1]); Cursor(at).write('old')\n"
        f"crash = lambda *_: os.kill(os.getpid(), 9)\n{what}\n"
        "Cursor(at).write('new'); sys.exit('no crash')"
    )
    assert subprocess.run([sys.executable, "-c", script, at], check=False).returncode == -signal.SIGKILL
    cursor = Cursor(at)
    assert cursor.read() == read
    cursor.write("next")  # whatever was left there
    assert cursor.read() == "next"


# Its end


class Process:
    """A worker as a process. body: of its work."""

    def __init__(self, folder: Path, body: str, *, metrics: str = "", with_parent: bool = False) -> None:
        code = folder / "trial.py"
        code.write_text(
            "import asyncio, sys\n"
            "from allot_client.connection import Connection\n"
            "from server.log import open_log\n"
            "from server.workers.frame import run\n"
            f"async def work(frame):\n    print('working', flush=True)\n    {body}\n"
            f"sys.exit(run('trial', work, Connection({NOWHERE!r}), open_log(), {metrics!r}, {with_parent}))\n"
        )
        self.process = subprocess.Popen(
            [sys.executable, code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONIOENCODING": "utf-8:strict"},
        )  # fmt: skip

    def works(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"working\n", self.ended()

    def ended(self) -> tuple[int, list[dict[str, Any]]]:
        """Its exit code, and what it logged. Anything else on stderr is no log, and fails."""
        assert self.process.stderr is not None
        code = self.process.wait(ENDS_WITHIN_SECONDS)
        return code, [json.loads(line) for line in self.process.stderr.read().splitlines()]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    begun: list[Process] = []

    def begin(body: str = "await asyncio.sleep(60)", **options: Any) -> Process:
        begun.append(Process(tmp_path, body, **options))
        return begun[-1]

    yield begin
    for one in begun:
        one.process.kill()
        one.process.wait()
        for pipe in (one.process.stdin, one.process.stdout, one.process.stderr):
            assert pipe is not None
            pipe.close()


@pytest.mark.parametrize("with_parent", [False, True])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it(number: signal.Signals, with_parent: bool, start: Callable[..., Process]):
    """Its parent still holds stdin."""
    worker = start(with_parent=with_parent)
    worker.works()
    worker.process.send_signal(number)
    code, log = worker.ended()
    assert (code, [line["event"] for line in log]) == (0, ["started", "stopped"])


@pytest.mark.parametrize("said", [b"", b"\xff\xfe no text\n" * 1000])
def test_the_end_of_its_parents_input_ends_it(said: bytes, start: Callable[..., Process]):
    worker = start(with_parent=True)
    worker.works()
    assert worker.process.stdin is not None
    worker.process.stdin.write(said)
    worker.process.stdin.flush()
    time.sleep(0.1)
    assert worker.process.poll() is None
    offered = Path(f"/proc/{worker.process.pid}/oom_score_adj")
    assert not offered.exists() or int(offered.read_text()) == 1000, "the system would end its parent first"
    worker.process.stdin.close()
    code, log = worker.ended()
    assert (code, [line["event"] for line in log]) == (0, ["started", "stopped"])


def test_it_ends_with_a_parent_that_is_killed(start: Callable[..., Process], tmp_path: Path):
    start(with_parent=True).process.kill()  # its code is there
    script = (
        "import subprocess, sys; child = subprocess.Popen([sys.executable, sys.argv[1]], stdin=subprocess.PIPE, "
        "stdout=subprocess.PIPE); child.stdout.readline(); print(child.pid, flush=True); child.wait()"
    )
    command = [sys.executable, "-c", script, tmp_path / "trial.py"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        assert running_processes([worker]) == [worker]
        parent.kill()
        parent.wait()
    until(lambda: running_processes([worker]) == [], "the worker ends", ENDS_WITHIN_SECONDS)


def test_without_a_parent_the_end_of_its_input_means_nothing(start: Callable[..., Process]):
    worker = start()
    worker.works()
    assert worker.process.stdin is not None
    worker.process.stdin.close()
    time.sleep(0.2)
    assert worker.process.poll() is None


def test_with_nothing_as_its_input_it_ends_at_once(tmp_path: Path, start: Callable[..., Process]):
    start(with_parent=True).process.kill()  # its code is there
    command = [sys.executable, tmp_path / "trial.py"]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, timeout=ENDS_WITHIN_SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr


def test_work_that_raises_ends_it_with_1(start: Callable[..., Process]):
    worker = start("raise RuntimeError('nothing can be done')")
    code, log = worker.ended()
    assert (code, [line["event"] for line in log]) == (1, ["started", "a worker has failed"])
    assert log[-1]["error"] == "RuntimeError: nothing can be done"


def test_work_that_is_done_ends_it_with_0(start: Callable[..., Process]):
    assert start("return").ended()[0] == 0


def test_work_that_cleans_up_is_waited_for(start: Callable[..., Process]):
    body = "\n    ".join(
        [
            "try:",
            "    await asyncio.sleep(60)",
            "finally:",
            "    await asyncio.sleep(0.1)",
            "    print('clean', flush=True)",
        ]
    )
    worker = start(body)
    worker.works()
    worker.process.terminate()
    assert worker.ended()[0] == 0
    assert worker.process.stdout is not None
    assert worker.process.stdout.read() == b"clean\n"


def test_metrics_are_told(start: Callable[..., Process]):
    port = free_port()
    worker = start("frame.well('part'); await asyncio.sleep(60)", metrics=f"127.0.0.1:{port}")
    worker.works()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    assert 'allot_worker_well{part="part"} 1.0' in lines
    assert any(line.startswith("process_resident_memory_bytes ") for line in lines)


def test_an_address_of_metrics_that_is_taken_is_said(start: Callable[..., Process]):
    with create_server(("127.0.0.1", 0)) as taken:
        worker = start(metrics=f"127.0.0.1:{taken.getsockname()[1]}")
        code, log = worker.ended()
    assert (code, [line["event"] for line in log]) == (1, ["started", "a worker has failed"])
    assert "in use" in log[-1]["error"]
