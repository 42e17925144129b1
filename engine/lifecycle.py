"""What may follow what, as data: which actions take units from which stages to which, what one unit does to stock, and
which steps take payments, refunds, shipments and returns from which states to which.

Kernels (kernels/stages.py, kernels/steps.py) and LIFE.md read it. Returned units come back to stock by a movement of
their own.
"""

from enum import IntEnum
from typing import NamedTuple

import numpy as np

from kernels.columns import Stage
from kernels.life import (
    KEEPS_STATE,
    NOT_ALLOWED,
    STEPS_PER_KIND,
    DocumentKind,
    PaymentState,
    RefundState,
    ReturnState,
    ShipmentState,
    Step,
)


class Action(IntEnum):
    """What may be done to units of an order. The numbers are rows of SOURCES and TARGET."""

    PICK = 0
    UNPICK = 1
    PACK = 2
    SHIP = 3
    DELIVER = 4
    RETURN = 5
    CANCEL = 6
    SHORT_PICK = 7  # a picker did not find them: they are taken off the shelf's figure, and sourced elsewhere


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
    (Stage.SHIPPED, Stage.CANCELLED): Change(),  # lost
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
    Action.SHORT_PICK: ((Stage.ALLOCATED,), Stage.SHORT),
}


class StepRule(NamedTuple):
    """From which states a step takes a document, and where to. In the states of `idle` it is taken and changes nothing:
    it comes late, or again."""

    sources: tuple[IntEnum, ...]
    target: IntEnum | None = None  # None: it stays
    idle: tuple[IntEnum, ...] = ()
    back: tuple[tuple[IntEnum, ...], IntEnum] | None = None  # from these states it takes it to another one


STATES: dict[DocumentKind, type[IntEnum]] = {
    DocumentKind.PAYMENT: PaymentState, DocumentKind.REFUND: RefundState, DocumentKind.SHIPMENT: ShipmentState,
    DocumentKind.RETURN: ReturnState,
}  # fmt: skip
_P, _S, _R = PaymentState, ShipmentState, ReturnState
_BEFORE = (_S.CREATED, _S.BOOKED)  # nobody has told that it left: it did
_UNDER_WAY = (_S.SHIPPED, _S.OUT_FOR_DELIVERY)
_ARRIVED = (_S.DELIVERED, _S.HOME, _S.LOST, _S.RECALLED)  # of what was recalled a carrier may still tell

