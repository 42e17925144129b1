"""Why a call failed, for programs: a code, a reason in UPPER_SNAKE, the field at fault, and when to try again.

Every failure of the service is an `AllotError`. There is a subclass where callers do something else next; the rest is
told apart by `reason`. A short order is no failure: it is an outcome of the decision.
"""

from collections.abc import Iterable
from typing import Any, cast

import grpc
from google.rpc import error_details_pb2, status_pb2

from allot.v1 import types_pb2

_DETAILS = "grpc-status-details-bin"
# All that gRPC says of a call that came, or of a stream whose last word was lost, while the server stopped; what a
# caller cancels himself says more.
_SERVER_STOPS = {grpc.StatusCode.CANCELLED: "CANCELLED", grpc.StatusCode.UNKNOWN: "Stream removed"}


class AllotError(Exception):
    """A call, or one message of a stream, that failed."""

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        reason: str = "",
        field: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message  # for people: the field, the value and the mend
        self.reason = reason  # UPPER_SNAKE, stable; empty where the failure is not the service's own
        self.field = field  # such as order.lines[0].sku; empty where it is none
        self.retry_after = retry_after  # seconds to wait before trying again; None: trying again as it is does not help

    def __str__(self) -> str:
        return self.message or self.reason or self.code.name


class Invalid(AllotError):
    """A field of the request will not do. Mend it."""


class Unknown(AllotError):
    """Something that the request names is not known: `reason` is UNKNOWN_SKU, UNKNOWN_CHANNEL, and so on."""


class KeyConflict(AllotError):
    """The id was used before with other content. The first one stands."""


class ReservationOver(AllotError):
    """The reservation holds nothing any more: it expired, or it was confirmed or released."""


class NotAllowed(AllotError):
    """No token, one that is not known, or one whose role may not call this."""


class Busy(AllotError):
    """Too much is waiting. Nothing was changed; try again after `retry_after` seconds."""


class Unavailable(AllotError):
    """No server answered, for as long as the call was tried again. What became of it is not known: the same call again,
    with the same ids, is safe."""


class TimedOut(AllotError):
    """The deadline passed. What became of the call is not known: the same call again, with the same ids, is safe."""


_BY_REASON = {
    "KEY_CONFLICT": KeyConflict,
    "RESERVATION_EXPIRED": ReservationOver,
    "RESERVATION_ENDED": ReservationOver,
}
_BY_CODE = {
    grpc.StatusCode.INVALID_ARGUMENT: Invalid,
    grpc.StatusCode.NOT_FOUND: Unknown,
    grpc.StatusCode.UNAUTHENTICATED: NotAllowed,
    grpc.StatusCode.PERMISSION_DENIED: NotAllowed,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Busy,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: TimedOut,
}


def _class_of(code: grpc.StatusCode, reason: str) -> type[AllotError]:
    if reason in _BY_REASON:
        return _BY_REASON[reason]
    return Unknown if reason.startswith("UNKNOWN_") else _BY_CODE.get(code, AllotError)


def error_of(error: grpc.RpcError) -> AllotError:
    """What gRPC raised, with the details that the service sent along."""
    call = cast(Any, error)
    code: grpc.StatusCode = call.code()
    message, reason, field, retry_after = call.details() or "", "", "", None
    for detail in _details(call.trailing_metadata()):
        if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            info = error_details_pb2.ErrorInfo.FromString(detail.value)
            reason = info.reason
            field = field or info.metadata.get("field", "")
        elif detail.Is(error_details_pb2.BadRequest.DESCRIPTOR):
            for violation in error_details_pb2.BadRequest.FromString(detail.value).field_violations[:1]:
                field = violation.field
        elif detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
            delay = error_details_pb2.RetryInfo.FromString(detail.value).retry_delay
            retry_after = delay.seconds + delay.nanos / 1e9
    stops = _SERVER_STOPS.get(code)  # what gRPC knows more stands behind it in brackets
    kind = Unavailable if stops and message.partition(" (")[0] == stops else _class_of(code, reason)
    return kind(code, message, reason, field, retry_after)


def _details(metadata: Iterable[tuple[str, Any]] | None) -> Iterable[Any]:
    for key, value in metadata or ():
        if key == _DETAILS:
            return cast(Iterable[Any], status_pb2.Status.FromString(value).details)
    return ()


def error_of_problem(problem: types_pb2.Problem) -> AllotError:
    """What a stream said of one message, as the failure that a single call would have raised."""
    retry_after = problem.retry_after_ms / 1000 if problem.retry_after_ms else None
    code = grpc.StatusCode.INVALID_ARGUMENT
    if retry_after is not None:
        code = grpc.StatusCode.RESOURCE_EXHAUSTED
    elif problem.reason == "KEY_CONFLICT":
        code = grpc.StatusCode.ALREADY_EXISTS
    found = _class_of(code, problem.reason)
    return found(code, problem.message, problem.reason, problem.field, retry_after)
