"""The wider range of in-place methods: ``x.exp_()`` writes minidl.exp(x) into x; the core's are in writing.py."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

from minidl._tensor.drawing import check_fractional, host_generator
from minidl._tensor.writing import Writing
from minidl.backend.arrays import to_device
from minidl.backend.device import Device
from minidl.backend.dtypes import as_dtype
from minidl.errors import ShapeError
from minidl.ops import (
    accumulation,
    activation,
    activation_smooth,
    arithmetic,
    arrangement,
    combined,
    elementwise,
    gather,
    rounding,
    selection,
    shape,
    trigonometry,
)

__all__ = ["InPlace"]

Self = TypeVar("Self", bound="InPlace")


def _on(array: np.ndarray, dtype: Any, device: Device) -> Any:
    return to_device(array.astype(as_dtype(dtype), copy=False), device)


class InPlace(Writing):
    """Functions whose result replaces the tensor; writes are counted, and refused where backward would suffer."""

    __slots__ = ()

    def exp_(self: Self) -> Self:
        """e ** self, in place."""
        return self._in_place("exp_", elementwise.exp)

    def expm1_(self: Self) -> Self:
        """e ** self - 1, in place."""
        return self._in_place("expm1_", elementwise.expm1)

    def log_(self: Self) -> Self:
        """log self, in place."""
        return self._in_place("log_", elementwise.log)

    def log1p_(self: Self) -> Self:
        """log(1 + self), in place."""
        return self._in_place("log1p_", elementwise.log1p)

    def sqrt_(self: Self) -> Self:
        """The square root, in place."""
        return self._in_place("sqrt_", elementwise.sqrt)

    def rsqrt_(self: Self) -> Self:
        """1 / sqrt(self), in place."""
        return self._in_place("rsqrt_", elementwise.rsqrt)

    def square_(self: Self) -> Self:
        """self ** 2, in place."""
        return self._in_place("square_", elementwise.square)

    def reciprocal_(self: Self) -> Self:
        """1 / self, in place."""
        return self._in_place("reciprocal_", elementwise.reciprocal)

    def abs_(self: Self) -> Self:
        """|self|, in place."""
        return self._in_place("abs_", elementwise.abs)

    def neg_(self: Self) -> Self:
        """-self, in place."""
        return self._in_place("neg_", arithmetic.neg)

    def sign_(self: Self) -> Self:
        """-1, 0 or 1, in place."""
        return self._in_place("sign_", elementwise.sign)

    def floor_(self: Self) -> Self:
        """The largest integer not above self, in place."""
        return self._in_place("floor_", rounding.floor)

    def ceil_(self: Self) -> Self:
        """The smallest integer not below self, in place."""
        return self._in_place("ceil_", rounding.ceil)

    def trunc_(self: Self) -> Self:
        """self without its fraction, in place."""
        return self._in_place("trunc_", rounding.trunc)

    def round_(self: Self, *, decimals: int = 0) -> Self:
        """self rounded to ``decimals`` digits, in place."""
        return self._in_place("round_", rounding.round, decimals=decimals)

    def remainder_(self: Self, other: Any) -> Self:
        """What a division by ``other`` leaves, with its sign, in place."""
        return self._in_place("remainder_", rounding.remainder, other)

    def sin_(self: Self) -> Self:
        """The sine, in place."""
        return self._in_place("sin_", trigonometry.sin)

    def cos_(self: Self) -> Self:
        """The cosine, in place."""
        return self._in_place("cos_", trigonometry.cos)

    def erf_(self: Self) -> Self:
        """The error function, in place."""
        return self._in_place("erf_", elementwise.erf)

    def sigmoid_(self: Self) -> Self:
        """1 / (1 + exp(-self)), in place."""
        return self._in_place("sigmoid_", activation_smooth.sigmoid)

    def tanh_(self: Self) -> Self:
        """The hyperbolic tangent, in place."""
        return self._in_place("tanh_", activation.tanh)

    def cumsum_(self: Self, dim: int) -> Self:
        """Running sums along an axis, in place."""
        return self._in_place("cumsum_", accumulation.cumsum, dim)

    def tril_(self: Self, diagonal: int = 0) -> Self:
        """0 above a diagonal, in place."""
        return self._in_place("tril_", arrangement.tril, diagonal)

    def triu_(self: Self, diagonal: int = 0) -> Self:
        """0 below a diagonal, in place."""
        return self._in_place("triu_", arrangement.triu, diagonal)

    def clamp_(self: Self, min: Any = None, max: Any = None) -> Self:
        """Limit to [min, max], in place."""
        return self._in_place("clamp_", elementwise.clamp, min, max)

    def relu_(self: Self) -> Self:
        """max(self, 0), in place."""
        return self._in_place("relu_", activation.relu)

    def masked_fill_(self: Self, mask: Any, value: Any) -> Self:
        """``value`` where the mask holds, in place."""
        return self._in_place("masked_fill_", selection.masked_fill, mask, value)

    def scatter_(self: Self, dim: int, index: Any, src: Any) -> Self:
        """The elements of ``src`` at the places of an index tensor, in place; see minidl.scatter."""
        return self._in_place("scatter_", lambda x, i, s: gather.scatter(x, dim, i, s), index, src)

    def scatter_add_(self: Self, dim: int, index: Any, src: Any) -> Self:
        """The elements of ``src`` added at the places of an index tensor, in place; see minidl.scatter_add."""
        return self._in_place("scatter_add_", lambda x, i, s: gather.scatter_add(x, dim, i, s), index, src)

    def lerp_(self: Self, end: Any, weight: Any) -> Self:
        """self + weight * (end - self), in place."""
        return self._in_place("lerp_", combined.lerp, end, weight)

    def addcmul_(self: Self, tensor1: Any, tensor2: Any, *, value: float = 1) -> Self:
        """self + value * tensor1 * tensor2, in place."""
        return self._in_place("addcmul_", combined.addcmul, tensor1, tensor2, value=value)

    def addcdiv_(self: Self, tensor1: Any, tensor2: Any, *, value: float = 1) -> Self:
        """self + value * tensor1 / tensor2, in place."""
        return self._in_place("addcdiv_", combined.addcdiv, tensor1, tensor2, value=value)

    def normal_(self: Self, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Self:
        """Normally distributed elements, in place; drawn on the host. Source: torch.Tensor.normal_."""
        check_fractional("normal_", self.dtype)
        host = host_generator(generator)
        self[...] = self._make(_on(host.standard_normal(self.shape) * std + mean, self.dtype, self.device))
        return self

    def uniform_(self: Self, low: float = 0.0, high: float = 1.0, *, generator: Any = None) -> Self:
        """Elements uniform in [low, high), in place; drawn on the host. Source: torch.Tensor.uniform_."""
        check_fractional("uniform_", self.dtype)
        host = host_generator(generator)
        self[...] = self._make(_on(host.uniform(low, high, self.shape), self.dtype, self.device))
        return self

    def _become(self: Self, who: str, view: Any) -> Self:
        """Take over the shape, and the place in the graph, of a view of this tensor."""
        if self._edge is None:
            self._check_writable(who)
        self.data, self._edge = view.data, view._edge
        return self

    def squeeze_(self: Self, dim: Any = None) -> Self:
        """Without axes of length 1; the memory stays."""
        return self._become("squeeze_", shape.squeeze(self, dim))

    def unsqueeze_(self: Self, dim: int) -> Self:
        """With a new axis of length 1; the memory stays."""
        return self._become("unsqueeze_", shape.unsqueeze(self, dim))

    def transpose_(self: Self, dim0: int, dim1: int) -> Self:
        """Two axes exchanged; the memory stays."""
        return self._become("transpose_", shape.transpose(self, dim0, dim1))

    def swapaxes_(self: Self, axis0: int, axis1: int) -> Self:
        """The same as transpose_."""
        return self._become("swapaxes_", shape.transpose(self, axis0, axis1))

    def t_(self: Self) -> Self:
        """A matrix transposed; the memory stays."""
        if self.ndim > 2:
            raise ShapeError("t_", expected="at most two axes", got=str(self.shape), hint="Use transpose_.")
        return self._become("t_", shape.transpose(self, 0, 1)) if self.ndim == 2 else self