STEP_RULES: dict[Step, StepRule] = {
    Step.PAY: StepRule((), _P.PENDING),
    Step.AUTHORISE: StepRule(  # what is held after it was to be let go of is let go of again
        (_P.PENDING, _P.FAILED, _P.LAPSED),
        _P.AUTHORISED,
        (_P.AUTHORISED, _P.CAPTURED),
        ((_P.VOIDING, _P.VOIDED), _P.VOIDING),
    ),
    Step.ASK_CAPTURE: StepRule((_P.AUTHORISED,)),
    Step.CAPTURE: StepRule(tuple(_P), _P.CAPTURED),  # money that came is taken in, whatever was thought before
    Step.CAPTURE_FAILED: StepRule(
        (_P.AUTHORISED, _P.CAPTURED), None, (_P.PENDING, _P.FAILED, _P.VOIDING, _P.VOIDED, _P.LAPSED)
    ),
    Step.FAIL: StepRule((_P.PENDING,), _P.FAILED, tuple(state for state in _P if state is not _P.PENDING)),
    Step.ASK_VOID: StepRule((_P.PENDING, _P.AUTHORISED), _P.VOIDING, (_P.VOIDING, _P.VOIDED, _P.FAILED, _P.LAPSED)),
    Step.VOID: StepRule((_P.VOIDING, _P.AUTHORISED, _P.PENDING), _P.VOIDED, (_P.VOIDED, _P.FAILED, _P.LAPSED)),
    Step.LAPSE: StepRule(
        (_P.AUTHORISED, _P.VOIDING), _P.LAPSED, (_P.PENDING, _P.CAPTURED, _P.FAILED, _P.VOIDED, _P.LAPSED)
    ),
    Step.OPEN: StepRule((_P.PENDING, _P.FAILED), None, tuple(_P)[1:3] + tuple(_P)[4:]),
    Step.ASK_REFUND: StepRule((), RefundState.ASKED),
    Step.REFUND: StepRule((RefundState.ASKED, RefundState.FAILED), RefundState.DONE, (RefundState.DONE,)),
    Step.REFUND_FAILED: StepRule((RefundState.ASKED, RefundState.DONE), RefundState.FAILED, (RefundState.FAILED,)),
    Step.RETRY_REFUND: StepRule((RefundState.FAILED,), RefundState.ASKED, (RefundState.ASKED,)),
    Step.TAKE_BACK: StepRule(tuple(RefundState)),
    Step.SEND: StepRule((), _S.CREATED),
    Step.BOOK: StepRule(_BEFORE, _S.BOOKED),
    Step.SHIP: StepRule(_BEFORE, _S.SHIPPED, (*_UNDER_WAY, _S.REFUSED, _S.RETURNING, *_ARRIVED)),
    Step.TRANSIT: StepRule((*_BEFORE, *_UNDER_WAY), _S.SHIPPED, (_S.REFUSED, _S.RETURNING, *_ARRIVED)),
    Step.OUT_FOR_DELIVERY: StepRule(
        (*_BEFORE, *_UNDER_WAY, _S.REFUSED), _S.OUT_FOR_DELIVERY, (_S.RETURNING, *_ARRIVED)
    ),
    Step.DELIVER: StepRule((*_BEFORE, *_UNDER_WAY, _S.REFUSED), _S.DELIVERED, (_S.RETURNING, *_ARRIVED)),
    Step.REFUSE: StepRule((*_BEFORE, *_UNDER_WAY), _S.REFUSED, (_S.REFUSED, _S.RETURNING, *_ARRIVED)),
    Step.RETURNING: StepRule((*_BEFORE, *_UNDER_WAY, _S.REFUSED), _S.RETURNING, (_S.RETURNING, *_ARRIVED)),
    Step.COME_HOME: StepRule((*_UNDER_WAY, _S.REFUSED, _S.RETURNING), _S.HOME, (_S.HOME, _S.RECALLED)),
    Step.LOSE: StepRule((*_BEFORE, *_UNDER_WAY, _S.REFUSED, _S.RETURNING), _S.LOST, (_S.LOST, _S.RECALLED)),
    Step.RECALL: StepRule(_BEFORE, _S.RECALLED, (_S.RECALLED, _S.RETURNING, _S.HOME)),
    Step.ADD_ITEM: StepRule((_S.CREATED,)),
    Step.SHRINK: StepRule(_BEFORE),
    Step.ASK_RETURN: StepRule((), _R.ASKED),
    Step.APPROVE: StepRule((_R.ASKED,), _R.APPROVED, (_R.APPROVED, _R.COLLECTED, _R.RECEIVED, _R.CLOSED)),
    Step.REJECT: StepRule((_R.ASKED,), _R.REJECTED, (_R.REJECTED,)),
    Step.WITHDRAW: StepRule((_R.ASKED, _R.APPROVED), _R.WITHDRAWN, (_R.WITHDRAWN,)),
    Step.COLLECT: StepRule((_R.APPROVED,), _R.COLLECTED, (_R.COLLECTED, _R.RECEIVED)),
    Step.RECEIVE: StepRule((_R.APPROVED, _R.COLLECTED, _R.RECEIVED), _R.RECEIVED),
    Step.INSPECT: StepRule((_R.RECEIVED,)),  # to CLOSED with the last unit
    Step.CLOSE: StepRule((_R.APPROVED, _R.COLLECTED, _R.RECEIVED), _R.CLOSED, (_R.CLOSED,)),
}
ENGINE_STEPS = (Step.TAKE_BACK, Step.ADD_ITEM, Step.SHRINK)  # nobody else may ask for these
_STATES_MAX = 16


def _next_states() -> np.ndarray:
    """[step, state]: the state after the step."""
    table = np.full((4 * STEPS_PER_KIND, _STATES_MAX), NOT_ALLOWED, np.uint8)
    for step, rule in STEP_RULES.items():
        if step not in ENGINE_STEPS:
            for state in rule.sources:
                table[step, state] = state if rule.target is None else rule.target
            for state in rule.idle:
                table[step, state] = KEEPS_STATE
            if rule.back is not None:
                for state in rule.back[0]:
                    table[step, state] = rule.back[1]
    return table


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

NEXT_STATE = _next_states()
LEAVES_FROM = np.array(
    [Stage.PACKED, Stage.PICKED, Stage.ALLOCATED], np.uint8
)  # of a shipment, the first ones preferred

assert set(STEP_RULES) == set(Step)
assert all((source, target) in CHANGES for sources, target in TRANSITIONS.values() for source in sources)
