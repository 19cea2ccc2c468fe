"""Lengths of vectors and matrices, and what is made of them: unit vectors and the cosine of an angle."""

from __future__ import annotations

import math
from typing import Any

from minidl.autograd.base import T
from minidl.autograd.function import Function
from minidl.backend.arrays import ignore_float_errors, namespace
from minidl.errors import ArgumentError, DTypeError, ShapeError
from minidl.ops.broadcasting import broadcast_shape
from minidl.ops.choice import where
from minidl.ops.elementwise import Abs, Sign, clamp
from minidl.ops.extrema import amax, amin
from minidl.ops.keywords import numpy_names
from minidl.ops.promotion import cast, promote, require_float, require_tensor
from minidl.ops.reduction import Axes, normalize_axes, sum, without_axes
from minidl.ops.shape import expand
from minidl.ops.svd import singular_values

__all__ = ["cosine_similarity", "linalg_norm", "matrix_norm", "norm", "normalize", "vector_norm"]


class PowerNorm(Function):
    """(sum |x|^p)^(1/p) over axes, for p > 0; where it is 0 the gradient is 0, as in torch."""

    def forward(self, x: Any, p: float, axes: tuple[int, ...], keepdim: bool) -> Any:
        xp = namespace(x)
        self.p = p
        if p == 2:
            kept = xp.sqrt((x * x).sum(axes, keepdims=True))
        else:
            kept = (xp.abs(x) ** p).sum(axes, keepdims=True) ** (1 / p)
        self.kept = kept.shape
        y = without_axes(kept, axes, keepdim)
        self.save_for_backward(x, y)
        return y

    def backward(self, grad: Any) -> Any:
        x, y = self.saved_tensors
        raw_x, raw_y = self.saved_arrays
        length = y.reshape(self.kept) + (raw_y == 0).reshape(self.kept)  # 0 becomes 1: the numerator is 0 there
        grad = grad.reshape(self.kept)
        if self.p == 2:
            return grad * (x / length)
        if self.p == 1:
            return grad * Sign.evaluate(x)
        ratio = Abs.evaluate(x) / length
        if self.p < 2:  # |x|^(p-2) has a pole at 0, where torch's gradient is 0
            ratio = ratio + (raw_x == 0)
        return grad * Sign.evaluate(x) * ratio ** (self.p - 1)


def _count(values: Any, axes: tuple[int, ...], keepdim: bool) -> Any:
    """How many elements are not 0; its gradient is 0."""
    return sum(where(values != 0, 1.0, values * 0), axes, keepdim)


@numpy_names
def vector_norm(x: T, ord: float = 2, dim: Axes = None, keepdim: bool = False, *, dtype: Any = None) -> T:
    """(sum |x|^ord)^(1/ord) over axes; the number of elements that are not 0 for ord=0, max |x| and min |x| for
    ord = inf and -inf.

    dim: an axis, several, or None for all elements; keepdim: keep them with length 1; dtype: to compute in. The
    gradient is 0 where the norm is 0. Raises DTypeError unless x is floating-point. Source: torch.linalg.vector_norm.
    """
    return _vector_norm("linalg.vector_norm", x, ord, dim, keepdim, dtype)


def _vector_norm(who: str, x: Any, p: Any, dim: Axes, keepdim: bool, dtype: Any) -> Any:
    require_tensor(who, x)
    values = x if dtype is None else cast(x, dtype)
    require_float(who, values)
    if isinstance(p, bool) or not isinstance(p, (int, float)):
        raise DTypeError(who, expected="a number as order", got=repr(p))
    axes = normalize_axes(who, dim, values.data.ndim)
    if (p == math.inf or p < 0) and any(values.data.shape[axis] == 0 for axis in axes):
        raise ShapeError(who, expected=f"at least one element for order {p}", got=str(values.data.shape))
    if p == math.inf:
        return amax(Abs.apply(values), axes, keepdim) if axes else Abs.apply(values)
    if p == -math.inf:
        return amin(Abs.apply(values), axes, keepdim) if axes else Abs.apply(values)
    if p == 0:
        return _count(values, axes, keepdim)
    with ignore_float_errors():
        return PowerNorm.apply(values, p=float(p), axes=axes, keepdim=keepdim)


@numpy_names
def matrix_norm(A: T, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None) -> T:
    """The norm of the matrices that two axes hold.

    ord: "fro" (root of the sum of squares), "nuc" (sum of the singular values), 2 or -2 (the largest, the smallest
    singular value), inf or -inf (the largest, the smallest row sum of |A|), 1 or -1 (column sum). Raises ArgumentError,
    ShapeError, DTypeError. Source: torch.linalg.matrix_norm.
    """
    return _matrix_norm("linalg.matrix_norm", A, ord, dim, keepdim, dtype)


