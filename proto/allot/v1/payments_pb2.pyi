from allot.v1 import life_pb2 as _life_pb2
from allot.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreatePaymentRequest(_message.Message):
    __slots__ = ("request_id", "channel", "order_id", "payment_id", "method", "gateway", "amount", "currency", "token")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    channel: str
    order_id: str
    payment_id: str
    method: _types_pb2.PaymentMethod
    gateway: str
    amount: int
    currency: str
    token: str
    def __init__(self, request_id: _Optional[str] = ..., channel: _Optional[str] = ..., order_id: _Optional[str] = ..., payment_id: _Optional[str] = ..., method: _Optional[_Union[_types_pb2.PaymentMethod, str]] = ..., gateway: _Optional[str] = ..., amount: _Optional[int] = ..., currency: _Optional[str] = ..., token: _Optional[str] = ...) -> None: ...

class CreatePaymentResponse(_message.Message):
    __slots__ = ("number", "again")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    AGAIN_FIELD_NUMBER: _ClassVar[int]
    number: int
    again: bool
    def __init__(self, number: _Optional[int] = ..., again: _Optional[bool] = ...) -> None: ...

class AdvancePaymentRequest(_message.Message):
    __slots__ = ("request_id", "channel", "payment_id", "step", "amount", "currency", "gateway", "reference", "at_us")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    AT_US_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    channel: str
    payment_id: str
    step: _life_pb2.PaymentStep
    amount: int
    currency: str
    gateway: str
    reference: str
    at_us: int
    def __init__(self, request_id: _Optional[str] = ..., channel: _Optional[str] = ..., payment_id: _Optional[str] = ..., step: _Optional[_Union[_life_pb2.PaymentStep, str]] = ..., amount: _Optional[int] = ..., currency: _Optional[str] = ..., gateway: _Optional[str] = ..., reference: _Optional[str] = ..., at_us: _Optional[int] = ...) -> None: ...

class AdvancePaymentResponse(_message.Message):
    __slots__ = ("amount", "again")
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    AGAIN_FIELD_NUMBER: _ClassVar[int]
    amount: int
    again: bool
    def __init__(self, amount: _Optional[int] = ..., again: _Optional[bool] = ...) -> None: ...

class RefundOrderRequest(_message.Message):
    __slots__ = ("request_id", "channel", "order_id", "payment_id", "amount", "currency", "to")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    channel: str
    order_id: str
    payment_id: str
    amount: int
    currency: str
    to: _life_pb2.RefundTo
    def __init__(self, request_id: _Optional[str] = ..., channel: _Optional[str] = ..., order_id: _Optional[str] = ..., payment_id: _Optional[str] = ..., amount: _Optional[int] = ..., currency: _Optional[str] = ..., to: _Optional[_Union[_life_pb2.RefundTo, str]] = ...) -> None: ...

class RefundOrderResponse(_message.Message):
    __slots__ = ("number", "again")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    AGAIN_FIELD_NUMBER: _ClassVar[int]
    number: int
    again: bool
    def __init__(self, number: _Optional[int] = ..., again: _Optional[bool] = ...) -> None: ...

class AdvanceRefundRequest(_message.Message):
    __slots__ = ("request_id", "channel", "order_id", "payment_id", "number", "step")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    channel: str
    order_id: str
    payment_id: str
    number: int
    step: _life_pb2.RefundStep
    def __init__(self, request_id: _Optional[str] = ..., channel: _Optional[str] = ..., order_id: _Optional[str] = ..., payment_id: _Optional[str] = ..., number: _Optional[int] = ..., step: _Optional[_Union[_life_pb2.RefundStep, str]] = ...) -> None: ...

class AdvanceRefundResponse(_message.Message):
    __slots__ = ("amount", "again")
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    AGAIN_FIELD_NUMBER: _ClassVar[int]
    amount: int
    again: bool
    def __init__(self, amount: _Optional[int] = ..., again: _Optional[bool] = ...) -> None: ...

class AdvancePaymentsRequest(_message.Message):
    __slots__ = ("steps",)
    STEPS_FIELD_NUMBER: _ClassVar[int]
    steps: _life_pb2.StepBatch
    def __init__(self, steps: _Optional[_Union[_life_pb2.StepBatch, _Mapping]] = ...) -> None: ...

class AdvancePaymentsResponse(_message.Message):
    __slots__ = ("answers", "problem")
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    answers: _life_pb2.StepAnswers
    problem: _types_pb2.Problem
    def __init__(self, answers: _Optional[_Union[_life_pb2.StepAnswers, _Mapping]] = ..., problem: _Optional[_Union[_types_pb2.Problem, _Mapping]] = ...) -> None: ...

class GetPaymentRequest(_message.Message):
    __slots__ = ("channel", "payment_id", "gateway", "reference", "number")
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    channel: str
    payment_id: str
    gateway: str
    reference: str
    number: int
    def __init__(self, channel: _Optional[str] = ..., payment_id: _Optional[str] = ..., gateway: _Optional[str] = ..., reference: _Optional[str] = ..., number: _Optional[int] = ...) -> None: ...

class GetPaymentResponse(_message.Message):
    __slots__ = ("payment", "order_number", "currency", "sequence", "channel", "refunds")
    PAYMENT_FIELD_NUMBER: _ClassVar[int]
    ORDER_NUMBER_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    REFUNDS_FIELD_NUMBER: _ClassVar[int]
    payment: _life_pb2.Payment
    order_number: int
    currency: str
    sequence: int
    channel: str
    refunds: _containers.RepeatedCompositeFieldContainer[_life_pb2.Refund]
    def __init__(self, payment: _Optional[_Union[_life_pb2.Payment, _Mapping]] = ..., order_number: _Optional[int] = ..., currency: _Optional[str] = ..., sequence: _Optional[int] = ..., channel: _Optional[str] = ..., refunds: _Optional[_Iterable[_Union[_life_pb2.Refund, _Mapping]]] = ...) -> None: ...

class GetLedgerRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetLedgerResponse(_message.Message):
    __slots__ = ("balances", "sequence")
    BALANCES_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    balances: _containers.RepeatedCompositeFieldContainer[AccountBalance]
    sequence: int
    def __init__(self, balances: _Optional[_Iterable[_Union[AccountBalance, _Mapping]]] = ..., sequence: _Optional[int] = ...) -> None: ...

class AccountBalance(_message.Message):
    __slots__ = ("currency", "account", "amount")
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    currency: str
    account: str
    amount: int
    def __init__(self, currency: _Optional[str] = ..., account: _Optional[str] = ..., amount: _Optional[int] = ...) -> None: ...
