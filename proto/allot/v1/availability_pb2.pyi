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
    __slots__ = ("channel", "after_version", "once")
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    AFTER_VERSION_FIELD_NUMBER: _ClassVar[int]
    ONCE_FIELD_NUMBER: _ClassVar[int]
    channel: str
    after_version: int
    once: bool
    def __init__(self, channel: _Optional[str] = ..., after_version: _Optional[int] = ..., once: _Optional[bool] = ...) -> None: ...

class WatchAvailabilityResponse(_message.Message):
    __slots__ = ("figures", "version", "complete")
    FIGURES_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    figures: _containers.RepeatedCompositeFieldContainer[Availability]
    version: int
    complete: bool
    def __init__(self, figures: _Optional[_Iterable[_Union[Availability, _Mapping]]] = ..., version: _Optional[int] = ..., complete: _Optional[bool] = ...) -> None: ...
