"""The only file operations of the journal and of snapshots: a folder on a real disk. Below engine/journal; tests put a
disk that forgets, tears and fails in its place.

Names are relative to the folder, with at most one subfolder ("archive/x"). What is durable when: bytes and size of a
file after `sync`, its name after `sync_folder`.
"""

import errno
import mmap
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

WRITE_BUFFERS_MAX = 1024  # IOV_MAX
OUT_OF_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the last: a limit on the size of files


class Disk(Protocol):
    """Every method raises OSError as the operating system does; FileNotFoundError where a name is missing."""

    def names(self) -> list[str]:
        """All files, sorted."""
        ...

    def size(self, name: str) -> int:
        """Bytes."""
        ...

    def create(self, name: str, size: int) -> None:
        """A new file of `size` zero bytes, its space set aside. FileExistsError where there is one."""
        ...

    def extend(self, name: str, size: int) -> None:
        """Grow to `size` bytes, zeros, their space set aside."""
        ...

    def write(self, name: str, offset: int, buffers: Sequence[Any]) -> None:
        """All bytes of the buffers, one after the other, or an error. One system call; no copy."""
        ...

    def sync(self, name: str) -> None:
        """Make bytes and size durable."""
        ...

    def sync_folder(self) -> None:
        """Make names durable."""
        ...

    def read(self, name: str, offset: int, length: int) -> bytes:
        """Up to `length` bytes; fewer at the end of the file."""
        ...

    def map(self, name: str) -> memoryview:
        """The whole file, lazily. Writing to the view changes private memory only, never the file."""
        ...

    def truncate(self, name: str, size: int) -> None: ...

    def rename(self, old: str, new: str) -> None:
        """Replaces `new`."""
        ...

    def remove(self, name: str) -> None: ...

    def close(self) -> None: ...


class FolderDisk:
    """A folder. Files that are written keep their descriptor open."""

    def __init__(self, path: str | Path, read_only: bool = False) -> None:
        self._path = Path(path)
        self._flags = (os.O_RDONLY if read_only else os.O_RDWR) | os.O_CLOEXEC
        self._open: dict[str, int] = {}

    def names(self) -> list[str]:
        found = []
        with os.scandir(self._path) as entries:
            for entry in entries:
                if entry.is_dir():
                    with os.scandir(entry.path) as inner:
                        found += [f"{entry.name}/{file.name}" for file in inner if file.is_file()]
                elif entry.is_file():
                    found.append(entry.name)
        return sorted(found)

    def size(self, name: str) -> int:
        return os.stat(self._path / name).st_size

    def create(self, name: str, size: int) -> None:
        path = self._path / name
        path.parent.mkdir(exist_ok=True)
        self._open[name] = os.open(path, self._flags | os.O_CREAT | os.O_EXCL, 0o644)
        self.extend(name, size)

    def extend(self, name: str, size: int) -> None:
        if size:
            os.posix_fallocate(self._descriptor(name), 0, size)

    def write(self, name: str, offset: int, buffers: Sequence[Any]) -> None:
        wanted = sum(memoryview(buffer).nbytes for buffer in buffers)
        written = os.pwritev(self._descriptor(name), buffers, offset)
        if written != wanted:
            raise OSError(errno.EIO, f"wrote {written} of {wanted} bytes", name)

    def sync(self, name: str) -> None:
        os.fdatasync(self._descriptor(name))

    def sync_folder(self) -> None:
        folders = [self._path, *(path for path in self._path.iterdir() if path.is_dir())]
        for folder in reversed(folders):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def read(self, name: str, offset: int, length: int) -> bytes:
        if name in self._open:
            return os.pread(self._open[name], length, offset)
        descriptor = os.open(self._path / name, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(descriptor, length, offset)
        finally:
            os.close(descriptor)

    def map(self, name: str) -> memoryview:
        descriptor = os.open(self._path / name, os.O_RDONLY | os.O_CLOEXEC)
        try:
            size = os.fstat(descriptor).st_size
            if size == 0:
                return memoryview(bytearray())
            # Private and writable, because compiled kernels take no read-only arrays.
            protection = mmap.PROT_READ | mmap.PROT_WRITE
            flags = mmap.MAP_PRIVATE | getattr(mmap, "MAP_NORESERVE", 0)
            mapped = mmap.mmap(descriptor, size, flags=flags, prot=protection)
        finally:
            os.close(descriptor)
        mapped.madvise(mmap.MADV_SEQUENTIAL)
        return memoryview(mapped)

    def truncate(self, name: str, size: int) -> None:
        os.ftruncate(self._descriptor(name), size)

    def rename(self, old: str, new: str) -> None:
        target = self._path / new
        target.parent.mkdir(exist_ok=True)
        os.rename(self._path / old, target)
        self._forget(new)
        if old in self._open:
            self._open[new] = self._open.pop(old)

    def remove(self, name: str) -> None:
        self._forget(name)
        os.unlink(self._path / name)

    def close(self) -> None:
        for name in list(self._open):
            self._forget(name)

    def _descriptor(self, name: str) -> int:
        if name not in self._open:
            self._open[name] = os.open(self._path / name, self._flags)
        return self._open[name]

    def _forget(self, name: str) -> None:
        if name in self._open:
            os.close(self._open.pop(name))
