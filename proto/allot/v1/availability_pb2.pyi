from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Availability(_message.Message):
    __slots__ = ("sku", "units", "version")
    SKU_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    sku: str
    units: int
    version: int
    def __init__(self, sku: _Optional[str] = ..., units: _Optional[int] = ..., version: _Optional[int] = ...) -> None: ...

class GetAvailabilityRequest(_message.Message):
    __slots__ = ("channel", "skus")
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    SKUS_FIELD_NUMBER: _ClassVar[int]
    channel: str
    skus: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, channel: _Optional[str] = ..., skus: _Optional[_Iterable[str]] = ...) -> None: ...

class GetAvailabilityResponse(_message.Message):
    __slots__ = ("figures", "version")
    FIGURES_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    figures: _containers.RepeatedCompositeFieldContainer[Availability]
    version: int
    def __init__(self, figures: _Optional[_Iterable[_Union[Availability, _Mapping]]] = ..., version: _Optional[int] = ...) -> None: ...

class WatchAvailabilityRequest(_message.Message):
    __slots__ = ("channel", "after_version", "once", "beat_ms")
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    AFTER_VERSION_FIELD_NUMBER: _ClassVar[int]
    ONCE_FIELD_NUMBER: _ClassVar[int]
    BEAT_MS_FIELD_NUMBER: _ClassVar[int]
    channel: str
    after_version: int
    once: bool
    beat_ms: int
    def __init__(self, channel: _Optional[str] = ..., after_version: _Optional[int] = ..., once: _Optional[bool] = ..., beat_ms: _Optional[int] = ...) -> None: ...

class WatchAvailabilityResponse(_message.Message):
    __slots__ = ("figures", "version", "complete", "as_of_us", "durable_at_us", "engine_id")
    FIGURES_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    AS_OF_US_FIELD_NUMBER: _ClassVar[int]
    DURABLE_AT_US_FIELD_NUMBER: _ClassVar[int]
    ENGINE_ID_FIELD_NUMBER: _ClassVar[int]
    figures: _containers.RepeatedCompositeFieldContainer[Availability]
    version: int
    complete: bool
    as_of_us: int
    durable_at_us: int
    engine_id: str
    def __init__(self, figures: _Optional[_Iterable[_Union[Availability, _Mapping]]] = ..., version: _Optional[int] = ..., complete: _Optional[bool] = ..., as_of_us: _Optional[int] = ..., durable_at_us: _Optional[int] = ..., engine_id: _Optional[str] = ...) -> None: ...

class AvailabilityCursor(_message.Message):
    __slots__ = ("channel", "after_version", "page_token")
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    AFTER_VERSION_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    channel: str
    after_version: int
    page_token: str
    def __init__(self, channel: _Optional[str] = ..., after_version: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class PullAvailabilityRequest(_message.Message):
    __slots__ = ("cursors", "wait_ms")
    CURSORS_FIELD_NUMBER: _ClassVar[int]
    WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    cursors: _containers.RepeatedCompositeFieldContainer[AvailabilityCursor]
    wait_ms: int
    def __init__(self, cursors: _Optional[_Iterable[_Union[AvailabilityCursor, _Mapping]]] = ..., wait_ms: _Optional[int] = ...) -> None: ...

class ChannelAvailability(_message.Message):
    __slots__ = ("channel", "lines", "version", "next_page_token")
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    channel: str
    lines: bytes
    version: int
    next_page_token: str
    def __init__(self, channel: _Optional[str] = ..., lines: _Optional[bytes] = ..., version: _Optional[int] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class PullAvailabilityResponse(_message.Message):
    __slots__ = ("channels", "as_of_us", "durable_at_us", "engine_id")
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    AS_OF_US_FIELD_NUMBER: _ClassVar[int]
    DURABLE_AT_US_FIELD_NUMBER: _ClassVar[int]
    ENGINE_ID_FIELD_NUMBER: _ClassVar[int]
    channels: _containers.RepeatedCompositeFieldContainer[ChannelAvailability]
    as_of_us: int
    durable_at_us: int
    engine_id: str
    def __init__(self, channels: _Optional[_Iterable[_Union[ChannelAvailability, _Mapping]]] = ..., as_of_us: _Optional[int] = ..., durable_at_us: _Optional[int] = ..., engine_id: _Optional[str] = ...) -> None: ...

class ListChannelFiguresRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ChannelFigures(_message.Message):
    __slots__ = ("channel", "orders", "refused_orders", "units_ordered", "units_cancelled", "units_shipped", "units_available", "version")
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    ORDERS_FIELD_NUMBER: _ClassVar[int]
    REFUSED_ORDERS_FIELD_NUMBER: _ClassVar[int]
    UNITS_ORDERED_FIELD_NUMBER: _ClassVar[int]
    UNITS_CANCELLED_FIELD_NUMBER: _ClassVar[int]
    UNITS_SHIPPED_FIELD_NUMBER: _ClassVar[int]
    UNITS_AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    channel: str
    orders: int
    refused_orders: int
    units_ordered: int
    units_cancelled: int
    units_shipped: int
    units_available: int
    version: int
    def __init__(self, channel: _Optional[str] = ..., orders: _Optional[int] = ..., refused_orders: _Optional[int] = ..., units_ordered: _Optional[int] = ..., units_cancelled: _Optional[int] = ..., units_shipped: _Optional[int] = ..., units_available: _Optional[int] = ..., version: _Optional[int] = ...) -> None: ...

class ListChannelFiguresResponse(_message.Message):
    __slots__ = ("channels", "view_sequence", "version")
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    VIEW_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    channels: _containers.RepeatedCompositeFieldContainer[ChannelFigures]
    view_sequence: int
    version: int
    def __init__(self, channels: _Optional[_Iterable[_Union[ChannelFigures, _Mapping]]] = ..., view_sequence: _Optional[int] = ..., version: _Optional[int] = ...) -> None: ...
