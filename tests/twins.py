"""Plain-Python twins of the leaf kernels: the obvious way to the same answer, for tests to compare with."""

import math
import struct
from collections.abc import Iterable, Sequence

EARTH_RADIUS_METRES = 6_371_008.8
_MASK = 2**64 - 1


def _turn(word: int, bits: int) -> int:
    return (word << bits | word >> (64 - bits)) & _MASK


def siphash(key: bytes, message: bytes, rounds: int, last_rounds: int, size: int) -> bytes:
    """SipHash of 8 or 16 bytes, after the paper and its reference implementation."""
    k0, k1 = struct.unpack("<QQ", key)
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def mix(times: int) -> None:
        for _ in range(times):
            v[0] = (v[0] + v[1]) & _MASK
            v[1] = _turn(v[1], 13) ^ v[0]
            v[0] = _turn(v[0], 32)
            v[2] = (v[2] + v[3]) & _MASK
            v[3] = _turn(v[3], 16) ^ v[2]
            v[0] = (v[0] + v[3]) & _MASK
            v[3] = _turn(v[3], 21) ^ v[0]
            v[2] = (v[2] + v[1]) & _MASK
            v[1] = _turn(v[1], 17) ^ v[2]
            v[2] = _turn(v[2], 32)

    if size == 16:
        v[1] ^= 0xEE
    padded = message + bytes(-(len(message) + 1) % 8) + bytes([len(message) & 255])
    for (word,) in struct.iter_unpack("<Q", padded):
        v[3] ^= word
        mix(rounds)
        v[0] ^= word
    v[2] ^= 0xEE if size == 16 else 0xFF
    mix(last_rounds)
    out = struct.pack("<Q", v[0] ^ v[1] ^ v[2] ^ v[3])
    if size == 16:
        v[1] ^= 0xDD
        mix(last_rounds)
        out += struct.pack("<Q", v[0] ^ v[1] ^ v[2] ^ v[3])
    return out


def hash_text(secret: Sequence[int], domain: int, text: bytes) -> tuple[int, int]:
    key = struct.pack("<QQ", secret[0], secret[1])
    first, last = struct.unpack("<QQ", siphash(key, struct.pack("<Q", domain) + text, 1, 3, 16))
    return first, last


def metres(latitude: float, longitude: float, node_latitude: float, node_longitude: float) -> float:
    """Great-circle distance of two places in degrees, by the haversine formula, not rounded."""
    a, b = math.radians(latitude), math.radians(node_latitude)
    turn = math.radians(node_longitude - longitude)
    h = math.sin((b - a) / 2) ** 2 + math.cos(a) * math.cos(b) * math.sin(turn / 2) ** 2
    return 2 * EARTH_RADIUS_METRES * math.asin(min(1.0, math.sqrt(h)))


def rank(distances: Sequence[int]) -> list[int]:
    """Indices of nodes, nearest first; equal distances in node order."""
    return sorted(range(len(distances)), key=lambda node: distances[node])


def ats(
    channel: int,
    group: Iterable[int],
    available: Sequence[int],
    fences: Sequence[tuple[int, int, int]],
    share_ppm: int,
    buffer: int,
    cap: int,
    threshold: int,
    buffer_ppm: int = 0,
) -> int:
    """What one channel may publish of one SKU. fences: (channel, node, units), in any order."""
    own = free = 0
    for node in group:
        left = available[node]
        for kept_for, _, units in sorted(fence for fence in fences if fence[1] == node):
            backed = min(units, left)
            left -= backed
            if kept_for == channel:
                own += backed
        free += left
    units = own + share_ppm * free // 1_000_000
    kept_back = max(buffer, -(-buffer_ppm * units // 1_000_000))
    value = min(cap, max(0, units - kept_back))
    return 0 if value < threshold else value
