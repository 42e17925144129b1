"""How anybody outside is asked, whatever for: what may go wrong with a call, calls over plain HTTP, calls that block.

Calls carry keys that come from events, so one that is made again, after a kill or a lost answer, does nothing twice.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import httpx

TIMEOUT_SECONDS = 10.0
KEY_HEADER = "x-idempotency-key"
_REFUSALS = (400, 402, 404, 410, 422)  # of what is asked; others say who may ask, or that it is under way
_AGAIN = (408, 425, 429)  # of what is below 500: later it may do
_Found = TypeVar("_Found")


class Unreachable(Exception):
    """No answer, or none that says what became of the call: make it again with the same key."""


class Declined(Exception):
    """They have answered, and will not: making the call again does not help."""


def check_answer(answer: Any, **asked: Any) -> None:
    """Raises Unreachable where an answer is of something else than was asked: what became of that is not known."""
    for name, value in asked.items():
        found = answer.get(name) if isinstance(answer, Mapping) else None
        if type(found) is not type(value) or found != value:
            raise Unreachable(f"it answered with something else: {name} is {found!r}, and {value!r} was asked for")


class Http:
    """Calls of one of ours that stands in for a gateway or a carrier (server/local/)."""

    def __init__(self, url: str, timeout: float = TIMEOUT_SECONDS) -> None:
        self._client = httpx.AsyncClient(base_url=url, timeout=timeout)

    async def ask(
        self, path: str, body: dict[str, Any] | None, take: Callable[[Any], _Found], key: str = ""
    ) -> _Found:  # fmt: skip
        """What `take` makes of the answer. body: None: it is only looked up. Raises Unreachable, also where the answer
        has not what is taken of it; Declined."""
        method, headers = "GET" if body is None else "POST", {KEY_HEADER: key} if key else {}
        try:
            answer = await self._client.request(method, path, json=body, headers=headers)
        except httpx.HTTPError as error:
            raise Unreachable(f"{type(error).__name__}: {error}") from error
        if answer.status_code >= 500 or answer.status_code in _AGAIN:
            raise Unreachable(f"{answer.status_code}: {answer.text[:200]}")
        is_theirs = "json" in answer.headers.get("content-type", "")  # and not of a proxy before them
        if answer.status_code >= 400 and not (is_theirs and answer.status_code in _REFUSALS):
            raise Unreachable(f"{answer.status_code}: {answer.text[:200]}")
        if answer.status_code >= 400:
            raise Declined(f"{answer.status_code}: {answer.text[:200]}")
        try:
            return take(answer.json())
        except (ValueError, KeyError, TypeError) as error:
            raise Unreachable(f"{answer.status_code}, and not the answer of {path}: {error!r}") from None


class Threads:
    """Calls of libraries that block, in threads that nobody waits for at the end."""

    def __init__(self, at_once: int) -> None:
        self._room = asyncio.Semaphore(at_once)

    async def ask(self, call: Callable[[], _Found]) -> _Found:
        """What it returns or raises."""
        loop = asyncio.get_running_loop()
        async with self._room:
            future: asyncio.Future[_Found] = loop.create_future()

            def settle(settled: Callable[[Any], None], what: Any) -> None:
                if not future.done():
                    settled(what)

            def work() -> None:
                try:
                    settled, what = future.set_result, call()
                except BaseException as error:
                    settled, what = future.set_exception, error  # type: ignore[assignment]
                with contextlib.suppress(RuntimeError):  # the loop has ended
                    loop.call_soon_threadsafe(settle, settled, what)

            threading.Thread(target=work, name="allot-asking", daemon=True).start()
            return await future
