"""Catalogue and stock as services: each call once, each repeat again, each fault with its field."""

import math
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pyarrow as pa
import pytest

from allot.v1 import catalogue_pb2 as pb
from allot.v1 import stock_pb2 as st
from engine.intake.postal_codes import Places
from engine.outcomes import Namespace
from server.errors import Rejection
from server.naming import Naming
from server.services.catalogue import CatalogueService
from server.services.stock import StockService
from tests.edge import CALL, Edge, run, running

PLACES = Places(
    pa.array(["110001", "400001"]), np.array([286_000_000, 189_000_000], np.int32),
    np.array([772_000_000, 728_000_000], np.int32), np.zeros(2, bool),
)  # fmt: skip


class Desk:
    def __init__(self, edge: Edge, places: Places | None = PLACES) -> None:
        self.edge = edge
        self.catalogue = CatalogueService(edge.batcher, Naming(edge.batcher, lambda: places))
        self.stock = StockService(edge.batcher)

    async def furnish(self) -> None:
        """Two nodes, a channel of both, two SKUs with stock."""
        await self.catalogue.PutNodes(
            pb.PutNodesRequest(
                request_id="nodes",
                nodes=[pb.Node(node_id="A", latitude=20, longitude=70), pb.Node(node_id="B", postal_code="400001")],
            ),
            CALL,
        )
        await self.catalogue.PutChannel(pb.PutChannelRequest(request_id="web", channel=pb.Channel(channel="web")), CALL)
        await self.receive("first", ("sku-0", "A", 10), ("sku-1", "B", 4))

    async def receive(self, request_id: str, *rows: tuple[str, str, int]) -> st.ReceiveStockResponse:
        return await self.stock.ReceiveStock(
            st.ReceiveStockRequest(
                request_id=request_id,
                rows=[st.StockRow(sku=sku, node_id=node, quantity=units) for sku, node, units in rows],
            ),
            CALL,
        )

    async def figures(self, sku: str) -> dict[str, tuple[int, int]]:
        answer = await self.stock.GetStock(st.GetStockRequest(sku=sku), CALL)
        assert answer.sequence == self.edge.engine.durable_sequence
        return {cell.node_id: (cell.on_hand, cell.available) for cell in answer.cells}


def at_desk(path: Path, test: Callable[[Desk], Awaitable[None]], places: Places | None = PLACES) -> None:
    async def with_edge() -> None:
        async with running(path) as edge:
            desk = Desk(edge, places)
            await desk.furnish() if places is not None else None
            await test(desk)

    run(with_edge)


async def refused(call: Any) -> Rejection:
    with pytest.raises(Rejection) as raised:
        await call
    return raised.value


def test_nodes_are_listed_as_they_were_put(tmp_path: Path) -> None:
    async def test(desk: Desk) -> None:
        closed = pb.Node(node_id="A", latitude=-12.3456789, longitude=179.9999999, closed=True)
        request = pb.PutNodesRequest(request_id="close", nodes=[closed])
        assert not (await desk.catalogue.PutNodes(request, CALL)).again
        assert (await desk.catalogue.PutNodes(request, CALL)).again
        listed = (await desk.catalogue.ListNodes(pb.ListNodesRequest(), CALL)).nodes
        assert list(listed) == [
            pb.Node(node_id="A", latitude=-12.3456789, longitude=179.9999999, closed=True),
            pb.Node(node_id="B", latitude=18.9, longitude=72.8, closed=False),
        ]
        request.nodes[0].closed = False
        conflict = await refused(desk.catalogue.PutNodes(request, CALL))
        assert (conflict.code, conflict.reason) == (grpc.StatusCode.ALREADY_EXISTS, "KEY_CONFLICT")
        assert conflict.field == "request_id"

    at_desk(tmp_path, test)


