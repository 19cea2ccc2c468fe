"""Steps that come together: lerp, addcmul, addcdiv, addmm."""

from __future__ import annotations

from typing import Any

from minidl.autograd.base import T
from minidl.backend.arrays import namespace, on_its_device
from minidl.ops.arithmetic import add, div, mul, sub
from minidl.ops.broadcasting import check_broadcasts
from minidl.ops.linear_algebra import mm
from minidl.ops.promotion import require_float, require_tensor
from minidl.ops.selection import masked_fill

__all__ = ["addcdiv", "addcmul", "addmm", "lerp"]


def lerp(input: T, end: Any, weight: Any) -> T:
    """input + weight * (end - input): on the way from input (weight 0) to end (weight 1).

    input, end: floating-point tensors that broadcast; weight: a number or a tensor. Source: torch.lerp.
    """
    require_float("lerp", input, end)
    return add(input, mul(sub(end, input), weight))


def addcmul(input: T, tensor1: Any, tensor2: Any, *, value: float = 1) -> T:
    """input + value * tensor1 * tensor2, with broadcasting. Source: torch.addcmul."""
    require_tensor("addcmul", input, tensor1, tensor2)
    return add(input, mul(tensor1, tensor2), alpha=value)


def addcdiv(input: T, tensor1: Any, tensor2: Any, *, value: float = 1) -> T:
    """input + value * tensor1 / tensor2, with broadcasting; floating-point tensors. Source: torch.addcdiv."""
    require_float("addcdiv", input, tensor1, tensor2)
    return add(input, div(tensor1, tensor2), alpha=value)


@on_its_device
def addmm(input: T, mat1: Any, mat2: Any, *, beta: float = 1, alpha: float = 1) -> T:
    """beta * input + alpha * mat1 @ mat2; mat1 (N, M), mat2 (M, P), input broadcasts to the result (N, P).

    A part whose factor is 0 counts as zeros, whatever it holds, so that its NaN do not spread. Raises ShapeError where
    input has no place in (N, P). Source: torch.addmm.
    """
    require_tensor("addmm", input, mat1, mat2)
    product: Any = mm(mat1, mat2)
    check_broadcasts("addmm", "an input", input, product)
    return add(_scaled(input, beta), _scaled(product, alpha))


def _scaled(x: Any, factor: float) -> Any:
    if factor == 0:
        return masked_fill(x, x._make(namespace(x.data).ones((), bool)), 0)
    return x if factor == 1 else mul(x, factor)
