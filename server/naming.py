"""Names that orders bring along: a postal code is placed by the server's table when it is first named, and currencies,
payment methods and service levels become words.

Nothing of an order is kept before its names are durable.
"""

import asyncio
import uuid
from collections.abc import Callable

import grpc
import numpy as np
import pyarrow as pa

from engine.commands import PutNames, PutPostalCodes
from engine.intake.postal_codes import Places
from engine.outcomes import Namespace
from server.batcher import Batcher
from server.errors import Rejection


class NotYetKnown(Rejection):
    """A text that the engine does not know, and that the server may be able to name."""

    def __init__(self, field: str, namespace: Namespace, text: str) -> None:
        code, reason, message = grpc.StatusCode.INVALID_ARGUMENT, f"UNKNOWN_{namespace.name}", f"{field}: {text!r}"
        if namespace is Namespace.POSTAL_CODE:
            message += " is not known, nor are its first three characters: mend it, or place it by PutPostalCodes"
        super().__init__(code, reason, message, field)
        self.namespace = namespace
        self.text = text


class Naming:
    """Names what orders bring along."""

    def __init__(self, batcher: Batcher, places: Callable[[], Places | None]) -> None:
        """places: the table of postal codes, or None; called once, in a thread, when a code is first asked for."""
        self._batcher = batcher
        self._read_places = places
        self._places: asyncio.Future[Places | None] | None = None

    async def place(self, codes: pa.Array, deadline: float) -> bool:
        """Put those postal codes of distinct ones that the table knows; whether there were any."""
        places = await self.places()
        if places is None:
            return False
        found = places.find(codes)
        known = np.flatnonzero(found.known)
        if known.size == 0:
            return False
        command = PutPostalCodes(
            f"places {uuid.uuid4()}", codes.take(pa.array(known)), found.latitude_e7[known], found.longitude_e7[known],
            found.area[known].astype(np.uint8),
        )  # fmt: skip
        await self._batcher.ask(command, deadline)
        return True

    async def name(self, words: pa.Array, deadline: float) -> None:
        """Put words."""
        await self._batcher.ask(PutNames(f"words {uuid.uuid4()}", Namespace.WORD, words), deadline)

    async def name_one(self, unknown: NotYetKnown, deadline: float) -> None:
        """Put what a single order names. Raises it where that cannot be."""
        texts = pa.array([unknown.text], pa.string())
        if unknown.namespace is Namespace.WORD:
            await self.name(texts, deadline)
        elif unknown.namespace is not Namespace.POSTAL_CODE or not await self.place(texts, deadline):
            raise unknown

    async def places(self) -> Places | None:
        """The table of postal codes, read when it is first needed."""
        if self._places is None:
            loop = asyncio.get_running_loop()
            self._places = loop.run_in_executor(None, self._read_places)
        return await asyncio.shield(self._places)
