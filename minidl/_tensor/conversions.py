"""A tensor on another device or in another dtype."""

from __future__ import annotations

from typing import Any, TypeVar

from minidl._tensor.description import Description
from minidl.autograd.base import BaseTensor
from minidl.autograd.function import Function
from minidl.backend.arrays import device_of, to_device
from minidl.backend.device import CPU, Device
from minidl.backend.dtypes import bool_, float16, float32, float64, int32, int64, uint8
from minidl.ops import promotion, shape

__all__ = ["Conversions", "Move", "where_to"]

Self = TypeVar("Self", bound="Conversions")


class Move(Function):
    """The same values on another device; the gradient is moved back."""

    def forward(self, x: Any, device: Device) -> Any:
        self.device = device_of(x)
        return to_device(x, device)

    def backward(self, grad: Any) -> Any:
        return Move.evaluate(grad, device=self.device)


def where_to(target: tuple[Any, ...], device: Any, dtype: Any) -> tuple[Any, Any]:
    """The device and dtype that the arguments of ``to`` name, by place or by name; None where they name none."""
    for value in target:
        if isinstance(value, BaseTensor):
            device, dtype = device_of(value.data), value.data.dtype
        elif isinstance(value, Device) or (isinstance(value, str) and value.split(":")[0] in ("cpu", "gpu", "cuda")):
            device = value
        elif value is not None:
            dtype = value
    return device, dtype


class Conversions(Description):
    """Devices and dtypes."""

    __slots__ = ()

    def to(self: Self, *target: Any, dtype: Any = None, device: Any = None, copy: bool = False) -> Self:
        """This tensor on a device and in a dtype: itself if nothing changes (unless ``copy``), else a copy.

        target: a device ("cpu", "gpu:1", minidl.device), a dtype, both in this order, or a tensor to be like. Gradients
        flow through. Raises DeviceError where there is no such GPU. Source: torch.Tensor.to.
        """
        device, dtype = where_to(target, device, dtype)
        result = self
        if dtype is not None:
            result = promotion.cast(result, dtype)
        if device is not None and Device(device) != result.device:
            result = Move.apply(result, device=Device(device))
        return shape.clone(result) if copy and result is self else result

    def type(self: Self, dtype: Any) -> Self:
        """This tensor in a dtype."""
        return promotion.cast(self, dtype)

    def type_as(self: Self, other: Any) -> Self:
        """This tensor in the dtype and on the device of another."""
        return self.to(other)

    def cpu(self: Self) -> Self:
        """This tensor on the CPU."""
        return self.to(CPU)

    def float(self: Self) -> Self:
        """This tensor in float32."""
        return promotion.cast(self, float32)

    def double(self: Self) -> Self:
        """This tensor in float64."""
        return promotion.cast(self, float64)

    def half(self: Self) -> Self:
        """This tensor in float16."""
        return promotion.cast(self, float16)

    def long(self: Self) -> Self:
        """This tensor in int64."""
        return promotion.cast(self, int64)

    def int(self: Self) -> Self:
        """This tensor in int32."""
        return promotion.cast(self, int32)

    def byte(self: Self) -> Self:
        """This tensor in uint8."""
        return promotion.cast(self, uint8)

    def bool(self: Self) -> Self:
        """This tensor as bool: whether each element is not 0."""
        return promotion.cast(self, bool_)
