"""The stage table, as data: which actions take units from which stages to which, and what one unit does to stock.

Kernels (kernels/stages.py) and the documentation read it. Returned units come back to stock by a movement of their own.
"""

from enum import IntEnum
from typing import NamedTuple

import numpy as np

from kernels.columns import Stage


class Action(IntEnum):
    """What may be done to units of an order. The numbers are rows of SOURCES and TARGET."""

    PICK = 0
    UNPICK = 1
    PACK = 2
    SHIP = 3
    DELIVER = 4
    RETURN = 5
    CANCEL = 6


class Change(NamedTuple):
    """What one unit does to the figures of its cell when it leaves a stage for another."""

    on_hand: int = 0
    allocated: int = 0
    reserved: int = 0
    picked: int = 0


CHANGES: dict[tuple[Stage, Stage], Change] = {
    (Stage.RESERVED, Stage.CANCELLED): Change(reserved=-1),  # released, expired or confirmed
    (Stage.RESERVED, Stage.SHORT): Change(reserved=-1),  # taken away by a stock count
    (Stage.RESERVED, Stage.RESERVED): Change(reserved=-1),  # to another node, which counts them then
    (Stage.SHORT, Stage.ALLOCATED): Change(allocated=1),
    (Stage.BACK_ORDERED, Stage.ALLOCATED): Change(allocated=1),
    (Stage.SHORT, Stage.CANCELLED): Change(),
    (Stage.BACK_ORDERED, Stage.CANCELLED): Change(),
    (Stage.ALLOCATED, Stage.SHORT): Change(allocated=-1),  # taken away by a stock count
    (Stage.ALLOCATED, Stage.BACK_ORDERED): Change(allocated=-1),
    (Stage.ALLOCATED, Stage.ALLOCATED): Change(allocated=-1),  # to another node, which counts them then
    (Stage.ALLOCATED, Stage.PICKED): Change(picked=1),
    (Stage.ALLOCATED, Stage.SHIPPED): Change(on_hand=-1, allocated=-1),
    (Stage.ALLOCATED, Stage.CANCELLED): Change(allocated=-1),
    (Stage.PICKED, Stage.ALLOCATED): Change(picked=-1),  # put back on the shelf
    (Stage.PICKED, Stage.PACKED): Change(),
    (Stage.PICKED, Stage.SHIPPED): Change(on_hand=-1, allocated=-1, picked=-1),
    (Stage.PICKED, Stage.CANCELLED): Change(allocated=-1, picked=-1),
    (Stage.PACKED, Stage.ALLOCATED): Change(picked=-1),
    (Stage.PACKED, Stage.SHIPPED): Change(on_hand=-1, allocated=-1, picked=-1),
    (Stage.PACKED, Stage.CANCELLED): Change(allocated=-1, picked=-1),
    (Stage.SHIPPED, Stage.DELIVERED): Change(),
    (Stage.SHIPPED, Stage.RETURNED): Change(),
    (Stage.DELIVERED, Stage.RETURNED): Change(),
}

TRANSITIONS: dict[Action, tuple[tuple[Stage, ...], Stage]] = {
    Action.PICK: ((Stage.ALLOCATED,), Stage.PICKED),
    Action.UNPICK: ((Stage.PICKED, Stage.PACKED), Stage.ALLOCATED),
    Action.PACK: ((Stage.PICKED,), Stage.PACKED),
    Action.SHIP: ((Stage.PACKED, Stage.PICKED, Stage.ALLOCATED), Stage.SHIPPED),
    Action.DELIVER: ((Stage.SHIPPED,), Stage.DELIVERED),
    Action.RETURN: ((Stage.DELIVERED, Stage.SHIPPED), Stage.RETURNED),
    Action.CANCEL: (
        (Stage.SHORT, Stage.BACK_ORDERED, Stage.ALLOCATED, Stage.PICKED, Stage.PACKED),
        Stage.CANCELLED,
    ),
}


def _changes() -> np.ndarray:
    """[from, to, 5]: allowed, then a unit's change of on hand, allocated, reserved, picked."""
    table = np.zeros((len(Stage), len(Stage), 5), np.int32)
    for (source, target), change in CHANGES.items():
        table[source, target] = (1, *change)
    return table


def _sources() -> np.ndarray:
    """[action, k]: the stages an action takes from, in preference, filled up with 255."""
    table = np.full((len(Action), len(Stage)), 255, np.uint8)
    for action, (sources, _) in TRANSITIONS.items():
        table[action, : len(sources)] = sources
    return table


CHANGE_TABLE = _changes()
SOURCES = _sources()
TARGET = np.array([TRANSITIONS[action][1] for action in Action], np.uint8)

assert all((source, target) in CHANGES for sources, target in TRANSITIONS.values() for source in sources)
