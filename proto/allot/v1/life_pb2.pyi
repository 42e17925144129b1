from allot.v1 import events_pb2 as _events_pb2
from allot.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PaymentState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PAYMENT_STATE_UNSPECIFIED: _ClassVar[PaymentState]
    PAYMENT_STATE_PENDING: _ClassVar[PaymentState]
    PAYMENT_STATE_AUTHORISED: _ClassVar[PaymentState]
    PAYMENT_STATE_CAPTURED: _ClassVar[PaymentState]
    PAYMENT_STATE_FAILED: _ClassVar[PaymentState]
    PAYMENT_STATE_VOIDING: _ClassVar[PaymentState]
    PAYMENT_STATE_VOIDED: _ClassVar[PaymentState]
    PAYMENT_STATE_LAPSED: _ClassVar[PaymentState]

class RefundState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REFUND_STATE_UNSPECIFIED: _ClassVar[RefundState]
    REFUND_STATE_ASKED: _ClassVar[RefundState]
    REFUND_STATE_DONE: _ClassVar[RefundState]
    REFUND_STATE_FAILED: _ClassVar[RefundState]

class ShipmentState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SHIPMENT_STATE_UNSPECIFIED: _ClassVar[ShipmentState]
    SHIPMENT_STATE_CREATED: _ClassVar[ShipmentState]
    SHIPMENT_STATE_BOOKED: _ClassVar[ShipmentState]
    SHIPMENT_STATE_SHIPPED: _ClassVar[ShipmentState]
    SHIPMENT_STATE_OUT_FOR_DELIVERY: _ClassVar[ShipmentState]
    SHIPMENT_STATE_DELIVERED: _ClassVar[ShipmentState]
    SHIPMENT_STATE_REFUSED: _ClassVar[ShipmentState]
    SHIPMENT_STATE_RETURNING: _ClassVar[ShipmentState]
    SHIPMENT_STATE_HOME: _ClassVar[ShipmentState]
    SHIPMENT_STATE_LOST: _ClassVar[ShipmentState]
    SHIPMENT_STATE_RECALLED: _ClassVar[ShipmentState]

