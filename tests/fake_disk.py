"""A disk in memory that keeps what is durable apart from what is not; records a trace, fails on request, loses power.

`crashes(trace)` yields every state that a power loss may leave behind, at every step of the trace.
"""

import copy
import errno
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

CHANGES = ("create", "extend", "write", "sync", "sync_folder", "truncate", "rename", "remove")


class Step(NamedTuple):
    """One change, or a note of the test ("acknowledged" and what)."""

    kind: str
    arguments: tuple[Any, ...]


@dataclass
class _File:
    content: bytearray = field(default_factory=bytearray)
    durable: bytes = b""
    unsynced: list[tuple[int, bytes]] = field(default_factory=list)


class FakeDisk:
    """The interface of engine.disk.Disk. With `capacity_bytes`, setting more space aside is ENOSPC."""

    def __init__(self, capacity_bytes: int | None = None) -> None:
        self.capacity_bytes = capacity_bytes
        self.trace: list[Step] = []
        self._files: dict[str, _File] = {}
        self._durable_names: dict[str, _File] = {}
        self._failures: list[tuple[str, int, int]] = []
        self._calls: dict[str, int] = {}

    # What a test asks of it

    def fail(self, kind: str, error: int = errno.EIO, after: int = 0) -> None:
        """Let one call of this kind fail, after as many more that succeed; "any" counts all changes."""
        self._failures.append((kind, self._calls.get(kind, 0) + after, error))

    def note(self, kind: str, *arguments: Any) -> None:
        self.trace.append(Step(kind, arguments))

    def content(self, name: str) -> bytearray:
        """The bytes themselves, to be looked at or spoilt."""
        return self._files[name].content

    def copy(self) -> "FakeDisk":
        """Another disk with the same files, all durable."""
        other = type(self)(self.capacity_bytes)
        for name, file in self._files.items():
            other._files[name] = _File(bytearray(file.content), bytes(file.content))
        other._durable_names = dict(other._files)
        return other

    def after_power_loss(self, survives: str, sector_bytes: int = 512, seed: int = 0) -> "FakeDisk":
        """What may be there afterwards: "all" of what was written, "durable" alone, or "some" sectors of the rest."""
        chance = random.Random(seed)
        keep = {"all": lambda: True, "durable": lambda: False, "some": lambda: chance.random() < 0.5}[survives]
        names = self._files if keep() else self._durable_names
        other = type(self)(self.capacity_bytes)
        for name, file in names.items():
            content = bytearray(file.durable)
            size = len(file.content) if keep() else len(file.durable)
            if len(content) < size:
                content.extend(bytes(size - len(content)))
            for offset, data in file.unsynced:
                _write_some(content, offset, data, sector_bytes, keep)
            del content[size:]
            other._files[name] = _File(content, bytes(content))
        other._durable_names = dict(other._files)
        return other

    # The interface

    def names(self) -> list[str]:
        return sorted(self._files)

    def size(self, name: str) -> int:
        return len(self._file(name).content)

    def create(self, name: str, size: int) -> None:
        self._begin("create", name, size)
        if name in self._files:
            raise FileExistsError(errno.EEXIST, "file exists", name)
        self._files[name] = _File()
        self._grow(name, size)

    def extend(self, name: str, size: int) -> None:
        self._begin("extend", name, size)
        self._grow(name, size)

    def write(self, name: str, offset: int, buffers: Sequence[Any]) -> None:
        data = b"".join(buffers)
        self._begin("write", name, offset, [data])
        file = self._file(name)
        if offset + len(data) > len(file.content):
            file.content.extend(bytes(offset + len(data) - len(file.content)))
        file.content[offset : offset + len(data)] = data
        file.unsynced.append((offset, data))

    def sync(self, name: str) -> None:
        self._begin("sync", name)
        file = self._file(name)
        file.durable = bytes(file.content)
        file.unsynced.clear()

    def sync_folder(self) -> None:
        self._begin("sync_folder")
        self._durable_names = dict(self._files)

    def read(self, name: str, offset: int, length: int) -> bytes:
        self._begin("read", name)
        return bytes(self._file(name).content[offset : offset + length])

    def map(self, name: str) -> memoryview:
        self._begin("map", name)
        return memoryview(bytearray(self._file(name).content))

    def truncate(self, name: str, size: int) -> None:
        self._begin("truncate", name, size)
        del self._file(name).content[size:]

    def rename(self, old: str, new: str) -> None:
        self._begin("rename", old, new)
        self._files[new] = self._file(old)
        del self._files[old]

    def remove(self, name: str) -> None:
        self._begin("remove", name)
        self._file(name)
        del self._files[name]

    def close(self) -> None:
        pass

    def _file(self, name: str) -> _File:
        if name not in self._files:
            raise FileNotFoundError(errno.ENOENT, "no such file", name)
        return self._files[name]

    def _grow(self, name: str, size: int) -> None:
        used = sum(len(file.content) for file in self._files.values())
        file = self._files[name]
        if self.capacity_bytes is not None and used + size - len(file.content) > self.capacity_bytes:
            file.content.extend(bytes(max(0, self.capacity_bytes - used)))  # what there was is taken all the same
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)
        file.content.extend(bytes(max(0, size - len(file.content))))

    def _begin(self, kind: str, *arguments: Any) -> None:
        """Count the call, let it fail where that was asked for, and trace it where it changes something."""
        counted = [kind, "any"] if kind in CHANGES else [kind]
        for name in counted:
            number = self._calls.get(name, 0)
            self._calls[name] = number + 1
            for failure in self._failures:
                if failure[:2] == (name, number):
                    raise OSError(failure[2], os.strerror(failure[2]))
        if kind in CHANGES:
            self.trace.append(Step(kind, copy.copy(arguments)))


def _write_some(content: bytearray, offset: int, data: bytes, sector_bytes: int, keep: Any) -> None:
    at = offset
    while at < offset + len(data):
        end = min(at - at % sector_bytes + sector_bytes, offset + len(data))
        if keep():
            if len(content) < end:
                content.extend(bytes(end - len(content)))
            content[at:end] = data[at - offset : end - offset]
        at = end


class Crash(NamedTuple):
    """A power loss after a number of steps of a trace."""

    steps: int
    survives: str
    sector_bytes: int
    seed: int
    notes: tuple[Step, ...]  # those before it
    disk: FakeDisk


def crashes(trace: Sequence[Step], seeds: Sequence[int] = (1, 2, 3)) -> Iterator[Crash]:
    """Every step of the trace, before and after it, with all, none, and some of what was not yet durable."""
    disk = FakeDisk()
    notes: list[Step] = []
    for steps in range(len(trace) + 1):
        if steps:
            step = trace[steps - 1]
            if step.kind in CHANGES:
                getattr(disk, step.kind)(*step.arguments)
            else:
                notes.append(step)
        for survives in ("all", "durable"):
            yield Crash(steps, survives, 512, 0, tuple(notes), disk.after_power_loss(survives))
        for sector_bytes in (512, 4096):
            for seed in seeds:
                lost = disk.after_power_loss("some", sector_bytes, seed)
                yield Crash(steps, "some", sector_bytes, seed, tuple(notes), lost)
