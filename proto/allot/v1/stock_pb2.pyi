from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AdjustmentKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ADJUSTMENT_KIND_UNSPECIFIED: _ClassVar[AdjustmentKind]
    ADJUSTMENT_KIND_ON_HAND: _ClassVar[AdjustmentKind]
    ADJUSTMENT_KIND_UNAVAILABLE: _ClassVar[AdjustmentKind]
    ADJUSTMENT_KIND_SAFETY_STOCK: _ClassVar[AdjustmentKind]
ADJUSTMENT_KIND_UNSPECIFIED: AdjustmentKind
ADJUSTMENT_KIND_ON_HAND: AdjustmentKind
ADJUSTMENT_KIND_UNAVAILABLE: AdjustmentKind
ADJUSTMENT_KIND_SAFETY_STOCK: AdjustmentKind

class StockRow(_message.Message):
    __slots__ = ("sku", "node_id", "quantity")
    SKU_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    sku: str
    node_id: str
    quantity: int
    def __init__(self, sku: _Optional[str] = ..., node_id: _Optional[str] = ..., quantity: _Optional[int] = ...) -> None: ...

class ReceiveStockRequest(_message.Message):
    __slots__ = ("request_id", "rows", "reference")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    rows: _containers.RepeatedCompositeFieldContainer[StockRow]
    reference: int
    def __init__(self, request_id: _Optional[str] = ..., rows: _Optional[_Iterable[_Union[StockRow, _Mapping]]] = ..., reference: _Optional[int] = ...) -> None: ...

class ReceiveStockResponse(_message.Message):
    __slots__ = ("changed", "again")
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    AGAIN_FIELD_NUMBER: _ClassVar[int]
    changed: int
    again: bool
    def __init__(self, changed: _Optional[int] = ..., again: _Optional[bool] = ...) -> None: ...

class CountStockRequest(_message.Message):
    __slots__ = ("request_id", "rows", "source", "counted_at_us")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    COUNTED_AT_US_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    rows: _containers.RepeatedCompositeFieldContainer[StockRow]
    source: str
    counted_at_us: int
    def __init__(self, request_id: _Optional[str] = ..., rows: _Optional[_Iterable[_Union[StockRow, _Mapping]]] = ..., source: _Optional[str] = ..., counted_at_us: _Optional[int] = ...) -> None: ...

class CountStockResponse(_message.Message):
    __slots__ = ("changed", "again")
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    AGAIN_FIELD_NUMBER: _ClassVar[int]
    changed: int
    again: bool
    def __init__(self, changed: _Optional[int] = ..., again: _Optional[bool] = ...) -> None: ...

class Adjustment(_message.Message):
    __slots__ = ("sku", "node_id", "kind", "quantity")
    SKU_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    sku: str
    node_id: str
    kind: AdjustmentKind
    quantity: int
    def __init__(self, sku: _Optional[str] = ..., node_id: _Optional[str] = ..., kind: _Optional[_Union[AdjustmentKind, str]] = ..., quantity: _Optional[int] = ...) -> None: ...

class AdjustStockRequest(_message.Message):
    __slots__ = ("request_id", "adjustments")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ADJUSTMENTS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    adjustments: _containers.RepeatedCompositeFieldContainer[Adjustment]
    def __init__(self, request_id: _Optional[str] = ..., adjustments: _Optional[_Iterable[_Union[Adjustment, _Mapping]]] = ...) -> None: ...

class AdjustStockResponse(_message.Message):
    __slots__ = ("changed", "again")
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    AGAIN_FIELD_NUMBER: _ClassVar[int]
    changed: int
    again: bool
    def __init__(self, changed: _Optional[int] = ..., again: _Optional[bool] = ...) -> None: ...

