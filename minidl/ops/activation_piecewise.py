"""Activations made of straight lines and parabolas: hard tanh, ReLU6, hard swish, the parametric ReLU."""

from __future__ import annotations

from typing import Any

from minidl.autograd.base import T
from minidl.autograd.function import Function
from minidl.errors import ArgumentError, ShapeError
from minidl.ops.activation_smooth import pointwise, real
from minidl.ops.choice import Where
from minidl.ops.promotion import require_float, same_dtype

__all__ = ["hardswish", "hardtanh", "prelu", "relu6"]


class HardTanh(Function):
    """Limit to [low, high]; the gradient passes strictly between them."""

    def forward(self, x: Any, low: float, high: float) -> Any:
        self.save_for_backward(~((x <= low) | (x >= high)))
        return x.clip(low, high)

    def backward(self, grad: Any) -> Any:
        (within,) = self.saved_arrays
        return grad * within


class HardSwish(Function):
    """x min(max(x + 3, 0), 6) / 6; dx = grad (x / 3 + 1/2) between -3 and 3."""

    def forward(self, x: Any) -> Any:
        self.save_for_backward(x)
        return x * (x + 3).clip(0, 6) / 6

    def backward(self, grad: Any) -> Any:
        (x,) = self.saved_tensors
        raw = self.saved_arrays[0]
        slope = Where.evaluate(raw >= 3, grad, grad * (x / 3 + 0.5))
        return Where.evaluate(raw <= -3, 0.0, slope)


def hardtanh(input: T, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> T:
    """min(max(input, min_val), max_val); no gradient at the limits themselves. Source: torch.nn.functional.hardtanh."""
    real("hardtanh", min_val=min_val, max_val=max_val)
    if min_val > max_val:
        raise ArgumentError("hardtanh", expected="min_val of at most max_val", got=f"{min_val} and {max_val}")
    return pointwise("hardtanh", lambda x: HardTanh.apply(x, low=min_val, high=max_val), input, inplace)


def relu6(input: T, inplace: bool = False) -> T:
    """min(max(input, 0), 6). Source: torch.nn.functional.relu6."""
    return pointwise("relu6", lambda x: HardTanh.apply(x, low=0.0, high=6.0), input, inplace)


def hardswish(input: T, inplace: bool = False) -> T:
    """input * relu6(input + 3) / 6. Source: torch.nn.functional.hardswish; Howard et al. 2019."""
    return pointwise("hardswish", HardSwish.apply, input, inplace)


def prelu(input: T, weight: Any) -> T:
    """input where it is above 0, else weight * input.

    weight: one element, or (C,) for an input (N, C, ...). Raises ShapeError, DTypeError. Source:
    torch.nn.functional.prelu; He et al. 2015.
    """
    require_float("prelu", input, weight)
    same_dtype("prelu", input, weight)
    shape = input.data.shape
    channels = shape[1] if len(shape) > 1 else 1
    if weight.data.size != 1 and weight.data.shape != (channels,):
        raise ShapeError("prelu", expected=f"a weight of one element or ({channels},)", got=str(weight.data.shape))
    if weight.data.ndim > 1:
        raise ShapeError("prelu", expected="a weight with at most one axis", got=str(weight.data.shape))
    x: Any = input
    slope = weight.reshape((-1,) + (1,) * max(len(shape) - 2, 0)) if weight.data.size > 1 else weight.reshape(())
    return Where.apply(x > 0, x, slope * x)
