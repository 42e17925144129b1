"""Distances of postal codes and nodes in whole metres, and the nodes of each postal code from near to far.

Computed once, when a postal code or a node becomes known, and journaled: allocation rests on the journaled metres.
"""

import math

import numpy as np

from kernels.options import I32, I32x2, U8x2, allocating_kernel, kernel, leaf

EARTH_RADIUS_METRES = 6_371_008.8  # mean radius
_E7_TO_RADIANS = math.pi / 180 / 10_000_000


@leaf
def _on_the_sphere(latitude_e7: int, longitude_e7: int) -> tuple[float, float, float]:
    latitude, longitude = latitude_e7 * _E7_TO_RADIANS, longitude_e7 * _E7_TO_RADIANS
    around = math.cos(latitude)
    return around * math.cos(longitude), around * math.sin(longitude), math.sin(latitude)


@allocating_kernel
def metres(
    latitude_e7: I32, longitude_e7: I32, node_latitude_e7: I32, node_longitude_e7: I32, distances: I32x2
) -> None:
    """Great-circle distance of every place to every node, rounded to whole metres.

    latitude_e7, longitude_e7 [places] and node_... [nodes] in ten-millionths of a degree; distances
    [places, nodes or more] is written in its first `nodes` columns. Source: the haversine formula, of which the
    haversine is taken as a quarter of the squared chord between two points of the unit sphere (the same number,
    without trigonometry per pair); mean Earth radius 6371.0088 km.
    """
    nodes = node_latitude_e7.size
    x, y, z = np.empty(nodes, np.float64), np.empty(nodes, np.float64), np.empty(nodes, np.float64)
    for node in range(nodes):
        x[node], y[node], z[node] = _on_the_sphere(node_latitude_e7[node], node_longitude_e7[node])
    for place in range(latitude_e7.size):
        at_x, at_y, at_z = _on_the_sphere(latitude_e7[place], longitude_e7[place])
        for node in range(nodes):
            squared = (x[node] - at_x) ** 2 + (y[node] - at_y) ** 2 + (z[node] - at_z) ** 2
            half_chord = min(1.0, 0.5 * math.sqrt(squared))
            distances[place, node] = int(2.0 * EARTH_RADIUS_METRES * math.asin(half_chord) + 0.5)


@kernel
def rank(distances: I32x2, nodes: int, order: U8x2) -> None:
    """The nodes of every place by (metres, node index): order[place, k] is the k-th nearest.

    distances [places, nodes or more] metres; order [places, nodes or more] is written in its first `nodes` columns,
    which are at most 256. Method: insertion sort, from the order of the place before: postal codes that follow each
    other lie close together, and little is left to sort.
    """
    for place in range(distances.shape[0]):
        for k in range(nodes):
            node = order[place - 1, k] if place > 0 else np.uint8(k)
            far = distances[place, node]
            to = k
            while to > 0:
                other = order[place, to - 1]
                if distances[place, other] < far or (distances[place, other] == far and other < node):
                    break
                order[place, to] = other
                to -= 1
            order[place, to] = node
