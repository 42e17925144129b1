"""How every kernel is compiled, and where the machine code is kept. All other files in this folder use `kernel` and
`leaf`.

A kernel is compiled for one explicit signature, read from its annotations (one for each type of a union), so that a
wrong dtype is an error at the call and never another compilation. Machine code of a module is cached in a folder named
after a hash of its source and of all that it imports from here, because Numba's own cache does not notice a change in
another file.
"""

import hashlib
import os
import pickle
import re
import shutil
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from types import FunctionType, UnionType
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import numba
import numpy as np
from numba import types
from numba.extending import register_jitable
from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., Any])

# One name per array type: what the type checker sees, and what Numba compiles for (C order).
U8 = Annotated[NDArray[np.uint8], types.uint8[::1]]
I8 = Annotated[NDArray[np.int8], types.int8[::1]]
I16 = Annotated[NDArray[np.int16], types.int16[::1]]
I32 = Annotated[NDArray[np.int32], types.int32[::1]]
I64 = Annotated[NDArray[np.int64], types.int64[::1]]
U64 = Annotated[NDArray[np.uint64], types.uint64[::1]]
F64 = Annotated[NDArray[np.float64], types.float64[::1]]
U8x2 = Annotated[NDArray[np.uint8], types.uint8[:, ::1]]
I32x2 = Annotated[NDArray[np.int32], types.int32[:, ::1]]
I32x3 = Annotated[NDArray[np.int32], types.int32[:, :, ::1]]
I64x2 = Annotated[NDArray[np.int64], types.int64[:, ::1]]
F64x2 = Annotated[NDArray[np.float64], types.float64[:, ::1]]
U64x2 = Annotated[NDArray[np.uint64], types.uint64[:, ::1]]
Word = Annotated[np.uint64, types.uint64]

FEW = 128  # rows: up to so many are work for a kernel that is `brief`
_SCALARS = {int: types.int64, float: types.float64, bool: types.boolean}
_BROKEN_CACHE = (EOFError, pickle.UnpicklingError, ValueError, AttributeError, ImportError)

_IMPORT = re.compile(rb"^from kernels\.(\w+) import", re.MULTILINE)
_HERE = Path(__file__).parent

compiled_seconds: dict[str, float] = {}


@cache
def _needs(path: Path) -> tuple[bytes, frozenset[str]]:
    """A file's source, and the modules of this folder that it imports."""
    source = path.read_bytes()
    return source, frozenset(name.decode() for name in _IMPORT.findall(source))


def imported(module: str) -> frozenset[str]:
    """The other modules of this folder that one imports itself."""
    return _needs(_HERE / f"{module}.py")[1]


@cache
def _sources_hash(path: Path) -> str:
    """Of a file and of all that it imports from here, itself or by others."""
    needed, more = {"options"}, _needs(path)[1]
    while more:
        needed |= more
        more = frozenset(name for known in more for name in imported(known)) - needed
    digest = hashlib.blake2b(_needs(path)[0], digest_size=8)
    for name in sorted(needed):
        digest.update(name.encode() + b"\0" + _needs(_HERE / f"{name}.py")[0])
    return digest.hexdigest()


def cache_folder() -> Path:
    """Where compiled kernels are, a folder for each source of each module."""
    base = os.environ.get("ALLOT_KERNEL_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "allot"
    )
    return Path(base) / ("kernels-checked" if numba.config.BOUNDSCHECK else "kernels")


def _folder_of(function: Any) -> Path:
    """That of a function's file, which may be anywhere."""
    path = Path(function.__code__.co_filename)
    return cache_folder() / f"{path.stem}-{_sources_hash(path)}"


def numba_type(annotation: Any) -> Any:
    """The Numba type of an annotation: a scalar, an array alias from above, or a NamedTuple of such."""
    if annotation in _SCALARS:
        return _SCALARS[annotation]
    if get_origin(annotation) is Annotated:
        return get_args(annotation)[1]
    if isinstance(annotation, type) and issubclass(annotation, tuple):
        hints = get_type_hints(annotation, include_extras=True)
        members = [numba_type(hints[name]) for name in annotation._fields]  # type: ignore[attr-defined]
        if len(set(members)) == 1:
            return types.NamedUniTuple(members[0], len(members), annotation)
        return types.NamedTuple(members, annotation)
    raise TypeError(f"no kernel type for {annotation!r}")


def kernel(function: F, allocates: bool = False) -> F:
    """Compile for the one signature that the annotations state; releases the GIL; no fastmath, no parallel.

    allocates: whether it makes arrays of its own. Only then are references counted, array by array, with each look at
    one: an atomic step each time, which took more than half of the time of loops. So a kernel that makes arrays hands
    them to a leaf that loops.
    """
    return _compiled(function, nogil=True, allocates=allocates)  # type: ignore[no-any-return]


def brief(function: F, allocates: bool = False) -> F:
    """The same as a kernel that keeps the GIL: for work of microseconds, after which a thread may wait a thousand times
    as long to get it back.
    """
    other = FunctionType(function.__code__, function.__globals__, f"{function.__name__}_keeping_the_gil")
    other.__annotations__, other.__doc__ = function.__annotations__, function.__doc__
    other.__module__ = function.__module__
    other.__qualname__ = other.__name__  # Numba's cache tells functions apart by it
    return _compiled(other, nogil=False, allocates=allocates)  # type: ignore[no-any-return]


def _each_kind(annotations: list[Any]) -> list[tuple[Any, ...]]:
    """For each argument its types, one for each compilation: several where an annotation is a union."""
    count = max((len(get_args(kind)) for kind in annotations if isinstance(kind, UnionType)), default=1)
    return [get_args(kind) if isinstance(kind, UnionType) else (kind,) * count for kind in annotations]


def _compiled(function: Any, nogil: bool, allocates: bool) -> Any:
    hints = get_type_hints(function, include_extras=True)
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    signatures = [
        tuple(numba_type(kind) for kind in kinds)
        for kinds in zip(*_each_kind([hints[name] for name in names]), strict=True)
    ]
    numba.config.CACHE_DIR = str(_folder_of(function))
    compile_it = numba.njit(signatures, cache=True, nogil=nogil, error_model="numpy", _nrt=allocates)
    started = time.perf_counter()
    try:
        compiled = compile_it(function)
    except _BROKEN_CACHE:  # an entry that a kill cut short: drop the folder, compile again
        shutil.rmtree(_folder_of(function), ignore_errors=True)
        compiled = compile_it(function)
    compiled_seconds[f"{function.__module__}.{function.__name__}"] = time.perf_counter() - started
    return compiled


def leaf(function: F, allocates: bool = False) -> F:
    """A function that kernels call; inlined into each of them: a call would pass hundreds of words of array headers.

    Called from Python it is plain Python: to compile what would unpack its arguments takes a third of the time.
    allocates: as for a kernel; what it makes it gives back, and only to one that does so too.
    """
    options = {
        "nogil": True, "error_model": "numpy", "forceinline": True, "no_cfunc_wrapper": True, "_nrt": allocates,
    }  # fmt: skip
    return register_jitable(**options)(function)  # type: ignore[no-any-return]


allocating_kernel, allocating_leaf = partial(kernel, allocates=True), partial(leaf, allocates=True)
