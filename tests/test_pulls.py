"""Pulls: who asks together is asked for together, and nobody waits for those who fail, are slow, or have no news."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from allot.v1 import availability_pb2 as pb
from allot.v1 import availability_pb2_grpc
from server.errors import Rejection
from server.workers import pulls as pulled
from server.workers.pulls import Following, Pulls, VersionAhead

CHANNELS = ("a", "b", "c")


class Service(availability_pb2_grpc.AvailabilityServiceServicer):
    """Answers from a table of the newest versions, and keeps what was asked."""

    def __init__(self) -> None:
        self.newest = dict.fromkeys(CHANNELS, 5)
        self.sequence = 5
        self.asked: list[list[tuple[str, int, str]]] = []
        self.room = len(CHANNELS)
        self.fails: Exception | None = None
        self.news = asyncio.Event()

    def commit(self, *channels: str) -> None:
        self.sequence += 1
        self.newest |= dict.fromkeys(channels, self.sequence)
        self.news.set()

    async def PullAvailability(  # noqa: N802
        self, request: pb.PullAvailabilityRequest, context: Any
    ) -> pb.PullAvailabilityResponse:
        self.asked.append([(one.channel, one.after_version, one.page_token) for one in request.cursors])
        if self.fails is not None:
            raise self.fails
        for row, cursor in enumerate(request.cursors):
            if cursor.after_version > self.sequence:
                ahead = Rejection(
                    grpc.StatusCode.OUT_OF_RANGE, "VERSION_AHEAD", "ahead", f"cursors[{row}].after_version"
                )  # fmt: skip
                await context.abort_with_status(ahead.status())
        if not any(self.newest[one.channel] > one.after_version or one.page_token for one in request.cursors):
            self.news.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.news.wait(), request.wait_ms / 1000)
        answer = pb.PullAvailabilityResponse(as_of_us=7, durable_at_us=6, engine_id="e")
        for cursor in list(request.cursors)[: self.room]:
            page = answer.channels.add(channel=cursor.channel, version=self.sequence)
            if self.newest[cursor.channel] > cursor.after_version:
                page.lines = b"SKU\t1\t%d\n" % self.newest[cursor.channel]
        return answer


def with_pulls(test: Callable[[Service, Pulls], Awaitable[None]]) -> None:
    async def main() -> None:
        server, service = grpc.aio.server(), Service()
        availability_pb2_grpc.add_AvailabilityServiceServicer_to_server(service, server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            frame: Any = SimpleNamespace(channel=channel, metadata=None)
            pulls = Pulls(frame)
            await test(service, pulls)
            await pulls.close()
        await server.stop(0)

    asyncio.run(asyncio.wait_for(main(), 30))


def test_who_asks_together_is_asked_for_together() -> None:
    async def test(service: Service, pulls: Pulls) -> None:
        followers = [Following(pulls, channel, 3) for channel in CHANNELS]
        await asyncio.gather(*[one.page() for one in followers])
        service.asked.clear()
        for _ in range(20):
            service.commit(*CHANNELS)
            pages = await asyncio.gather(*[one.page() for one in followers])
            assert [page.version for page in pages] == [service.sequence] * 3
            assert {page.lines for page in pages} == {b"SKU\t1\t%d\n" % service.sequence}
        assert len(service.asked) < 30  # not 60

    with_pulls(test)


def test_nobody_waits_for_one_who_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulled, "COMPANY_SECONDS", 0.01)

    async def test(service: Service, pulls: Pulls) -> None:
        followers = [Following(pulls, channel, 3) for channel in CHANNELS]
        await asyncio.gather(*[one.page() for one in followers])  # the last one never asks again
        for _ in range(20):
            service.commit(*CHANNELS)
            await asyncio.wait_for(asyncio.gather(*[one.page() for one in followers[:2]]), 1)
        service.commit("c")
        assert (await followers[2].page()).version == service.sequence

    with_pulls(test)


def test_who_has_no_news_waits_for_a_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulled, "BEAT_SECONDS", 0.2)

    async def test(service: Service, pulls: Pulls) -> None:
        busy, quiet = Following(pulls, "a", 5), Following(pulls, "b", 5)
        beat = asyncio.ensure_future(quiet.page())
        clock, pages = asyncio.get_running_loop().time, 0
        began = clock()
        while not beat.done():
            service.commit("a")
            assert (await busy.page()).lines
            pages += 1
        assert 0.2 <= clock() - began < 5
        assert pages > 3
        page = beat.result()
        assert (page.lines, page.is_complete, page.as_of_us, page.engine) == (b"", True, 7, "e")
        assert page.version > 5

    with_pulls(test)


def test_one_who_is_ahead_is_told_so_alone() -> None:
    async def test(service: Service, pulls: Pulls) -> None:
        followers = [Following(pulls, channel, version) for channel, version in zip(CHANNELS, (3, 99, 4), strict=True)]
        first, ahead, last = await asyncio.gather(*[one.page() for one in followers], return_exceptions=True)
        assert isinstance(ahead, VersionAhead)
        assert isinstance(first, pulled.Pulled)
        assert isinstance(last, pulled.Pulled)
        assert await pulls.engine("b") == "e"

    with_pulls(test)


def test_a_failure_of_the_call_is_told_to_all_who_asked_and_the_next_call_works() -> None:
    async def test(service: Service, pulls: Pulls) -> None:
        followers = [Following(pulls, channel, 3) for channel in CHANNELS]
        service.fails = ValueError("a fault")
        found = await asyncio.gather(*[one.page() for one in followers], return_exceptions=True)
        assert all(isinstance(error, grpc.RpcError) for error in found)
        service.fails = None
        assert {(await one.page()).version for one in followers} == {5}

    with_pulls(test)


def test_those_that_an_answer_had_no_room_for_come_first_in_the_next() -> None:
    async def test(service: Service, pulls: Pulls) -> None:
        service.room = 1
        followers = [Following(pulls, channel, 3) for channel in CHANNELS]
        pages = [asyncio.ensure_future(one.page()) for one in followers]
        await asyncio.wait_for(asyncio.gather(*pages), 5)
        assert [names[0][0] for names in service.asked] == ["a", "b", "c"]

    with_pulls(test)


def test_one_who_gave_up_is_not_asked_for() -> None:
    async def test(service: Service, pulls: Pulls) -> None:
        gone, here = Following(pulls, "a", 5), Following(pulls, "b", 5)
        waiting = asyncio.ensure_future(gone.page())
        await asyncio.sleep(0.05)
        waiting.cancel()
        service.commit("a")
        await asyncio.sleep(0.05)
        service.commit("b")
        assert (await asyncio.wait_for(here.page(), 5)).lines
        assert [name for name, *_ in service.asked[-1]] == ["b"]

    with_pulls(test)
