"""Matrix products and the linear layer."""

from __future__ import annotations

from typing import Any

from minidl import kernels
from minidl.autograd.base import BaseTensor, T
from minidl.autograd.function import Function
from minidl.autograd.modes import is_grad_enabled
from minidl.errors import DTypeError, ShapeError, dims
from minidl.ops.broadcasting import unbroadcast
from minidl.ops.promotion import require_float, require_tensor, same_dtype
from minidl.ops.reduction import Expand
from minidl.ops.shape import reshape

__all__ = ["linear", "matmul"]


class MatMul(Function):
    """a @ b with at least two axes each; leading axes broadcast. dA = G @ B^T, dB = A^T @ G."""

    def forward(self, a: Any, b: Any) -> Any:
        need_a, need_b = self.needs_input_grad
        self.shapes = a.shape, b.shape
        self.save_for_backward(a if need_b else None, b if need_a else None)
        return kernels.gemm(a, b) if a.ndim == b.ndim == 2 and a.dtype.kind == "f" else kernels.matmul(a, b)

    def backward(self, grad: Any) -> Any:
        a, b = self.saved_tensors
        need_a, need_b = self.needs_input_grad
        shape_a, shape_b = self.shapes
        # swapaxes: (..., K, N) -> (..., N, K)
        return (
            unbroadcast(MatMul.evaluate(grad, b.swapaxes(-1, -2)), shape_a) if need_a else None,
            unbroadcast(MatMul.evaluate(a.swapaxes(-1, -2), grad), shape_b) if need_b else None,
        )


class ChannelSum(Function):
    """The sum over all axes but the second, (N, C, ...) -> (C,): what a bias receives."""

    def forward(self, x: Any) -> Any:
        self.shape = x.shape
        return kernels.channel_sum(x)

    def backward(self, grad: Any) -> Any:
        column = grad.reshape((1, -1) + (1,) * (len(self.shape) - 2))  # (C,) -> (1, C, 1, ...)
        return Expand.evaluate(column, shape=self.shape)


class Linear(Function):
    """x (N, K) times weight (O, K) transposed, plus bias (O,): (N, O)."""

    def forward(self, x: Any, weight: Any, bias: Any) -> Any:
        need_x, need_weight, _ = self.needs_input_grad
        self.save_for_backward(x if need_weight else None, weight if need_x else None)
        return kernels.gemm(x, weight.T, bias)

    def backward(self, grad: Any) -> Any:
        x, weight = self.saved_tensors
        need_x, need_weight, need_bias = self.needs_input_grad
        if need_weight and need_bias and not (isinstance(grad, BaseTensor) and is_grad_enabled()):
            results = LinearGradient.evaluate(grad, x, weight)
            return results if need_x else (None, *results)
        return (
            MatMul.evaluate(grad, weight) if need_x else None,  # (N, O) @ (O, K) -> (N, K)
            MatMul.evaluate(grad.T, x) if need_weight else None,  # (O, N) @ (N, K) -> (O, K)
            ChannelSum.evaluate(grad) if need_bias else None,
        )


class LinearGradient(Function):
    """The gradients of a linear layer at once, by x (unless weight is None), weight and bias; first order only."""

    def forward(self, grad: Any, x: Any, weight: Any) -> Any:
        dx, dweight, dbias = kernels.linear_backward(grad, x, weight)
        return (dweight, dbias) if dx is None else (dx, dweight, dbias)


def matmul(input: Any, other: Any) -> Any:
    """The matrix product, over the last two axes; leading axes broadcast.

    input: (K,), (M, K) or (..., M, K); other: (K,), (K, N) or (..., K, N); a vector counts as a row on the left, a
    column on the right, and its axis disappears. Raises ShapeError where K differs, DTypeError for two dtypes. Source:
    torch.matmul.
    """
    require_tensor("matmul", input, other)
    a, b = input, other
    shape_a, shape_b = a.data.shape, b.data.shape
    fits = shape_a and shape_b and shape_a[-1] == shape_b[max(-2, -len(shape_b))]
    if not fits:
        raise ShapeError(
            "matmul",
            expected=f"as many rows on the right as columns on the left (left: {shape_a})",
            got=f"right: {shape_b}",
        )
    same_dtype("matmul", a, b)
    if a.data.dtype.kind == "b":
        raise DTypeError("matmul", expected="numbers", got="bool")
    if len(shape_a) == 1:
        a = a.unsqueeze(0)  # (K,) -> (1, K)
    if len(shape_b) == 1:
        b = b.unsqueeze(1)  # (K,) -> (K, 1)
    try:
        result = MatMul.apply(a, b)
    except ValueError:
        raise ShapeError("matmul", expected="leading axes that broadcast", got=f"{shape_a} and {shape_b}") from None
    if len(shape_b) == 1:
        result = result.squeeze(-1)
    return result.squeeze(-1 if len(shape_b) == 1 else -2) if len(shape_a) == 1 else result


def linear(input: T, weight: Any, bias: Any = None) -> T:
    """y = x W^T + b.

    input: (..., K); weight: (O, K); bias: (O,) or None; result (..., O). A weight (K,) gives a result without the last
    axis. Raises ShapeError where K or O differ, DTypeError for mixed dtypes. Source: torch.nn.functional.linear.
    """
    require_float("linear", input, weight, bias)
    shape = input.data.shape
    if weight.data.ndim == 1 and (bias is None or not bias.data.ndim):
        single: Any = linear(input, reshape(weight, 1, -1), None if bias is None else reshape(bias, 1))
        return single.squeeze(-1)  # (..., 1) -> (...)
    if weight.data.ndim != 2:
        raise ShapeError("linear", expected="a weight (O, K)", got=str(weight.data.shape))
    if not shape or shape[-1] != weight.data.shape[1]:
        raise ShapeError(
            "linear",
            expected=f"input with {weight.data.shape[1]} features last (weight: {dims('O K', weight.data.shape)})",
            got=f"input {shape}",
            hint="Is a flatten missing before this layer, or did the previous layer change its size?",
        )
    if bias is not None and bias.data.shape != weight.data.shape[:1]:
        raise ShapeError("linear", expected=f"bias of shape ({weight.data.shape[0]},)", got=str(bias.data.shape))
    same_dtype("linear", input, weight, bias)
    if len(shape) == 2:
        return Linear.apply(input, weight, bias)
    rows = reshape(input, -1, shape[-1])  # (..., K) -> (rows, K)
    result: Any = Linear.apply(rows, weight, bias)
    return result.reshape(*shape[:-1], weight.data.shape[0])  # (rows, O) -> (..., O)
