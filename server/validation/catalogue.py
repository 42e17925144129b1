"""Catalogue messages as commands of the engine. Every fault is told with its field; nothing is looked up but names.

Called by server/services/catalogue.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from allot.v1 import catalogue_pb2
from engine.capacity import DAY_TERM_RANGES, day_columns, no_day_terms
from engine.commands import PutChannels, PutExceptions, PutFences, PutNames, PutNodes, PutPostalCodes, PutRegions
from engine.intake.nodes import NODE_ID_CHARACTERS_MAX
from engine.intake.orders import CHANNEL_CHARACTERS_MAX, SKU_CHARACTERS_MAX
from engine.intake.postal_codes import POSTAL_CODE_CHARACTERS_MAX
from engine.names import Names
from engine.outcomes import Namespace
from kernels.columns import NO_NODE, NODES_MAX, NONE, POLICY_FIGURES, UNITS_MAX, OnShort
from server.errors import invalid
from server.validation.values import distinct, known, number, request_id, rows, text, texts

SKUS_MAX = 50_000  # of one request
POSTAL_CODES_MAX = 50_000
EXCEPTIONS_MAX = 10_000
FENCES_MAX = 10_000
TAX_REGIONS_MAX = 50_000
REGION_CHARACTERS_MAX = 32
PRIORITY_MAX = 1_000_000
SHARE_WHOLE_PPM = 1_000_000
MAY_BE_ABSENT = ("orders_per_day", "units_per_day")  # the first of DAY_TERM_RANGES: a node without has no limit
NO_CAP = int(np.iinfo(np.int32).max)
ADD_A_NODE, ADD_A_CHANNEL = "add it by PutNodes", "add it by PutChannel"
NAME_A_SKU = "name it by PutSkus, or receive stock of it"

AllNames: TypeAlias = Mapping[Namespace, Names]
_ON_SHORT = {
    catalogue_pb2.ON_SHORT_UNSPECIFIED: OnShort.KEEP,
    catalogue_pb2.ON_SHORT_REFUSE: OnShort.REFUSE,
    catalogue_pb2.ON_SHORT_BACK_ORDER: OnShort.BACK_ORDER,
    catalogue_pb2.ON_SHORT_KEEP: OnShort.KEEP,
}


@dataclass
class NodeRows:
    """Nodes to put. Those of `codes` are where their postal codes are, and have no coordinates yet."""

    request_id: str
    node_id: pa.StringArray
    latitude_e7: Any  # int32 [node]
    longitude_e7: Any  # int32 [node]
    active: Any  # uint8 [node]
    terms: Any  # int64 [node] as engine.capacity.DAY_TERMS
    codes: dict[int, str]  # by row

    def place(self, row: int, latitude_e7: int, longitude_e7: int) -> None:
        """Say where a node is."""
        self.latitude_e7[row], self.longitude_e7[row] = latitude_e7, longitude_e7

    def command(self) -> PutNodes:
        """The command, when every node has its place."""
        return PutNodes(
            self.request_id, self.node_id, self.latitude_e7, self.longitude_e7, self.active, **day_columns(self.terms)
        )


def node_rows(request: catalogue_pb2.PutNodesRequest) -> NodeRows:
    """Nodes to add or change."""
    count = rows("nodes", len(request.nodes), NODES_MAX)
    node_id = texts("nodes[{}].node_id".format, [node.node_id for node in request.nodes], NODE_ID_CHARACTERS_MAX)
    distinct("nodes[{}].node_id".format, node_id)
    active = np.array([not node.closed for node in request.nodes], np.uint8)
    out = NodeRows(
        request_id(request.request_id), node_id, np.zeros(count, np.int32), np.zeros(count, np.int32), active,
        no_day_terms(count), {},
    )  # fmt: skip
    for row, node in enumerate(request.nodes):
        field = f"nodes[{row}]"
        for at, (name, (low, high)) in enumerate(DAY_TERM_RANGES.items()):
            if at >= len(MAY_BE_ABSENT) or node.HasField(name):
                out.terms[row, at] = number(f"{field}.{name}", getattr(node, name), low, high)
        code = text(f"{field}.postal_code", node.postal_code, POSTAL_CODE_CHARACTERS_MAX, needed=False)
        if node.HasField("latitude") or node.HasField("longitude"):
            for name in ("latitude", "longitude"):
                if not node.HasField(name):
                    raise invalid(
                        f"{field}.{name}", f"{field}.{name}: nothing is given: give both, or neither", "VALUE_MISSING"
                    )
            out.place(row, *_coordinates(field, node))
        elif code:
            out.codes[row] = code
        else:
            raise invalid(
                field, f"{field}: nothing says where it is: give latitude and longitude, or a postal code",
                "VALUE_MISSING",
            )  # fmt: skip
    return out


def _coordinates(field: str, place: catalogue_pb2.Node | catalogue_pb2.PostalCode) -> tuple[int, int]:
    """Latitude and longitude in ten-millionths of a degree."""
    return _degrees(f"{field}.latitude", place.latitude, 90), _degrees(f"{field}.longitude", place.longitude, 180)


def _degrees(field: str, value: float, most: int) -> int:
    if not -most <= value <= most:  # nor is a number that is none
        raise invalid(field, f"{field}: {value}: give degrees from -{most} to {most}", "OUT_OF_RANGE")
    return round(value * 1e7)


def put_skus(request: catalogue_pb2.PutSkusRequest) -> PutNames:
    """SKUs to name."""
    rows("skus", len(request.skus), SKUS_MAX)
    column = texts("skus[{}]".format, request.skus, SKU_CHARACTERS_MAX)
    return PutNames(request_id(request.request_id), Namespace.SKU, column)


def put_postal_codes(request: catalogue_pb2.PutPostalCodesRequest) -> PutPostalCodes:
    """Postal codes to place."""
    count = rows("postal_codes", len(request.postal_codes), POSTAL_CODES_MAX)
    field = "postal_codes[{}].postal_code".format
    column = texts(field, [code.postal_code for code in request.postal_codes], POSTAL_CODE_CHARACTERS_MAX)
    distinct(field, column)
    places = [_coordinates(f"postal_codes[{row}]", code) for row, code in enumerate(request.postal_codes)]
    latitude_e7, longitude_e7 = np.ascontiguousarray(np.array(places, np.int32).T)
    return PutPostalCodes(request_id(request.request_id), column, latitude_e7, longitude_e7, np.zeros(count, np.uint8))


def put_channel(request: catalogue_pb2.PutChannelRequest, names: AllNames) -> PutChannels:
    """A channel, whole."""
    channel = request.channel
    name = text("channel.channel", channel.channel, CHANNEL_CHARACTERS_MAX)
    nodes, preferred, excluded = (
        _nodes_of(names, f"channel.{field}", getattr(channel, field))
        for field in ("node_ids", "preferred_node_ids", "excluded_node_ids")
    )
    for at in np.flatnonzero(np.isin(excluded, preferred))[:1]:
        field = f"channel.excluded_node_ids[{at}]"
        message = f"{field}: {channel.excluded_node_ids[at]!r} is preferred too: give it once"
        raise invalid(field, message, "GIVEN_TWICE")
    if channel.on_short not in _ON_SHORT:
        raise invalid("channel.on_short", f"channel.on_short: {channel.on_short}: give one of OnShort", "OUT_OF_RANGE")
    priority = number("channel.priority", channel.priority, -PRIORITY_MAX, PRIORITY_MAX)
    figures = _policy("channel.policy", channel.policy)
    return PutChannels(
        request_id(request.request_id), pa.array([name], pa.string()), _group(nodes)[None, :],
        np.array([priority], np.int32), np.array([_ON_SHORT[channel.on_short]], np.uint8),
        np.array([not channel.no_split], np.uint8), closed=np.array([channel.closed], np.uint8),
        preferred=_bits(preferred)[None, :] if preferred.size else None,
        excluded=_bits(excluded)[None, :] if excluded.size else None,
        **{name: np.array([figure], np.int32) for name, figure in zip(POLICY_FIGURES, figures, strict=True)},
    )  # fmt: skip


def _group(nodes: Any) -> Any:
    """uint64 [word]: a bit for each node; every bit, those of nodes to come too, where none is named."""
    return _bits(nodes) if nodes.size else ~_bits(nodes)


def _nodes_of(names: AllNames, field: str, node_ids: Sequence[str]) -> Any:
    """int32 [n]: nodes of a list that may be empty, all of them known."""
    if len(node_ids) > NODES_MAX:
        rows(field, len(node_ids), NODES_MAX)
    return known(names[Namespace.NODE], f"{field}[{{}}]".format, node_ids, NODE_ID_CHARACTERS_MAX, "node", ADD_A_NODE)


def _bits(nodes: Any) -> Any:
    """uint64 [word]: a bit for each node."""
    words = np.zeros(NODES_MAX // 64, np.uint64)
    np.bitwise_or.at(words, nodes >> 6, np.uint64(1) << (nodes & 63).astype(np.uint64))
    return words


def _policy(field: str, policy: catalogue_pb2.Policy) -> tuple[int, int, int, int, int]:
    """As kernels.columns.POLICY_FIGURES has them."""
    share = policy.share_ppm if policy.HasField("share_ppm") else SHARE_WHOLE_PPM
    cap = number(f"{field}.cap", policy.cap, 0, UNITS_MAX) if policy.HasField("cap") else NO_CAP
    return (
        number(f"{field}.share_ppm", share, 0, SHARE_WHOLE_PPM), number(f"{field}.buffer", policy.buffer, 0, UNITS_MAX),
        cap, number(f"{field}.threshold", policy.threshold, 0, UNITS_MAX),
        number(f"{field}.buffer_ppm", policy.buffer_ppm, 0, SHARE_WHOLE_PPM),
    )  # fmt: skip


def put_exceptions(request: catalogue_pb2.PutExceptionsRequest, names: AllNames) -> PutExceptions:
    """Policies for single SKUs."""
    given = request.exceptions
    rows("exceptions", len(given), EXCEPTIONS_MAX)
    figures = [_policy(f"exceptions[{row}].policy", exception.policy) for row, exception in enumerate(given)]
    return PutExceptions(
        request_id(request.request_id), _channels(names, "exceptions", [row.channel for row in given]),
        _skus(names, "exceptions", [row.sku for row in given]),
        *(np.ascontiguousarray(column) for column in np.array(figures, np.int32).T),
    )  # fmt: skip


def put_fences(request: catalogue_pb2.PutFencesRequest, names: AllNames) -> PutFences:
    """Ring-fences."""
    given = request.fences
    rows("fences", len(given), FENCES_MAX)
    units = [number(f"fences[{row}].units", fence.units, 0, UNITS_MAX) for row, fence in enumerate(given)]
    return PutFences(
        request_id(request.request_id), _channels(names, "fences", [row.channel for row in given]),
        _skus(names, "fences", [row.sku for row in given]), node_indices(names, "fences", [r.node_id for r in given]),
        np.array(units, np.int32),
    )  # fmt: skip


def put_tax_regions(request: catalogue_pb2.PutTaxRegionsRequest, names: AllNames) -> PutRegions:
    """Tax regions; the words that they are and the postal codes are known by now."""
    given = request.regions
    rows("regions", len(given), TAX_REGIONS_MAX)
    node, code = np.full(len(given), NO_NODE, np.int16), np.full(len(given), NONE, np.int32)
    for row, one in enumerate(given):
        field = f"regions[{row}]"
        if bool(one.node_id) == bool(one.postal_code):
            message = f"{field}: give node_id or postal_code: one of the two"
            raise invalid(f"{field}.node_id", message, "ONE_OF_TWO")
        if one.region:
            text(f"{field}.region", one.region, REGION_CHARACTERS_MAX)
    of_node = [row for row, one in enumerate(given) if one.node_id]
    of_code = [row for row, one in enumerate(given) if one.postal_code]
    if of_node:
        name = lambda at: f"regions[{of_node[at]}].node_id"  # noqa: E731
        values = [given[row].node_id for row in of_node]
        node[of_node] = known(names[Namespace.NODE], name, values, NODE_ID_CHARACTERS_MAX, "node", ADD_A_NODE)
    if of_code:
        name = lambda at: f"regions[{of_code[at]}].postal_code"  # noqa: E731
        values = [given[row].postal_code for row in of_code]
        code[of_code] = known(
            names[Namespace.POSTAL_CODE], name, values, POSTAL_CODE_CHARACTERS_MAX, "postal_code",
            "place it by PutPostalCodes",
        )  # fmt: skip
    words = names[Namespace.WORD].find(pa.array([one.region for one in given], pa.string()))
    region = np.where(np.array([not one.region for one in given]), NONE, words).astype(np.int16)
    return PutRegions(request_id(request.request_id), node, code, region)


def _channels(names: AllNames, field: str, values: Sequence[str]) -> Any:
    name = (field + "[{}].channel").format
    return known(
        names[Namespace.CHANNEL], name, values, CHANNEL_CHARACTERS_MAX, "channel", ADD_A_CHANNEL
    ).astype(np.int16)  # fmt: skip


def _skus(names: AllNames, field: str, values: Sequence[str]) -> Any:
    return known(
        names[Namespace.SKU], (field + "[{}].sku").format, values, SKU_CHARACTERS_MAX, "sku", NAME_A_SKU
    )  # fmt: skip


def node_indices(names: AllNames, field: str, values: Sequence[str]) -> Any:
    """int16 [row]: the nodes of rows, all of them known."""
    name = (field + "[{}].node_id").format
    return known(names[Namespace.NODE], name, values, NODE_ID_CHARACTERS_MAX, "node", ADD_A_NODE).astype(np.int16)
