"""Distances against the haversine formula in degrees, ranks against a stable sort."""

import numpy as np
import pytest

from kernels.distance import metres, rank
from tests import twins

DELHI, MUMBAI = (28.6139391, 77.2090212), (19.0759837, 72.8776559)


def e7(degrees) -> np.ndarray:
    return np.rint(np.asarray(degrees, np.float64).reshape(-1) * 10_000_000).astype(np.int32)


def distances(places, nodes, columns: int | None = None) -> np.ndarray:
    out = np.full((len(places), columns or len(nodes)), -7, np.int32)
    places, nodes = np.asarray(places).reshape(-1, 2), np.asarray(nodes).reshape(-1, 2)
    metres(e7(places[:, 0]), e7(places[:, 1]), e7(nodes[:, 0]), e7(nodes[:, 1]), out)
    return out


@pytest.mark.parametrize("nodes", [0, 1, 63, 64, 65, 256])
def test_distances_agree_with_the_haversine_formula(nodes):
    rng = np.random.default_rng(nodes)
    places = np.round(np.stack([rng.uniform(-90, 90, 40), rng.uniform(-180, 180, 40)], 1), 7)
    centres = np.round(np.stack([rng.uniform(6, 37, nodes), rng.uniform(68, 97, nodes)], 1), 7)
    got = distances(places, centres)
    for place, row in zip(places, got, strict=True):
        for centre, whole in zip(centres, row, strict=True):
            exact = twins.metres(*place, *centre)
            assert abs(exact - whole) <= 0.5 + (1e-5 if exact < 19_900_000 else 0.2)  # both lose digits at the antipode


def test_known_distances():
    assert distances([DELHI], [MUMBAI, DELHI])[0].tolist() == [round(twins.metres(*DELHI, *MUMBAI)), 0]
    quarter, half = 6_371_008.8 * np.pi / 2, 6_371_008.8 * np.pi
    assert distances([(0, 0)], [(90, 0), (0, 180), (0, -90)])[0].tolist() == [
        round(quarter),
        round(half),
        round(quarter),
    ]
    assert distances([(0, 179.9999999)], [(0, -179.9999999)])[0, 0] == 0
    assert 1_148_000 < distances([DELHI], [MUMBAI])[0, 0] < 1_149_000


def test_columns_beyond_the_nodes_stay():
    assert distances([DELHI], [MUMBAI], columns=3)[0, 1:].tolist() == [-7, -7]


@pytest.mark.parametrize("nodes", [0, 1, 63, 64, 65, 256])
@pytest.mark.parametrize("far", [3, 5_000_000])
def test_ranks_agree_with_a_stable_sort(nodes, far):
    rng = np.random.default_rng(nodes + far)
    table = rng.integers(0, far, (30, nodes + 2), dtype=np.int32)
    order = np.full((30, nodes + 1), 201, np.uint8)
    rank(table, nodes, order)
    assert order[:, :nodes].tolist() == [twins.rank(row[:nodes]) for row in table.tolist()]
    assert (order[:, nodes:] == 201).all()
