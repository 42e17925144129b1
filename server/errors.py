"""Why a call fails: a `Rejection` is raised anywhere at the edge, and becomes a gRPC status that says the reason in
UPPER_SNAKE, the field at fault, and when to try again.

Unary calls end by it; streams answer with it as a `Problem` and go on.
"""

from dataclasses import dataclass

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from allot.v1 import types_pb2

DOMAIN = "allot"


@dataclass
class Rejection(Exception):
    """A call, or one message of a stream, that is not carried out. Nothing was changed."""

    code: grpc.StatusCode
    reason: str  # UPPER_SNAKE, stable
    message: str  # the field, the value and the mend
    field: str = ""
    retry_after_ms: int = 0  # 0: trying again as it is does not help

    def __str__(self) -> str:
        return self.message

    def status(self) -> grpc.Status:
        """The rich status of a unary call."""
        details = [error_details_pb2.ErrorInfo(reason=self.reason, domain=DOMAIN, metadata=self._metadata())]
        packed = []
        if self.field:
            violation = error_details_pb2.BadRequest.FieldViolation(
                field=self.field, description=self.message, reason=self.reason
            )
            details.append(error_details_pb2.BadRequest(field_violations=[violation]))
        if self.retry_after_ms:
            delay = duration_pb2.Duration()
            delay.FromMilliseconds(self.retry_after_ms)
            details.append(error_details_pb2.RetryInfo(retry_delay=delay))
        for detail in details:
            packed.append(any_pb2.Any())
            packed[-1].Pack(detail)
        return rpc_status.to_status(
            status_pb2.Status(code=code_pb2.Code.Value(self.code.name), message=self.message, details=packed)
        )

    def _metadata(self) -> dict[str, str]:
        return {"field": self.field} if self.field else {}

    def problem(self) -> types_pb2.Problem:
        """What a stream says of one of its messages."""
        return types_pb2.Problem(
            reason=self.reason, field=self.field, message=self.message, retry_after_ms=self.retry_after_ms
        )


def invalid(field: str, message: str, reason: str = "INVALID_VALUE") -> Rejection:
    """A field that will not do."""
    return Rejection(grpc.StatusCode.INVALID_ARGUMENT, reason, message, field)


def busy(message: str, reason: str, retry_after_ms: int) -> Rejection:
    """Too much is waiting, or a limit is reached for now."""
    return Rejection(grpc.StatusCode.RESOURCE_EXHAUSTED, reason, message, retry_after_ms=retry_after_ms)
