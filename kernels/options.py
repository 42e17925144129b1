"""How every kernel is compiled, and where the machine code is kept. All other files in this folder use `kernel` and
`leaf`.

A kernel is compiled for one explicit signature, read from its annotations, so that a wrong dtype is an error at the
call and never a second compilation. Machine code is cached in a folder named after a hash of all kernel sources,
because Numba's own cache does not notice a change in another file.
"""

import hashlib
import os
import pickle
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import numba
import numpy as np
from numba import types
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

compiled_seconds: dict[str, float] = {}


def _sources_hash() -> str:
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    digest.update(b"boundscheck" if numba.config.BOUNDSCHECK else b"")
    return digest.hexdigest()


def cache_folder() -> Path:
    """The folder of compiled kernels for exactly these sources."""
    base = os.environ.get("ALLOT_KERNEL_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "allot"
    )
    return Path(base) / f"kernels-{_sources_hash()}"


numba.config.CACHE_DIR = str(cache_folder())


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


def kernel(function: F) -> F:
    """Compile for the one signature that the annotations state; releases the GIL; no fastmath, no parallel."""
    return _compiled(function, nogil=True)  # type: ignore[no-any-return]


def brief(function: F) -> F:
    """The same as a kernel that keeps the GIL: for work of microseconds, after which a thread may wait a thousand times
    as long to get it back.
    """
    other = FunctionType(function.__code__, function.__globals__, f"{function.__name__}_keeping_the_gil")
    other.__annotations__, other.__doc__ = function.__annotations__, function.__doc__
    other.__module__ = function.__module__
    other.__qualname__ = other.__name__  # Numba's cache tells functions apart by it
    return _compiled(other, nogil=False)  # type: ignore[no-any-return]


def _compiled(function: Any, nogil: bool) -> Any:
    hints = get_type_hints(function, include_extras=True)
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    signature = tuple(numba_type(hints[name]) for name in names)
    compile_it = numba.njit(signature, cache=True, nogil=nogil, error_model="numpy")
    started = time.perf_counter()
    try:
        compiled = compile_it(function)
    except _BROKEN_CACHE:  # an entry that a kill cut short: drop the folder, compile again
        shutil.rmtree(cache_folder(), ignore_errors=True)
        compiled = compile_it(function)
    compiled_seconds[f"{function.__module__}.{function.__name__}"] = time.perf_counter() - started
    return compiled


def leaf(function: F) -> F:
    """A function that kernels call; inlined into each of them: a call would pass hundreds of words of array headers."""
    return numba.njit(nogil=True, error_model="numpy", forceinline=True)(function)  # type: ignore[no-any-return]
