"""Catalogue commands: names, nodes, postal codes, channels, exceptions and ring-fences enter or change. What policies
mean is in engine/POLICIES.md.

Texts get their indices here, and distances their whole metres; both go into the journal, so that replay measures
nothing.
"""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from engine import schema
from engine.answers import Replies
from engine.capacity import DAY_TERMS
from engine.commands import (
    Put,
    PutCategories,
    PutChannels,
    PutExceptions,
    PutFences,
    PutNames,
    PutNodes,
    PutPostalCodes,
    PutRegions,
    PutReturnPolicies,
)
from engine.commit import Commit, remember
from engine.outcomes import Method, Namespace, OutOfRoom, Reply
from engine.policies import COLUMNS, POLICIES_MAX
from engine.state import State
from kernels.columns import NODES_MAX, NONE, POLICY_FIGURES, WORDS_MAX
from kernels.distance import metres

NO_CHANNEL = np.array([-1], np.int16)


def put(commit: Commit, command: Put) -> Replies:
    """Add or change master data: all of a request, or the first answer again."""
    state = commit.state
    check_limits(state, [command])
    request_id = pa.array([command.request_id], pa.string())
    keys, new = commit.claim(NO_CHANNEL, Method.PUT_CATALOGUE, request_id)
    quantity = np.zeros(1, np.int64)
    reply = np.array([Reply.DONE], np.uint8)
    if new[0] and isinstance(command, PutFences) and (state.closed[command.channel[command.units > 0]] != 0).any():
        reply[0] = Reply.CHANNEL_CLOSED
    elif new[0]:
        quantity[0] = _PUTS[type(command)](commit, command)
    return remember(commit, Method.PUT_CATALOGUE, NO_CHANNEL, request_id, keys, _content(command), new, reply, quantity)


def _content(command: Put) -> Any:
    hashed = xxhash.xxh3_128(type(command).__name__.encode())
    for field in fields(command):
        value = getattr(command, field.name)
        if value is None:
            continue
        if field.default is None:  # it may be left out: which of those it is counts
            hashed.update(field.name.encode())
        if isinstance(value, np.ndarray):
            hashed.update(np.ascontiguousarray(value).tobytes())
        elif isinstance(value, int):
            hashed.update(value.to_bytes(8, "little", signed=True))
        elif field.name != "request_id":
            for text in value.to_pylist():
                hashed.update(len(text).to_bytes(4, "little") + text.encode())
    digest = hashed.intdigest()
    return np.array([[digest >> 64, digest & 0xFFFFFFFFFFFFFFFF]], np.uint64)


def check_limits(state: State, commands: Sequence[Put]) -> None:
    """Raise OutOfRoom where what these commands bring, taken together, does not fit: before anything is changed."""
    named: dict[Namespace, list[pa.StringArray]] = {}
    rows = {PutExceptions: 0, PutFences: 0}
    for command in commands:
        if isinstance(command, PutExceptions | PutFences):
            rows[type(command)] += command.sku.size
        elif isinstance(command, PutReturnPolicies):
            if command.channel.size > POLICIES_MAX:
                raise OutOfRoom(f"return policies: {command.channel.size} were given, at most {POLICIES_MAX}")
        elif not isinstance(command, PutCategories | PutRegions):
            namespace, texts = _named(command)
            named.setdefault(namespace, []).append(texts)
    limits = {
        Namespace.NODE: (NODES_MAX, "nodes_max"),
        Namespace.POSTAL_CODE: (state.limits.postal_codes_max, "postal_codes_max"),
        Namespace.CHANNEL: (state.limits.channels_max, "channels_max"),
        Namespace.SKU: (state.limits.skus_max, "skus_max"),
        Namespace.WORD: (WORDS_MAX, "words_max (currencies, payment methods, service levels)"),
    }
    for namespace, pieces in named.items():
        if namespace not in limits:
            continue  # sources of stock statements: a few of each connector
        most, field = limits[namespace]
        known = len(state.names[namespace])
        if known + sum(map(len, pieces)) > most:
            given = pa.concat_arrays(pieces)
            new = len(given.filter(pa.array(state.names[namespace].find(given) < 0)).unique())
            if known + new > most:
                raise OutOfRoom(f"{field} is {most}, {known} are known and {new} more were given: raise the limit")
    for kind, used, most, field in (
        (PutExceptions, state.exceptions_used, state.limits.exceptions_max, "exceptions_max"),
        (PutFences, state.fences_used, state.limits.fences_max, "fences_max"),
    ):
        if used + rows[kind] > most:
            raise OutOfRoom(f"{field} is {most}, {used} are in use: raise the limit")


def _named(command: PutNames | PutNodes | PutPostalCodes | PutChannels) -> tuple[Namespace, pa.StringArray]:
    if isinstance(command, PutNames):
        return Namespace(command.namespace), command.names
    if isinstance(command, PutNodes):
        return Namespace.NODE, command.node_id
    if isinstance(command, PutPostalCodes):
        return Namespace.POSTAL_CODE, command.postal_code
    return Namespace.CHANNEL, command.channel


def _name(commit: Commit, namespace: Namespace, texts: pa.StringArray) -> Any:
    """Indices of texts; new ones are named in the journal first."""
    names = commit.state.names[namespace]
    unknown = np.flatnonzero(names.find(texts) < 0)
    if unknown.size:
        new = texts.take(pa.array(unknown)).unique()
        first = len(names)
        index = np.arange(first, first + len(new), dtype=np.int32)
        columns = {"namespace": np.full(len(new), namespace, np.uint8), "index": index, "text": new}
        commit.add(schema.NAMES, columns)
    return names.find(texts)