def test_limits_of_nodes_are_put_listed_and_refused_by_name(tmp_path: Path) -> None:
    async def test(desk: Desk) -> None:
        node = pb.Node(node_id="A", latitude=20, longitude=70, orders_per_day=2, day_starts_at=900)
        node.utc_offset_minutes = -330
        request = pb.PutNodesRequest(request_id="limits", nodes=[node])
        assert not (await desk.catalogue.PutNodes(request, CALL)).again
        first, second = (await desk.catalogue.ListNodes(pb.ListNodesRequest(), CALL)).nodes
        node.orders_taken = node.units_taken = 0
        assert first == node
        assert not second.HasField("orders_per_day")
        assert not second.HasField("orders_taken")
        for name, value in (("orders_per_day", -1), ("units_per_day", 1_000_000_001), ("day_starts_at", 1440),
                            ("utc_offset_minutes", 841)):  # fmt: skip
            wrong = pb.Node(node_id="A", latitude=20, longitude=70, **{name: value})
            request = pb.PutNodesRequest(request_id=f"wrong {name}", nodes=[wrong])
            refusal = await refused(desk.catalogue.PutNodes(request, CALL))
            assert (refusal.field, refusal.reason) == (f"nodes[0].{name}", "OUT_OF_RANGE")
        request = pb.PutNodesRequest(request_id="none", nodes=[pb.Node(node_id="A", latitude=20, longitude=70)])
        await desk.catalogue.PutNodes(request, CALL)
        assert not (await desk.catalogue.ListNodes(pb.ListNodesRequest(), CALL)).nodes[0].HasField("orders_per_day")

    at_desk(tmp_path, test)


def test_a_node_is_where_its_postal_code_was_put_before_all_else(tmp_path: Path) -> None:
    async def test(desk: Desk) -> None:
        code = pb.PostalCode(postal_code="110001", latitude=1, longitude=2)
        put = pb.PutPostalCodesRequest(request_id="codes", postal_codes=[code])
        assert not (await desk.catalogue.PutPostalCodes(put, CALL)).again
        assert (await desk.catalogue.PutPostalCodes(put, CALL)).again
        for code, place in (("110001", (1, 2)), ("400002", (18.9, 72.8))):  # the second by its area
            node = pb.Node(node_id=code, postal_code=code)
            await desk.catalogue.PutNodes(pb.PutNodesRequest(request_id=code, nodes=[node]), CALL)
            listed = (await desk.catalogue.ListNodes(pb.ListNodesRequest(), CALL)).nodes[-1]
            assert (listed.latitude, listed.longitude) == place
        node = pb.Node(node_id="C", postal_code="999999")
        nowhere = await refused(desk.catalogue.PutNodes(pb.PutNodesRequest(request_id="C", nodes=[node]), CALL))
        assert (nowhere.reason, nowhere.field) == ("UNKNOWN_POSTAL_CODE", "nodes[0].postal_code")

    at_desk(tmp_path, test)


def test_without_a_table_only_codes_that_were_put_are_known(tmp_path: Path) -> None:
    async def test(desk: Desk) -> None:
        node = pb.Node(node_id="C", postal_code="110001")
        request = pb.PutNodesRequest(request_id="C", nodes=[node])
        assert (await refused(desk.catalogue.PutNodes(request, CALL))).reason == "UNKNOWN_POSTAL_CODE"

    at_desk(tmp_path, test, places=None)


@pytest.mark.parametrize(
    ("node", "reason", "field"),
    [
        (pb.Node(), "VALUE_MISSING", "nodes[0].node_id"), (pb.Node(node_id="C"), "VALUE_MISSING", "nodes[0]"),
        (pb.Node(node_id="C" * 65), "TOO_LONG", "nodes[0].node_id"),
        (pb.Node(node_id="C\n", postal_code="1"), "BAD_CHARACTER", "nodes[0].node_id"),
        (pb.Node(node_id="C", latitude=1), "VALUE_MISSING", "nodes[0].longitude"),
        (pb.Node(node_id="C", latitude=91, longitude=1), "OUT_OF_RANGE", "nodes[0].latitude"),
        (pb.Node(node_id="C", latitude=1, longitude=-181), "OUT_OF_RANGE", "nodes[0].longitude"),
        (pb.Node(node_id="C", latitude=math.nan, longitude=1), "OUT_OF_RANGE", "nodes[0].latitude"),
        (pb.Node(node_id="C", latitude=1, longitude=math.inf), "OUT_OF_RANGE", "nodes[0].longitude"),
        (pb.Node(node_id="C", postal_code="1" * 17), "TOO_LONG", "nodes[0].postal_code"),
    ],
)  # fmt: skip
def test_bad_nodes(tmp_path: Path, node: pb.Node, reason: str, field: str) -> None:
    async def test(desk: Desk) -> None:
        bad = await refused(desk.catalogue.PutNodes(pb.PutNodesRequest(request_id="bad", nodes=[node]), CALL))
        assert (bad.code, bad.reason, bad.field) == (grpc.StatusCode.INVALID_ARGUMENT, reason, field)

    at_desk(tmp_path, test, places=None)


