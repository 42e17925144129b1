from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PaymentMethod(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PAYMENT_METHOD_UNSPECIFIED: _ClassVar[PaymentMethod]
    PAYMENT_METHOD_CARD: _ClassVar[PaymentMethod]
    PAYMENT_METHOD_UPI: _ClassVar[PaymentMethod]
    PAYMENT_METHOD_NET_BANKING: _ClassVar[PaymentMethod]
    PAYMENT_METHOD_WALLET: _ClassVar[PaymentMethod]
    PAYMENT_METHOD_CASH_ON_DELIVERY: _ClassVar[PaymentMethod]
    PAYMENT_METHOD_CHANNEL: _ClassVar[PaymentMethod]

class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTCOME_UNSPECIFIED: _ClassVar[Outcome]
    OUTCOME_ALLOCATED: _ClassVar[Outcome]
    OUTCOME_PARTLY: _ClassVar[Outcome]
    OUTCOME_SHORT: _ClassVar[Outcome]
    OUTCOME_REFUSED: _ClassVar[Outcome]

class Stage(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STAGE_UNSPECIFIED: _ClassVar[Stage]
    STAGE_SHORT: _ClassVar[Stage]
    STAGE_BACK_ORDERED: _ClassVar[Stage]
    STAGE_ALLOCATED: _ClassVar[Stage]
    STAGE_PICKED: _ClassVar[Stage]
    STAGE_PACKED: _ClassVar[Stage]
    STAGE_SHIPPED: _ClassVar[Stage]
    STAGE_DELIVERED: _ClassVar[Stage]
    STAGE_RETURNED: _ClassVar[Stage]
    STAGE_CANCELLED: _ClassVar[Stage]
    STAGE_RESERVED: _ClassVar[Stage]

class OrderState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ORDER_STATE_UNSPECIFIED: _ClassVar[OrderState]
    ORDER_STATE_RESERVED: _ClassVar[OrderState]
    ORDER_STATE_CANCELLED: _ClassVar[OrderState]
    ORDER_STATE_RETURNED: _ClassVar[OrderState]
    ORDER_STATE_DELIVERED: _ClassVar[OrderState]
    ORDER_STATE_SHIPPED: _ClassVar[OrderState]
    ORDER_STATE_PARTLY_SHIPPED: _ClassVar[OrderState]
    ORDER_STATE_PACKED: _ClassVar[OrderState]
    ORDER_STATE_PICKING: _ClassVar[OrderState]
    ORDER_STATE_BACK_ORDERED: _ClassVar[OrderState]
    ORDER_STATE_ALLOCATED: _ClassVar[OrderState]
    ORDER_STATE_PARTLY_ALLOCATED: _ClassVar[OrderState]
    ORDER_STATE_SHORT: _ClassVar[OrderState]
    ORDER_STATE_REFUSED: _ClassVar[OrderState]
    ORDER_STATE_CONFIRMED: _ClassVar[OrderState]
    ORDER_STATE_RELEASED: _ClassVar[OrderState]
    ORDER_STATE_EXPIRED: _ClassVar[OrderState]
PAYMENT_METHOD_UNSPECIFIED: PaymentMethod
PAYMENT_METHOD_CARD: PaymentMethod
PAYMENT_METHOD_UPI: PaymentMethod
PAYMENT_METHOD_NET_BANKING: PaymentMethod
PAYMENT_METHOD_WALLET: PaymentMethod
PAYMENT_METHOD_CASH_ON_DELIVERY: PaymentMethod
PAYMENT_METHOD_CHANNEL: PaymentMethod
OUTCOME_UNSPECIFIED: Outcome
OUTCOME_ALLOCATED: Outcome
OUTCOME_PARTLY: Outcome
OUTCOME_SHORT: Outcome
OUTCOME_REFUSED: Outcome
STAGE_UNSPECIFIED: Stage
STAGE_SHORT: Stage
STAGE_BACK_ORDERED: Stage
STAGE_ALLOCATED: Stage
STAGE_PICKED: Stage
STAGE_PACKED: Stage
STAGE_SHIPPED: Stage
STAGE_DELIVERED: Stage
STAGE_RETURNED: Stage
STAGE_CANCELLED: Stage
STAGE_RESERVED: Stage
ORDER_STATE_UNSPECIFIED: OrderState
ORDER_STATE_RESERVED: OrderState
ORDER_STATE_CANCELLED: OrderState
ORDER_STATE_RETURNED: OrderState
ORDER_STATE_DELIVERED: OrderState
ORDER_STATE_SHIPPED: OrderState
ORDER_STATE_PARTLY_SHIPPED: OrderState
ORDER_STATE_PACKED: OrderState
ORDER_STATE_PICKING: OrderState
ORDER_STATE_BACK_ORDERED: OrderState
ORDER_STATE_ALLOCATED: OrderState
ORDER_STATE_PARTLY_ALLOCATED: OrderState
ORDER_STATE_SHORT: OrderState
ORDER_STATE_REFUSED: OrderState
ORDER_STATE_CONFIRMED: OrderState
ORDER_STATE_RELEASED: OrderState
ORDER_STATE_EXPIRED: OrderState

class OrderDraft(_message.Message):
    __slots__ = ("channel", "order_id", "postal_code", "lines", "placed_at_us", "currency", "payment_method", "service_level", "ship_by_us", "deliver_by_us", "customer", "nodes_max", "ship_complete", "pay_by_us", "discount", "shipping_fee", "shipping_fee_tax")
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    POSTAL_CODE_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    PLACED_AT_US_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_METHOD_FIELD_NUMBER: _ClassVar[int]
    SERVICE_LEVEL_FIELD_NUMBER: _ClassVar[int]
    SHIP_BY_US_FIELD_NUMBER: _ClassVar[int]
    DELIVER_BY_US_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    NODES_MAX_FIELD_NUMBER: _ClassVar[int]
    SHIP_COMPLETE_FIELD_NUMBER: _ClassVar[int]
    PAY_BY_US_FIELD_NUMBER: _ClassVar[int]
    DISCOUNT_FIELD_NUMBER: _ClassVar[int]
    SHIPPING_FEE_FIELD_NUMBER: _ClassVar[int]
    SHIPPING_FEE_TAX_FIELD_NUMBER: _ClassVar[int]
    channel: str
    order_id: str
    postal_code: str
    lines: _containers.RepeatedCompositeFieldContainer[LineDraft]
    placed_at_us: int
    currency: str
    payment_method: PaymentMethod
    service_level: str
    ship_by_us: int
    deliver_by_us: int
    customer: str
    nodes_max: int
    ship_complete: bool
    pay_by_us: int
    discount: int
    shipping_fee: int
    shipping_fee_tax: int
    def __init__(self, channel: _Optional[str] = ..., order_id: _Optional[str] = ..., postal_code: _Optional[str] = ..., lines: _Optional[_Iterable[_Union[LineDraft, _Mapping]]] = ..., placed_at_us: _Optional[int] = ..., currency: _Optional[str] = ..., payment_method: _Optional[_Union[PaymentMethod, str]] = ..., service_level: _Optional[str] = ..., ship_by_us: _Optional[int] = ..., deliver_by_us: _Optional[int] = ..., customer: _Optional[str] = ..., nodes_max: _Optional[int] = ..., ship_complete: _Optional[bool] = ..., pay_by_us: _Optional[int] = ..., discount: _Optional[int] = ..., shipping_fee: _Optional[int] = ..., shipping_fee_tax: _Optional[int] = ...) -> None: ...

class LineDraft(_message.Message):
    __slots__ = ("sku", "quantity", "unit_price", "discount", "tax", "line_discount", "line_tax")
    SKU_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    UNIT_PRICE_FIELD_NUMBER: _ClassVar[int]
    DISCOUNT_FIELD_NUMBER: _ClassVar[int]
    TAX_FIELD_NUMBER: _ClassVar[int]
    LINE_DISCOUNT_FIELD_NUMBER: _ClassVar[int]
    LINE_TAX_FIELD_NUMBER: _ClassVar[int]
    sku: str
    quantity: int
    unit_price: int
    discount: int
    tax: int
    line_discount: int
    line_tax: int
    def __init__(self, sku: _Optional[str] = ..., quantity: _Optional[int] = ..., unit_price: _Optional[int] = ..., discount: _Optional[int] = ..., tax: _Optional[int] = ..., line_discount: _Optional[int] = ..., line_tax: _Optional[int] = ...) -> None: ...

class Part(_message.Message):
    __slots__ = ("line", "node_id", "stage", "quantity", "distance_m")
    LINE_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    DISTANCE_M_FIELD_NUMBER: _ClassVar[int]
    line: int
    node_id: str
    stage: Stage
    quantity: int
    distance_m: int
    def __init__(self, line: _Optional[int] = ..., node_id: _Optional[str] = ..., stage: _Optional[_Union[Stage, str]] = ..., quantity: _Optional[int] = ..., distance_m: _Optional[int] = ...) -> None: ...

class Decision(_message.Message):
    __slots__ = ("outcome", "number", "again", "parts")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    AGAIN_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    outcome: Outcome
    number: int
    again: bool
    parts: _containers.RepeatedCompositeFieldContainer[Part]
    def __init__(self, outcome: _Optional[_Union[Outcome, str]] = ..., number: _Optional[int] = ..., again: _Optional[bool] = ..., parts: _Optional[_Iterable[_Union[Part, _Mapping]]] = ...) -> None: ...

class OrderLine(_message.Message):
    __slots__ = ("sku", "quantity", "unit_price", "discount", "tax")
    SKU_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    UNIT_PRICE_FIELD_NUMBER: _ClassVar[int]
    DISCOUNT_FIELD_NUMBER: _ClassVar[int]
    TAX_FIELD_NUMBER: _ClassVar[int]
    sku: str
    quantity: int
    unit_price: int
    discount: int
    tax: int
    def __init__(self, sku: _Optional[str] = ..., quantity: _Optional[int] = ..., unit_price: _Optional[int] = ..., discount: _Optional[int] = ..., tax: _Optional[int] = ...) -> None: ...

class Order(_message.Message):
    __slots__ = ("channel", "order_id", "number", "state", "outcome", "postal_code", "lines", "parts", "is_reservation", "expires_at_us", "reservation_number", "placed_at_us", "currency", "payment_method", "service_level", "ship_by_us", "deliver_by_us", "customer", "sequence", "stamp_us", "nodes_max", "ship_complete", "expected")
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    POSTAL_CODE_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    IS_RESERVATION_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_US_FIELD_NUMBER: _ClassVar[int]
    RESERVATION_NUMBER_FIELD_NUMBER: _ClassVar[int]
    PLACED_AT_US_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_METHOD_FIELD_NUMBER: _ClassVar[int]
    SERVICE_LEVEL_FIELD_NUMBER: _ClassVar[int]
    SHIP_BY_US_FIELD_NUMBER: _ClassVar[int]
    DELIVER_BY_US_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    STAMP_US_FIELD_NUMBER: _ClassVar[int]
    NODES_MAX_FIELD_NUMBER: _ClassVar[int]
    SHIP_COMPLETE_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FIELD_NUMBER: _ClassVar[int]
    channel: str
    order_id: str
    number: int
    state: OrderState
    outcome: Outcome
    postal_code: str
    lines: _containers.RepeatedCompositeFieldContainer[OrderLine]
    parts: _containers.RepeatedCompositeFieldContainer[Part]
    is_reservation: bool
    expires_at_us: int
    reservation_number: int
    placed_at_us: int
    currency: str
    payment_method: PaymentMethod
    service_level: str
    ship_by_us: int
    deliver_by_us: int
    customer: str
    sequence: int
    stamp_us: int
    nodes_max: int
    ship_complete: bool
    expected: _containers.RepeatedCompositeFieldContainer[ExpectedUnits]
    def __init__(self, channel: _Optional[str] = ..., order_id: _Optional[str] = ..., number: _Optional[int] = ..., state: _Optional[_Union[OrderState, str]] = ..., outcome: _Optional[_Union[Outcome, str]] = ..., postal_code: _Optional[str] = ..., lines: _Optional[_Iterable[_Union[OrderLine, _Mapping]]] = ..., parts: _Optional[_Iterable[_Union[Part, _Mapping]]] = ..., is_reservation: _Optional[bool] = ..., expires_at_us: _Optional[int] = ..., reservation_number: _Optional[int] = ..., placed_at_us: _Optional[int] = ..., currency: _Optional[str] = ..., payment_method: _Optional[_Union[PaymentMethod, str]] = ..., service_level: _Optional[str] = ..., ship_by_us: _Optional[int] = ..., deliver_by_us: _Optional[int] = ..., customer: _Optional[str] = ..., sequence: _Optional[int] = ..., stamp_us: _Optional[int] = ..., nodes_max: _Optional[int] = ..., ship_complete: _Optional[bool] = ..., expected: _Optional[_Iterable[_Union[ExpectedUnits, _Mapping]]] = ...) -> None: ...

class ExpectedUnits(_message.Message):
    __slots__ = ("line", "quantity", "due_at_us", "node_id", "reference")
    LINE_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    DUE_AT_US_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    line: int
    quantity: int
    due_at_us: int
    node_id: str
    reference: int
    def __init__(self, line: _Optional[int] = ..., quantity: _Optional[int] = ..., due_at_us: _Optional[int] = ..., node_id: _Optional[str] = ..., reference: _Optional[int] = ...) -> None: ...

class Problem(_message.Message):
    __slots__ = ("reason", "field", "message", "retry_after_ms")
    REASON_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    reason: str
    field: str
    message: str
    retry_after_ms: int
    def __init__(self, reason: _Optional[str] = ..., field: _Optional[str] = ..., message: _Optional[str] = ..., retry_after_ms: _Optional[int] = ...) -> None: ...