class TaxSplit(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TAX_SPLIT_UNSPECIFIED: _ClassVar[TaxSplit]
    TAX_SPLIT_WITHIN_REGION: _ClassVar[TaxSplit]
    TAX_SPLIT_BETWEEN_REGIONS: _ClassVar[TaxSplit]

class ReturnState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RETURN_STATE_UNSPECIFIED: _ClassVar[ReturnState]
    RETURN_STATE_ASKED: _ClassVar[ReturnState]
    RETURN_STATE_APPROVED: _ClassVar[ReturnState]
    RETURN_STATE_COLLECTED: _ClassVar[ReturnState]
    RETURN_STATE_RECEIVED: _ClassVar[ReturnState]
    RETURN_STATE_CLOSED: _ClassVar[ReturnState]
    RETURN_STATE_REJECTED: _ClassVar[ReturnState]
    RETURN_STATE_WITHDRAWN: _ClassVar[ReturnState]

class PaymentStep(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PAYMENT_STEP_UNSPECIFIED: _ClassVar[PaymentStep]
    PAYMENT_STEP_AUTHORISE: _ClassVar[PaymentStep]
    PAYMENT_STEP_ASK_CAPTURE: _ClassVar[PaymentStep]
    PAYMENT_STEP_CAPTURE: _ClassVar[PaymentStep]
    PAYMENT_STEP_CAPTURE_FAILED: _ClassVar[PaymentStep]
    PAYMENT_STEP_FAIL: _ClassVar[PaymentStep]
    PAYMENT_STEP_ASK_VOID: _ClassVar[PaymentStep]
    PAYMENT_STEP_VOID: _ClassVar[PaymentStep]
    PAYMENT_STEP_LAPSE: _ClassVar[PaymentStep]
    PAYMENT_STEP_OPEN: _ClassVar[PaymentStep]

class RefundStep(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REFUND_STEP_UNSPECIFIED: _ClassVar[RefundStep]
    REFUND_STEP_DONE: _ClassVar[RefundStep]
    REFUND_STEP_FAILED: _ClassVar[RefundStep]
    REFUND_STEP_RETRY: _ClassVar[RefundStep]

class ShipmentStep(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SHIPMENT_STEP_UNSPECIFIED: _ClassVar[ShipmentStep]
    SHIPMENT_STEP_BOOK: _ClassVar[ShipmentStep]
    SHIPMENT_STEP_SHIP: _ClassVar[ShipmentStep]
    SHIPMENT_STEP_TRANSIT: _ClassVar[ShipmentStep]
    SHIPMENT_STEP_OUT_FOR_DELIVERY: _ClassVar[ShipmentStep]
    SHIPMENT_STEP_DELIVER: _ClassVar[ShipmentStep]
    SHIPMENT_STEP_REFUSE: _ClassVar[ShipmentStep]
    SHIPMENT_STEP_RETURNING: _ClassVar[ShipmentStep]
    SHIPMENT_STEP_COME_HOME: _ClassVar[ShipmentStep]
    SHIPMENT_STEP_LOSE: _ClassVar[ShipmentStep]
    SHIPMENT_STEP_RECALL: _ClassVar[ShipmentStep]

class ReturnStep(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RETURN_STEP_UNSPECIFIED: _ClassVar[ReturnStep]
    RETURN_STEP_APPROVE: _ClassVar[ReturnStep]
    RETURN_STEP_REJECT: _ClassVar[ReturnStep]
    RETURN_STEP_WITHDRAW: _ClassVar[ReturnStep]
    RETURN_STEP_COLLECT: _ClassVar[ReturnStep]
    RETURN_STEP_RECEIVE: _ClassVar[ReturnStep]
    RETURN_STEP_INSPECT: _ClassVar[ReturnStep]
    RETURN_STEP_CLOSE: _ClassVar[ReturnStep]

class RefundTo(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REFUND_TO_UNSPECIFIED: _ClassVar[RefundTo]
    REFUND_TO_SOURCE: _ClassVar[RefundTo]
    REFUND_TO_CREDIT: _ClassVar[RefundTo]
    REFUND_TO_BANK: _ClassVar[RefundTo]
    REFUND_TO_CHANNEL: _ClassVar[RefundTo]
    REFUND_TO_EXCHANGE: _ClassVar[RefundTo]

class ReturnKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RETURN_KIND_UNSPECIFIED: _ClassVar[ReturnKind]
    RETURN_KIND_RETURN: _ClassVar[ReturnKind]
    RETURN_KIND_EXCHANGE: _ClassVar[ReturnKind]
    RETURN_KIND_CLAIM: _ClassVar[ReturnKind]

class Condition(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONDITION_UNSPECIFIED: _ClassVar[Condition]
    CONDITION_NOT_TOLD: _ClassVar[Condition]
    CONDITION_UNOPENED: _ClassVar[Condition]
    CONDITION_UNUSED: _ClassVar[Condition]
    CONDITION_USED: _ClassVar[Condition]
    CONDITION_DAMAGED: _ClassVar[Condition]
    CONDITION_DEFECTIVE: _ClassVar[Condition]
    CONDITION_NOT_RECEIVED: _ClassVar[Condition]

class Disposition(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DISPOSITION_UNSPECIFIED: _ClassVar[Disposition]
    DISPOSITION_RESTOCK: _ClassVar[Disposition]
    DISPOSITION_QUARANTINE: _ClassVar[Disposition]
    DISPOSITION_SCRAP: _ClassVar[Disposition]
    DISPOSITION_TURN_DOWN: _ClassVar[Disposition]
PAYMENT_STATE_UNSPECIFIED: PaymentState
PAYMENT_STATE_PENDING: PaymentState
PAYMENT_STATE_AUTHORISED: PaymentState
PAYMENT_STATE_CAPTURED: PaymentState
PAYMENT_STATE_FAILED: PaymentState
PAYMENT_STATE_VOIDING: PaymentState
PAYMENT_STATE_VOIDED: PaymentState
PAYMENT_STATE_LAPSED: PaymentState
REFUND_STATE_UNSPECIFIED: RefundState
REFUND_STATE_ASKED: RefundState
REFUND_STATE_DONE: RefundState
REFUND_STATE_FAILED: RefundState
SHIPMENT_STATE_UNSPECIFIED: ShipmentState
SHIPMENT_STATE_CREATED: ShipmentState
SHIPMENT_STATE_BOOKED: ShipmentState
SHIPMENT_STATE_SHIPPED: ShipmentState
SHIPMENT_STATE_OUT_FOR_DELIVERY: ShipmentState
SHIPMENT_STATE_DELIVERED: ShipmentState
SHIPMENT_STATE_REFUSED: ShipmentState
SHIPMENT_STATE_RETURNING: ShipmentState
SHIPMENT_STATE_HOME: ShipmentState
SHIPMENT_STATE_LOST: ShipmentState
SHIPMENT_STATE_RECALLED: ShipmentState
TAX_SPLIT_UNSPECIFIED: TaxSplit
TAX_SPLIT_WITHIN_REGION: TaxSplit
TAX_SPLIT_BETWEEN_REGIONS: TaxSplit
RETURN_STATE_UNSPECIFIED: ReturnState
RETURN_STATE_ASKED: ReturnState
RETURN_STATE_APPROVED: ReturnState
RETURN_STATE_COLLECTED: ReturnState
RETURN_STATE_RECEIVED: ReturnState
RETURN_STATE_CLOSED: ReturnState
RETURN_STATE_REJECTED: ReturnState
RETURN_STATE_WITHDRAWN: ReturnState
PAYMENT_STEP_UNSPECIFIED: PaymentStep
PAYMENT_STEP_AUTHORISE: PaymentStep
PAYMENT_STEP_ASK_CAPTURE: PaymentStep
PAYMENT_STEP_CAPTURE: PaymentStep
PAYMENT_STEP_CAPTURE_FAILED: PaymentStep
PAYMENT_STEP_FAIL: PaymentStep
PAYMENT_STEP_ASK_VOID: PaymentStep
PAYMENT_STEP_VOID: PaymentStep
PAYMENT_STEP_LAPSE: PaymentStep
PAYMENT_STEP_OPEN: PaymentStep
REFUND_STEP_UNSPECIFIED: RefundStep
REFUND_STEP_DONE: RefundStep
REFUND_STEP_FAILED: RefundStep
REFUND_STEP_RETRY: RefundStep
SHIPMENT_STEP_UNSPECIFIED: ShipmentStep
SHIPMENT_STEP_BOOK: ShipmentStep
SHIPMENT_STEP_SHIP: ShipmentStep
SHIPMENT_STEP_TRANSIT: ShipmentStep
SHIPMENT_STEP_OUT_FOR_DELIVERY: ShipmentStep
SHIPMENT_STEP_DELIVER: ShipmentStep
SHIPMENT_STEP_REFUSE: ShipmentStep
SHIPMENT_STEP_RETURNING: ShipmentStep
SHIPMENT_STEP_COME_HOME: ShipmentStep
SHIPMENT_STEP_LOSE: ShipmentStep
SHIPMENT_STEP_RECALL: ShipmentStep
RETURN_STEP_UNSPECIFIED: ReturnStep
RETURN_STEP_APPROVE: ReturnStep
RETURN_STEP_REJECT: ReturnStep
RETURN_STEP_WITHDRAW: ReturnStep
RETURN_STEP_COLLECT: ReturnStep
RETURN_STEP_RECEIVE: ReturnStep
RETURN_STEP_INSPECT: ReturnStep
RETURN_STEP_CLOSE: ReturnStep
REFUND_TO_UNSPECIFIED: RefundTo
REFUND_TO_SOURCE: RefundTo
REFUND_TO_CREDIT: RefundTo
REFUND_TO_BANK: RefundTo
REFUND_TO_CHANNEL: RefundTo
REFUND_TO_EXCHANGE: RefundTo
RETURN_KIND_UNSPECIFIED: ReturnKind
RETURN_KIND_RETURN: ReturnKind
RETURN_KIND_EXCHANGE: ReturnKind
RETURN_KIND_CLAIM: ReturnKind
CONDITION_UNSPECIFIED: Condition
CONDITION_NOT_TOLD: Condition
CONDITION_UNOPENED: Condition
CONDITION_UNUSED: Condition
CONDITION_USED: Condition
CONDITION_DAMAGED: Condition
CONDITION_DEFECTIVE: Condition
CONDITION_NOT_RECEIVED: Condition
DISPOSITION_UNSPECIFIED: Disposition
DISPOSITION_RESTOCK: Disposition
DISPOSITION_QUARANTINE: Disposition
DISPOSITION_SCRAP: Disposition
DISPOSITION_TURN_DOWN: Disposition

class OrderLife(_message.Message):
    __slots__ = ("balance", "payments", "refunds", "shipments", "returns", "timeline", "timeline_sequence")
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    PAYMENTS_FIELD_NUMBER: _ClassVar[int]
    REFUNDS_FIELD_NUMBER: _ClassVar[int]
    SHIPMENTS_FIELD_NUMBER: _ClassVar[int]
    RETURNS_FIELD_NUMBER: _ClassVar[int]
    TIMELINE_FIELD_NUMBER: _ClassVar[int]
    TIMELINE_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    balance: Balance
    payments: _containers.RepeatedCompositeFieldContainer[Payment]
    refunds: _containers.RepeatedCompositeFieldContainer[Refund]
    shipments: _containers.RepeatedCompositeFieldContainer[Shipment]
    returns: _containers.RepeatedCompositeFieldContainer[Return]
    timeline: _containers.RepeatedCompositeFieldContainer[Happening]
    timeline_sequence: int
    def __init__(self, balance: _Optional[_Union[Balance, _Mapping]] = ..., payments: _Optional[_Iterable[_Union[Payment, _Mapping]]] = ..., refunds: _Optional[_Iterable[_Union[Refund, _Mapping]]] = ..., shipments: _Optional[_Iterable[_Union[Shipment, _Mapping]]] = ..., returns: _Optional[_Iterable[_Union[Return, _Mapping]]] = ..., timeline: _Optional[_Iterable[_Union[Happening, _Mapping]]] = ..., timeline_sequence: _Optional[int] = ...) -> None: ...

class Balance(_message.Message):
    __slots__ = ("currency", "to_come", "charged", "captured", "refunded", "pay_by_us")
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    TO_COME_FIELD_NUMBER: _ClassVar[int]
    CHARGED_FIELD_NUMBER: _ClassVar[int]
    CAPTURED_FIELD_NUMBER: _ClassVar[int]
    REFUNDED_FIELD_NUMBER: _ClassVar[int]
    PAY_BY_US_FIELD_NUMBER: _ClassVar[int]
    currency: str
    to_come: int
    charged: int
    captured: int
    refunded: int
    pay_by_us: int
    def __init__(self, currency: _Optional[str] = ..., to_come: _Optional[int] = ..., charged: _Optional[int] = ..., captured: _Optional[int] = ..., refunded: _Optional[int] = ..., pay_by_us: _Optional[int] = ...) -> None: ...

class Payment(_message.Message):
    __slots__ = ("number", "state", "method", "gateway", "amount", "authorised", "capturing", "captured", "refunding", "refunded", "authorised_until_us", "payment_id", "reference")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    AUTHORISED_FIELD_NUMBER: _ClassVar[int]
    CAPTURING_FIELD_NUMBER: _ClassVar[int]
    CAPTURED_FIELD_NUMBER: _ClassVar[int]
    REFUNDING_FIELD_NUMBER: _ClassVar[int]
    REFUNDED_FIELD_NUMBER: _ClassVar[int]
    AUTHORISED_UNTIL_US_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    number: int
    state: PaymentState
    method: _types_pb2.PaymentMethod
    gateway: str
    amount: int
    authorised: int
    capturing: int
    captured: int
    refunding: int
    refunded: int
    authorised_until_us: int
    payment_id: str
    reference: str
    def __init__(self, number: _Optional[int] = ..., state: _Optional[_Union[PaymentState, str]] = ..., method: _Optional[_Union[_types_pb2.PaymentMethod, str]] = ..., gateway: _Optional[str] = ..., amount: _Optional[int] = ..., authorised: _Optional[int] = ..., capturing: _Optional[int] = ..., captured: _Optional[int] = ..., refunding: _Optional[int] = ..., refunded: _Optional[int] = ..., authorised_until_us: _Optional[int] = ..., payment_id: _Optional[str] = ..., reference: _Optional[str] = ...) -> None: ...

class Refund(_message.Message):
    __slots__ = ("number", "state", "to", "amount", "payment_number")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    number: int
    state: RefundState
    to: RefundTo
    amount: int
    payment_number: int
    def __init__(self, number: _Optional[int] = ..., state: _Optional[_Union[RefundState, str]] = ..., to: _Optional[_Union[RefundTo, str]] = ..., amount: _Optional[int] = ..., payment_number: _Optional[int] = ...) -> None: ...

class Shipment(_message.Message):
    __slots__ = ("number", "state", "node_id", "carrier", "collect", "cost", "due_at_us", "shipped_at_us", "delivered_at_us", "scanned_at_us", "items", "tax_split", "tracking_token", "shipment_id", "reference", "invoice_number", "invoiced_at_us")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    CARRIER_FIELD_NUMBER: _ClassVar[int]
    COLLECT_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    DUE_AT_US_FIELD_NUMBER: _ClassVar[int]
    SHIPPED_AT_US_FIELD_NUMBER: _ClassVar[int]
    DELIVERED_AT_US_FIELD_NUMBER: _ClassVar[int]
    SCANNED_AT_US_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    TAX_SPLIT_FIELD_NUMBER: _ClassVar[int]
    TRACKING_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SHIPMENT_ID_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    INVOICE_NUMBER_FIELD_NUMBER: _ClassVar[int]
    INVOICED_AT_US_FIELD_NUMBER: _ClassVar[int]
    number: int
    state: ShipmentState
    node_id: str
    carrier: str
    collect: int
    cost: int
    due_at_us: int
    shipped_at_us: int
    delivered_at_us: int
    scanned_at_us: int
    items: _containers.RepeatedCompositeFieldContainer[ShipmentItem]
    tax_split: TaxSplit
    tracking_token: str
    shipment_id: str
    reference: str
    invoice_number: str
    invoiced_at_us: int
    def __init__(self, number: _Optional[int] = ..., state: _Optional[_Union[ShipmentState, str]] = ..., node_id: _Optional[str] = ..., carrier: _Optional[str] = ..., collect: _Optional[int] = ..., cost: _Optional[int] = ..., due_at_us: _Optional[int] = ..., shipped_at_us: _Optional[int] = ..., delivered_at_us: _Optional[int] = ..., scanned_at_us: _Optional[int] = ..., items: _Optional[_Iterable[_Union[ShipmentItem, _Mapping]]] = ..., tax_split: _Optional[_Union[TaxSplit, str]] = ..., tracking_token: _Optional[str] = ..., shipment_id: _Optional[str] = ..., reference: _Optional[str] = ..., invoice_number: _Optional[str] = ..., invoiced_at_us: _Optional[int] = ...) -> None: ...

class ShipmentItem(_message.Message):
    __slots__ = ("line", "sku", "quantity", "charged_quantity", "goods", "tax", "tax_2", "shipping", "shipping_tax", "shipping_tax_2")
    LINE_FIELD_NUMBER: _ClassVar[int]
    SKU_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    CHARGED_QUANTITY_FIELD_NUMBER: _ClassVar[int]
    GOODS_FIELD_NUMBER: _ClassVar[int]
    TAX_FIELD_NUMBER: _ClassVar[int]
    TAX_2_FIELD_NUMBER: _ClassVar[int]
    SHIPPING_FIELD_NUMBER: _ClassVar[int]
    SHIPPING_TAX_FIELD_NUMBER: _ClassVar[int]
    SHIPPING_TAX_2_FIELD_NUMBER: _ClassVar[int]
    line: int
    sku: str
    quantity: int
    charged_quantity: int
    goods: int
    tax: int
    tax_2: int
    shipping: int
    shipping_tax: int
    shipping_tax_2: int
    def __init__(self, line: _Optional[int] = ..., sku: _Optional[str] = ..., quantity: _Optional[int] = ..., charged_quantity: _Optional[int] = ..., goods: _Optional[int] = ..., tax: _Optional[int] = ..., tax_2: _Optional[int] = ..., shipping: _Optional[int] = ..., shipping_tax: _Optional[int] = ..., shipping_tax_2: _Optional[int] = ...) -> None: ...

class Return(_message.Message):
    __slots__ = ("number", "state", "kind", "reason", "condition", "as_credit", "line", "quantity", "received", "accepted", "turned_down", "credited", "due_by_us", "shipment_number", "node_id", "return_id")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    AS_CREDIT_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    TURNED_DOWN_FIELD_NUMBER: _ClassVar[int]
    CREDITED_FIELD_NUMBER: _ClassVar[int]
    DUE_BY_US_FIELD_NUMBER: _ClassVar[int]
    SHIPMENT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    RETURN_ID_FIELD_NUMBER: _ClassVar[int]
    number: int
    state: ReturnState
    kind: ReturnKind
    reason: str
    condition: Condition
    as_credit: bool
    line: int
    quantity: int
    received: int
    accepted: int
    turned_down: int
    credited: int
    due_by_us: int
    shipment_number: int
    node_id: str
    return_id: str
    def __init__(self, number: _Optional[int] = ..., state: _Optional[_Union[ReturnState, str]] = ..., kind: _Optional[_Union[ReturnKind, str]] = ..., reason: _Optional[str] = ..., condition: _Optional[_Union[Condition, str]] = ..., as_credit: _Optional[bool] = ..., line: _Optional[int] = ..., quantity: _Optional[int] = ..., received: _Optional[int] = ..., accepted: _Optional[int] = ..., turned_down: _Optional[int] = ..., credited: _Optional[int] = ..., due_by_us: _Optional[int] = ..., shipment_number: _Optional[int] = ..., node_id: _Optional[str] = ..., return_id: _Optional[str] = ...) -> None: ...

class Happening(_message.Message):
    __slots__ = ("sequence", "stamp_us", "what", "number", "line", "quantity", "amount", "node_id", "cause", "actor", "reference")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    STAMP_US_FIELD_NUMBER: _ClassVar[int]
    WHAT_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    stamp_us: int
    what: str
    number: int
    line: int
    quantity: int
    amount: int
    node_id: str
    cause: _events_pb2.Cause
    actor: str
    reference: str
    def __init__(self, sequence: _Optional[int] = ..., stamp_us: _Optional[int] = ..., what: _Optional[str] = ..., number: _Optional[int] = ..., line: _Optional[int] = ..., quantity: _Optional[int] = ..., amount: _Optional[int] = ..., node_id: _Optional[str] = ..., cause: _Optional[_Union[_events_pb2.Cause, str]] = ..., actor: _Optional[str] = ..., reference: _Optional[str] = ...) -> None: ...

class StepBatch(_message.Message):
    __slots__ = ("request_id", "batch")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    batch: bytes
    def __init__(self, request_id: _Optional[str] = ..., batch: _Optional[bytes] = ...) -> None: ...

class StepAnswers(_message.Message):
    __slots__ = ("batch",)
    BATCH_FIELD_NUMBER: _ClassVar[int]
    batch: bytes
    def __init__(self, batch: _Optional[bytes] = ...) -> None: ...