def test_requests_of_no_rows_and_of_too_many_are_refused(tmp_path: Path) -> None:
    async def test(desk: Desk) -> None:
        twice = [pb.Node(node_id="C", latitude=1, longitude=1)] * 2
        many = [pb.Node(node_id=f"C{i}", latitude=1, longitude=1) for i in range(257)]
        for nodes, reason in (([], "VALUE_MISSING"), (twice, "GIVEN_TWICE"), (many, "TOO_MANY")):
            request = pb.PutNodesRequest(request_id="bad", nodes=nodes)
            assert (await refused(desk.catalogue.PutNodes(request, CALL))).reason == reason
        many = [pb.Node(node_id=f"C{i}", latitude=1, longitude=1) for i in range(256)]
        full = await refused(desk.catalogue.PutNodes(pb.PutNodesRequest(request_id="full", nodes=many), CALL))
        assert (full.code, full.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "LIMIT_REACHED")
        for bad_id in ("", "x" * 65):
            request = pb.PutNodesRequest(request_id=bad_id, nodes=twice[:1])
            assert (await refused(desk.catalogue.PutNodes(request, CALL))).field == "request_id"

    at_desk(tmp_path, test)


def test_skus_are_named_once_and_listed_in_pages(tmp_path: Path) -> None:
    async def test(desk: Desk) -> None:
        request = pb.PutSkusRequest(request_id="skus", skus=[f"sku-{i}" for i in range(700)])
        assert await desk.catalogue.PutSkus(request, CALL) == pb.PutSkusResponse(added=698)
        assert await desk.catalogue.PutSkus(request, CALL) == pb.PutSkusResponse(added=698, again=True)
        listed: list[str] = []
        asked = pb.ListSkusRequest(page_size=333)
        while True:
            page = await desk.catalogue.ListSkus(asked, CALL)
            listed += page.skus
            if not page.next_page_token:
                break
            asked.page_token = page.next_page_token
        assert listed == list(request.skus)
        bad = await refused(desk.catalogue.ListSkus(pb.ListSkusRequest(page_token="nonsense"), CALL))
        assert bad.reason == "BAD_PAGE_TOKEN"
        bad = await refused(desk.catalogue.PutSkus(pb.PutSkusRequest(request_id="bad", skus=["good", ""]), CALL))
        assert bad.field == "skus[1]"

    at_desk(tmp_path, test)


def test_channels_are_listed_as_they_were_put(tmp_path: Path) -> None:
    async def test(desk: Desk) -> None:
        shop = pb.Channel(
            channel="shop", node_ids=["B"], priority=-5, on_short=pb.ON_SHORT_BACK_ORDER, no_split=True,
            policy=pb.Policy(share_ppm=0, buffer=1, cap=0, threshold=3, buffer_ppm=5), closed=True,
        )  # fmt: skip
        request = pb.PutChannelRequest(request_id="shop", channel=shop)
        assert not (await desk.catalogue.PutChannel(request, CALL)).again
        assert (await desk.catalogue.PutChannel(request, CALL)).again
        close = pb.Node(node_id="B", latitude=1, longitude=1, closed=True)
        await desk.catalogue.PutNodes(pb.PutNodesRequest(request_id="close", nodes=[close]), CALL)
        web = pb.Channel(channel="web", on_short=pb.ON_SHORT_KEEP, policy=pb.Policy(share_ppm=1_000_000))
        first = await desk.catalogue.ListChannels(pb.ListChannelsRequest(page_size=1), CALL)
        second = await desk.catalogue.ListChannels(pb.ListChannelsRequest(page_token=first.next_page_token), CALL)
        assert [*first.channels, *second.channels] == [web, shop]
        assert second.next_page_token == ""

    at_desk(tmp_path, test)


