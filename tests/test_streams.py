"""Streams of requests: answers in order, no more under way than is read, and an end that loses nothing."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from server.errors import Rejection, busy, invalid
from server.streams import in_order, until, when_there_is_room
from tests.edge import run


async def messages(count: int, read: list[int], pause: float = 0) -> AsyncIterator[int]:
    for number in range(count):
        read.append(number)
        yield number
        await asyncio.sleep(pause)


async def collect(answers: AsyncIterator[Any], seen: list[Any], ends: asyncio.Event | None = None) -> None:
    """All answers; after the first one `ends` is set."""
    async for answer in answers:
        seen.append(answer)
        if ends is not None:
            ends.set()


def later(seconds: float, result: Any) -> "asyncio.Future[Any]":
    future = asyncio.get_running_loop().create_future()

    def settle() -> None:
        if not future.done():
            future.set_exception(result) if isinstance(result, Exception) else future.set_result(result)

    asyncio.get_running_loop().call_later(seconds, settle)
    return future


def test_answers_come_in_the_order_of_the_messages_however_long_each_takes():
    async def test() -> None:
        async def begin(number: int) -> Any:
            if number == 3:
                raise invalid("field", "no")
            return later(0.02 if number % 2 else 0, invalid("field", "late") if number == 5 else number * 10)

        answers = [(m, a) async for m, a in in_order(messages(8, []), begin, 4, asyncio.Event())]
        assert [message for message, _ in answers] == list(range(8))
        assert [answer for _, answer in answers if not isinstance(answer, Rejection)] == [0, 10, 20, 40, 60, 70]
        assert [message for message, answer in answers if isinstance(answer, Rejection)] == [3, 5]

    run(test)


def test_who_reads_no_answers_is_read_no_further():
    async def test() -> None:
        read: list[int] = []

        async def begin(number: int) -> Any:
            return later(0, number)

        answers = in_order(messages(1000, read), begin, 4, asyncio.Event())
        assert await anext(answers) == (0, 0)
        await asyncio.sleep(0.1)
        assert len(read) <= 8
        await answers.aclose()

    run(test)


def test_what_is_under_way_is_given_up_when_the_client_vanishes():
    async def test() -> None:
        begun: list[Any] = []

        async def begin(number: int) -> Any:
            begun.append(later(0 if number == 0 else 60, number))
            return begun[-1]

        answers = in_order(messages(1000, []), begin, 4, asyncio.Event())
        assert await anext(answers) == (0, 0)
        await asyncio.sleep(0.05)
        await answers.aclose()
        assert len(begun) > 1
        assert all(future.done() for future in begun[1:4])

    run(test)


def test_a_fault_of_the_reading_ends_the_stream_after_the_answers():
    async def test() -> None:
        async def broken() -> AsyncIterator[int]:
            yield 1
            yield 2
            raise invalid("channel", "another one", "OTHER_CHANNEL")

        async def begin(number: int) -> Any:
            return later(0.01, number)

        seen: list[Any] = []
        with pytest.raises(Rejection) as ended:
            await collect(in_order(broken(), begin, 4, asyncio.Event()), seen)
        assert (seen, ended.value.reason) == ([(1, 1), (2, 2)], "OTHER_CHANNEL")

    run(test)


def test_draining_answers_what_was_begun_and_reads_nothing_more():
    async def test() -> None:
        ends, read = asyncio.Event(), []

        async def begin(number: int) -> Any:
            return later(0.05, number)

        seen: list[Any] = []
        with pytest.raises(Rejection) as ended:
            await collect(in_order(messages(1000, read, 0.001), begin, 4, ends), seen, ends)
        assert ended.value.reason == "DRAINING"
        assert [message for message, _ in seen] == read[: len(seen)]
        assert len(read) - len(seen) <= 1  # one may have been read and not begun: it was never answered

    run(test)


def test_what_only_tells_ends_while_it_waits():
    async def test() -> None:
        async def told() -> AsyncIterator[int]:
            yield 1
            await asyncio.sleep(60)

        ends, seen = asyncio.Event(), []
        with pytest.raises(Rejection) as ended:
            await collect(until(ends, told()), seen, ends)
        assert (seen, ended.value.reason) == ([1], "DRAINING")
        assert [answer async for answer in until(asyncio.Event(), messages(3, []))] == [0, 1, 2]

    run(test)


def test_a_stream_waits_for_room_and_is_told_other_refusals():
    async def test() -> None:
        refusals = [busy("full", "QUEUE_FULL", 1), busy("full", "QUEUE_FULL", 1)]

        def submit() -> str:
            if refusals:
                raise refusals.pop()
            return "taken"

        assert await when_there_is_room(submit) == "taken"
        refusals.append(busy("no disk", "DISK_FULL", 1))
        with pytest.raises(Rejection):
            await when_there_is_room(submit)

    run(test)
