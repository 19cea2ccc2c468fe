"""Batch normalisation as a layer, with its running statistics."""

from __future__ import annotations

from typing import Any, ClassVar

from minidl._factories import ones, zeros
from minidl._tensor import Tensor
from minidl.backend.dtypes import int64, is_real
from minidl.errors import ArgumentError, ShapeError
from minidl.nn import functional as F
from minidl.nn import init
from minidl.nn.arguments import whole
from minidl.nn.module import Module
from minidl.nn.parameter import Parameter

__all__ = ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d"]


class BatchNorm(Module):
    """What both layers share: y = (x - mean) / sqrt(variance + eps) * weight + bias, per channel (Ioffe, Szegedy 2015).

    In training the mean and biased variance are the batch's, and the running ones move towards them (there the variance
    is unbiased): running = (1 - momentum) running + momentum batch; ``momentum=None`` keeps the plain average over all
    batches. In evaluation the running ones are used, or the batch's with ``track_running_stats=False``.
    ``affine=False`` leaves out weight and bias, ``bias=False`` the bias.
    """

    # The numbers of axes that forward accepts, and how the message names them.
    _axes: ClassVar[dict[int, str]]

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        who = type(self).__name__
        self.num_features = whole(who, "num_features", num_features, 1)
        if not is_real(eps) or not eps > 0:
            raise ArgumentError(who, expected="eps > 0", got=repr(eps))
        if momentum is not None and not (is_real(momentum) and 0 <= momentum <= 1):
            raise ArgumentError(who, expected="momentum between 0 and 1, or None", got=repr(momentum))
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        shape = (self.num_features,)
        like: dict[str, Any] = {"dtype": dtype, "device": device}
        self.register_parameter("weight", Parameter(ones(shape, **like)) if affine else None)
        self.register_parameter("bias", Parameter(zeros(shape, **like)) if affine and bias else None)
        tracked = track_running_stats
        self.register_buffer("running_mean", zeros(shape, **like) if tracked else None)
        self.register_buffer("running_var", ones(shape, **like) if tracked else None)
        self.register_buffer("num_batches_tracked", zeros((), dtype=int64, device=device) if tracked else None)

    def reset_running_stats(self) -> None:
        """Forget the running statistics: mean 0, variance 1, no batches seen."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Forget the running statistics; weight 1, bias 0."""
        self.reset_running_stats()
        if self.affine:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        if input.dim() not in self._axes:
            raise ShapeError(
                type(self).__name__, expected=" or ".join(self._axes.values()), got=f"shape {tuple(input.shape)}"
            )
        momentum = 0.0 if self.momentum is None else self.momentum
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:
                momentum = 1.0 / self.num_batches_tracked.item()
        # Without running statistics evaluation uses the batch's too; with them, only training moves them.
        batch_statistics = self.training or self.running_mean is None
        tracked = not self.training or self.track_running_stats
        return F.batch_norm(
            input,
            self.running_mean if tracked else None,
            self.running_var if tracked else None,
            self.weight,
            self.bias,
            batch_statistics,
            momentum,
            self.eps,
        )

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(BatchNorm):
    """Batch normalisation of (N, C) or (N, C, L) (``torch.nn.BatchNorm1d``); the arguments are ``BatchNorm``'s."""

    _axes: ClassVar[dict[int, str]] = {2: "(N, C)", 3: "(N, C, L)"}


class BatchNorm2d(BatchNorm):
    """Batch normalisation of (N, C, H, W) (``torch.nn.BatchNorm2d``); the arguments are ``BatchNorm``'s."""

    _axes: ClassVar[dict[int, str]] = {4: "(N, C, H, W)"}


class BatchNorm3d(BatchNorm):
    """Batch normalisation of (N, C, D, H, W) (``torch.nn.BatchNorm3d``); the arguments are ``BatchNorm``'s."""

    _axes: ClassVar[dict[int, str]] = {5: "(N, C, D, H, W)"}
