from allot.v1 import events_pb2 as _events_pb2
from allot.v1 import life_pb2 as _life_pb2
from allot.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Choice(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHOICE_UNSPECIFIED: _ClassVar[Choice]
    CHOICE_ONE_NODE: _ClassVar[Choice]
    CHOICE_PAIR: _ClassVar[Choice]
    CHOICE_GREEDY: _ClassVar[Choice]
    CHOICE_NO_NODE: _ClassVar[Choice]
    CHOICE_LEAST_COST: _ClassVar[Choice]
    CHOICE_PRICED: _ClassVar[Choice]

class PassedReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PASSED_REASON_UNSPECIFIED: _ClassVar[PassedReason]
    PASSED_REASON_NO_STOCK: _ClassVar[PassedReason]
    PASSED_REASON_SPLIT: _ClassVar[PassedReason]
    PASSED_REASON_PRICE: _ClassVar[PassedReason]
    PASSED_REASON_NOT_IN_GROUP: _ClassVar[PassedReason]
    PASSED_REASON_NODE_CLOSED: _ClassVar[PassedReason]
    PASSED_REASON_CHANNEL_CLOSED: _ClassVar[PassedReason]
    PASSED_REASON_PREFERRED: _ClassVar[PassedReason]
    PASSED_REASON_NODE_FULL: _ClassVar[PassedReason]
CHOICE_UNSPECIFIED: Choice
CHOICE_ONE_NODE: Choice
CHOICE_PAIR: Choice
CHOICE_GREEDY: Choice
CHOICE_NO_NODE: Choice
CHOICE_LEAST_COST: Choice
CHOICE_PRICED: Choice
PASSED_REASON_UNSPECIFIED: PassedReason
PASSED_REASON_NO_STOCK: PassedReason
PASSED_REASON_SPLIT: PassedReason
PASSED_REASON_PRICE: PassedReason
PASSED_REASON_NOT_IN_GROUP: PassedReason
PASSED_REASON_NODE_CLOSED: PassedReason
PASSED_REASON_CHANNEL_CLOSED: PassedReason
PASSED_REASON_PREFERRED: PassedReason
PASSED_REASON_NODE_FULL: PassedReason

class PlaceOrderRequest(_message.Message):
    __slots__ = ("order",)
    ORDER_FIELD_NUMBER: _ClassVar[int]
    order: _types_pb2.OrderDraft
    def __init__(self, order: _Optional[_Union[_types_pb2.OrderDraft, _Mapping]] = ...) -> None: ...

class PlaceOrderResponse(_message.Message):
    __slots__ = ("decision",)
    DECISION_FIELD_NUMBER: _ClassVar[int]
    decision: _types_pb2.Decision
    def __init__(self, decision: _Optional[_Union[_types_pb2.Decision, _Mapping]] = ...) -> None: ...

class PlaceOrdersRequest(_message.Message):
    __slots__ = ("order",)
    ORDER_FIELD_NUMBER: _ClassVar[int]
    order: _types_pb2.OrderDraft
    def __init__(self, order: _Optional[_Union[_types_pb2.OrderDraft, _Mapping]] = ...) -> None: ...

class PlaceOrdersResponse(_message.Message):
    __slots__ = ("order_id", "decision", "problem")
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    order_id: str
    decision: _types_pb2.Decision
    problem: _types_pb2.Problem
    def __init__(self, order_id: _Optional[str] = ..., decision: _Optional[_Union[_types_pb2.Decision, _Mapping]] = ..., problem: _Optional[_Union[_types_pb2.Problem, _Mapping]] = ...) -> None: ...

class AllocateBatchesRequest(_message.Message):
    __slots__ = ("batch",)
    BATCH_FIELD_NUMBER: _ClassVar[int]
    batch: bytes
    def __init__(self, batch: _Optional[bytes] = ...) -> None: ...

class AllocateBatchesResponse(_message.Message):
    __slots__ = ("batch", "problem")
    BATCH_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    batch: bytes
    problem: _types_pb2.Problem
    def __init__(self, batch: _Optional[bytes] = ..., problem: _Optional[_Union[_types_pb2.Problem, _Mapping]] = ...) -> None: ...

class CancelOrderRequest(_message.Message):
    __slots__ = ("request_id", "channel", "order_id", "line", "quantity")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    channel: str
    order_id: str
    line: int
    quantity: int
    def __init__(self, request_id: _Optional[str] = ..., channel: _Optional[str] = ..., order_id: _Optional[str] = ..., line: _Optional[int] = ..., quantity: _Optional[int] = ...) -> None: ...

class CancelOrderResponse(_message.Message):
    __slots__ = ("quantity", "again")
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    AGAIN_FIELD_NUMBER: _ClassVar[int]
    quantity: int
    again: bool
    def __init__(self, quantity: _Optional[int] = ..., again: _Optional[bool] = ...) -> None: ...

class ReallocateOrdersRequest(_message.Message):
    __slots__ = ("request_id", "node_ids", "short", "dry_run")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NODE_IDS_FIELD_NUMBER: _ClassVar[int]
    SHORT_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    node_ids: _containers.RepeatedScalarFieldContainer[str]
    short: bool
    dry_run: bool
    def __init__(self, request_id: _Optional[str] = ..., node_ids: _Optional[_Iterable[str]] = ..., short: _Optional[bool] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class NodeReallocation(_message.Message):
    __slots__ = ("node_id", "left", "arrived", "stayed", "short")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    ARRIVED_FIELD_NUMBER: _ClassVar[int]
    STAYED_FIELD_NUMBER: _ClassVar[int]
    SHORT_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    left: int
    arrived: int
    stayed: int
    short: int
    def __init__(self, node_id: _Optional[str] = ..., left: _Optional[int] = ..., arrived: _Optional[int] = ..., stayed: _Optional[int] = ..., short: _Optional[int] = ...) -> None: ...

class ReallocateOrdersResponse(_message.Message):
    __slots__ = ("nodes", "again")
    NODES_FIELD_NUMBER: _ClassVar[int]
    AGAIN_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[NodeReallocation]
    again: bool
    def __init__(self, nodes: _Optional[_Iterable[_Union[NodeReallocation, _Mapping]]] = ..., again: _Optional[bool] = ...) -> None: ...

class ReevaluateOrdersRequest(_message.Message):
    __slots__ = ("request_id", "shipment_fee_micros", "fee_per_km_micros", "handling_fee_micros", "fee_per_unit_km_micros", "move_fee", "dry_run")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SHIPMENT_FEE_MICROS_FIELD_NUMBER: _ClassVar[int]
    FEE_PER_KM_MICROS_FIELD_NUMBER: _ClassVar[int]
    HANDLING_FEE_MICROS_FIELD_NUMBER: _ClassVar[int]
    FEE_PER_UNIT_KM_MICROS_FIELD_NUMBER: _ClassVar[int]
    MOVE_FEE_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    shipment_fee_micros: int
    fee_per_km_micros: int
    handling_fee_micros: int
    fee_per_unit_km_micros: int
    move_fee: int
    dry_run: bool
    def __init__(self, request_id: _Optional[str] = ..., shipment_fee_micros: _Optional[int] = ..., fee_per_km_micros: _Optional[int] = ..., handling_fee_micros: _Optional[int] = ..., fee_per_unit_km_micros: _Optional[int] = ..., move_fee: _Optional[int] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class ReevaluateOrdersResponse(_message.Message):
    __slots__ = ("nodes", "saved", "again")
    NODES_FIELD_NUMBER: _ClassVar[int]
    SAVED_FIELD_NUMBER: _ClassVar[int]
    AGAIN_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[NodeReallocation]
    saved: int
    again: bool
    def __init__(self, nodes: _Optional[_Iterable[_Union[NodeReallocation, _Mapping]]] = ..., saved: _Optional[int] = ..., again: _Optional[bool] = ...) -> None: ...

class GetOrderRequest(_message.Message):
    __slots__ = ("channel", "order_id", "is_reservation", "with_life")
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    IS_RESERVATION_FIELD_NUMBER: _ClassVar[int]
    WITH_LIFE_FIELD_NUMBER: _ClassVar[int]
    channel: str
    order_id: str
    is_reservation: bool
    with_life: bool
    def __init__(self, channel: _Optional[str] = ..., order_id: _Optional[str] = ..., is_reservation: _Optional[bool] = ..., with_life: _Optional[bool] = ...) -> None: ...

class GetOrderResponse(_message.Message):
    __slots__ = ("order", "sequence", "life")
    ORDER_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    LIFE_FIELD_NUMBER: _ClassVar[int]
    order: _types_pb2.Order
    sequence: int
    life: _life_pb2.OrderLife
    def __init__(self, order: _Optional[_Union[_types_pb2.Order, _Mapping]] = ..., sequence: _Optional[int] = ..., life: _Optional[_Union[_life_pb2.OrderLife, _Mapping]] = ...) -> None: ...

class ExplainOrderRequest(_message.Message):
    __slots__ = ("channel", "order_id", "is_reservation")
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    IS_RESERVATION_FIELD_NUMBER: _ClassVar[int]
    channel: str
    order_id: str
    is_reservation: bool
    def __init__(self, channel: _Optional[str] = ..., order_id: _Optional[str] = ..., is_reservation: _Optional[bool] = ...) -> None: ...

class ExplainOrderResponse(_message.Message):
    __slots__ = ("number", "outcome", "choice", "sequence", "decided_sequence", "reservation_number", "may_have_changed", "lines", "moved", "view_sequence", "nodes_max", "ship_complete", "expected")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    CHOICE_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    DECIDED_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    RESERVATION_NUMBER_FIELD_NUMBER: _ClassVar[int]
    MAY_HAVE_CHANGED_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    MOVED_FIELD_NUMBER: _ClassVar[int]
    VIEW_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    NODES_MAX_FIELD_NUMBER: _ClassVar[int]
    SHIP_COMPLETE_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FIELD_NUMBER: _ClassVar[int]
    number: int
    outcome: _types_pb2.Outcome
    choice: Choice
    sequence: int
    decided_sequence: int
    reservation_number: int
    may_have_changed: bool
    lines: _containers.RepeatedCompositeFieldContainer[LineReasons]
    moved: _containers.RepeatedCompositeFieldContainer[MovedSince]
    view_sequence: int
    nodes_max: int
    ship_complete: bool
    expected: _containers.RepeatedCompositeFieldContainer[_types_pb2.ExpectedUnits]
    def __init__(self, number: _Optional[int] = ..., outcome: _Optional[_Union[_types_pb2.Outcome, str]] = ..., choice: _Optional[_Union[Choice, str]] = ..., sequence: _Optional[int] = ..., decided_sequence: _Optional[int] = ..., reservation_number: _Optional[int] = ..., may_have_changed: _Optional[bool] = ..., lines: _Optional[_Iterable[_Union[LineReasons, _Mapping]]] = ..., moved: _Optional[_Iterable[_Union[MovedSince, _Mapping]]] = ..., view_sequence: _Optional[int] = ..., nodes_max: _Optional[int] = ..., ship_complete: _Optional[bool] = ..., expected: _Optional[_Iterable[_Union[_types_pb2.ExpectedUnits, _Mapping]]] = ...) -> None: ...

class LineReasons(_message.Message):
    __slots__ = ("line", "sku", "quantity", "parts", "passed", "passed_more", "extra_cost")
    LINE_FIELD_NUMBER: _ClassVar[int]
    SKU_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    PASSED_FIELD_NUMBER: _ClassVar[int]
    PASSED_MORE_FIELD_NUMBER: _ClassVar[int]
    EXTRA_COST_FIELD_NUMBER: _ClassVar[int]
    line: int
    sku: str
    quantity: int
    parts: _containers.RepeatedCompositeFieldContainer[PartReasons]
    passed: _containers.RepeatedCompositeFieldContainer[PassedNode]
    passed_more: int
    extra_cost: int
    def __init__(self, line: _Optional[int] = ..., sku: _Optional[str] = ..., quantity: _Optional[int] = ..., parts: _Optional[_Iterable[_Union[PartReasons, _Mapping]]] = ..., passed: _Optional[_Iterable[_Union[PassedNode, _Mapping]]] = ..., passed_more: _Optional[int] = ..., extra_cost: _Optional[int] = ...) -> None: ...

class PartReasons(_message.Message):
    __slots__ = ("node_id", "quantity", "rank", "distance_m", "extra_distance_m")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    DISTANCE_M_FIELD_NUMBER: _ClassVar[int]
    EXTRA_DISTANCE_M_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    quantity: int
    rank: int
    distance_m: int
    extra_distance_m: int
    def __init__(self, node_id: _Optional[str] = ..., quantity: _Optional[int] = ..., rank: _Optional[int] = ..., distance_m: _Optional[int] = ..., extra_distance_m: _Optional[int] = ...) -> None: ...

class PassedNode(_message.Message):
    __slots__ = ("node_id", "rank", "distance_m", "reason")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    DISTANCE_M_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    rank: int
    distance_m: int
    reason: PassedReason
    def __init__(self, node_id: _Optional[str] = ..., rank: _Optional[int] = ..., distance_m: _Optional[int] = ..., reason: _Optional[_Union[PassedReason, str]] = ...) -> None: ...

class MovedSince(_message.Message):
    __slots__ = ("sequence", "stamp_us", "sku", "node_id", "quantity", "cause", "released")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    STAMP_US_FIELD_NUMBER: _ClassVar[int]
    SKU_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    RELEASED_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    stamp_us: int
    sku: str
    node_id: str
    quantity: int
    cause: _events_pb2.Cause
    released: bool
    def __init__(self, sequence: _Optional[int] = ..., stamp_us: _Optional[int] = ..., sku: _Optional[str] = ..., node_id: _Optional[str] = ..., quantity: _Optional[int] = ..., cause: _Optional[_Union[_events_pb2.Cause, str]] = ..., released: _Optional[bool] = ...) -> None: ...

class ListOrdersRequest(_message.Message):
    __slots__ = ("channel", "state", "page_size", "page_token", "at_least_sequence")
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    AT_LEAST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    channel: str
    state: _types_pb2.OrderState
    page_size: int
    page_token: str
    at_least_sequence: int
    def __init__(self, channel: _Optional[str] = ..., state: _Optional[_Union[_types_pb2.OrderState, str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., at_least_sequence: _Optional[int] = ...) -> None: ...

class ListOrdersResponse(_message.Message):
    __slots__ = ("orders", "next_page_token", "view_sequence")
    ORDERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    VIEW_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    orders: _containers.RepeatedCompositeFieldContainer[_types_pb2.Order]
    next_page_token: str
    view_sequence: int
    def __init__(self, orders: _Optional[_Iterable[_Union[_types_pb2.Order, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., view_sequence: _Optional[int] = ...) -> None: ...
