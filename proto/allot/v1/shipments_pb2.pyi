from allot.v1 import life_pb2 as _life_pb2
from allot.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class UnitAction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    UNIT_ACTION_UNSPECIFIED: _ClassVar[UnitAction]
    UNIT_ACTION_PICK: _ClassVar[UnitAction]
    UNIT_ACTION_UNPICK: _ClassVar[UnitAction]
    UNIT_ACTION_PACK: _ClassVar[UnitAction]
    UNIT_ACTION_SHORT_PICK: _ClassVar[UnitAction]
UNIT_ACTION_UNSPECIFIED: UnitAction
UNIT_ACTION_PICK: UnitAction
UNIT_ACTION_UNPICK: UnitAction
UNIT_ACTION_PACK: UnitAction
UNIT_ACTION_SHORT_PICK: UnitAction

class CreateShipmentRequest(_message.Message):
    __slots__ = ("request_id", "channel", "order_id", "shipment_id", "node_id", "line", "quantity", "packed_only")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    SHIPMENT_ID_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    PACKED_ONLY_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    channel: str
    order_id: str
    shipment_id: str
    node_id: str
    line: int
    quantity: int
    packed_only: bool
    def __init__(self, request_id: _Optional[str] = ..., channel: _Optional[str] = ..., order_id: _Optional[str] = ..., shipment_id: _Optional[str] = ..., node_id: _Optional[str] = ..., line: _Optional[int] = ..., quantity: _Optional[int] = ..., packed_only: _Optional[bool] = ...) -> None: ...

class CreateShipmentResponse(_message.Message):
    __slots__ = ("number", "again")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    AGAIN_FIELD_NUMBER: _ClassVar[int]
    number: int
    again: bool
    def __init__(self, number: _Optional[int] = ..., again: _Optional[bool] = ...) -> None: ...

class AdvanceShipmentRequest(_message.Message):
    __slots__ = ("request_id", "channel", "shipment_id", "step", "carrier", "reference", "cost", "at_us", "place", "node_id", "disposition")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    SHIPMENT_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    CARRIER_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    AT_US_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    DISPOSITION_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    channel: str
    shipment_id: str
    step: _life_pb2.ShipmentStep
    carrier: str
    reference: str
    cost: int
    at_us: int
    place: str
    node_id: str
    disposition: _life_pb2.Disposition
    def __init__(self, request_id: _Optional[str] = ..., channel: _Optional[str] = ..., shipment_id: _Optional[str] = ..., step: _Optional[_Union[_life_pb2.ShipmentStep, str]] = ..., carrier: _Optional[str] = ..., reference: _Optional[str] = ..., cost: _Optional[int] = ..., at_us: _Optional[int] = ..., place: _Optional[str] = ..., node_id: _Optional[str] = ..., disposition: _Optional[_Union[_life_pb2.Disposition, str]] = ...) -> None: ...

class AdvanceShipmentResponse(_message.Message):
    __slots__ = ("again",)
    AGAIN_FIELD_NUMBER: _ClassVar[int]
    again: bool
    def __init__(self, again: _Optional[bool] = ...) -> None: ...

class AdvanceShipmentsRequest(_message.Message):
    __slots__ = ("steps",)
    STEPS_FIELD_NUMBER: _ClassVar[int]
    steps: _life_pb2.StepBatch
    def __init__(self, steps: _Optional[_Union[_life_pb2.StepBatch, _Mapping]] = ...) -> None: ...

class AdvanceShipmentsResponse(_message.Message):
    __slots__ = ("answers", "problem")
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    answers: _life_pb2.StepAnswers
    problem: _types_pb2.Problem
    def __init__(self, answers: _Optional[_Union[_life_pb2.StepAnswers, _Mapping]] = ..., problem: _Optional[_Union[_types_pb2.Problem, _Mapping]] = ...) -> None: ...

class ActOnUnitsRequest(_message.Message):
    __slots__ = ("request_id", "channel", "order_id", "action", "line", "node_id", "quantity")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    channel: str
    order_id: str
    action: UnitAction
    line: int
    node_id: str
    quantity: int
    def __init__(self, request_id: _Optional[str] = ..., channel: _Optional[str] = ..., order_id: _Optional[str] = ..., action: _Optional[_Union[UnitAction, str]] = ..., line: _Optional[int] = ..., node_id: _Optional[str] = ..., quantity: _Optional[int] = ...) -> None: ...

class ActOnUnitsResponse(_message.Message):
    __slots__ = ("quantity", "again")
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    AGAIN_FIELD_NUMBER: _ClassVar[int]
    quantity: int
    again: bool
    def __init__(self, quantity: _Optional[int] = ..., again: _Optional[bool] = ...) -> None: ...

class GetShipmentRequest(_message.Message):
    __slots__ = ("channel", "shipment_id", "carrier", "reference", "number")
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    SHIPMENT_ID_FIELD_NUMBER: _ClassVar[int]
    CARRIER_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    channel: str
    shipment_id: str
    carrier: str
    reference: str
    number: int
    def __init__(self, channel: _Optional[str] = ..., shipment_id: _Optional[str] = ..., carrier: _Optional[str] = ..., reference: _Optional[str] = ..., number: _Optional[int] = ...) -> None: ...

class GetShipmentResponse(_message.Message):
    __slots__ = ("shipment", "order_number", "postal_code", "sequence", "channel", "order_id", "currency", "deliver_by_us")
    SHIPMENT_FIELD_NUMBER: _ClassVar[int]
    ORDER_NUMBER_FIELD_NUMBER: _ClassVar[int]
    POSTAL_CODE_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    DELIVER_BY_US_FIELD_NUMBER: _ClassVar[int]
    shipment: _life_pb2.Shipment
    order_number: int
    postal_code: str
    sequence: int
    channel: str
    order_id: str
    currency: str
    deliver_by_us: int
    def __init__(self, shipment: _Optional[_Union[_life_pb2.Shipment, _Mapping]] = ..., order_number: _Optional[int] = ..., postal_code: _Optional[str] = ..., sequence: _Optional[int] = ..., channel: _Optional[str] = ..., order_id: _Optional[str] = ..., currency: _Optional[str] = ..., deliver_by_us: _Optional[int] = ...) -> None: ...

class TrackShipmentRequest(_message.Message):
    __slots__ = ("tracking_token",)
    TRACKING_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tracking_token: str
    def __init__(self, tracking_token: _Optional[str] = ...) -> None: ...

class TrackShipmentResponse(_message.Message):
    __slots__ = ("state", "carrier", "due_at_us", "scans")
    STATE_FIELD_NUMBER: _ClassVar[int]
    CARRIER_FIELD_NUMBER: _ClassVar[int]
    DUE_AT_US_FIELD_NUMBER: _ClassVar[int]
    SCANS_FIELD_NUMBER: _ClassVar[int]
    state: _life_pb2.ShipmentState
    carrier: str
    due_at_us: int
    scans: _containers.RepeatedCompositeFieldContainer[_life_pb2.Happening]
    def __init__(self, state: _Optional[_Union[_life_pb2.ShipmentState, str]] = ..., carrier: _Optional[str] = ..., due_at_us: _Optional[int] = ..., scans: _Optional[_Iterable[_Union[_life_pb2.Happening, _Mapping]]] = ...) -> None: ...
