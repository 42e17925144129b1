from allot.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PromiseRequest(_message.Message):
    __slots__ = ("channel", "postal_code", "lines", "cash_on_delivery")
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    POSTAL_CODE_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    CASH_ON_DELIVERY_FIELD_NUMBER: _ClassVar[int]
    channel: str
    postal_code: str
    lines: _containers.RepeatedCompositeFieldContainer[CartLine]
    cash_on_delivery: bool
    def __init__(self, channel: _Optional[str] = ..., postal_code: _Optional[str] = ..., lines: _Optional[_Iterable[_Union[CartLine, _Mapping]]] = ..., cash_on_delivery: _Optional[bool] = ...) -> None: ...

class CartLine(_message.Message):
    __slots__ = ("sku", "quantity")
    SKU_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    sku: str
    quantity: int
    def __init__(self, sku: _Optional[str] = ..., quantity: _Optional[int] = ...) -> None: ...

class PromiseResponse(_message.Message):
    __slots__ = ("services", "parts", "units_short", "order_by_us", "currency", "sequence", "short_expected_at_us")
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    UNITS_SHORT_FIELD_NUMBER: _ClassVar[int]
    ORDER_BY_US_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SHORT_EXPECTED_AT_US_FIELD_NUMBER: _ClassVar[int]
    services: _containers.RepeatedCompositeFieldContainer[ServicePromise]
    parts: _containers.RepeatedCompositeFieldContainer[PromisedPart]
    units_short: int
    order_by_us: int
    currency: str
    sequence: int
    short_expected_at_us: int
    def __init__(self, services: _Optional[_Iterable[_Union[ServicePromise, _Mapping]]] = ..., parts: _Optional[_Iterable[_Union[PromisedPart, _Mapping]]] = ..., units_short: _Optional[int] = ..., order_by_us: _Optional[int] = ..., currency: _Optional[str] = ..., sequence: _Optional[int] = ..., short_expected_at_us: _Optional[int] = ...) -> None: ...

class ServicePromise(_message.Message):
    __slots__ = ("service", "ship_date", "ship_at_us", "deliver_date", "price")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    SHIP_DATE_FIELD_NUMBER: _ClassVar[int]
    SHIP_AT_US_FIELD_NUMBER: _ClassVar[int]
    DELIVER_DATE_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    service: str
    ship_date: str
    ship_at_us: int
    deliver_date: str
    price: int
    def __init__(self, service: _Optional[str] = ..., ship_date: _Optional[str] = ..., ship_at_us: _Optional[int] = ..., deliver_date: _Optional[str] = ..., price: _Optional[int] = ...) -> None: ...

class PromisedPart(_message.Message):
    __slots__ = ("line", "node_id", "quantity", "distance_m")
    LINE_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    DISTANCE_M_FIELD_NUMBER: _ClassVar[int]
    line: int
    node_id: str
    quantity: int
    distance_m: int
    def __init__(self, line: _Optional[int] = ..., node_id: _Optional[str] = ..., quantity: _Optional[int] = ..., distance_m: _Optional[int] = ...) -> None: ...

class PromisesRequest(_message.Message):
    __slots__ = ("batch",)
    BATCH_FIELD_NUMBER: _ClassVar[int]
    batch: bytes
    def __init__(self, batch: _Optional[bytes] = ...) -> None: ...

class PromisesResponse(_message.Message):
    __slots__ = ("batch", "problem")
    BATCH_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    batch: bytes
    problem: _types_pb2.Problem
    def __init__(self, batch: _Optional[bytes] = ..., problem: _Optional[_Union[_types_pb2.Problem, _Mapping]] = ...) -> None: ...
