"""ATS against RULES.md's example and a twin that reads like the rule."""

import numpy as np
import pytest

from kernels.availability import SHARE_WHOLE, Changes, Groups, Published, groups_of, publish
from kernels.columns import NODES_MAX, NONE, POLICY_FIGURES, UNITS_MAX, Cells, Fences, Policies
from tests import twins

NO_CAP = 2**31 - 1
OPEN_POLICY = (SHARE_WHOLE, 0, NO_CAP, 0, 0)


class Shop:
    """Stock, ring-fences and policies as plain Python, and the columns made of them."""

    def __init__(self, available: list[list[int] | None], groups: list[set[int]]) -> None:
        self.available = available  # of each SKU, units by node; None: the SKU has no row
        self.nodes = max((len(units) for units in available if units is not None), default=0)
        self.groups = groups  # nodes of each channel
        self.fences: dict[tuple[int, int, int], int] = {}  # (sku, channel, node): units
        self.policies = [OPEN_POLICY for _ in groups]  # as POLICY_FIGURES
        self.exceptions: dict[tuple[int, int], tuple[int, ...]] = {}  # (sku, channel)
        shape = len(available), len(groups)
        self.published = Published(np.zeros(shape, np.int32), np.zeros(shape, np.int64))

    def expected(self) -> list[list[int]]:
        return [
            [
                twins.ats(
                    channel,
                    group,
                    units or [0] * self.nodes,
                    [(c, n, kept) for (s, c, n), kept in self.fences.items() if s == sku],
                    *self.exceptions.get((sku, channel), self.policies[channel]),
                )
                for channel, group in enumerate(self.groups)
            ]
            for sku, units in enumerate(self.available)
        ]

    def publish(self, sequence: int, skus: list[int] | None = None) -> list[tuple[int, int, int]]:
        """The changes, as (sku, channel, ats)."""
        skus = list(range(len(self.available))) if skus is None else skus
        room = len(skus) * len(self.groups)
        changes = Changes(np.full(room + 1, -7, np.int32), np.empty(room, np.int16), np.empty(room, np.int32))
        count = publish(
            np.array(skus, np.int32), self.nodes, sequence, self._cells(), self._fences(), self._policies(),
            self._groups(), self.published, changes,
        )  # fmt: skip
        assert changes.sku[count] == -7
        return list(zip(*(column[:count].tolist() for column in changes), strict=True))

    def _cells(self) -> Cells:
        with_row = [sku for sku, units in enumerate(self.available) if units is not None]
        row_of = np.full(len(self.available), NONE, np.int32)
        row_of[with_row] = range(len(with_row))
        table = np.full((len(with_row), self.nodes + 3), 77, np.int32)  # columns beyond the nodes mean nothing
        for row, sku in enumerate(with_row):
            table[row, : self.nodes] = self.available[sku]
        return Cells(row_of, np.zeros((1, 1, 8), np.int32), table, np.zeros((1, 1), np.uint64))

    def _fences(self) -> Fences:
        head, following = np.full(len(self.available), NONE, np.int32), []
        for row, (sku, _, _) in enumerate(self.fences):
            following.append(head[sku])
            head[sku] = row
        _, channel, node = np.array(list(self.fences), np.int16).reshape(-1, 3).T.copy()
        remaining = np.array(list(self.fences.values()), np.int32)
        return Fences(head, node.copy(), channel.copy(), remaining, np.array(following, np.int32))

    def _masks(self) -> np.ndarray:
        masks = np.zeros((len(self.groups), NODES_MAX // 64), np.uint64)
        for channel, group in enumerate(self.groups):
            for node in group:
                masks[channel, node >> 6] |= np.uint64(1) << np.uint64(node & 63)
        return masks

    def _groups(self) -> Groups:
        return groups_of(self._masks())

    def _policies(self) -> Policies:
        channels = len(self.groups)
        columns = np.array(self.policies, np.int32).reshape(channels, len(POLICY_FIGURES)).T
        head, following = np.full(len(self.available), NONE, np.int32), []
        for row, (sku, _) in enumerate(self.exceptions):
            following.append(head[sku])
            head[sku] = row
        return Policies(
            self._masks(), np.ones(channels, np.uint8), np.zeros(channels, np.uint8), np.zeros(channels, np.int32),
            *(column.copy() for column in columns), head, np.array([c for _, c in self.exceptions], np.int16),
            np.array(list(self.exceptions.values()), np.int32).reshape(-1, len(POLICY_FIGURES)),
            np.array(following, np.int32), np.zeros((channels, 4), np.uint64),
        )  # fmt: skip


def test_the_example_of_the_rules():
    shop = Shop([[10, 5]], [{0, 1}, {0, 1}])
    shop.fences[0, 0, 0] = 4
    shop.policies = [(500_000, 1, NO_CAP, 0, 0)] * 2
    assert shop.publish(7) == [(0, 0, 8), (0, 1, 4)]
    assert shop.published.version.tolist() == [[7, 7]]


def random_shop(rng: np.random.Generator, skus: int, nodes: int, channels: int) -> Shop:
    units_max = int(rng.choice([9, 500, UNITS_MAX]))
    available = [rng.integers(0, units_max, nodes).tolist() if rng.random() < 0.9 else None for _ in range(skus)]
    groups = [{node for node in range(nodes) if rng.random() < 0.6} for _ in range(max(1, channels // 2))]
    shop = Shop(available, [groups[i] for i in rng.integers(0, len(groups), channels)])
    shop.nodes = nodes

    def policy() -> tuple[int, ...]:
        share = SHARE_WHOLE if rng.random() < 0.4 else int(rng.integers(0, SHARE_WHOLE))
        cap = NO_CAP if rng.random() < 0.6 else int(rng.integers(0, units_max))
        buffer_ppm = int(rng.choice([0, 0, 1, 99_999, 500_000, 999_999, SHARE_WHOLE]))
        return share, int(rng.integers(0, 5)), cap, int(rng.integers(0, 20)), buffer_ppm

    shop.policies = [policy() for _ in range(channels)]
    for _ in range(skus if nodes and channels else 0):
        sku, channel = int(rng.integers(0, skus // 2 + 1)), int(rng.integers(0, channels))
        for _ in range(3):  # several fences of one SKU, often at one node
            key = sku, int(rng.integers(0, channels)), int(rng.integers(0, min(nodes, 3)))
            shop.fences[key] = int(rng.integers(0, min(units_max, UNITS_MAX // 5)))
        shop.exceptions[int(rng.integers(0, skus)), channel] = policy()
    return shop


@pytest.mark.parametrize("nodes", [0, 1, 22, 63, 64, 65, 256])
@pytest.mark.parametrize(("skus", "channels"), [(0, 2), (1, 1), (63, 3), (64, 2), (130, 9)])
def test_ats_agrees_with_the_rule(nodes, skus, channels):
    rng = np.random.default_rng([nodes, skus])
    for sequence in (1, 2):
        shop = random_shop(rng, skus, nodes, channels)
        changes = shop.publish(sequence)
        expected = shop.expected()
        assert shop.published.ats.tolist() == expected
        changed = [(s, c, value) for s, row in enumerate(expected) for c, value in enumerate(row) if value]
        assert changes == changed
        assert shop.published.version.tolist() == [[sequence * (value > 0) for value in row] for row in expected]


def test_only_the_skus_asked_for_and_only_what_differs_is_written():
    shop = Shop([[5], [6], [7]], [{0}, {0}, set()])
    shop.policies[1] = (SHARE_WHOLE, 0, 6, 0, 0)
    shop.publish(1)
    shop.available = [[1], [4], [9]]
    assert shop.publish(2, [2, 1, 2]) == [(2, 0, 9), (1, 0, 4), (1, 1, 4)]
    assert shop.published.ats.tolist() == [[5, 5, 0], [4, 4, 0], [9, 6, 0]]
    assert shop.published.version.tolist() == [[1, 1, 0], [2, 2, 0], [2, 1, 0]]
    assert shop.publish(3, [1, 2]) == []


def test_a_large_assortment_of_full_nodes_does_not_wrap():
    shop = Shop([[UNITS_MAX] * NODES_MAX], [set(range(NODES_MAX))])
    shop.policies = [(1, 0, NO_CAP, 0, 0)]
    assert shop.publish(1) == [(0, 0, UNITS_MAX * NODES_MAX // 1_000_000)]
    shop.policies = [OPEN_POLICY]
    assert shop.publish(2) == [(0, 0, NO_CAP)]
    shop = Shop([[UNITS_MAX] * 5], [set(range(5))])
    assert shop.publish(1) == [(0, 0, NO_CAP)]
    for units, total in ((2**31, NO_CAP), (2**32 - 1, NO_CAP), (2**31 - 2, 2**31 - 2)):
        shop = Shop([[units // 4] * 3 + [units - units // 4 * 3]], [{0, 1, 2, 3}])
        assert shop.publish(1) == [(0, 0, total)]


def test_a_fence_counts_as_far_as_units_back_it_in_channel_order():
    shop = Shop([[10, 0]], [{0, 1}] * 3)
    shop.fences = {(0, 2, 0): 5, (0, 0, 0): 7, (0, 1, 0): 1, (0, 1, 1): 9}
    assert shop.publish(1) == [(0, 0, 7), (0, 1, 1), (0, 2, 2)]


def test_the_exception_of_a_sku_stands_before_the_policy_of_its_channel():
    shop = Shop([[10], [10]], [{0}, {0}])
    shop.policies = [(500_000, 0, NO_CAP, 0, 0), (0, 0, NO_CAP, 0, 0)]
    shop.exceptions = {(1, 0): (SHARE_WHOLE, 3, 6, 0, 0), (1, 1): (SHARE_WHOLE, 0, NO_CAP, 11, 0)}
    assert shop.publish(1) == [(0, 0, 5), (1, 0, 6)]
    shop.exceptions[1, 1] = (SHARE_WHOLE, 0, NO_CAP, 10, 0)
    assert shop.publish(2) == [(1, 1, 10)]


@pytest.mark.parametrize(
    ("units", "buffer", "buffer_ppm", "left"),
    [
        (10, 0, 0, 10),
        (10, 0, 100_000, 9),
        (10, 0, 100_001, 8),  # 1.00001 units kept back are two
        (10, 3, 100_000, 7),  # the larger of the two counts
        (10, 3, 400_000, 6),
        (10, 0, 1, 9),
        (10, 0, 999_999, 0),
        (10, 0, SHARE_WHOLE, 0),
        (0, 0, 500_000, 0),
        (1, 0, 1, 0),
    ],
)
def test_a_buffer_in_units_and_in_millionths_the_larger_counts(units, buffer, buffer_ppm, left):
    for shop in (Shop([[units]], [{0}]), Shop([[units, 0]], [{0, 1}])):
        shop.policies = [(SHARE_WHOLE, buffer, NO_CAP, 0, buffer_ppm)]
        shop.publish(1)
        assert shop.published.ats.tolist() == [[left]]
        shop.policies = [OPEN_POLICY]
        shop.exceptions[0, 0] = (SHARE_WHOLE, buffer, NO_CAP, 0, buffer_ppm)
        shop.publish(2)
        assert shop.published.ats.tolist() == [[left]]


def test_a_buffer_in_millionths_is_of_the_fence_and_the_share_together_before_cap_and_threshold():
    shop = Shop([[10, 5]], [{0, 1}])
    shop.fences[0, 0, 0] = 4
    for policy, units in (
        ((500_000, 0, NO_CAP, 0, 250_000), 6),  # 4 + floor(11 / 2) = 9; ceil(2.25) kept back
        ((500_000, 0, 5, 0, 250_000), 5),
        ((500_000, 0, NO_CAP, 6, 250_000), 6),
        ((500_000, 0, NO_CAP, 7, 250_000), 0),
    ):
        shop.policies = [policy]
        shop.publish(1)
        assert shop.published.ats.tolist() == [[units]], policy


@pytest.mark.parametrize("nodes", [4, 5, 9, 16, NODES_MAX])
def test_millionths_of_large_figures_are_exact(nodes):
    """Around 2**32, where the kernel goes from float64 to integers, both for free units and for those of a fence."""
    rng = np.random.default_rng(nodes)
    for total in (2**32 - 1, 2**32, 2**32 + 1, 2**33 - 1, 2**33, NODES_MAX * UNITS_MAX):
        each = min(UNITS_MAX, total // nodes)
        shop = Shop([[each] * nodes, [each] * (nodes - 1) + [each // 7]], [set(range(nodes))] * 6)
        shop.fences = {(0, 0, node): each - int(rng.integers(0, 2)) for node in range(0, nodes, 2)}
        shop.policies = [
            (int(rng.integers(0, SHARE_WHOLE + 1)), 0, NO_CAP, 0, int(rng.integers(999_000, SHARE_WHOLE)))
            for _ in range(6)
        ]
        shop.publish(1)
        assert shop.published.ats.tolist() == shop.expected()
