"""Matrix product on the GPU: cuBLAS, in float32 or float64; the precision of float32 is a switch (see there)."""

from __future__ import annotations

from typing import Any

from minidl.backend import cublas
from minidl.backend.arrays import namespace
from minidl.errors import ArgumentError
from minidl.kernels.cuda.reduction import channel_sum

__all__ = ["channel_sum", "gemm", "linear_backward"]


def gemm(a: Any, b: Any, bias: Any | None = None, out: Any | None = None, accumulate: bool = False) -> Any:
    """a (M, K) @ b (K, N) + bias (N,) -> (M, N), C-contiguous; a and b may be transposed views and are then not copied.

    out: write there instead of into a new array: rows without gaps inside, as in a slice of a larger matrix.
    accumulate: add to what ``out`` holds, so that a long product can be taken in parts; without a bias.
    """
    if accumulate and (out is None or bias is not None):
        got = "no out" if out is None else "a bias"
        raise ArgumentError("gemm", expected="out, and no bias, with accumulate", got=got)
    xp = namespace(a)
    if out is None:
        out = xp.empty((a.shape[0], b.shape[1]), a.dtype)
    if bias is not None:  # every row begins with it, and the product is added: saves reading the result once more
        out[...] = bias
    a, b = (x if cublas.readable(x) else xp.ascontiguousarray(x) for x in (a, b))
    cublas.matmul(a, b, out, beta=0.0 if bias is None and not accumulate else 1.0)
    return out


def linear_backward(grad: Any, x: Any, weight: Any | None) -> tuple[Any | None, Any, Any]:
    """grad (N, O), x (N, K), weight (O, K) or None -> the gradients by x (or None), weight and bias."""
    dx = None if weight is None else gemm(grad, weight)  # (N, O) @ (O, K) -> (N, K)
    return dx, gemm(grad.T, x), channel_sum(grad)  # (O, N) @ (N, K) -> (O, K)
