"""What a worker does with an event that fails: tried alone, parked at last, looked at again, and never in an outage."""

import asyncio
import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from allot.v1 import events_pb2 as pb
from server.workers import following as following_module
from server.workers.cursor import Cursor
from server.workers.failure import WillNotDo, WorkerError
from server.workers.following import Patience
from server.workers.frame import end
from tests.framed import Following, following

POISON = WorkerError("POISON", "the outside does not like it")
AT_ONCE = Patience(tries=3, seconds=0.0)
NEVER = Patience(tries=1_000_000)


def fails_for_ever(one: Following, *events: int) -> None:
    for event in events:
        one.fails[event] = [POISON]
        one.for_ever.add(event)


def test_what_is_done_of_a_page_is_not_done_again_for_the_sake_of_one_that_fails(tmp_path: Path):
    async def test(one: Following) -> None:
        fails_for_ever(one, 2)
        async with one.going(patience=NEVER):
            await one.until(lambda: one.tried.count(2) > 20)
        assert one.did == [1, 3, 4, 5]
        assert one.cursor.read() == "1-1"

    following(tmp_path / "cursor", test)


def test_an_event_that_fails_while_others_succeed_is_parked_and_the_cursor_goes_on(tmp_path: Path):
    async def test(one: Following) -> None:
        fails_for_ever(one, 2)
        async with one.going(patience=AT_ONCE):
            for count in range(6, 40):  # others, as they come
                one.engine.count = count
                one.engine.more.set()
                await one.until(lambda count=count: count in one.did)
                if one.parked():
                    break
            assert one.parked() == ["2-1"]
            assert one.tried.count(2) >= AT_ONCE.tries
            await one.until(lambda: one.cursor.read() == f"{one.engine.count}-1")
            await one.until(lambda: not one.frame.failing)
            assert one.frame.figure("allot_worker_parked", part="events") == 1
        ((text, told),) = [(text, fields) for level, text, fields in one.frame.said.said if level == "error"]
        assert "parked" in text
        assert (told["event_id"], told["reason"]) == ("2-1", "POISON")

    following(tmp_path / "cursor", test)


def test_nothing_is_parked_before_its_time(tmp_path: Path):
    async def test(one: Following) -> None:
        fails_for_ever(one, 1)
        async with one.going(patience=Patience(tries=2, seconds=300)):
            for count in range(6, 30):
                one.engine.count = count
                one.engine.more.set()
                await one.until(lambda count=count: count in one.did)
        assert one.parked() == []
        assert one.cursor.read("none") in ("", "none")

    following(tmp_path / "cursor", test)


def test_in_an_outage_nothing_is_parked_and_the_cursor_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(following_module, "WAITING_EVENTS_MAX", 6)

    async def test(one: Following) -> None:
        fails_for_ever(one, *range(3, 30))
        one.quiet = {1, 2}  # they are nobody's, and say nothing of the outside
        async with one.going(patience=AT_ONCE):
            await one.until(lambda: one.tried.count(3) > 20)
            assert one.parked() == []
            assert one.cursor.read() == "2-1"
            assert max(one.tried) <= 8  # what waits has a limit
            one.for_ever.clear()
            await one.until(lambda: one.cursor.read() == "29-1")
        assert (sorted(one.did), one.parked()) == (list(range(1, 30)), [])

    following(tmp_path / "cursor", test, count=29)


def test_what_will_not_do_is_parked_at_once_and_what_stood_behind_it_goes_on(tmp_path: Path):
    async def test(one: Following) -> None:
        one.fails[2] = [WillNotDo("KEY_CONFLICT", "somebody has to look")]
        async with one.going(of=lambda event: event.sequence % 2):
            await one.until(lambda: one.cursor.read() == "5-1")
        assert one.parked() == ["2-1"]
        assert sorted(one.did) == [1, 3, 4, 5]
        assert one.tried.count(2) == 1

    following(tmp_path / "cursor", test)


