"""Copying short stretches of memory inside Numba kernels."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["copy_items", "zero_items"]


@intrinsic
def _memcpy(typing_context, to, source, size):  # type: ignore[no-untyped-def]
    """C's memcpy by addresses: size bytes from source to to."""

    def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        byte_pointer = ir.IntType(8).as_pointer()
        to, source, size = arguments
        cgutils.raw_memcpy(builder, builder.inttoptr(to, byte_pointer), builder.inttoptr(source, byte_pointer), size, 1)
        return context.get_dummy_value()

    return types.void(types.uintp, types.uintp, types.intp), code


@intrinsic
def _memset_zero(typing_context, to, size):  # type: ignore[no-untyped-def]
    """C's memset by address: size zero bytes."""

    def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        to, size = arguments
        cgutils.memset(builder, builder.inttoptr(to, ir.IntType(8).as_pointer()), size, 0)
        return context.get_dummy_value()

    return types.void(types.uintp, types.intp), code


@njit(cache=True, nogil=True, error_model="numpy")
def copy_items(to: Any, to_offset: int, source: Any, source_offset: int, count: int) -> None:
    """Copy `count` elements between two arrays, by their positions in memory; the stretches must not overlap.

    A loop over 28 or 96 floats spends more on slicing, on asking whether the arrays overlap and on the odd elements at
    the end than on copying. This is one call of the C library's memcpy.
    """
    size = to.itemsize
    _memcpy(to.ctypes.data + size * to_offset, source.ctypes.data + size * source_offset, size * count)


@njit(cache=True, nogil=True, error_model="numpy")
def zero_items(to: Any, to_offset: int, count: int) -> None:
    """Set `count` elements of an array to zero, beginning at a position in its memory; one call of memset."""
    _memset_zero(to.ctypes.data + to.itemsize * to_offset, to.itemsize * count)
