"""How anybody outside is asked, whatever for: what may go wrong with a call, and calls over plain HTTP.

Calls carry keys that come from events, so one that is made again, after a kill or a lost answer, does nothing twice.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import httpx

TIMEOUT_SECONDS = 10.0
KEY_HEADER = "x-idempotency-key"
_AGAIN = (408, 425, 429)  # of what is below 500: later it may do
_Found = TypeVar("_Found")


class Unreachable(Exception):
    """No answer, or none that says what became of the call: make it again with the same key."""


class Declined(Exception):
    """They have answered, and will not: making the call again does not help."""


class Http:
    """Calls of one of ours that stands in for a gateway or a carrier (server/local/)."""

    def __init__(self, url: str, timeout: float = TIMEOUT_SECONDS) -> None:
        self._client = httpx.AsyncClient(base_url=url, timeout=timeout)

    async def ask(
        self, path: str, body: dict[str, Any], take: Callable[[dict[str, Any]], _Found], key: str = ""
    ) -> _Found:  # fmt: skip
        """What `take` makes of the answer. Raises Unreachable, also where the answer has not what is taken of it;
        Declined."""
        try:
            answer = await self._client.post(path, json=body, headers={KEY_HEADER: key} if key else {})
        except httpx.HTTPError as error:
            raise Unreachable(f"{type(error).__name__}: {error}") from error
        if answer.status_code >= 500 or answer.status_code in _AGAIN:
            raise Unreachable(f"{answer.status_code}: {answer.text[:200]}")
        if answer.status_code >= 400:
            raise Declined(f"{answer.status_code}: {answer.text[:200]}")
        try:
            return take(answer.json())
        except (ValueError, KeyError, TypeError) as error:
            raise Unreachable(f"{answer.status_code}, and not the answer of {path}: {error!r}") from None
