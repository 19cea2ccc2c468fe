"""The same elements in another shape: reshape, permute, expand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from minidl import kernels
from minidl.autograd.base import BaseTensor, T
from minidl.autograd.function import Function
from minidl.errors import ArgumentError, DTypeError, ShapeError
from minidl.ops.keywords import numpy_names, sizes_named
from minidl.ops.promotion import require_tensor
from minidl.ops.reduction import Expand, normalize_axes, normalize_axis

__all__ = [
    "broadcast_to",
    "clone",
    "contiguous",
    "expand",
    "flatten",
    "movedim",
    "permute",
    "ravel",
    "reshape",
    "sizes_of",
    "squeeze",
    "swapaxes",
    "transpose",
    "unflatten",
    "unsqueeze",
]


class Reshape(Function):
    """The same elements in logical (row-major) order under another shape; a view where memory allows."""

    def forward(self, x: Any, shape: tuple[int, ...]) -> Any:
        self.shape = x.shape
        if x.ndim == 4 and not x.flags.c_contiguous:
            x = kernels.contiguous(x)  # activations may lie as (N, H, W, C): copied by a kernel, faster than NumPy does
        return x.reshape(shape)

    def backward(self, grad: Any) -> Any:
        return grad.reshape(self.shape)


class Permute(Function):
    """The axes in another order; a view."""

    def forward(self, x: Any, dims: tuple[int, ...]) -> Any:
        self.inverse = tuple(sorted(range(len(dims)), key=dims.__getitem__))
        return x.transpose(dims)

    def backward(self, grad: Any) -> Any:
        return Permute.evaluate(grad, dims=self.inverse)


class Copy(Function):
    """The same values in memory of their own; logical order if ``contiguous`` is asked, else the input's."""

    def forward(self, x: Any, contiguous: bool) -> Any:
        return x.copy("C" if contiguous else "K")

    def backward(self, grad: Any) -> Any:
        return grad


def sizes_of(who: str, shape: tuple[Any, ...]) -> tuple[int, ...]:
    """Shape arguments given as numbers or as one sequence."""
    if len(shape) == 1 and isinstance(shape[0], (tuple, list)):
        shape = tuple(shape[0])
    if not all(hasattr(n, "__index__") and not isinstance(n, bool) for n in shape):
        raise DTypeError(who, expected="integers as shape", got=str(shape))
    return tuple([n.__index__() for n in shape])


@sizes_named("shape")
def reshape(input: T, *shape: Any) -> T:
    """The same elements in logical order with another shape; one length may be -1 and is worked out.

    A view where memory allows, else a copy. Raises ShapeError where the number of elements differs. Source:
    torch.reshape.
    """
    require_tensor("reshape", input)
    sizes = sizes_of("reshape", shape)
    count = input.data.size
    known = math.prod(n for n in sizes if n != -1)
    unknown = sizes.count(-1)
    fits = count == known if not unknown else unknown == 1 and known > 0 and count % known == 0
    if not fits or any(n < -1 for n in sizes):
        raise ShapeError(
            "reshape",
            expected=f"a shape of {count} elements (input: {input.data.shape}), with at most one -1",
            got=str(sizes),
        )
    return Reshape.apply(input, shape=sizes)


def flatten(input: T, start_dim: int = 0, end_dim: int = -1) -> T:
    """The axes start_dim to end_dim as one: (N, C, H, W) -> (N, C * H * W) for start_dim=1. Source: torch.flatten."""
    require_tensor("flatten", input)
    shape = input.data.shape
    start, end = (normalize_axis("flatten", dim, len(shape)) for dim in (start_dim, end_dim))
    if not shape:
        return reshape(input, 1)
    if start > end:
        raise ArgumentError("flatten", expected="start_dim before end_dim", got=f"{start_dim} and {end_dim}")
    if start == end:
        return input
    return reshape(input, *shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :])


