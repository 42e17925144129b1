"""Nearest allocation and ring-fences as RULES.md words them, in plain Python, for tests/model.py and kernel tests.

Nothing is changed here: units and ring-fences come in as figures, who gives what goes out.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Terms:
    """What an order or its channel asks of the nodes."""

    nodes_max: int = 0  # that may give together; 0: any number
    complete: bool = False  # all units or none
    preferred: frozenset[int] = frozenset()  # nodes that are asked first whether they can give everything


def source(
    lines: Sequence[tuple[int, int]], ranked: Sequence[int], sellable: Callable[[int, int], int], terms: Terms
) -> list[list[tuple[int, int]]]:
    """For each line (SKU, units) what it takes from which node, as RULES.md ("Nearest") words it; the rest is short."""
    need: Counter[int] = Counter()
    for sku, units in lines:
        need[sku] += units
    give = {node: {sku: sellable(sku, node) for sku in need} for node in ranked}
    left = {node: dict(units) for node, units in give.items()}
    out = []
    chosen = _choose(need, ranked, give, terms)
    if terms.complete and any(sum(give[node][sku] for node in chosen) < units for sku, units in need.items()):
        chosen = set()
    for sku, units in lines:
        taken = []
        for node in ranked:
            if node in chosen and units > 0 and left[node][sku] > 0:
                part = min(units, left[node][sku])
                left[node][sku] -= part
                units -= part
                taken.append((node, part))
        out.append(taken)
    return out


def _choose(need: Counter[int], ranked: Sequence[int], give: dict[int, dict[int, int]], terms: Terms) -> set[int]:
    for node in sorted(ranked, key=lambda node: node not in terms.preferred):
        if all(give[node][sku] >= units for sku, units in need.items()):
            return {node}
    if terms.nodes_max == 1:
        return set()
    for i, nearer in enumerate(ranked):
        for farther in ranked[i + 1 :]:
            if all(give[nearer][sku] + give[farther][sku] >= units for sku, units in need.items()):
                return {nearer, farther}
    chosen: set[int] = set()
    missing = dict(need)
    while True:
        gain = {n: sum(min(missing[sku], give[n][sku]) for sku in missing) for n in ranked if n not in chosen}
        best = max(gain, key=lambda n: gain[n], default=None)  # the first of equals: the nearest
        if best is None or gain[best] == 0 or (terms.nodes_max and len(chosen) == terms.nodes_max):
            return chosen
        chosen.add(best)
        missing = {sku: units - min(units, give[best][sku]) for sku, units in missing.items()}


def backed(kept: dict[int, int], available: int) -> dict[int, int]:
    """Ring-fences {channel: units} of one SKU at one node, and how far available units back them, in channel order."""
    out = {}
    for channel, units in sorted(kept.items()):
        out[channel] = min(units, available)
        available -= out[channel]
    return out


def sellable(kept: dict[int, int], available: int, channel: int) -> int:
    """What a channel may take where the ring-fences `kept` stand."""
    of = backed(kept, available)
    return of.get(channel, 0) + max(0, available - sum(of.values()))
