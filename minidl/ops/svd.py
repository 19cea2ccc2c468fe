"""The singular value decomposition, for the norms of matrices that need it."""

from __future__ import annotations

from typing import Any

from minidl import kernels
from minidl.autograd.base import BaseTensor
from minidl.autograd.function import Function
from minidl.autograd.modes import is_grad_enabled
from minidl.backend.arrays import namespace
from minidl.ops.matmul import MatMul

__all__ = ["singular_values"]


class SVD(Function):
    """A = U diag(S) V^T with U (..., M, K), S (..., K) falling, V^T (..., K, N), K = min(M, N).

    Its gradient exists where the singular values differ from one another. Source: Townsend, Differentiating the
    Singular Value Decomposition, 2016.
    """

    def forward(self, a: Any) -> Any:
        u, s, vt = kernels.svd(a)
        self.save_for_backward(u, s, vt)
        return u, s, vt

    def backward(self, grad_u: Any, grad_s: Any, grad_vt: Any) -> Any:
        u, s, vt = self.saved_tensors
        xp = namespace(self.saved_arrays[1])
        k = s.shape[-1]
        identity = xp.eye(k, dtype=s.dtype)
        row, column = s.reshape((*s.shape[:-1], 1, k)), s.reshape((*s.shape[:-1], k, 1))  # (..., K) -> a row, a column
        ut, v = u.swapaxes(-1, -2), vt.swapaxes(-1, -2)  # (..., M, K) -> (..., K, M), and so on
        grad_v = grad_vt.swapaxes(-1, -2)
        gaps = (row - column) * (row + column) + identity  # s_j^2 - s_i^2; 1 on the diagonal, where 0 is divided
        from_u, from_v = ut @ grad_u, vt @ grad_v
        from_u, from_v = from_u - from_u.swapaxes(-1, -2), from_v - from_v.swapaxes(-1, -2)
        inner = from_u / gaps * row + column * (from_v / gaps) + grad_s.reshape(row.shape) * identity
        result = u @ inner @ vt
        if u.shape[-2] > k:  # what U cannot reach
            part = grad_u / row
            result = result + (part - u @ (ut @ part)) @ vt
        if vt.shape[-1] > k:
            part = (grad_v / row).swapaxes(-1, -2)
            result = result + u @ (part - (part @ v) @ vt)
        return result


class SingularValues(Function):
    """The singular values alone: dA = U diag(grad) V^T, also where some of them are equal."""

    def forward(self, a: Any) -> Any:
        u, s, vt = kernels.svd(a)
        self.save_for_backward(a, u, vt)
        return s

    def backward(self, grad: Any) -> Any:
        a, u, vt = self.saved_tensors
        if isinstance(grad, BaseTensor) and is_grad_enabled():
            u, _, vt = SVD.evaluate(a)
        row = grad.reshape((*grad.shape[:-1], 1, grad.shape[-1]))  # (..., K) -> (..., 1, K), beside u (..., M, K)
        return MatMul.evaluate(u * row, vt)


def singular_values(a: Any) -> Any:
    """The singular values of matrices (..., M, N), falling: (..., min(M, N))."""
    return SingularValues.apply(a)
