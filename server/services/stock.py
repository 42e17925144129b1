"""The stock service: what arrives, what is counted, what is corrected, what is there."""

import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

import grpc

from allot.v1 import stock_pb2 as pb
from allot.v1 import stock_pb2_grpc
from engine import reading
from engine.commands import PutNames
from engine.intake.nodes import NODE_ID_CHARACTERS_MAX
from engine.intake.orders import SKU_CHARACTERS_MAX
from engine.outcomes import Namespace
from kernels.columns import NONE
from server.batcher import Batcher
from server.deadlines import deadline_of
from server.errors import Rejection
from server.offload import offload
from server.paging import page_size, position_of, token_of
from server.replies import check_reply
from server.validation import stock as asked
from server.validation.catalogue import ADD_A_NODE, NAME_A_SKU
from server.validation.values import SOURCE_CHARACTERS_MAX, find, known, shown, text, unnamed


class StockService(stock_pb2_grpc.StockServiceServicer):
    """Moves stock and tells of it."""

    def __init__(self, batcher: Batcher) -> None:
        self._batcher = batcher
        self._names = batcher.engine.state.names

    async def ReceiveStock(self, request: pb.ReceiveStockRequest, context: Any) -> pb.ReceiveStockResponse:  # noqa: N802
        """Units that arrived."""
        rows = await offload(len(request.rows), asked.received, request, self._names)
        changed, again = await self._move(rows, deadline_of(context))
        return pb.ReceiveStockResponse(changed=changed, again=again)

    async def CountStock(self, request: pb.CountStockRequest, context: Any) -> pb.CountStockResponse:  # noqa: N802
        """A statement of what is on hand."""
        rows = await offload(len(request.rows), asked.counted, request, self._names)
        changed, again = await self._move(rows, deadline_of(context))
        return pb.CountStockResponse(changed=changed, again=again)

    async def AdjustStock(self, request: pb.AdjustStockRequest, context: Any) -> pb.AdjustStockResponse:  # noqa: N802
        """Corrections."""
        rows = await offload(len(request.adjustments), asked.adjusted, request, self._names)
        changed, again = await self._move(rows, deadline_of(context))
        return pb.AdjustStockResponse(changed=changed, again=again)

    async def PutSupply(self, request: pb.PutSupplyRequest, context: Any) -> pb.PutSupplyResponse:  # noqa: N802
        """Units that are expected."""
        deadline = deadline_of(context)
        rows = await offload(len(request.rows), asked.supplied, request, self._names)
        sku = await self._indices(Namespace.SKU, "rows[{}].sku".format, rows.skus, deadline)
        replies = await self._batcher.ask(rows.command(sku), deadline)
        check_reply(int(replies.reply[0]))
        return pb.PutSupplyResponse(changed=int(replies.quantity[0]), again=bool(replies.again[0]))

    async def _move(self, rows: asked.StockRows, deadline: float) -> tuple[int, bool]:
        """Rows that changed a figure, and whether it was a repeat. What is new is named first. Raises Rejection."""
        sku = await self._indices(Namespace.SKU, f"{rows.field}[{{}}].sku".format, rows.skus, deadline)
        source = -1
        if rows.source:
            source = int((await self._indices(Namespace.SOURCE, lambda _: "source", [rows.source], deadline))[0])
        replies = await self._batcher.ask(rows.command(sku, source), deadline)
        check_reply(int(replies.reply[0]))
        return int(replies.quantity[0]), bool(replies.again[0])

    async def _indices(self, namespace: Namespace, field: Callable[[int], str], values: Any, deadline: float) -> Any:
        """The indices of texts, int32 [n]; those that are new are named."""
        names = self._names[namespace]
        indices = await offload(len(values), find, names, values)
        if not (indices < 0).any():
            return indices
        most = SKU_CHARACTERS_MAX if namespace is Namespace.SKU else SOURCE_CHARACTERS_MAX
        new = await offload(len(values), unnamed, field, values, indices, most)
        await self._batcher.ask(PutNames(f"stock names {uuid.uuid4()}", namespace, new), deadline)
        return await offload(len(values), find, names, values)

    async def GetStock(self, request: pb.GetStockRequest, context: Any) -> pb.GetStockResponse:  # noqa: N802
        """One SKU at every node that has any."""
        look = partial(reading.stock_of, sku=self._sku(request.sku))
        page = await self._batcher.read(look, deadline_of(context))
        return pb.GetStockResponse(cells=self._cells(page), sequence=page.sequence)

    def _sku(self, name: str) -> int:
        sku = int(find(self._names[Namespace.SKU], [text("sku", name, SKU_CHARACTERS_MAX)])[0])
        if sku < 0:
            raise Rejection(
                grpc.StatusCode.NOT_FOUND, "UNKNOWN_SKU", f"sku: {shown(name)} is not known: {NAME_A_SKU}", "sku"
            )
        return sku

    def _node(self, name: str) -> int | None:
        """The node of a filter; None where it is not given."""
        names = self._names[Namespace.NODE]
        if not name:
            return None
        return int(known(names, lambda _: "node_id", [name], NODE_ID_CHARACTERS_MAX, "node", ADD_A_NODE)[0])

    async def ListStock(self, request: pb.ListStockRequest, context: Any) -> pb.ListStockResponse:  # noqa: N802
        """A page of stock."""
        node = self._node(request.node_id)
        listing = f"stock {request.node_id}"
        count, first = page_size(request.page_size), position_of(listing, request.page_token) or 0
        page = await self._batcher.read(
            partial(reading.stock_page, first_sku=first, count=count, node=node), deadline_of(context)
        )
        following = "" if page.next_sku == NONE else token_of(listing, page.next_sku)
        cells = await offload(page.sku.size, self._cells, page)
        return pb.ListStockResponse(cells=cells, next_page_token=following, sequence=page.sequence)

    async def ListSupply(self, request: pb.ListSupplyRequest, context: Any) -> pb.ListSupplyResponse:  # noqa: N802
        """A page of what is expected."""
        sku, node = self._sku(request.sku) if request.sku else None, self._node(request.node_id)
        listing = f"supply {request.sku} {request.node_id}"
        count, first = page_size(request.page_size), position_of(listing, request.page_token) or 0
        page = await self._batcher.read(
            partial(reading.supply_page, first_sku=first, count=count, sku=sku, node=node), deadline_of(context)
        )
        following = "" if page.next_sku == NONE else token_of(listing, page.next_sku)
        supply = await offload(page.sku.size, self._supply, page)
        return pb.ListSupplyResponse(supply=supply, next_page_token=following, sequence=page.sequence)

    def _supply(self, page: reading.SupplyPage) -> list[pb.Supply]:
        skus = self._names[Namespace.SKU].texts(page.sku).to_pylist()
        nodes = self._names[Namespace.NODE].texts(page.node).to_pylist()
        columns = (page.units.tolist(), page.due_at.tolist(), page.reference.tolist(), page.bound.tolist())
        return [
            pb.Supply(sku=sku, node_id=node, quantity=units, due_at_us=due_at, reference=reference, bound=bound)
            for sku, node, units, due_at, reference, bound in zip(skus, nodes, *columns, strict=True)
        ]

    def _cells(self, page: reading.StockPage) -> list[pb.StockCell]:
        skus = self._names[Namespace.SKU].texts(page.sku).to_pylist()
        nodes = self._names[Namespace.NODE].texts(page.node).to_pylist()
        rows = zip(skus, nodes, page.figures.tolist(), page.available.tolist(), strict=True)
        return [
            pb.StockCell(
                sku=sku, node_id=node, on_hand=on_hand, unavailable=unavailable, allocated=allocated, reserved=reserved,
                safety_stock=safety_stock, available=available, picked=picked, deficit=deficit,
            )
            for sku, node, (on_hand, unavailable, allocated, reserved, safety_stock, picked, deficit), available in rows
        ]  # fmt: skip
