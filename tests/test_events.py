"""Events against the history, resumed from every one of them, filtered, and as they happen."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from allot.v1 import events_pb2 as pb
from engine.history import History
from engine.lifecycle import Action
from engine.outcomes import Namespace
from server import events
from server.errors import Rejection
from server.events import EventLog
from server.services.events import EventService
from tests import asks
from tests.clients import Clients
from tests.driving import COMPILED, SECOND, place, received, reserve
from tests.edge import CALL, Edge, run, running
from tests.test_order_reading import Orders
from tests.test_views import act


class Stream(Orders):
    """An edge whose events are read."""

    def __init__(self, edge: Edge, path: Path, log: EventLog) -> None:
        super().__init__(edge, path)
        self.log = log
        self.service = EventService(log)

    def stream(self, after: str = "", *kinds: Any, **asked: Any) -> Any:
        request = pb.StreamEventsRequest(after_event_id=after, kinds=kinds, **asked)
        return self.service.StreamEvents(request, CALL)

    async def once(self, after: str = "", *kinds: Any) -> list[pb.Event]:
        out: list[pb.Event] = []
        async for page in self.stream(after, *kinds, once=True):
            assert 0 < len(page.events) <= events.EVENTS_MAX
            out += page.events
        return out


def with_stream(path: Path, test: Callable[[Stream], Awaitable[None]]) -> None:
    async def with_edge() -> None:
        logs: list[EventLog] = []

        def listen(edge: Edge) -> Any:
            logs.append(EventLog(edge.engine))
            return lambda turn: logs[0].notify()

        async with running(path, listen) as edge:
            stream = Stream(edge, path, logs[0])
            if edge.engine.state.sequence == 0:
                await stream.furnish()
            await test(stream)
            stream.service.close()

    run(with_edge)


async def some_commerce(stream: Stream, seed: int, commits: int = 60) -> None:
    clients = Clients(random.Random(seed))
    for _ in range(commits):
        batch = clients.batch(stream.edge.engine.state.sequence)
        stream.edge.now = max(stream.edge.now, batch.stamp)
        await stream.ask(*batch.asked)


def by_history(stream: Stream) -> list[tuple[Any, ...]]:
    """What happened, told by the history, without what it says of stock."""
    history, out = History(), []
    for record in stream.edge.engine.journal.read(1):
        for table, columns in history.read(record, frozenset({"orders", "decisions", "moves", "closures"})):
            node = history.texts(Namespace.NODE)
            if table == "orders":
                parts: dict[int, list[Any]] = {key: [] for key in columns["key"].tolist()}
                for i, key in enumerate(columns["key"].tolist()):
                    what = "order", columns["order_id"][i].as_py(), int(columns["number"][i]), parts[key]
                    out.append((record.sequence, record.stamp, *what, int(columns["outcome"][i])))
            elif table == "decisions":
                for i, key in enumerate(columns["key"].tolist()):
                    at = int(columns["node"][i])
                    where = "" if at < 0 else node[at].as_py()
                    parts[key].append((int(columns["line"][i]), where, int(columns["quantity"][i])))
            elif table == "moves":
                for i in range(len(columns["number"])):
                    names = ("number", "line", "from", "to", "quantity")
                    figures = tuple(int(columns[name][i]) for name in names)
                    out.append((record.sequence, record.stamp, "moved", *figures))
            else:
                for number, cause in zip(columns["number"].tolist(), columns["cause"].tolist(), strict=True):
                    out.append((record.sequence, record.stamp, "ended", number, cause))
    return out


def plain(event: pb.Event) -> tuple[Any, ...]:
    head = (event.sequence, event.stamp_us)
    match event.WhichOneof("what"):
        case "order_decided":
            order = event.order_decided
            parts = [(part.line, part.node_id, part.quantity) for part in order.parts]
            return (*head, "order", order.order_id, order.number, parts, order.outcome)
        case "units_moved":
            moved = event.units_moved
            stages = (moved.from_stage - 1, moved.to_stage - 1)
            return (*head, "moved", moved.number, moved.line, *stages, moved.quantity)
        case "reservation_ended":
            return (*head, "ended", event.reservation_ended.number, event.reservation_ended.cause)
    return ()


@pytest.mark.parametrize("seed", range(3 if COMPILED else 1))
def test_events_are_what_the_history_tells(seed: int, tmp_path: Path, monkeypatch: Any) -> None:
    async def test(stream: Stream) -> None:
        await some_commerce(stream, seed)
        whole = await stream.once()
        assert [plain(event) for event in whole if plain(event)] == by_history(stream)
        ids = [tuple(map(int, event.event_id.split("-"))) for event in whole]
        assert ids == sorted(set(ids))
        assert all(ordinal == 1 or (sequence, ordinal - 1) in ids for sequence, ordinal in ids)
        monkeypatch.setattr(events, "EVENTS_MAX", 3)
        monkeypatch.setattr(events, "_ROWS_MAX", 2)
        assert await stream.once() == whole
        for at in range(0, len(whole), 7):  # from any event on
            assert await stream.once(whole[at].event_id) == whole[at + 1 :]
        monkeypatch.setattr(events, "RECORDS_MAX", 1)
        for kind in events.EVERY_KIND:
            some = await stream.once(whole[5].event_id, kind)
            field = {number: name for number, name, _ in events._KINDS.values()}[kind]
            assert some == [event for event in whole[6:] if event.WhichOneof("what") == field]

    with_stream(tmp_path, test)


def test_an_event_says_what_happened(tmp_path: Path) -> None:
    async def test(stream: Stream) -> None:
        start = (await stream.once())[-1].event_id
        await stream.ask(place("one", (0, 2), (1, 1), channel=1, code=2))
        await stream.ask(act("one", Action.SHIP, channel=1))
        await stream.ask(reserve("cart", (0, 1), expires_at=stream.edge.now + 60 * SECOND))
        await stream.ask(asks.Confirm((asks.Confirmation("confirm", "bought", "cart", code=1),)))
        await stream.ask(received("more", (3, 2, 5)))
        order, first, second, cart, ended, bought, more = await stream.once(start)
        decided = order.order_decided
        assert (decided.channel, decided.order_id, decided.postal_code) == ("channel-1", "one", "400003")
        assert [(part.line, part.node_id, part.stage) for part in decided.parts] == [(1, "node-0", 3), (2, "node-1", 3)]
        assert decided.parts[0].distance_m > decided.parts[1].distance_m > 0
        assert (first.units_moved.sku, first.units_moved.node_id) == ("sku-0", "node-0")
        assert (second.units_moved.line, second.units_moved.cause) == (2, pb.CAUSE_ORDER)
        assert second.units_moved.number == decided.number
        assert cart.order_decided.is_reservation
        assert ended.reservation_ended.number == cart.order_decided.number
        assert ended.reservation_ended.cause == pb.CAUSE_CONFIRMED
        assert (bought.sequence, bought.order_decided.order_id) == (ended.sequence, "bought")
        assert more.stock_moved == pb.StockMoved(
            sku="sku-3", node_id="node-2", kind=pb.MOVEMENT_KIND_RECEIVED, quantity=5, cause=pb.CAUSE_RECEIPT
        )

    with_stream(tmp_path, test)


def test_events_come_as_they_happen(tmp_path: Path) -> None:
    async def test(stream: Stream) -> None:
        async def read(pages: Any, mine: list[pb.Event], last: str) -> None:
            async for page in pages:
                mine += page.events
                if any(event.order_decided.order_id == last for event in page.events):
                    return

        all_of_it: list[pb.Event] = []
        only_new: list[pb.Event] = []
        readers = [
            asyncio.create_task(read(stream.stream(), all_of_it, "last")),
            asyncio.create_task(read(stream.stream(only_new=True), only_new, "last")),
        ]
        await asyncio.sleep(0.05)
        known = stream.edge.engine.durable_sequence
        await some_commerce(stream, 4, commits=30)
        await stream.ask(place("last", (0, 1)))
        await asyncio.gather(*readers)
        whole = await stream.once()
        assert all_of_it == whole
        assert only_new == [event for event in whole if event.sequence > known]

    with_stream(tmp_path, test)


def test_ids_are_the_same_after_a_restart(tmp_path: Path) -> None:
    kept: list[pb.Event] = []

    async def before(stream: Stream) -> None:
        await some_commerce(stream, 2)
        kept.extend(await stream.once())

    async def after(stream: Stream) -> None:
        assert await stream.once() == kept
        middle = len(kept) // 2
        assert await stream.once(kept[middle].event_id) == kept[middle + 1 :]
        assert await stream.once(kept[-1].event_id) == []

    with_stream(tmp_path, before)
    with_stream(tmp_path, after)


@pytest.mark.parametrize("id", ["x", "1", "1-", "-1", "1-2-3", "1 -2", "१-२", "1" * 30 + "-1"])
def test_a_bad_id_is_refused(id: str, tmp_path: Path) -> None:
    async def test(stream: Stream) -> None:
        with pytest.raises(Rejection) as refused:
            await stream.once(id)
        assert (refused.value.reason, refused.value.field) == ("BAD_EVENT_ID", "after_event_id")

    with_stream(tmp_path, test)


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    async def test(stream: Stream) -> None:
        with pytest.raises(Rejection) as refused:
            await stream.once(f"{stream.log.sequence + 1}-1")
        assert (refused.value.code, refused.value.reason) == (grpc.StatusCode.OUT_OF_RANGE, "EVENT_AHEAD")
        for kind in (0, 9):
            with pytest.raises(Rejection) as refused:
                await stream.once("", kind)
            assert refused.value.field == "kinds"

    with_stream(tmp_path, test)


def test_events_that_were_moved_away_are_named_with_the_first_there_is(tmp_path: Path) -> None:
    async def test(stream: Stream) -> None:
        await stream.ask(place("old", (0, 1)))
        whole = await stream.once()
        journal = stream.edge.engine.journal
        journal.seal()
        sealed = journal.sealed_up_to
        await stream.ask(place("new", (0, 1)))
        journal.archive(sealed + 1)
        assert [event.event_id for event in (await stream.once())[: len(whole)]] == [e.event_id for e in whole]
        for segment in (tmp_path / "archive").iterdir():
            segment.unlink()
        for known in journal._segments:  # as after a restart: nothing is mapped
            known.drop_map()
        for after in ("", whole[3].event_id):
            with pytest.raises(Rejection) as refused:
                await stream.once(after)
            assert (refused.value.code, refused.value.reason) == (grpc.StatusCode.OUT_OF_RANGE, "EVENTS_ARCHIVED")
            assert f"after {sealed + 1}-0" in refused.value.message
        (new,) = await stream.once(f"{sealed + 1}-0")
        assert new.order_decided.order_id == "new"

    with_stream(tmp_path, test)