@pytest.mark.parametrize(
    ("channel", "reason", "field"),
    [
        (pb.Channel(), "VALUE_MISSING", "channel.channel"),
        (pb.Channel(channel="c" * 33), "TOO_LONG", "channel.channel"),
        (pb.Channel(channel="c", node_ids=["A", "Z"]), "UNKNOWN_NODE", "channel.node_ids[1]"),
        (pb.Channel(channel="c", priority=1_000_001), "OUT_OF_RANGE", "channel.priority"),
        (pb.Channel(channel="c", on_short=9), "OUT_OF_RANGE", "channel.on_short"),  # type: ignore[arg-type]
        (pb.Channel(channel="c", policy=pb.Policy(share_ppm=1_000_001)), "OUT_OF_RANGE", "channel.policy.share_ppm"),
        (pb.Channel(channel="c", policy=pb.Policy(cap=4_000_000_000)), "OUT_OF_RANGE", "channel.policy.cap"),
        (pb.Channel(channel="c", policy=pb.Policy(buffer=1_000_000_001)), "OUT_OF_RANGE", "channel.policy.buffer"),
        (pb.Channel(channel="c", policy=pb.Policy(threshold=1 << 31)), "OUT_OF_RANGE", "channel.policy.threshold"),
        (pb.Channel(channel="c", policy=pb.Policy(buffer_ppm=1_000_001)), "OUT_OF_RANGE", "channel.policy.buffer_ppm"),
    ],
)  # fmt: skip
def test_bad_channels(tmp_path: Path, channel: pb.Channel, reason: str, field: str) -> None:
    async def test(desk: Desk) -> None:
        request = pb.PutChannelRequest(request_id="bad", channel=channel)
        bad = await refused(desk.catalogue.PutChannel(request, CALL))
        assert (bad.code, bad.reason, bad.field) == (grpc.StatusCode.INVALID_ARGUMENT, reason, field)

    at_desk(tmp_path, test)


def test_exceptions_and_fences_change_what_a_channel_may_sell(tmp_path: Path) -> None:
    async def test(desk: Desk) -> None:
        availability, state = desk.edge.engine.availability, desk.edge.engine.state
        assert availability is not None
        web, sku = 0, int(state.names[Namespace.SKU].find(["sku-0"])[0])
        assert availability.figure(web, sku)[0] == 10
        exception = pb.PolicyException(channel="web", sku="sku-0", policy=pb.Policy(share_ppm=500_000, buffer=1))
        asked = pb.PutExceptionsRequest(request_id="half", exceptions=[exception])
        assert not (await desk.catalogue.PutExceptions(asked, CALL)).again
        assert (await desk.catalogue.PutExceptions(asked, CALL)).again
        assert availability.figure(web, sku)[0] == 4
        fence = pb.Fence(channel="web", sku="sku-0", node_id="A", units=4)
        fences = pb.PutFencesRequest(request_id="fence", fences=[fence])
        assert not (await desk.catalogue.PutFences(fences, CALL)).again
        assert (await desk.catalogue.PutFences(fences, CALL)).again
        assert availability.figure(web, sku)[0] == 6  # 4 of its own, half of the other 6, less the buffer
        for field, wrong in (
            ("channel", pb.Fence(channel="x", sku="sku-0", node_id="A")),
            ("sku", pb.Fence(channel="web", sku="x", node_id="A")),
            ("node_id", pb.Fence(channel="web", sku="sku-0", node_id="x")),
            ("units", pb.Fence(channel="web", sku="sku-0", node_id="A", units=1 << 31)),
        ):
            bad = await refused(desk.catalogue.PutFences(pb.PutFencesRequest(request_id="f", fences=[wrong]), CALL))
            assert bad.field == f"fences[0].{field}"
        asked.request_id, asked.exceptions[0].policy.buffer_ppm = "more", 250_000
        await desk.catalogue.PutExceptions(asked, CALL)
        assert availability.figure(web, sku)[0] == 5  # a quarter of 7 is 1.75, so two units are kept back
        asked.request_id, asked.exceptions[0].policy.buffer_ppm = "too much", 1_000_001
        assert (await refused(desk.catalogue.PutExceptions(asked, CALL))).field == "exceptions[0].policy.buffer_ppm"
        asked.exceptions[0].policy.buffer_ppm = 0
        asked.request_id, asked.exceptions[0].sku = "other", "unheard of"
        assert (await refused(desk.catalogue.PutExceptions(asked, CALL))).reason == "UNKNOWN_SKU"

    at_desk(tmp_path, test)


