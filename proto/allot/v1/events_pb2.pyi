from allot.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EventKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EVENT_KIND_UNSPECIFIED: _ClassVar[EventKind]
    EVENT_KIND_ORDER_DECIDED: _ClassVar[EventKind]
    EVENT_KIND_UNITS_MOVED: _ClassVar[EventKind]
    EVENT_KIND_RESERVATION_ENDED: _ClassVar[EventKind]
    EVENT_KIND_STOCK_MOVED: _ClassVar[EventKind]
    EVENT_KIND_UNITS_PROMISED: _ClassVar[EventKind]
    EVENT_KIND_SUPPLY_CHANGED: _ClassVar[EventKind]
    EVENT_KIND_STEP_TAKEN: _ClassVar[EventKind]
    EVENT_KIND_POSTED: _ClassVar[EventKind]

class Cause(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CAUSE_UNSPECIFIED: _ClassVar[Cause]
    CAUSE_PLACED: _ClassVar[Cause]
    CAUSE_CONFIRMED: _ClassVar[Cause]
    CAUSE_RELEASED: _ClassVar[Cause]
    CAUSE_EXPIRED: _ClassVar[Cause]
    CAUSE_RECEIPT: _ClassVar[Cause]
    CAUSE_COUNT: _ClassVar[Cause]
    CAUSE_ADJUSTMENT: _ClassVar[Cause]
    CAUSE_RETURN: _ClassVar[Cause]
    CAUSE_TRANSFER: _ClassVar[Cause]
    CAUSE_ORDER: _ClassVar[Cause]
    CAUSE_REALLOCATED: _ClassVar[Cause]
    CAUSE_REEVALUATED: _ClassVar[Cause]
    CAUSE_SUPPLY: _ClassVar[Cause]
    CAUSE_CATALOGUE: _ClassVar[Cause]
    CAUSE_NEW_DAY: _ClassVar[Cause]
    CAUSE_SHORT_PICK: _ClassVar[Cause]
    CAUSE_UNPAID: _ClassVar[Cause]
    CAUSE_SHIPMENT: _ClassVar[Cause]
    CAUSE_EXCHANGE: _ClassVar[Cause]
    CAUSE_PAYMENT: _ClassVar[Cause]
    CAUSE_BALANCE: _ClassVar[Cause]

class MovementKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MOVEMENT_KIND_UNSPECIFIED: _ClassVar[MovementKind]
    MOVEMENT_KIND_RECEIVED: _ClassVar[MovementKind]
    MOVEMENT_KIND_COUNTED: _ClassVar[MovementKind]
    MOVEMENT_KIND_ADJUSTED: _ClassVar[MovementKind]
    MOVEMENT_KIND_RETURNED: _ClassVar[MovementKind]
    MOVEMENT_KIND_UNAVAILABLE: _ClassVar[MovementKind]
    MOVEMENT_KIND_SAFETY_STOCK: _ClassVar[MovementKind]
EVENT_KIND_UNSPECIFIED: EventKind
EVENT_KIND_ORDER_DECIDED: EventKind
EVENT_KIND_UNITS_MOVED: EventKind
EVENT_KIND_RESERVATION_ENDED: EventKind
EVENT_KIND_STOCK_MOVED: EventKind
EVENT_KIND_UNITS_PROMISED: EventKind
EVENT_KIND_SUPPLY_CHANGED: EventKind
EVENT_KIND_STEP_TAKEN: EventKind
EVENT_KIND_POSTED: EventKind
CAUSE_UNSPECIFIED: Cause
CAUSE_PLACED: Cause
CAUSE_CONFIRMED: Cause
CAUSE_RELEASED: Cause
CAUSE_EXPIRED: Cause
CAUSE_RECEIPT: Cause
CAUSE_COUNT: Cause
CAUSE_ADJUSTMENT: Cause
CAUSE_RETURN: Cause
CAUSE_TRANSFER: Cause
CAUSE_ORDER: Cause
CAUSE_REALLOCATED: Cause
CAUSE_REEVALUATED: Cause
CAUSE_SUPPLY: Cause
CAUSE_CATALOGUE: Cause
CAUSE_NEW_DAY: Cause
CAUSE_SHORT_PICK: Cause
CAUSE_UNPAID: Cause
CAUSE_SHIPMENT: Cause
CAUSE_EXCHANGE: Cause
CAUSE_PAYMENT: Cause
CAUSE_BALANCE: Cause
MOVEMENT_KIND_UNSPECIFIED: MovementKind
MOVEMENT_KIND_RECEIVED: MovementKind
MOVEMENT_KIND_COUNTED: MovementKind
MOVEMENT_KIND_ADJUSTED: MovementKind
MOVEMENT_KIND_RETURNED: MovementKind
MOVEMENT_KIND_UNAVAILABLE: MovementKind
MOVEMENT_KIND_SAFETY_STOCK: MovementKind

class StreamEventsRequest(_message.Message):
    __slots__ = ("after_event_id", "only_new", "kinds", "once")
    AFTER_EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    ONLY_NEW_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    ONCE_FIELD_NUMBER: _ClassVar[int]
    after_event_id: str
    only_new: bool
    kinds: _containers.RepeatedScalarFieldContainer[EventKind]
    once: bool
    def __init__(self, after_event_id: _Optional[str] = ..., only_new: _Optional[bool] = ..., kinds: _Optional[_Iterable[_Union[EventKind, str]]] = ..., once: _Optional[bool] = ...) -> None: ...

class StreamEventsResponse(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[Event]
    def __init__(self, events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("event_id", "sequence", "stamp_us", "order_decided", "units_moved", "reservation_ended", "stock_moved", "units_promised", "supply_changed", "step_taken", "posted")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    STAMP_US_FIELD_NUMBER: _ClassVar[int]
    ORDER_DECIDED_FIELD_NUMBER: _ClassVar[int]
    UNITS_MOVED_FIELD_NUMBER: _ClassVar[int]
    RESERVATION_ENDED_FIELD_NUMBER: _ClassVar[int]
    STOCK_MOVED_FIELD_NUMBER: _ClassVar[int]
    UNITS_PROMISED_FIELD_NUMBER: _ClassVar[int]
    SUPPLY_CHANGED_FIELD_NUMBER: _ClassVar[int]
    STEP_TAKEN_FIELD_NUMBER: _ClassVar[int]
    POSTED_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    sequence: int
    stamp_us: int
    order_decided: OrderDecided
    units_moved: UnitsMoved
    reservation_ended: ReservationEnded
    stock_moved: StockMoved
    units_promised: UnitsPromised
    supply_changed: SupplyChanged
    step_taken: StepTaken
    posted: Posted
    def __init__(self, event_id: _Optional[str] = ..., sequence: _Optional[int] = ..., stamp_us: _Optional[int] = ..., order_decided: _Optional[_Union[OrderDecided, _Mapping]] = ..., units_moved: _Optional[_Union[UnitsMoved, _Mapping]] = ..., reservation_ended: _Optional[_Union[ReservationEnded, _Mapping]] = ..., stock_moved: _Optional[_Union[StockMoved, _Mapping]] = ..., units_promised: _Optional[_Union[UnitsPromised, _Mapping]] = ..., supply_changed: _Optional[_Union[SupplyChanged, _Mapping]] = ..., step_taken: _Optional[_Union[StepTaken, _Mapping]] = ..., posted: _Optional[_Union[Posted, _Mapping]] = ...) -> None: ...

class OrderDecided(_message.Message):
    __slots__ = ("channel", "order_id", "number", "is_reservation", "outcome", "postal_code", "parts")
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    IS_RESERVATION_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    POSTAL_CODE_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    channel: str
    order_id: str
    number: int
    is_reservation: bool
    outcome: _types_pb2.Outcome
    postal_code: str
    parts: _containers.RepeatedCompositeFieldContainer[_types_pb2.Part]
    def __init__(self, channel: _Optional[str] = ..., order_id: _Optional[str] = ..., number: _Optional[int] = ..., is_reservation: _Optional[bool] = ..., outcome: _Optional[_Union[_types_pb2.Outcome, str]] = ..., postal_code: _Optional[str] = ..., parts: _Optional[_Iterable[_Union[_types_pb2.Part, _Mapping]]] = ...) -> None: ...

class UnitsMoved(_message.Message):
    __slots__ = ("number", "line", "sku", "node_id", "from_stage", "to_stage", "quantity", "cause", "from_node_id", "actor")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    SKU_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    FROM_STAGE_FIELD_NUMBER: _ClassVar[int]
    TO_STAGE_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    FROM_NODE_ID_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    number: int
    line: int
    sku: str
    node_id: str
    from_stage: _types_pb2.Stage
    to_stage: _types_pb2.Stage
    quantity: int
    cause: Cause
    from_node_id: str
    actor: str
    def __init__(self, number: _Optional[int] = ..., line: _Optional[int] = ..., sku: _Optional[str] = ..., node_id: _Optional[str] = ..., from_stage: _Optional[_Union[_types_pb2.Stage, str]] = ..., to_stage: _Optional[_Union[_types_pb2.Stage, str]] = ..., quantity: _Optional[int] = ..., cause: _Optional[_Union[Cause, str]] = ..., from_node_id: _Optional[str] = ..., actor: _Optional[str] = ...) -> None: ...

class StepTaken(_message.Message):
    __slots__ = ("number", "order_number", "kind", "step", "state", "how", "node_id", "line", "quantity", "amount", "at_us", "of_number", "document_id", "reference", "channel", "note", "actor", "refund_to", "cause")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    ORDER_NUMBER_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    HOW_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    AT_US_FIELD_NUMBER: _ClassVar[int]
    OF_NUMBER_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REFUND_TO_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    number: int
    order_number: int
    kind: str
    step: str
    state: str
    how: str
    node_id: str
    line: int
    quantity: int
    amount: int
    at_us: int
    of_number: int
    document_id: str
    reference: str
    channel: str
    note: str
    actor: str
    refund_to: str
    cause: Cause
    def __init__(self, number: _Optional[int] = ..., order_number: _Optional[int] = ..., kind: _Optional[str] = ..., step: _Optional[str] = ..., state: _Optional[str] = ..., how: _Optional[str] = ..., node_id: _Optional[str] = ..., line: _Optional[int] = ..., quantity: _Optional[int] = ..., amount: _Optional[int] = ..., at_us: _Optional[int] = ..., of_number: _Optional[int] = ..., document_id: _Optional[str] = ..., reference: _Optional[str] = ..., channel: _Optional[str] = ..., note: _Optional[str] = ..., actor: _Optional[str] = ..., refund_to: _Optional[str] = ..., cause: _Optional[_Union[Cause, str]] = ...) -> None: ...

class Posted(_message.Message):
    __slots__ = ("number", "order_number", "account", "amount", "currency")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    ORDER_NUMBER_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    number: int
    order_number: int
    account: str
    amount: int
    currency: str
    def __init__(self, number: _Optional[int] = ..., order_number: _Optional[int] = ..., account: _Optional[str] = ..., amount: _Optional[int] = ..., currency: _Optional[str] = ...) -> None: ...

class ReservationEnded(_message.Message):
    __slots__ = ("number", "cause")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    number: int
    cause: Cause
    def __init__(self, number: _Optional[int] = ..., cause: _Optional[_Union[Cause, str]] = ...) -> None: ...

class StockMoved(_message.Message):
    __slots__ = ("sku", "node_id", "kind", "quantity", "cause", "reference")
    SKU_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    sku: str
    node_id: str
    kind: MovementKind
    quantity: int
    cause: Cause
    reference: int
    def __init__(self, sku: _Optional[str] = ..., node_id: _Optional[str] = ..., kind: _Optional[_Union[MovementKind, str]] = ..., quantity: _Optional[int] = ..., cause: _Optional[_Union[Cause, str]] = ..., reference: _Optional[int] = ...) -> None: ...

class UnitsPromised(_message.Message):
    __slots__ = ("number", "line", "sku", "quantity", "from_due_at_us", "due_at_us", "waiting", "cause")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    SKU_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    FROM_DUE_AT_US_FIELD_NUMBER: _ClassVar[int]
    DUE_AT_US_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    number: int
    line: int
    sku: str
    quantity: int
    from_due_at_us: int
    due_at_us: int
    waiting: bool
    cause: Cause
    def __init__(self, number: _Optional[int] = ..., line: _Optional[int] = ..., sku: _Optional[str] = ..., quantity: _Optional[int] = ..., from_due_at_us: _Optional[int] = ..., due_at_us: _Optional[int] = ..., waiting: _Optional[bool] = ..., cause: _Optional[_Union[Cause, str]] = ...) -> None: ...

class SupplyChanged(_message.Message):
    __slots__ = ("sku", "node_id", "quantity", "due_at_us", "reference", "cause")
    SKU_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    DUE_AT_US_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    sku: str
    node_id: str
    quantity: int
    due_at_us: int
    reference: int
    cause: Cause
    def __init__(self, sku: _Optional[str] = ..., node_id: _Optional[str] = ..., quantity: _Optional[int] = ..., due_at_us: _Optional[int] = ..., reference: _Optional[int] = ..., cause: _Optional[_Union[Cause, str]] = ...) -> None: ...
