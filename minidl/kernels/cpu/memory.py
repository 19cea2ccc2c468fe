"""Addresses, arrays at addresses, and copies of short stretches of memory, inside Numba kernels.

Addresses keep nothing alive, and Numba frees an array after its last use. A kernel may take addresses only of arrays
that are its own arguments, or be given addresses of arrays that its caller holds until it returns.
"""

# mypy: disallow-untyped-defs=False
# (Numba infers the types of kernels; their docstrings give shapes.)

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["address_of", "array_at", "copy_items", "zero_items"]


def _element(context: Any, builder: Any, array_type: Any, array: Any, offset: Any) -> Any:
    """LLVM pointer to the element at `offset` in the memory of a C-contiguous array."""
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [offset])


def _bytes(context: Any, builder: Any, array_type: Any, count: Any) -> Any:
    return builder.mul(count, context.get_constant(types.intp, array_type.dtype.bitwidth // 8))


@intrinsic
def address_of(typing_context, array, offset):
    """Address of the element at `offset` in the memory of a C-contiguous array."""

    def code(context, builder, signature, arguments):
        element = _element(context, builder, signature.args[0], *arguments)
        return builder.ptrtoint(element, context.get_value_type(types.uintp))

    return types.uintp(array, types.intp), code


@intrinsic
def array_at(typing_context, like, address, count):
    """The flat array of `count` elements at an address, of the type of the flat array `like`; it owns nothing."""

    def code(context, builder, signature, arguments):
        _, address, count = arguments
        made = context.make_array(signature.return_type)(context, builder)
        item = context.get_constant(types.intp, signature.return_type.dtype.bitwidth // 8)
        context.populate_array(
            made,
            data=builder.inttoptr(address, made.data.type),
            shape=[count],
            strides=[item],
            itemsize=item,
            meminfo=None,
        )
        return made._getvalue()

    return like(like, types.int64, types.intp), code


@intrinsic
def copy_items(typing_context, to, to_offset, source, source_offset, count):
    """Copy `count` elements between C-contiguous arrays, by positions in their memory; they must not overlap.

    A loop over 28 or 96 floats spends more on slicing, on asking whether the arrays overlap and on the odd elements at
    the end than on copying: half the time. This is one call of the C library's memcpy.
    """

    def code(context, builder, signature, arguments):
        to, to_offset, source, source_offset, count = arguments
        byte_pointer = ir.IntType(8).as_pointer()
        cgutils.raw_memcpy(
            builder,
            builder.bitcast(_element(context, builder, signature.args[0], to, to_offset), byte_pointer),
            builder.bitcast(_element(context, builder, signature.args[2], source, source_offset), byte_pointer),
            _bytes(context, builder, signature.args[0], count),
            1,
        )
        return context.get_dummy_value()

    return types.void(to, types.intp, source, types.intp, types.intp), code


@intrinsic
def zero_items(typing_context, to, to_offset, count):
    """Set `count` elements to zero, from a position in a C-contiguous array's memory on; one call of memset."""

    def code(context, builder, signature, arguments):
        to, to_offset, count = arguments
        pointer = builder.bitcast(
            _element(context, builder, signature.args[0], to, to_offset), ir.IntType(8).as_pointer()
        )
        cgutils.memset(builder, pointer, _bytes(context, builder, signature.args[0], count), 0)
        return context.get_dummy_value()

    return types.void(to, types.intp, types.intp), code
