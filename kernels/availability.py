"""What each channel may sell of a SKU (ATS), recomputed for the SKUs that a commit changed, for all channels at once.

Runs after a commit over the SKUs it changed, and over all of them after a change of policies. Only what changed is
written, and goes out as versioned updates. The rule is RULES.md's "What a channel may sell".
"""

from typing import NamedTuple

import numpy as np

from kernels.columns import NONE, Cells, Fences, Policies
from kernels.fences import fenced_at, own_backed
from kernels.options import I16, I32, I64, I32x2, I64x2, U64x2, allocating_kernel, allocating_leaf, brief, kernel, leaf
from kernels.prefetch import AHEAD, prefetch

SHARE_WHOLE = 1_000_000  # share_ppm of everything
_FETCH_CHANNELS_MAX = 16  # of more, the processor sees the sequence by itself
_EXACT_MAX = 1 << 32  # units: up to here shares are exact in float64
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


@allocating_leaf
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
    """free[group, i]: units [node] summed over each group."""
    for group in range(masks.shape[0]):
        total = np.int64(0)
        for node in range(masks.shape[1]):
            total += np.int64(units[node] & masks[group, node])
        free[group, i] = total


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
def _fetch_heads(sku: int, cells: Cells, fences: Fences, policies: Policies) -> None:
    """Bring what tells where the rows of a SKU are into the cache."""
    prefetch(cells.row_of, sku)
    prefetch(fences.head, sku)
    prefetch(policies.exception_head, sku)


@leaf
def _fetch(sku: int, nodes: int, cells: Cells, published: Published) -> None:
    """Bring the rows of a SKU into the cache."""
    row, width, channels = cells.row_of[sku], cells.available.shape[1], published.ats.shape[1]
    if row != NONE:
        for node in range(0, nodes, 16):
            prefetch(cells.available, row * width + node)
    for channel in range(0, min(channels, _FETCH_CHANNELS_MAX), 8):
        prefetch(published.ats, sku * channels + channel)
        prefetch(published.version, sku * channels + channel)