def _put_names(commit: Commit, command: PutNames) -> int:
    before = len(commit.state.names[Namespace(command.namespace)])
    _name(commit, Namespace(command.namespace), command.names)
    return len(commit.state.names[Namespace(command.namespace)]) - before


def _put_nodes(commit: Commit, command: PutNodes) -> int:
    state = commit.state
    node = _name(commit, Namespace.NODE, command.node_id).astype(np.int16)
    columns = {
        "node": node, "latitude_e7": command.latitude_e7, "longitude_e7": command.longitude_e7,
        "active": command.active,
    }  # fmt: skip
    commit.add(schema.NODES, columns | {name: getattr(command, name) for name in DAY_TERMS})
    _measure(commit, np.arange(len(state.names[Namespace.POSTAL_CODE]), dtype=np.int32), node)
    return int(node.size)


def _put_postal_codes(commit: Commit, command: PutPostalCodes) -> int:
    code = _name(commit, Namespace.POSTAL_CODE, command.postal_code)
    commit.add(
        schema.POSTAL_CODES,
        {
            "postal_code": code, "latitude_e7": command.latitude_e7, "longitude_e7": command.longitude_e7,
            "area": command.area,
        },
    )  # fmt: skip
    _measure(commit, code, np.arange(commit.state.node_count, dtype=np.int16))
    return int(code.size)


def _measure(commit: Commit, code: Any, node: Any) -> None:
    """Journal the whole metres between postal codes and nodes."""
    state = commit.state
    if code.size == 0 or node.size == 0:
        return
    out = np.empty((code.size, node.size), np.int32)
    metres(
        state.postal_codes.latitude_e7[code], state.postal_codes.longitude_e7[code], state.nodes.latitude_e7[node],
        state.nodes.longitude_e7[node], out,
    )  # fmt: skip
    columns = {
        "postal_code": np.repeat(code, node.size), "node": np.tile(node, code.size), "metres": out.ravel(),
    }  # fmt: skip
    commit.add(schema.DISTANCES, columns)


def _put_channels(commit: Commit, command: PutChannels) -> int:
    channel = _name(commit, Namespace.CHANNEL, command.channel).astype(np.int16)
    names = ("priority", "on_short", "split", *POLICY_FIGURES, "closed")
    columns = {"channel": channel} | {name: getattr(command, name) for name in names}
    columns |= {f"nodes_{word}": np.ascontiguousarray(command.nodes[:, word]) for word in range(4)}
    for name, bits in (("preferred", command.preferred), ("excluded", command.excluded)):
        if bits is not None and bits.any():
            columns |= {f"{name}_{word}": np.ascontiguousarray(bits[:, word]) for word in range(4)}
    was_open = commit.state.closed[channel] == 0
    commit.add(schema.CHANNELS, columns)
    _end_fences(commit, channel[was_open & (commit.state.closed[channel] != 0)])
    return int(channel.size)


def _end_fences(commit: Commit, channels: Any) -> None:
    """Ring-fences of channels that were closed: 0 from now on, and what was drawn from them does not come back."""
    fences = commit.state.fences
    of_them = np.flatnonzero(np.isin(fences.channel[: commit.state.fences_used], channels))
    if of_them.size == 0:
        return
    sku = _skus_of_fences(commit.state)[of_them]
    columns = {"channel": fences.channel[of_them], "sku": sku, "node": fences.node[of_them]}
    commit.add(schema.FENCES, columns | {"units": np.zeros(of_them.size, np.int32)})


def _skus_of_fences(state: State) -> Any:
    """int32 [fence]: the SKU of each ring-fence, along the lists of all SKUs at once."""
    out = np.empty(state.fences_used, np.int32)
    sku = np.arange(len(state.names[Namespace.SKU]), dtype=np.int32)
    row = state.fences.head[: sku.size]
    while (there := row != NONE).any():
        sku, row = sku[there], row[there]
        out[row] = sku
        row = state.fences.next[row]
    return out


def _put_exceptions(commit: Commit, command: PutExceptions) -> int:
    commit.add(schema.EXCEPTIONS, {name: getattr(command, name) for name in ("channel", "sku", *POLICY_FIGURES)})
    return int(command.sku.size)


def _put_fences(commit: Commit, command: PutFences) -> int:
    commit.add(schema.FENCES, {name: getattr(command, name) for name in ("channel", "sku", "node", "units")})
    return int(command.sku.size)


def _put_policies(commit: Commit, command: PutReturnPolicies) -> int:
    commit.add(schema.RETURN_POLICIES, {name: getattr(command, name) for name in COLUMNS})
    return int(command.channel.size)


def _put_categories(commit: Commit, command: PutCategories) -> int:
    commit.add(schema.CATEGORIES, {"sku": command.sku, "category": command.category})
    return int(command.sku.size)


def _put_regions(commit: Commit, command: PutRegions) -> int:
    columns = {"node": command.node, "postal_code": command.postal_code, "region": command.region}
    commit.add(schema.TAX_REGIONS, columns)
    return int(command.region.size)


_PUTS: dict[Any, Any] = {
    PutNames: _put_names,
    PutNodes: _put_nodes,
    PutPostalCodes: _put_postal_codes,
    PutChannels: _put_channels,
    PutExceptions: _put_exceptions,
    PutFences: _put_fences,
    PutReturnPolicies: _put_policies,
    PutCategories: _put_categories,
    PutRegions: _put_regions,
}
