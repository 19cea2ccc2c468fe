"""Steps that come together: lerp, addcmul, addcdiv, addmm."""

from __future__ import annotations

from typing import Any

from minidl.autograd.base import T
from minidl.ops.arithmetic import add, div, mul, sub
from minidl.ops.linear_algebra import mm
from minidl.ops.promotion import require_float, require_tensor

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


def addmm(input: T, mat1: Any, mat2: Any, *, beta: float = 1, alpha: float = 1) -> T:
    """beta * input + alpha * mat1 @ mat2; mat1 (N, M), mat2 (M, P), input broadcasts to the result (N, P).

    With beta 0 the input is not read, so that its NaN do not spread. Source: torch.addmm.
    """
    require_tensor("addmm", input, mat1, mat2)
    product: Any = mm(mat1, mat2)
    if alpha != 1:
        product = mul(product, alpha)
    if beta == 0:
        return product
    return add(product, input if beta == 1 else mul(input, beta))
