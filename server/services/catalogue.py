"""The catalogue service: nodes, SKUs, postal codes, channels and what they may sell."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from allot.v1 import catalogue_pb2 as pb
from allot.v1 import catalogue_pb2_grpc
from engine import reading
from engine.capacity import DAY_TERMS, UNLIMITED
from engine.commands import Command
from engine.outcomes import Namespace
from kernels.columns import NODES_MAX, NONE, OnShort
from server.batcher import Batcher
from server.deadlines import deadline_of
from server.naming import Naming
from server.offload import offload
from server.paging import page_size, position_of, token_of
from server.replies import check_reply
from server.validation import catalogue as asked
from server.validation.values import unknown

Page = TypeVar("Page")
_ON_SHORT = {
    OnShort.REFUSE: pb.ON_SHORT_REFUSE, OnShort.BACK_ORDER: pb.ON_SHORT_BACK_ORDER, OnShort.KEEP: pb.ON_SHORT_KEEP
}  # fmt: skip


class CatalogueService(catalogue_pb2_grpc.CatalogueServiceServicer):
    """Puts and lists what orders and stock speak of."""

    def __init__(self, batcher: Batcher, naming: Naming) -> None:
        self._batcher = batcher
        self._naming = naming
        self._names = batcher.engine.state.names

    async def PutNodes(self, request: pb.PutNodesRequest, context: Any) -> pb.PutNodesResponse:  # noqa: N802
        """Nodes, by coordinates or postal code."""
        deadline = deadline_of(context)
        rows = asked.node_rows(request)
        if rows.codes:
            await self._locate(rows, deadline)
        return pb.PutNodesResponse(again=(await self._put(rows.command(), deadline))[1])

    async def _locate(self, rows: asked.NodeRows, deadline: float) -> None:
        """Give nodes the place of their postal code: the one that was put, else that of the server's own table."""
        codes = pa.array(rows.codes.values(), pa.string())
        is_put, latitude, longitude = await self._batcher.read(
            partial(reading.postal_code_places, codes=codes), deadline
        )
        places = None if is_put.all() else await self._naming.places()
        found = None if places is None else await offload(len(codes), places.find, codes)
        for i, (row, code) in enumerate(rows.codes.items()):
            if is_put[i]:
                rows.place(row, int(latitude[i]), int(longitude[i]))
            elif found is not None and found.known[i]:
                rows.place(row, int(found.latitude_e7[i]), int(found.longitude_e7[i]))
            else:
                raise unknown(f"nodes[{row}].postal_code", code, "postal_code", "give latitude and longitude")

    async def PutSkus(self, request: pb.PutSkusRequest, context: Any) -> pb.PutSkusResponse:  # noqa: N802
        """SKUs to name."""
        command = await offload(len(request.skus), asked.put_skus, request)
        added, again = await self._put(command, deadline_of(context))
        return pb.PutSkusResponse(added=added, again=again)

    async def PutPostalCodes(  # noqa: N802
        self, request: pb.PutPostalCodesRequest, context: Any
    ) -> pb.PutPostalCodesResponse:
        """Postal codes to place."""
        command = await offload(len(request.postal_codes), asked.put_postal_codes, request)
        return pb.PutPostalCodesResponse(again=(await self._put(command, deadline_of(context)))[1])

    async def PutChannel(self, request: pb.PutChannelRequest, context: Any) -> pb.PutChannelResponse:  # noqa: N802
        """A channel, whole, open or closed."""
        command = asked.put_channel(request, self._names)
        return pb.PutChannelResponse(again=(await self._put(command, deadline_of(context)))[1])

    async def PutExceptions(self, request: pb.PutExceptionsRequest, context: Any) -> pb.PutExceptionsResponse:  # noqa: N802
        """Policies for single SKUs."""
        command = await offload(len(request.exceptions), asked.put_exceptions, request, self._names)
        return pb.PutExceptionsResponse(again=(await self._put(command, deadline_of(context)))[1])

    async def PutTaxRegions(  # noqa: N802
        self, request: pb.PutTaxRegionsRequest, context: Any
    ) -> pb.PutTaxRegionsResponse:
        """Tax regions of nodes and postal codes; codes that the server's table knows are placed on the way."""
        deadline = deadline_of(context)
        for namespace, texts, name in (
            (Namespace.WORD, {one.region for one in request.regions} - {""}, self._naming.name),
            (Namespace.POSTAL_CODE, {one.postal_code for one in request.regions} - {""}, self._naming.place),
        ):
            given = pa.array(sorted(texts), pa.string())
            new = given.filter(pa.array(self._names[namespace].find(given) < 0))
            if len(new) and max(map(len, texts)) <= asked.REGION_CHARACTERS_MAX:
                await name(new, deadline)
        command = await offload(len(request.regions), asked.put_tax_regions, request, self._names)
        return pb.PutTaxRegionsResponse(again=(await self._put(command, deadline))[1])

    async def PutFences(self, request: pb.PutFencesRequest, context: Any) -> pb.PutFencesResponse:  # noqa: N802
        """Ring-fences."""
        command = await offload(len(request.fences), asked.put_fences, request, self._names)
        return pb.PutFencesResponse(again=(await self._put(command, deadline_of(context)))[1])

    async def _put(self, command: Command, deadline: float) -> tuple[int, bool]:
        """What one command added, and whether it was a repeat. Raises Rejection."""
        replies = await self._batcher.ask(command, deadline)
        check_reply(int(replies.reply[0]))
        return int(replies.quantity[0]), bool(replies.again[0])

    async def ListNodes(self, request: pb.ListNodesRequest, context: Any) -> pb.ListNodesResponse:  # noqa: N802
        """A page of nodes."""
        page = await self._page("nodes", reading.nodes, request, context)
        nodes = [_node(page, row) for row in range(len(page.node_id))]
        return pb.ListNodesResponse(nodes=nodes, next_page_token=_token("nodes", page.next_node))

    async def ListSkus(self, request: pb.ListSkusRequest, context: Any) -> pb.ListSkusResponse:  # noqa: N802
        """A page of SKUs."""
        page = await self._page("skus", reading.skus, request, context)
        return pb.ListSkusResponse(skus=page.sku.to_pylist(), next_page_token=_token("skus", page.next_sku))

    async def ListChannels(self, request: pb.ListChannelsRequest, context: Any) -> pb.ListChannelsResponse:  # noqa: N802
        """A page of channels."""
        page = await self._page("channels", reading.channels, request, context)
        names = self._names[Namespace.NODE]
        node_ids = names.texts(np.arange(len(names), dtype=np.int32)).to_pylist()
        channels = [_channel(page, row, node_ids) for row in range(len(page.channel))]
        return pb.ListChannelsResponse(channels=channels, next_page_token=_token("channels", page.next_channel))

    async def _page(self, listing: str, read: Callable[..., Page], request: Any, context: Any) -> Page:
        count, first = page_size(request.page_size), position_of(listing, request.page_token) or 0
        return await self._batcher.read(partial(read, first=first, count=count), deadline_of(context))