class StockCell(_message.Message):
    __slots__ = ("sku", "node_id", "on_hand", "unavailable", "allocated", "reserved", "safety_stock", "available", "picked", "deficit")
    SKU_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    ON_HAND_FIELD_NUMBER: _ClassVar[int]
    UNAVAILABLE_FIELD_NUMBER: _ClassVar[int]
    ALLOCATED_FIELD_NUMBER: _ClassVar[int]
    RESERVED_FIELD_NUMBER: _ClassVar[int]
    SAFETY_STOCK_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    PICKED_FIELD_NUMBER: _ClassVar[int]
    DEFICIT_FIELD_NUMBER: _ClassVar[int]
    sku: str
    node_id: str
    on_hand: int
    unavailable: int
    allocated: int
    reserved: int
    safety_stock: int
    available: int
    picked: int
    deficit: int
    def __init__(self, sku: _Optional[str] = ..., node_id: _Optional[str] = ..., on_hand: _Optional[int] = ..., unavailable: _Optional[int] = ..., allocated: _Optional[int] = ..., reserved: _Optional[int] = ..., safety_stock: _Optional[int] = ..., available: _Optional[int] = ..., picked: _Optional[int] = ..., deficit: _Optional[int] = ...) -> None: ...

class GetStockRequest(_message.Message):
    __slots__ = ("sku",)
    SKU_FIELD_NUMBER: _ClassVar[int]
    sku: str
    def __init__(self, sku: _Optional[str] = ...) -> None: ...

class GetStockResponse(_message.Message):
    __slots__ = ("cells", "sequence")
    CELLS_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    cells: _containers.RepeatedCompositeFieldContainer[StockCell]
    sequence: int
    def __init__(self, cells: _Optional[_Iterable[_Union[StockCell, _Mapping]]] = ..., sequence: _Optional[int] = ...) -> None: ...

class ListStockRequest(_message.Message):
    __slots__ = ("node_id", "page_size", "page_token")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    page_size: int
    page_token: str
    def __init__(self, node_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListStockResponse(_message.Message):
    __slots__ = ("cells", "next_page_token", "sequence")
    CELLS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    cells: _containers.RepeatedCompositeFieldContainer[StockCell]
    next_page_token: str
    sequence: int
    def __init__(self, cells: _Optional[_Iterable[_Union[StockCell, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., sequence: _Optional[int] = ...) -> None: ...

class SupplyRow(_message.Message):
    __slots__ = ("sku", "node_id", "quantity", "due_at_us", "reference")
    SKU_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    DUE_AT_US_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    sku: str
    node_id: str
    quantity: int
    due_at_us: int
    reference: int
    def __init__(self, sku: _Optional[str] = ..., node_id: _Optional[str] = ..., quantity: _Optional[int] = ..., due_at_us: _Optional[int] = ..., reference: _Optional[int] = ...) -> None: ...

class PutSupplyRequest(_message.Message):
    __slots__ = ("request_id", "rows")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    rows: _containers.RepeatedCompositeFieldContainer[SupplyRow]
    def __init__(self, request_id: _Optional[str] = ..., rows: _Optional[_Iterable[_Union[SupplyRow, _Mapping]]] = ...) -> None: ...

class PutSupplyResponse(_message.Message):
    __slots__ = ("changed", "again")
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    AGAIN_FIELD_NUMBER: _ClassVar[int]
    changed: int
    again: bool
    def __init__(self, changed: _Optional[int] = ..., again: _Optional[bool] = ...) -> None: ...

class ListSupplyRequest(_message.Message):
    __slots__ = ("sku", "node_id", "page_size", "page_token")
    SKU_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    sku: str
    node_id: str
    page_size: int
    page_token: str
    def __init__(self, sku: _Optional[str] = ..., node_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class Supply(_message.Message):
    __slots__ = ("sku", "node_id", "quantity", "due_at_us", "reference", "bound")
    SKU_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    DUE_AT_US_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    BOUND_FIELD_NUMBER: _ClassVar[int]
    sku: str
    node_id: str
    quantity: int
    due_at_us: int
    reference: int
    bound: int
    def __init__(self, sku: _Optional[str] = ..., node_id: _Optional[str] = ..., quantity: _Optional[int] = ..., due_at_us: _Optional[int] = ..., reference: _Optional[int] = ..., bound: _Optional[int] = ...) -> None: ...

class ListSupplyResponse(_message.Message):
    __slots__ = ("supply", "next_page_token", "sequence")
    SUPPLY_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    supply: _containers.RepeatedCompositeFieldContainer[Supply]
    next_page_token: str
    sequence: int
    def __init__(self, supply: _Optional[_Iterable[_Union[Supply, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., sequence: _Optional[int] = ...) -> None: ...