@leaf
def _sum_block(
    skus: I32, next_skus: I32, later_skus: I32, cells: Cells, fences: Fences, policies: Policies, published: Published,
    groups: Groups, masks: I32x2, unfenced: I32, free: I64x2, own: I64x2,
) -> bool:  # fmt: skip
    """free [group, i] and own [channel, i] of a block of SKUs; whether any SKU has fences. own comes in as zeros.

    next_skus, later_skus: of the two blocks after it, asked for one by one: a burst of hints would wait for itself.
    """
    nodes = masks.shape[1]
    any_fence = False
    for i in range(skus.size):
        if i < later_skus.size:
            _fetch_heads(np.int64(later_skus[i]), cells, fences, policies)
        if i < next_skus.size:
            _fetch(np.int64(next_skus[i]), nodes, cells, published)
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
def _ats(free: int, own: int, share_ppm: int, buffer: int, cap: int, threshold: int, buffer_ppm: int) -> int:
    """What is kept back is the larger of `buffer` and ceil(buffer_ppm of the units), so what is left is the smaller of
    units - buffer and floor(the rest of the millionths): one rounding, downwards like that of the share.
    """
    shared: int | np.int64 = free
    if share_ppm != SHARE_WHOLE:  # without a sign the division is a multiplication
        shared = np.int64(np.uint64(free * share_ppm) // np.uint64(SHARE_WHOLE))
    units = own + shared
    left = units - buffer
    if buffer_ppm != 0:
        left = min(left, np.int64(np.uint64(units * (SHARE_WHOLE - buffer_ppm)) // np.uint64(SHARE_WHOLE)))
    value = int(min(cap, max(0, left)))
    return value if value >= threshold else 0


@leaf
def _limit_channel(channel: int, policies: Policies, free: I64, own: I64, ats: I32) -> None:
    """ats [i] of one channel by its policies: as `_ats`, in float64, which processors divide several of at a time.

    The same figures: free units below 2**32 times a share stay below 2**53, so the product is exact; its quotient is
    below 2**32 and rounded by less than the millionth that it is away from the next whole number. A buffer in
    millionths is taken of own and shared units together, with own units below 2**32 too: fewer than 2**33 times a
    million is still below 2**53, and the quotient's last place, 2**-20, is rounded by half of that, less than a
    millionth.
    """
    share_ppm, buffer = np.float64(policies.share_ppm[channel]), np.float64(policies.buffer[channel])
    cap, threshold = np.float64(policies.cap[channel]), np.float64(policies.threshold[channel])
    if policies.buffer_ppm[channel] == 0:
        for i in range(ats.size):
            value = np.floor(np.float64(free[i]) * share_ppm / SHARE_WHOLE) + np.float64(own[i]) - buffer
            value = min(cap, max(0.0, value))
            ats[i] = np.int32(value if value >= threshold else 0.0)
        return
    rest_ppm = np.float64(SHARE_WHOLE - policies.buffer_ppm[channel])
    for i in range(ats.size):
        units = np.floor(np.float64(free[i]) * share_ppm / SHARE_WHOLE) + np.float64(own[i])
        value = min(units - buffer, np.floor(units * rest_ppm / SHARE_WHOLE))
        value = min(cap, max(0.0, value))
        ats[i] = np.int32(value if value >= threshold else 0.0)


@leaf
def _is_exact(units: I64) -> bool:
    """Whether all of these are so few that float64 has them times a million."""
    every_bit = np.int64(0)
    for i in range(units.size):
        every_bit |= units[i]
    return every_bit < _EXACT_MAX


@leaf
def _limit_block(skus: I32, policies: Policies, groups: Groups, free: I64x2, own: I64x2, ats: I32x2) -> None:
    """ats [channel, i] of a block: the channels' policies, then the exceptions of single SKUs."""
    count = skus.size
    every_bit = np.int64(0)
    for group in range(free.shape[0]):
        for i in range(count):
            every_bit |= free[group, i]
    for channel in range(groups.of.size):
        group = groups.of[channel]
        exact = every_bit < _EXACT_MAX
        if exact and policies.buffer_ppm[channel] != 0:
            exact = _is_exact(own[channel, :count])
        if exact:
            _limit_channel(channel, policies, free[group, :count], own[channel, :count], ats[channel, :count])
        else:
            share_ppm, buffer = policies.share_ppm[channel], policies.buffer[channel]
            cap, threshold, buffer_ppm = (
                policies.cap[channel],
                policies.threshold[channel],
                policies.buffer_ppm[channel],
            )
            for i in range(count):
                ats[channel, i] = _ats(free[group, i], own[channel, i], share_ppm, buffer, cap, threshold, buffer_ppm)
    for i in range(count):
        row = policies.exception_head[skus[i]]
        while row != NONE:
            channel = policies.exception_channel[row]
            share_ppm, buffer, cap, threshold, buffer_ppm = policies.exception_figures[row]
            units = free[groups.of[channel], i]
            ats[channel, i] = _ats(units, own[channel, i], share_ppm, buffer, cap, threshold, buffer_ppm)
            row = policies.exception_next[row]


@leaf
def _publish_block(skus: I32, sequence: int, ats: I32x2, published: Published, changes: Changes, count: int) -> int:
    """Write what differs from what was published; returns the number of changes so far."""
    for i in range(skus.size):
        sku = skus[i]
        different = np.int32(0)
        for channel in range(ats.shape[0]):
            different |= ats[channel, i] ^ published.ats[sku, channel]
        if different == 0:
            continue
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


@leaf
def _publish_all(
    skus: I32, sequence: int, cells: Cells, fences: Fences, policies: Policies, groups: Groups, published: Published,
    changes: Changes, masks: I32x2, free: I64x2, own: I64x2, ats: I32x2, unfenced: I32,
) -> int:  # fmt: skip
    count = 0
    for first in range(0, skus.size, _BLOCK):
        block = skus[first : first + _BLOCK]
        next_block = skus[first + _BLOCK : first + 2 * _BLOCK]
        later_block = skus[first + 2 * _BLOCK : first + 3 * _BLOCK]
        if block[-1] - block[0] == block.size - 1:
            next_block = later_block = next_block[:0]  # side by side, as in a full pass: the processor reads ahead
        any_fence = _sum_block(
            block, next_block, later_block, cells, fences, policies, published, groups, masks, unfenced, free, own
        )  # fmt: skip
        _limit_block(block, policies, groups, free, own, ats)
        count = _publish_block(block, sequence, ats, published, changes, count)
        if any_fence:
            own[:] = 0
    return count


def _publish(
    skus: I32, nodes: int, sequence: int, cells: Cells, fences: Fences, policies: Policies, groups: Groups,
    published: Published, changes: Changes,
) -> int:  # fmt: skip
    """Recompute ATS of SKUs [n] for every channel; returns the number of changes.

    nodes: how many there are; sequence: of the commit, larger than every version. `published` is changed where a value
    changes and nowhere else, and `changes` gets those values: it has room for n * channels, or the SKUs come in pieces.
    Source: RULES.md; a share is floor(share_ppm * free / 1,000,000), a buffer in millionths is rounded up.
    """
    masks = _cells_of(groups, nodes)
    channels = groups.of.size
    free = np.zeros((masks.shape[0], _BLOCK), np.int64)
    own = np.zeros((channels, _BLOCK), np.int64)
    ats = np.empty((channels, _BLOCK), np.int32)
    unfenced = np.empty(nodes, np.int32)
    return _publish_all(
        skus, sequence, cells, fences, policies, groups, published, changes, masks, free, own, ats, unfenced
    )  # fmt: skip


publish, publish_few = allocating_kernel(_publish), brief(_publish, allocates=True)


class Told(NamedTuple):
    """Figures as readers have them: channel by channel, since each reads its own."""

    units: I32x2  # [channel, sku] what the channel may sell
    versions: I64x2  # [channel, sku] the commit that made it so
    blocks: I64x2  # [channel, block of SKUs] the newest version in it
    latest: I64  # [channel] the newest version of all


@leaf
def _fetch_told(channel: int, sku: int, block_bits: int, told: Told) -> None:
    prefetch(told.units, channel * told.units.shape[1] + sku)
    prefetch(told.versions, channel * told.versions.shape[1] + sku)
    prefetch(told.blocks, channel * told.blocks.shape[1] + (sku >> block_bits))


def _tell(changes: Changes, sequence: int, block_bits: int, told: Told) -> None:
    """Take in what a commit published. A block has 2**block_bits SKUs."""
    for i in range(changes.sku.size):
        if i + AHEAD < changes.sku.size:
            _fetch_told(changes.channel[i + AHEAD], changes.sku[i + AHEAD], block_bits, told)
        channel, sku = changes.channel[i], changes.sku[i]
        told.units[channel, sku] = changes.ats[i]
        told.versions[channel, sku] = sequence
        told.blocks[channel, sku >> block_bits] = sequence
        told.latest[channel] = sequence


tell, tell_few = kernel(_tell), brief(_tell)


@brief
def find_newer(versions: I64, blocks: I64, version: int, first: int, block_bits: int, out: I32) -> int:
    """Write the SKUs from `first` on whose version is newer, until `out` is full; returns how many.

    versions: int64 [sku]; blocks: int64 [block], the newest version among 2**block_bits SKUs; out: int32, its size is
    the most that are found.
    """
    count, sku = 0, first
    while sku < versions.size and count < out.size:
        end = min(((sku >> block_bits) + 1) << block_bits, versions.size)
        if blocks[sku >> block_bits] > version:
            while sku < end and count < out.size:
                out[count] = sku
                count += versions[sku] > version
                sku += 1
        sku = end if count < out.size else sku
    return count


def groups_of(nodes: U64x2) -> Groups:
    """The distinct groups among nodes [channel, word]: Policies.nodes of the channels there are."""
    distinct, of = np.unique(nodes, axis=0, return_inverse=True)
    return Groups(np.ascontiguousarray(distinct), of.reshape(-1).astype(np.int32))