@numpy_names
def unflatten(input: T, dim: int, sizes: Sequence[int]) -> T:
    """One axis as several: (N, C * H) -> (N, C, H) for dim=1, sizes=(C, H). Source: torch.unflatten."""
    require_tensor("unflatten", input)
    shape = input.data.shape
    axis = normalize_axis("unflatten", dim, len(shape))
    if not shape:
        raise ShapeError("unflatten", expected="at least one axis", got="none")
    sizes = sizes_of("unflatten", (tuple(sizes),))
    known = math.prod(n for n in sizes if n != -1)
    if sizes.count(-1) > 1 or (known != shape[axis] if -1 not in sizes else not known or shape[axis] % known):
        raise ShapeError("unflatten", expected=f"sizes whose product is {shape[axis]}", got=str(sizes))
    if -1 in sizes:
        sizes = tuple(shape[axis] // known if n == -1 else n for n in sizes)
    return reshape(input, *shape[:axis], *sizes, *shape[axis + 1 :])


@sizes_named("dims")
def permute(input: T, *dims: Any) -> T:
    """The axes in the order of dims: the result's axis i is the input's axis dims[i]; a view. Source: torch.permute."""
    require_tensor("permute", input)
    order = sizes_of("permute", dims)
    ndim = input.data.ndim
    if len(order) != ndim or sorted(d % ndim if ndim else d for d in order if -ndim <= d < ndim) != list(range(ndim)):
        raise ArgumentError("permute", expected=f"each of {ndim} axes once", got=str(order))
    return Permute.apply(input, dims=tuple([d % ndim for d in order]))


def transpose(input: T, dim0: int, dim1: int) -> T:
    """Two axes exchanged; a view. Source: torch.transpose."""
    require_tensor("transpose", input)
    ndim = input.data.ndim
    a, b = (normalize_axis("transpose", dim, ndim) for dim in (dim0, dim1))
    if not ndim:
        return input
    order = list(range(ndim))
    order[a], order[b] = b, a
    return Permute.apply(input, dims=tuple(order))


def swapaxes(input: T, axis0: int, axis1: int) -> T:
    """The same as transpose. Source: torch.swapaxes."""
    return transpose(input, axis0, axis1)


def ravel(input: T) -> T:
    """All elements in one axis, in logical order; a view where memory allows. Source: torch.ravel."""
    require_tensor("ravel", input)
    return reshape(input, -1 if input.data.size else 0)


def movedim(input: T, source: int | Sequence[int], destination: int | Sequence[int]) -> T:
    """One axis or several moved to other places, the others in their order; a view. Source: torch.movedim."""
    require_tensor("movedim", input)
    ndim = input.data.ndim
    both: list[list[Any]] = [list(d) if isinstance(d, (tuple, list)) else [d] for d in (source, destination)]
    sources, places = both
    if len(sources) != len(places):
        raise ArgumentError("movedim", expected="as many destinations as sources", got=f"{destination} for {source}")
    for given in (sources, places):
        normalize_axes("movedim", tuple(given), ndim)  # each axis once, and in range
    if not ndim:
        return input
    wanted = {place % ndim: axis % ndim for place, axis in zip(places, sources)}
    others = iter([i for i in range(ndim) if i not in wanted.values()])
    return Permute.apply(input, dims=tuple([wanted[i] if i in wanted else next(others) for i in range(ndim)]))


@numpy_names
def squeeze(input: T, dim: int | tuple[int, ...] | None = None) -> T:
    """Without the axes of length 1: all of them, or those of dim that have length 1; a view. Source: torch.squeeze."""
    require_tensor("squeeze", input)
    shape = input.data.shape
    none = isinstance(dim, (tuple, list)) and not dim  # () stands for no axis here, not for all
    axes = () if none else normalize_axes("squeeze", dim, len(shape))
    return Reshape.apply(input, shape=tuple([n for i, n in enumerate(shape) if n != 1 or i not in axes]))


@numpy_names
def unsqueeze(input: T, dim: int) -> T:
    """With a new axis of length 1 at dim; a view. Source: torch.unsqueeze."""
    require_tensor("unsqueeze", input)
    axis = normalize_axis("unsqueeze", dim, input.data.ndim + 1)
    shape = input.data.shape
    return Reshape.apply(input, shape=(*shape[:axis], 1, *shape[axis:]))


@sizes_named("size")
def expand(input: T, *sizes: Any) -> T:
    """Axes of length 1 repeated without copying; -1 keeps a length; new axes come first. Source: torch.expand."""
    require_tensor("expand", input)
    wanted = sizes_of("expand", sizes)
    shape = input.data.shape
    added = len(wanted) - len(shape)
    result = tuple([shape[i - added] if n == -1 and i >= added else n for i, n in enumerate(wanted)])
    if added < 0 or any(n < 0 for n in result) or any(m not in (1, n) for m, n in zip(shape, result[added:])):
        raise ShapeError("expand", expected=f"sizes that {shape} broadcasts to", got=str(wanted))
    return Expand.apply(input, shape=result)


def broadcast_to(input: T, size: Sequence[int]) -> T:
    """The input repeated to a shape that it broadcasts to, without copying. Source: torch.broadcast_to."""
    return expand(input, tuple(size))


def clone(input: T) -> T:
    """The same values in memory of their own; gradients flow through. Source: torch.clone."""
    require_tensor("clone", input)
    return Copy.apply(input, contiguous=False)


def contiguous(input: T) -> T:
    """The tensor itself if its memory is in logical order, else a copy that is. Source: torch.Tensor.contiguous."""
    require_tensor("contiguous", input)
    return input if input.data.flags.c_contiguous else Copy.apply(input, contiguous=True)


def is_tensor(value: Any) -> bool:
    """Whether a value is a Tensor. Source: torch.is_tensor."""
    return isinstance(value, BaseTensor)
