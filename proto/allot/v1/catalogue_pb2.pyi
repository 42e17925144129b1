from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OnShort(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ON_SHORT_UNSPECIFIED: _ClassVar[OnShort]
    ON_SHORT_REFUSE: _ClassVar[OnShort]
    ON_SHORT_BACK_ORDER: _ClassVar[OnShort]
    ON_SHORT_KEEP: _ClassVar[OnShort]
ON_SHORT_UNSPECIFIED: OnShort
ON_SHORT_REFUSE: OnShort
ON_SHORT_BACK_ORDER: OnShort
ON_SHORT_KEEP: OnShort

class Node(_message.Message):
    __slots__ = ("node_id", "latitude", "longitude", "postal_code", "closed", "orders_per_day", "units_per_day", "day_starts_at", "utc_offset_minutes", "orders_taken", "units_taken")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    LATITUDE_FIELD_NUMBER: _ClassVar[int]
    LONGITUDE_FIELD_NUMBER: _ClassVar[int]
    POSTAL_CODE_FIELD_NUMBER: _ClassVar[int]
    CLOSED_FIELD_NUMBER: _ClassVar[int]
    ORDERS_PER_DAY_FIELD_NUMBER: _ClassVar[int]
    UNITS_PER_DAY_FIELD_NUMBER: _ClassVar[int]
    DAY_STARTS_AT_FIELD_NUMBER: _ClassVar[int]
    UTC_OFFSET_MINUTES_FIELD_NUMBER: _ClassVar[int]
    ORDERS_TAKEN_FIELD_NUMBER: _ClassVar[int]
    UNITS_TAKEN_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    latitude: float
    longitude: float
    postal_code: str
    closed: bool
    orders_per_day: int
    units_per_day: int
    day_starts_at: int
    utc_offset_minutes: int
    orders_taken: int
    units_taken: int
    def __init__(self, node_id: _Optional[str] = ..., latitude: _Optional[float] = ..., longitude: _Optional[float] = ..., postal_code: _Optional[str] = ..., closed: _Optional[bool] = ..., orders_per_day: _Optional[int] = ..., units_per_day: _Optional[int] = ..., day_starts_at: _Optional[int] = ..., utc_offset_minutes: _Optional[int] = ..., orders_taken: _Optional[int] = ..., units_taken: _Optional[int] = ...) -> None: ...

class PutNodesRequest(_message.Message):
    __slots__ = ("request_id", "nodes")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    nodes: _containers.RepeatedCompositeFieldContainer[Node]
    def __init__(self, request_id: _Optional[str] = ..., nodes: _Optional[_Iterable[_Union[Node, _Mapping]]] = ...) -> None: ...

class PutNodesResponse(_message.Message):
    __slots__ = ("again",)
    AGAIN_FIELD_NUMBER: _ClassVar[int]
    again: bool
    def __init__(self, again: _Optional[bool] = ...) -> None: ...

class ListNodesRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListNodesResponse(_message.Message):
    __slots__ = ("nodes", "next_page_token")
    NODES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[Node]
    next_page_token: str
    def __init__(self, nodes: _Optional[_Iterable[_Union[Node, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class PutSkusRequest(_message.Message):
    __slots__ = ("request_id", "skus")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SKUS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    skus: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, request_id: _Optional[str] = ..., skus: _Optional[_Iterable[str]] = ...) -> None: ...

class PutSkusResponse(_message.Message):
    __slots__ = ("added", "again")
    ADDED_FIELD_NUMBER: _ClassVar[int]
    AGAIN_FIELD_NUMBER: _ClassVar[int]
    added: int
    again: bool
    def __init__(self, added: _Optional[int] = ..., again: _Optional[bool] = ...) -> None: ...

class ListSkusRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListSkusResponse(_message.Message):
    __slots__ = ("skus", "next_page_token")
    SKUS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    skus: _containers.RepeatedScalarFieldContainer[str]
    next_page_token: str
    def __init__(self, skus: _Optional[_Iterable[str]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class PostalCode(_message.Message):
    __slots__ = ("postal_code", "latitude", "longitude")
    POSTAL_CODE_FIELD_NUMBER: _ClassVar[int]
    LATITUDE_FIELD_NUMBER: _ClassVar[int]
    LONGITUDE_FIELD_NUMBER: _ClassVar[int]
    postal_code: str
    latitude: float
    longitude: float
    def __init__(self, postal_code: _Optional[str] = ..., latitude: _Optional[float] = ..., longitude: _Optional[float] = ...) -> None: ...

class PutPostalCodesRequest(_message.Message):
    __slots__ = ("request_id", "postal_codes")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    POSTAL_CODES_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    postal_codes: _containers.RepeatedCompositeFieldContainer[PostalCode]
    def __init__(self, request_id: _Optional[str] = ..., postal_codes: _Optional[_Iterable[_Union[PostalCode, _Mapping]]] = ...) -> None: ...

class PutPostalCodesResponse(_message.Message):
    __slots__ = ("again",)
    AGAIN_FIELD_NUMBER: _ClassVar[int]
    again: bool
    def __init__(self, again: _Optional[bool] = ...) -> None: ...

class Channel(_message.Message):
    __slots__ = ("channel", "node_ids", "priority", "on_short", "no_split", "policy", "closed", "preferred_node_ids", "excluded_node_ids")
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    NODE_IDS_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    ON_SHORT_FIELD_NUMBER: _ClassVar[int]
    NO_SPLIT_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    CLOSED_FIELD_NUMBER: _ClassVar[int]
    PREFERRED_NODE_IDS_FIELD_NUMBER: _ClassVar[int]
    EXCLUDED_NODE_IDS_FIELD_NUMBER: _ClassVar[int]
    channel: str
    node_ids: _containers.RepeatedScalarFieldContainer[str]
    priority: int
    on_short: OnShort
    no_split: bool
    policy: Policy
    closed: bool
    preferred_node_ids: _containers.RepeatedScalarFieldContainer[str]
    excluded_node_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, channel: _Optional[str] = ..., node_ids: _Optional[_Iterable[str]] = ..., priority: _Optional[int] = ..., on_short: _Optional[_Union[OnShort, str]] = ..., no_split: _Optional[bool] = ..., policy: _Optional[_Union[Policy, _Mapping]] = ..., closed: _Optional[bool] = ..., preferred_node_ids: _Optional[_Iterable[str]] = ..., excluded_node_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class Policy(_message.Message):
    __slots__ = ("share_ppm", "buffer", "cap", "threshold", "buffer_ppm")
    SHARE_PPM_FIELD_NUMBER: _ClassVar[int]
    BUFFER_FIELD_NUMBER: _ClassVar[int]
    CAP_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    BUFFER_PPM_FIELD_NUMBER: _ClassVar[int]
    share_ppm: int
    buffer: int
    cap: int
    threshold: int
    buffer_ppm: int
    def __init__(self, share_ppm: _Optional[int] = ..., buffer: _Optional[int] = ..., cap: _Optional[int] = ..., threshold: _Optional[int] = ..., buffer_ppm: _Optional[int] = ...) -> None: ...

class PutChannelRequest(_message.Message):
    __slots__ = ("request_id", "channel")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    channel: Channel
    def __init__(self, request_id: _Optional[str] = ..., channel: _Optional[_Union[Channel, _Mapping]] = ...) -> None: ...

class PutChannelResponse(_message.Message):
    __slots__ = ("again",)
    AGAIN_FIELD_NUMBER: _ClassVar[int]
    again: bool
    def __init__(self, again: _Optional[bool] = ...) -> None: ...

class ListChannelsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListChannelsResponse(_message.Message):
    __slots__ = ("channels", "next_page_token")
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    channels: _containers.RepeatedCompositeFieldContainer[Channel]
    next_page_token: str
    def __init__(self, channels: _Optional[_Iterable[_Union[Channel, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class PolicyException(_message.Message):
    __slots__ = ("channel", "sku", "policy")
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    SKU_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    channel: str
    sku: str
    policy: Policy
    def __init__(self, channel: _Optional[str] = ..., sku: _Optional[str] = ..., policy: _Optional[_Union[Policy, _Mapping]] = ...) -> None: ...

class PutExceptionsRequest(_message.Message):
    __slots__ = ("request_id", "exceptions")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    EXCEPTIONS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    exceptions: _containers.RepeatedCompositeFieldContainer[PolicyException]
    def __init__(self, request_id: _Optional[str] = ..., exceptions: _Optional[_Iterable[_Union[PolicyException, _Mapping]]] = ...) -> None: ...

class PutExceptionsResponse(_message.Message):
    __slots__ = ("again",)
    AGAIN_FIELD_NUMBER: _ClassVar[int]
    again: bool
    def __init__(self, again: _Optional[bool] = ...) -> None: ...

class Fence(_message.Message):
    __slots__ = ("channel", "sku", "node_id", "units")
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    SKU_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    channel: str
    sku: str
    node_id: str
    units: int
    def __init__(self, channel: _Optional[str] = ..., sku: _Optional[str] = ..., node_id: _Optional[str] = ..., units: _Optional[int] = ...) -> None: ...

class PutFencesRequest(_message.Message):
    __slots__ = ("request_id", "fences")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    FENCES_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    fences: _containers.RepeatedCompositeFieldContainer[Fence]
    def __init__(self, request_id: _Optional[str] = ..., fences: _Optional[_Iterable[_Union[Fence, _Mapping]]] = ...) -> None: ...

class PutFencesResponse(_message.Message):
    __slots__ = ("again",)
    AGAIN_FIELD_NUMBER: _ClassVar[int]
    again: bool
    def __init__(self, again: _Optional[bool] = ...) -> None: ...

class TaxRegion(_message.Message):
    __slots__ = ("node_id", "postal_code", "region")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    POSTAL_CODE_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    postal_code: str
    region: str
    def __init__(self, node_id: _Optional[str] = ..., postal_code: _Optional[str] = ..., region: _Optional[str] = ...) -> None: ...

class PutTaxRegionsRequest(_message.Message):
    __slots__ = ("request_id", "regions")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    REGIONS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    regions: _containers.RepeatedCompositeFieldContainer[TaxRegion]
    def __init__(self, request_id: _Optional[str] = ..., regions: _Optional[_Iterable[_Union[TaxRegion, _Mapping]]] = ...) -> None: ...

class PutTaxRegionsResponse(_message.Message):
    __slots__ = ("again",)
    AGAIN_FIELD_NUMBER: _ClassVar[int]
    again: bool
    def __init__(self, again: _Optional[bool] = ...) -> None: ...