def test_receipts_name_skus_and_a_repeat_changes_nothing(tmp_path: Path) -> None:
    async def test(desk: Desk) -> None:
        for again in (False, True):
            answer = await desk.receive("new", ("sku-0", "B", 3), ("brand new", "A", 2))
            assert answer == st.ReceiveStockResponse(changed=2, again=again)
        assert await desk.figures("sku-0") == {"A": (10, 10), "B": (3, 3)}
        assert await desk.figures("brand new") == {"A": (2, 2)}
        conflict = await refused(desk.receive("new", ("sku-0", "B", 4)))
        assert conflict.reason == "KEY_CONFLICT"
        many = [(f"many-{i}", "A", 1) for i in range(2000)]
        assert (await desk.receive("many", *many)).changed == 2000
        missing = await refused(desk.stock.GetStock(st.GetStockRequest(sku="none of it"), CALL))
        assert missing.code is grpc.StatusCode.NOT_FOUND

    at_desk(tmp_path, test)


def test_counts_are_statements_of_their_source(tmp_path: Path) -> None:
    async def test(desk: Desk) -> None:
        def count(request_id: str, units: int, at: int, source: str = "erp") -> Any:
            row = st.StockRow(sku="sku-0", node_id="A", quantity=units)
            request = st.CountStockRequest(request_id=request_id, rows=[row], source=source, counted_at_us=at)
            return desk.stock.CountStock(request, CALL)

        assert (await count("one", 7, 100)).changed == 1
        old = await refused(count("two", 9, 99))
        assert (old.code, old.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "STATEMENT_TOO_OLD")
        assert old.field == "counted_at_us"
        assert (await count("three", 8, 99, source="shop floor")).changed == 1
        assert (await count("one", 7, 100)).again
        assert await desk.figures("sku-0") == {"A": (8, 8)}
        for bad in (count("four", 1, 0), count("five", 1, 1, source=""), count("six", 1_000_000_001, 1)):
            assert (await refused(bad)).code is grpc.StatusCode.INVALID_ARGUMENT

    at_desk(tmp_path, test)


def test_corrections_are_differences_but_for_safety_stock(tmp_path: Path) -> None:
    async def test(desk: Desk) -> None:
        def adjust(request_id: str, kind: Any, units: int) -> Any:
            row = st.Adjustment(sku="sku-0", node_id="A", kind=kind, quantity=units)
            return desk.stock.AdjustStock(st.AdjustStockRequest(request_id=request_id, adjustments=[row]), CALL)

        assert (await adjust("1", st.ADJUSTMENT_KIND_ON_HAND, -2)).changed == 1
        assert (await adjust("2", st.ADJUSTMENT_KIND_UNAVAILABLE, 3)).changed == 1
        assert (await adjust("3", st.ADJUSTMENT_KIND_SAFETY_STOCK, 1)).changed == 1
        assert (await adjust("3", st.ADJUSTMENT_KIND_SAFETY_STOCK, 1)).again
        assert await desk.figures("sku-0") == {"A": (8, 4)}
        beyond = await refused(adjust("4", st.ADJUSTMENT_KIND_UNAVAILABLE, -4))
        assert (beyond.code, beyond.reason) == (grpc.StatusCode.OUT_OF_RANGE, "FIGURE_OUT_OF_RANGE")
        for kind, units, field in (
            (st.ADJUSTMENT_KIND_UNSPECIFIED, 1, "kind"), (9, 1, "kind"), (st.ADJUSTMENT_KIND_ON_HAND, 0, "quantity"),
            (st.ADJUSTMENT_KIND_SAFETY_STOCK, -1, "quantity"),
            (st.ADJUSTMENT_KIND_ON_HAND, 1_000_000_001, "quantity"),
        ):  # fmt: skip
            assert (await refused(adjust("5", kind, units))).field == f"adjustments[0].{field}"

    at_desk(tmp_path, test)


