"""What each channel may sell of a SKU (ATS), recomputed for the SKUs that a commit changed, for all channels at once.

Runs after a commit over the SKUs it changed, and over all of them after a change of policies. Only what changed is
written, and goes out as versioned updates. The rule is RULES.md's "What a channel may sell".
"""

from typing import NamedTuple

import numpy as np

from kernels.columns import NONE, Cells, Fences, Policies
from kernels.fences import fenced_at, own_backed
from kernels.options import I16, I32, I32x2, I64x2, U64x2, kernel, leaf
from kernels.prefetch import prefetch

SHARE_WHOLE = 1_000_000  # share_ppm of everything
_FETCH_CHANNELS_MAX = 16  # of more, the processor sees the sequence by itself
_BLOCK = 64  # SKUs taken together, so that the loops over channels are long and stay in the nearest cache


class Groups(NamedTuple):
    """Node groups: equal ones are summed once."""

    nodes: U64x2  # [group, word] bit of each node, as in Policies
    of: I32  # [channel] its group


class Published(NamedTuple):
    """What was published last."""

    ats: I32x2  # [sku, channel] units
    version: I64x2  # [sku, channel] sequence of the commit that changed it


class Changes(NamedTuple):
    """Room for what is published now: SKUs in the order asked for, channels by index."""

    sku: I32
    channel: I16
    ats: I32


@leaf
def _cells_of(groups: Groups, nodes: int) -> np.ndarray:
    """Masks [group, node]: all bits set where a node belongs to the group."""
    masks = np.zeros((groups.nodes.shape[0], nodes), np.int32)
    for group in range(masks.shape[0]):
        for node in range(nodes):
            if (groups.nodes[group, node >> 6] >> np.uint64(node & 63)) & np.uint64(1):
                masks[group, node] = -1
    return masks


@leaf
def _sum_groups(units: I32, masks: I32x2, free: I64x2, i: int) -> None:
    """free[group, i]: units [node] summed over each group. In 32 bits, twice as fast, where no sum can leave them."""
    nodes = masks.shape[1]
    every_bit = np.uint32(0)
    for node in range(nodes):
        every_bit = np.uint32(every_bit | np.uint32(units[node]))
    if np.int64(every_bit) * nodes < 1 << 32:
        for group in range(masks.shape[0]):
            total = np.uint32(0)
            for node in range(nodes):
                total = np.uint32(total + np.uint32(units[node] & masks[group, node]))
            free[group, i] = total
    else:
        for group in range(masks.shape[0]):
            wide_total = np.int64(0)
            for node in range(nodes):
                wide_total += np.int64(units[node] & masks[group, node])
            free[group, i] = wide_total


@leaf
def _own_of_fences(fences: Fences, sku: int, units: I32, groups: Groups, masks: I32x2, own: I64x2, i: int) -> None:
    """own[channel, i]: backed fences of each channel over its nodes. A channel has one fence of a SKU at a node."""
    fence = fences.head[sku]
    while fence != NONE:
        channel, node = fences.channel[fence], fences.node[fence]
        if masks[groups.of[channel], node]:
            own[channel, i] += own_backed(fences, sku, node, channel, units[node])
        fence = fences.next[fence]


@leaf
def _sum_block(
    skus: I32, cells: Cells, fences: Fences, groups: Groups, masks: I32x2, unfenced: I32, free: I64x2, own: I64x2
) -> bool:
    """free [group, i] and own [channel, i] of a block of SKUs; whether any SKU has fences. own comes in as zeros."""
    nodes = masks.shape[1]
    any_fence = False
    for i in range(skus.size):
        sku = skus[i]
        row = cells.row_of[sku]
        if row == NONE:
            free[:, i] = 0
        elif fences.head[sku] == NONE:
            _sum_groups(cells.available[row], masks, free, i)
        else:
            any_fence = True
            units = cells.available[row]
            for node in range(nodes):
                unfenced[node] = max(0, units[node] - fenced_at(fences, sku, node))
            _sum_groups(unfenced, masks, free, i)
            _own_of_fences(fences, sku, units, groups, masks, own, i)
    return any_fence


