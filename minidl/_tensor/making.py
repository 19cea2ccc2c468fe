"""New tensors like this one: in its dtype, on its device."""

from __future__ import annotations

from typing import Any, TypeVar

from minidl._tensor.description import Description
from minidl.backend.arrays import asarray, device_of, namespace, on_device_of
from minidl.backend.dtypes import as_dtype
from minidl.errors import ShapeError
from minidl.ops.keywords import sizes_named
from minidl.ops.shape import sizes_of

__all__ = ["Making"]

Self = TypeVar("Self", bound="Making")


class Making(Description):
    """``x.new_zeros(2, 3)`` and its like; ``dtype`` says where it shall be another one."""

    __slots__ = ()

    def _new(self: Self, who: str, size: tuple[Any, ...], value: Any, dtype: Any, requires_grad: bool) -> Self:
        shape = sizes_of(who, size)
        if any(n < 0 for n in shape):
            raise ShapeError(who, expected="lengths of at least 0", got=str(shape))
        with on_device_of(self.data):
            array = namespace(self.data).full(shape, value, self.data.dtype if dtype is None else as_dtype(dtype))
        result = self._make(array)
        return result.requires_grad_() if requires_grad else result

    @sizes_named("size")
    def new_zeros(self: Self, *size: Any, dtype: Any = None, requires_grad: bool = False) -> Self:
        """Zeros. Source: torch.Tensor.new_zeros."""
        return self._new("new_zeros", size, 0, dtype, requires_grad)

    @sizes_named("size")
    def new_ones(self: Self, *size: Any, dtype: Any = None, requires_grad: bool = False) -> Self:
        """Ones. Source: torch.Tensor.new_ones."""
        return self._new("new_ones", size, 1, dtype, requires_grad)

    @sizes_named("size")
    def new_empty(self: Self, *size: Any, dtype: Any = None, requires_grad: bool = False) -> Self:
        """To be written before it is read; zeros here. Source: torch.Tensor.new_empty."""
        return self._new("new_empty", size, 0, dtype, requires_grad)

    def new_full(self: Self, size: Any, fill_value: Any, *, dtype: Any = None, requires_grad: bool = False) -> Self:
        """One value. Source: torch.Tensor.new_full."""
        return self._new("new_full", (size,), fill_value, dtype, requires_grad)

    def new_tensor(self: Self, data: Any, *, dtype: Any = None, requires_grad: bool = False) -> Self:
        """A copy of numbers, nested lists or an array. Source: torch.Tensor.new_tensor."""
        with on_device_of(self.data):
            array = asarray(data, device=device_of(self.data))
            array = array.astype(self.data.dtype if dtype is None else as_dtype(dtype))
        result = self._make(array)
        return result.requires_grad_() if requires_grad else result
