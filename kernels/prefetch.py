"""A hint to the processor to fetch what is read soon. Kernels that jump through large tables use it.

Random look-ups wait for memory, and a wrongly guessed branch ends the processor's own reading ahead; the hint does not
depend on branches. It never changes a result.
"""

from typing import Any

import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

AHEAD = 16  # rows between the hint and the use: a few memory latencies

if numba.config.DISABLE_JIT:

    def prefetch(array: Any, at: Any) -> None:
        """Nothing, without the compiler."""

else:

    @intrinsic  # type: ignore[untyped-decorator]
    def prefetch(_typing: Any, array: Any, at: Any) -> Any:
        """Ask for the cache line of array.flat[at], which is in bounds of a C-ordered array."""

        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            start = context.make_array(signature.args[0])(context, builder, arguments[0]).data
            address = builder.bitcast(builder.gep(start, [arguments[1]]), cgutils.voidptr_t)
            number = ir.IntType(32)
            kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, number, number, number])
            hint = builder.module.declare_intrinsic("llvm.prefetch", [cgutils.voidptr_t], kind)
            to_read, keep_in_all_caches, data = 0, 3, 1
            builder.call(hint, [address, *(number(flag) for flag in (to_read, keep_in_all_caches, data))])
            return context.get_dummy_value()

        return types.void(array, types.intp), emit