def _matrix_norm(who: str, A: Any, ord: Any, dim: Any, keepdim: bool, dtype: Any) -> Any:
    require_tensor(who, A)
    if not isinstance(dim, (tuple, list)) or len(dim) != 2:
        raise ArgumentError(who, expected="dim as a pair of axes", got=repr(dim))
    values = A if dtype is None else cast(A, dtype)
    require_float(who, values)
    ndim = values.data.ndim
    if ndim < 2:
        raise ShapeError(who, expected="at least two axes", got=str(values.data.shape))
    normalize_axes(who, tuple(dim), ndim)
    rows, columns = dim[0] % ndim, dim[1] % ndim
    if ord == "fro":
        return _vector_norm(who, values, 2, (rows, columns), keepdim, None)
    if ord in ("nuc", 2, -2) and not isinstance(ord, bool):
        singular = singular_values(values.movedim((rows, columns), (-2, -1)))  # (..., M, N)
        if ord == "nuc":
            result = sum(singular, -1)
        else:
            _need_elements(who, singular, ord)
            result = amax(singular, -1) if ord == 2 else amin(singular, -1)
        return result.reshape([1 if i in (rows, columns) else n for i, n in enumerate(A.shape)]) if keepdim else result
    if isinstance(ord, bool) or ord not in (1, -1, math.inf, -math.inf):
        raise ArgumentError(who, expected='ord "fro", "nuc", 1, -1, 2, -2, inf or -inf', got=repr(ord))
    summed, other = (rows, columns) if abs(ord) == 1 else (columns, rows)
    totals = sum(Abs.apply(values), summed, True)
    _need_elements(who, totals, ord)
    result = (amax if ord > 0 else amin)(totals, other, True)
    return result if keepdim else result.squeeze((rows, columns))


def _need_elements(who: str, values: Any, ord: Any) -> None:
    if not values.data.size and 0 in values.data.shape[-2:]:
        raise ShapeError(who, expected=f"a matrix with elements for ord={ord}", got=str(values.data.shape))


@numpy_names
def linalg_norm(A: T, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> T:
    """The norm of a vector or of matrices: vector_norm for one axis, matrix_norm for two.

    Without ord the root of the sum of squares over dim, or over everything. With ord but without dim, A must have one
    axis or two. Source: torch.linalg.norm.
    """
    require_tensor("linalg.norm", A)
    if ord is None:
        return _vector_norm("linalg.norm", A, 2, dim, keepdim, dtype)
    if dim is None:
        if A.data.ndim not in (1, 2):
            raise ShapeError(
                "linalg.norm", expected="one axis or two where ord is given and dim is not", got=str(A.data.shape)
            )
        dim = tuple(range(A.data.ndim))
    axes = (dim,) if not isinstance(dim, (tuple, list)) else tuple(dim)
    if len(axes) == 2:
        return _matrix_norm("linalg.norm", A, ord, axes, keepdim, dtype)
    if isinstance(ord, str):
        raise ArgumentError("linalg.norm", expected="two axes for a matrix norm", got=f"ord={ord!r}, dim={dim}")
    return _vector_norm("linalg.norm", A, ord, axes, keepdim, dtype)


def norm(input: T, p: Any = "fro", dim: Axes = None, keepdim: bool = False, dtype: Any = None) -> T:
    """(sum |input|^p)^(1/p) over axes, p = 2 by default ("fro"); "nuc" sums the singular values of two axes.

    dim: an axis, several, or None for all. linalg.norm knows the norms of matrices. Source: torch.norm.
    """
    require_tensor("norm", input)
    if p == "nuc":
        axes = tuple(range(input.data.ndim)) if dim is None else dim
        return _matrix_norm("norm", input, "nuc", axes, keepdim, dtype)
    if isinstance(p, str) and p != "fro":
        raise ArgumentError("norm", expected='p as a number, "fro" or "nuc"', got=repr(p))
    return _vector_norm("norm", input, 2 if p is None or p == "fro" else p, dim, keepdim, dtype)


def normalize(input: T, p: float = 2.0, dim: Axes = 1, eps: float = 1e-12) -> T:
    """input / max(norm, eps): vectors along dim brought to length 1. Source: torch.nn.functional.normalize."""
    length: Any = _vector_norm("normalize", input, p, dim, True, None)
    _positive("normalize", eps)
    return input / clamp(length, min=float(eps))


def _positive(who: str, eps: Any) -> None:
    if isinstance(eps, bool) or not isinstance(eps, (int, float)) or eps < 0:
        raise ArgumentError(who, expected="eps of at least 0", got=repr(eps))


@numpy_names
def cosine_similarity(x1: T, x2: Any, dim: int = 1, eps: float = 1e-8) -> T:
    """<x1, x2> / (max(|x1|, eps) max(|x2|, eps)) along one axis, whose length disappears; shapes broadcast.

    Raises ShapeError, ArgumentError, DTypeError. Source: torch.nn.functional.cosine_similarity.
    """
    require_float("cosine_similarity", x1, x2)
    _positive("cosine_similarity", eps)
    a, b = promote("cosine_similarity", x1, x2)
    try:
        shape = broadcast_shape(a.data.shape, b.data.shape)
    except ValueError:
        raise ShapeError(
            "cosine_similarity", expected="shapes that broadcast", got=f"{a.data.shape} and {b.data.shape}"
        ) from None
    if isinstance(dim, (tuple, list)) or dim is None:
        raise DTypeError("cosine_similarity", expected="dim as one integer", got=repr(dim))
    (axis,) = normalize_axes("cosine_similarity", dim, len(shape)) or (None,)
    # Where eps stands in a norm's place, the gradient is still that of the norm, as in torch.
    units = []
    for v in (expand(a, shape), expand(b, shape)):
        length: Any = vector_norm(v, 2, axis, True)
        units.append(v / (length + (clamp(length, min=float(eps)) - length).detach()))
    return sum(units[0] * units[1], axis)
