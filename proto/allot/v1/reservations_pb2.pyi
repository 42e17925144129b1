from allot.v1 import types_pb2 as _types_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ReserveRequest(_message.Message):
    __slots__ = ("order", "expires_at_us")
    ORDER_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_US_FIELD_NUMBER: _ClassVar[int]
    order: _types_pb2.OrderDraft
    expires_at_us: int
    def __init__(self, order: _Optional[_Union[_types_pb2.OrderDraft, _Mapping]] = ..., expires_at_us: _Optional[int] = ...) -> None: ...

class ReserveResponse(_message.Message):
    __slots__ = ("decision", "expires_at_us")
    DECISION_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_US_FIELD_NUMBER: _ClassVar[int]
    decision: _types_pb2.Decision
    expires_at_us: int
    def __init__(self, decision: _Optional[_Union[_types_pb2.Decision, _Mapping]] = ..., expires_at_us: _Optional[int] = ...) -> None: ...

class ConfirmRequest(_message.Message):
    __slots__ = ("request_id", "channel", "reservation_id", "order_id", "postal_code")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    POSTAL_CODE_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    channel: str
    reservation_id: str
    order_id: str
    postal_code: str
    def __init__(self, request_id: _Optional[str] = ..., channel: _Optional[str] = ..., reservation_id: _Optional[str] = ..., order_id: _Optional[str] = ..., postal_code: _Optional[str] = ...) -> None: ...

class ConfirmResponse(_message.Message):
    __slots__ = ("decision",)
    DECISION_FIELD_NUMBER: _ClassVar[int]
    decision: _types_pb2.Decision
    def __init__(self, decision: _Optional[_Union[_types_pb2.Decision, _Mapping]] = ...) -> None: ...

class ReleaseRequest(_message.Message):
    __slots__ = ("request_id", "channel", "reservation_id")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    channel: str
    reservation_id: str
    def __init__(self, request_id: _Optional[str] = ..., channel: _Optional[str] = ..., reservation_id: _Optional[str] = ...) -> None: ...

class ReleaseResponse(_message.Message):
    __slots__ = ("quantity", "again")
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    AGAIN_FIELD_NUMBER: _ClassVar[int]
    quantity: int
    again: bool
    def __init__(self, quantity: _Optional[int] = ..., again: _Optional[bool] = ...) -> None: ...
