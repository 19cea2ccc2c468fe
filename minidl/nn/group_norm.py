"""Layer, group and instance normalisation as layers."""

from __future__ import annotations

from typing import Any, ClassVar

from minidl._factories import ones, zeros
from minidl._tensor import Tensor
from minidl.backend.dtypes import is_real
from minidl.errors import ArgumentError, ShapeError
from minidl.nn import functional as F
from minidl.nn import init
from minidl.nn.arguments import whole
from minidl.nn.module import Module
from minidl.nn.normalization import BatchNorm
from minidl.nn.parameter import Parameter

__all__ = ["GroupNorm", "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d", "LayerNorm"]


class _Affine(Module):
    """weight of ones and bias of zeros, where they are wanted."""

    weight: Parameter | None
    bias: Parameter | None

    def _make_parameters(self, shape: tuple[int, ...], weight: bool, bias: bool, device: Any, dtype: Any) -> None:
        for name, wanted, make in (("weight", weight, ones), ("bias", weight and bias, zeros)):
            self.register_parameter(name, Parameter(make(shape, dtype=dtype, device=device)) if wanted else None)

    def _check_eps(self, eps: Any) -> float:
        if not is_real(eps) or not eps > 0:
            raise ArgumentError(type(self).__name__, expected="eps > 0", got=repr(eps))
        return eps

    def reset_parameters(self) -> None:
        """weight 1, bias 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)


class LayerNorm(_Affine):
    """Each example's last axes with mean 0 and variance 1 (``torch.nn.LayerNorm``): (..., *normalized_shape) -> same.

    weight and bias have normalized_shape; ``elementwise_affine=False`` leaves out both, ``bias=False`` the bias.
    """

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...] | list[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        sizes = normalized_shape if isinstance(normalized_shape, (tuple, list)) else (normalized_shape,)
        self.normalized_shape = tuple(whole("LayerNorm", "normalized_shape", n, 1) for n in sizes)
        self.eps = self._check_eps(eps)
        self.elementwise_affine = elementwise_affine
        self._make_parameters(self.normalized_shape, elementwise_affine, bias, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        affine = f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        return f"{self.normalized_shape}, eps={self.eps}, {affine}"


class GroupNorm(_Affine):
    """Each group of channels of each example with mean 0 and variance 1 (``torch.nn.GroupNorm``): (N, C, ...) -> same.

    weight and bias are (C,); ``affine=False`` leaves out both, ``bias=False`` the bias.
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_groups = whole("GroupNorm", "num_groups", num_groups, 1)
        self.num_channels = whole("GroupNorm", "num_channels", num_channels, 1)
        if num_channels % num_groups:
            raise ArgumentError("GroupNorm", expected="num_channels divisible by num_groups", got=f"{num_channels}")
        self.eps = self._check_eps(eps)
        self.affine = affine
        self._make_parameters((self.num_channels,), affine, bias, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        affine = f"affine={self.affine}, bias={self.bias is not None}"
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, {affine}"


class _InstanceNorm(BatchNorm):
    """What the three layers share: each channel of each example with mean 0 and variance 1 (Ulyanov et al. 2016).

    With ``track_running_stats`` the mean over the batch of those statistics is kept, and used in evaluation. An input
    without the batch axis is taken too.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        batched, single = max(self._axes), min(self._axes)
        if input.dim() not in self._axes or input.shape[input.dim() - single] != self.num_features:
            raise ShapeError(
                type(self).__name__,
                expected=f"{' or '.join(self._axes.values())} with C={self.num_features}",
                got=f"shape {tuple(input.shape)}",
            )
        own = self.training or not self.track_running_stats
        images = input if input.dim() == batched else input.unsqueeze(0)
        momentum = 0.0 if self.momentum is None else self.momentum
        y = F.instance_norm(
            images, self.running_mean, self.running_var, self.weight, self.bias, own, momentum, self.eps
        )
        return y if input.dim() == batched else y.squeeze(0)


class InstanceNorm1d(_InstanceNorm):
    """Instance normalisation of (N, C, L) or (C, L) (``torch.nn.InstanceNorm1d``)."""

    _axes: ClassVar[dict[int, str]] = {3: "(N, C, L)", 2: "(C, L)"}


class InstanceNorm2d(_InstanceNorm):
    """Instance normalisation of (N, C, H, W) or (C, H, W) (``torch.nn.InstanceNorm2d``)."""

    _axes: ClassVar[dict[int, str]] = {4: "(N, C, H, W)", 3: "(C, H, W)"}


class InstanceNorm3d(_InstanceNorm):
    """Instance normalisation of (N, C, D, H, W) or (C, D, H, W) (``torch.nn.InstanceNorm3d``)."""

    _axes: ClassVar[dict[int, str]] = {5: "(N, C, D, H, W)", 4: "(C, D, H, W)"}
