from allot.v1 import life_pb2 as _life_pb2
from allot.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreateReturnRequest(_message.Message):
    __slots__ = ("request_id", "channel", "order_id", "return_id", "line", "quantity", "kind", "reason", "condition", "as_credit")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    RETURN_ID_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    AS_CREDIT_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    channel: str
    order_id: str
    return_id: str
    line: int
    quantity: int
    kind: _life_pb2.ReturnKind
    reason: str
    condition: _life_pb2.Condition
    as_credit: bool
    def __init__(self, request_id: _Optional[str] = ..., channel: _Optional[str] = ..., order_id: _Optional[str] = ..., return_id: _Optional[str] = ..., line: _Optional[int] = ..., quantity: _Optional[int] = ..., kind: _Optional[_Union[_life_pb2.ReturnKind, str]] = ..., reason: _Optional[str] = ..., condition: _Optional[_Union[_life_pb2.Condition, str]] = ..., as_credit: _Optional[bool] = ...) -> None: ...

class CreateReturnResponse(_message.Message):
    __slots__ = ("number", "again")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    AGAIN_FIELD_NUMBER: _ClassVar[int]
    number: int
    again: bool
    def __init__(self, number: _Optional[int] = ..., again: _Optional[bool] = ...) -> None: ...

class AdvanceReturnRequest(_message.Message):
    __slots__ = ("request_id", "channel", "return_id", "step", "quantity", "node_id", "disposition")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    RETURN_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    DISPOSITION_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    channel: str
    return_id: str
    step: _life_pb2.ReturnStep
    quantity: int
    node_id: str
    disposition: _life_pb2.Disposition
    def __init__(self, request_id: _Optional[str] = ..., channel: _Optional[str] = ..., return_id: _Optional[str] = ..., step: _Optional[_Union[_life_pb2.ReturnStep, str]] = ..., quantity: _Optional[int] = ..., node_id: _Optional[str] = ..., disposition: _Optional[_Union[_life_pb2.Disposition, str]] = ...) -> None: ...

class AdvanceReturnResponse(_message.Message):
    __slots__ = ("quantity", "again")
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    AGAIN_FIELD_NUMBER: _ClassVar[int]
    quantity: int
    again: bool
    def __init__(self, quantity: _Optional[int] = ..., again: _Optional[bool] = ...) -> None: ...

class AdvanceReturnsRequest(_message.Message):
    __slots__ = ("steps",)
    STEPS_FIELD_NUMBER: _ClassVar[int]
    steps: _life_pb2.StepBatch
    def __init__(self, steps: _Optional[_Union[_life_pb2.StepBatch, _Mapping]] = ...) -> None: ...

class AdvanceReturnsResponse(_message.Message):
    __slots__ = ("answers", "problem")
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    answers: _life_pb2.StepAnswers
    problem: _types_pb2.Problem
    def __init__(self, answers: _Optional[_Union[_life_pb2.StepAnswers, _Mapping]] = ..., problem: _Optional[_Union[_types_pb2.Problem, _Mapping]] = ...) -> None: ...

class GetReturnRequest(_message.Message):
    __slots__ = ("channel", "return_id")
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    RETURN_ID_FIELD_NUMBER: _ClassVar[int]
    channel: str
    return_id: str
    def __init__(self, channel: _Optional[str] = ..., return_id: _Optional[str] = ...) -> None: ...

class GetReturnResponse(_message.Message):
    __slots__ = ("returned", "order_number", "sequence")
    RETURNED_FIELD_NUMBER: _ClassVar[int]
    ORDER_NUMBER_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    returned: _life_pb2.Return
    order_number: int
    sequence: int
    def __init__(self, returned: _Optional[_Union[_life_pb2.Return, _Mapping]] = ..., order_number: _Optional[int] = ..., sequence: _Optional[int] = ...) -> None: ...

class ReturnPolicy(_message.Message):
    __slots__ = ("channel", "category", "return_days", "claim_days", "refund_days", "fee", "conditions", "approves_at_once", "refunds_shipping", "exchanges")
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    RETURN_DAYS_FIELD_NUMBER: _ClassVar[int]
    CLAIM_DAYS_FIELD_NUMBER: _ClassVar[int]
    REFUND_DAYS_FIELD_NUMBER: _ClassVar[int]
    FEE_FIELD_NUMBER: _ClassVar[int]
    CONDITIONS_FIELD_NUMBER: _ClassVar[int]
    APPROVES_AT_ONCE_FIELD_NUMBER: _ClassVar[int]
    REFUNDS_SHIPPING_FIELD_NUMBER: _ClassVar[int]
    EXCHANGES_FIELD_NUMBER: _ClassVar[int]
    channel: str
    category: str
    return_days: int
    claim_days: int
    refund_days: int
    fee: int
    conditions: _containers.RepeatedScalarFieldContainer[_life_pb2.Condition]
    approves_at_once: bool
    refunds_shipping: bool
    exchanges: bool
    def __init__(self, channel: _Optional[str] = ..., category: _Optional[str] = ..., return_days: _Optional[int] = ..., claim_days: _Optional[int] = ..., refund_days: _Optional[int] = ..., fee: _Optional[int] = ..., conditions: _Optional[_Iterable[_Union[_life_pb2.Condition, str]]] = ..., approves_at_once: _Optional[bool] = ..., refunds_shipping: _Optional[bool] = ..., exchanges: _Optional[bool] = ...) -> None: ...

class PutReturnPoliciesRequest(_message.Message):
    __slots__ = ("request_id", "policies", "categories")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    policies: _containers.RepeatedCompositeFieldContainer[ReturnPolicy]
    categories: _containers.RepeatedCompositeFieldContainer[SkuCategory]
    def __init__(self, request_id: _Optional[str] = ..., policies: _Optional[_Iterable[_Union[ReturnPolicy, _Mapping]]] = ..., categories: _Optional[_Iterable[_Union[SkuCategory, _Mapping]]] = ...) -> None: ...

class SkuCategory(_message.Message):
    __slots__ = ("sku", "category")
    SKU_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    sku: str
    category: str
    def __init__(self, sku: _Optional[str] = ..., category: _Optional[str] = ...) -> None: ...

class PutReturnPoliciesResponse(_message.Message):
    __slots__ = ("policies", "again")
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    AGAIN_FIELD_NUMBER: _ClassVar[int]
    policies: int
    again: bool
    def __init__(self, policies: _Optional[int] = ..., again: _Optional[bool] = ...) -> None: ...

class ListReturnPoliciesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListReturnPoliciesResponse(_message.Message):
    __slots__ = ("policies",)
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    policies: _containers.RepeatedCompositeFieldContainer[ReturnPolicy]
    def __init__(self, policies: _Optional[_Iterable[_Union[ReturnPolicy, _Mapping]]] = ...) -> None: ...
