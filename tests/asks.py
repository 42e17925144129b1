"""What may be asked of an engine and what it answers, as plain values: no columns, no indices into anything.

tests/driving.py turns them into the engine's commands and back; tests/model.py takes them as they are.
"""

from dataclasses import dataclass
from typing import Any

from engine.lifecycle import Action
from engine.outcomes import MovementKind, Reply
from kernels.columns import NO_NODE, UNITS_MAX, OnShort

# What may be asked


@dataclass(frozen=True)
class Cart:
    """One order or reservation asked for."""

    id: str
    lines: tuple[tuple[int, int], ...]  # (SKU, units)
    channel: int = 0
    code: int = 0
    expires_at: int = 0
    nodes_max: int = 0
    ship_complete: bool = False


@dataclass(frozen=True)
class Place:
    orders: tuple[Cart, ...]


@dataclass(frozen=True)
class Reserve:
    orders: tuple[Cart, ...]


@dataclass(frozen=True)
class Confirmation:
    request: str
    order_id: str
    reservation: str
    channel: int = 0
    code: int = -1


@dataclass(frozen=True)
class Confirm:
    requests: tuple[Confirmation, ...]


@dataclass(frozen=True)
class Ending:
    request: str
    reservation: str
    channel: int = 0


@dataclass(frozen=True)
class Release:
    requests: tuple[Ending, ...]


@dataclass(frozen=True)
class Act:
    request: str
    order_id: str
    action: Action
    units: int = 0
    line: int = 0
    node: int = NO_NODE
    channel: int = 0
    restock: int = 0


@dataclass(frozen=True)
class Acts:
    requests: tuple[Act, ...]


@dataclass(frozen=True)
class Stock:
    request: str
    rows: tuple[tuple[int, int, MovementKind, int], ...]  # (SKU, node, kind, units)
    source: int = -1
    counted_at: int = 0
    reference: int = 0


@dataclass(frozen=True)
class Supply:
    """Units that are expected; the model knows nothing of it."""

    request: str
    rows: tuple[tuple[int, int, int, int, int], ...]  # (SKU, node, reference, units, due at)


@dataclass(frozen=True)
class Reallocate:
    """Nodes to be left, by what channels of one priority have there."""

    request: str
    nodes: frozenset[int]
    priority: int = 0
    after: int = 0
    upto: int = 1 << 62
    short: bool = False


@dataclass(frozen=True)
class Fence:
    request: str
    rows: tuple[tuple[int, int, int, int], ...]  # (channel, SKU, node, units)


@dataclass(frozen=True)
class Opening:
    """Nodes opened or closed."""

    request: str
    rows: tuple[tuple[int, bool], ...]  # (node, active)
    terms: tuple[tuple[int, ...], ...] = ()  # of each: as engine.capacity.DAY_TERMS; none: no node has a limit


@dataclass(frozen=True)
class Channels:
    request: str
    rows: tuple[tuple[int, "Policy"], ...]


@dataclass(frozen=True)
class Policy:
    nodes: frozenset[int]
    split: bool = True
    on_short: OnShort = OnShort.KEEP
    priority: int = 0
    share_ppm: int = 1_000_000
    buffer: int = 0
    cap: int = UNITS_MAX
    threshold: int = 0
    buffer_ppm: int = 0
    closed: bool = False
    preferred: frozenset[int] = frozenset()
    excluded: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Exceptions:
    request: str
    rows: tuple[tuple[int, ...], ...]  # (channel, SKU, share ppm, buffer, cap, threshold, buffer ppm)


@dataclass(frozen=True)
class Names:
    """SKUs made known."""

    request: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Codes:
    """Postal codes made known, each beside the node of its number."""

    request: str
    codes: tuple[int, ...]


@dataclass(frozen=True)
class Retire:
    closed_before: int


@dataclass(frozen=True)
class Forget:
    before_sequence: int


# What is answered


@dataclass(frozen=True)
class OrderAnswer:
    reply: Reply
    number: int = 0
    again: bool = False
    lines: tuple[Any, ...] = ()  # (SKU, units, ((node, stage, units, metres), ...))


@dataclass(frozen=True)
class Reallocation:
    reply: Reply
    again: bool = False
    following: int = 0
    nodes: tuple[tuple[int, ...], ...] = ()  # (node, units that left, arrived, stayed, became short)


@dataclass(frozen=True)
class Answer:
    reply: Reply
    quantity: int = 0
    again: bool = False
