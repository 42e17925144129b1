"""The data folder: its identity, its lock, its journal and snapshots. One folder is one engine and one tenant.

`allot.json` says the format and holds the secret that keys are hashed with; `LOCK` is held by the one writer.
"""

import fcntl
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from engine.columns import LIMIT_RANGES, Limits
from engine.disk import FolderDisk
from engine.outcomes import EngineError

FORMAT = 1
IDENTITY = "allot.json"
UNFINISHED = IDENTITY + ".new"  # what a kill leaves of an identity that was being written
LOCK = "LOCK"


class FolderError(EngineError):
    """The data folder cannot be used; the message says why and what to do."""


class DataFolder:
    """An opened data folder; `lock` before writing."""

    def __init__(self, path: Path, secret: np.ndarray, limits: Limits) -> None:
        self.path = path
        self.secret = secret
        self.limits = limits
        self.disk = FolderDisk(path)
        self._lock: int | None = None

    @classmethod
    def create(cls, path: Path, secret: bytes, limits: Limits | None = None) -> "DataFolder":
        """Make a new data folder; one that is there is left as it is. secret: 32 random bytes, drawn at the edge."""
        assert len(secret) == 32, "the secret of a folder has 32 bytes"
        identity = {"format": FORMAT, "secret": secret.hex(), "limits": asdict(limits or Limits())}
        try:
            new = [folder for folder in (path, *path.parents) if not folder.exists()]
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FolderError(f"data folder {path}: cannot be made: {error.strerror}") from error
        lock = _take_lock(path)
        try:
            if not cls.exists(path):  # another process may have made it meanwhile, and may have begun to write
                _write_identity(path, identity)
            for folder in dict.fromkeys((path, path.parent, *(made.parent for made in new))):
                _sync(folder)
        except OSError as error:
            raise FolderError(f"data folder {path}: cannot be made: {error.strerror}") from error
        finally:
            os.close(lock)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> "DataFolder":
        """Open an existing data folder."""
        try:
            identity: dict[str, Any] = json.loads((path / IDENTITY).read_text())
            newest = int(identity.get("format", 0))
            if newest > FORMAT:  # before all else: a newer version may hold other things
                raise FolderError(
                    f"{path} has format {newest}, this program knows up to {FORMAT}: use the newer program"
                )
            secret = np.frombuffer(bytes.fromhex(identity["secret"]), np.uint64).copy()
            if secret.size != 4:
                raise ValueError(f"the secret has {secret.size * 8} bytes instead of 32")
            limits = Limits(**identity["limits"])
            for name, limit in identity["limits"].items():
                if type(limit) is not int:
                    raise ValueError(f"{name} is {limit!r}")
                low, high = LIMIT_RANGES[name]
                if not low <= limit <= high:
                    raise FolderError(f"{path / IDENTITY}: {name} is {limit}: set it to a number from {low} to {high}")
        except FileNotFoundError:
            raise FolderError(f"{path} is no data folder of allot: {IDENTITY} is missing") from None
        except OSError as error:
            raise FolderError(f"{path / IDENTITY}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FolderError(f"{path / IDENTITY} is damaged: {error}; restore it from a backup") from error
        return cls(path, secret, limits)

    @staticmethod
    def exists(path: Path) -> bool:
        """Whether a data folder is there."""
        return (path / IDENTITY).exists()

    def lock(self) -> None:
        """Become the one writer, until `close` or the end of the process."""
        self._lock = _take_lock(self.path)

    def in_use(self) -> bool | None:
        """Whether another process writes here; None where it cannot be told. The lock is let go of at once."""
        try:
            lock = os.open(self.path / LOCK, os.O_RDONLY)
        except FileNotFoundError:
            return False
        except OSError:
            return None
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False

    def close(self) -> None:
        """Let go of the lock and the files."""
        self.disk.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _take_lock(path: Path) -> int:
    """The lock of a folder, as a descriptor that holds it."""
    try:
        lock = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise FolderError(f"data folder {path}: {error.strerror}; it must be writable") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise FolderError(f"data folder {path} is in use by another process: stop it first") from None
    return lock


def _write_identity(path: Path, identity: dict[str, Any]) -> None:
    """Whole or not at all."""
    unfinished = path / UNFINISHED
    with open(unfinished, "w") as file:
        os.fchmod(file.fileno(), 0o600)
        json.dump(identity, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path / IDENTITY)


def _sync(folder: Path) -> None:
    """Make the names in a folder durable."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # it may be entered, not read: all there is to sync, then
        os.sync()
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
