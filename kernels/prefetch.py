"""A hint to the processor to fetch a row of an array that is read soon. Kernels that jump through large tables use it.

Random look-ups wait for memory, and a wrongly guessed branch ends the processor's own reading ahead; the hint does not
depend on branches. It never changes a result.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

AHEAD = 16  # rows between the hint and the use: a few memory latencies


@intrinsic
def _prefetch(context: Any, array: Any, row: Any) -> Any:
    def emit(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        struct = target.make_array(signature.args[0])(target, builder, arguments[0])
        shape = cgutils.unpack_tuple(builder, struct.shape)
        strides = cgutils.unpack_tuple(builder, struct.strides)
        indices = [arguments[1], *[ir.Constant(ir.IntType(64), 0)] * (signature.args[0].ndim - 1)]
        address = cgutils.get_item_pointer2(target, builder, struct.data, shape, strides, "C", indices)
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        hint = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        to_read, keep_in_all_caches, data = 0, 3, 1
        flags = [ir.Constant(number, flag) for flag in (to_read, keep_in_all_caches, data)]
        builder.call(hint, [builder.bitcast(address, byte), *flags])
        return target.get_dummy_value()

    return types.void(array, types.int64), emit


def prefetch(array: NDArray, row: int | np.int64) -> None:
    """Ask for the start of array[row], which is in bounds of a C-ordered array."""


@overload(prefetch, inline="always")
def _compiled_prefetch(array: Any, row: Any) -> Any:
    def hint(array: Any, row: Any) -> Any:
        _prefetch(array, row)

    return hint