@pytest.mark.parametrize(
    ("row", "reason", "field"),
    [
        (st.StockRow(node_id="A", quantity=1), "VALUE_MISSING", "rows[1].sku"),
        (st.StockRow(sku="s" * 65, node_id="A", quantity=1), "TOO_LONG", "rows[1].sku"),
        (st.StockRow(sku="s\x00", node_id="A", quantity=1), "BAD_CHARACTER", "rows[1].sku"),
        (st.StockRow(sku="s", node_id="Z", quantity=1), "UNKNOWN_NODE", "rows[1].node_id"),
        (st.StockRow(sku="s", node_id="", quantity=1), "VALUE_MISSING", "rows[1].node_id"),
        (st.StockRow(sku="s", node_id="A"), "OUT_OF_RANGE", "rows[1].quantity"),
        (st.StockRow(sku="s", node_id="A", quantity=1_000_001), "OUT_OF_RANGE", "rows[1].quantity"),
    ],
)  # fmt: skip
def test_a_bad_row_refuses_the_receipt_whole(tmp_path: Path, row: st.StockRow, reason: str, field: str) -> None:
    async def test(desk: Desk) -> None:
        before = desk.edge.engine.state.sequence
        good = st.StockRow(sku="sku-0", node_id="A", quantity=1)
        request = st.ReceiveStockRequest(request_id="bad", rows=[good, row])
        bad = await refused(desk.stock.ReceiveStock(request, CALL))
        assert (bad.reason, bad.field) == (reason, field)
        assert desk.edge.engine.state.sequence == before

    at_desk(tmp_path, test)


def test_stock_is_listed_in_pages_that_join(tmp_path: Path) -> None:
    async def test(desk: Desk) -> None:
        await desk.catalogue.PutSkus(pb.PutSkusRequest(request_id="e", skus=[f"empty-{i}" for i in range(300)]), CALL)
        await desk.receive("more", *((f"more-{i}", "AB"[i % 2], i + 1) for i in range(25)))
        await desk.receive("both", ("more-3", "A", 5))

        async def pages(size: int, node: str = "") -> tuple[list[tuple[str, str, int]], int]:
            cells, count, token = [], 0, ""
            while True:
                request = st.ListStockRequest(node_id=node, page_size=size, page_token=token)
                page = await desk.stock.ListStock(request, CALL)
                cells += [(cell.sku, cell.node_id, cell.on_hand) for cell in page.cells]
                count += 1
                if not (token := page.next_page_token):
                    return cells, count

        whole, _ = await pages(1000)
        assert whole[:2] == [("sku-0", "A", 10), ("sku-1", "B", 4)]
        assert whole[5:7] == [("more-3", "A", 5), ("more-3", "B", 4)]
        assert len(whole) == 28
        for size in (1, 4, 7):
            cells, count = await pages(size)
            assert (cells, count) == (whole, pytest.approx(27 / size, abs=1.01))
        at_a, _ = await pages(4, "A")
        assert at_a == [cell for cell in whole if cell[1] == "A"]
        other = await refused(desk.stock.ListStock(st.ListStockRequest(node_id="Z"), CALL))
        assert other.reason == "UNKNOWN_NODE"

    at_desk(tmp_path, test)


def test_preferred_and_excluded_nodes_are_listed_as_they_were_put(tmp_path: Path) -> None:
    async def test(desk: Desk) -> None:
        channel = pb.Channel(channel="web", preferred_node_ids=["B"], excluded_node_ids=["A"])
        request = pb.PutChannelRequest(request_id="terms", channel=channel)
        assert not (await desk.catalogue.PutChannel(request, CALL)).again
        assert (await desk.catalogue.PutChannel(request, CALL)).again
        (listed,) = (await desk.catalogue.ListChannels(pb.ListChannelsRequest(), CALL)).channels
        assert (list(listed.node_ids), list(listed.preferred_node_ids)) == ([], ["B"])
        assert list(listed.excluded_node_ids) == ["A"]
        request.channel.preferred_node_ids[:], request.channel.excluded_node_ids[:] = ["A"], ["B"]
        assert (await refused(desk.catalogue.PutChannel(request, CALL))).reason == "KEY_CONFLICT"
        request.channel.excluded_node_ids.append("A")
        twice = await refused(desk.catalogue.PutChannel(request, CALL))
        assert (twice.reason, twice.field) == ("GIVEN_TWICE", "channel.excluded_node_ids[1]")
        request.channel.preferred_node_ids[:] = ["nowhere"]
        unknown = await refused(desk.catalogue.PutChannel(request, CALL))
        assert (unknown.reason, unknown.field) == ("UNKNOWN_NODE", "channel.preferred_node_ids[0]")

    at_desk(tmp_path, test)