def test_events_of_one_thing_wait_for_the_one_before_them(tmp_path: Path):
    async def test(one: Following) -> None:
        fails_for_ever(one, 1)
        async with one.going(at_once=4, of=lambda event: event.sequence % 2, patience=NEVER):
            await one.until(lambda: one.tried.count(1) > 5)
        assert one.did == [2, 4]

    following(tmp_path / "cursor", test)


def test_what_is_parked_is_looked_at_again_when_it_starts_and_then_now_and_then(tmp_path: Path):
    async def test(one: Following) -> None:
        one.cursor.write("5-1", ["2-1", "4-1"])
        one.fails = {4: [POISON] * 2}
        async with one.going(patience=Patience(parked_seconds=0.01)):
            await one.until(lambda: one.parked() == ["4-1"])
            await one.until(lambda: one.parked() == [])
        assert one.did == [2, 4]
        assert one.tried == [2, 4, 4, 4]
        assert one.cursor.read() == "5-1"
        assert one.frame.figure("allot_worker_parked", part="events") == 0

    following(tmp_path / "cursor", test)


def test_what_is_parked_is_not_done_with_the_others_when_the_stream_is_read_again(tmp_path: Path):
    async def test(one: Following) -> None:
        one.cursor.write("1-1", ["3-1"])
        fails_for_ever(one, 3)
        async with one.going():
            await one.until(lambda: one.cursor.read() == "5-1")
        assert (one.did, one.tried.count(3), one.parked()) == ([2, 4, 5], 1, ["3-1"])

    following(tmp_path / "cursor", test)


def test_an_event_that_is_not_there_stays_parked_and_is_said(tmp_path: Path):
    async def test(one: Following) -> None:
        one.cursor.write("5-1", ["7-1"])
        one.engine.count = 5
        async with one.going():
            await one.until(lambda: any("reason" in told for _, _, told in one.frame.said.said))
        assert one.parked() == ["7-1"]

    following(tmp_path / "cursor", test)


def test_a_round_in_which_nothing_succeeds_ends_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An outside that is away costs each call its timeout."""

    async def test(one: Following) -> None:
        rounds: list[int] = []
        fails_for_ever(one, *range(1, 41))
        pause = one.frame.pause

        async def counted(seconds: float) -> None:
            rounds.append(len(one.tried))
            await pause(seconds)

        monkeypatch.setattr(one.frame, "pause", counted)
        async with one.going(at_once=4, patience=AT_ONCE):
            await one.until(lambda: len(rounds) > 30)
        tries = [after - before for before, after in itertools.pairwise(rounds)]
        assert max(tries) <= 8
        assert set(range(1, 41)) <= set(one.tried)  # those that were tried longest ago come first

    following(tmp_path / "cursor", test, count=40)


def test_a_cursor_of_before_there_was_parking_is_read(tmp_path: Path):
    (tmp_path / "cursor").write_text('{"cursor": "7-1"}')
    assert Cursor(tmp_path / "cursor").progress() == ("7-1", ())
    Cursor(tmp_path / "cursor").write("8-1", ["7-2"])
    assert json.loads((tmp_path / "cursor").read_bytes()) == {"cursor": "8-1", "parked": ["7-2"]}


@pytest.mark.parametrize("parked", ["x", [1], None, {}])
def test_a_damaged_list_of_parked_events_is_no_empty_one(tmp_path: Path, parked: Any):
    (tmp_path / "cursor").write_text(json.dumps({"cursor": "7-1", "parked": parked}))
    with pytest.raises(WorkerError, match="SEQUENCE-0"):
        Cursor(tmp_path / "cursor").progress()


def test_what_was_parked_when_it_is_stopped_is_kept(tmp_path: Path):
    async def test(one: Following) -> None:
        one.cursor.write("1-1", ["1-1"])
        reached = asyncio.Event()

        async def effect(event: pb.Event) -> bool:
            reached.set()
            await asyncio.sleep(60)
            return True

        task = asyncio.ensure_future(one.frame.follow("events", one.cursor, effect))
        await reached.wait()
        await end([task])
        assert one.parked() == ["1-1"]

    following(tmp_path / "cursor", test)