@leaf
def _fetch(skus: I32, nodes: int, cells: Cells, published: Published) -> None:
    """Bring the rows of a block of SKUs into the cache while the block before it is computed."""
    if skus.size == 0 or skus[-1] - skus[0] == skus.size - 1:
        return  # side by side, as in a full pass: the processor reads ahead by itself
    width = cells.available.shape[1]
    channels = published.ats.shape[1]
    for i in range(skus.size):
        sku = np.int64(skus[i])
        row = np.int64(cells.row_of[sku])
        if row != NONE:
            for node in range(0, nodes, 16):
                prefetch(cells.available, row * width + node)
        for channel in range(0, min(channels, _FETCH_CHANNELS_MAX), 8):
            prefetch(published.ats, sku * channels + channel)
            prefetch(published.version, sku * channels + channel)


@leaf
def _ats(free: int, own: int, share_ppm: int, buffer: int, cap: int, threshold: int) -> int:
    shared: int | np.int64 = free
    if share_ppm != SHARE_WHOLE:  # without a sign the division is a multiplication
        shared = np.int64(np.uint64(free * share_ppm) // np.uint64(SHARE_WHOLE))
    value = int(min(cap, max(0, own + shared - buffer)))
    return value if value >= threshold else 0


@leaf
def _limit_block(skus: I32, policies: Policies, groups: Groups, free: I64x2, own: I64x2, ats: I32x2) -> None:
    """ats [channel, i] of a block: the channels' policies, then the exceptions of single SKUs."""
    for channel in range(groups.of.size):
        group = groups.of[channel]
        share_ppm, buffer = policies.share_ppm[channel], policies.buffer[channel]
        cap, threshold = policies.cap[channel], policies.threshold[channel]
        for i in range(skus.size):
            ats[channel, i] = _ats(free[group, i], own[channel, i], share_ppm, buffer, cap, threshold)
    for i in range(skus.size):
        row = policies.exception_head[skus[i]]
        while row != NONE:
            channel = policies.exception_channel[row]
            share_ppm, buffer, cap, threshold = policies.exception_figures[row]
            ats[channel, i] = _ats(free[groups.of[channel], i], own[channel, i], share_ppm, buffer, cap, threshold)
            row = policies.exception_next[row]


@leaf
def _publish_block(skus: I32, sequence: int, ats: I32x2, published: Published, changes: Changes, count: int) -> int:
    """Write what differs from what was published; returns the number of changes so far."""
    for i in range(skus.size):
        sku = skus[i]
        for channel in range(ats.shape[0]):
            value = ats[channel, i]
            if value != published.ats[sku, channel]:
                published.ats[sku, channel] = value
                published.version[sku, channel] = sequence
                changes.sku[count] = sku
                changes.channel[count] = channel
                changes.ats[count] = value
                count += 1
    return count


@kernel
def publish(
    skus: I32, nodes: int, sequence: int, cells: Cells, fences: Fences, policies: Policies, groups: Groups,
    published: Published, changes: Changes,
) -> int:  # fmt: skip
    """Recompute ATS of SKUs [n] for every channel; returns the number of changes.

    nodes: how many there are; sequence: of the commit, larger than every version. `published` is changed where a value
    changes and nowhere else, and `changes` gets those values: it has room for n * channels, or the SKUs come in pieces.
    Source: RULES.md; a share is floor(share_ppm * free / 1,000,000).
    """
    masks = _cells_of(groups, nodes)
    channels = groups.of.size
    free = np.zeros((masks.shape[0], _BLOCK), np.int64)
    own = np.zeros((channels, _BLOCK), np.int64)
    ats = np.empty((channels, _BLOCK), np.int32)
    unfenced = np.empty(nodes, np.int32)
    count = 0
    for first in range(0, skus.size, _BLOCK):
        block = skus[first : first + _BLOCK]
        _fetch(skus[first + _BLOCK : first + 2 * _BLOCK], nodes, cells, published)
        any_fence = _sum_block(block, cells, fences, groups, masks, unfenced, free, own)
        _limit_block(block, policies, groups, free, own, ats)
        count = _publish_block(block, sequence, ats, published, changes, count)
        if any_fence:
            own[:] = 0
    return count


def groups_of(nodes: U64x2) -> Groups:
    """The distinct groups among nodes [channel, word]: Policies.nodes of the channels there are."""
    distinct, of = np.unique(nodes, axis=0, return_inverse=True)
    return Groups(np.ascontiguousarray(distinct), of.reshape(-1).astype(np.int32))
