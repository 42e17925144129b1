"""Health of the service and of its parts, as gRPC has it; and, to whom a token lets in, the version that runs."""

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from grpc_health.v1 import health, health_pb2

VERSION_KEY = "allot-version"  # of the metadata that follow the answer of List


class Health(health.aio.HealthServicer):
    """Check and Watch as gRPC's own; List too."""

    def __init__(self) -> None:
        super().__init__()
        self._statuses: dict[str, Any] = {}

    async def set(self, service: str, status: Any) -> None:
        """How a service stands from now on."""
        self._statuses[service] = status
        await super().set(service, status)

    async def List(self, request: Any, context: Any) -> Any:  # noqa: N802
        """How every service stands."""
        context.set_trailing_metadata(((VERSION_KEY, running_version()),))
        statuses = {name: health_pb2.HealthCheckResponse(status=status) for name, status in self._statuses.items()}
        return health_pb2.HealthListResponse(statuses=statuses)


def running_version() -> str:
    """Of allot, as it is installed; empty where it is not."""
    try:
        return version("allot")
    except PackageNotFoundError:
        return ""
