"""How far a worker is, in a file of its own: what is before it is done for good, but for the events that are parked."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from server.workers.failure import WorkerError


class Progress(NamedTuple):
    """What a cursor's file holds."""

    at: str  # the last event of those that are done; empty: none
    parked: tuple[str, ...] = ()  # events before that which are not


class Cursor:
    """One such file, of one part of one worker: {"cursor": "1234-5", "parked": ["1200-1"]}."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, default: str = "") -> str:
        """Where to go on; the default where nothing is done yet. Raises WorkerError where the file is damaged."""
        found = self.progress()
        return default if found is None else found.at

    def progress(self) -> Progress | None:
        """All that it holds; None where nothing is done yet. Raises WorkerError where the file is damaged."""
        try:
            content = json.loads(self._path.read_bytes())
            at, parked = content["cursor"], content.get("parked", [])
            if isinstance(at, str) and isinstance(parked, list) and all(isinstance(one, str) for one in parked):
                return Progress(at, tuple(parked))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError):
            pass
        raise WorkerError(
            "CURSOR_DAMAGED", f"{self._path} holds no cursor: put it back from a backup, or write "
            '{"cursor": "SEQUENCE-0"} into it, to do again all that came with that commit and after it; without the '
            "file, all is looked at from the beginning",
        )  # fmt: skip

    def write(self, at: str, parked: Iterable[str] = ()) -> None:
        """Durable when it returns; a crash leaves the old one or the new one."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        new = self._path.with_name(self._path.name + ".new")
        with new.open("w") as file:
            json.dump({"cursor": at, "parked": list(parked)}, file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
