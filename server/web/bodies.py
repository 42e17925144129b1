"""Bodies of requests, with limits: of one, of all that are read at once, and of how long one may take."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import ClientDisconnect, Request

BODY_SECONDS_MAX = 30.0
BODIES_BYTES_MAX = 256 << 20  # of all together: nobody has said yet who he is


class BodyRefused(Exception):
    """A body that is not read: the status of the answer, the reason, and the mend."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason = status, reason


class Bodies:
    """Those of one process."""

    def __init__(self, bytes_max: int = BODIES_BYTES_MAX) -> None:
        self._bytes_max, self._held = bytes_max, 0

    @asynccontextmanager
    async def of(self, request: Request, bytes_max: int) -> AsyncIterator[bytes]:
        """A request's raw bytes, for the length of a block. Raises BodyRefused."""
        told = request.headers.get("content-length", "0")
        if len(told) > 18 or not (told.isascii() and told.isdecimal()) or int(told) > bytes_max:
            raise BodyRefused(413, "TOO_LARGE", f"at most {bytes_max} bytes")
        body = bytearray()
        try:
            await self._read(request, bytes_max, body)
            yield bytes(body)
        finally:
            self._held -= len(body)

    async def _read(self, request: Request, bytes_max: int, body: bytearray) -> None:
        try:
            async with asyncio.timeout(BODY_SECONDS_MAX):
                async for piece in request.stream():
                    body += piece
                    self._held += len(piece)
                    if len(body) > bytes_max:
                        raise BodyRefused(413, "TOO_LARGE", f"at most {bytes_max} bytes")
                    if self._held > self._bytes_max:
                        raise BodyRefused(503, "TOO_MANY_BODIES", "too much is being read: send it again")
        except TimeoutError:
            raise BodyRefused(408, "TOO_SLOW", f"send it within {BODY_SECONDS_MAX:g} seconds") from None
        except ClientDisconnect:
            raise BodyRefused(400, "CUT_OFF", "the body ended early") from None