def _token(listing: str, following: int) -> str:
    return "" if following == NONE else token_of(listing, following)


def _named(words: Any, node_ids: list[str]) -> list[str]:
    """The nodes of a group of bits."""
    bits = np.unpackbits(words.view(np.uint8), bitorder="little")[:NODES_MAX]
    return [node_ids[node] for node in np.flatnonzero(bits).tolist()]


def _node(page: reading.NodePage, row: int) -> pb.Node:
    terms = dict(zip(DAY_TERMS, page.terms[row].tolist(), strict=True))
    is_limited = any(terms[name] != UNLIMITED for name in asked.MAY_BE_ABSENT)
    orders, units = page.taken[row].tolist() if is_limited else (None, None)
    return pb.Node(
        node_id=page.node_id[row].as_py(), latitude=page.latitude_e7[row] / 1e7, longitude=page.longitude_e7[row] / 1e7,
        closed=not page.active[row], orders_taken=orders, units_taken=units,
        **{name: value for name, value in terms.items() if value != UNLIMITED or name not in asked.MAY_BE_ABSENT},
    )  # fmt: skip


def _channel(page: reading.ChannelPage, row: int, node_ids: list[str]) -> pb.Channel:
    words = page.nodes[row]
    everywhere = bool((words == ~np.uint64(0)).all())
    group = [] if everywhere else _named(words, node_ids)
    policy = pb.Policy(
        share_ppm=int(page.share_ppm[row]), buffer=int(page.buffer[row]), threshold=int(page.threshold[row]),
        buffer_ppm=int(page.buffer_ppm[row]),
    )  # fmt: skip
    if page.cap[row] != asked.NO_CAP:
        policy.cap = int(page.cap[row])
    return pb.Channel(
        channel=page.channel[row].as_py(), node_ids=group, priority=int(page.priority[row]),
        on_short=_ON_SHORT[OnShort(page.on_short[row])], no_split=not page.split[row], policy=policy,
        closed=bool(page.closed[row]), preferred_node_ids=_named(page.preferred[row], node_ids),
        excluded_node_ids=_named(page.excluded[row], node_ids),
    )  # fmt: skip
